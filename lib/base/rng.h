/*
 * Pseudorandom numbers for code that must be repeatable: SplitMix64 (Steele, Lea, Flood, "Fast
 * splittable pseudorandom number generators", 2014), one word of state.
 *
 * 1. The same seed gives the same numbers on every machine.
 * 2. A chance that is never or always draws nothing, so that what is off does not move the numbers
 *    of what is on.
 * Not for secrets: who sees one number knows all that follow. One thread at a time.
 */
#ifndef KVI_BASE_RNG_H
#define KVI_BASE_RNG_H

#include "base/check.h"
#include "base/hash.h"

/** Chances are given in parts per million; this and above is always. */
#define KVI_RNG_ALWAYS_PPM 1000000u

typedef struct kvi_rng {
    uint64_t state;
} kvi_rng;

static inline void kvi_rng_init(kvi_rng *r, uint64_t seed)
{
    r->state = seed;
}

static inline uint64_t kvi_rng_next(kvi_rng *r)
{
    r->state += UINT64_C(0x9e3779b97f4a7c15);
    return kvi_mix64(r->state);
}

/** Uniform in [0, n), without bias; n > 0. What lies below the remainder of 2^64 by n is drawn
 *  anew, with a chance of less than one half. */
static inline uint64_t kvi_rng_below(kvi_rng *r, uint64_t n)
{
    uint64_t uneven, x;

    KVI_ASSERT(n > 0);
    uneven = (UINT64_MAX - n + 1) % n;
    do
        x = kvi_rng_next(r);
    while (x < uneven);
    return x % n;
}

/** True this often. */
static inline bool kvi_rng_chance_ppm(kvi_rng *r, uint32_t ppm)
{
    if (ppm == 0 || ppm >= KVI_RNG_ALWAYS_PPM)
        return ppm != 0;
    return kvi_rng_below(r, KVI_RNG_ALWAYS_PPM) < ppm;
}

#endif
