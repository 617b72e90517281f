/*
 * A cursor over one raw payload, embedded by value in what walks a table. One thread.
 *
 * 1. The payload is borrowed, and checked as it is walked: malformed bytes are KV_ECORRUPT (the
 *    detail is the caller's to set, who knows the file), never a read outside, never a loop
 *    without end. The order of entries is not checked.
 * 2. key points into the payload where the entry stands at a restart, else into the cursor's own
 *    buffer; value always into the payload.
 * 3. A warm cursor allocates nothing.
 */
#ifndef KVI_SSTABLE_BLOCK_CURSOR_H
#define KVI_SSTABLE_BLOCK_CURSOR_H

#include "base/buf.h"
#include "sstable/block_entry.h"
#include "sstable/cursor.h"

typedef struct kvi_sst_block_cursor {
    kvi_cursor c; /* its close is deinit: the struct is its owner's */
    kvi_sst_layout layout;
    uint32_t entry_at, next_at; /* offsets of the current entry and the one behind it */
    kvi_buf key;                /* the current key, where it had to be put together */
} kvi_sst_block_cursor;

/** Standing on nothing, as over an empty payload. */
void kvi_sst_block_cursor_init(kvi_sst_block_cursor *bc, const kvi_mem *mem);
void kvi_sst_block_cursor_deinit(kvi_sst_block_cursor *bc);

/** Turns to another payload (empty slice: none); not valid until positioned. KV_ECORRUPT where
 * its restarts make no sense: then it walks over nothing. */
int kvi_sst_block_cursor_set(kvi_sst_block_cursor *bc, kvi_slice raw) KVI_NODISCARD;

/* The moves of cursor.h, for who knows that it is a block. */
int kvi_sst_block_cursor_first(kvi_sst_block_cursor *bc) KVI_NODISCARD;
int kvi_sst_block_cursor_last(kvi_sst_block_cursor *bc) KVI_NODISCARD;
int kvi_sst_block_cursor_seek(kvi_sst_block_cursor *bc, kvi_slice key, uint64_t tag) KVI_NODISCARD;
int kvi_sst_block_cursor_next(kvi_sst_block_cursor *bc) KVI_NODISCARD;
int kvi_sst_block_cursor_prev(kvi_sst_block_cursor *bc) KVI_NODISCARD;

#endif
