/*
 * An open SSTable: immutable, read by any thread. Index, filter and meta block are in memory and
 * charged as KVI_BUDGET_TABLE; data blocks come through the cache.
 *
 * 1. The opener owns the table; who reads it makes sure that it is not closed meanwhile
 *    (references or epochs of the engine).
 * 2. Everything read from the file is checked before it is used; what does not fit is KV_ECORRUPT
 *    with file and offset.
 * 3. Whether a kind of entry is known is for the reader of the entries to check.
 */
#ifndef KVI_SSTABLE_TABLE_H
#define KVI_SSTABLE_TABLE_H

#include "sstable/block.h"
#include "sstable/cursor.h"

typedef struct kvi_sst_table kvi_sst_table;

/** Reads footer, index, filter and meta. On success the table owns file and closes it; on failure
 * it stays the caller's. KV_EFORMAT: another version of the format, undamaged. */
int kvi_sst_table_open(const kvi_sst_context *ctx, kvi_os_file *file, uint64_t file_no,
                       kvi_sst_table **out) KVI_NODISCARD;
/** NULL is allowed. */
void kvi_sst_table_close(kvi_sst_table *t);

/** Bytes charged to the budget for it. */
size_t kvi_sst_table_memory(const kvi_sst_table *t);

/** What the meta block says; slices are the table's. */
typedef struct kvi_sst_meta {
    uint64_t entries, deletes, seq_min, seq_max, raw_bytes;
    kvi_slice smallest, largest;
} kvi_sst_meta;
const kvi_sst_meta *kvi_sst_table_meta(const kvi_sst_table *t);

/** How a get went, for statistics. */
typedef struct kvi_sst_get_info {
    bool filter_asked, filter_no;
} kvi_sst_get_info;

typedef struct kvi_sst_found {
    bool found;
    uint64_t tag;
    kvi_slice value;      /* in block */
    kvi_sst_block *block; /* a reference that is the caller's, where found */
} kvi_sst_found;

/** The newest entry of key with tag <= max_tag. hash: of key, by the store's filter seed.
 * memory_only: KVI_AGAIN instead of reading the disk. info is set whatever the result. Reads at
 * most one block. */
int kvi_sst_table_get(kvi_sst_table *t, kvi_slice key, uint64_t hash, uint64_t max_tag,
                      bool memory_only, kvi_sst_found *out, kvi_sst_get_info *info) KVI_NODISCARD;

/** How a cursor reads: through the cache, or past it with large reads and no admission
 * (compaction, verify). */
enum kvi_sst_scan { KVI_SST_CACHED, KVI_SST_BULK };

#define KVI_SST_READAHEAD \
    (UINT32_C(256) << 10) /* bytes of the file that a KVI_SST_BULK cursor reads at once */

/** A cursor over the table, which must stay open until its close. */
int kvi_sst_table_cursor(kvi_sst_table *t, enum kvi_sst_scan how, kvi_cursor **out) KVI_NODISCARD;

#endif
