/*
 * A flag that one side raises and the other sleeps on: a thread by kvi_os_wake_wait, a host's event
 * loop by polling a descriptor. The owner of a store sleeps on it, whoever has work for it sets it.
 *
 * 1. Setting what is set already costs no system call.
 * 2. The descriptor is made when it is first asked for: who only waits needs none. From then on it
 *    is readable exactly while the flag is set. Nobody but this module reads, writes or closes it.
 * 3. Nothing gets lost where the owner clears first and looks for work after, and others hand over
 *    the work first and set after.
 * Any thread may call anything but open and close. Not for signal handlers. Takes a lock of rank
 * event; the caller may hold any of lower rank.
 */
#ifndef KVI_OS_WAKE_H
#define KVI_OS_WAKE_H

#include "os/lock.h"

#define KVI_OS_WAKE_FOREVER UINT64_MAX

/** In the caller's memory; private. */
typedef struct kvi_os_wake {
    kvi_os_mutex lock;
    pthread_cond_t cond; /* on the monotonic clock */
    bool set;
    int fd;    /* to poll; -1: not asked for yet */
    int tx_fd; /* to write; fd itself where one does both */
} kvi_os_wake;

/** Not set. Cannot fail: it needs no descriptor yet. */
void kvi_os_wake_open(kvi_os_wake *w);

/** Nobody uses it any more, or polls its descriptor. */
void kvi_os_wake_close(kvi_os_wake *w);

void kvi_os_wake_set(kvi_os_wake *w);
void kvi_os_wake_clear(kvi_os_wake *w);

/** Waits until it is set, for ever or this long (0: looks); says whether it is. Does not clear. */
bool kvi_os_wake_wait(kvi_os_wake *w, uint64_t timeout_ns);

/** What to poll for reading, the same at each call until close. KV_OK, KV_EMFILE or, where the
 *  system gives none for another reason, KV_EIO; a later call tries again. */
int kvi_os_wake_fd(kvi_os_wake *w, int *fd) KVI_NODISCARD;

#endif
