/*
 * Tasks and their crew; see task.h. The count of requests decides who queues: whoever takes it
 * from 0. The running thread takes it back to 0 only if nothing was asked meanwhile, so no request
 * is lost and no two threads run one task.
 */
#include "lsm/task.h"

#include "base/check.h"

/** One task less; the last one, once the crew's own unit is given up, tells the owner. Nothing is
 *  touched after that. */
static void crew_leave(kvi_lsm_crew *c)
{
    uint32_t before = atomic_fetch_sub(&c->busy, 1);

    KVI_ASSERT(before > 0);
    if (before == 1)
        kvi_os_event_set(&c->idle, KV_OK);
}

void kvi_lsm_crew_init(kvi_lsm_crew *c, kvi_os_exec *exec, void (*after)(void *user), void *user)
{
    c->exec = exec;
    c->after = after;
    c->user = user;
    atomic_init(&c->running, 0);
    atomic_init(&c->busy, 1);
    atomic_init(&c->stopping, false);
    kvi_os_event_init(&c->idle);
}

void kvi_lsm_crew_stop(kvi_lsm_crew *c)
{
    KVI_ASSERT(!atomic_load(&c->stopping));
    atomic_store(&c->stopping, true);
    crew_leave(c);
    (void)kvi_os_event_wait(&c->idle, c->exec);
    kvi_os_event_deinit(&c->idle);
}

static void task_main(void *user)
{
    kvi_lsm_task *t = user;
    kvi_lsm_crew *c = t->crew;
    uint32_t seen = atomic_load(&t->requests);

    KVI_ASSERT(seen > 0);
    if (!kvi_lsm_crew_stopping(c)) {
        atomic_fetch_add(&c->running, 1);
        t->run(t->user);
        atomic_fetch_sub(&c->running, 1);
        c->after(c->user);
    }
    if (kvi_lsm_crew_stopping(c)) {
        atomic_store(&t->requests, 0);
        crew_leave(c);
        return;
    }
    if (atomic_compare_exchange_strong(&t->requests, &seen, 0)) {
        crew_leave(c);
        return;
    }
    c->exec->ops->submit(c->exec, &t->job);
}

void kvi_lsm_task_init(kvi_lsm_task *t, kvi_lsm_crew *crew, bool urgent, void (*run)(void *user),
                       void *user)
{
    kvi_list_init(&t->job.link);
    t->job.fn = task_main;
    t->job.user = t;
    t->job.urgent = urgent;
    t->crew = crew;
    atomic_init(&t->requests, 0);
    t->run = run;
    t->user = user;
}

void kvi_lsm_task_request(kvi_lsm_task *t)
{
    kvi_lsm_crew *c = t->crew;

    if (kvi_lsm_crew_stopping(c))
        return;
    if (atomic_fetch_add(&t->requests, 1) > 0)
        return;
    atomic_fetch_add(&c->busy, 1);
    c->exec->ops->submit(c->exec, &t->job);
}
