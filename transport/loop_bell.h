/*
 * What a store sleeps on when it has nothing to do: in step, by a condition variable; in a host's
 * event loop, by a descriptor. A part of loop.c, apart because any transport needs its like.
 *
 * 1. Everything but init and deinit is called under one lock, the network's.
 * 2. The descriptor is one end of a pipe. It holds a byte exactly while the bell is rung, so it is
 *    readable then, and neither writing nor reading it can block.
 * 3. It is made when it is first asked for: a store with a thread of its own sleeps in step and
 *    needs none.
 */
#ifndef KVI_LOOP_BELL_H
#define KVI_LOOP_BELL_H

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

/** In the caller's memory; private but for rung, which may be read. */
struct kvi_loop_bell {
    pthread_cond_t was_rung;
    bool rung;
    int fd, fill_fd; /* the two ends, or -1 */
};

/** Not rung. False: the system has no more. */
bool kvi_loop_bell_init(struct kvi_loop_bell *b);
/** Nobody waits. */
void kvi_loop_bell_deinit(struct kvi_loop_bell *b);

/** Whether there is something to do. Wakes who waits. */
void kvi_loop_bell_set(struct kvi_loop_bell *b, bool rung);

/** Sleeps, with the lock let go, until it is rung or the time is over. One thread at a time. */
void kvi_loop_bell_wait(struct kvi_loop_bell *b, pthread_mutex_t *lock, uint64_t timeout_ns);

/** The same at each call, until mute; -1: the system has no more. */
int kvi_loop_bell_fd(struct kvi_loop_bell *b);

/** Not rung, and no descriptor: as after init. */
void kvi_loop_bell_mute(struct kvi_loop_bell *b);

#endif
