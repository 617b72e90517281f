/*
 * Callbacks of submitted requests (call.h): where they run, and what may not be called from them.
 */
#include "api/call.h"
#include "api/check.h"
#include "api/placed.h"
#include "api/result.h"
#include "base/check.h"
#include "base/error.h"

/* --- inside a callback -------------------------------------------------------------------- */

/** The thread, by where its own memory lies. */
static uintptr_t this_thread(void)
{
    return (uintptr_t)kvi_error_detail();
}

/** On the node's own thread nobody may wait for it, whatever it calls: not the log's or the
 *  transport's functions either. */
static bool is_node(const kvi_api_store *s)
{
    return s->node && kvi_node_is_self(s->node);
}

int kvi_api_check_outside(const kvi_api_store *s)
{
    bool inside = atomic_load_explicit(&s->calls.inside, memory_order_relaxed) == this_thread();

    if (KVI_LIKELY(!inside && !is_node(s)))
        return KV_OK;
    return kvi_error_set(KV_EDEADLK,
                         "called from a callback of this store, for which it would have to wait");
}

/* --- delivering --------------------------------------------------------------------------- */

/** The end of an ordered store's request; a placed one's: placed_answer.c. */
static int ordered_answer(kvi_api_call *call)
{
    int err = call->ordered.err;

    if (err && err != KV_ENOTFOUND) {
        kvi_api_result_clear(&call->result);
        return kvi_error_set(err, "%s", call->ordered.detail);
    }
    return err;
}

/** It is no longer under way, so that its callback can submit another in its place. */
static void forget(kvi_api_call *call)
{
    kvi_api_calls *c = &call->space.store->calls;
    void *known;

    kvi_os_mutex_lock(&c->lock);
    known = kvi_map_remove(&c->by_ticket, call->ticket);
    KVI_ASSERT(known == call && c->bytes >= call->cost);
    c->bytes -= call->cost;
    kvi_os_mutex_unlock(&c->lock);
}

/** Frees it, or leaves that to the cancellation that is on its way. */
static void finish(kvi_api_call *call)
{
    kvi_api_calls *c = &call->space.store->calls;
    bool orphan;

    kvi_os_mutex_lock(&c->lock);
    call->orphan = orphan = call->cancel_posted;
    kvi_os_mutex_unlock(&c->lock);
    if (!orphan)
        kvi_api_call_free(call);
}

static void deliver(kvi_api_store *s, kvi_api_call *call)
{
    int err;

    forget(call);
    err = s->placed ? kvi_api_answer(&call->space, &call->ask, &call->placed.request, &call->result)
                    : ordered_answer(call);
    atomic_store_explicit(&s->calls.inside, this_thread(), memory_order_relaxed);
    call->done(call->user, call->ticket, err, &call->result);
    atomic_store_explicit(&s->calls.inside, 0, memory_order_relaxed);
    finish(call);
}

void kvi_api_deliver(kvi_api_store *s)
{
    kvi_list now;

    kvi_list_init(&now);
    kvi_os_mutex_lock(&s->calls.lock);
    kvi_list_move(&now, &s->calls.ended);
    kvi_os_mutex_unlock(&s->calls.lock);
    while (!kvi_list_empty(&now)) {
        kvi_api_call *call = KVI_LIST_FIRST(&now, kvi_api_call, link);

        kvi_list_remove(&call->link);
        deliver(s, call);
    }
}

bool kvi_api_deliverable(kvi_api_store *s)
{
    bool any;

    kvi_os_mutex_lock(&s->calls.lock);
    any = !kvi_list_empty(&s->calls.ended);
    kvi_os_mutex_unlock(&s->calls.lock);
    return any;
}

void kvi_api_poke(kvi_api_store *s)
{
    if (s->stepped && s->node)
        kvi_node_wake(s->node);
    else
        kvi_os_wake_set(&s->calls.wake);
}
