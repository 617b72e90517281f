/*
 * The walk over a block; see the header for the contract.
 */
#include "sstable/block_cursor.h"

#include <string.h>

#include "base/check.h"
#include "sstable/block_search.h"

static kvi_sst_block_cursor *self(kvi_cursor *c)
{
    return KVI_CONTAINER_OF(c, kvi_sst_block_cursor, c);
}

static int fail(kvi_sst_block_cursor *bc, int err)
{
    bc->c.valid = false;
    return err;
}

/* Puts a key together in the cursor's own buffer: the beginning from the key `before`, which may be
 * there already. */
static int join_key(kvi_sst_block_cursor *bc, const kvi_sst_entry *e, kvi_slice before)
{
    size_t key_len = (size_t)e->shared + e->unshared;
    bool in_place = before.data == bc->key.data;

    if (e->shared > before.len)
        return KV_ECORRUPT;
    if (KVI_UNLIKELY(key_len > bc->key.cap)) {
        int err = kvi_buf_reserve(&bc->key, key_len - bc->key.len);

        if (err)
            return err;
    }
    KVI_ASSERT(before.data && bc->key.data);
    if (!in_place)
        memcpy(bc->key.data, before.data, e->shared);
    memcpy(bc->key.data + e->shared, e->suffix, e->unshared);
    bc->key.len = key_len;
    bc->c.key = kvi_buf_slice(&bc->key);
    return KV_OK;
}

/* Stands on an entry, whose key goes on from the key `before`. */
static int stand(kvi_sst_block_cursor *bc, uint32_t at, const kvi_sst_entry *e, kvi_slice before)
{
    KVI_ASSERT(e->end > at && e->end <= bc->layout.entries_len);
    if (e->shared == 0) {
        bc->c.key = kvi_slice_of(e->suffix, e->unshared);
    } else {
        int err = join_key(bc, e, before);

        if (err)
            return fail(bc, err);
    }
    bc->c.tag = e->tag;
    bc->c.value = kvi_sst_entry_value(e);
    bc->c.valid = true;
    bc->entry_at = at;
    bc->next_at = e->end;
    return KV_OK;
}

/* Stands on the entry at offset at, which comes right behind the one with key `before`, or off
 * the end. */
static int step(kvi_sst_block_cursor *bc, uint32_t at, kvi_slice before)
{
    kvi_sst_entry e;

    if (at >= bc->layout.entries_len) {
        bc->c.valid = false;
        return KV_OK;
    }
    if (!kvi_sst_entry_decode(&bc->layout, at, &e))
        return fail(bc, KV_ECORRUPT);
    return stand(bc, at, &e, before);
}

/* Walks from the restart at offset from to the last entry before the offset limit, above from. An
 * entry that reaches over the limit is one too few or too many. */
static int step_to_last_before(kvi_sst_block_cursor *bc, uint32_t from, uint32_t limit)
{
    int err = step(bc, from, kvi_slice_of(NULL, 0));

    while (!err && bc->c.valid && bc->next_at < limit)
        err = step(bc, bc->next_at, bc->c.key);
    if (!err && (!bc->c.valid || bc->next_at != limit))
        err = fail(bc, KV_ECORRUPT);
    return err;
}

/* The last restart before the offset limit, above 0; restart 0 is at 0. Where the restarts do not
 * ascend, it is some restart or one behind the limit, and the walk from it finds out. */
static uint32_t restart_before(const kvi_sst_layout *l, uint32_t limit)
{
    uint32_t low = 0, high = l->restart_count;

    while (high - low > 1) {
        uint32_t middle = low + (high - low) / 2;

        if (kvi_sst_layout_restart(l, middle) < limit)
            low = middle;
        else
            high = middle;
    }
    return kvi_sst_layout_restart(l, low);
}

int kvi_sst_block_cursor_first(kvi_sst_block_cursor *bc)
{
    return step(bc, 0, kvi_slice_of(NULL, 0));
}

int kvi_sst_block_cursor_last(kvi_sst_block_cursor *bc)
{
    uint32_t limit = bc->layout.entries_len;

    if (limit == 0) {
        bc->c.valid = false;
        return KV_OK;
    }
    return step_to_last_before(bc, restart_before(&bc->layout, limit), limit);
}

int kvi_sst_block_cursor_seek(kvi_sst_block_cursor *bc, kvi_slice key, uint64_t tag)
{
    kvi_sst_position p;
    int err;

    bc->c.valid = false;
    err = kvi_sst_layout_search(&bc->layout, key, tag, &p);
    if (err || !p.found)
        return err;
    return stand(bc, p.at, &p.entry, key);
}

int kvi_sst_block_cursor_next(kvi_sst_block_cursor *bc)
{
    KVI_ASSERT(bc->c.valid);
    return step(bc, bc->next_at, bc->c.key);
}

int kvi_sst_block_cursor_prev(kvi_sst_block_cursor *bc)
{
    uint32_t limit = bc->entry_at;

    KVI_ASSERT(bc->c.valid);
    if (limit == 0) {
        bc->c.valid = false;
        return KV_OK;
    }
    return step_to_last_before(bc, restart_before(&bc->layout, limit), limit);
}

int kvi_sst_block_cursor_set(kvi_sst_block_cursor *bc, kvi_slice raw)
{
    bc->c.valid = false;
    bc->layout = (kvi_sst_layout){NULL, 0, 1};
    if (raw.len == 0)
        return KV_OK;
    if (kvi_sst_layout_open(raw, &bc->layout))
        return KV_OK;
    bc->layout = (kvi_sst_layout){NULL, 0, 1};
    return KV_ECORRUPT;
}

/* --- as a kvi_cursor ---------------------------------------------------------------------- */

static int op_first(kvi_cursor *c)
{
    return kvi_sst_block_cursor_first(self(c));
}

static int op_last(kvi_cursor *c)
{
    return kvi_sst_block_cursor_last(self(c));
}

static int op_seek(kvi_cursor *c, kvi_slice key, uint64_t tag)
{
    return kvi_sst_block_cursor_seek(self(c), key, tag);
}

static int op_next(kvi_cursor *c)
{
    return kvi_sst_block_cursor_next(self(c));
}

static int op_prev(kvi_cursor *c)
{
    return kvi_sst_block_cursor_prev(self(c));
}

static void op_close(kvi_cursor *c)
{
    kvi_sst_block_cursor_deinit(self(c));
}

void kvi_sst_block_cursor_init(kvi_sst_block_cursor *bc, const kvi_mem *mem)
{
    static const struct kvi_cursor_ops ops = {
        op_first, op_last, op_seek, op_next, op_prev, op_close,
    };

    *bc = (kvi_sst_block_cursor){.c.ops = &ops, .layout.restart_count = 1};
    kvi_buf_init(&bc->key, mem);
}

void kvi_sst_block_cursor_deinit(kvi_sst_block_cursor *bc)
{
    bc->c.valid = false;
    kvi_buf_deinit(&bc->key);
}
