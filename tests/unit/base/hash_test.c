/*
 * The hash is in the formats on disk, so its values are pinned: those of xxHash's own test suite.
 */
#include "base/hash.h"

#include <criterion/criterion.h>

static void fill(uint8_t *data, size_t len)
{
    uint64_t state = UINT64_C(2654435761);

    for (size_t i = 0; i < len; i++) {
        data[i] = (uint8_t)(state >> 56);
        state *= UINT64_C(11400714785074694797);
    }
}

Test(base_hash, values_are_those_of_xxh3)
{
    static const struct {
        size_t len;
        uint64_t seed, hash;
    } expected[] = {
        {0, 0, UINT64_C(0x2d06800538d394c2)},  {1, 0, UINT64_C(0xc44bdff4074eecdb)},
        {6, 0, UINT64_C(0x27b56a84cd2d7325)},  {12, 0, UINT64_C(0xa713daf0dfbb77e7)},
        {24, 0, UINT64_C(0xa3fe70bf9d3510eb)}, {48, 0, UINT64_C(0x397da259ecba1f11)},
        {80, 0, UINT64_C(0xbcdefbbb2c47c90a)}, {195, 0, UINT64_C(0xcd94217ee362ec3a)},
    };
    uint8_t data[256];

    fill(data, sizeof data);
    for (size_t i = 0; i < sizeof expected / sizeof expected[0]; i++)
        cr_assert(kvi_hash64(data, expected[i].len, expected[i].seed) == expected[i].hash,
                  "length %zu", expected[i].len);
}

Test(base_hash, empty_needs_no_data)
{
    cr_assert(kvi_hash64(NULL, 0, 0) == kvi_hash64("", 0, 0));
}

Test(base_hash, seed_and_every_byte_count)
{
    uint8_t data[100];

    fill(data, sizeof data);
    for (size_t len = 1; len <= sizeof data; len++) {
        uint64_t before = kvi_hash64(data, len, 5);

        cr_assert(before != kvi_hash64(data, len, 6), "length %zu", len);
        data[len - 1] ^= 1;
        cr_assert(before != kvi_hash64(data, len, 5), "length %zu", len);
        data[len - 1] ^= 1;
    }
}

Test(base_hash, mix_is_a_permutation_that_spreads)
{
    /* The first outputs of SplitMix64 seeded with 0. */
    cr_assert(kvi_mix64(UINT64_C(0x9e3779b97f4a7c15)) == UINT64_C(0xe220a8397b1dcdaf));
    cr_assert(kvi_mix64(UINT64_C(0x3c6ef372fe94f82a)) == UINT64_C(0x6e789e6aa1b965f4));
    cr_assert(kvi_mix64(0) == 0);
}
