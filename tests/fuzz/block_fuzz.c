/*
 * Fuzzes the search in a block and the walk over it: any payload, any key.
 *
 *   input = tag u8, key length u8, key, payload
 *
 * No crash and no read outside; a get finds what a seek stands on; a walk back from the end meets
 * what the walk from the beginning met, where both come through and the restarts are where
 * entries begin.
 */
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "sstable/block_cursor.h"
#include "sstable/block_search.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* A walk as a number, whichever the direction, and whether it came through. */
typedef struct walk {
    size_t entries;
    uint64_t sum;
    uint32_t restarts; /* up: entries at restarts, each counted as often as it is one */
    bool through;
} walk;

static void note(walk *w, const kvi_cursor *c)
{
    w->entries++;
    w->sum += c->tag * 31 + c->key.len * 7 + c->value.len;
}

/* How many restarts point to the entry that the cursor stands on, if its key is whole. */
static uint32_t restarts_here(const kvi_sst_block_cursor *bc)
{
    uint32_t count = 0;
    kvi_sst_entry e;

    if (!kvi_sst_entry_decode(&bc->layout, bc->entry_at, &e) || e.shared > 0)
        return 0;
    for (uint32_t i = 0; i < bc->layout.restart_count; i++)
        count += kvi_sst_layout_restart(&bc->layout, i) == bc->entry_at;
    return count;
}

static walk walk_up(kvi_sst_block_cursor *bc)
{
    walk w = {0, 0, 0, false};
    int err = kvi_sst_block_cursor_first(bc);

    for (; !err && bc->c.valid; err = kvi_sst_block_cursor_next(bc)) {
        note(&w, &bc->c);
        w.restarts += restarts_here(bc);
    }
    w.through = err == KV_OK;
    KVI_ASSERT(err == KV_OK || err == KV_ECORRUPT);
    return w;
}

static walk walk_down(kvi_sst_block_cursor *bc)
{
    walk w = {0, 0, 0, false};
    int err = kvi_sst_block_cursor_last(bc);

    for (; !err && bc->c.valid; err = kvi_sst_block_cursor_prev(bc))
        note(&w, &bc->c);
    w.through = err == KV_OK;
    KVI_ASSERT(err == KV_OK || err == KV_ECORRUPT);
    return w;
}

/* A get must find what a seek stands on. */
static void ask(kvi_sst_block_cursor *bc, kvi_slice raw, kvi_slice key, uint64_t tag)
{
    bool found = false, any = false;
    uint64_t found_tag = 0;
    kvi_slice value, ceiling;
    int seek_err = kvi_sst_block_cursor_seek(bc, key, tag);
    int get_err = kvi_sst_block_get(raw, key, tag, &found, &found_tag, &value);
    bool same = bc->c.valid && kvi_slice_eq(bc->c.key, key);

    KVI_ASSERT(seek_err == get_err);
    KVI_ASSERT(kvi_sst_block_ceiling(raw, key, tag, &any, &ceiling) == get_err);
    KVI_ASSERT(found == same && any == bc->c.valid);
    if (bc->c.valid)
        KVI_ASSERT(kvi_entry_cmp(bc->c.key, bc->c.tag, key, tag) >= 0);
    if (found)
        KVI_ASSERT(found_tag == bc->c.tag && found_tag <= tag && value.data == bc->c.value.data &&
                   value.len == bc->c.value.len);
}

static void fuzz(kvi_sst_block_cursor *bc, kvi_slice raw, kvi_slice key, uint64_t tag)
{
    walk up, down;

    if (kvi_sst_block_cursor_set(bc, raw) != KV_OK || raw.len == 0)
        return;
    ask(bc, raw, key, tag);
    ask(bc, raw, key, KVI_TAG_NEWEST);
    up = walk_up(bc);
    down = walk_down(bc);
    KVI_ASSERT(up.entries <= raw.len && down.entries <= raw.len);
    if (up.through && up.restarts == bc->layout.restart_count)
        KVI_ASSERT(down.through && up.entries == down.entries && up.sum == down.sum);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    kvi_sst_block_cursor bc;
    size_t key_len, raw_len;
    uint8_t *raw; /* a copy without a byte to spare */
    kvi_mem mem;

    if (size < 2)
        return 0;
    key_len = kvi_min_size(data[1], size - 2);
    raw_len = size - 2 - key_len;
    raw = malloc(raw_len + !raw_len);
    if (!raw)
        return 0;
    memcpy(raw, data + 2 + key_len, raw_len);
    kvi_mem_init(&mem, NULL);
    kvi_sst_block_cursor_init(&bc, &mem);
    fuzz(&bc, kvi_slice_of(raw, raw_len), kvi_slice_of(data + 2, key_len), data[0]);
    kvi_sst_block_cursor_deinit(&bc);
    free(raw);
    return 0;
}
