/*
 * Keyspaces of an ordered store; see the header for the contract. Those of a placed one:
 * placed_space.c.
 */
#include "api/space.h"

#include "api/check.h"
#include "api/placed.h"
#include "api/policy.h"
#include "api/wait.h"
#include "base/bytes.h"
#include "base/error.h"

#define SPACES_MAX 65535u /* named ones */

/** What a record says. */
typedef struct record {
    uint32_t id;
    uint64_t ttl_ms;
} record;

/** The key of keyspace 0 that holds a record (or, without a name, the counter). */
typedef struct own_key {
    uint8_t data[KVI_KEYSPACE_PREFIX_MAX + 1 + KVI_API_NAME_MAX];
    size_t len;
} own_key;

static kvi_slice own_key_make(own_key *k, char what, kvi_slice name)
{
    k->len = kvi_keyspace_put_prefix(k->data, KVI_KEYSPACE_OWN);
    k->data[k->len++] = (uint8_t)what;
    if (name.len > 0)
        memcpy(k->data + k->len, name.data, name.len);
    k->len += name.len;
    return kvi_slice_of(k->data, k->len);
}

/** Reads a record of keyspace 0 into out, which has len bytes: KV_ENOTFOUND, or what is wrong with
 *  it. */
static int own_read(kvi_api_store *s, kvi_slice key, uint8_t *out, size_t len)
{
    kvi_lsm_get g = {key, KVI_LSM_SEQ_LATEST, 0, false};
    kvi_lsm_value v;
    kvi_buf copy;
    int err;

    kvi_buf_init(&copy, s->env.mem);
    err = kvi_lsm_get_value(s->lsm, &g, &copy, &v);
    if (!err) {
        const uint8_t *p = v.data.data;

        if (v.data.len < 1 ||
            (p[KVI_KEYSPACE_VERSION_AT] == KVI_KEYSPACE_VERSION && v.data.len != len))
            err = kvi_error_set(KV_ECORRUPT, "a keyspace's record has %zu bytes, not %zu",
                                v.data.len, len);
        else if (p[KVI_KEYSPACE_VERSION_AT] != KVI_KEYSPACE_VERSION)
            err =
                kvi_error_set(KV_EFORMAT, "a keyspace's record has version %u, this libkv knows %u",
                              p[KVI_KEYSPACE_VERSION_AT], KVI_KEYSPACE_VERSION);
        else
            memcpy(out, p, len);
        kvi_lsm_value_release(&v);
    }
    kvi_buf_deinit(&copy);
    return err;
}

static int record_read(kvi_api_store *s, kvi_slice key, record *out)
{
    uint8_t p[KVI_KEYSPACE_RECORD_LEN];
    int err = own_read(s, key, p, sizeof p);

    if (err)
        return err;
    out->id = kvi_get_u32(p + KVI_KEYSPACE_ID_AT);
    out->ttl_ms = kvi_get_u64(p + KVI_KEYSPACE_TTL_AT);
    return KV_OK;
}

static int counter_read(kvi_api_store *s, kvi_slice key, uint32_t *next)
{
    uint8_t p[KVI_KEYSPACE_COUNTER_LEN];
    int err = own_read(s, key, p, sizeof p);

    if (err && err != KV_ENOTFOUND)
        return err;
    *next = err ? KVI_KEYSPACE_NAMED : kvi_get_u32(p + KVI_KEYSPACE_ID_AT);
    return KV_OK;
}

/** Writes the record of a new keyspace, with the counter where it is a named one, under a guard of
 *  the counter. KVI_STALE: another one was made. */
static int record_write(kvi_api_store *s, kvi_slice record_key, kvi_slice counter_key,
                        const record *r, const kvi_lsm_guard *guard)
{
    uint8_t value[KVI_KEYSPACE_RECORD_LEN], counter[KVI_KEYSPACE_COUNTER_LEN];
    kvi_lsm_op ops[2] = {
        {KVI_KIND_PUT, record_key, {value, sizeof value}, 0},
        {KVI_KIND_PUT, counter_key, {counter, sizeof counter}, 0},
    };
    kvi_lsm_write w = {.ops = ops,
                       .count = r->id == KVI_KEYSPACE_DEFAULT ? 1 : 2,
                       .guarded = true,
                       .guard = *guard};
    int err;

    value[KVI_KEYSPACE_VERSION_AT] = counter[KVI_KEYSPACE_VERSION_AT] = KVI_KEYSPACE_VERSION;
    kvi_put_u32(value + KVI_KEYSPACE_ID_AT, r->id);
    kvi_put_u64(value + KVI_KEYSPACE_TTL_AT, r->ttl_ms);
    kvi_put_u32(counter + KVI_KEYSPACE_ID_AT, r->id + 1);
    err = kvi_api_write(s, &w);
    if (!err && kvi_api_logged(s))
        err = kvi_api_sync(s, w.last_seq);
    return err;
}

static uint64_t policy_ttl(const kv_policy *policy)
{
    return policy && policy->ttl_ms != KV_TTL_NONE ? policy->ttl_ms : 0;
}

static int record_check_policy(const record *r, kvi_slice name, const kv_policy *policy)
{
    if (!policy || policy_ttl(policy) == r->ttl_ms)
        return KV_OK;
    return kvi_error_set(
        KV_ECONFLICT, "kv_policy.ttl_ms is %llu, but the keyspace \"%.*s\" was created with %llu",
        (unsigned long long)policy_ttl(policy), (int)name.len,
        name.len ? (const char *)name.data : "", (unsigned long long)r->ttl_ms);
}

/** One attempt: finds the record, or makes it. KVI_STALE: another one was made meanwhile. */
static int record_find_or_make(kvi_api_store *s, kvi_slice name, const kv_policy *policy,
                               record *out)
{
    own_key record_at, counter_at;
    kvi_slice record_key = own_key_make(&record_at, KVI_KEYSPACE_RECORD_KEY, name);
    kvi_slice counter_key =
        own_key_make(&counter_at, KVI_KEYSPACE_COUNTER_KEY, kvi_slice_of(NULL, 0));
    kvi_lsm_guard guard;
    int err = kvi_api_guard(s, counter_key, &guard);

    if (!err)
        err = record_read(s, record_key, out);
    if (!err)
        return record_check_policy(out, name, policy);
    if (err == KV_ENOTFOUND)
        err = counter_read(s, counter_key, &out->id);
    if (err)
        return err;
    if (name.len == 0)
        out->id = KVI_KEYSPACE_DEFAULT;
    else if (out->id - KVI_KEYSPACE_NAMED >= SPACES_MAX)
        return kvi_error_set(KV_ETOOBIG, "the store has %u keyspaces already, which is the limit",
                             SPACES_MAX);
    out->ttl_ms = policy_ttl(policy);
    return record_write(s, record_key, counter_key, out, &guard);
}

/** Fills in the handle of the keyspace called name, creating it where it does not exist. */
static int handle_init(kv *db, kvi_api_store *s, kvi_slice name, const kv_policy *policy)
{
    record r;
    int err = KVI_STALE;

    for (unsigned tries = 0; err == KVI_STALE && tries < KVI_API_TRIES_MAX; tries++)
        err = record_find_or_make(s, name, policy, &r);
    if (err == KVI_STALE)
        return kvi_api_contended();
    if (err)
        return err;
    db->store = s;
    db->space = r.id;
    db->ttl_ms = r.ttl_ms;
    db->prefix_len = (uint8_t)kvi_keyspace_put_prefix(db->prefix, r.id);
    return KV_OK;
}

int kvi_api_space_open_default(kvi_api_store *s, const kv_policy *policy)
{
    return handle_init(&s->root, s, kvi_slice_of(NULL, 0), policy);
}

static int check_space_arguments(const kv *db, const char *name, const kv_policy *policy, kv **out)
{
    int err = kvi_api_check_waits(db);

    if (!err)
        err = kvi_api_check_given(out, "out");
    if (!err)
        err = kvi_api_check_given(name, "name");
    if (err)
        return err;
    if (!*name)
        return kvi_error_set(KV_EINVAL, "name is empty");
    if (strnlen(name, KVI_API_NAME_MAX + 1) > KVI_API_NAME_MAX)
        return kvi_error_set(KV_EINVAL, "name is over the limit of %u bytes", KVI_API_NAME_MAX);
    return policy ? kvi_api_check_policy(policy, db->store->placed) : KV_OK;
}

int kv_space(kv *db, const char *name, const kv_policy *policy, kv **out)
{
    kv *space;
    int err = check_space_arguments(db, name, policy, out);

    if (err)
        return err;
    space = kvi_mem_zalloc(db->store->env.mem, 1, sizeof *space);
    if (!space)
        return kvi_error_set(KV_ENOMEM, "cannot allocate %zu bytes for a handle", sizeof *space);
    if (db->store->placed)
        err = kvi_api_placed_space(space, db->store, name, policy);
    else
        err = handle_init(space, db->store, kvi_slice_of(name, strlen(name)), policy);
    if (err) {
        kvi_mem_free(db->store->env.mem, space);
        return err;
    }
    kvi_api_borrow(db->store, KVI_API_LIVE_SPACES);
    *out = space;
    return KV_OK;
}

void kvi_api_space_close(kv *space)
{
    kvi_api_store *s = space->store;

    kvi_mem_free(s->env.mem, space);
    kvi_api_give_back(s, KVI_API_LIVE_SPACES);
}
