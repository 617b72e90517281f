/*
 * A submitted request, from kv_submit() to the end of its callback.
 *
 * 1. It is in calls.by_ticket until its callback begins; its ticket is never used again.
 * 2. Ordered: it is on runner.waiting, then with the runner, then on calls.ended. Placed: it is
 *    with the node, by a post or in the coordinator, then on calls.ended. kvi_api_call_end() is
 *    called once.
 * 3. Who delivers (callback.c) takes it from calls.ended, fills in its result, calls done, frees
 *    it. A cancellation that is still on its way to the node keeps it in memory until it has
 *    arrived.
 * 4. Callbacks run where the store says so: on the node's or the runner's thread; in kv_step(); and
 *    in kv_close() for what it ended. Never two at a time.
 */
#ifndef KVI_API_CALL_H
#define KVI_API_CALL_H

#include "api/ask.h"
#include "coordinator/request.h"
#include "node/node.h"

enum kvi_api_call_state { KVI_API_CALL_WAITING = 1, KVI_API_CALL_RUNNING, KVI_API_CALL_ENDED };

typedef struct kvi_api_call {
    kvi_list link;
    kv space;        /* a copy of the handle, which may be closed before */
    kvi_api_ask ask; /* key, value and context lie behind this struct; op in it */
    kv_op op;
    uint64_t ticket;
    kv_done_fn *done;
    void *user;
    size_t cost; /* bytes, charged to the budget */
    kv_result result;
    enum kvi_api_call_state state; /* under calls.lock */
    bool cancel_posted;            /* the same: `cancel` is on its way … */
    bool orphan;                   /* … and frees the call when it has come */
    union {
        struct {
            uint64_t sync_seq; /* 0: none */
            int err;
            char detail[KVI_ERROR_DETAIL_MAX];
        } ordered;
        struct {
            kvi_post begin, cancel;
            bool begun, canceled; /* the node's owner's */
            kvi_request request;
        } placed;
    };
} kvi_api_call;

/* submit.c */

void kvi_api_calls_init(kvi_api_store *s);
/** None is left. */
void kvi_api_calls_deinit(kvi_api_store *s);

/** Hands a call over to be delivered; from then on it is not the caller's. Any thread. */
void kvi_api_call_end(kvi_api_call *call);
/** The same for one of an ordered store: with err and, where that is not KV_OK, this thread's
 *  detail. */
void kvi_api_call_end_ordered(kvi_api_call *call, int err);
/** It was delivered, or never begun. Ends its result. */
void kvi_api_call_free(kvi_api_call *call);

/* callback.c */

/** Runs the callbacks of all that have ended by now, on this thread. */
void kvi_api_deliver(kvi_api_store *s);
bool kvi_api_deliverable(kvi_api_store *s);
/** A host's loop that polls kv_pollfd() comes to kv_step(). Any thread. */
void kvi_api_poke(kvi_api_store *s);

/* runner.c: the requests of an ordered store, where nobody waits for each of them.
 *
 * A turn takes those that wait, runs them one after the other without waiting for the disk, and
 * then syncs once for all that asked for it. Threaded, a thread of its own takes the turns, started
 * by the first kv_submit(); stepped, kv_step() does. */

/** Makes sure that somebody takes turns. KV_ENOMEM. */
int kvi_api_runner_start(kvi_api_store *s) KVI_NODISCARD;
void kvi_api_runner_add(kvi_api_store *s, kvi_api_call *call);
/** One turn; false: nothing waited. */
bool kvi_api_runner_turn(kvi_api_store *s);
/** The thread has something to look at. */
void kvi_api_runner_wake(kvi_api_store *s);
bool kvi_api_runner_waiting(kvi_api_store *s);
/** For closing: ends the thread, and all that wait, with KV_ECANCELED. */
void kvi_api_runner_end(kvi_api_store *s);

#endif
