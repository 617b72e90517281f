/*
 * One seed of the swarm; see the header.
 */
#include "sim/c1_run.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/check.h"
#include "sim/c1_clients.h"
#include "sim/c1_nemesis.h"
#include "sim/sim_cluster.h"

#define CALM_STEP_NS (500 * C1_MS)
#define CALM_STEPS   240u /* two minutes: the pauses of those that were long away */
#define LOSSY_STEPS  10u
#define REPAIR_NS    (2 * C1_S)
#define REQUESTS_NS  (15 * C1_S) /* more than twice the longest time-out */
#define RETURN_NS    (50 * C1_MS)

typedef struct run {
    c1_plan plan;
    c1_cluster cluster;
    c1_oracle oracle;
    c1_clients clients;
    c1_nemesis nemesis;
} run;

static void broken(run *r)
{
    c1_oracle_blame(&r->oracle, "%s", r->cluster.why);
}

/* Clients and faults take turns with the world. */
static bool faulty(run *r)
{
    uint64_t begin = kv_sim_now(r->cluster.sim), end = begin + C1_FAULTY_NS;
    uint64_t pause = 2 * C1_FAULTY_NS / r->plan.ops;
    uint64_t client_at = begin, fault_at = begin + r->plan.pause_ms * C1_MS, now = begin;

    while (now < end && r->oracle.violations == 0) {
        uint64_t next = client_at < fault_at ? client_at : fault_at;

        next = next < now + RETURN_NS ? next : now + RETURN_NS;
        if (next > now)
            kv_sim_run(r->cluster.sim, next - now);
        now = kv_sim_now(r->cluster.sim);
        if (!c1_nemesis_return(&r->nemesis))
            return false;
        if (now >= fault_at)
            fault_at = now + c1_nemesis_turn(&r->nemesis);
        if (now >= client_at) {
            c1_clients_turn(&r->clients);
            client_at = now + kvt_rng_below(&r->clients.rng, pause + 1);
        }
        now = kv_sim_now(r->cluster.sim);
    }
    return true;
}

/* No faults, no writes: hints come home, at first over the network as it was. */
static bool calm(run *r)
{
    uint64_t hints = 0, end = kv_sim_now(r->cluster.sim) + REQUESTS_NS;

    if (!c1_nemesis_end(&r->nemesis))
        return false;
    for (unsigned i = 0; i < CALM_STEPS; i++) {
        kv_sim_run(r->cluster.sim, CALM_STEP_NS);
        if (i == LOSSY_STEPS && kv_sim_set_network(r->cluster.sim, NULL))
            return false;
        if ((r->oracle.open > 0 || r->cluster.crashes + r->cluster.closes == 0) &&
            kv_sim_now(r->cluster.sim) < end)
            continue; /* writes that were begun may go on for as long */
        if (c1_cluster_quiet(&r->cluster, &hints) && hints == 0)
            break;
    }
    return true;
}

static void play(run *r)
{
    if (!c1_cluster_form(&r->cluster)) {
        broken(r);
        return;
    }
    if (!r->plan.cold && !c1_clients_warm(&r->clients)) {
        c1_oracle_blame(&r->oracle, "a cluster without faults takes no put");
        return;
    }
    if (kv_sim_set_network(r->cluster.sim, &r->plan.network))
        c1_oracle_blame(&r->oracle, "kv_sim_set_network: %s", kv_error_detail());
    if (!faulty(r) || r->oracle.violations > 0 || !calm(r)) {
        if (r->oracle.violations == 0)
            broken(r);
        return;
    }
    if (r->cluster.crashes + r->cluster.closes == 0)
        c1_oracle_spread(&r->oracle);
    c1_clients_read_all(&r->clients, false);
    kv_sim_run(r->cluster.sim, REPAIR_NS);
    c1_clients_read_all(&r->clients, true);
    c1_oracle_final(&r->oracle);
}

static void add(c1_figures *f, const run *r)
{
    f->seeds++;
    f->events += kv_sim_events(r->cluster.sim);
    f->messages += r->oracle.messages;
    f->looks += r->oracle.looks;
    f->violations += r->oracle.violations;
    f->ops += r->oracle.count;
    f->batches += r->clients.batches;
    f->walks += r->clients.walks;
    for (unsigned i = 0; i < C1_OUTCOMES; i++)
        f->outcomes[i] += r->oracle.outcomes[i];
    f->cuts += r->nemesis.cuts;
    f->heals += r->nemesis.heals;
    f->crashes += r->cluster.crashes;
    f->pauses += r->nemesis.pauses;
    f->jumps += r->nemesis.jumps;
    f->storms += r->nemesis.storms;
    f->disks += r->nemesis.disks;
    f->closes += r->cluster.closes;
    if (r->oracle.most_siblings > f->most_siblings)
        f->most_siblings = r->oracle.most_siblings;
}

void c1_run(uint64_t seed, c1_figures *figures, c1_verdict *out)
{
    run *r = calloc(1, sizeof *r);

    KVI_ASSERT(r);
    memset(out, 0, sizeof *out);
    c1_plan_draw(&r->plan, seed);
    if (!c1_cluster_init(&r->cluster, &r->plan)) {
        (void)snprintf(out->why, sizeof out->why, "%s", r->cluster.why);
        free(r);
        return;
    }
    c1_oracle_init(&r->oracle, &r->cluster);
    c1_clients_init(&r->clients, &r->cluster, &r->oracle, seed);
    c1_nemesis_init(&r->nemesis, &r->cluster, seed);
    kvi_sim_net_tap(&r->cluster.sim->net, c1_oracle_tap, &r->oracle);
    play(r);
    out->good = r->oracle.violations == 0;
    out->trace = kv_sim_trace(r->cluster.sim);
    out->digest = r->oracle.digest;
    out->events = kv_sim_events(r->cluster.sim);
    (void)snprintf(out->why, sizeof out->why, "%s", r->oracle.why);
    add(figures, r);
    c1_cluster_deinit(&r->cluster); /* what is under way ends in here */
    c1_clients_deinit(&r->clients);
    c1_oracle_deinit(&r->oracle);
    free(r);
}
