/*
 * Virtual time: events in the order of their times, those of one time in the order in which they
 * were scheduled. And the trace, a running digest of all that has happened.
 *
 * 1. Time moves only in kvi_sim_world_run(), to the next event or to the end that was asked for.
 * 2. An event is in its owner's memory and is queued once at a time. Its fn may schedule, cancel
 *    and run (a store's call that waits lets the world go on: runs may be nested).
 * 3. Nothing depends on an address. One thread.
 */
#ifndef KVI_SIM_WORLD_H
#define KVI_SIM_WORLD_H

#include "base/hash.h"
#include "base/heap.h"
#include "sim/sim_rand.h"

#define KVI_SIM_NESTED_MAX 32u /* runs inside runs: more is taken for an endless recursion */

typedef struct kvi_sim_event {
    kvi_heap_node node;
    void (*fn)(struct kvi_sim_event *event);
} kvi_sim_event;

typedef struct kvi_sim_world {
    kvi_heap events;
    uint64_t now_ns;
    uint64_t ran, trace;
    unsigned nested;
    kvi_sim_rng rng;
} kvi_sim_world;

void kvi_sim_world_init(kvi_sim_world *w, const kvi_mem *mem, uint64_t seed);
void kvi_sim_world_deinit(kvi_sim_world *w);

/** At this time (or now, if that is over); one that is queued already is moved if this is earlier.
 *  Without memory the simulation ends: it asserts. */
void kvi_sim_schedule(kvi_sim_world *w, kvi_sim_event *event, uint64_t at_ns);
void kvi_sim_cancel(kvi_sim_world *w, kvi_sim_event *event);

/** Runs what is due up to end_ns, then it is end_ns; or until stop (NULL: never), asked after each
 *  event, says so. */
void kvi_sim_world_run(kvi_sim_world *w, uint64_t end_ns, bool (*stop)(void *user), void *user);

/** Adds to the trace. */
static inline void kvi_sim_trace_add(kvi_sim_world *w, uint64_t what)
{
    w->trace = kvi_mix64(w->trace ^ what) + w->now_ns;
}

#endif
