/*
 * Power loss at every mutation of the disk.
 *
 * A run of drawn operations; before each change of the disk, the disk is copied as a power loss
 * would leave it: with nothing, all, or a drawn part of what no sync covered. Each copy is
 * recovered and judged (sim/power.h), and of some the recovery is cut short again.
 *
 * SEED: the first seed. SEEDS: one run of each kind for every 1,000 (sim/scale.h). A failure names
 * the seed of its run: with that as SEED it is the first.
 */
#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "sim/scale.h"
#include "sim/workload.h"

#define OPS          KVT_SCALED(2000u)
#define WORTH        1000u /* seeds of the swarm, by what they cost */
#define NESTED_EVERY 150u  /* distinct copies: 200 and more in all have their recovery cut short */

static double seconds(void)
{
    struct timespec t;

    (void)clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static void report(const char *name, const kvt_workload *w, double begin)
{
    const kvt_power *p = &w->power;

    fprintf(stderr,
            "s1: %s, SEED=%llu: %llu mutations, %llu points, %llu copies, %llu distinct, %llu "
            "opened; recovery cut short of %llu (%llu copies); %llu lives, %llu crashes, %llu "
            "flushes, %llu compactions, %llu renames, level %llu; %.1f s\n",
            name, (unsigned long long)w->seed, (unsigned long long)w->mutations,
            (unsigned long long)p->points, (unsigned long long)p->copies,
            (unsigned long long)p->distinct, (unsigned long long)p->opened,
            (unsigned long long)p->nested, (unsigned long long)p->nested_copies,
            (unsigned long long)w->lives, (unsigned long long)w->crashes,
            (unsigned long long)w->flushes, (unsigned long long)w->compactions,
            (unsigned long long)w->renames, (unsigned long long)w->deepest, seconds() - begin);
}

/** durability KV_DEFAULT: another plan in every life. */
static void run_seed(uint64_t seed, const char *name, bool mapped, uint8_t durability)
{
    double begin = seconds();
    kvt_workload w;
    bool good;

    kvt_workload_init(&w, seed);
    w.plan.mapped = mapped;
    w.plan.options.durability = durability;
    w.plan.options.compression = mapped ? KV_COMPRESS_NONE : 1;
    w.changing = durability == KV_DEFAULT;
    if (w.changing)
        w.life = 80;
    w.cutting = true;
    w.power.nested_every = NESTED_EVERY;
    good = kvt_workload_run(&w, OPS);
    report(name, &w, begin);
    kvt_workload_deinit(&w);
    cr_assert(good, "%s", w.why);
}

static void run(const char *name, bool mapped, uint8_t durability)
{
    uint64_t first = kvt_env_u64("SEED", 1), runs = kvt_seeds(WORTH, 1);

    for (uint64_t seed = first; seed < first + runs; seed++)
        run_seed(seed, name, mapped, durability);
}

Test(s1, log_written)
{
    run("log written", false, KV_OS);
}

Test(s1, log_mapped)
{
    run("log mapped", true, KV_DISK);
}

Test(s1, no_log)
{
    run("no log", false, KV_MEMORY);
}

Test(s1, changing)
{
    run("changing", true, KV_DEFAULT);
}

/* --- the control of all simulations ----------------------------------------------------------- */

static uint64_t trace_of(uint64_t seed, bool mapped)
{
    kvt_workload w;
    uint64_t trace;
    bool good;

    kvt_workload_init(&w, seed);
    w.plan.mapped = mapped;
    w.tracing = true;
    good = kvt_workload_run(&w, OPS);
    trace = w.trace;
    kvt_workload_deinit(&w);
    cr_assert(good, "%s", w.why);
    return trace;
}

/* The whole disk is hashed before every mutation, and every result is. Between the two runs memory
 * is taken, so that nothing lies where it lay. */
static void check_traces(bool mapped)
{
    uint64_t seed = kvt_env_u64("SEED", 1), trace = trace_of(seed, mapped);
    void *in_the_way[64];

    for (size_t i = 0; i < 64; i++)
        in_the_way[i] = malloc(1 + i * 211 % 5000);
    cr_assert_eq(trace, trace_of(seed, mapped), "SEED=%llu gave two traces",
                 (unsigned long long)seed);
    cr_assert_neq(trace, trace_of(seed + 1, mapped), "the trace does not depend on the seed");
    for (size_t i = 0; i < 64; i++)
        free(in_the_way[i]);
}

Test(s1, same_seed_same_trace)
{
    check_traces(false);
    check_traces(true);
}
