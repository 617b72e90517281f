/*
 * The executor seam: where background work runs. Implementations: os/exec_pool.c (threads),
 * os/exec_step.c (whoever helps, in order), sim/sim_exec.c (events in seeded order, on the caller's
 * thread).
 *
 * 1. A job is in the submitter's memory and stays there until its fn has begun. Submitting cannot
 *    fail.
 * 2. A job runs once per submit, in a bounded step; who has more to do submits again.
 * 3. Urgent jobs (flush, log growth) go before ordinary ones (compaction).
 * 4. help runs one waiting job on the calling thread where the executor has no threads of its own,
 *    and says whether it did: this is how a caller that must wait makes progress. A pool answers
 *    false: its threads do it. The caller holds no lock.
 * 5. stop waits until nothing runs and drops what waits, calling no fn. What a job that still runs
 *    submits is dropped too; nobody else submits from then on.
 */
#ifndef KVI_OS_EXEC_H
#define KVI_OS_EXEC_H

#include "base/list.h"
#include "base/mem.h"

typedef struct kvi_os_exec kvi_os_exec;

typedef struct kvi_os_job {
    kvi_list link; /* private to the executor */
    void (*fn)(void *user);
    void *user;
    bool urgent;
} kvi_os_job;

struct kvi_os_exec_ops {
    void (*submit)(kvi_os_exec *e, kvi_os_job *job);
    bool (*help)(kvi_os_exec *e);
    void (*stop)(kvi_os_exec *e);
};

struct kvi_os_exec {
    const struct kvi_os_exec_ops *ops;
};

#define KVI_OS_POOL_MAX 16

/** A pool of 1 to KVI_OS_POOL_MAX threads, all signals blocked in them. Freed by kvi_os_pool_free,
 *  which stops it first. */
int kvi_os_pool_new(const kvi_mem *mem, unsigned threads, kvi_os_exec **out) KVI_NODISCARD;

/** NULL is allowed. */
void kvi_os_pool_free(kvi_os_exec *pool);

/** Called on the submitter's thread after each submit that was not dropped, without the executor's
 *  lock. The submitter may hold locks of its own: the function takes none but those that rank above
 *  the executor's, and runs no job. */
typedef void kvi_os_notify_fn(void *user);

/** An executor without threads: jobs run where someone calls help, on several threads at once if
 *  several do; each kind in order of submission. notify, or NULL, is how its owner learns that it
 *  should help; user is borrowed until the free, as mem is. KV_OK or KV_ENOMEM. Freed by
 *  kvi_os_step_exec_free, which stops it first. */
int kvi_os_step_exec_new(const kvi_mem *mem, kvi_os_notify_fn *notify, void *user,
                         kvi_os_exec **out) KVI_NODISCARD;

/** NULL is allowed. */
void kvi_os_step_exec_free(kvi_os_exec *exec);

/** Whether a job waits for help. Any thread; the answer may be old when it arrives. */
bool kvi_os_step_exec_waiting(kvi_os_exec *exec);

#endif
