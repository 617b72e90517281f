/*
 * How long a peer takes to answer, 95 times of 100: a quantile estimated without keeping samples,
 * by steps up and down whose sizes are as 19 to 1 (Frugal Streaming: Ma, Muthukrishnan, Sandler,
 * 2013). So a read knows when a replica is slower than it uses to be, and asks another.
 *
 * Pure, in integers. One for each peer, and one for this node's own replica.
 */
#ifndef KVI_COORDINATOR_LATENCY_H
#define KVI_COORDINATOR_LATENCY_H

#include "base/base.h"

#define KVI_LATENCY_START_NS UINT64_C(10000000)
#define KVI_LATENCY_MAX_NS   UINT64_C(1000000000)
#define KVI_LATENCY_UNIT_NS  UINT64_C(500) /* the smallest step */

typedef struct kvi_latency {
    uint64_t p95_ns;
} kvi_latency;

static inline void kvi_latency_init(kvi_latency *l)
{
    l->p95_ns = KVI_LATENCY_START_NS;
}

static inline void kvi_latency_took(kvi_latency *l, uint64_t ns)
{
    uint64_t unit = kvi_max_u64(l->p95_ns / 256, KVI_LATENCY_UNIT_NS);

    if (ns > l->p95_ns)
        l->p95_ns = kvi_min_u64(l->p95_ns + 19 * unit, KVI_LATENCY_MAX_NS);
    else
        l->p95_ns -= kvi_min_u64(unit, l->p95_ns);
}

#endif
