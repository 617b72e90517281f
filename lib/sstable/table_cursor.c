/*
 * The walk over a table: a cursor over the index, and one over the data block that it stands on.
 * (table.h)
 *
 * 1. While it stands on an entry, the data block that it is in is held: by a reference
 *    (KVI_SST_CACHED) or in the cursor's own buffers (KVI_SST_BULK).
 * 2. Where the index cursor is valid, `loaded_at` tells whether its data block is the one that
 *    `data` walks.
 */
#include "base/check.h"
#include "base/error.h"
#include "sstable/block_cursor.h"
#include "sstable/table_bulk.h"

#define NOTHING_LOADED UINT64_MAX

typedef struct table_cursor {
    kvi_cursor c;
    const kvi_sst_table *t;
    enum kvi_sst_scan how;
    kvi_sst_block_cursor index, data;
    uint64_t loaded_at;   /* offset of the block that data walks, or NOTHING_LOADED */
    kvi_sst_block *block; /* KVI_SST_CACHED: that block */
    kvi_sst_bulk bulk;    /* KVI_SST_BULK */
} table_cursor;

static table_cursor *self(kvi_cursor *c)
{
    return KVI_CONTAINER_OF(c, table_cursor, c);
}

/* Says which block it was; other errors have their detail already. */
static int blame_index(const table_cursor *tc, int err)
{
    return err == KV_ECORRUPT ? kvi_sst_table_bad_index(tc->t) : err;
}

static int blame_data(const table_cursor *tc, int err)
{
    return err == KV_ECORRUPT ? kvi_sst_table_bad_data(tc->t, tc->loaded_at) : err;
}

static void unload(table_cursor *tc)
{
    int err = kvi_sst_block_cursor_set(&tc->data, kvi_slice_of(NULL, 0));

    KVI_ASSERT(err == KV_OK);
    kvi_sst_block_unref(tc->block);
    tc->block = NULL;
    tc->loaded_at = NOTHING_LOADED;
}

/* Turns data to the block that the index cursor stands on, where it is not there already. */
static int load(table_cursor *tc)
{
    kvi_sst_handle at;
    kvi_slice raw;
    int err;

    KVI_ASSERT(tc->index.c.valid);
    err = kvi_sst_table_handle(tc->t, tc->index.c.value, &at);
    if (err || at.offset == tc->loaded_at)
        return err;
    unload(tc);
    if (tc->how == KVI_SST_BULK) {
        err = kvi_sst_bulk_block(&tc->bulk, at, &raw);
    } else {
        err = kvi_sst_table_block(tc->t, at, false, &tc->block);
        if (!err)
            raw = kvi_sst_block_raw(tc->block);
    }
    if (err)
        return err;
    tc->loaded_at = at.offset;
    err = kvi_sst_block_cursor_set(&tc->data, raw);
    if (err) {
        err = blame_data(tc, err);
        unload(tc);
    }
    return err;
}

/* Lends what data stands on, or nothing. Ends every move. */
static int settle(table_cursor *tc, int err)
{
    tc->c.valid = !err && tc->data.c.valid;
    if (tc->c.valid) {
        tc->c.key = tc->data.c.key;
        tc->c.tag = tc->data.c.tag;
        tc->c.value = tc->data.c.value;
    }
    return err;
}

/* Where the current block has no entry (left) in that direction, goes to the next that has one. */
static int cross(table_cursor *tc, bool forward)
{
    int err = KV_OK;

    while (!err && !tc->data.c.valid && tc->index.c.valid) {
        err = blame_index(tc, forward ? kvi_sst_block_cursor_next(&tc->index)
                                      : kvi_sst_block_cursor_prev(&tc->index));
        if (err || !tc->index.c.valid)
            break;
        err = load(tc);
        if (!err)
            err = blame_data(tc, forward ? kvi_sst_block_cursor_first(&tc->data)
                                         : kvi_sst_block_cursor_last(&tc->data));
    }
    return settle(tc, err);
}

/* To the first or the last entry of all. */
static int to_end(table_cursor *tc, bool first)
{
    int err = blame_index(tc, first ? kvi_sst_block_cursor_first(&tc->index)
                                    : kvi_sst_block_cursor_last(&tc->index));

    if (err || !tc->index.c.valid) {
        unload(tc);
        return settle(tc, err);
    }
    err = load(tc);
    if (!err)
        err = blame_data(tc, first ? kvi_sst_block_cursor_first(&tc->data)
                                   : kvi_sst_block_cursor_last(&tc->data));
    return err ? settle(tc, err) : cross(tc, first);
}

static int op_first(kvi_cursor *c)
{
    return to_end(self(c), true);
}

static int op_last(kvi_cursor *c)
{
    return to_end(self(c), false);
}

static int op_seek(kvi_cursor *c, kvi_slice key, uint64_t tag)
{
    table_cursor *tc = self(c);
    int err = blame_index(tc, kvi_sst_block_cursor_seek(&tc->index, key, tag));

    if (err || !tc->index.c.valid) {
        unload(tc);
        return settle(tc, err);
    }
    err = load(tc);
    if (!err)
        err = blame_data(tc, kvi_sst_block_cursor_seek(&tc->data, key, tag));
    return err ? settle(tc, err) : cross(tc, true);
}

static int op_next(kvi_cursor *c)
{
    table_cursor *tc = self(c);
    int err;

    KVI_ASSERT(tc->c.valid);
    err = kvi_sst_block_cursor_next(&tc->data);
    if (KVI_LIKELY(!err && tc->data.c.valid))
        return settle(tc, KV_OK);
    return err ? settle(tc, blame_data(tc, err)) : cross(tc, true);
}

static int op_prev(kvi_cursor *c)
{
    table_cursor *tc = self(c);
    int err;

    KVI_ASSERT(tc->c.valid);
    err = kvi_sst_block_cursor_prev(&tc->data);
    return err ? settle(tc, blame_data(tc, err)) : cross(tc, false);
}

static void op_close(kvi_cursor *c)
{
    table_cursor *tc = self(c);

    unload(tc);
    kvi_sst_block_cursor_deinit(&tc->index);
    kvi_sst_block_cursor_deinit(&tc->data);
    kvi_sst_bulk_deinit(&tc->bulk);
    kvi_mem_free(tc->t->ctx->mem, tc);
}

int kvi_sst_table_cursor(kvi_sst_table *t, enum kvi_sst_scan how, kvi_cursor **out)
{
    static const struct kvi_cursor_ops ops = {
        op_first, op_last, op_seek, op_next, op_prev, op_close,
    };
    const kvi_mem *mem = t->ctx->mem;
    table_cursor *tc = kvi_mem_zalloc(mem, 1, sizeof *tc);

    if (!tc)
        return kvi_error_set(KV_ENOMEM, "cannot allocate %zu bytes for a cursor", sizeof *tc);
    tc->c.ops = &ops;
    tc->t = t;
    tc->how = how;
    tc->loaded_at = NOTHING_LOADED;
    kvi_sst_block_cursor_init(&tc->index, mem);
    kvi_sst_block_cursor_init(&tc->data, mem);
    kvi_sst_bulk_init(&tc->bulk, t);
    if (kvi_sst_block_cursor_set(&tc->index, kvi_sst_block_raw(t->index)) != KV_OK) {
        op_close(&tc->c);
        return kvi_sst_table_bad_index(t);
    }
    *out = &tc->c;
    return KV_OK;
}
