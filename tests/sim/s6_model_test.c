/*
 * A store against a sorted array: every call of the interface for a store that stands alone, in
 * drawn order, equal at every step (sim/twin.h).
 *
 * SEED: the first seed. SEEDS: one run of OPS operations for every 100 (sim/scale.h).
 */
#include <criterion/criterion.h>
#include <stdio.h>
#include <time.h>

#include "sim/scale.h"
#include "sim/twin.h"

#define OPS   KVT_SCALED(50000u)
#define SEEDS 20u
#define WORTH 100u /* seeds of the swarm, by what they cost */
#define KINDS 4u   /* of plans: kvt_twin_init() tells them by the seed */

static double seconds(void)
{
    struct timespec t;

    (void)clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static void run_seed(uint64_t seed)
{
    double begin = seconds();
    kvt_twin m;
    bool good;

    kvt_twin_init(&m, seed);
    good = kvt_twin_run(&m, OPS);
    fprintf(stderr,
            "s6: SEED=%llu: %llu operations, %llu writes, %llu checks, %llu scans, %llu reopened, "
            "%llu flushes, %llu compactions, level %llu; %.1f s\n",
            (unsigned long long)seed, (unsigned long long)m.ops, (unsigned long long)m.h.writes,
            (unsigned long long)m.checks, (unsigned long long)m.scans,
            (unsigned long long)m.reopened, (unsigned long long)m.flushes,
            (unsigned long long)m.compactions, (unsigned long long)m.deepest, seconds() - begin);
    kvt_twin_deinit(&m);
    cr_assert(good, "%s", m.why);
}

static void run_kind(uint64_t kind)
{
    uint64_t first = kvt_env_u64("SEED", 1), seeds = kvt_seeds(WORTH, SEEDS);

    for (uint64_t seed = first; seed < first + seeds; seed++)
        if (seed % KINDS == kind)
            run_seed(seed);
}

Test(s6, log_a)
{
    run_kind(0);
}

Test(s6, log_b)
{
    run_kind(1);
}

Test(s6, no_log)
{
    run_kind(2);
}

Test(s6, in_memory)
{
    run_kind(3);
}
