/*
 * The swarm's cluster; see the header for the contract.
 */
#include "sim/c1_cluster.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "api/store.h"
#include "base/check.h"
#include "node/node.h"
#include "replication/key.h"
#include "sim/sim_cluster.h"

#define FORM_STEP_NS (200 * C1_MS)
#define FORM_STEPS   300u
#define SPACE        KVI_RING_SPACE_DEFAULT

/* See c1_plan_tiny(). */
static const kvi_lsm_shape TINY = {
    .memtable_bytes = 8 << 10,
    .segment_bytes = 8 << 10,
    .block_bytes = 512,
    .table_bytes = 8 << 10,
    .level1_bytes = 32 << 10,
    .level_ratio = 4,
    .level0_compact = 3,
    .level0_stall = 8,
};

/* One write must be able to hold some siblings of large values. */
static const kvi_lsm_shape ROOMY = {
    .memtable_bytes = 2 << 20,
    .segment_bytes = 1 << 20,
    .block_bytes = 4096,
    .table_bytes = 1 << 20,
    .level1_bytes = 4 << 20,
    .level_ratio = 4,
    .level0_compact = 4,
    .level0_stall = 12,
};
#define ROOMY_MEMORY ((size_t)32 << 20)

/* --- the life of machines --------------------------------------------------------------------- */

static bool failed(c1_cluster *c, unsigned machine, const char *what, int err)
{
    (void)snprintf(c->why, sizeof c->why, "machine %u: %s: %s: %s", machine, what, kv_strerror(err),
                   kv_error_detail());
    return false;
}

bool c1_cluster_open(c1_cluster *c, unsigned machine)
{
    static const char *const SEEDS[] = {"m0", "m1"};
    c1_machine *m = &c->machines[machine];
    kv_options o = KV_OPTIONS_INIT;
    kv_policy policy = KV_POLICY_INIT;
    char listen[16];
    int err;

    (void)snprintf(listen, sizeof listen, "m%u", machine);
    policy.n = (uint8_t)c->plan->n;
    policy.conflict = c->plan->lww ? KV_LAST_WRITE_WINS : KV_SIBLINGS;
    o.durability = c->plan->durability;
    o.listen = listen;
    o.seeds = SEEDS;
    o.seed_count = 2;
    o.compression = KV_COMPRESS_NONE;
    if (machine == 0) {
        o.start = KV_CREATE;
        o.policy = &policy;
    }
    o.memory = c->plan->large ? ROOMY_MEMORY : 0;
    err = kvi_sim_open_shaped(c->sim, machine, &o,
                              c->plan->large          ? &ROOMY
                              : c1_plan_tiny(c->plan) ? &TINY
                                                      : NULL,
                              &m->db);
    if (err)
        return failed(c, machine, "open", err);
    c->opens++;
    m->up_at = 0;
    return true;
}

void c1_cluster_kill(c1_cluster *c, unsigned machine, bool closes)
{
    c1_machine *m = &c->machines[machine];
    kv *db = m->db;
    int err;

    KVI_ASSERT(db);
    c1_cluster_pause(c, machine, false);
    m->db = NULL; /* callbacks must not look into it */
    m->down_at = kv_sim_now(c->sim);
    m->downs++;
    if (closes) {
        c->closes++;
        err = kv_close(db);
        KVI_ASSERT(err == KV_OK || m->ailing);
    } else {
        c->crashes++;
        err = kv_sim_crash(c->sim, machine,
                           c->plan->durability == KV_OS ? KV_SIM_PROCESS_END : KV_SIM_POWER_LOSS);
        KVI_ASSERT(err == KV_OK);
    }
    kv_sim_disk_errors(c->sim, machine, 0);
    m->ailing = false;
}

static void set_idle(c1_cluster *c, c1_machine *m, bool idle)
{
    uint64_t now = kv_sim_now(c->sim);

    if (idle && !m->idle_since)
        m->idle_since = now;
    if (!idle && m->idle_since) {
        m->idle_ns += now - m->idle_since;
        m->idle_since = 0;
    }
}

void c1_cluster_pause(c1_cluster *c, unsigned machine, bool paused)
{
    c1_machine *m = &c->machines[machine];

    if (m->paused == paused)
        return;
    m->paused = paused;
    set_idle(c, m, paused);
    kv_sim_pause(c->sim, machine, paused);
}

void c1_cluster_blocking(c1_cluster *c, unsigned machine, bool begins)
{
    set_idle(c, &c->machines[machine], begins);
}

uint64_t c1_cluster_idle_ns(const c1_cluster *c, unsigned machine)
{
    const c1_machine *m = &c->machines[machine];

    return m->idle_ns + (m->idle_since ? kv_sim_now(c->sim) - m->idle_since : 0);
}

unsigned c1_cluster_up(const c1_cluster *c)
{
    unsigned up = 0;

    for (unsigned i = 0; i < c->plan->machines; i++)
        up += c->machines[i].db != NULL;
    return up;
}

bool c1_cluster_init(c1_cluster *c, const c1_plan *plan)
{
    kv_sim_options o = KV_SIM_OPTIONS_INIT;
    int err;

    memset(c, 0, sizeof *c);
    c->plan = plan;
    kvi_mem_init(&c->mem, NULL);
    kvi_buf_init(&c->physical, &c->mem);
    o.seed = plan->seed;
    o.machines = plan->machines;
    o.partitions_log2 = plan->ring_bits;
    err = kv_sim_new(&o, &c->sim);
    if (err)
        return failed(c, 0, "kv_sim_new", err);
    return true;
}

void c1_cluster_deinit(c1_cluster *c)
{
    for (unsigned i = 0; c->sim && i < c->plan->machines; i++)
        if (c->machines[i].db)
            c1_cluster_kill(c, i, false);
    kv_sim_free(c->sim);
    kvi_buf_deinit(&c->physical);
}

/* --- the ring --------------------------------------------------------------------------------- */

const kvi_ring *c1_cluster_ring(const c1_cluster *c)
{
    const kvi_ring *best = NULL;

    for (unsigned i = 0; i < c->plan->machines; i++) {
        const kvi_ring *ring =
            c->machines[i].db ? kvi_node_ring(c->machines[i].db->store->node) : NULL;

        if (ring && (!best || kvi_ring_epoch(ring) > kvi_ring_epoch(best)))
            best = ring;
    }
    return best;
}

static unsigned machine_of(const c1_cluster *c, uint64_t node)
{
    unsigned i = 0;

    while (i < c->plan->machines && c->machines[i].node != node)
        i++;
    KVI_ASSERT(i < c->plan->machines);
    return i;
}

unsigned c1_cluster_walk(const c1_cluster *c, kvi_slice key, unsigned *out_machines,
                         unsigned *primaries)
{
    const kvi_ring *ring = c1_cluster_ring(c);
    uint64_t nodes[KVI_RING_LIST_MAX];
    unsigned count;

    KVI_ASSERT(ring);
    *primaries = kvi_ring_effective_n(ring, c->plan->n);
    count = kvi_ring_walk(ring, kvi_ring_partition(ring, kvi_ring_token(ring, key)), c->plan->n,
                          nodes, C1_MACHINES_MAX);
    for (unsigned i = 0; i < count; i++)
        out_machines[i] = machine_of(c, nodes[i]);
    return count;
}

static bool all_members(c1_cluster *c)
{
    for (unsigned i = 0; i < c->plan->machines; i++) {
        size_t count = 0;

        if (kv_members(c->machines[i].db, NULL, &count) || count != c->plan->machines)
            return false;
    }
    return true;
}

static void learn_nodes(c1_cluster *c)
{
    uint32_t count;
    const kvi_ring_member *members = kvi_ring_members(c1_cluster_ring(c), &count);

    for (uint32_t i = 0; i < count; i++)
        c->machines[strtoul(members[i].address + 1, NULL, 10)].node = members[i].node_id;
}

bool c1_cluster_form(c1_cluster *c)
{
    for (unsigned i = 0; i < c->plan->machines; i++)
        if (!c1_cluster_open(c, i))
            return false;
    for (unsigned i = 0; i < FORM_STEPS; i++) {
        kv_sim_run(c->sim, FORM_STEP_NS);
        if (all_members(c)) {
            learn_nodes(c);
            return true;
        }
    }
    (void)snprintf(c->why, sizeof c->why, "the cluster does not form");
    return false;
}

bool c1_cluster_quiet(c1_cluster *c, uint64_t *hints)
{
    bool quiet = true;

    *hints = 0;
    for (unsigned i = 0; i < c->plan->machines; i++) {
        kv_member members[C1_MACHINES_MAX];
        size_t count = C1_MACHINES_MAX;

        for (unsigned k = 0; k < C1_MACHINES_MAX; k++)
            members[k] = (kv_member)KV_MEMBER_INIT;
        if (!c->machines[i].db || kv_members(c->machines[i].db, members, &count) ||
            count != c->plan->machines) {
            quiet = false;
            continue;
        }
        for (unsigned k = 0; k < count; k++) {
            quiet = quiet && members[k].state == KV_MEMBER_ALIVE;
            *hints += members[k].hints;
        }
    }
    return quiet;
}

/* --- looks ------------------------------------------------------------------------------------ */

int c1_cluster_object(c1_cluster *c, unsigned machine, kvi_slice key, kvi_buf *out)
{
    const kvi_ring *ring = c1_cluster_ring(c);
    kvi_lsm_get get = {.seq = KVI_LSM_SEQ_LATEST};
    kvi_lsm_value value = {0};
    kvi_buf copy;
    int err;

    KVI_ASSERT(ring && c->machines[machine].db);
    kvi_buf_clear(&c->physical);
    err = kvi_key_data(&c->physical, SPACE, kvi_ring_token(ring, key), key);
    if (err)
        return err;
    kvi_buf_init(&copy, &c->mem);
    get.key = kvi_buf_slice(&c->physical);
    err = kvi_lsm_get_value(c->machines[machine].db->store->lsm, &get, &copy, &value);
    if (!err) {
        err = kvi_buf_set(out, value.data.data, value.data.len);
        kvi_lsm_value_release(&value);
    }
    kvi_buf_deinit(&copy);
    return err;
}
