/*
 * The executor without threads; see os/exec.h for the contract.
 *
 * 1. Under lock: the queues, `running` and `stopping`. notify and its user never change.
 * 2. A job is off its queue before its fn is called, and not touched from then on: fn may submit it
 *    again, or free it.
 * 3. Once `stopping` is set no job begins, and what is submitted is dropped. stop sleeps on `idle`
 *    until what other threads run has ended; it is not called from inside a job.
 * 4. A submit from outside a job has returned before stop begins: so notify's user is there when
 *    it is called.
 */
#include "os/exec.h"

#include "base/check.h"
#include "base/error.h"
#include "os/lock.h"

typedef struct step_exec {
    kvi_os_exec base;
    const kvi_mem *mem;
    kvi_os_notify_fn *notify; /* or NULL */
    void *notify_user;
    kvi_os_mutex lock;
    kvi_os_cond idle;
    kvi_list urgent, ordinary;
    unsigned running; /* jobs that have begun and not ended */
    bool stopping;
} step_exec;

static step_exec *step_exec_of(kvi_os_exec *e)
{
    return KVI_CONTAINER_OF(e, step_exec, base);
}

/* notify comes last: the job may have run elsewhere by then, and be gone. */
static void step_submit(kvi_os_exec *e, kvi_os_job *job)
{
    step_exec *s = step_exec_of(e);
    bool queued;

    KVI_ASSERT(job->fn);
    kvi_os_mutex_lock(&s->lock);
    queued = !s->stopping;
    if (queued)
        kvi_list_push_back(job->urgent ? &s->urgent : &s->ordinary, &job->link);
    kvi_os_mutex_unlock(&s->lock);
    if (queued && s->notify)
        s->notify(s->notify_user);
}

static bool has_job(const step_exec *s)
{
    return !kvi_list_empty(&s->urgent) || !kvi_list_empty(&s->ordinary);
}

/* Takes the next job off its queue and counts it; NULL where none waits. stop has emptied both
 * queues for good. */
static kvi_os_job *begin_job(step_exec *s)
{
    kvi_os_job *job = NULL;

    kvi_os_mutex_lock(&s->lock);
    if (has_job(s)) {
        kvi_list *queue = kvi_list_empty(&s->urgent) ? &s->ordinary : &s->urgent;

        job = KVI_LIST_FIRST(queue, kvi_os_job, link);
        kvi_list_remove(&job->link);
        s->running++;
    }
    kvi_os_mutex_unlock(&s->lock);
    return job;
}

/* Signals before it unlocks: who stops may free the executor as soon as the lock is open. */
static void end_job(step_exec *s)
{
    kvi_os_mutex_lock(&s->lock);
    KVI_ASSERT(s->running > 0);
    s->running--;
    if (s->running == 0 && s->stopping)
        kvi_os_cond_broadcast(&s->idle);
    kvi_os_mutex_unlock(&s->lock);
}

static bool step_help(kvi_os_exec *e)
{
    step_exec *s = step_exec_of(e);
    kvi_os_job *job = begin_job(s);

    if (!job)
        return false;
    job->fn(job->user);
    end_job(s);
    return true;
}

static void drop_all(kvi_list *queue)
{
    while (!kvi_list_empty(queue))
        kvi_list_remove(queue->next);
}

static void step_stop(kvi_os_exec *e)
{
    step_exec *s = step_exec_of(e);

    kvi_os_mutex_lock(&s->lock);
    s->stopping = true;
    drop_all(&s->urgent);
    drop_all(&s->ordinary);
    while (s->running > 0)
        kvi_os_cond_wait(&s->idle, &s->lock);
    kvi_os_mutex_unlock(&s->lock);
}

int kvi_os_step_exec_new(const kvi_mem *mem, kvi_os_notify_fn *notify, void *user,
                         kvi_os_exec **out)
{
    static const struct kvi_os_exec_ops ops = {step_submit, step_help, step_stop};
    step_exec *s = kvi_mem_zalloc(mem, 1, sizeof *s);

    if (!s)
        return kvi_error_set(KV_ENOMEM, "cannot allocate the executor");
    s->base.ops = &ops;
    s->mem = mem;
    s->notify = notify;
    s->notify_user = user;
    kvi_os_mutex_init(&s->lock, KVI_RANK_EXEC, NULL);
    kvi_os_cond_init(&s->idle);
    kvi_list_init(&s->urgent);
    kvi_list_init(&s->ordinary);
    *out = &s->base;
    return KV_OK;
}

void kvi_os_step_exec_free(kvi_os_exec *e)
{
    step_exec *s;

    if (!e)
        return;
    s = step_exec_of(e);
    step_stop(e);
    kvi_os_cond_deinit(&s->idle);
    kvi_os_mutex_deinit(&s->lock);
    kvi_mem_free(s->mem, s);
}

bool kvi_os_step_exec_waiting(kvi_os_exec *e)
{
    step_exec *s = step_exec_of(e);
    bool waiting;

    kvi_os_mutex_lock(&s->lock);
    waiting = has_job(s);
    kvi_os_mutex_unlock(&s->lock);
    return waiting;
}
