/*
 * Walks of a placed store: pages fetched by the coordinator, one after the other; see placed.h for
 * the contract.
 *
 * 1. Within a part the order is that of the keys, and all of them begin with the prefix; over the
 *    whole space it is that of (token, key), and from and to would mean nothing.
 * 2. The walk stands behind a key, or where a page ended, or, after a seek, before a key, which is
 *    then asked for by itself: the coordinator's pages begin behind what they are given.
 * 3. A page that failed leaves the walk where it stood.
 */
#include "api/check.h"
#include "api/placed.h"
#include "base/check.h"
#include "base/error.h"
#include "vclock/object.h"

#define PAGE_ENTRIES 256u
#define PAGE_BYTES   ((size_t)256 << 10) /* one entry always fits */

enum stand { AT_BEGIN, BEHIND_KEY, BEHIND_PAGE, BEFORE_KEY, AT_END };

struct kvi_api_walk {
    kv space;
    bool part; /* within one */
    kvi_buf prefix, from, to;
    enum stand stand;
    kvi_buf at; /* the key, or what the page said */
    /* The page: an ended request, and how far it was walked. */
    kvi_request page;
    kvi_wire_items_iter left;
    bool in_page;
    /* The entry that was lent last. */
    kvi_object object;
    kvi_request single; /* of BEFORE_KEY */
};

static const kvi_mem *mem_of(const kvi_api_walk *w)
{
    return w->space.store->env.mem;
}

static bool has_part(kvi_slice prefix)
{
    return prefix.len > 0 && kvi_ring_part(prefix).data != prefix.data;
}

/* --- bounds ------------------------------------------------------------------------------- */

static int check_range(const kv_range *range)
{
    if (range->snapshot)
        return kvi_error_set(KV_ENOTSUP, "kv_range.snapshot: a placed store has no snapshots");
    if ((range->from.len > 0 || range->to.len > 0) && !has_part(range->prefix))
        return kvi_error_set(KV_EINVAL,
                             "kv_range.%s: only within a part, as kv_range.prefix "
                             "\"{user7}\" names one, do keys have an order",
                             range->from.len > 0 ? "from" : "to");
    return KV_OK;
}

static bool begins_with(kvi_slice key, kvi_slice prefix)
{
    return key.len >= prefix.len &&
           (prefix.len == 0 || memcmp(key.data, prefix.data, prefix.len) == 0);
}

/** Within a part: key is at `to` or above. */
static bool past_end(const kvi_api_walk *w, kvi_slice key)
{
    return w->to.len > 0 && kvi_slice_cmp(key, kvi_buf_slice(&w->to)) >= 0;
}

static int stand_before(kvi_api_walk *w, kvi_slice key)
{
    kvi_buf at; /* key may lie in the old one */
    int err;

    kvi_buf_init(&at, mem_of(w));
    err = kvi_buf_set(&at, key.data, key.len);
    if (err)
        return err;
    kvi_buf_deinit(&w->at);
    w->at = at;
    w->stand = BEFORE_KEY;
    w->in_page = false;
    return KV_OK;
}

static int stand_at_begin(kvi_api_walk *w)
{
    if (w->from.len > 0 && kvi_slice_cmp(kvi_buf_slice(&w->from), kvi_buf_slice(&w->prefix)) > 0)
        return kvi_api_walk_seek(w, kvi_buf_slice(&w->from));
    w->stand = AT_BEGIN;
    w->in_page = false;
    return KV_OK;
}

/* --- fetching --------------------------------------------------------------------------------- */

/** What the walk asks next; strings are borrowed from the walk. */
static void page_ask(const kvi_api_walk *w, kvi_request *q)
{
    kvi_api_request_init_empty(q, &w->space, KVI_REQUEST_SCAN, NULL, mem_of(w));
    q->scan.prefix = kvi_buf_slice(&w->prefix);
    q->scan.has_after = w->stand != AT_BEGIN;
    q->scan.after_resume = w->stand == BEHIND_PAGE;
    q->scan.after = w->stand == AT_BEGIN ? kvi_slice_of(NULL, 0) : kvi_buf_slice(&w->at);
    q->scan.limit = PAGE_ENTRIES;
    q->scan.bytes = PAGE_BYTES;
}

static int page_fetch(kvi_api_walk *w)
{
    kvi_request q;
    int err;

    page_ask(w, &q);
    kvi_api_request_run(w->space.store, &q);
    err = kvi_api_request_code(&q);
    if (err) {
        kvi_api_request_deinit(&q);
        return err;
    }
    kvi_api_request_deinit(&w->page);
    w->page = q;
    kvi_wire_items_begin(&w->left, (kvi_wire_items){q.entry_count, kvi_buf_slice(&q.entries)});
    w->in_page = true;
    return KV_OK;
}

/** The page is through: on to the next one, or to the end. */
static int page_end(kvi_api_walk *w)
{
    int err;

    if (!w->page.more) {
        w->in_page = false;
        w->stand = AT_END;
        return KV_OK;
    }
    KVI_ASSERT(w->page.resume.len > 0);
    err = kvi_buf_set(&w->at, w->page.resume.data, w->page.resume.len);
    if (err)
        return err;
    w->in_page = false;
    w->stand = BEHIND_PAGE;
    return KV_OK;
}

/* --- entries ---------------------------------------------------------------------------------- */

/** Shows the first value of an encoded object; KV_ENOTFOUND: it has none by now. */
static int show(kvi_api_walk *w, kvi_slice key, kvi_slice encoded, kv_entry *entry)
{
    int64_t now_ms = kvi_os_wall_ms(w->space.store->env.clock);
    const kvi_sibling *first;
    uint32_t at = 0;
    int err = kvi_object_decode(&w->object, encoded);

    if (err)
        return err;
    first = kvi_object_next_value(&w->object, now_ms, &at);
    if (!first)
        return KV_ENOTFOUND;
    if (!entry)
        return KV_OK;
    entry->key = key;
    entry->value = (kv_value){first->value.data, first->value.len, first->expires_ms, 0};
    entry->flags = kvi_object_next_value(&w->object, now_ms, &at) ? KV_ENTRY_SIBLINGS : 0;
    return KV_OK;
}

/** The key that a seek has named, if it is there and within the range. */
static int show_sought(kvi_api_walk *w, kv_entry *entry)
{
    kvi_slice key = kvi_buf_slice(&w->at);
    kvi_request q;
    int err;

    if (!begins_with(key, kvi_buf_slice(&w->prefix)))
        return KV_ENOTFOUND;
    kvi_api_request_init_empty(&q, &w->space, KVI_REQUEST_GET, NULL, mem_of(w));
    q.key = key;
    kvi_api_request_run(w->space.store, &q);
    err = kvi_api_request_code(&q);
    if (!err && q.object.len == 0)
        err = KV_ENOTFOUND;
    if (!err)
        err = show(w, key, kvi_buf_slice(&q.object), entry);
    if (err) {
        kvi_api_request_deinit(&q);
        return err;
    }
    kvi_api_request_deinit(&w->single); /* the entry lies in q */
    w->single = q;
    return KV_OK;
}

/** The next entry of the page that has a value; KV_ENOTFOUND: there is none left in it. */
static int show_next(kvi_api_walk *w, kv_entry *entry)
{
    kvi_wire_entry e;

    for (;;) {
        kvi_wire_items_iter here = w->left;
        int err;

        if (!kvi_wire_entries_next(&w->left, &e))
            return KV_ENOTFOUND;
        if (w->part && past_end(w, e.key)) {
            w->page.more = false; /* nothing behind it is in the range either */
            return KV_ENOTFOUND;
        }
        err = show(w, e.key, e.object, entry);
        if (err == KV_ENOTFOUND)
            continue;
        if (err)
            w->left = here; /* the next call tries it again */
        return err;
    }
}

int kvi_api_walk_next(kvi_api_walk *w, kv_entry *entry)
{
    int err;

    if (w->stand == BEFORE_KEY) {
        err = show_sought(w, entry);
        if (!err || err == KV_ENOTFOUND)
            w->stand = BEHIND_KEY;
        if (err != KV_ENOTFOUND)
            return err;
    }
    while (w->stand != AT_END) {
        err = w->in_page ? KV_OK : page_fetch(w);
        if (err)
            return err;
        err = show_next(w, entry);
        if (err != KV_ENOTFOUND)
            return err;
        err = page_end(w);
        if (err)
            return err;
    }
    return KV_ENOTFOUND;
}

int kvi_api_walk_seek(kvi_api_walk *w, kvi_slice key)
{
    kvi_slice prefix = kvi_buf_slice(&w->prefix);

    if (key.len == 0)
        return stand_at_begin(w);
    if (!w->part)
        return stand_before(w, key);
    if (kvi_slice_cmp(key, kvi_buf_slice(&w->from)) < 0)
        key = kvi_buf_slice(&w->from);
    if (kvi_slice_cmp(key, prefix) < 0) {
        w->stand = AT_BEGIN;
        w->in_page = false;
        return KV_OK;
    }
    if (past_end(w, key) || !begins_with(key, prefix)) {
        w->stand = AT_END;
        return KV_OK;
    }
    return stand_before(w, key);
}

/* --- opening ---------------------------------------------------------------------------------- */

static void walk_deinit(kvi_api_walk *w)
{
    kvi_object_deinit(&w->object);
    kvi_api_request_deinit(&w->single);
    kvi_api_request_deinit(&w->page);
    kvi_buf_deinit(&w->at);
    kvi_buf_deinit(&w->to);
    kvi_buf_deinit(&w->from);
    kvi_buf_deinit(&w->prefix);
}

/** A walk that stands before its first entry, or nothing. */
static int walk_init(kvi_api_walk *w, const kv *db, const kv_range *range)
{
    const kvi_mem *mem = db->store->env.mem;
    int err = check_range(range);

    if (err)
        return err;
    memset(w, 0, sizeof *w);
    w->space = *db;
    kvi_buf_init(&w->prefix, mem);
    kvi_buf_init(&w->from, mem);
    kvi_buf_init(&w->to, mem);
    kvi_buf_init(&w->at, mem);
    kvi_object_init(&w->object, mem);
    kvi_api_request_init_empty(&w->page, db, KVI_REQUEST_SCAN, NULL, mem);
    kvi_api_request_init_empty(&w->single, db, KVI_REQUEST_GET, NULL, mem);
    w->part = has_part(range->prefix);
    err = kvi_buf_set(&w->prefix, range->prefix.data, range->prefix.len);
    if (!err)
        err = kvi_buf_set(&w->from, range->from.data, range->from.len);
    if (!err)
        err = kvi_buf_set(&w->to, range->to.data, range->to.len);
    if (!err)
        err = stand_at_begin(w);
    if (err)
        walk_deinit(w);
    return err;
}

int kvi_api_walk_open(const kv *db, const kv_range *range, kvi_api_walk **out)
{
    kvi_api_walk *w = kvi_mem_alloc(db->store->env.mem, sizeof *w);
    int err;

    if (!w)
        return kvi_error_set(KV_ENOMEM, "cannot allocate %zu bytes for an iterator", sizeof *w);
    err = walk_init(w, db, range);
    if (err)
        kvi_mem_free(db->store->env.mem, w);
    else
        *out = w;
    return err;
}

void kvi_api_walk_close(kvi_api_walk *w)
{
    const kvi_mem *mem = mem_of(w);

    walk_deinit(w);
    kvi_mem_free(mem, w);
}

int kvi_api_walk_renew(kvi_api_walk *w, const kv_range *range)
{
    kvi_api_walk *fresh;
    int err;

    if (!range)
        return stand_at_begin(w);
    err = kvi_api_walk_open(&w->space, range, &fresh);
    if (err)
        return err;
    walk_deinit(w);
    *w = *fresh; /* no part of a walk points into it */
    kvi_mem_free(mem_of(w), fresh);
    return KV_OK;
}
