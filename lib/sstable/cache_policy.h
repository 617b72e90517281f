/*
 * Which blocks of a cache's shard stay: S3-FIFO (Yang, Zhang, Qiu, Yue, Rashmi, "FIFO queues are
 * all you need for cache eviction", SOSP 2023, section 4), with sizes in bytes.
 *
 * 1. Newcomers enter the small queue; what was asked for twice or more by the time it leaves it
 *    moves on to the main one, the rest goes and leaves its hash in the ghost table. Who comes
 *    back while the ghost is fresh enters the main queue at once.
 * 2. The main queue is a clock: what was asked for goes round again.
 * 3. The small queue gives way while it holds a tenth of the bytes or more, else the main one.
 * 4. A block that a reader holds beside the cache is passed over: evicting it would free nothing.
 * Nothing here locks, allocates (but for the ghosts) or counts references: that is the cache's
 * part, under the shard's lock.
 */
#ifndef KVI_SSTABLE_CACHE_POLICY_H
#define KVI_SSTABLE_CACHE_POLICY_H

#include "sstable/block.h"

#define KVI_SST_POLICY_FREQ_MAX 3u

/** Hashes of what left the small queue: sets of 4, the oldest of a set gives way. */
typedef struct kvi_sst_ghost {
    uint32_t print;
    uint32_t stamp; /* of the clock when it came */
} kvi_sst_ghost;

typedef struct kvi_sst_policy {
    kvi_list small, main; /* nodes' queue links, oldest first */
    size_t small_bytes, main_bytes;
    uint32_t count;        /* blocks in both */
    kvi_sst_ghost *ghosts; /* 4 * (ghost_mask + 1), or NULL: none are kept */
    uint32_t ghost_mask;
    uint32_t clock; /* ghosts so far */
} kvi_sst_policy;

void kvi_sst_policy_init(kvi_sst_policy *p);

/** No block is left in it. */
void kvi_sst_policy_deinit(kvi_sst_policy *p, const kvi_mem *mem);

/** Makes the ghost table fit for as many blocks, a power of two; forgets the ghosts. Where there
 * is no memory it stays as it is. Returns the bytes it takes now. */
size_t kvi_sst_policy_resize(kvi_sst_policy *p, const kvi_mem *mem, uint32_t blocks);

/** Takes a block in, by its hash. */
void kvi_sst_policy_admit(kvi_sst_policy *p, kvi_sst_block *b, uint64_t hash);

/** A block in it was asked for. */
static inline void kvi_sst_policy_hit(kvi_sst_block *b)
{
    if (b->node.freq < KVI_SST_POLICY_FREQ_MAX)
        b->node.freq++;
}

/** Takes a block out. */
void kvi_sst_policy_remove(kvi_sst_policy *p, kvi_sst_block *b);

/** Takes out the block that should go next; NULL where all are held by readers. */
kvi_sst_block *kvi_sst_policy_victim(kvi_sst_policy *p);

/** The hash of a block's place, which the cache looks it up by. */
uint64_t kvi_sst_policy_hash(uint64_t file_no, uint64_t offset);

#endif
