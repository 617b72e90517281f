/* lib/sim/sim_rand.c */
#include <criterion/criterion.h>

#include "sim/sim_rand.h"

Test(sim_rand, the_same_seed_gives_the_same_numbers)
{
    kvi_sim_rng a, b, c;
    bool differs = false;

    kvi_sim_rng_init(&a, 42);
    kvi_sim_rng_init(&b, 42);
    kvi_sim_rng_init(&c, 43);
    for (int i = 0; i < 100; i++) {
        uint64_t x = kvi_sim_rng_next(&a);

        cr_assert_eq(x, kvi_sim_rng_next(&b));
        differs = differs || x != kvi_sim_rng_next(&c);
    }
    cr_assert(differs);
}

/* Of the published generators: SplitMix64 from seed 0, and what xoshiro256** makes of it. */
Test(sim_rand, the_numbers_are_the_published_ones)
{
    kvi_sim_rng r;

    kvi_sim_rng_init(&r, 0);
    cr_assert_eq(r.s[0], UINT64_C(0xe220a8397b1dcdaf));
    cr_assert_eq(r.s[1], UINT64_C(0x6e789e6aa1b965f4));
    r.s[0] = 1;
    r.s[1] = 2;
    r.s[2] = 3;
    r.s[3] = 4;
    cr_assert_eq(kvi_sim_rng_next(&r), 11520);
    cr_assert_eq(kvi_sim_rng_next(&r), 0);
    cr_assert_eq(kvi_sim_rng_next(&r), 1509978240);
}

Test(sim_rand, below_stays_below_and_reaches_all)
{
    kvi_sim_rng r;
    unsigned seen = 0;

    kvi_sim_rng_init(&r, 1);
    for (int i = 0; i < 1000; i++) {
        uint64_t x = kvi_sim_rng_below(&r, 7);

        cr_assert_lt(x, 7);
        seen |= 1u << x;
    }
    cr_assert_eq(seen, 127);
    cr_assert_eq(kvi_sim_rng_below(&r, 1), 0);
}

Test(sim_rand, chances_have_two_ends)
{
    kvi_sim_rng r, same;

    kvi_sim_rng_init(&r, 1);
    same = r;
    for (int i = 0; i < 100; i++)
        cr_assert(!kvi_sim_rng_chance(&r, 0));
    cr_assert_arr_eq(&r, &same, sizeof r); /* nothing was drawn */
    for (int i = 0; i < 100; i++)
        cr_assert(kvi_sim_rng_chance(&r, KVI_SIM_ALWAYS_PPM));
}

Test(sim_rand, the_seam_fills_and_fails)
{
    kvi_sim_rand r;
    uint8_t one[13] = {0}, two[13] = {0};

    kvi_sim_rand_init(&r, 9);
    cr_assert_eq(r.base.fill(&r.base, one, sizeof one), KV_OK);
    kvi_sim_rand_init(&r, 9);
    cr_assert_eq(r.base.fill(&r.base, two, sizeof two), KV_OK);
    cr_assert_arr_eq(one, two, sizeof one);
    cr_assert_eq(r.base.fill(&r.base, two, sizeof two), KV_OK);
    cr_assert_arr_neq(one, two, sizeof one);
    r.fail = KV_EIO;
    cr_assert_eq(r.base.fill(&r.base, two, sizeof two), KV_EIO);
}
