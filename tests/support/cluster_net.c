/* See cluster.h: the network, and what happens next. */
#include "support/cluster.h"

#include <stdlib.h>

/* --- the network ------------------------------------------------------------------------------ */

static bool cl_chance(kvt_cluster *cl, unsigned ppm)
{
    return ppm > 0 && kvt_rng_below(&cl->rng, 1000000) < ppm;
}

static uint64_t cl_delay(kvt_cluster *cl)
{
    uint64_t delay = 1000 + kvt_rng_below(&cl->rng, cl->delay_max_ns);

    return kvt_rng_below(&cl->rng, 50) == 0 ? delay * 300 : delay;
}

/* What a node has sent goes on its way. */
void cl_post(kvt_cluster *cl, unsigned from)
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
            kvi_buf_deinit(&p.sent.bytes);
        else
            cl->parcels[cl->parcel_count++] = p;
    }
    n->fx.sent_count = 0;
}

static void cl_receive(kvt_cluster *cl, const cl_parcel *p)
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

static void cl_deliver(kvt_cluster *cl, size_t i)
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
        kvi_buf_deinit(&p.sent.bytes);
}

/* --- steps ------------------------------------------------------------------------------------ */

static bool cl_tick(kvt_cluster *cl, cl_node *n)
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

static bool cl_step_node(kvt_cluster *cl, cl_node *n)
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

static uint64_t cl_next_ns(kvt_cluster *cl)
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
bool cl_step(kvt_cluster *cl, uint64_t until_ns)
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

bool kvt_cluster_step(kvt_cluster *cl)
{
    return cl_step(cl, UINT64_MAX - 1);
}

void kvt_cluster_run_ns(kvt_cluster *cl, uint64_t ns)
{
    uint64_t end = cl->now_ns + ns;

    for (size_t i = 0; cl->now_ns < end && cl_step(cl, end); i++)
        KVI_ASSERT(i < 10000000);
}
