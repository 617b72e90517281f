/*
 * What a write asks, copied out of the message or the client's memory, and what the ring says to
 * it; see write.h. Of several writes to one key in a batch the last counts: the others are given up
 * here, so that an update has distinct keys.
 */
#include "base/error.h"
#include "coordinator/write.h"

static size_t bytes_of(const kvi_wire_forward *ask)
{
    return ask->key.len + ask->value.len + ask->context.len + ask->items.bytes.len;
}

/* Room was reserved. */
static kvi_slice keep(kvi_writer *w, kvi_slice from)
{
    uint8_t *at;

    KVI_ASSERT(from.len <= w->bytes.cap - w->bytes.len);
    if (from.len == 0)
        return kvi_slice_of(NULL, 0);
    at = w->bytes.data + w->bytes.len;
    memcpy(at, from.data, from.len);
    w->bytes.len += from.len;
    return kvi_slice_of(at, from.len);
}

static void item_init(kvi_writer *w, kvi_writer_item *item, const kvi_wire_op *op)
{
    item->op = op->op;
    item->space = op->space;
    item->ttl_ms = op->ttl_ms;
    item->key = op->key;
    item->value = op->value;
    item->writer = w;
    item->expires_ms = -1;
    kvi_clock_init(&item->seen, w->job.c->mem);
}

static int check(const kvi_wire_forward *ask)
{
    if (ask->condition != KV_ALWAYS)
        return kvi_error_set(KV_ENOTSUP, "a condition, in a space where none can be judged");
    if (ask->durability > KV_DISK)
        return kvi_error_set(KV_EINVAL, "durability is %u", ask->durability);
    if (ask->op == KVI_WIRE_BATCH ? ask->items.count == 0 || ask->context.len > 0
                                  : ask->key.len == 0)
        return kvi_error_set(KV_EINVAL, "a write without a key, or a batch with a context");
    if (ask->op == KVI_WIRE_BATCH && ask->items.count > KVI_UPDATE_KEYS_MAX)
        return kvi_error_set(KV_ETOOBIG, "a batch of %u writes; %u is the most", ask->items.count,
                             KVI_UPDATE_KEYS_MAX);
    return KV_OK;
}

static void take_items(kvi_writer *w, const kvi_wire_forward *ask)
{
    kvi_wire_op op = {ask->op, ask->space, ask->ttl_ms, kvi_slice_of(NULL, 0),
                      kvi_slice_of(NULL, 0)};
    kvi_wire_items items = {ask->items.count, kvi_slice_of(NULL, 0)};
    kvi_wire_items_iter it;

    if (ask->op != KVI_WIRE_BATCH) {
        op.key = keep(w, ask->key);
        op.value = keep(w, ask->value);
        item_init(w, &w->items[0], &op);
        w->count = 1;
        return;
    }
    items.bytes = keep(w, ask->items.bytes);
    kvi_wire_items_begin(&it, items);
    while (kvi_wire_ops_next(&it, &op))
        item_init(w, &w->items[w->count++], &op);
}

static uint64_t hash_of(const kvi_writer_item *item)
{
    return kvi_hash64(item->key.data, item->key.len, item->space);
}

/* From the last to the first: what is met again was superseded. */
static int dedupe(kvi_writer *w)
{
    kvi_map seen;
    uint32_t kept = 0;
    int err;

    if (w->count == 1)
        return KV_OK;
    kvi_map_init(&seen, w->job.c->mem);
    err = kvi_map_reserve(&seen, w->count);
    for (uint32_t i = w->count; !err && i-- > 0;) {
        kvi_writer_item *item = &w->items[i];
        uint64_t hash = hash_of(item);
        const kvi_writer_item *other;

        /* The next free number behind the hash stands for another key of the same hash. */
        while ((other = kvi_map_find(&seen, hash)) &&
               (other->space != item->space || !kvi_slice_eq(other->key, item->key)))
            hash++;
        item->given_up = other != NULL;
        if (!other)
            err = kvi_map_insert(&seen, hash, item);
    }
    kvi_map_deinit(&seen);
    if (err)
        return err;
    for (uint32_t i = 0; i < w->count; i++)
        if (!w->items[i].given_up)
            w->items[kept++] = w->items[i];
    w->count = kept;
    return KV_OK;
}

int kvi_writer_take(kvi_writer *w, const kvi_wire_forward *ask)
{
    uint32_t count = ask->op == KVI_WIRE_BATCH ? ask->items.count : 1;
    int err = check(ask);

    if (err)
        return err;
    w->ask = *ask;
    err = kvi_buf_reserve(&w->bytes, bytes_of(ask));
    if (err)
        return err;
    w->items = kvi_mem_zalloc(w->job.c->mem, count, sizeof *w->items);
    if (!w->items)
        return kvi_error_set(KV_ENOMEM, "no memory for a write of %u keys", count);
    take_items(w, ask);
    w->context = keep(w, ask->context);
    w->ask.key = w->ask.value = w->ask.context = w->ask.items.bytes = kvi_slice_of(NULL, 0);
    return dedupe(w);
}

static int place_item(kvi_writer *w, kvi_writer_item *item)
{
    const kvi_cluster *cluster = w->job.c->cluster;
    const kvi_ring_space *space;
    kvi_plan plan;
    uint64_t ttl;
    int err = kvi_plan_space(cluster, item->space, w->ask.r, w->ask.w, &plan);

    if (err)
        return err;
    plan.token = kvi_ring_token(cluster->ring, item->key);
    if (item != &w->items[0] && plan.token != w->plan.token)
        return kvi_error_set(KV_EINVAL, "the keys of a batch are of different parts in braces");
    if (item != &w->items[0] && plan.n != w->plan.n)
        return kvi_error_set(KV_EINVAL, "a batch of spaces with different numbers of replicas");
    if (item == &w->items[0] || plan.w > w->plan.w)
        w->plan.w = plan.w;
    if (item == &w->items[0] || plan.r > w->plan.r)
        w->plan.r = plan.r;
    w->plan.n = plan.n;
    w->plan.token = plan.token;
    space = kvi_ring_space_of(cluster->ring, item->space);
    item->lww = space->policy.conflict == KV_LAST_WRITE_WINS;
    /* Stamping again would do what was done to the others a second time. */
    if (item->lww != w->items[0].lww)
        return kvi_error_set(KV_EINVAL, "a batch of spaces with siblings and with last write wins");
    item->collect = item->op == KVI_WIRE_DELETE && !item->lww && w->context.len == 0;
    ttl = item->ttl_ms ? item->ttl_ms : space->policy.ttl_ms;
    if (item->op == KVI_WIRE_DELETE || ttl == 0 || ttl == KV_TTL_NONE) {
        item->expires_ms = 0;
        return KV_OK;
    }
    if (ttl > KV_TTL_MAX)
        return kvi_error_set(KV_EINVAL, "ttl_ms is more than KV_TTL_MAX");
    item->expires_ms = cluster->wall_ms + (int64_t)ttl;
    if (item->expires_ms <= 0)
        item->expires_ms = 1; /* a wall clock before 1970: the value has expired, but 0 is never */
    return KV_OK;
}

int kvi_writer_place(kvi_writer *w)
{
    const kvi_cluster *cluster = w->job.c->cluster;

    for (uint32_t i = 0; i < w->count; i++) {
        int err = place_item(w, &w->items[i]);

        if (err)
            return err;
    }
    w->durability = w->ask.durability ? w->ask.durability : kvi_cluster_durability(cluster, 0);
    kvi_plan_walk(cluster, w->plan.token, &w->plan);
    return KV_OK;
}

void kvi_writer_drop(kvi_writer *w)
{
    for (uint32_t i = 0; i < w->count; i++)
        kvi_clock_deinit(&w->items[i].seen);
    kvi_mem_free(w->job.c->mem, w->items);
    kvi_buf_deinit(&w->bytes);
    kvi_buf_deinit(&w->apply);
    kvi_buf_deinit(&w->made);
    kvi_buf_deinit(&w->refused_by);
    kvi_buf_deinit(&w->refused_seen);
}
