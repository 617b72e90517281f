/*
 * Waiting; see the header for the contract.
 */
#include "api/wait.h"

#include "base/check.h"
#include "base/error.h"
#include "os/event.h"

/** On the stack of who waits. */
typedef struct waiter {
    kvi_lsm_waiter base;
    kvi_os_event event;
} waiter;

static void wake(kvi_lsm_waiter *self, int result)
{
    kvi_os_event_set(&KVI_CONTAINER_OF(self, waiter, base)->event, result);
}

static void waiter_init(waiter *w)
{
    kvi_list_init(&w->base.link);
    w->base.wake = wake;
    w->base.seq = 0;
    kvi_os_event_init(&w->event);
}

/** Ends a waiter that was given to a call of the engine which returned r: what was decided. */
static int settle(kvi_api_store *s, waiter *w, int r)
{
    if (r == KVI_PENDING) {
        r = kvi_os_event_wait(&w->event, s->env.exec);
        KVI_ASSERT(r != KVI_PENDING);
        if (r < 0)
            r = kvi_lsm_explain(s->lsm, r);
    }
    kvi_os_event_deinit(&w->event);
    return r;
}

int kvi_api_contended(void)
{
    return kvi_error_set(KV_EBUSY, "others were ahead %u times; nothing was written",
                         KVI_API_TRIES_MAX);
}

static int settle_write(kvi_api_store *s, waiter *w, int r)
{
    uint64_t begin;

    if (KVI_LIKELY(r != KVI_PENDING))
        return settle(s, w, r);
    begin = kvi_os_mono_ns(s->env.clock);
    r = settle(s, w, r);
    if (r == KVI_AGAIN) {
        kvi_api_count(&s->counters, KVI_API_STALLS, 1);
        kvi_api_count(&s->counters, KVI_API_STALL_NS, kvi_os_mono_ns(s->env.clock) - begin);
    }
    return r;
}

int kvi_api_write(kvi_api_store *s, kvi_lsm_write *w)
{
    for (unsigned tries = 0; tries < KVI_API_TRIES_MAX; tries++) {
        waiter me;
        int r;

        waiter_init(&me);
        w->waiter = &me.base;
        r = settle_write(s, &me, kvi_lsm_write_ops(s->lsm, w));
        w->waiter = NULL;
        if (KVI_LIKELY(r != KVI_AGAIN))
            return r;
    }
    return kvi_api_contended();
}

int kvi_api_guard(kvi_api_store *s, kvi_slice key, kvi_lsm_guard *out)
{
    for (unsigned tries = 0; tries < KVI_API_TRIES_MAX; tries++) {
        int r = kvi_lsm_guard_take(s->lsm, key, out);

        if (r != KVI_AGAIN)
            return r;
        kvi_os_yield();
    }
    return kvi_api_contended();
}

int kvi_api_sync(kvi_api_store *s, uint64_t seq)
{
    for (unsigned tries = 0;; tries++) {
        waiter me;
        int r;

        KVI_ASSERT(tries < KVI_API_TRIES_MAX); /* a sync that begins after the write covers it */
        waiter_init(&me);
        r = settle(s, &me, kvi_lsm_sync(s->lsm, seq, &me.base));
        if (r != KVI_LEAD)
            return r == KV_OK ? KV_OK : KV_EIO; /* whatever it was: the detail has it */
    }
}

int kvi_api_flush(kvi_api_store *s)
{
    for (unsigned tries = 0; tries < KVI_API_TRIES_MAX; tries++) {
        waiter me;
        int r;

        waiter_init(&me);
        r = settle(s, &me, kvi_lsm_flush(s->lsm, &me.base));
        if (r != KVI_AGAIN)
            return r;
    }
    return kvi_error_set(KV_EBUSY,
                         "writers refilled the memtable %u times before it could be flushed",
                         KVI_API_TRIES_MAX);
}
