/*
 * Nodes without the api above them: each on a simulated machine of its own, over the simulated
 * network, stepped in turn while time passes a millisecond at a time. For the tests of node.
 */
#ifndef KVT_UNIT_NODE_NODES_H
#define KVT_UNIT_NODE_NODES_H

#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "node/impl.h"
#include "sim/sim_env.h"
#include "sim/sim_net.h"

#define NODES_MAX 5
#define MS        UINT64_C(1000000)

#define OK(call) cr_assert_eq((call), KV_OK, "%s: %s", #call, kvi_error_detail())

typedef struct machine {
    kvi_sim_env env;
    kvi_budget budget;
    kvi_lsm *lsm;
    kvi_node *node; /* NULL: closed */
    kv_transport transport;
    kvi_node_identity identity;
    char name[16];
} machine;

typedef struct nodes {
    kvi_mem mem;
    kvi_sim_world world;
    kvi_sim_net net;
    unsigned count;
    machine m[NODES_MAX];
    kvi_ring_policy policy;
    const char *seeds[NODES_MAX];
    unsigned seed_count;
} nodes;

static const kvi_lsm_shape nodes_shape = {
    .memtable_bytes = 64 << 10,
    .segment_bytes = 64 << 10,
    .block_bytes = 1 << 10,
    .table_bytes = 64 << 10,
    .level1_bytes = 256 << 10,
    .level_ratio = 4,
    .level0_compact = 4,
    .level0_stall = 12,
};

static inline void nodes_open_engine(machine *m)
{
    const kvi_lsm_options o = {
        .env = &m->env.os,
        .budget = &m->budget,
        .path = "store",
        .may_create = true,
        .log = true,
        .compression = KV_COMPRESS_NONE,
        .shape = nodes_shape,
    };
    bool created;

    OK(kvi_lsm_open(&o, &m->lsm, &created));
}

static inline void nodes_never_woken(kvi_lsm_waiter *self, int result)
{
    (void)self;
    cr_assert_eq(result, -1000, "the machine has one thread, and nothing is full");
}

/* Writes a record as kv_open() does, and waits until it is durable. */
static inline void nodes_put_record(machine *m, char letter, const void *bytes, size_t len)
{
    uint8_t key[KVI_RECORD_KEY_LEN];
    kvi_lsm_op op = {KVI_KIND_PUT, {key, sizeof key}, {bytes, len}, 0};
    kvi_lsm_waiter waiter = {.wake = nodes_never_woken};
    kvi_lsm_write w = {.ops = &op, .count = 1, .waiter = &waiter};

    kvi_list_init(&waiter.link);
    kvi_record_key(letter, key);
    OK(kvi_lsm_write_ops(m->lsm, &w));
    OK(kvi_lsm_sync(m->lsm, w.last_seq, &waiter));
}

static inline void nodes_identify(machine *m)
{
    uint8_t bytes[KVI_RECORD_IDENTITY_LEN];

    OK(kvi_identity_next(m->lsm, &m->env.os, &m->identity));
    kvi_identity_encode(&m->identity, bytes);
    nodes_put_record(m, KVI_RECORD_IDENTITY, bytes, sizeof bytes);
}

static inline kvi_node_config nodes_config(nodes *n, unsigned i)
{
    machine *m = &n->m[i];

    return (kvi_node_config){.env = &m->env.os,
                             .lsm = m->lsm,
                             .budget = &m->budget,
                             .logged = true,
                             .durability = KV_DISK,
                             .value_max = 60 << 10,
                             .batch_max = kvi_lsm_write_max(m->lsm),
                             .identity = m->identity,
                             .policy = n->policy,
                             .create = i == 0,
                             .transport = &m->transport,
                             .listen = m->name,
                             .seeds = n->seeds,
                             .seed_count = i == 0 ? 0 : n->seed_count,
                             .zone = "",
                             .weight = 100,
                             .ring_bits = 6};
}

static inline int nodes_open_try(nodes *n, unsigned i)
{
    machine *m = &n->m[i];
    kvi_node_config config;

    nodes_open_engine(m);
    nodes_identify(m);
    config = nodes_config(n, i);
    return kvi_node_open(&config, &m->node);
}

static inline void nodes_open(nodes *n, unsigned i)
{
    OK(nodes_open_try(n, i));
}

static inline void nodes_close_engine(machine *m)
{
    OK(kvi_lsm_close(m->lsm));
    kvi_sim_env_restart(&m->env);
}

static inline void nodes_close(nodes *n, unsigned i)
{
    kvi_node_close(n->m[i].node);
    n->m[i].node = NULL;
    nodes_close_engine(&n->m[i]);
}

/* Machines that are all closed yet. Seeds: "m0". */
static inline nodes *nodes_begin(unsigned count)
{
    nodes *n = calloc(1, sizeof *n);

    cr_assert_not_null(n);
    kvi_mem_init(&n->mem, NULL);
    kvi_sim_world_init(&n->world, &n->mem, 1);
    OK(kvi_sim_net_init(&n->net, &n->world, &n->mem, count));
    n->net.knobs = (kvi_sim_net_knobs){.delay_min_ns = MS / 4, .delay_max_ns = MS / 2};
    n->count = count;
    n->policy = (kvi_ring_policy){3, KV_QUORUM, KV_QUORUM, KV_AP, KV_SIBLINGS, 0};
    n->seeds[0] = "m0";
    n->seed_count = 1;
    for (unsigned i = 0; i < count; i++) {
        machine *m = &n->m[i];

        OK(kvi_sim_env_init(&m->env, &n->mem, i + 1));
        kvi_budget_init(&m->budget, 8 << 20);
        kvi_sim_net_transport(&n->net.endpoints[i], &m->transport);
        (void)snprintf(m->name, sizeof m->name, "m%u", i);
    }
    return n;
}

static inline void nodes_end(nodes *n)
{
    for (unsigned i = 0; i < n->count; i++) {
        if (n->m[i].node)
            nodes_close(n, i);
        kvi_sim_env_deinit(&n->m[i].env);
    }
    kvi_sim_net_deinit(&n->net);
    kvi_sim_world_deinit(&n->world);
    free(n);
}

/* Time passes. */
static inline void nodes_run(nodes *n, unsigned ms)
{
    while (ms-- > 0) {
        kvi_sim_world_run(&n->world, n->world.now_ns + MS, NULL, NULL);
        for (unsigned i = 0; i < n->count; i++) {
            kvi_sim_clock_advance(&n->m[i].env.clock, MS);
            if (!n->m[i].node)
                continue;
            kvi_node_step(n->m[i].node, 0, 1);
            (void)kvi_sim_exec_run_all(&n->m[i].env.exec, 100);
            kvi_node_step(n->m[i].node, 0, 1);
        }
    }
}

static inline uint64_t nodes_epoch(const nodes *n, unsigned i)
{
    const kvi_ring *ring = kvi_node_ring(n->m[i].node);

    return ring ? kvi_ring_epoch(ring) : 0;
}

/* Opens all and lets them form. */
static inline nodes *nodes_form(unsigned count)
{
    nodes *n = nodes_begin(count);

    for (unsigned i = 0; i < count; i++)
        nodes_open(n, i);
    nodes_run(n, 3000);
    for (unsigned i = 0; i < count; i++) {
        cr_assert_not_null(kvi_node_ring(n->m[i].node), "node %u: %s", i,
                           kvi_node_joining_detail(n->m[i].node));
        cr_assert_eq(kvi_ring_weighted(kvi_node_ring(n->m[i].node)), count);
        cr_assert_eq(nodes_epoch(n, i), nodes_epoch(n, 0));
    }
    return n;
}

/* --- spaces ------------------------------------------------------------------------------- */

typedef struct asking {
    kvi_space_ask ask;
    unsigned ended;
} asking;

static inline void asking_done(kvi_space_ask *s)
{
    KVI_CONTAINER_OF(s, asking, ask)->ended++;
}

static inline void nodes_ask(nodes *n, unsigned i, asking *a, const char *name,
                             const kvi_ring_policy *policy)
{
    memset(a, 0, sizeof *a);
    a->ask.name = name;
    a->ask.policy = policy;
    a->ask.timeout_ns = 2000 * MS;
    a->ask.done = asking_done;
    kvi_node_refresh(n->m[i].node);
    kvi_node_ask_space(n->m[i].node, &a->ask);
}

#endif
