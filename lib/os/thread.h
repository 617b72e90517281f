/*
 * One thread of the library's own, with all signals blocked: the host's signals go to the host's
 * threads.
 *
 * The struct is in the caller's memory and stays at its place from start to join. Each started
 * thread is joined once, by another thread.
 */
#ifndef KVI_OS_THREAD_H
#define KVI_OS_THREAD_H

#include "os/lock.h"

/** Private. */
typedef struct kvi_os_thread {
    kvi_os_mutex starting; /* held until id is known */
    pthread_t id;
    void (*fn)(void *user);
    void *user;
} kvi_os_thread;

/** Runs fn(user) on a new thread; user is borrowed until fn returns. KV_OK, or KV_ENOMEM where the
 *  system gives no thread: then there is nothing to join. */
int kvi_os_thread_start(kvi_os_thread *t, void (*fn)(void *user), void *user) KVI_NODISCARD;

/** Waits until fn has returned. The caller holds no lock that fn takes. */
void kvi_os_thread_join(kvi_os_thread *t);

/** Whether the caller runs on it. Between start and join, from any thread; also inside fn. */
bool kvi_os_thread_is_self(const kvi_os_thread *t);

#endif
