/*
 * What the parts of an open table share: table_open.c makes it, table.c asks it, table_cursor.c
 * walks it. Internal to the folder.
 */
#ifndef KVI_SSTABLE_TABLE_READ_H
#define KVI_SSTABLE_TABLE_READ_H

#include "sstable/bloom.h"
#include "sstable/table.h"

struct kvi_sst_table {
    const kvi_sst_context *ctx;
    kvi_os_file *file; /* owned */
    uint64_t file_no;
    uint64_t data_end;       /* data blocks lie before it */
    kvi_sst_handle index_at; /* for details of errors */
    kvi_sst_block *index;
    kvi_sst_block *filter; /* NULL: none */
    kvi_sst_block *meta_block;
    kvi_sst_bloom bloom;
    kvi_sst_meta meta; /* borrows meta_block */
};

/** A value of the index: a handle that lies among the data blocks. KV_ECORRUPT where it is none. */
int kvi_sst_table_handle(const kvi_sst_table *t, kvi_slice value, kvi_sst_handle *out)
    KVI_NODISCARD;

/** A data block through the cache, with a reference for the caller. memory_only: KVI_AGAIN
 * instead of reading the disk. */
int kvi_sst_table_block(const kvi_sst_table *t, kvi_sst_handle at, bool memory_only,
                        kvi_sst_block **out) KVI_NODISCARD;

/** KV_ECORRUPT with a detail: entries of the index, or of the data block at offset, are
 * malformed. */
int kvi_sst_table_bad_index(const kvi_sst_table *t);
int kvi_sst_table_bad_data(const kvi_sst_table *t, uint64_t offset);

#endif
