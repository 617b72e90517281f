/*
 * The requests on one key of an ordered store: get, put, delete. They run in the caller's thread,
 * straight into the engine.
 *
 * A write with a condition or a context is: take a guard of the key, read what is there, judge,
 * write under the guard. Where another write came between, the engine says KVI_STALE and all of it
 * is done again.
 */
#include "api/ask.h"
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

int kvi_api_ordered_get(kv *db, const kvi_api_ask *ask, kv_result *result)
{
    const kv_op *op = ask->op;
    uint64_t seq = op && op->snapshot ? op->snapshot->view.seq : KVI_LSM_SEQ_LATEST;
    kvi_api_key key;
    int err = kvi_api_result_prepare(result, db->store);

    if (!err)
        err = kvi_api_key_init(&key, db, ask->key);
    if (err)
        return err;
    err = read_key(db, kvi_api_key_slice(&key), seq, result);
    kvi_api_key_deinit(&key, db);
    if (!err || err == KV_ENOTFOUND)
        kvi_api_count(&db->store->counters, err ? KVI_API_GETS_MISSED : KVI_API_GETS_FOUND, 1);
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

int kvi_api_ordered_check_context(const kv *db, const kvi_api_ask *ask)
{
    kvi_api_key key;
    demand unused;
    int err;

    if (!ask->op || ask->op->context.len == 0)
        return KV_OK;
    err = kvi_api_key_init(&key, db, ask->key);
    if (err)
        return err;
    err = demand_of(db, kvi_api_key_slice(&key), ask->op, &unused);
    kvi_api_key_deinit(&key, db);
    return err;
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

/** Writes one entry, whose key is physical. */
static int write_entry(kv *db, const kvi_lsm_op *entry, const kv_op *op, kv_result *result,
                       uint64_t *sync_seq)
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
    if (err)
        return err;
    *sync_seq = durability == KV_DISK ? w.last_seq : 0;
    if (!result)
        return KV_OK;
    if (entry->kind != KVI_KIND_DELETE) /* the value may lie in the result: before it is cleared */
        version = kvi_api_version_of(w.last_seq, entry->value, entry->expires_ms);
    kvi_api_result_clear(result);
    kvi_api_result_set_context(result, db, entry->key, version);
    result->durability = durability;
    return KV_OK;
}

int kvi_api_ordered_write(kv *db, const kvi_api_ask *ask, kv_result *result, uint64_t *sync_seq)
{
    kvi_lsm_op entry = {KVI_KIND_DELETE, {NULL, 0}, ask->value, 0};
    kvi_api_key key;
    int err;

    err = kvi_api_result_prepare(result, db->store);
    if (!err)
        err = kvi_api_key_init(&key, db, ask->key);
    if (err)
        return err;
    entry.key = kvi_api_key_slice(&key);
    if (ask->call == KV_REQUEST_PUT) {
        uint64_t ttl_ms = kvi_api_ttl(db, ask->op);

        entry.kind = KVI_KIND_PUT;
        if (ttl_ms > 0)
            kvi_api_expire(&entry, ttl_ms, kvi_os_wall_ms(db->store->env.clock));
    }
    err = write_entry(db, &entry, ask->op, result, sync_seq);
    kvi_api_key_deinit(&key, db);
    return err;
}
