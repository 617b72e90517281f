/*
 * The iterators of the twins: where each must stand, and what its next step must give.
 */
#include <string.h>

#include "sim/twin.h"

#define BOUND_MAX 8192u

kvi_slice kvt_twin_draw_bound(kvt_twin *m, uint8_t *buf, bool may_be_empty)
{
    kvi_slice key = m->h.keys[kvt_twin_draw(m, m->h.key_count)];
    size_t len = key.len;

    if (may_be_empty && kvt_twin_draw(m, 3) == 0)
        return kvi_slice_of(NULL, 0);
    memcpy(buf, key.data, len);
    switch (kvt_twin_draw(m, 5)) {
    case 0:
        len = 1 + (size_t)kvt_twin_draw(m, len);
        break;
    case 1:
        buf[len++] = (uint8_t)(kvt_twin_draw(m, 2) * 255);
        break;
    case 2:
        buf[len - 1] = (uint8_t)kvt_twin_draw(m, 256);
        break;
    default:
        break;
    }
    return kvi_slice_of(buf, len);
}

static void set_bounds(const kvt_history *h, kvt_walk *w, const kv_range *range)
{
    kvi_slice prefix = range->prefix;

    w->low = kvt_history_rank(h, range->from);
    w->high = range->to.len > 0 ? kvt_history_rank(h, range->to) : h->key_count;
    if (prefix.len > 0) {
        size_t end = kvt_history_rank(h, prefix);

        if (w->low < end)
            w->low = end;
        while (end < h->key_count && kvi_slice_has_prefix(h->keys[end], prefix))
            end++;
        if (w->high > end)
            w->high = end;
    }
    if (w->high < w->low)
        w->high = w->low;
    w->where = KVT_FRESH;
}

/** Draws bounds and perhaps a snapshot. */
static void draw_range(kvt_twin *m, kv_range *range, kvt_walk *w, uint8_t bytes[3][BOUND_MAX])
{
    kvt_snap_held *s = &m->snaps[kvt_twin_draw(m, KVT_SNAPS)];

    *range = (kv_range)KV_RANGE_INIT;
    if (kvt_twin_draw(m, 3) > 0) {
        range->from = kvt_twin_draw_bound(m, bytes[0], true);
        range->to = kvt_twin_draw_bound(m, bytes[1], true);
    }
    if (kvt_twin_draw(m, 3) == 0) {
        range->prefix = kvt_twin_draw_bound(m, bytes[2], true);
        if (range->prefix.len > 2)
            range->prefix.len = 1 + (size_t)kvt_twin_draw(m, 2);
    }
    w->state = m->h.writes;
    w->on_snap = s->snap != NULL;
    if (s->snap) {
        range->snapshot = s->snap;
        w->state = s->state;
    }
    set_bounds(&m->h, w, range);
}

static bool walk_open(kvt_twin *m, kvt_walk *w)
{
    uint8_t bytes[3][BOUND_MAX];
    kv_range range;

    w->space = (unsigned)kvt_twin_draw(m, KVT_SPACES);
    draw_range(m, &range, w, bytes);
    return kvt_twin_expect(m, "kv_iter_open", kv_iter_open(m->spaces[w->space], &range, &w->it),
                           KV_OK);
}

static bool walk_renew(kvt_twin *m, kvt_walk *w)
{
    uint8_t bytes[3][BOUND_MAX];
    kv_range range;

    if (kvt_twin_draw(m, 2) == 0) {
        if (!w->on_snap)
            w->state = m->h.writes;
        w->where = KVT_FRESH;
        return kvt_twin_expect(m, "kv_iter_renew", kv_iter_renew(w->it, NULL), KV_OK);
    }
    draw_range(m, &range, w, bytes);
    return kvt_twin_expect(m, "kv_iter_renew", kv_iter_renew(w->it, &range), KV_OK);
}

static bool walk_seek(kvt_twin *m, kvt_walk *w)
{
    uint8_t bytes[BOUND_MAX];
    kvi_slice key = kvt_twin_draw_bound(m, bytes, true);
    size_t at = key.len > 0 ? kvt_history_rank(&m->h, key) : w->low;

    w->where = KVT_BEFORE;
    w->key = at < w->low ? w->low : at > w->high ? w->high : at;
    return kvt_twin_expect(m, "kv_iter_seek", kv_iter_seek(w->it, key.data, key.len), KV_OK);
}

static bool check_entry(kvt_twin *m, const kvt_walk *w, size_t key, const kvt_version *v,
                        const kv_entry *e)
{
    const char *what = NULL;

    if (!kvi_slice_eq(kvi_slice_of(e->key.data, e->key.len), m->h.keys[key]))
        what = "another key";
    else if (!kvt_value_is(kvi_slice_of(e->value.data, e->value.len), v,
                           kvt_history_slot(&m->h, w->space, key)))
        what = "another value";
    else if (e->value.expires_ms != v->expires_ms)
        what = "another expiry";
    if (!what)
        return true;
    return kvt_twin_fail(m, "an iterator of state %llu gave %s than that of key %zu, write %llu",
                         (unsigned long long)w->state, what, key, (unsigned long long)v->write);
}

/** Moves the walk in the array: the version that the step must give, or NULL at the end. */
static const kvt_version *advance(kvt_twin *m, kvt_walk *w, bool back)
{
    int64_t now_ms = kvt_machine_now_ms(&m->m);
    size_t at = w->where == KVT_FRESH ? (back ? w->high : w->low) : w->key;
    const kvt_version *v = NULL;

    if (!back && w->where == KVT_AT)
        at++;
    while (!v && (back ? at > w->low : at < w->high)) {
        if (back)
            at--;
        v = kvt_history_get(&m->h, w->space, at, w->state, now_ms);
        if (!back && !v)
            at++;
    }
    w->where = v ? KVT_AT : KVT_BEFORE;
    w->key = v ? at : back ? w->low : w->high;
    return v;
}

static bool walk_move(kvt_twin *m, kvt_walk *w)
{
    bool back = kvt_twin_draw(m, 2) == 0;
    uint64_t steps = 1 + kvt_twin_draw(m, 8);
    kv_entry e = KV_ENTRY_INIT;

    for (uint64_t i = 0; i < steps; i++) {
        const kvt_version *v = advance(m, w, back);
        int r = back ? kv_iter_prev(w->it, &e) : kv_iter_next(w->it, &e);

        m->checks++;
        if (!kvt_twin_expect(m, back ? "kv_iter_prev" : "kv_iter_next", r,
                             v ? KV_OK : KV_ENOTFOUND))
            return false;
        if (v && !check_entry(m, w, w->key, v, &e))
            return false;
    }
    return true;
}

void kvt_walk_close(kvt_walk *w)
{
    kv_iter_close(w->it);
    w->it = NULL;
}

bool kvt_walk_step(kvt_twin *m)
{
    kvt_walk *w = &m->walks[kvt_twin_draw(m, KVT_WALKS)];
    uint64_t dice = kvt_twin_draw(m, 100);

    if (!w->it)
        return walk_open(m, w);
    if (dice < 3) {
        kvt_walk_close(w);
        return true;
    }
    if (dice < 8)
        return walk_renew(m, w);
    if (dice < 25)
        return walk_seek(m, w);
    return walk_move(m, w);
}
