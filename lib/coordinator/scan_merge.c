/*
 * One page of entries from those of several replicas; see scan.h.
 */
#include "coordinator/scan.h"

/* A walk over one replica's page. */
typedef struct cursor {
    kvi_wire_items_iter it;
    kvi_wire_entry entry;
    bool there; /* entry is the next one */
} cursor;

static int place_cmp(const kvi_wire_entry *a, const kvi_wire_entry *b)
{
    if (a->token != b->token)
        return a->token < b->token ? -1 : 1;
    return kvi_slice_cmp(a->key, b->key);
}

/* Up to where all is known: false where there is no such bound. */
static bool frontier(const kvi_scanner *s, kvi_wire_entry *out)
{
    bool any = false;

    for (unsigned i = 0; i < s->plan.n; i++) {
        const kvi_replica_page *p = &s->pages[i];
        kvi_wire_items items = {p->count, kvi_buf_slice(&p->items)};
        kvi_wire_items_iter it;
        kvi_wire_entry last = {0};

        if (p->state != KVI_PAGE_ANSWERED || !p->more)
            continue;
        kvi_wire_items_begin(&it, items);
        while (kvi_wire_entries_next(&it, &last))
            continue;
        if (!any || place_cmp(&last, out) < 0)
            *out = last;
        any = true;
    }
    return any;
}

static void begin(const kvi_scanner *s, cursor *cursors)
{
    for (unsigned i = 0; i < s->plan.n; i++) {
        const kvi_replica_page *p = &s->pages[i];
        kvi_wire_items items = {p->count, kvi_buf_slice(&p->items)};

        cursors[i].there = false;
        if (p->state != KVI_PAGE_ANSWERED)
            continue;
        kvi_wire_items_begin(&cursors[i].it, items);
        cursors[i].there = kvi_wire_entries_next(&cursors[i].it, &cursors[i].entry);
    }
}

static const cursor *least(const cursor *cursors, unsigned n)
{
    const cursor *best = NULL;

    for (unsigned i = 0; i < n; i++)
        if (cursors[i].there && (!best || place_cmp(&cursors[i].entry, &best->entry) < 0))
            best = &cursors[i];
    return best;
}

/* The object of the entry at `at`, over all that have it, appended to the page. */
static int put_entry(kvi_scanner *s, const cursor *cursors, const kvi_wire_entry *at)
{
    const kvi_mem *mem = s->job.c->mem;
    kvi_wire_entry out = *at;
    kvi_object merged;
    kvi_buf bytes;
    unsigned found;
    bool same = true;
    int err = KV_OK;

    kvi_object_init(&merged, mem);
    kvi_buf_init(&bytes, mem);
    for (unsigned i = 0; i < s->plan.n; i++)
        same = same && (!cursors[i].there || place_cmp(&cursors[i].entry, at) != 0 ||
                        kvi_slice_eq(cursors[i].entry.object, at->object));
    for (unsigned i = 0; i < s->plan.n && !same && !err; i++)
        if (cursors[i].there && place_cmp(&cursors[i].entry, at) == 0)
            err = kvi_object_merge_encoded(&merged, cursors[i].entry.object, &found);
    if (!err && !same) {
        err = kvi_object_encode(&merged, &bytes);
        out.object = kvi_buf_slice(&bytes);
    }
    if (!err)
        err = kvi_wire_entries_put(&s->request->entries, &out);
    s->request->entry_count += !err;
    kvi_object_deinit(&merged);
    kvi_buf_deinit(&bytes);
    return err;
}

static int stand_at(kvi_scanner *s, const kvi_wire_entry *e)
{
    s->token = e->token;
    return kvi_buf_set(&s->after, e->key.data, e->key.len);
}

static void pass(cursor *cursors, unsigned n, const kvi_wire_entry *at)
{
    for (unsigned i = 0; i < n; i++)
        if (cursors[i].there && place_cmp(&cursors[i].entry, at) == 0)
            cursors[i].there = kvi_wire_entries_next(&cursors[i].it, &cursors[i].entry);
}

bool kvi_scanner_page_full(const kvi_request *r)
{
    return r->entry_count >= r->scan.limit ||
           (r->entry_count > 0 && r->entries.len >= r->scan.bytes);
}

int kvi_scanner_merge(kvi_scanner *s, enum kvi_scanner_end *end)
{
    kvi_slice prefix = s->request->scan.prefix;
    cursor cursors[KVI_RING_N_MAX] = {0};
    kvi_wire_entry bound = {0}, at;
    bool bounded = frontier(s, &bound);
    const cursor *next;
    int err = KV_OK;

    begin(s, cursors);
    while ((next = least(cursors, s->plan.n))) {
        at = next->entry;
        if (bounded && place_cmp(&at, &bound) > 0)
            break;
        if (kvi_scanner_page_full(s->request)) {
            *end = KVI_SCANNER_FULL;
            return KV_OK;
        }
        if (kvi_slice_has_prefix(at.key, prefix)) {
            err = put_entry(s, cursors, &at);
        } else if (s->one_part && kvi_slice_cmp(at.key, prefix) > 0) {
            *end = KVI_SCANNER_PAST;
            return KV_OK;
        }
        if (!err)
            err = stand_at(s, &at);
        if (err)
            return err;
        pass(cursors, s->plan.n, &at);
    }
    *end = bounded ? KVI_SCANNER_FRONTIER : KVI_SCANNER_THROUGH;
    return bounded ? stand_at(s, &bound) : KV_OK;
}
