/*
 * A cluster of coordinators with their replicas for tests: in virtual time, over a network that
 * delays, loses, doubles and reorders, with nodes that crash and are opened again. One seed decides
 * all.
 *
 *     kvt_cluster_new(&cl, seed, nodes, n);
 *     kvt_cluster_begin(&cl, at, &request);        any number of times
 *     while (kvt_cluster_step(&cl)) …              what is due next, in drawn order
 *     kvt_cluster_free(&cl);
 *
 * 1. A message that was sent to one opening of a node never reaches another one.
 * 2. What a node believes (who is reachable, who is open as what) is told to it by
 *    kvt_cluster_notice(), or by what it receives; it may be wrong meanwhile.
 * 3. A crash loses what was not synced, and all requests that the node had.
 */
#ifndef KVT_COORDINATOR_CLUSTER_H
#define KVT_COORDINATOR_CLUSTER_H

#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>

#include "coordinator/coordinator.h"
#include "replication/key.h"
#include "support/fake_effects.h"
#include "vclock/context.h"
#include "vclock/object.h"

#define CL_NODES_MAX 6u
#define CL_LWW       16u /* the id of a last-write-wins space */
#define CL_NONE      ((unsigned)-1)

typedef struct cl_parcel {
    kvt_sent sent;
    unsigned from, to;
    uint64_t from_open, to_open, at_ns;
    unsigned copies;
} cl_parcel;

struct kvt_cluster;

typedef struct cl_node {
    struct kvt_cluster *cluster;
    unsigned index;
    kvt_effects fx;
    kvi_coordinator *c;
    kvi_replication *r;
    bool up, dying;
    uint64_t hlc_bound, persisting;
    bool believes[CL_NODES_MAX];
    uint64_t knows_open[CL_NODES_MAX];
} cl_node;

typedef struct kvt_cluster {
    kvt_rng rng;
    kvi_mem mem; /* of the nodes' coordinators and replicas */
    unsigned count;
    cl_node nodes[CL_NODES_MAX];
    bool cut[CL_NODES_MAX][CL_NODES_MAX]; /* from, to */
    kvi_ring *ring;
    cl_parcel *parcels;
    size_t parcel_count, parcel_cap;
    uint64_t now_ns, opens;
    unsigned loss_ppm, double_ppm;
    uint64_t delay_max_ns;
    uint64_t delivered[KVI_WIRE_KINDS];
    unsigned wanted; /* want_serving was called */
} kvt_cluster;

/* --- what nodes know -------------------------------------------------------------------------- */

static inline bool cl_reachable(void *user, uint64_t node)
{
    const cl_node *n = user;

    return node >= 1 && node <= n->cluster->count && n->believes[node - 1];
}

static inline uint64_t cl_open_id_of(void *user, uint64_t node)
{
    const cl_node *n = user;

    return node >= 1 && node <= n->cluster->count ? n->knows_open[node - 1] : 0;
}

static inline void cl_want_serving(void *user)
{
    ((cl_node *)user)->cluster->wanted++;
}

static inline void cl_persist(void *user, uint64_t bound)
{
    ((cl_node *)user)->persisting = bound;
}

/* --- nodes ------------------------------------------------------------------------------------ */

static inline void cl_know(cl_node *n, unsigned other, bool up, uint64_t open_id)
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

/** node sees the others as they are. */
static inline void kvt_cluster_notice(kvt_cluster *cl, unsigned node)
{
    for (unsigned i = 0; i < cl->count; i++) {
        cl_node *n = &cl->nodes[node];
        bool up = cl->nodes[i].up && !cl->cut[node][i] && !cl->cut[i][node];

        cl_know(n, i, up, up ? cl->nodes[i].fx.cluster.open_id : n->knows_open[i]);
    }
}

static inline void cl_time(kvt_cluster *cl)
{
    for (unsigned i = 0; i < cl->count; i++) {
        cl->nodes[i].fx.cluster.now_ns = cl->now_ns;
        cl->nodes[i].fx.cluster.wall_ms = 1000000000 + (int64_t)(cl->now_ns / 1000000) + 7 * (int)i;
    }
}

static inline void cl_open(kvt_cluster *cl, unsigned node)
{
    cl_node *n = &cl->nodes[node];
    kvi_replication_config rc = {0};
    kvi_coordinator_config cc = {0};

    n->fx.cluster.open_id = 1000 + ++cl->opens;
    kvi_rng_init(&n->fx.cluster.rng, kvt_rng_next(&cl->rng));
    n->fx.cluster.next_birth = n->fx.cluster.birth_floor = 0;
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
static inline void cl_down(kvt_cluster *cl, unsigned node, bool crash)
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

static inline void kvt_cluster_crash(kvt_cluster *cl, unsigned node)
{
    cl_down(cl, node, true);
}

static inline void kvt_cluster_reopen(kvt_cluster *cl, unsigned node)
{
    kvt_effects_reopen(&cl->nodes[node].fx);
    cl_open(cl, node);
    kvt_cluster_notice(cl, node);
}

static inline kvi_ring *cl_ring(kvt_cluster *cl, uint8_t n, bool serve)
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

static inline void cl_set_ring(kvt_cluster *cl, kvi_ring *ring)
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

static inline kvt_cluster *kvt_cluster_new(uint64_t seed, unsigned count, uint8_t n,
                                           const kvi_mem *mem)
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

static inline void cl_drop(cl_parcel *p)
{
    kvi_buf_deinit(&p->sent.bytes);
}

static inline void kvt_cluster_free(kvt_cluster *cl)
{
    for (unsigned i = 0; i < cl->count; i++)
        if (cl->nodes[i].up)
            cl_down(cl, i, false);
    for (size_t i = 0; i < cl->parcel_count; i++)
        cl_drop(&cl->parcels[i]);
    kvi_ring_free(cl->ring);
    for (unsigned i = 0; i < cl->count; i++) {
        cl->nodes[i].fx.cluster.ring = NULL;
        kvt_effects_deinit(&cl->nodes[i].fx);
    }
    free(cl->parcels);
    free(cl);
}

/* --- the network ------------------------------------------------------------------------------ */

static inline bool cl_chance(kvt_cluster *cl, unsigned ppm)
{
    return ppm > 0 && kvt_rng_below(&cl->rng, 1000000) < ppm;
}

static inline uint64_t cl_delay(kvt_cluster *cl)
{
    uint64_t delay = 1000 + kvt_rng_below(&cl->rng, cl->delay_max_ns);

    return kvt_rng_below(&cl->rng, 50) == 0 ? delay * 300 : delay;
}

/* What a node has sent goes on its way. */
static inline void cl_post(kvt_cluster *cl, unsigned from)
{
    cl_node *n = &cl->nodes[from];

    for (size_t i = 0; i < n->fx.sent_count; i++) {
        cl_parcel p = {.sent = n->fx.sent[i], .from = from, .copies = 1};

        p.to = (unsigned)(p.sent.to - 1);
        p.from_open = n->fx.cluster.open_id;
        p.to_open = n->knows_open[p.to];
        p.at_ns = cl->now_ns + cl_delay(cl);
        if (cl_chance(cl, cl->double_ppm))
            p.copies = 2 + (unsigned)kvt_rng_below(&cl->rng, 2);
        if (cl->parcel_count == cl->parcel_cap) {
            cl->parcel_cap = cl->parcel_cap ? cl->parcel_cap * 2 : 256;
            cl->parcels = realloc(cl->parcels, cl->parcel_cap * sizeof *cl->parcels);
            KVI_ASSERT(cl->parcels);
        }
        if (cl_chance(cl, cl->loss_ppm))
            cl_drop(&p);
        else
            cl->parcels[cl->parcel_count++] = p;
    }
    n->fx.sent_count = 0;
}

static inline void cl_receive(kvt_cluster *cl, const cl_parcel *p)
{
    cl_node *n = &cl->nodes[p->to];
    const kvi_wire_message *m = &p->sent.m;
    bool to_replica = m->kind == KVI_WIRE_APPLY || m->kind == KVI_WIRE_READ ||
                      m->kind == KVI_WIRE_SCAN ||
                      (m->kind == KVI_WIRE_APPLY_ACK && (m->u.apply_ack.id & KVI_REPLICATION_ID));

    if (!n->up || cl->cut[p->from][p->to] || (p->to_open && p->to_open != n->fx.cluster.open_id))
        return;
    cl->delivered[m->kind]++;
    /* A sign of life of an opening that is over teaches nothing. */
    if (cl->nodes[p->from].fx.cluster.open_id == p->from_open &&
        n->knows_open[p->from] != p->from_open)
        cl_know(n, p->from, n->believes[p->from], p->from_open);
    if (to_replica)
        kvi_replication_receive(n->r, p->from + 1, m);
    else
        kvi_coordinator_receive(n->c, p->from + 1, p->from_open, m);
}

static inline void cl_deliver(kvt_cluster *cl, size_t i)
{
    cl_parcel p = cl->parcels[i];

    if (--cl->parcels[i].copies > 0) {
        cl->parcels[i].at_ns = cl->now_ns + cl_delay(cl) * 20;
        p.sent.bytes.data = NULL; /* kept by the parcel */
    } else {
        cl->parcels[i] = cl->parcels[--cl->parcel_count];
    }
    cl_receive(cl, &p);
    if (p.sent.bytes.data)
        cl_drop(&p);
}

/* --- steps ------------------------------------------------------------------------------------ */

static inline bool cl_tick(kvt_cluster *cl, cl_node *n)
{
    bool any = false;

    if (n->up && kvi_coordinator_deadline(n->c) <= cl->now_ns) {
        kvi_coordinator_tick(n->c);
        any = true;
    }
    if (n->up && kvi_replication_deadline(n->r) <= cl->now_ns) {
        kvi_replication_tick(n->r);
        any = true;
    }
    return any;
}

static inline bool cl_step_node(kvt_cluster *cl, cl_node *n)
{
    if (!n->up)
        return false;
    if (cl_tick(cl, n))
        return true;
    if (n->persisting && kvt_rng_below(&cl->rng, 3) == 0) {
        n->hlc_bound = n->persisting;
        n->persisting = 0;
        kvi_coordinator_hlc_bounded(n->c, n->hlc_bound);
        return true;
    }
    return kvt_effects_step(&n->fx) || n->persisting;
}

static inline uint64_t cl_next_ns(kvt_cluster *cl)
{
    uint64_t next = UINT64_MAX;

    for (size_t i = 0; i < cl->parcel_count; i++)
        next = kvi_min_u64(next, cl->parcels[i].at_ns);
    for (unsigned i = 0; i < cl->count; i++) {
        if (!cl->nodes[i].up)
            continue;
        next = kvi_min_u64(next, kvi_coordinator_deadline(cl->nodes[i].c));
        next = kvi_min_u64(next, kvi_replication_deadline(cl->nodes[i].r));
    }
    return next;
}

/* Does one thing, moving time where nothing is due. false: nothing is left to do until then. */
static inline bool cl_step(kvt_cluster *cl, uint64_t until_ns)
{
    unsigned first = (unsigned)kvt_rng_below(&cl->rng, cl->count);
    uint64_t next;

    for (size_t i = 0; i < cl->parcel_count; i++)
        if (cl->parcels[i].at_ns <= cl->now_ns) {
            unsigned to = cl->parcels[i].to;

            cl_deliver(cl, i);
            cl_post(cl, to);
            return true;
        }
    for (unsigned k = 0; k < cl->count; k++) {
        cl_node *n = &cl->nodes[(first + k) % cl->count];

        if (cl_step_node(cl, n)) {
            cl_post(cl, n->index);
            return true;
        }
    }
    next = cl_next_ns(cl);
    cl->now_ns = kvi_max_u64(cl->now_ns, kvi_min_u64(next, until_ns));
    cl_time(cl);
    return next <= until_ns;
}

static inline bool kvt_cluster_step(kvt_cluster *cl)
{
    return cl_step(cl, UINT64_MAX - 1);
}

static inline void kvt_cluster_run_ns(kvt_cluster *cl, uint64_t ns)
{
    uint64_t end = cl->now_ns + ns;

    for (size_t i = 0; cl->now_ns < end && cl_step(cl, end); i++)
        KVI_ASSERT(i < 10000000);
}

/* --- requests --------------------------------------------------------------------------------- */

typedef struct cl_request {
    kvi_request r;
    unsigned node;
    unsigned dones;
    bool lost; /* its node crashed */
    char key[32], value[32];
    kvi_buf context;
    kvt_cluster *cluster;
    void (*check)(struct cl_request *q); /* from inside done; may be NULL */
    void *user;
} cl_request;

static inline void cl_done(kvi_request *r)
{
    cl_request *q = r->user;

    q->dones++;
    q->lost = q->lost || q->cluster->nodes[q->node].dying;
    if (!q->lost && q->check)
        q->check(q);
}

static inline void cl_request_init(kvt_cluster *cl, cl_request *q, enum kvi_request_call call,
                                   const char *key, const char *value)
{
    memset(q, 0, sizeof *q);
    q->cluster = cl;
    snprintf(q->key, sizeof q->key, "%s", key);
    snprintf(q->value, sizeof q->value, "%s", value ? value : "");
    q->r.call = call;
    q->r.space = KVI_RING_SPACE_DEFAULT;
    q->r.timeout_ns = UINT64_C(3000000000);
    q->r.key = kvi_slice_of(q->key, strlen(q->key));
    q->r.value = kvi_slice_of(q->value, strlen(q->value));
    kvi_buf_init(&q->r.object, &cl->nodes[0].fx.mem);
    kvi_buf_init(&q->r.sealed, &cl->nodes[0].fx.mem);
    kvi_buf_init(&q->r.entries, &cl->nodes[0].fx.mem);
    kvi_buf_init(&q->r.resume, &cl->nodes[0].fx.mem);
    kvi_buf_init(&q->context, &cl->nodes[0].fx.mem);
    q->r.done = cl_done;
    q->r.user = q;
}

static inline void cl_request_deinit(cl_request *q)
{
    kvi_buf_deinit(&q->r.object);
    kvi_buf_deinit(&q->r.sealed);
    kvi_buf_deinit(&q->r.entries);
    kvi_buf_deinit(&q->r.resume);
    kvi_buf_deinit(&q->context);
}

static inline void kvt_cluster_begin(kvt_cluster *cl, unsigned node, cl_request *q)
{
    q->node = node;
    q->dones = 0;
    kvi_coordinator_begin(cl->nodes[node].c, &q->r);
    cl_post(cl, node);
}

/** Begins it and steps until it is done. */
static inline int kvt_cluster_call(kvt_cluster *cl, unsigned node, cl_request *q)
{
    kvt_cluster_begin(cl, node, q);
    for (size_t i = 0; q->dones == 0; i++)
        cr_assert(kvt_cluster_step(cl) && i < 1000000, "the request never ends");
    return q->r.err;
}

/* --- looking into stores ---------------------------------------------------------------------- */

/** The object of a key as a node's store has it now; false: none. o is initialised. */
static inline bool cl_object(kvt_cluster *cl, unsigned node, uint32_t space, kvi_slice key,
                             kvi_object *o)
{
    kvi_buf physical;
    kvi_slice value;
    bool found;

    kvi_buf_init(&physical, &cl->nodes[0].fx.mem);
    KVI_ASSERT(kvi_key_data(&physical, space, kvi_ring_token(cl->ring, key), key) == KV_OK);
    found = kvt_effects_get(&cl->nodes[node].fx, kvi_buf_slice(&physical), &value);
    kvi_buf_deinit(&physical);
    if (found)
        KVI_ASSERT(kvi_object_decode(o, value) == KV_OK);
    return found;
}

static inline unsigned cl_copies(const kvi_object *o, const char *value)
{
    unsigned n = 0;

    for (uint32_t i = 0; i < o->count; i++)
        n += kvi_slice_eq(o->siblings[i].value, kvi_slice_of(value, strlen(value)));
    return n;
}

/** Nodes whose store has a sibling of this value. */
static inline unsigned cl_holders(kvt_cluster *cl, uint32_t space, kvi_slice key, const char *value)
{
    unsigned holders = 0;

    for (unsigned i = 0; i < cl->count; i++) {
        kvi_object o;

        kvi_object_init(&o, &cl->nodes[0].fx.mem);
        if (cl_object(cl, i, space, key, &o))
            holders += cl_copies(&o, value) > 0;
        kvi_object_deinit(&o);
    }
    return holders;
}

/** The nodes for a key, primaries first, as indexes; returns how many. */
static inline unsigned cl_walk(const kvt_cluster *cl, const char *key, unsigned n, unsigned *nodes)
{
    uint64_t ids[KVI_RING_LIST_MAX];
    kvi_slice k = kvi_slice_of(key, strlen(key));
    unsigned count =
        kvi_ring_walk(cl->ring, kvi_ring_partition(cl->ring, kvi_ring_token(cl->ring, k)), n, ids,
                      KVI_RING_LIST_MAX);

    for (unsigned i = 0; i < count; i++)
        nodes[i] = (unsigned)ids[i] - 1;
    return count;
}

/** Takes a node from the others, and tells them; or brings it back. */
static inline void cl_isolate(kvt_cluster *cl, unsigned node, bool away)
{
    for (unsigned i = 0; i < cl->count; i++)
        if (i != node)
            cl->cut[i][node] = cl->cut[node][i] = away;
    for (unsigned i = 0; i < cl->count; i++)
        kvt_cluster_notice(cl, i);
}

/** The context of "nothing was seen" for a key. */
static inline void cl_empty_context(kvt_cluster *cl, cl_request *q)
{
    kvi_buf physical;
    kvi_clock none;

    kvi_buf_init(&physical, &cl->nodes[0].fx.mem);
    kvi_clock_init(&none, &cl->nodes[0].fx.mem);
    KVI_ASSERT(kvi_key_data(&physical, q->r.space, kvi_ring_token(cl->ring, q->r.key), q->r.key) ==
               KV_OK);
    kvi_buf_clear(&q->context);
    KVI_ASSERT(kvi_context_seal(&none, kvi_ring_secret(cl->ring), kvi_buf_slice(&physical),
                                &q->context) == KV_OK);
    q->r.context = kvi_buf_slice(&q->context);
    kvi_buf_deinit(&physical);
}

#endif
