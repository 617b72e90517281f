/*
 * Writes one SSTable, entries added in order. One thread.
 *
 * 1. Entries come strictly ascending in the order of entries; asserted.
 * 2. Nothing is synced here: the caller syncs the file after finish, before anything points to it.
 * 3. A new data block begins where the current one has reached block_size; versions of one key
 *    may lie in two blocks.
 * 4. Its buffers are charged as KVI_BUDGET_WORK, each time a block is closed, until free.
 */
#ifndef KVI_SSTABLE_BUILDER_H
#define KVI_SSTABLE_BUILDER_H

#include "sstable/block.h"
#include "sstable/tag.h"

#define KVI_SST_WRITE_CHUNK (UINT32_C(256) << 10) /* bytes gathered before a write */

typedef struct kvi_sst_builder kvi_sst_builder;

typedef struct kvi_sst_builder_options {
    uint64_t file_no;
    uint32_t block_size; /* raw bytes at which a data block is closed, above 0 */
    int compression;     /* zstd level or KV_COMPRESS_NONE */
} kvi_sst_builder_options;

/** What was written. Keys are the builder's until its free. */
typedef struct kvi_sst_built {
    uint64_t file_size, entries, deletes, seq_min, seq_max, raw_bytes;
    kvi_slice smallest, largest;
} kvi_sst_built;

/** file is borrowed, empty, and outlives the builder. */
int kvi_sst_builder_new(const kvi_sst_context *ctx, const kvi_sst_builder_options *o,
                        kvi_os_file *file, kvi_sst_builder **out) KVI_NODISCARD;
/** NULL is allowed. */
void kvi_sst_builder_free(kvi_sst_builder *b);

/** key and value are copied. After an error only free may follow. KV_ETOOBIG: the table's index
 * is full (who ends tables by kvi_sst_builder_size below KVI_SST_BLOCK_MAX never sees it), or an
 * entry is larger than a block may be. */
int kvi_sst_builder_add(kvi_sst_builder *b, kvi_slice key, uint64_t tag, kvi_slice value)
    KVI_NODISCARD;

/** Bytes that the file has so far or will have by what was added: blocks as stored, what is in
 * the open one and the index as if not compressed. */
uint64_t kvi_sst_builder_size(const kvi_sst_builder *b);
uint64_t kvi_sst_builder_entries(const kvi_sst_builder *b);

/** Writes the rest. At least one entry was added. */
int kvi_sst_builder_finish(kvi_sst_builder *b, kvi_sst_built *out) KVI_NODISCARD;

#endif
