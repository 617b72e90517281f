/*
 * The requests of an ordered store, where nobody waits for each of them; see call.h for the
 * contract.
 *
 * A turn that syncs lets others collect meanwhile: so however many are in flight share few syncs.
 */
#include <stdio.h>

#include "api/call.h"
#include "api/result.h"
#include "api/wait.h"
#include "base/check.h"
#include "base/error.h"

#define TURN_MAX 1024u /* requests; then their callbacks run */

/* --- a turn ------------------------------------------------------------------------------- */

void kvi_api_call_end_ordered(kvi_api_call *call, int err)
{
    call->ordered.err = err;
    if (err)
        (void)snprintf(call->ordered.detail, sizeof call->ordered.detail, "%s", kvi_error_detail());
    kvi_api_call_end(call);
}

/** Takes those whose turn it is. */
static void take(kvi_api_store *s, kvi_list *mine)
{
    kvi_os_mutex_lock(&s->calls.lock);
    for (unsigned n = 0; n < TURN_MAX && !kvi_list_empty(&s->runner.waiting); n++) {
        kvi_api_call *call = KVI_LIST_FIRST(&s->runner.waiting, kvi_api_call, link);

        kvi_list_remove(&call->link);
        call->state = KVI_API_CALL_RUNNING;
        kvi_list_push_back(mine, &call->link);
    }
    kvi_os_mutex_unlock(&s->calls.lock);
}

/** Runs one, all but its sync; ends it where it needs none. */
static void run(kvi_api_call *call, uint64_t *sync_seq)
{
    int err;

    call->ordered.sync_seq = 0;
    if (call->ask.call == KV_REQUEST_GET) {
        err = kvi_api_ordered_get(&call->space, &call->ask, &call->result);
    } else {
        err =
            kvi_api_ordered_write(&call->space, &call->ask, &call->result, &call->ordered.sync_seq);
        if (!err && call->ordered.sync_seq > 0) {
            *sync_seq = kvi_max_u64(*sync_seq, call->ordered.sync_seq);
            return;
        }
        if (!err)
            kvi_api_count_write(call->space.store, &call->ask);
    }
    kvi_list_remove(&call->link);
    kvi_api_call_end_ordered(call, err);
}

/** Ends those that waited for the sync. */
static void synced(kvi_list *mine, int err)
{
    while (!kvi_list_empty(mine)) {
        kvi_api_call *call = KVI_LIST_FIRST(mine, kvi_api_call, link);

        kvi_list_remove(&call->link);
        if (!err)
            kvi_api_count_write(call->space.store, &call->ask);
        kvi_api_call_end_ordered(call, err);
    }
}

bool kvi_api_runner_turn(kvi_api_store *s)
{
    uint64_t sync_seq = 0;
    kvi_list mine, *next;

    kvi_list_init(&mine);
    take(s, &mine);
    if (kvi_list_empty(&mine))
        return false;
    for (kvi_list *at = mine.next; at != &mine; at = next) {
        next = at->next; /* run may take it off */
        run(KVI_CONTAINER_OF(at, kvi_api_call, link), &sync_seq);
    }
    if (!kvi_list_empty(&mine))
        synced(&mine, kvi_api_sync(s, sync_seq));
    return true;
}

/* --- the thread --------------------------------------------------------------------------- */

static void deliver_here(kvi_api_store *s)
{
    if (!s->callbacks_in_step)
        kvi_api_deliver(s);
}

static void thread_main(void *user)
{
    kvi_api_store *s = user;

    while (!atomic_load(&s->runner.stop)) {
        (void)kvi_os_wake_wait(&s->runner.work, KVI_OS_WAKE_FOREVER);
        kvi_os_wake_clear(&s->runner.work);
        while (!atomic_load(&s->runner.stop) && kvi_api_runner_turn(s))
            deliver_here(s);
        deliver_here(s); /* of those that were canceled */
    }
}

int kvi_api_runner_start(kvi_api_store *s)
{
    kvi_api_runner *r = &s->runner;
    int err = KV_OK;

    if (s->stepped)
        return KV_OK;
    kvi_os_mutex_lock(&s->calls.lock);
    if (!r->started && !s->calls.closing) {
        err = kvi_os_thread_start(&r->thread, thread_main, s);
        r->started = !err;
    }
    kvi_os_mutex_unlock(&s->calls.lock);
    return err;
}

void kvi_api_runner_wake(kvi_api_store *s)
{
    if (s->stepped)
        kvi_api_poke(s);
    else
        kvi_os_wake_set(&s->runner.work);
}

void kvi_api_runner_add(kvi_api_store *s, kvi_api_call *call)
{
    kvi_os_mutex_lock(&s->calls.lock);
    kvi_list_push_back(&s->runner.waiting, &call->link);
    kvi_os_mutex_unlock(&s->calls.lock);
    kvi_api_runner_wake(s);
}

bool kvi_api_runner_waiting(kvi_api_store *s)
{
    bool any;

    kvi_os_mutex_lock(&s->calls.lock);
    any = !kvi_list_empty(&s->runner.waiting);
    kvi_os_mutex_unlock(&s->calls.lock);
    return any;
}

void kvi_api_runner_end(kvi_api_store *s)
{
    kvi_list rest;

    if (s->runner.started) {
        atomic_store(&s->runner.stop, true);
        kvi_os_wake_set(&s->runner.work);
        kvi_os_thread_join(&s->runner.thread);
    }
    kvi_list_init(&rest);
    take(s, &rest);
    while (!kvi_list_empty(&rest)) {
        kvi_api_call *call = KVI_LIST_FIRST(&rest, kvi_api_call, link);

        kvi_list_remove(&call->link);
        kvi_api_call_end_ordered(call, kvi_error_set(KV_ECANCELED, "given up by kv_close()"));
        if (kvi_list_empty(&rest))
            take(s, &rest);
    }
}
