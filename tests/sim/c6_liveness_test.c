/*
 * C6, liveness: some machines are broken for ever (down, cut off, deaf, mute, standing still), the
 * others, a majority, are well. Every request at a machine that stays up ends within twice its
 * time-out; and where the broken ones neither hear nor are heard, every put at a healthy machine
 * succeeds once that is known, since as many as it needs can be reached.
 *
 * SEED: the first seed. SEEDS: one for every four (sim/scale.h).
 */
#include <criterion/criterion.h>
#include <stdio.h>

#include "sim/c1_clients.h"
#include "sim/scale.h"
#include "sim/sim_cluster.h"

#define SEEDS     KVT_SCALED(20u)
#define WORTH     4u /* as sim/scale.h counts: a fourth of the swarm's */
#define OPS       200u
#define FAULTY_NS (40 * C1_S)
#define KNOWN_NS  (20 * C1_S) /* by then everybody knows who is broken */
#define DRAIN_NS  (11 * C1_S) /* more than twice the longest time-out */

enum breakage { DOWN, CUT_OFF, DEAF, MUTE, STILL, BREAKAGES };

typedef struct world {
    c1_plan plan;
    c1_cluster cluster;
    c1_oracle oracle;
    c1_clients clients;
    kvt_rng rng;
    bool broken[C1_MACHINES_MAX];
    bool half; /* some broken one is still heard, or hears */
} world;

static void break_one(world *w, unsigned machine)
{
    enum breakage how = (enum breakage)kvt_rng_below(&w->rng, BREAKAGES);

    w->broken[machine] = true;
    w->half = w->half || how == DEAF || how == MUTE;
    if (how == DOWN)
        c1_cluster_kill(&w->cluster, machine, false);
    else if (how == STILL)
        c1_cluster_pause(&w->cluster, machine, true);
    for (unsigned i = 0; i < w->plan.machines; i++) {
        if (how == CUT_OFF || how == DEAF)
            kv_sim_cut(w->cluster.sim, i, machine, 1);
        if (how == CUT_OFF || how == MUTE)
            kv_sim_cut(w->cluster.sim, machine, i, 1);
    }
}

/* As many as leave a majority whole. Machine 0 alone makes the cluster serve: it does by now. */
static void break_some(world *w)
{
    unsigned most = (w->plan.machines - 1) / 2, count = (unsigned)c1_between(&w->rng, 1, most);

    while (count > 0) {
        unsigned i = (unsigned)kvt_rng_below(&w->rng, w->plan.machines);

        if (w->broken[i])
            continue;
        break_one(w, i);
        count--;
    }
}

/* Puts at healthy machines, once all is known, that were not given up. */
static void check_puts(world *w, uint64_t known_ns)
{
    for (unsigned i = 0; !w->half && i < w->oracle.count; i++) {
        const c1_op *op = &w->oracle.ops[i];

        if (op->call == KV_REQUEST_PUT && op->begin_ns >= known_ns && !w->broken[op->machine] &&
            !op->primaries_only && op->w <= w->plan.n / 2 + 1 && op->err != KV_OK &&
            op->err != KV_ESIBLINGS && !op->canceled)
            c1_oracle_blame(&w->oracle, "request %u (put %s at machine %u, w %u) ended as %s",
                            op->id, c1_key_name(op->key), op->machine, op->w, kv_strerror(op->err));
    }
}

static void play(world *w)
{
    uint64_t begin, end;

    if (!c1_cluster_form(&w->cluster) || !c1_clients_warm(&w->clients)) {
        c1_oracle_blame(&w->oracle, "the cluster does not serve: %s", w->cluster.why);
        return;
    }
    break_some(w);
    begin = kv_sim_now(w->cluster.sim);
    end = begin + FAULTY_NS;
    while (kv_sim_now(w->cluster.sim) < end && w->oracle.violations == 0) {
        c1_clients_turn(&w->clients);
        kv_sim_run(w->cluster.sim, kvt_rng_below(&w->rng, 2 * FAULTY_NS / OPS));
    }
    kv_sim_run(w->cluster.sim, DRAIN_NS);
    for (unsigned i = 0; i < w->oracle.count; i++)
        if (w->oracle.ops[i].end_ns == 0 && !w->cluster.machines[w->oracle.ops[i].machine].paused)
            c1_oracle_blame(&w->oracle, "live: request %u at machine %u has not ended", i + 1,
                            w->oracle.ops[i].machine);
    check_puts(w, begin + KNOWN_NS);
}

static bool run_seed(uint64_t seed, uint64_t *requests)
{
    world *w = calloc(1, sizeof *w);
    bool good;

    cr_assert_not_null(w);
    c1_plan_draw(&w->plan, seed);
    w->plan.blocking = false; /* a call that waits holds up the others of its machine */
    kvt_rng_init(&w->rng, seed ^ 0xc6);
    cr_assert(c1_cluster_init(&w->cluster, &w->plan), "%s", w->cluster.why);
    c1_oracle_init(&w->oracle, &w->cluster);
    c1_clients_init(&w->clients, &w->cluster, &w->oracle, seed);
    kvi_sim_net_tap(&w->cluster.sim->net, c1_oracle_tap, &w->oracle);
    play(w);
    good = w->oracle.violations == 0;
    if (!good)
        fprintf(stderr, "c6: SEED=%llu: %s\nc6: again: make sim SEEDS=1 SEED=%llu\n",
                (unsigned long long)seed, w->oracle.why, (unsigned long long)seed);
    *requests += w->oracle.count;
    c1_cluster_deinit(&w->cluster);
    c1_clients_deinit(&w->clients);
    c1_oracle_deinit(&w->oracle);
    free(w);
    return good;
}

Test(c6, liveness)
{
    uint64_t first = kvt_env_u64("SEED", 1), seeds = kvt_seeds(WORTH, SEEDS), requests = 0;
    unsigned failed = 0;

    for (uint64_t seed = first; seed < first + seeds; seed++)
        failed += !run_seed(seed, &requests);
    fprintf(stderr, "c6: %llu seeds, %llu requests, %u failed\n", (unsigned long long)seeds,
            (unsigned long long)requests, failed);
    cr_assert_eq(failed, 0, "%u seeds failed", failed);
}
