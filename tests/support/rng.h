/*
 * Random numbers for tests: xoshiro256**, seeded through splitmix64.
 *
 * 1. The same seed gives the same numbers on every machine.
 * 2. State is the caller's; no two threads share one without a lock of their own.
 *
 * Also the two numbers that a run takes from outside: SEED (which) and SEEDS (how many).
 */
#ifndef KVT_SUPPORT_RNG_H
#define KVT_SUPPORT_RNG_H

#include <stdint.h>
#include <stdlib.h>

typedef struct kvt_rng {
    uint64_t s[4];
} kvt_rng;

static inline void kvt_rng_init(kvt_rng *r, uint64_t seed)
{
    for (int i = 0; i < 4; i++) {
        uint64_t z = (seed += UINT64_C(0x9e3779b97f4a7c15));
        z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
        z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
        r->s[i] = z ^ (z >> 31);
    }
}

static inline uint64_t kvt_rng_rotl(uint64_t x, int k)
{
    return (x << k) | (x >> (64 - k));
}

static inline uint64_t kvt_rng_next(kvt_rng *r)
{
    uint64_t *s = r->s;
    uint64_t result = kvt_rng_rotl(s[1] * 5, 7) * 9;
    uint64_t t = s[1] << 17;
    s[2] ^= s[0];
    s[3] ^= s[1];
    s[1] ^= s[2];
    s[0] ^= s[3];
    s[2] ^= t;
    s[3] = kvt_rng_rotl(s[3], 45);
    return result;
}

/* Uniform in [0, n); n > 0. Draws again in the uneven tail, so that there is no bias. */
static inline uint64_t kvt_rng_below(kvt_rng *r, uint64_t n)
{
    uint64_t uneven = (UINT64_MAX - n + 1) % n;
    uint64_t x;
    do
        x = kvt_rng_next(r);
    while (x < uneven);
    return x % n;
}

/* The number in the environment variable name (decimal, or 0x…), or fallback when unset or bad. */
static inline uint64_t kvt_env_u64(const char *name, uint64_t fallback)
{
    const char *text = getenv(name);
    char *end = NULL;
    if (!text || !*text)
        return fallback;
    unsigned long long value = strtoull(text, &end, 0);
    return *end == '\0' ? (uint64_t)value : fallback;
}

#endif
