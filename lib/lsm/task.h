/*
 * A task: background work of one kind, run on the executor by one thread at a time. However often
 * it is asked for, it is queued once; asked for while it runs, it runs again.
 *
 * 1. request never blocks and cannot fail; callable under any lock of the engine.
 * 2. The crew counts tasks that are queued or running, so that its owner can wait for the last one
 *    to end. After that has begun, tasks end without running.
 */
#ifndef KVI_LSM_TASK_H
#define KVI_LSM_TASK_H

#include <stdatomic.h>

#include "os/event.h"
#include "os/exec.h"

typedef struct kvi_lsm_crew {
    kvi_os_exec *exec;        /* borrowed */
    _Atomic uint32_t busy;    /* tasks queued or running, and 1 until it is stopped */
    _Atomic uint32_t running; /* tasks within run */
    _Atomic bool stopping;
    kvi_os_event idle;
    void (*after)(void *user); /* called after each run, once it is no longer counted as running */
    void *user;
} kvi_lsm_crew;

typedef struct kvi_lsm_task {
    kvi_os_job job;
    kvi_lsm_crew *crew;
    _Atomic uint32_t requests; /* since it last began; 0: idle */
    void (*run)(void *user);   /* one bounded step */
    void *user;
} kvi_lsm_task;

void kvi_lsm_crew_init(kvi_lsm_crew *c, kvi_os_exec *exec, void (*after)(void *user), void *user);

/** Waits until no task is queued or running; none runs from then on. Once; the caller holds no
 *  lock. */
void kvi_lsm_crew_stop(kvi_lsm_crew *c);

static inline bool kvi_lsm_crew_stopping(const kvi_lsm_crew *c)
{
    return atomic_load(&c->stopping);
}

void kvi_lsm_task_init(kvi_lsm_task *t, kvi_lsm_crew *crew, bool urgent, void (*run)(void *user),
                       void *user);

/** Has the task run, once more if it is running now. */
void kvi_lsm_task_request(kvi_lsm_task *t);

#endif
