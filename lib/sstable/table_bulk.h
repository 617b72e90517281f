/*
 * Reads data blocks one after the other past the cache: the file in large pieces, blocks checked
 * and unpacked from them, in buffers of its own. Part of a cursor; one thread.
 *
 * 1. The buffers are charged as KVI_BUDGET_WORK while they are there.
 * 2. What it lends is good until the next call.
 * 3. Once warm it allocates only where a block is larger than all before.
 */
#ifndef KVI_SSTABLE_TABLE_BULK_H
#define KVI_SSTABLE_TABLE_BULK_H

#include "sstable/table_read.h"

typedef struct kvi_sst_bulk {
    const kvi_sst_table *t;
    uint64_t window_at; /* where in the file the window begins */
    kvi_buf window;     /* bytes as stored */
    kvi_buf unpacked;
    size_t charged;
} kvi_sst_bulk;

void kvi_sst_bulk_init(kvi_sst_bulk *b, const kvi_sst_table *t);
void kvi_sst_bulk_deinit(kvi_sst_bulk *b);

/** The raw payload of the data block at `at`, a handle of kvi_sst_table_handle(). */
int kvi_sst_bulk_block(kvi_sst_bulk *b, kvi_sst_handle at, kvi_slice *raw) KVI_NODISCARD;

#endif
