/*
 * An event: one thread waits until another says it happened, with a result. On the waiter's stack;
 * used once per init. set may run before wait. After set returned, the setter does not touch it
 * again.
 */
#ifndef KVI_OS_EVENT_H
#define KVI_OS_EVENT_H

#include <stdatomic.h>

#include "os/exec.h"
#include "os/lock.h"

typedef struct kvi_os_event {
    kvi_os_mutex lock;
    kvi_os_cond cond;
    bool set;
    int result;
} kvi_os_event;

void kvi_os_event_init(kvi_os_event *e);
void kvi_os_event_deinit(kvi_os_event *e);
void kvi_os_event_set(kvi_os_event *e, int result);

/** Waits and returns the result; while waiting, runs jobs of exec where it has no threads. The
 *  caller holds no lock. */
int kvi_os_event_wait(kvi_os_event *e, kvi_os_exec *exec);

#endif
