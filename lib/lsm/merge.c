/*
 * A cursor over sources on top of each other; see merge.h for the contract.
 *
 * The valid sources stand in a heap by where they stand: the first of all is at its top. In one
 * direction only the top moves. All others stand beyond it, in that direction: so a turn moves
 * every one of them to the other side of the top.
 *
 * A source that gives several entries in a row costs one comparison each, since the second in line
 * is remembered until the heap changes.
 */
#include "lsm/merge.h"

#include "base/check.h"
#include "base/error.h"

typedef struct merge {
    kvi_cursor c;
    const kvi_mem *mem;
    bool forward;    /* which way the heap is ordered, and the sources stand */
    uint32_t second; /* the top's child that comes first; 0: not known */
    uint32_t live;   /* in the heap */
    uint32_t count;  /* of sources */
    kvi_cursor **heap;
    kvi_cursor *sources[];
} merge;

static merge *self(kvi_cursor *c)
{
    return KVI_CONTAINER_OF(c, merge, c);
}

/* --- the heap ----------------------------------------------------------------------------- */

static bool comes_before(const merge *m, uint32_t i, uint32_t k)
{
    const kvi_cursor *a = m->heap[i];
    const kvi_cursor *b = m->heap[k];
    int order = kvi_entry_cmp(a->key, a->tag, b->key, b->tag);

    return m->forward ? order < 0 : order > 0;
}

/* The child that comes first of a node that has one. */
static uint32_t first_child(const merge *m, uint32_t i)
{
    uint32_t child = 2 * i + 1;

    return child + 1 < m->live && comes_before(m, child + 1, child) ? child + 1 : child;
}

static void sift_down(merge *m, uint32_t i)
{
    while (2 * i + 1 < m->live) {
        uint32_t child = first_child(m, i);
        kvi_cursor *c = m->heap[child];

        if (!comes_before(m, child, i))
            return;
        m->heap[child] = m->heap[i];
        m->heap[i] = c;
        i = child;
    }
}

/* Puts the sources that are valid into order, from wherever they stand. */
static void build_heap(merge *m, bool forward)
{
    m->forward = forward;
    m->second = 0;
    m->live = 0;
    for (uint32_t i = 0; i < m->count; i++)
        if (m->sources[i]->valid)
            m->heap[m->live++] = m->sources[i];
    for (uint32_t i = m->live / 2; i-- > 0;)
        sift_down(m, i);
}

/* The top has moved: puts it where it belongs now. */
static void reorder(merge *m)
{
    if (!m->heap[0]->valid) {
        m->heap[0] = m->heap[--m->live];
        m->second = 0;
        sift_down(m, 0);
        return;
    }
    if (m->live < 2)
        return;
    if (m->second == 0)
        m->second = first_child(m, 0);
    if (comes_before(m, m->second, 0)) {
        sift_down(m, 0);
        m->second = 0;
    }
}

/* Lends what the top stands on. Ends every move. */
static int settle(merge *m, int err)
{
    m->c.valid = !err && m->live > 0;
    if (m->c.valid) {
        const kvi_cursor *top = m->heap[0];

        m->c.key = top->key;
        m->c.tag = top->tag;
        m->c.value = top->value;
    }
    return err;
}

/* --- moves -------------------------------------------------------------------------------- */

static int op_first(kvi_cursor *c)
{
    merge *m = self(c);
    int err = KV_OK;

    for (uint32_t i = 0; !err && i < m->count; i++)
        err = m->sources[i]->ops->first(m->sources[i]);
    if (!err)
        build_heap(m, true);
    return settle(m, err);
}

static int op_last(kvi_cursor *c)
{
    merge *m = self(c);
    int err = KV_OK;

    for (uint32_t i = 0; !err && i < m->count; i++)
        err = m->sources[i]->ops->last(m->sources[i]);
    if (!err)
        build_heap(m, false);
    return settle(m, err);
}

static int op_seek(kvi_cursor *c, kvi_slice key, uint64_t tag)
{
    merge *m = self(c);
    int err = KV_OK;

    for (uint32_t i = 0; !err && i < m->count; i++)
        err = m->sources[i]->ops->seek(m->sources[i], key, tag);
    if (!err)
        build_heap(m, true);
    return settle(m, err);
}

/* Moves a source to its last entry before (key, tag). Again where a writer put another in between
 * meanwhile (a memtable's). */
static int seek_below(kvi_cursor *c, kvi_slice key, uint64_t tag)
{
    int err = c->ops->seek(c, key, tag);

    if (err)
        return err;
    err = c->valid ? c->ops->prev(c) : c->ops->last(c);
    while (!err && c->valid && kvi_entry_cmp(c->key, c->tag, key, tag) >= 0)
        err = c->ops->prev(c);
    return err;
}

/* Moves all sources but the top to its other side, so that the walk can go that way. */
static int turn(merge *m, bool forward)
{
    const kvi_cursor *top = m->heap[0];
    int err = KV_OK;

    for (uint32_t i = 0; !err && i < m->count; i++) {
        kvi_cursor *c = m->sources[i];

        if (c == top)
            continue;
        err = forward ? c->ops->seek(c, top->key, top->tag) : seek_below(c, top->key, top->tag);
    }
    if (!err) {
        build_heap(m, forward);
        KVI_ASSERT(m->heap[0] == top);
    }
    return err;
}

static int op_next(kvi_cursor *c)
{
    merge *m = self(c);
    int err = KV_OK;

    KVI_ASSERT(m->c.valid);
    if (KVI_UNLIKELY(!m->forward))
        err = turn(m, true);
    if (!err)
        err = m->heap[0]->ops->next(m->heap[0]);
    if (!err)
        reorder(m);
    return settle(m, err);
}

static int op_prev(kvi_cursor *c)
{
    merge *m = self(c);
    int err = KV_OK;

    KVI_ASSERT(m->c.valid);
    if (KVI_UNLIKELY(m->forward))
        err = turn(m, false);
    if (!err)
        err = m->heap[0]->ops->prev(m->heap[0]);
    if (!err)
        reorder(m);
    return settle(m, err);
}

/* --- life --------------------------------------------------------------------------------- */

static void close_all(kvi_cursor *const *sources, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++)
        sources[i]->ops->close(sources[i]);
}

static void op_close(kvi_cursor *c)
{
    merge *m = self(c);

    close_all(m->sources, m->count);
    kvi_mem_free(m->mem, m);
}

int kvi_lsm_merge_cursor(const kvi_mem *mem, kvi_cursor **sources, uint32_t count, kvi_cursor **out)
{
    static const struct kvi_cursor_ops ops = {
        op_first, op_last, op_seek, op_next, op_prev, op_close,
    };
    merge *m = NULL;

    if (count == 1) {
        *out = sources[0];
        return KV_OK;
    }
    if (count <= KVI_LSM_MERGE_MAX)
        m = kvi_mem_zalloc(mem, 1, sizeof *m + 2 * (size_t)count * sizeof *sources);
    if (!m) {
        close_all(sources, count);
        return kvi_error_set(KV_ENOMEM, "cannot merge %u sources", (unsigned)count);
    }
    m->c.ops = &ops;
    m->mem = mem;
    m->count = count;
    m->heap = m->sources + count;
    for (uint32_t i = 0; i < count; i++)
        m->sources[i] = sources[i];
    *out = &m->c;
    return KV_OK;
}
