/*
 * The requests on one key: get, put, delete. They run in the caller's thread, straight into the
 * engine.
 *
 * A write with a condition or a context is: take a guard of the key, read what is there, judge,
 * write under the guard. Where another write came between, the engine says KVI_STALE and all of it
 * is done again.
 */
#include "api/check.h"
#include "api/expiry.h"
#include "api/key.h"
#include "api/result.h"
#include "api/wait.h"
#include "base/error.h"

/* --- reading ------------------------------------------------------------------------------ */

#define NOTHING_EXPIRES INT64_MIN

/** What the key had at seq, and has still. Expiry is judged here, and not by the engine, so that
 *  the clock is read only where there is one. */
static int find(const kv *db, kvi_slice key, uint64_t seq, kvi_buf *copy, kvi_lsm_value *out)
{
    kvi_api_store *s = db->store;
    kvi_lsm_get g = {key, seq, NOTHING_EXPIRES, false};
    int err = kvi_lsm_get_value(s->lsm, &g, copy, out);

    if (err || KVI_LIKELY(out->expires_ms == 0) || out->expires_ms > kvi_os_wall_ms(s->env.clock))
        return err;
    kvi_lsm_value_release(out);
    return KV_ENOTFOUND;
}

static const kvi_api_version NO_VERSION = {0, 0};

/** The version that the key has at seq; that of nothing is KV_OK as well. */
static int find_version(const kv *db, kvi_slice key, uint64_t seq, kvi_api_version *version)
{
    kvi_lsm_value v;
    kvi_buf unwanted;
    int err;

    kvi_buf_init(&unwanted, db->store->env.mem);
    err = find(db, key, seq, &unwanted, &v);
    if (!err) {
        *version = kvi_api_version_of(v.seq, v.data, v.expires_ms);
        kvi_lsm_value_release(&v);
    } else if (err == KV_ENOTFOUND) {
        *version = NO_VERSION;
        err = KV_OK;
    }
    kvi_buf_deinit(&unwanted);
    return err;
}

/* --- get ---------------------------------------------------------------------------------- */

/** Reads into result, where there is one; else only finds out. */
static int read_key(kv *db, kvi_slice key, uint64_t seq, kv_result *result)
{
    kvi_lsm_value v;
    kvi_api_version version = NO_VERSION;
    int err;

    if (!result) {
        err = find_version(db, key, seq, &version);
        return err || version.seq != 0 ? err : KV_ENOTFOUND;
    }
    err = find(db, key, seq, &result->held->copy, &v);
    if (err && err != KV_ENOTFOUND)
        return err;
    kvi_api_result_clear(result);
    if (!err) {
        version = kvi_api_version_of(v.seq, v.data, v.expires_ms);
        kvi_api_result_set_value(result, db->store, &v);
    }
    kvi_api_result_set_context(result, db, key, version);
    return err;
}

static int get(kv *db, kvi_slice user_key, const kv_op *op, kv_result *result)
{
    uint64_t seq = op && op->snapshot ? op->snapshot->view.seq : KVI_LSM_SEQ_LATEST;
    kvi_api_key key;
    int err;

    err = kvi_api_result_prepare(result, db->store);
    if (!err)
        err = kvi_api_key_init(&key, db, user_key);
    if (err)
        return err;
    err = read_key(db, kvi_api_key_slice(&key), seq, result);
    kvi_api_key_deinit(&key, db);
    if (!err || err == KV_ENOTFOUND)
        kvi_api_count(&db->store->counters, err ? KVI_API_GETS_MISSED : KVI_API_GETS_FOUND, 1);
    return err;
}

int kv_get(kv *db, const void *key, size_t key_len, const kv_op *op, kv_result *result)
{
    kvi_slice user_key = kvi_slice_of(key, key_len);
    int err;

    err = kvi_api_result_check(result);
    if (err)
        return err;
    err = kvi_api_check_handle(db);
    if (!err)
        err = kvi_api_check_key(user_key);
    if (!err)
        err = kvi_api_check_op(db, op, KVI_API_OP_SNAPSHOT);
    if (!err)
        err = get(db, user_key, op, result);
    if (err && err != KV_ENOTFOUND)
        kvi_api_result_clear(result);
    return err;
}

/* --- put and delete ----------------------------------------------------------------------- */

/** What a write asks of the state it finds. */
typedef struct demand {
    uint8_t condition;
    bool has_context;
    kvi_api_version version; /* with a context */
} demand;

static int demand_of(const kv *db, kvi_slice key, const kv_op *op, demand *out)
{
    *out = (demand){KV_ALWAYS, false, NO_VERSION};
    if (!op)
        return KV_OK;
    out->condition = op->condition;
    out->has_context = op->context.len > 0;
    return out->has_context ? kvi_api_context_open(db, key, op->context, &out->version) : KV_OK;
}

static int judge(const demand *d, kvi_api_version now)
{
    if (d->condition == KV_IF_ABSENT && now.seq != 0)
        return kvi_error_set(KV_ECONFLICT, "KV_IF_ABSENT: the key has a value");
    if (d->condition == KV_IF_PRESENT && now.seq == 0)
        return kvi_error_set(KV_ECONFLICT, "KV_IF_PRESENT: the key has no value");
    if (d->has_context && !kvi_api_version_eq(now, d->version))
        return kvi_error_set(KV_ECONFLICT, "kv_op.context: the key was written since");
    return KV_OK;
}

static int write_demanding(kv *db, kvi_lsm_write *w, const demand *d)
{
    kvi_slice key = w->ops[0].key;

    w->guarded = true;
    for (unsigned tries = 0; tries < KVI_API_TRIES_MAX; tries++) {
        kvi_api_version now;
        int err = kvi_api_guard(db->store, key, &w->guard);

        if (!err)
            err = find_version(db, key, KVI_LSM_SEQ_LATEST, &now);
        if (!err)
            err = judge(d, now);
        if (!err)
            err = kvi_api_write(db->store, w);
        if (err != KVI_STALE)
            return err;
        kvi_os_yield();
    }
    return kvi_api_contended();
}

/** Writes one entry, whose key is physical, and makes it as durable as asked. */
static int write_entry(kv *db, const kvi_lsm_op *entry, const kv_op *op, kv_result *result)
{
    kvi_api_store *s = db->store;
    uint8_t durability = op && op->durability ? op->durability : s->durability;
    kvi_lsm_write w = {.ops = entry, .count = 1};
    kvi_api_version version = NO_VERSION;
    demand d;
    int err;

    err = demand_of(db, entry->key, op, &d);
    if (err)
        return err;
    if (d.condition != KV_ALWAYS || d.has_context)
        err = write_demanding(db, &w, &d);
    else
        err = kvi_api_write(s, &w);
    if (!err && durability == KV_DISK)
        err = kvi_api_sync(s, w.last_seq);
    if (err || !result)
        return err;
    if (entry->kind != KVI_KIND_DELETE) /* the value may lie in the result: before it is cleared */
        version = kvi_api_version_of(w.last_seq, entry->value, entry->expires_ms);
    kvi_api_result_clear(result);
    kvi_api_result_set_context(result, db, entry->key, version);
    result->durability = durability;
    return KV_OK;
}

/** entry has the user's key, and all else as it will be written. */
static int write_user_entry(kv *db, kvi_lsm_op *entry, const kv_op *op, kv_result *result)
{
    kvi_api_key key;
    int err;

    err = kvi_api_result_prepare(result, db->store);
    if (!err)
        err = kvi_api_key_init(&key, db, entry->key);
    if (err)
        return err;
    entry->key = kvi_api_key_slice(&key);
    err = write_entry(db, entry, op, result);
    kvi_api_key_deinit(&key, db);
    return err;
}

int kv_put(kv *db, const void *key, size_t key_len, const void *value, size_t value_len,
           const kv_op *op, kv_result *result)
{
    kvi_lsm_op entry = {KVI_KIND_PUT, {key, key_len}, {value, value_len}, 0};
    int err;

    err = kvi_api_result_check(result);
    if (err)
        return err;
    err = kvi_api_check_handle(db);
    if (!err)
        err = kvi_api_check_key(entry.key);
    if (!err)
        err = kvi_api_check_value(db->store, entry.value);
    if (!err)
        err =
            kvi_api_check_op(db, op, KVI_API_OP_DURABILITY | KVI_API_OP_CONDITION | KVI_API_OP_TTL);
    if (!err) {
        uint64_t ttl_ms = kvi_api_ttl(db, op);

        if (ttl_ms > 0)
            kvi_api_expire(&entry, ttl_ms, kvi_os_wall_ms(db->store->env.clock));
        err = write_user_entry(db, &entry, op, result);
    }
    if (err) {
        kvi_api_result_clear(result);
        return err;
    }
    kvi_api_count(&db->store->counters, KVI_API_PUTS, 1);
    kvi_api_count(&db->store->counters, KVI_API_USER_BYTES, (uint64_t)key_len + value_len);
    return KV_OK;
}

int kv_delete(kv *db, const void *key, size_t key_len, const kv_op *op, kv_result *result)
{
    kvi_lsm_op entry = {KVI_KIND_DELETE, {key, key_len}, {NULL, 0}, 0};
    int err;

    err = kvi_api_result_check(result);
    if (err)
        return err;
    err = kvi_api_check_handle(db);
    if (!err)
        err = kvi_api_check_key(entry.key);
    if (!err)
        err = kvi_api_check_op(db, op, KVI_API_OP_DURABILITY | KVI_API_OP_CONDITION);
    if (!err)
        err = write_user_entry(db, &entry, op, result);
    if (err) {
        kvi_api_result_clear(result);
        return err;
    }
    kvi_api_count(&db->store->counters, KVI_API_DELETES, 1);
    kvi_api_count(&db->store->counters, KVI_API_USER_BYTES, key_len);
    return KV_OK;
}
