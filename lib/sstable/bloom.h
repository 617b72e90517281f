/*
 * A blocked Bloom filter: each key sets its bits within one line of 64 bytes, so that asking
 * costs one cache miss (Putze, Sanders, Singler, "Cache-, Hash- and Space-Efficient Bloom
 * Filters", 2007, section 3). Pure; any thread.
 *
 * The 64-bit key hash is the caller's, computed once for all tables. Its upper half picks the
 * line (multiply-shift), its lower half the probes by double hashing (Kirsch, Mitzenmacher, "Less
 * Hashing, Same Performance", 2006): with h the lower half and d = (h rotated right by 17) | 1,
 * probe i is the top 9 bits of h + i * d in 32 bits. Bit b of a line is bit b % 8 of its byte b /
 * 8. At 10 bits a key about 1 % of absent keys pass.
 */
#ifndef KVI_SSTABLE_BLOOM_H
#define KVI_SSTABLE_BLOOM_H

#include "base/buf.h"

#define KVI_SST_BLOOM_BITS       10u /* a key */
#define KVI_SST_BLOOM_PROBES     6u
#define KVI_SST_BLOOM_PROBES_MAX 30u /* in a filter that is read */

/** Builds the filter block's payload over the hashes of all keys; replaces out. */
int kvi_sst_bloom_build(const uint64_t *hashes, size_t count, kvi_buf *out) KVI_NODISCARD;

typedef struct kvi_sst_bloom {
    const uint8_t *lines; /* borrowed */
    uint32_t line_count;
    uint32_t probes;
} kvi_sst_bloom;

/** Checks a payload; KV_ECORRUPT where it is no filter (the detail is the caller's to set, who
 * knows the file). The bloom borrows it. */
int kvi_sst_bloom_open(kvi_slice payload, kvi_sst_bloom *out) KVI_NODISCARD;

/** false: the key is surely absent. */
bool kvi_sst_bloom_may_have(const kvi_sst_bloom *b, uint64_t hash);

#endif
