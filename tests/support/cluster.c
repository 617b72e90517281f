/* See cluster.h: the nodes, and what they know. */
#include "support/cluster.h"

#include <stdlib.h>
#include <string.h>

/* --- what nodes know -------------------------------------------------------------------------- */

static bool cl_reachable(void *user, uint64_t node)
{
    const cl_node *n = user;

    return node >= 1 && node <= n->cluster->count && n->believes[node - 1];
}

static uint64_t cl_open_id_of(void *user, uint64_t node)
{
    const cl_node *n = user;

    return node >= 1 && node <= n->cluster->count ? n->knows_open[node - 1] : 0;
}

static void cl_want_serving(void *user)
{
    ((cl_node *)user)->cluster->wanted++;
}

static void cl_persist(void *user, uint64_t bound)
{
    ((cl_node *)user)->persisting = bound;
}

void cl_know(cl_node *n, unsigned other, bool up, uint64_t open_id)
{
    if (n->believes[other] == up && n->knows_open[other] == open_id)
        return;
    n->believes[other] = up;
    n->knows_open[other] = open_id;
    if (n->up) {
        kvi_coordinator_peer_changed(n->c, other + 1);
        kvi_replication_tick(n->r);
    }
}

void kvt_cluster_notice(kvt_cluster *cl, unsigned node)
{
    for (unsigned i = 0; i < cl->count; i++) {
        cl_node *n = &cl->nodes[node];
        bool up = cl->nodes[i].up && !cl->cut[node][i] && !cl->cut[i][node];

        cl_know(n, i, up, up ? cl->nodes[i].fx.cluster.open_id : n->knows_open[i]);
    }
}

void cl_time(kvt_cluster *cl)
{
    for (unsigned i = 0; i < cl->count; i++) {
        cl->nodes[i].fx.cluster.now_ns = cl->now_ns;
        cl->nodes[i].fx.cluster.wall_ms = 1000000000 + (int64_t)(cl->now_ns / 1000000) + 7 * (int)i;
    }
}

void cl_isolate(kvt_cluster *cl, unsigned node, bool away)
{
    for (unsigned i = 0; i < cl->count; i++)
        if (i != node)
            cl->cut[i][node] = cl->cut[node][i] = away;
    for (unsigned i = 0; i < cl->count; i++)
        kvt_cluster_notice(cl, i);
}

/* --- nodes ------------------------------------------------------------------------------------ */

static void cl_open(kvt_cluster *cl, unsigned node)
{
    cl_node *n = &cl->nodes[node];
    kvi_replication_config rc = {0};
    kvi_coordinator_config cc = {0};

    n->fx.cluster.open_id = 1000 + ++cl->opens;
    kvi_rng_init(&n->fx.cluster.rng, kvt_rng_next(&cl->rng));
    n->fx.cluster.next_birth = 0;
    memset(n->fx.cluster.birth_floors, 0, sizeof n->fx.cluster.birth_floors);
    n->persisting = 0;
    rc.mem = &cl->mem;
    rc.effects = &n->fx.port;
    rc.cluster = &n->fx.cluster;
    KVI_ASSERT(kvi_replication_new(&rc, &n->r) == KV_OK);
    cc.mem = &cl->mem;
    cc.effects = &n->fx.port;
    cc.cluster = &n->fx.cluster;
    cc.replication = n->r;
    cc.hlc_bound = n->hlc_bound;
    cc.persist_hlc = cl_persist;
    cc.user = n;
    KVI_ASSERT(kvi_coordinator_new(&cc, &n->c) == KV_OK);
    n->up = true;
    n->knows_open[node] = n->fx.cluster.open_id;
    n->believes[node] = true;
}

/* Ends the node's coordinator and replica; what they still send is lost. */
static void cl_down(kvt_cluster *cl, unsigned node, bool crash)
{
    cl_node *n = &cl->nodes[node];

    n->dying = crash;
    if (crash)
        kvt_effects_cancel(&n->fx);
    kvi_coordinator_cancel_all(n->c);
    for (unsigned i = 0; i < 3 || !kvi_coordinator_idle(n->c); i++) {
        KVI_ASSERT(i < 1000);
        kvi_coordinator_tick(n->c);
        kvt_effects_run(&n->fx);
        if (i > 20) { /* time for what tries again */
            cl->now_ns += 50000000;
            cl_time(cl);
        }
    }
    if (!crash)
        kvt_effects_cancel(&n->fx);
    kvt_effects_run(&n->fx);
    kvi_coordinator_free(n->c);
    kvi_replication_free(n->r);
    kvt_effects_forget_sent(&n->fx);
    n->up = n->dying = false;
}

void kvt_cluster_crash(kvt_cluster *cl, unsigned node)
{
    cl_down(cl, node, true);
}

void kvt_cluster_reopen(kvt_cluster *cl, unsigned node)
{
    kvt_effects_reopen(&cl->nodes[node].fx);
    cl_open(cl, node);
    kvt_cluster_notice(cl, node);
}

/* --- the whole -------------------------------------------------------------------------------- */

kvi_ring *cl_ring(kvt_cluster *cl, uint8_t n, bool serve)
{
    kvi_ring_params params;
    kvi_ring_policy lww;
    kvi_ring *ring = NULL, *next = NULL;

    memset(&params, 0, sizeof params);
    params.uuid[0] = 1;
    params.token_seed = 7;
    params.secret[0] = 1;
    params.secret[1] = 2;
    params.bits = 7;
    params.policy.n = n;
    params.policy.r = params.policy.w = KV_QUORUM;
    params.first.weight = 1;
    params.first.zone = "";
    params.first.address = "1";
    params.first.node_id = 1;
    KVI_ASSERT(kvi_ring_create(&cl->mem, &params, &ring) == KV_OK);
    for (uint32_t i = 2; i <= cl->count; i++) {
        kvi_ring_member member = params.first;

        member.node_id = i;
        KVI_ASSERT(kvi_ring_join(ring, &member, &next) == KV_OK && next);
        kvi_ring_free(ring);
        ring = next;
    }
    lww = params.policy;
    lww.conflict = KV_LAST_WRITE_WINS;
    KVI_ASSERT(kvi_ring_add_space(ring, "lww", &lww, &next) == KV_OK && next);
    kvi_ring_free(ring);
    ring = next;
    if (serve) {
        KVI_ASSERT(kvi_ring_serve(ring, &next) == KV_OK && next);
        kvi_ring_free(ring);
        ring = next;
    }
    return ring;
}

void cl_set_ring(kvt_cluster *cl, kvi_ring *ring)
{
    kvi_ring *old = cl->ring;

    cl->ring = ring;
    for (unsigned i = 0; i < cl->count; i++) {
        cl->nodes[i].fx.cluster.ring = ring;
        if (cl->nodes[i].up)
            kvi_coordinator_ring_changed(cl->nodes[i].c);
    }
    kvi_ring_free(old);
}

kvt_cluster *kvt_cluster_new(uint64_t seed, unsigned count, uint8_t n, const kvi_mem *mem)
{
    kvt_cluster *cl = calloc(1, sizeof *cl);

    KVI_ASSERT(cl && count <= CL_NODES_MAX);
    kvt_rng_init(&cl->rng, seed);
    if (mem)
        cl->mem = *mem;
    else
        kvi_mem_init(&cl->mem, NULL);
    cl->count = count;
    cl->now_ns = 1000000000;
    cl->delay_max_ns = 1000000;
    for (unsigned i = 0; i < count; i++) {
        cl_node *node = &cl->nodes[i];

        node->cluster = cl;
        node->index = i;
        kvt_effects_init(&node->fx, kvt_rng_next(&cl->rng));
        node->fx.cluster.self = i + 1;
        node->fx.cluster.user = node;
        node->fx.cluster.reachable = cl_reachable;
        node->fx.cluster.open_id_of = cl_open_id_of;
        node->fx.cluster.want_serving = cl_want_serving;
    }
    cl_time(cl);
    cl_set_ring(cl, cl_ring(cl, n, true));
    for (unsigned i = 0; i < count; i++)
        cl_open(cl, i);
    for (unsigned i = 0; i < count; i++)
        kvt_cluster_notice(cl, i);
    return cl;
}

void kvt_cluster_free(kvt_cluster *cl)
{
    for (unsigned i = 0; i < cl->count; i++)
        if (cl->nodes[i].up)
            cl_down(cl, i, false);
    for (size_t i = 0; i < cl->parcel_count; i++)
        kvi_buf_deinit(&cl->parcels[i].sent.bytes);
    kvi_ring_free(cl->ring);
    for (unsigned i = 0; i < cl->count; i++) {
        cl->nodes[i].fx.cluster.ring = NULL;
        kvt_effects_deinit(&cl->nodes[i].fx);
    }
    free(cl->parcels);
    free(cl);
}
