/*
 * The submitted requests of a store, as its struct has them (store.h); what is done with them is in
 * call.h.
 */
#ifndef KVI_API_CALLS_H
#define KVI_API_CALLS_H

#include <stdatomic.h>

#include "base/list.h"
#include "base/map.h"
#include "os/lock.h"
#include "os/thread.h"
#include "os/wake.h"

#define KVI_API_CALLS_MAX   65536u /* under way; more are KV_EBUSY */
#define KVI_API_CALLS_SHARE 8u     /* … so is what would take more than this part of the budget */

/** Any thread, under lock, but for what says otherwise. */
typedef struct kvi_api_calls {
    kvi_os_mutex lock;
    kvi_map by_ticket; /* kvi_api_call: from kv_submit() until its callback begins */
    uint64_t last_ticket;
    size_t bytes;   /* what those in by_ticket take */
    kvi_list ended; /* wait for their callback */
    bool closing;   /* no new ones */
    /** Which thread is inside a callback of this store, by the address of its error detail; 0:
     *  none. There is one at a time. */
    _Atomic uintptr_t inside;
    /** Set while kv_step() has something to do: what kv_pollfd() shows, but for a node that is
     *  stepped, which has its own. Any thread. */
    kvi_os_wake wake;
} kvi_api_calls;

/** Who runs the requests of an ordered store (runner.c). */
typedef struct kvi_api_runner {
    kvi_list waiting; /* under calls.lock */
    bool started;     /* under calls.lock: thread runs */
    kvi_os_thread thread;
    kvi_os_wake work; /* the thread sleeps on it */
    _Atomic bool stop;
} kvi_api_runner;

#endif
