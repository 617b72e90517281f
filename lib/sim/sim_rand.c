/*
 * Seeded randomness; see the header for the contract.
 */
#include "sim/sim_rand.h"

#include <string.h>

#include "base/bytes.h"
#include "base/check.h"
#include "base/error.h"
#include "base/hash.h"

static uint64_t rotl(uint64_t x, unsigned k)
{
    return (x << k) | (x >> (64 - k));
}

void kvi_sim_rng_init(kvi_sim_rng *r, uint64_t seed)
{
    for (size_t i = 0; i < 4; i++)
        r->s[i] = kvi_mix64(seed += UINT64_C(0x9e3779b97f4a7c15));
}

uint64_t kvi_sim_rng_next(kvi_sim_rng *r)
{
    uint64_t *s = r->s;
    uint64_t result = rotl(s[1] * 5, 7) * 9;
    uint64_t t = s[1] << 17;

    s[2] ^= s[0];
    s[3] ^= s[1];
    s[1] ^= s[2];
    s[0] ^= s[3];
    s[2] ^= t;
    s[3] = rotl(s[3], 45);
    return result;
}

uint64_t kvi_sim_rng_below(kvi_sim_rng *r, uint64_t n)
{
    uint64_t uneven, x;

    KVI_ASSERT(n > 0);
    uneven = (UINT64_MAX - n + 1) % n;
    do
        x = kvi_sim_rng_next(r);
    while (x < uneven);
    return x % n;
}

bool kvi_sim_rng_chance(kvi_sim_rng *r, uint32_t ppm)
{
    return ppm > 0 && kvi_sim_rng_below(r, KVI_SIM_ALWAYS_PPM) < ppm;
}

static int fill(kvi_os_rand *base, void *buf, size_t len)
{
    kvi_sim_rand *r = KVI_CONTAINER_OF(base, kvi_sim_rand, base);
    uint8_t *p = buf;

    if (r->fail != KV_OK)
        return kvi_error_set(r->fail, "no randomness (simulated)");
    while (len > 0) {
        uint8_t word[8];
        size_t n = kvi_min_size(len, sizeof word);

        kvi_put_u64(word, kvi_sim_rng_next(&r->rng));
        memcpy(p, word, n);
        p += n;
        len -= n;
    }
    return KV_OK;
}

void kvi_sim_rand_init(kvi_sim_rand *r, uint64_t seed)
{
    r->base.fill = fill;
    r->fail = KV_OK;
    kvi_sim_rng_init(&r->rng, seed);
}
