/*
 * The block cache: hot blocks, decompressed, under the store's budget. Any thread.
 *
 * 1. A block is found by (file number, offset); file numbers are never reused.
 * 2. The cache holds one reference to each block in it; a get adds one for the caller. Blocks
 *    pinned by readers may leave the cache (drop_file), and live on.
 * 3. It takes what the budget has left over and gives it back on demand (the budget's reclaimer).
 *    Blocks, and its own tables, are charged as KVI_BUDGET_CACHE.
 * 4. What stays is decided by cache_policy.h, so that a scan does not drive out what is hot.
 * Sharded by hash; a shard's lock is held for a probe, never over I/O, nor while a block is freed.
 */
#ifndef KVI_SSTABLE_CACHE_H
#define KVI_SSTABLE_CACHE_H

#include "sstable/block.h"

#define KVI_SST_CACHE_SHARDS 16u

int kvi_sst_cache_new(const kvi_mem *mem, kvi_budget *budget, kvi_os_jitter *jitter,
                      kvi_sst_cache **out) KVI_NODISCARD;

/** Drops all; pinned blocks live on until their last reference. Nobody uses it any more, nor the
 * budget's reclaimer. NULL is allowed. */
void kvi_sst_cache_free(kvi_sst_cache *c);

/** The block with a reference for the caller, or NULL. Counts a hit or a miss. */
kvi_sst_block *kvi_sst_cache_get(kvi_sst_cache *c, uint64_t file_no, uint64_t offset);

/** Offers a block that was just read (charged as KVI_BUDGET_CACHE already) and is in no cache.
 * The cache takes a reference of its own, after evicting until used <= limit; it declines where
 * that cannot be, or where another thread was first. */
void kvi_sst_cache_put(kvi_sst_cache *c, uint64_t file_no, uint64_t offset, kvi_sst_block *block);

/** Forgets all blocks of a file that was deleted. */
void kvi_sst_cache_drop_file(kvi_sst_cache *c, uint64_t file_no);

/** Releases at least want bytes where so much is unpinned; how many it was.
 * (kvi_budget_reclaim_fn) */
size_t kvi_sst_cache_reclaim(void *cache, size_t want);

void kvi_sst_cache_counts(const kvi_sst_cache *c, uint64_t *hits, uint64_t *misses);

#endif
