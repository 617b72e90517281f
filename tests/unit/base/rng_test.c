/*
 * The repeatable generator: known numbers, even draws, chances.
 */
#include "base/rng.h"

#include <criterion/criterion.h>

/* Of the published reference code, which everyone's SplitMix64 is compared with. */
Test(base_rng, gives_the_reference_numbers)
{
    const uint64_t want[] = {
        UINT64_C(6457827717110365317),  UINT64_C(3203168211198807973),
        UINT64_C(9817491932198370423),  UINT64_C(4593380528125082431),
        UINT64_C(16408922859458223821),
    };
    kvi_rng r;

    kvi_rng_init(&r, 1234567);
    for (size_t i = 0; i < sizeof want / sizeof want[0]; i++)
        cr_assert_eq(kvi_rng_next(&r), want[i], "number %zu", i);
}

Test(base_rng, below_is_even_and_reaches_all)
{
    enum { SIDES = 6, ROLLS = 60000 };
    unsigned seen[SIDES] = {0};
    kvi_rng r;

    kvi_rng_init(&r, 1);
    for (int i = 0; i < ROLLS; i++) {
        uint64_t x = kvi_rng_below(&r, SIDES);

        cr_assert_lt(x, SIDES);
        seen[x]++;
    }
    for (size_t i = 0; i < SIDES; i++)
        cr_assert(seen[i] > ROLLS / SIDES * 9 / 10 && seen[i] < ROLLS / SIDES * 11 / 10,
                  "side %zu: %u", i, seen[i]);
}

/* 2^63 + 1 leaves out nearly half of what is drawn; x % n alone would give the low numbers twice
 * as often. */
Test(base_rng, below_has_no_bias_where_it_would_be_largest)
{
    enum { ROLLS = 20000 };
    const uint64_t n = (UINT64_C(1) << 63) + 1;
    unsigned low = 0;
    kvi_rng r;

    kvi_rng_init(&r, 2);
    for (int i = 0; i < ROLLS; i++) {
        uint64_t x = kvi_rng_below(&r, n);

        cr_assert_lt(x, n);
        low += x < n / 2;
    }
    cr_assert(low > ROLLS / 2 - ROLLS / 20 && low < ROLLS / 2 + ROLLS / 20, "low: %u", low);
}

Test(base_rng, below_one_is_zero)
{
    kvi_rng r;

    kvi_rng_init(&r, 3);
    for (int i = 0; i < 100; i++)
        cr_assert_eq(kvi_rng_below(&r, 1), 0);
    cr_assert_lt(kvi_rng_below(&r, UINT64_MAX), UINT64_MAX);
}

Test(base_rng, never_and_always_draw_nothing)
{
    kvi_rng r, same;

    kvi_rng_init(&r, 4);
    kvi_rng_init(&same, 4);
    cr_assert_not(kvi_rng_chance_ppm(&r, 0));
    cr_assert(kvi_rng_chance_ppm(&r, KVI_RNG_ALWAYS_PPM));
    cr_assert(kvi_rng_chance_ppm(&r, UINT32_MAX));
    cr_assert_eq(kvi_rng_next(&r), kvi_rng_next(&same));
}

Test(base_rng, a_chance_comes_as_often_as_it_says)
{
    enum { TRIES = 100000, PPM = 250000 };
    unsigned hits = 0;
    kvi_rng r;

    kvi_rng_init(&r, 5);
    for (int i = 0; i < TRIES; i++)
        hits += kvi_rng_chance_ppm(&r, PPM);
    cr_assert(hits > TRIES / 4 - TRIES / 50 && hits < TRIES / 4 + TRIES / 50, "hits: %u", hits);
}
