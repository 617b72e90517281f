/*
 * A cursor over tables side by side; see merge.h for the contract.
 *
 * It stands in one table at a time, which stays open until the walk enters another: a seek into the
 * same table opens nothing.
 */
#include "base/check.h"
#include "base/error.h"
#include "lsm/merge.h"

typedef struct level_cursor {
    kvi_cursor c;
    kvi_lsm_tables *tables;
    kvi_lsm_file *const *files;
    uint32_t count;
    enum kvi_sst_scan how;
    kvi_cursor *table; /* over files[at], or NULL */
    uint32_t at;
} level_cursor;

static level_cursor *self(kvi_cursor *c)
{
    return KVI_CONTAINER_OF(c, level_cursor, c);
}

static void leave(level_cursor *lc)
{
    if (lc->table)
        lc->table->ops->close(lc->table);
    lc->table = NULL;
}

/* Opens a file, where it is not the current one. */
static int enter(level_cursor *lc, uint32_t at)
{
    KVI_ASSERT(at < lc->count);
    if (lc->table && lc->at == at)
        return KV_OK;
    leave(lc);
    lc->at = at;
    return kvi_lsm_tables_cursor(lc->tables, lc->files[at], lc->how, &lc->table);
}

/* Lends what the table stands on. Ends every move. */
static int settle(level_cursor *lc, int err)
{
    lc->c.valid = !err && lc->table && lc->table->valid;
    if (lc->c.valid) {
        lc->c.key = lc->table->key;
        lc->c.tag = lc->table->tag;
        lc->c.value = lc->table->value;
    }
    return err;
}

/* Where the table has no entry (left), goes on to the next one that has. */
static int cross_forward(level_cursor *lc, int err)
{
    while (!err && !lc->table->valid && lc->at + 1 < lc->count) {
        err = enter(lc, lc->at + 1);
        if (!err)
            err = lc->table->ops->first(lc->table);
    }
    return settle(lc, err);
}

static int cross_backward(level_cursor *lc, int err)
{
    while (!err && !lc->table->valid && lc->at > 0) {
        err = enter(lc, lc->at - 1);
        if (!err)
            err = lc->table->ops->last(lc->table);
    }
    return settle(lc, err);
}

/* The first file whose largest key is key or above; count where there is none. */
static uint32_t find_file(const level_cursor *lc, kvi_slice key)
{
    uint32_t low = 0, high = lc->count;

    while (low < high) {
        uint32_t middle = low + (high - low) / 2;

        if (kvi_slice_cmp(lc->files[middle]->largest, key) < 0)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

static int op_first(kvi_cursor *c)
{
    level_cursor *lc = self(c);
    int err = enter(lc, 0);

    return cross_forward(lc, err ? err : lc->table->ops->first(lc->table));
}

static int op_last(kvi_cursor *c)
{
    level_cursor *lc = self(c);
    int err = enter(lc, lc->count - 1);

    return cross_backward(lc, err ? err : lc->table->ops->last(lc->table));
}

static int op_seek(kvi_cursor *c, kvi_slice key, uint64_t tag)
{
    level_cursor *lc = self(c);
    uint32_t at = find_file(lc, key);
    int err;

    lc->c.valid = false;
    if (at == lc->count)
        return KV_OK;
    err = enter(lc, at);
    return cross_forward(lc, err ? err : lc->table->ops->seek(lc->table, key, tag));
}

static int op_next(kvi_cursor *c)
{
    level_cursor *lc = self(c);

    KVI_ASSERT(lc->c.valid);
    return cross_forward(lc, lc->table->ops->next(lc->table));
}

static int op_prev(kvi_cursor *c)
{
    level_cursor *lc = self(c);

    KVI_ASSERT(lc->c.valid);
    return cross_backward(lc, lc->table->ops->prev(lc->table));
}

static void op_close(kvi_cursor *c)
{
    level_cursor *lc = self(c);

    leave(lc);
    kvi_mem_free(lc->tables->sst->mem, lc);
}

int kvi_lsm_level_cursor(kvi_lsm_tables *t, kvi_lsm_file *const *files, uint32_t count,
                         enum kvi_sst_scan how, kvi_cursor **out)
{
    static const struct kvi_cursor_ops ops = {
        op_first, op_last, op_seek, op_next, op_prev, op_close,
    };
    level_cursor *lc;

    KVI_ASSERT(count > 0);
    lc = kvi_mem_zalloc(t->sst->mem, 1, sizeof *lc);
    if (!lc)
        return kvi_error_set(KV_ENOMEM, "cannot allocate a cursor");
    lc->c.ops = &ops;
    lc->tables = t;
    lc->files = files;
    lc->count = count;
    lc->how = how;
    *out = &lc->c;
    return KV_OK;
}
