/*
 * The counts of hints; see the header for the contract.
 */
#include "replication/hints.h"

#include "base/bytes.h"
#include "base/check.h"
#include "base/error.h"
#include "replication/key.h"
#include "replication/page.h"

#define PAGE_LIMIT     1024u
#define PAGE_BYTES_MAX (UINT32_C(1) << 20)
#define RETRY_NS       UINT64_C(1000000000)

void kvi_hints_init(kvi_hints *h)
{
    kvi_map_init(&h->owners, h->mem);
    kvi_buf_init(&h->from, h->mem);
    kvi_buf_init(&h->to, h->mem);
    kvi_buf_init(&h->entries, h->mem);
    kvi_list_init(&h->parked);
    h->retry_ns = UINT64_MAX;
}

void kvi_hints_deinit(kvi_hints *h)
{
    KVI_ASSERT(!h->counting && kvi_list_empty(&h->parked));
    KVI_MAP_EACH(i, &h->owners) {
        kvi_hint_owner *o = kvi_map_at(&h->owners, i)->value;

        KVI_ASSERT(!o->scanning);
        kvi_buf_deinit(&o->from);
        kvi_buf_deinit(&o->to);
        kvi_buf_deinit(&o->entries);
        kvi_mem_free(h->mem, o);
    }
    kvi_map_deinit(&h->owners);
    kvi_buf_deinit(&h->from);
    kvi_buf_deinit(&h->to);
    kvi_buf_deinit(&h->entries);
}

kvi_hint_owner *kvi_hints_owner(const kvi_hints *h, uint64_t node)
{
    return kvi_map_find(&h->owners, node);
}

static int find_or_make(kvi_hints *h, uint64_t node, kvi_hint_owner **out)
{
    kvi_hint_owner *o = kvi_map_find(&h->owners, node);

    if (!o) {
        o = kvi_mem_zalloc(h->mem, 1, sizeof *o);
        if (!o || kvi_map_insert(&h->owners, node, o)) {
            kvi_mem_free(h->mem, o);
            return kvi_error_set(KV_ENOMEM, "cannot allocate the count of a node's hints");
        }
        o->node = node;
        o->replication = h->replication;
        o->oldest_ms = INT64_MAX;
        o->judged = true;
        kvi_buf_init(&o->from, h->mem);
        kvi_buf_init(&o->to, h->mem);
        kvi_buf_init(&o->entries, h->mem);
    }
    *out = o;
    return KV_OK;
}

static void add(kvi_hints *h, kvi_hint_owner *o, int64_t count, int64_t bytes)
{
    o->count += (uint64_t)count;
    o->bytes += (uint64_t)bytes;
    h->count += (uint64_t)count;
    h->bytes += (uint64_t)bytes;
    /* Below zero they would be beyond all caps. */
    KVI_ASSERT(o->count <= h->count && h->count <= INT64_MAX && h->bytes <= INT64_MAX);
}

bool kvi_hints_room(const kvi_hints *h, int64_t count, int64_t bytes)
{
    return (count <= 0 || h->count + (uint64_t)count <= h->count_max) &&
           (bytes <= 0 || h->bytes + (uint64_t)bytes <= h->bytes_max);
}

int kvi_hints_admit(kvi_hints *h, uint64_t owner, int64_t count, int64_t bytes)
{
    kvi_hint_owner *o = NULL;
    int err;

    KVI_ASSERT(h->counted && owner != 0);
    if (!kvi_hints_room(h, count, bytes)) {
        h->stats->hints_refused++;
        return kvi_error_set(KV_ENOSPC, "%llu hints of %llu bytes are kept for other nodes already",
                             (unsigned long long)h->count, (unsigned long long)h->bytes);
    }
    err = find_or_make(h, owner, &o);
    if (err)
        return err;
    add(h, o, count, bytes);
    if (h->cluster->wall_ms < o->oldest_ms)
        o->oldest_ms = h->cluster->wall_ms;
    return KV_OK;
}

void kvi_hints_forget(kvi_hints *h, uint64_t owner, int64_t count, int64_t bytes)
{
    kvi_hint_owner *o = kvi_map_find(&h->owners, owner);

    if (count == 0 && bytes == 0)
        return;
    KVI_ASSERT(h->counted && o);
    add(h, o, -count, -bytes);
}

/* --- counting at the start ------------------------------------------------------------------- */

static void reset(kvi_hints *h)
{
    h->count = h->bytes = 0;
    KVI_MAP_EACH(i, &h->owners) {
        kvi_hint_owner *o = kvi_map_at(&h->owners, i)->value;

        o->count = o->bytes = 0;
        o->oldest_ms = INT64_MAX;
    }
}

static void ended(kvi_hints *h, int err)
{
    h->counting = false;
    h->counted = err == KV_OK;
    kvi_buf_deinit(&h->entries);
    /* Of what is closing nothing is asked any more. */
    h->retry_ns = err && err != KV_ECANCELED ? h->cluster->now_ns + RETRY_NS : UINT64_MAX;
    if (err && err != KV_ECANCELED)
        h->effects->ops->log(h->effects, KV_LOG_WARN, "hints cannot be counted; trying again");
    while (!kvi_list_empty(&h->parked)) {
        kvi_update *u = KVI_LIST_FIRST(&h->parked, kvi_update, parked);

        kvi_list_remove(&u->parked);
        kvi_update_unpark(u, err);
    }
    if (!err)
        h->on_counted(h->replication);
}

/* A marker that cannot be read is not counted, and not replayed: it stays for whoever looks. */
static int count_one(kvi_hints *h, kvi_slice physical, kvi_slice value)
{
    uint64_t node = 0, token = 0, bytes = 0;
    int64_t made_ms = 0;
    uint32_t space = 0;
    kvi_slice key = {NULL, 0};
    kvi_hint_owner *o = NULL;
    int err;

    if (kvi_key_parse_hint(physical, &node, &space, &token, &key) ||
        kvi_key_parse_hint_value(value, &made_ms, &bytes)) {
        h->effects->ops->log(h->effects, KV_LOG_ERROR, "a hint in the store cannot be read");
        return KV_OK;
    }
    err = find_or_make(h, node, &o);
    if (err)
        return err;
    add(h, o, 1, (int64_t)bytes);
    if (made_ms < o->oldest_ms)
        o->oldest_ms = made_ms;
    return KV_OK;
}

static void next_page(kvi_hints *h);

static void page_done(kvi_store_scan *s)
{
    kvi_hints *h = KVI_CONTAINER_OF(s, kvi_hints, scan);
    kvi_page page;
    kvi_slice key, value;
    int err = s->err;

    if (!err) {
        kvi_page_begin(&page, &h->entries, s->count);
        while (!err && kvi_page_next(&page, &key, &value))
            err = count_one(h, key, value);
        if (!err)
            err = kvi_page_resume(&page, &h->from);
    }
    if (!err && s->more && s->count > 0)
        next_page(h);
    else
        ended(h, err);
}

static void next_page(kvi_hints *h)
{
    h->scan.from = kvi_buf_slice(&h->from);
    h->scan.to = kvi_buf_slice(&h->to);
    h->scan.limit = PAGE_LIMIT;
    h->scan.bytes_max = PAGE_BYTES_MAX;
    h->scan.entries = &h->entries;
    h->scan.done = page_done;
    h->effects->ops->scan(h->effects, &h->scan);
}

void kvi_hints_count(kvi_hints *h)
{
    static const uint8_t prefix[1] = {KVI_KEYSPACE_HINTS};

    if (h->counted || h->counting)
        return;
    reset(h);
    if (kvi_buf_set(&h->from, prefix, sizeof prefix) ||
        kvi_buf_set(&h->to, prefix, sizeof prefix)) {
        h->retry_ns = h->cluster->now_ns + RETRY_NS;
        return;
    }
    kvi_key_end(&h->to);
    h->counting = true;
    h->retry_ns = UINT64_MAX;
    next_page(h);
}

int kvi_hints_park(kvi_hints *h, kvi_update *u)
{
    KVI_ASSERT(!h->counted);
    if (!h->counting)
        return kvi_error_set(KV_EBUSY, "the hints of this node are not counted yet");
    kvi_list_push_back(&h->parked, &u->parked);
    return KVI_PENDING;
}
