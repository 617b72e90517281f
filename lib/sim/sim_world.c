/*
 * Virtual time; see the header for the contract.
 */
#include "sim/sim_world.h"

#include "base/check.h"

void kvi_sim_world_init(kvi_sim_world *w, const kvi_mem *mem, uint64_t seed)
{
    *w = (kvi_sim_world){.trace = seed};
    kvi_heap_init(&w->events, mem);
    kvi_sim_rng_init(&w->rng, seed);
}

void kvi_sim_world_deinit(kvi_sim_world *w)
{
    KVI_ASSERT(w->nested == 0);
    kvi_heap_deinit(&w->events);
}

void kvi_sim_schedule(kvi_sim_world *w, kvi_sim_event *event, uint64_t at_ns)
{
    uint64_t at = at_ns > w->now_ns ? at_ns : w->now_ns;
    int err = KV_OK;

    KVI_ASSERT(event->fn);
    if (!kvi_heap_queued(&event->node))
        err = kvi_heap_push(&w->events, &event->node, at);
    else if (at < event->node.key)
        kvi_heap_change(&w->events, &event->node, at);
    KVI_ASSERT(!err);
}

void kvi_sim_cancel(kvi_sim_world *w, kvi_sim_event *event)
{
    kvi_heap_remove(&w->events, &event->node);
}

void kvi_sim_world_run(kvi_sim_world *w, uint64_t end_ns, bool (*stop)(void *user), void *user)
{
    KVI_ASSERT(w->nested < KVI_SIM_NESTED_MAX);
    w->nested++;
    for (;;) {
        kvi_heap_node *first = kvi_heap_peek(&w->events);
        kvi_sim_event *event;

        if (stop && stop(user))
            break;
        if (!first || first->key > end_ns) {
            w->now_ns = end_ns > w->now_ns ? end_ns : w->now_ns;
            break;
        }
        kvi_heap_pop(&w->events);
        w->now_ns = first->key > w->now_ns ? first->key : w->now_ns;
        event = KVI_CONTAINER_OF(first, kvi_sim_event, node);
        w->ran++;
        event->fn(event);
    }
    w->nested--;
}
