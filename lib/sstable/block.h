/*
 * Blocks: the unit of reading, checking and caching. (The bytes: table_format.h.)
 *
 * kvi_sst_block is a block in memory: decompressed, checked, immutable, counted by references;
 * who has a reference may read it from any thread without a lock. Its bytes are charged to the
 * budget by whoever made it and released, under the same name, with the last reference.
 */
#ifndef KVI_SSTABLE_BLOCK_H
#define KVI_SSTABLE_BLOCK_H

#include <stdatomic.h>

#include "base/buf.h"
#include "base/list.h"
#include "os/fs.h"
#include "sstable/context.h"
#include "sstable/table_format.h"

typedef struct kvi_sst_handle {
    uint64_t offset;
    uint64_t len; /* stored, with the trailer */
} kvi_sst_handle;

typedef struct kvi_sst_block kvi_sst_block;

/** The cache's own part of each block, so that caching one allocates nothing. Guarded by the
 * cache. */
typedef struct kvi_sst_cache_node {
    kvi_sst_block *chain; /* next in the bucket */
    uint64_t file_no, offset;
    kvi_list queue;
    uint8_t freq; /* asked for since it was queued, up to a small cap */
    bool in_main;
} kvi_sst_cache_node;

struct kvi_sst_block {
    kvi_sst_cache_node node; /* first, with refs and len: what a hit touches lies together */
    _Atomic uint32_t refs;
    uint32_t len;   /* of data */
    size_t charged; /* bytes in the budget, under who */
    const kvi_sst_context *ctx;
    enum kvi_budget_who who;
    uint8_t data[]; /* the raw payload */
};

static inline kvi_slice kvi_sst_block_raw(const kvi_sst_block *b)
{
    return kvi_slice_of(b->data, b->len);
}

/** The seed of a block's checksum. */
uint64_t kvi_sst_block_seed(uint64_t store_seed, uint64_t file_no, uint64_t offset,
                            enum kvi_sst_block_kind kind);

/** KV_ECORRUPT with a detail that names file, offset and kind of the block beside why. */
int kvi_sst_block_corrupt(uint64_t file_no, uint64_t offset, enum kvi_sst_block_kind kind,
                          const char *why);

/** Reads, checks and decompresses one block; one reference is the caller's. Charged as who
 * (always succeeds). at lies within the file as far as the caller knows its size. KV_ECORRUPT
 * names file and offset. Any thread. */
int kvi_sst_block_read(const kvi_sst_context *ctx, kvi_os_file *file, uint64_t file_no,
                       kvi_sst_handle at, enum kvi_sst_block_kind kind, enum kvi_budget_who who,
                       kvi_sst_block **out) KVI_NODISCARD;

void kvi_sst_block_ref(kvi_sst_block *b);
/** NULL is allowed. The last one frees it and releases its bytes. */
void kvi_sst_block_unref(kvi_sst_block *b);

/* --- stored form -------------------------------------------------------------------------- */

/** What the trailer of a stored block says, once its checksum was found right. */
typedef struct kvi_sst_stored {
    kvi_slice payload; /* as stored: in the caller's bytes */
    enum kvi_sst_compression compression;
    uint32_t raw_len; /* at most KVI_SST_BLOCK_MAX; payload.len where it is plain */
} kvi_sst_stored;

/** Checks a whole stored block, read from offset of the file. Allocates nothing. */
int kvi_sst_block_check(const kvi_sst_context *ctx, uint64_t file_no, uint64_t offset,
                        enum kvi_sst_block_kind kind, kvi_slice bytes, kvi_sst_stored *out)
    KVI_NODISCARD;

/** Appends a stored block (payload, perhaps compressed at level unless KV_COMPRESS_NONE, and
 * trailer) to out, which will be written so that it begins at file offset. scratch is the
 * caller's, for the compressed form. */
int kvi_sst_block_seal(const kvi_sst_context *ctx, uint64_t file_no, uint64_t offset,
                       enum kvi_sst_block_kind kind, int level, kvi_slice raw, kvi_buf *scratch,
                       kvi_buf *out) KVI_NODISCARD;

#endif
