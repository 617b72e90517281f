/*
 * Builds the raw payload of a data or index block from entries added in order. One thread.
 *
 * 1. Entries come strictly ascending in the order of entries (asserted by the table's builder,
 *    which sees all).
 * 2. Every interval-th entry is a restart: its key is whole, so that a search can start there.
 * 3. A failed add leaves the payload as it was.
 */
#ifndef KVI_SSTABLE_BLOCK_BUILDER_H
#define KVI_SSTABLE_BLOCK_BUILDER_H

#include "base/buf.h"
#include "sstable/tag.h"

#define KVI_SST_RESTART_INTERVAL       16u
/* An index is searched far more often than it is written. */
#define KVI_SST_INDEX_RESTART_INTERVAL 1u

typedef struct kvi_sst_block_builder {
    kvi_buf payload;
    kvi_buf restarts; /* u32s, as they will stand */
    kvi_buf last_key;
    uint32_t interval;
    uint32_t since_restart;
    uint32_t count;
} kvi_sst_block_builder;

void kvi_sst_block_builder_init(kvi_sst_block_builder *b, const kvi_mem *mem, uint32_t interval);
void kvi_sst_block_builder_deinit(kvi_sst_block_builder *b);

/** Copies. KV_ENOMEM, or KV_ETOOBIG where the payload would pass KVI_SST_BLOCK_MAX. */
int kvi_sst_block_builder_add(kvi_sst_block_builder *b, kvi_slice key, uint64_t tag,
                              kvi_slice value) KVI_NODISCARD;

/** Raw length if finished now. */
size_t kvi_sst_block_builder_len(const kvi_sst_block_builder *b);

/** Bytes allocated. */
size_t kvi_sst_block_builder_memory(const kvi_sst_block_builder *b);

/** Appends the restarts; the slice is the builder's until reset, which alone may follow. */
int kvi_sst_block_builder_finish(kvi_sst_block_builder *b, kvi_slice *raw) KVI_NODISCARD;

void kvi_sst_block_builder_reset(kvi_sst_block_builder *b);

#endif
