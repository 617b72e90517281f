/*
 * C1 to C4, the safety swarm: clusters of 3 to 7 machines under requests and faults, all from one
 * number; an oracle that knows every request judges what is read, what the replicas hold when a
 * write is acknowledged, and the final state (sim/c1_oracle.h says what must hold).
 *
 * SEED: the first seed. SEEDS: how many. One in twenty runs twice and must leave the same trace.
 */
#include <criterion/criterion.h>
#include <stdio.h>
#include <time.h>

#include "base/hash.h"
#include "sim/c1_run.h"
#include "sim/scale.h"

#define SEEDS       KVT_SCALED(20u)
#define TWICE_EVERY 20u
#define FAILED_MAX  5u /* then it is enough */

static double seconds(void)
{
    struct timespec t;

    (void)clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static void print_figures(const c1_figures *f, double spent)
{
    static const int CODES[] = {KV_OK,        KV_ENOTFOUND,    KV_ESIBLINGS, KV_EUNCERTAIN,
                                KV_ECANCELED, KV_EUNAVAILABLE, KV_EBUSY};

    fprintf(stderr,
            "c1: %llu seeds (%llu twice), %llu events, %.0f a second and core, %.3f s a seed; %llu "
            "messages, %llu looks, up to %u siblings\n",
            (unsigned long long)f->seeds, (unsigned long long)f->twice,
            (unsigned long long)f->events, (double)f->events / spent,
            spent / (double)(f->seeds ? f->seeds : 1), (unsigned long long)f->messages,
            (unsigned long long)f->looks, f->most_siblings);
    fprintf(stderr, "c1: %llu operations, %llu batches, %llu walks:", (unsigned long long)f->ops,
            (unsigned long long)f->batches, (unsigned long long)f->walks);
    for (unsigned i = 0; i < sizeof CODES / sizeof CODES[0]; i++)
        fprintf(stderr, " %s %llu;", kv_strerror(CODES[i]),
                (unsigned long long)f->outcomes[-CODES[i]]);
    fprintf(
        stderr,
        "\nc1: %llu cuts, %llu heals, %llu crashes, %llu pauses, %llu clocks, %llu storms, %llu "
        "sick disks, %llu closes; %llu violations\n",
        (unsigned long long)f->cuts, (unsigned long long)f->heals, (unsigned long long)f->crashes,
        (unsigned long long)f->pauses, (unsigned long long)f->jumps, (unsigned long long)f->storms,
        (unsigned long long)f->disks, (unsigned long long)f->closes,
        (unsigned long long)f->violations);
    fprintf(stderr, "c1: traces %016llx\n", (unsigned long long)f->traces);
}

static bool run_seed(uint64_t seed, c1_figures *figures)
{
    c1_verdict v, again;

    c1_run(seed, figures, &v);
    figures->traces = kvi_mix64(figures->traces ^ v.trace) + v.digest;
    if (v.good && seed % TWICE_EVERY == 0) {
        c1_figures unused = {0};

        c1_run(seed, &unused, &again);
        figures->twice++;
        if (again.trace != v.trace || again.digest != v.digest || again.events != v.events) {
            v.good = false;
            (void)snprintf(v.why, sizeof v.why, "it runs differently the second time");
        }
    }
    if (!v.good)
        fprintf(stderr, "c1: SEED=%llu: %s\nc1: again: make sim SEEDS=1 SEED=%llu\n",
                (unsigned long long)seed, v.why, (unsigned long long)seed);
    return v.good;
}

/* Every second seed: two tests, for two processors. */
static void swarm(uint64_t half)
{
    uint64_t first = kvt_env_u64("SEED", 1), seeds = kvt_env_u64("SEEDS", SEEDS);
    double begin = seconds();
    c1_figures figures = {0};
    unsigned failed = 0;

    for (uint64_t seed = first; seed < first + seeds && failed < FAILED_MAX; seed++)
        if (seed % 2 == half)
            failed += !run_seed(seed, &figures);
    if (figures.seeds > 0)
        print_figures(&figures, seconds() - begin);
    cr_assert_eq(failed, 0, "%u seeds failed", failed);
}

Test(c1, even)
{
    swarm(0);
}

Test(c1, odd)
{
    swarm(1);
}
