/*
 * Batches: writes collected in memory, then given to the engine as one or, in a placed store, to
 * the coordinator.
 *
 * 1. Entries name their bytes by offset, since the buffer that holds them moves as it grows; the
 *    slices are made at the commit.
 * 2. What the entries and their bytes take is reserved from the store's budget until the batch is
 *    emptied.
 * 3. A failed call leaves the batch as it was.
 * 4. In a placed store all keys have one part, that of the first; prefixes are empty.
 *
 * One thread at a time, the caller's.
 */
#include "api/check.h"
#include "api/expiry.h"
#include "api/key.h"
#include "api/placed.h"
#include "api/result.h"
#include "api/wait.h"
#include "base/check.h"
#include "base/error.h"

typedef struct entry {
    enum kvi_kind kind;
    uint32_t space;
    size_t key_at, key_len, value_len; /* the value follows the key */
    uint64_t ttl_ms;                   /* 0: none. Placed: as kv_op.ttl_ms */
} entry;

struct kv_batch {
    kvi_api_store *store;
    kv space;        /* where additions go: a copy of the handle */
    kvi_buf bytes;   /* physical keys and values, end to end */
    kvi_buf entries; /* of struct entry */
    kvi_buf ops;     /* of kvi_lsm_op, or kvi_wire_op items: kept, so that a warm batch allocates
                        nothing */
    size_t reserved;
    uint64_t user_bytes, puts, deletes;
};

static size_t count_of(const kv_batch *b)
{
    return b->entries.len / sizeof(entry);
}

static void empty(kv_batch *b)
{
    kvi_budget_release(&b->store->budget, KVI_BUDGET_WORK, b->reserved);
    kvi_buf_clear(&b->bytes);
    kvi_buf_clear(&b->entries);
    b->reserved = 0;
    b->user_bytes = b->puts = b->deletes = 0;
}

int kv_batch_new(kv *db, kv_batch **out)
{
    const kvi_mem *mem;
    kv_batch *b;
    int err = kvi_api_check_waits(db);

    if (!err)
        err = kvi_api_check_given(out, "out");
    if (err)
        return err;
    mem = db->store->env.mem;
    b = kvi_mem_zalloc(mem, 1, sizeof *b);
    if (!b)
        return kvi_error_set(KV_ENOMEM, "cannot allocate %zu bytes for a batch", sizeof *b);
    b->store = db->store;
    b->space = *db;
    kvi_buf_init(&b->bytes, mem);
    kvi_buf_init(&b->entries, mem);
    kvi_buf_init(&b->ops, mem);
    kvi_api_borrow(b->store, KVI_API_LIVE_BATCHES);
    *out = b;
    return KV_OK;
}

static int check_batch(const kv_batch *b)
{
    int err = kvi_api_check_given(b, "batch");

    return err ? err : kvi_api_check_store(b->store);
}

int kv_batch_use(kv_batch *batch, kv *space)
{
    int err = check_batch(batch);

    if (!err)
        err = kvi_api_check_given(space, "space");
    if (err)
        return err;
    if (space->store != batch->store)
        return kvi_error_set(KV_EINVAL, "space is of another store than the batch");
    batch->space = *space;
    return KV_OK;
}

static int add_bytes(kv_batch *b, const entry *e, kvi_slice user_key, kvi_slice value)
{
    int err = kvi_buf_append(&b->bytes, b->space.prefix, b->space.prefix_len);

    if (!err)
        err = kvi_buf_append(&b->bytes, user_key.data, user_key.len);
    if (!err)
        err = kvi_buf_append(&b->bytes, value.data, value.len);
    if (!err)
        err = kvi_buf_append(&b->entries, e, sizeof *e);
    return err;
}

/** Tells the budget, which takes from the cache what it lacks. A batch is bounded by itself, so it
 *  is not refused because background work happens to hold the rest. */
static void claim(kv_batch *b, size_t cost)
{
    if (kvi_budget_reserve(&b->store->budget, KVI_BUDGET_WORK, cost) != KV_OK)
        kvi_budget_charge(&b->store->budget, KVI_BUDGET_WORK, cost);
}

/** In a placed store a batch lies where its first key does. */
static int check_part(const kv_batch *b, kvi_slice user_key)
{
    const entry *first = (const entry *)(const void *)b->entries.data;
    kvi_slice first_key, key_shown = {user_key.data, kvi_min_size(user_key.len, 64)};

    if (!b->store->placed || count_of(b) == 0)
        return KV_OK;
    first_key = kvi_slice_of(b->bytes.data + first->key_at, first->key_len);
    if (kvi_slice_cmp(kvi_ring_part(first_key), kvi_ring_part(user_key)) == 0)
        return KV_OK;
    return kvi_error_set(KV_EINVAL,
                         "key \"%.*s\" is not of the part of the batch's first key, \"%.*s\": it "
                         "may lie on other nodes",
                         (int)key_shown.len, (const char *)key_shown.data,
                         (int)kvi_min_size(first_key.len, 64), (const char *)first_key.data);
}

static int add(kv_batch *b, enum kvi_kind kind, kvi_slice user_key, kvi_slice value,
               uint64_t ttl_ms)
{
    entry e = {kind,      b->space.space, b->bytes.len, b->space.prefix_len + user_key.len,
               value.len, ttl_ms};
    size_t bytes = e.key_len + e.value_len, cost = bytes + sizeof e + sizeof(kvi_lsm_op);
    int err = check_part(b, user_key);

    if (err)
        return err;
    if (bytes > b->store->batch_max || b->bytes.len > b->store->batch_max - bytes ||
        count_of(b) == UINT32_MAX)
        return kvi_error_set(KV_ETOOBIG,
                             "a batch of %zu bytes and %zu more is over the limit of %zu",
                             b->bytes.len, bytes, b->store->batch_max);
    claim(b, cost);
    err = add_bytes(b, &e, user_key, value);
    if (err) {
        kvi_budget_release(&b->store->budget, KVI_BUDGET_WORK, cost);
        b->bytes.len = e.key_at;
        return err;
    }
    b->reserved += cost;
    b->user_bytes += (uint64_t)user_key.len + value.len;
    return KV_OK;
}

/** Placed, a space's default is known to who coordinates. */
static uint64_t ttl_of(const kv_batch *b, const kv_op *op)
{
    if (b->store->placed)
        return op ? op->ttl_ms : 0;
    return kvi_api_ttl(&b->space, op);
}

int kv_batch_put(kv_batch *batch, const void *key, size_t key_len, const void *value,
                 size_t value_len, const kv_op *op)
{
    kvi_slice user_key = kvi_slice_of(key, key_len), v = kvi_slice_of(value, value_len);
    int err = check_batch(batch);

    if (!err)
        err = kvi_api_check_key(user_key);
    if (!err)
        err = kvi_api_check_value(batch->store, v);
    if (!err)
        err = kvi_api_check_op(&batch->space, op, KVI_API_OP_TTL);
    if (!err)
        err = add(batch, KVI_KIND_PUT, user_key, v, ttl_of(batch, op));
    if (!err)
        batch->puts++;
    return err;
}

int kv_batch_delete(kv_batch *batch, const void *key, size_t key_len)
{
    kvi_slice user_key = kvi_slice_of(key, key_len);
    int err = check_batch(batch);

    if (!err)
        err = kvi_api_check_key(user_key);
    if (!err)
        err = add(batch, KVI_KIND_DELETE, user_key, kvi_slice_of(NULL, 0), 0);
    if (!err)
        batch->deletes++;
    return err;
}

/** Turns the entries into the engine's operations. */
static int make_ops(kv_batch *b)
{
    const entry *entries = (const entry *)(const void *)b->entries.data;
    int64_t now_ms = kvi_os_wall_ms(b->store->env.clock);
    kvi_lsm_op *ops;
    int err;

    kvi_buf_clear(&b->ops);
    err = kvi_buf_reserve(&b->ops, count_of(b) * sizeof *ops);
    if (err)
        return err;
    ops = (kvi_lsm_op *)(void *)b->ops.data;
    for (size_t i = 0; i < count_of(b); i++) {
        const entry *e = &entries[i];
        const uint8_t *key = b->bytes.data + e->key_at;

        ops[i] = (kvi_lsm_op){e->kind, {key, e->key_len}, {key + e->key_len, e->value_len}, 0};
        if (e->ttl_ms > 0)
            kvi_api_expire(&ops[i], e->ttl_ms, now_ms);
    }
    return KV_OK;
}

/** Turns the entries into what is sent to who coordinates. */
static int make_wire_ops(kv_batch *b)
{
    const entry *entries = (const entry *)(const void *)b->entries.data;
    int err = KV_OK;

    kvi_buf_clear(&b->ops);
    for (size_t i = 0; i < count_of(b) && !err; i++) {
        const entry *e = &entries[i];
        const uint8_t *key = b->bytes.data + e->key_at;
        kvi_wire_op op = {e->kind == KVI_KIND_DELETE ? KVI_WIRE_DELETE : KVI_WIRE_PUT,
                          e->space,
                          e->ttl_ms,
                          {key, e->key_len},
                          {key + e->key_len, e->value_len}};

        err = kvi_wire_ops_put(&b->ops, &op);
    }
    return err;
}

static int commit_placed(kv_batch *b, const kv_op *op, kv_result *result)
{
    kvi_wire_items items;
    int err = make_wire_ops(b);

    if (err)
        return err;
    items = (kvi_wire_items){(uint32_t)count_of(b), kvi_buf_slice(&b->ops)};
    return kvi_api_placed_batch(&b->space, items, op, result);
}

static int commit_ordered(kv_batch *b, const kv_op *op, kv_result *result)
{
    uint8_t durability = op && op->durability ? op->durability : b->store->durability;
    kvi_lsm_write w = {0};
    int err = make_ops(b);

    if (err)
        return err;
    w.ops = (const kvi_lsm_op *)(const void *)b->ops.data;
    w.count = (uint32_t)count_of(b);
    err = kvi_api_write(b->store, &w);
    if (!err && durability == KV_DISK)
        err = kvi_api_sync(b->store, w.last_seq);
    if (!err && result)
        result->durability = durability;
    return err;
}

/** There is an entry, and result was cleared. */
static int commit(kv_batch *b, const kv_op *op, kv_result *result)
{
    int err = b->store->placed ? commit_placed(b, op, result) : commit_ordered(b, op, result);

    if (err)
        return err;
    kvi_api_count(&b->store->counters, KVI_API_BATCHES, 1);
    kvi_api_count(&b->store->counters, KVI_API_PUTS, b->puts);
    kvi_api_count(&b->store->counters, KVI_API_DELETES, b->deletes);
    kvi_api_count(&b->store->counters, KVI_API_USER_BYTES, b->user_bytes);
    empty(b);
    return KV_OK;
}

int kv_batch_commit(kv_batch *batch, const kv_op *op, kv_result *result)
{
    int err = kvi_api_result_check(result);

    if (err)
        return err;
    err = check_batch(batch);
    if (!err)
        err = kvi_api_check_outside(batch->store);
    if (!err)
        err = kvi_api_check_op(&batch->space, op, KVI_API_OP_OF_BATCH);
    kvi_api_result_clear(result);
    if (err)
        return err;
    if (count_of(batch) > 0)
        return commit(batch, op, result);
    if (result)
        result->durability = op && op->durability ? op->durability : batch->store->durability;
    return KV_OK;
}

void kv_batch_free(kv_batch *batch)
{
    kvi_api_store *s;

    if (!batch || kvi_os_forked(&batch->store->fork))
        return;
    s = batch->store;
    empty(batch);
    kvi_buf_deinit(&batch->bytes);
    kvi_buf_deinit(&batch->entries);
    kvi_buf_deinit(&batch->ops);
    kvi_mem_free(s->env.mem, batch);
    kvi_api_give_back(s, KVI_API_LIVE_BATCHES);
}
