/*
 * The hash functions: XXH3 (xxHash), seeded. Pure.
 *
 * kvi_hash64 serves checksums, keys, Bloom filters and seeds derived from others. kvi_mix64 spreads
 * the bits of a number (the finaliser of SplitMix64: Steele, Lea, Flood, "Fast splittable
 * pseudorandom number generators", 2014).
 */
#ifndef KVI_BASE_HASH_H
#define KVI_BASE_HASH_H

#include "base/slice.h"

uint64_t kvi_hash64(const void *data, size_t len, uint64_t seed);

static inline uint64_t kvi_mix64(uint64_t x)
{
    x ^= x >> 30;
    x *= UINT64_C(0xbf58476d1ce4e5b9);
    x ^= x >> 27;
    x *= UINT64_C(0x94d049bb133111eb);
    return x ^ (x >> 31);
}

#endif
