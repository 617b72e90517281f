/*
 * What a coordinator answered, as a kv_result; see placed.h for the contract.
 *
 * The result may hold what the call was asked with, key or value, and the merge callback is shown
 * the key: so everything is made ready beside the result, and put into it at the end.
 */
#include "api/placed.h"
#include "api/result.h"
#include "base/check.h"
#include "base/error.h"
#include "vclock/object.h"

#define MERGE_TRIES_MAX 8u /* each with as much room as the last one asked for */
#define MERGE_ROOM_MIN  256u

/** What is about to be shown: memory of the result's allocator. */
typedef struct answer {
    kvi_buf values; /* kv_value, in the order of their dots */
    kvi_buf merged; /* the bytes of the one value that merging made */
    uint32_t count;
} answer;

static void answer_init(answer *a, const kv_result *result)
{
    kvi_buf_init(&a->values, &result->held->mem);
    kvi_buf_init(&a->merged, &result->held->mem);
    a->count = 0;
}

static void answer_deinit(answer *a)
{
    kvi_buf_deinit(&a->values);
    kvi_buf_deinit(&a->merged);
}

/** Collects what is a value by now; it points into the object's bytes. */
static int collect(const kv *db, kvi_slice encoded, answer *a)
{
    int64_t now_ms = kvi_os_wall_ms(db->store->env.clock);
    const kvi_sibling *s;
    kvi_object o;
    int err;

    if (encoded.len == 0)
        return KV_OK;
    kvi_object_init(&o, db->store->env.mem);
    err = kvi_object_decode(&o, encoded);
    for (uint32_t at = 0; !err && (s = kvi_object_next_value(&o, now_ms, &at)) != NULL;) {
        kv_value v = {s->value.data, s->value.len, s->expires_ms, 0};

        err = kvi_buf_append(&a->values, &v, sizeof v);
        a->count++;
    }
    kvi_object_deinit(&o);
    return err;
}

/* --- merging ---------------------------------------------------------------------------------- */

static size_t first_room(const kv_value *values, uint32_t count)
{
    size_t room = MERGE_ROOM_MIN;

    for (uint32_t i = 0; i < count; i++)
        room = kvi_max_size(room, values[i].len);
    return room;
}

/** A merged value is gone when the last of the siblings is. */
static int64_t last_expiry(const kv_value *values, uint32_t count)
{
    int64_t last = values[0].expires_ms;

    for (uint32_t i = 1; i < count && last != 0; i++)
        if (values[i].expires_ms == 0 || values[i].expires_ms > last)
            last = values[i].expires_ms;
    return last;
}

/** Asks the host until its answer fits; false: it has none. */
static bool call_merge(const kv *db, kvi_slice key, answer *a, size_t *len)
{
    const kvi_api_store *s = db->store;
    const kv_value *values = (const kv_value *)(const void *)a->values.data;
    size_t room = first_room(values, a->count);

    for (unsigned tries = 0; tries < MERGE_TRIES_MAX && room <= s->value_max; tries++) {
        int err;

        if (kvi_buf_reserve(&a->merged, room))
            return false;
        *len = 0;
        err = s->merge(s->user, key, values, a->count, a->merged.data, a->merged.cap, len);
        if (err == KV_OK)
            return *len <= a->merged.cap && *len <= s->value_max;
        if (err != KV_ETOOBIG || *len <= a->merged.cap)
            return false;
        room = *len;
    }
    return false;
}

/** Has the host make one value of several, where it can. */
static void merge(const kv *db, kvi_slice key, answer *a)
{
    kv_value *values = (kv_value *)(void *)a->values.data;
    size_t len;

    if (!db->store->merge || a->count < 2 || !call_merge(db, key, a, &len))
        return;
    values[0].expires_ms = last_expiry(values, a->count);
    values[0].data = a->merged.data;
    values[0].len = a->merged.len = len;
    a->count = 1;
}

/* --- into the result ------------------------------------------------------------------------ */

static void swap(kvi_buf *a, kvi_buf *b)
{
    kvi_buf t = *a;

    *a = *b;
    *b = t;
}

/** From here on nothing that the result held is needed. What it held goes with a and q. */
static void show(kvi_request *q, answer *a, kv_result *result)
{
    struct kv_result_private *held = result->held;

    kvi_api_result_clear(result);
    swap(&held->object, &q->object);
    swap(&held->sealed, &q->sealed);
    swap(&held->values, &a->values);
    swap(&held->copy, &a->merged);
    result->context = kvi_buf_slice(&held->sealed);
    result->count = a->count;
    result->values = a->count ? (const kv_value *)(const void *)held->values.data : NULL;
}

static int siblings_error(const kvi_request *q, const kv_result *result)
{
    if (q->call == KVI_REQUEST_GET)
        return kvi_error_set(KV_ESIBLINGS, "the key has %u values", (unsigned)result->count);
    return kvi_error_set(KV_ESIBLINGS, "%s", q->detail);
}

/** A get, or a write that met siblings. */
static int answer_values(const kv *db, const kvi_api_ask *ask, kvi_request *q, kv_result *result)
{
    answer a;
    int err;

    answer_init(&a, result);
    err = collect(db, kvi_buf_slice(&q->object), &a);
    if (!err) {
        if (q->call == KVI_REQUEST_GET)
            merge(db, ask->key, &a);
        show(q, &a, result);
        if (q->call != KVI_REQUEST_GET || a.count >= 2)
            err = siblings_error(q, result);
        else if (a.count == 0)
            err = KV_ENOTFOUND;
    } else {
        kvi_api_result_clear(result);
    }
    answer_deinit(&a);
    return err;
}

int kvi_api_request_code(const kvi_request *q)
{
    if (q->err == KV_OK || q->err == KV_ENOTFOUND)
        return q->err;
    return kvi_error_set(q->err, "%s", q->detail[0] ? q->detail : "given up");
}

void kvi_api_answer_counts(const kvi_request *q, kv_result *result)
{
    if (!result)
        return;
    result->acks = q->acks;
    result->primaries = q->primaries;
    result->fallbacks = q->fallbacks;
    result->durability = q->reached;
}

static int answer_get(const kv *db, const kvi_api_ask *ask, kvi_request *q, kv_result *result)
{
    int err = answer_values(db, ask, q, result);

    if (!err || err == KV_ENOTFOUND || err == KV_ESIBLINGS)
        kvi_api_count(&db->store->counters,
                      err == KV_ENOTFOUND ? KVI_API_GETS_MISSED : KVI_API_GETS_FOUND, 1);
    return err;
}

int kvi_api_answer(const kv *db, const kvi_api_ask *ask, kvi_request *q, kv_result *result)
{
    int err = q->err;

    KVI_ASSERT(result->held);
    if (q->call == KVI_REQUEST_GET && (err == KV_OK || err == KV_ENOTFOUND || err == KV_ESIBLINGS))
        return answer_get(db, ask, q, result);
    if (err == KV_ESIBLINGS) {
        err = answer_values(db, ask, q, result);
        kvi_api_answer_counts(q, result);
        return err;
    }
    kvi_api_result_clear(result);
    if (q->call != KVI_REQUEST_GET)
        kvi_api_answer_counts(q, result);
    if (err == KV_OK) {
        swap(&result->held->sealed, &q->sealed);
        result->context = kvi_buf_slice(&result->held->sealed);
        kvi_api_count_write(db->store, ask);
    }
    return kvi_api_request_code(q);
}
