/*
 * Where a key lies and how many replicas a request needs; see impl.h. Pure look-ups in the ring.
 *
 * KV_QUORUM and KV_ALL are of the replicas that there are (a ring may have fewer members than a
 * space has replicas); a number is taken by its word: up to the space's n it is legal, and where
 * there are fewer members it cannot be reached.
 */
#include "base/error.h"
#include "coordinator/impl.h"

static int number(uint8_t asked, uint8_t policy, unsigned space_n, unsigned n, const char *name,
                  uint8_t *out)
{
    unsigned v = asked ? asked : policy;

    if (v == 0 || v == KV_QUORUM)
        v = n / 2 + 1;
    else if (v == KV_ALL)
        v = n;
    else if (v > space_n)
        return kvi_error_set(KV_EINVAL, "%s is %u, and the space has %u replicas", name, v,
                             space_n);
    *out = (uint8_t)v;
    return KV_OK;
}

int kvi_plan_space(const kvi_cluster *cluster, uint32_t space, uint8_t r, uint8_t w, kvi_plan *out)
{
    const kvi_ring_space *s = kvi_ring_space_of(cluster->ring, space);
    kvi_plan plan = {0};
    unsigned n;
    int err;

    if (!s)
        return kvi_error_set(KV_ENOENT, "the ring has no space %u at epoch %llu", space,
                             (unsigned long long)kvi_ring_epoch(cluster->ring));
    n = kvi_ring_effective_n(cluster->ring, s->policy.n);
    plan.n = (uint8_t)n;
    err = number(r, s->policy.r, s->policy.n, n, "r", &plan.r);
    if (!err)
        err = number(w, s->policy.w, s->policy.n, n, "w", &plan.w);
    if (!err)
        *out = plan;
    return err;
}

void kvi_plan_walk(const kvi_cluster *cluster, uint64_t token, kvi_plan *plan)
{
    plan->token = token;
    plan->partition = kvi_ring_partition(cluster->ring, token);
    plan->count = (uint8_t)kvi_ring_walk(cluster->ring, plan->partition, plan->n, plan->nodes,
                                         KVI_RING_LIST_MAX);
    KVI_ASSERT(plan->count >= plan->n);
}

unsigned kvi_plan_reachable(const kvi_cluster *cluster, const kvi_plan *plan, unsigned from)
{
    while (from < plan->count && !kvi_node_reachable(cluster, plan->nodes[from]))
        from++;
    return from;
}

unsigned kvi_plan_place(const kvi_plan *plan, uint64_t node)
{
    unsigned i = 0;

    while (i < plan->count && plan->nodes[i] != node)
        i++;
    return i;
}
