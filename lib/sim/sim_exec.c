/*
 * An executor without threads; see the header for the contract.
 */
#include "sim/sim_exec.h"

#include "base/check.h"

static size_t count_urgent(const kvi_sim_exec *e)
{
    size_t n = 0;

    KVI_LIST_EACH(at, &e->waiting)
        n += KVI_CONTAINER_OF(at, kvi_os_job, link)->urgent;
    return n;
}

/* Any of those that wait; of the urgent ones alone where only they may go. At least one waits. */
static kvi_os_job *draw(kvi_sim_exec *e)
{
    size_t urgent = e->urgent_first ? count_urgent(e) : 0;
    uint64_t skip = kvi_sim_rng_below(&e->rng, urgent > 0 ? urgent : e->waiting_count);
    kvi_os_job *job = NULL;

    KVI_LIST_EACH(at, &e->waiting) {
        job = KVI_CONTAINER_OF(at, kvi_os_job, link);
        if ((urgent == 0 || job->urgent) && skip-- == 0)
            break;
    }
    KVI_ASSERT(job);
    return job;
}

static bool run_one(kvi_sim_exec *e)
{
    kvi_os_job *job;
    void (*fn)(void *user);
    void *user;

    if (kvi_list_empty(&e->waiting))
        return false;
    KVI_ASSERT(e->depth < KVI_SIM_EXEC_DEPTH_MAX);
    job = draw(e);
    fn = job->fn;
    user = job->user;
    kvi_list_remove(&job->link);
    e->waiting_count--;
    e->depth++;
    fn(user); /* job may be gone from here on */
    e->depth--;
    e->ran++;
    return true;
}

static void submit(kvi_os_exec *base, kvi_os_job *job)
{
    kvi_sim_exec *e = KVI_CONTAINER_OF(base, kvi_sim_exec, base);

    KVI_ASSERT(!e->stopped);
    KVI_ASSERT(job->fn);
    kvi_list_push_back(&e->waiting, &job->link);
    e->waiting_count++;
    if (e->depth == 0 && kvi_sim_rng_chance(&e->rng, e->eager_ppm))
        run_one(e);
}

static bool help(kvi_os_exec *base)
{
    return run_one(KVI_CONTAINER_OF(base, kvi_sim_exec, base));
}

static void stop(kvi_os_exec *base)
{
    kvi_sim_exec *e = KVI_CONTAINER_OF(base, kvi_sim_exec, base);

    KVI_ASSERT(e->depth == 0);
    e->stopped = true;
    while (!kvi_list_empty(&e->waiting))
        kvi_list_remove(e->waiting.next);
    e->waiting_count = 0;
}

void kvi_sim_exec_init(kvi_sim_exec *e, uint64_t seed)
{
    static const struct kvi_os_exec_ops ops = {submit, help, stop};

    e->base.ops = &ops;
    kvi_list_init(&e->waiting);
    e->waiting_count = 0;
    kvi_sim_rng_init(&e->rng, seed);
    e->ran = 0;
    e->depth = 0;
    e->stopped = false;
    e->urgent_first = false;
    e->eager_ppm = 0;
}

size_t kvi_sim_exec_run_all(kvi_sim_exec *e, size_t limit)
{
    size_t n = 0;

    while (n < limit && run_one(e))
        n++;
    return n;
}
