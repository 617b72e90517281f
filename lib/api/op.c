/*
 * The blocking calls on one key: get, put, delete. What they check is here; what they do, in
 * ordered_op.c or placed_op.c.
 */
#include "api/ask.h"
#include "api/check.h"
#include "api/placed.h"
#include "api/result.h"
#include "api/wait.h"
#include "base/error.h"

static int check_value(const kv *db, const kvi_api_ask *ask)
{
    if (ask->call == KV_REQUEST_PUT)
        return kvi_api_check_value(db->store, ask->value);
    if (ask->value.len > 0)
        return kvi_error_set(KV_EINVAL, "kv_request.value has no meaning for this call");
    return KV_OK;
}

int kvi_api_check_ask(const kv *db, const kvi_api_ask *ask)
{
    static const unsigned known[] = {
        [KV_REQUEST_GET] = KVI_API_OP_OF_GET,
        [KV_REQUEST_PUT] = KVI_API_OP_OF_PUT,
        [KV_REQUEST_DELETE] = KVI_API_OP_OF_DELETE,
    };
    int err = kvi_api_check_key(ask->key);

    if (!err)
        err = check_value(db, ask);
    if (!err)
        err = kvi_api_check_op(db, ask->op, known[ask->call]);
    return err;
}

void kvi_api_count_write(kvi_api_store *s, const kvi_api_ask *ask)
{
    bool put = ask->call == KV_REQUEST_PUT;

    kvi_api_count(&s->counters, put ? KVI_API_PUTS : KVI_API_DELETES, 1);
    kvi_api_count(&s->counters, KVI_API_USER_BYTES, (uint64_t)ask->key.len + ask->value.len);
}

static int write_and_sync(kv *db, const kvi_api_ask *ask, kv_result *result)
{
    uint64_t seq;
    int err = kvi_api_ordered_write(db, ask, result, &seq);

    if (!err && seq > 0)
        err = kvi_api_sync(db->store, seq);
    if (!err)
        kvi_api_count_write(db->store, ask);
    return err;
}

static int run(kv *db, const kvi_api_ask *ask, kv_result *result)
{
    int err = kvi_api_result_check(result);

    if (err)
        return err;
    err = kvi_api_check_waits(db);
    if (!err)
        err = kvi_api_check_ask(db, ask);
    if (err) {
        kvi_api_result_clear(result);
        return err;
    }
    if (db->store->placed)
        return kvi_api_placed_run(db, ask, result);
    err = ask->call == KV_REQUEST_GET ? kvi_api_ordered_get(db, ask, result)
                                      : write_and_sync(db, ask, result);
    if (err && err != KV_ENOTFOUND)
        kvi_api_result_clear(result);
    return err;
}

int kv_get(kv *db, const void *key, size_t key_len, const kv_op *op, kv_result *result)
{
    kvi_api_ask ask = {KV_REQUEST_GET, {key, key_len}, {NULL, 0}, op};

    return run(db, &ask, result);
}

int kv_put(kv *db, const void *key, size_t key_len, const void *value, size_t value_len,
           const kv_op *op, kv_result *result)
{
    kvi_api_ask ask = {KV_REQUEST_PUT, {key, key_len}, {value, value_len}, op};

    return run(db, &ask, result);
}

int kv_delete(kv *db, const void *key, size_t key_len, const kv_op *op, kv_result *result)
{
    kvi_api_ask ask = {KV_REQUEST_DELETE, {key, key_len}, {NULL, 0}, op};

    return run(db, &ask, result);
}
