/*
 * Seeded randomness: the generator that all of the simulator draws from, and the randomness seam
 * made of one.
 *
 * The generator is xoshiro256** (Blackman, Vigna, "Scrambled linear pseudorandom number
 * generators", 2021), its state filled by SplitMix64.
 *
 * 1. The same seed gives the same numbers and the same bytes on every machine.
 * 2. A chance of 0 draws nothing, so that a knob that is off does not move the numbers of those
 *    that are on.
 * One thread.
 */
#ifndef KVI_SIM_RAND_H
#define KVI_SIM_RAND_H

#include "os/rand.h"

/** Chances are given in parts per million. */
#define KVI_SIM_ALWAYS_PPM 1000000u

typedef struct kvi_sim_rng {
    uint64_t s[4];
} kvi_sim_rng;

void kvi_sim_rng_init(kvi_sim_rng *r, uint64_t seed);
uint64_t kvi_sim_rng_next(kvi_sim_rng *r);

/** Uniform in [0, n), without bias; n > 0. */
uint64_t kvi_sim_rng_below(kvi_sim_rng *r, uint64_t n);

/** True this often; KVI_SIM_ALWAYS_PPM and above is always. */
bool kvi_sim_rng_chance(kvi_sim_rng *r, uint32_t ppm);

/** The seam. fail is what fill answers instead, while it is not KV_OK. */
typedef struct kvi_sim_rand {
    kvi_os_rand base;
    kvi_sim_rng rng;
    int fail;
} kvi_sim_rand;

void kvi_sim_rand_init(kvi_sim_rand *r, uint64_t seed);

#endif
