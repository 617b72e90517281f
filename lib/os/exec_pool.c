/*
 * The executor over threads; see os/exec.h for the contract.
 *
 * 1. Under lock: the queues and `stopping`. Threads sleep on `wake` while both queues are empty.
 * 2. A job is off its queue before its fn is called, and not touched from then on: fn may submit it
 *    again, or free it.
 * 3. Once `stopping` is set no job begins, and what is submitted is dropped.
 */
#include "os/exec.h"

#include "base/check.h"
#include "base/error.h"
#include "os/lock.h"
#include "os/thread.h"

typedef struct pool {
    kvi_os_exec base;
    const kvi_mem *mem;
    kvi_os_mutex lock;
    kvi_os_cond wake;
    kvi_list urgent, ordinary;
    bool stopping;
    unsigned count; /* threads that run */
    kvi_os_thread threads[KVI_OS_POOL_MAX];
} pool;

static void pool_submit(kvi_os_exec *e, kvi_os_job *job)
{
    pool *p = (pool *)(void *)e;

    KVI_ASSERT(job->fn);
    kvi_os_mutex_lock(&p->lock);
    if (!p->stopping) {
        kvi_list_push_back(job->urgent ? &p->urgent : &p->ordinary, &job->link);
        kvi_os_cond_signal(&p->wake);
    }
    kvi_os_mutex_unlock(&p->lock);
}

static bool pool_help(kvi_os_exec *e)
{
    (void)e;
    return false;
}

/* Waits for a job and takes it off its queue; NULL: stop. */
static kvi_os_job *next_job(pool *p)
{
    kvi_os_job *job = NULL;

    kvi_os_mutex_lock(&p->lock);
    while (!p->stopping && kvi_list_empty(&p->urgent) && kvi_list_empty(&p->ordinary))
        kvi_os_cond_wait(&p->wake, &p->lock);
    if (!p->stopping) {
        kvi_list *queue = kvi_list_empty(&p->urgent) ? &p->ordinary : &p->urgent;

        job = KVI_LIST_FIRST(queue, kvi_os_job, link);
        kvi_list_remove(&job->link);
    }
    kvi_os_mutex_unlock(&p->lock);
    return job;
}

static void run_thread(void *user)
{
    pool *p = user;
    kvi_os_job *job;

    while ((job = next_job(p)) != NULL)
        job->fn(job->user);
}

static void drop_all(kvi_list *queue)
{
    while (!kvi_list_empty(queue))
        kvi_list_remove(queue->next);
}

static void pool_stop(kvi_os_exec *e)
{
    pool *p = (pool *)(void *)e;

    kvi_os_mutex_lock(&p->lock);
    p->stopping = true;
    drop_all(&p->urgent);
    drop_all(&p->ordinary);
    kvi_os_cond_broadcast(&p->wake);
    kvi_os_mutex_unlock(&p->lock);
    for (; p->count > 0; p->count--)
        kvi_os_thread_join(&p->threads[p->count - 1]);
}

static int start_threads(pool *p, unsigned threads)
{
    int err = KV_OK;

    while (!err && p->count < threads) {
        err = kvi_os_thread_start(&p->threads[p->count], run_thread, p);
        p->count += !err;
    }
    return err;
}

int kvi_os_pool_new(const kvi_mem *mem, unsigned threads, kvi_os_exec **out)
{
    static const struct kvi_os_exec_ops ops = {pool_submit, pool_help, pool_stop};
    pool *p;
    int err;

    KVI_ASSERT(threads >= 1 && threads <= KVI_OS_POOL_MAX);
    p = kvi_mem_zalloc(mem, 1, sizeof *p);
    if (!p)
        return kvi_error_set(KV_ENOMEM, "cannot allocate the worker pool");
    p->base.ops = &ops;
    p->mem = mem;
    kvi_os_mutex_init(&p->lock, KVI_RANK_EXEC, NULL);
    kvi_os_cond_init(&p->wake);
    kvi_list_init(&p->urgent);
    kvi_list_init(&p->ordinary);
    err = start_threads(p, threads);
    if (err) {
        unsigned started = p->count;

        kvi_os_pool_free(&p->base);
        return kvi_error_set(err, "%s (worker %u of %u)", kvi_error_detail(), started + 1, threads);
    }
    *out = &p->base;
    return KV_OK;
}

void kvi_os_pool_free(kvi_os_exec *e)
{
    pool *p = (pool *)(void *)e;

    if (!p)
        return;
    pool_stop(e);
    kvi_os_cond_deinit(&p->wake);
    kvi_os_mutex_deinit(&p->lock);
    kvi_mem_free(p->mem, p);
}
