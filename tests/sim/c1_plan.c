/*
 * What a seed of the safety swarm draws; see the header.
 */
#include "sim/c1_plan.h"

#include <string.h>

static const char *const NAMES[C1_KEYS] = {
    "a0", "a1", "a2",     "a3",     "a4",     "a5",     "a6", "a7", "a8", "a9",
    "b0", "b1", "{p}/b2", "{p}/b3", "{p}/b4", "{p}/b5", "c0", "c1", "c2", "c3",
};

const char *c1_key_name(unsigned key)
{
    return NAMES[key];
}

unsigned c1_key_named(kv_slice name)
{
    unsigned i = 0;

    while (i < C1_KEYS &&
           (strlen(NAMES[i]) != name.len || memcmp(NAMES[i], name.data, name.len) != 0))
        i++;
    return i;
}

static void draw_network(kv_sim_network *net, kvt_rng *r)
{
    *net = (kv_sim_network)KV_SIM_NETWORK_INIT;
    if (c1_chance(r, 20))
        return; /* only what the nemesis does */
    net->loss_ppm = (uint32_t)c1_between(r, 0, 50000);
    net->duplicate_ppm = (uint32_t)c1_between(r, 0, 50000);
    if (c1_chance(r, 60)) {
        net->slow_ppm = (uint32_t)c1_between(r, 0, 50000);
        net->slow_ns = c1_between(r, 10, 2000) * C1_MS;
    }
}

void c1_plan_draw(c1_plan *p, uint64_t seed)
{
    kvt_rng r;

    kvt_rng_init(&r, seed);
    *p = (c1_plan){.seed = seed};
    p->machines = (unsigned)c1_between(&r, 3, C1_MACHINES_MAX);
    p->n = c1_chance(&r, 15) ? 2 : 3;
    p->durability = c1_chance(&r, 75) ? KV_DISK : KV_OS;
    p->ring_bits = (uint8_t)c1_between(&r, 7, 8); /* a ring has at most Q / 16 members */
    p->lww = c1_chance(&r, 15);
    p->cold = c1_chance(&r, 20);
    p->blocking = c1_chance(&r, 30);
    p->ops = (unsigned)c1_between(&r, C1_OPS_MIN, C1_OPS_MAX);
    draw_network(&p->network, &r);
    p->pause_ms = (unsigned)c1_between(&r, 300, 4000);
    p->cuts = c1_chance(&r, 75);
    p->crashes = c1_chance(&r, 75);
    p->pauses = c1_chance(&r, 40);
    p->clocks = c1_chance(&r, 40);
    p->weather = c1_chance(&r, 30);
    /* What is not synced yet is lost with a sync that fails, whatever became of the process. */
    p->disks = c1_chance(&r, 25) && p->durability == KV_DISK;
    p->large = c1_chance(&r, 15) && !c1_plan_tiny(p);
}
