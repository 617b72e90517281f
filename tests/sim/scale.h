/*
 * How much a simulation does: all of it in the debug build, a part where a sanitizer makes every
 * step several times as slow.
 */
#ifndef KVT_SIM_SCALE_H
#define KVT_SIM_SCALE_H

#include "support/rng.h"

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define KVT_SANITIZED 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
#define KVT_SANITIZED 1
#endif
#endif

#ifdef KVT_SANITIZED
#define KVT_SCALED(n) ((n) / 5)
#else
#define KVT_SCALED(n) (n)
#endif

/** How many seeds a check runs. SEEDS counts those of the cluster swarm (c1); one of another check
 *  that costs as much as `worth` of them runs SEEDS / worth, one at least. Not set: fallback. */
static inline uint64_t kvt_seeds(uint64_t worth, uint64_t fallback)
{
    uint64_t seeds = kvt_env_u64("SEEDS", 0) / worth;

    return kvt_env_u64("SEEDS", 0) == 0 ? fallback : seeds == 0 ? 1 : seeds;
}

#endif
