/*
 * Waiting for the node's owner; see placed.h for the contract.
 *
 * Stepped, nothing else makes progress than this thread: it runs the executor's jobs where there
 * are no workers, and steps the node, which sleeps only where neither has anything to do. Who
 * submits a job wakes the node, so none waits while the node sleeps.
 */
#include "api/placed.h"

#include "base/check.h"

bool kvi_api_help(kvi_api_store *s)
{
    return s->helps && s->env.exec->ops->help(s->env.exec);
}

static void sleep_or_step(kvi_api_store *s, uint64_t wait_ns)
{
    if (wait_ns > 0 && s->idle) {
        s->idle(s->idle_user, wait_ns);
        wait_ns = 0;
    }
    kvi_node_step(s->node, wait_ns, 0);
}

static void step_until(kvi_api_store *s, const bool *done)
{
    sleep_or_step(s, 0);
    while (!*done)
        sleep_or_step(s, kvi_api_help(s) ? 0 : UINT64_MAX);
    if (kvi_api_deliverable(s))
        kvi_api_poke(s); /* those are for the next kv_step(), of which the host must know */
}

void kvi_api_turn_take(kvi_api_store *s, kvi_api_turn *t, void (*run)(kvi_post *post, kvi_node *n))
{
    kvi_list_init(&t->post.link);
    t->post.run = run;
    t->store = s;
    t->done = false;
    if (s->stepped) {
        kvi_node_post(s->node, &t->post);
        step_until(s, &t->done);
        return;
    }
    KVI_ASSERT(!kvi_node_is_self(s->node));
    kvi_os_event_init(&t->event);
    kvi_node_post(s->node, &t->post);
    (void)kvi_os_event_wait(&t->event, NULL);
    kvi_os_event_deinit(&t->event);
}

void kvi_api_turn_end(kvi_api_turn *t)
{
    if (t->store->stepped)
        t->done = true;
    else
        kvi_os_event_set(&t->event, KV_OK);
}
