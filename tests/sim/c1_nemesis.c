/*
 * The swarm's nemesis; see the header.
 */
#include "sim/c1_nemesis.h"

#include <string.h>

#include "base/check.h"

static unsigned any(c1_nemesis *n)
{
    return (unsigned)kvt_rng_below(&n->rng, n->cluster->plan->machines);
}

static void cut(c1_nemesis *n, unsigned a, unsigned b, bool both)
{
    if (a == b)
        return;
    kv_sim_cut(n->cluster->sim, a, b, 1);
    if (both)
        kv_sim_cut(n->cluster->sim, b, a, 1);
}

static void cuts(c1_nemesis *n)
{
    unsigned count = n->cluster->plan->machines, one = any(n);
    uint64_t side = kvt_rng_next(&n->rng);
    bool both = c1_chance(&n->rng, 60);

    n->cuts++;
    switch (kvt_rng_below(&n->rng, 4)) {
    case 0: /* in two halves */
        for (unsigned a = 0; a < count; a++)
            for (unsigned b = 0; b < count; b++)
                if (side >> a & 1 && !(side >> b & 1))
                    cut(n, a, b, both);
        break;
    case 1: /* one is alone */
        for (unsigned b = 0; b < count; b++) {
            cut(n, one, b, both);
            if (!both && side & 1)
                cut(n, b, one, false);
        }
        break;
    case 2: /* some links */
        for (unsigned i = 0; i < count; i++) {
            unsigned from = any(n);

            cut(n, from, any(n), both);
        }
        break;
    default:
        cut(n, one, any(n), both);
        break;
    }
}

static void crash(c1_nemesis *n)
{
    c1_cluster *c = n->cluster;
    unsigned i = any(n);

    if (!c->machines[i].db || c1_cluster_up(c) < 2)
        return;
    c1_cluster_kill(c, i, c1_chance(&n->rng, 25));
    c->machines[i].up_at = kv_sim_now(c->sim) + c1_between(&n->rng, 10 * C1_MS, C1_DOWN_MAX);
    n->resume_at[i] = 0;
    n->crashes++;
}

static void pause_one(c1_nemesis *n)
{
    c1_cluster *c = n->cluster;
    unsigned i = any(n);

    if (!c->machines[i].db || c->machines[i].paused)
        return;
    c1_cluster_pause(c, i, true);
    n->resume_at[i] = kv_sim_now(c->sim) + c1_between(&n->rng, 100 * C1_MS, C1_PAUSE_MAX);
    n->pauses++;
}

static void clocks(c1_nemesis *n)
{
    c1_cluster *c = n->cluster;
    unsigned i = any(n);
    int64_t to = (int64_t)kvt_rng_below(&n->rng, C1_JUMP_MAX_MS + 1) - C1_JUMP_MAX_MS / 2;

    n->jumps++;
    if (c1_chance(&n->rng, 50)) {
        kv_sim_clock_drift(c->sim, i,
                           (int32_t)kvt_rng_below(&n->rng, 2 * C1_DRIFT_PPM + 1) - C1_DRIFT_PPM);
        return;
    }
    kv_sim_clock_jump(c->sim, i, to - c->machines[i].jumped_ms);
    c->machines[i].jumped_ms = to;
}

/* A machine whose disk fails is ended later, and opened again on a disk that works. */
static void disks(c1_nemesis *n)
{
    c1_cluster *c = n->cluster;
    unsigned i = any(n);

    if (!c->machines[i].db)
        return;
    kv_sim_disk_errors(c->sim, i, (uint32_t)c1_between(&n->rng, 1000, 300000));
    c->machines[i].ailing = true;
    n->sick_until[i] = kv_sim_now(c->sim) + c1_between(&n->rng, 100 * C1_MS, 5 * C1_S);
    n->disks++;
}

static void set_network(c1_nemesis *n, const kv_sim_network *network)
{
    int err = kv_sim_set_network(n->cluster->sim, network);

    KVI_ASSERT(err == KV_OK);
}

static void weather(c1_nemesis *n)
{
    kv_sim_network storm = n->cluster->plan->network;

    if (c1_chance(&n->rng, 50)) {
        set_network(n, &storm);
        return;
    }
    storm.loss_ppm = (uint32_t)c1_between(&n->rng, 0, 400000);
    storm.duplicate_ppm = (uint32_t)c1_between(&n->rng, 0, 300000);
    set_network(n, &storm);
    n->storms++;
}

uint64_t c1_nemesis_turn(c1_nemesis *n)
{
    const c1_plan *p = n->cluster->plan;

    switch (kvt_rng_below(&n->rng, 8)) {
    case 0:
    case 1:
        if (p->cuts)
            cuts(n);
        break;
    case 2:
    case 3:
        kv_sim_heal(n->cluster->sim);
        n->heals++;
        break;
    case 4:
    case 5:
        if (p->crashes)
            crash(n);
        break;
    case 6:
        if (p->pauses)
            pause_one(n);
        break;
    default:
        if (p->clocks)
            clocks(n);
        if (p->weather)
            weather(n);
        if (p->disks)
            disks(n);
        break;
    }
    return c1_between(&n->rng, 50 * C1_MS, 2 * p->pause_ms * C1_MS);
}

bool c1_nemesis_return(c1_nemesis *n)
{
    c1_cluster *c = n->cluster;
    uint64_t now = kv_sim_now(c->sim);

    for (unsigned i = 0; i < c->plan->machines; i++) {
        c1_machine *m = &c->machines[i];

        if (!m->db && m->up_at <= now && !c1_cluster_open(c, i))
            return false;
        if (m->db && m->ailing && n->sick_until[i] <= now) {
            c1_cluster_kill(c, i, c1_chance(&n->rng, 25));
            m->up_at = now + 10 * C1_MS;
        }
        if (m->paused && n->resume_at[i] <= now)
            c1_cluster_pause(c, i, false);
    }
    return true;
}

bool c1_nemesis_end(c1_nemesis *n)
{
    c1_cluster *c = n->cluster;

    kv_sim_heal(c->sim);
    set_network(n, &c->plan->network);
    for (unsigned i = 0; i < c->plan->machines; i++) {
        c1_machine *m = &c->machines[i];

        kv_sim_clock_drift(c->sim, i, 0);
        c1_cluster_pause(c, i, false);
        if (m->db && m->ailing)
            c1_cluster_kill(c, i, false);
        if (!m->db && !c1_cluster_open(c, i))
            return false;
    }
    return true;
}

void c1_nemesis_init(c1_nemesis *n, c1_cluster *c, uint64_t seed)
{
    memset(n, 0, sizeof *n);
    n->cluster = c;
    kvt_rng_init(&n->rng, seed ^ UINT64_C(0x4e6d6573));
}
