/*
 * Tasks: no request is lost, no task runs twice at once, and stop is the end.
 */
#include "lsm/task.h"

#include <criterion/criterion.h>
#include <pthread.h>

#include "base/error.h"
#include "sim/sim_exec.h"

#define ASKERS       3u
#define ASKS         2000u
#define POOL_THREADS 3u

#define OK(call) cr_assert_eq((call), KV_OK, "%s: %s", #call, kvi_error_detail())

typedef struct crowd {
    kvi_lsm_crew crew;
    kvi_lsm_task task;
    unsigned again; /* runs that ask for another */
    _Atomic unsigned inside, runs, afters, asked, seen;
    unsigned all;      /* asks that there will be; 0: no end is told */
    bool told;         /* the runs': one at a time */
    kvi_os_event done; /* set once a run has seen them all */
    kvi_os_event begun, gate;
    _Atomic bool ended, stopped;
} crowd;

static void after(void *user)
{
    crowd *c = user;

    if (atomic_load(&c->crew.running) != 0 || atomic_load(&c->afters) >= atomic_load(&c->runs))
        abort();
    atomic_fetch_add(&c->afters, 1);
}

static void run(void *user)
{
    crowd *c = user;

    if (atomic_fetch_add(&c->inside, 1) != 0 || atomic_load(&c->crew.running) != 1)
        abort();
    atomic_store(&c->seen, atomic_load(&c->asked));
    atomic_fetch_add(&c->runs, 1);
    if (c->again > 0) {
        c->again--;
        for (unsigned i = 0; i < 3; i++)
            kvi_lsm_task_request(&c->task);
    }
    atomic_fetch_sub(&c->inside, 1);
    if (c->all == 0 || c->told || atomic_load(&c->seen) < c->all)
        return;
    c->told = true;
    kvi_os_event_set(&c->done, KV_OK);
}

static void crowd_init(crowd *c, kvi_os_exec *exec, void (*fn)(void *user))
{
    memset(c, 0, sizeof *c);
    kvi_os_event_init(&c->done);
    kvi_os_event_init(&c->begun);
    kvi_os_event_init(&c->gate);
    kvi_lsm_crew_init(&c->crew, exec, after, c);
    kvi_lsm_task_init(&c->task, &c->crew, false, fn, c);
}

static void crowd_deinit(crowd *c)
{
    kvi_os_event_deinit(&c->done);
    kvi_os_event_deinit(&c->begun);
    kvi_os_event_deinit(&c->gate);
}

/* --- without threads ---------------------------------------------------------------------- */

Test(lsm_task, asked_often_it_runs_once)
{
    kvi_sim_exec exec;
    crowd c;

    kvi_sim_exec_init(&exec, 1);
    crowd_init(&c, &exec.base, run);
    for (unsigned round = 1; round <= 3; round++) {
        for (unsigned i = 0; i < 5; i++)
            kvi_lsm_task_request(&c.task);
        cr_assert_eq(exec.waiting_count, 1);
        cr_assert_eq(kvi_sim_exec_run_all(&exec, 100), 1);
        cr_assert_eq(c.runs, round);
        cr_assert_eq(c.afters, round, "after each run");
    }
    kvi_lsm_crew_stop(&c.crew);
    cr_assert_eq(c.runs, 3);
    crowd_deinit(&c);
}

Test(lsm_task, asked_while_it_runs_it_runs_again)
{
    kvi_sim_exec exec;
    crowd c;

    kvi_sim_exec_init(&exec, 1);
    crowd_init(&c, &exec.base, run);
    c.again = 2;
    kvi_lsm_task_request(&c.task);
    cr_assert_eq(kvi_sim_exec_run_all(&exec, 100), 3);
    cr_assert_eq(c.runs, 3);
    cr_assert_eq(c.afters, 3);
    kvi_lsm_crew_stop(&c.crew);
    crowd_deinit(&c);
}

Test(lsm_task, after_stop_nothing_runs)
{
    kvi_sim_exec exec;
    crowd c;

    kvi_sim_exec_init(&exec, 1);
    crowd_init(&c, &exec.base, run);
    kvi_lsm_task_request(&c.task);
    kvi_lsm_crew_stop(&c.crew);
    cr_assert_eq(exec.waiting_count, 0, "it has left the queue");
    cr_assert_eq(c.runs, 0, "without running");
    cr_assert(kvi_lsm_crew_stopping(&c.crew));
    kvi_lsm_task_request(&c.task);
    cr_assert_eq(exec.waiting_count, 0);
    cr_assert_eq(c.afters, 0);
    crowd_deinit(&c);
}

/* --- with threads ------------------------------------------------------------------------- */

static void *ask(void *arg)
{
    crowd *c = arg;

    for (unsigned i = 0; i < ASKS; i++) {
        atomic_fetch_add(&c->asked, 1);
        kvi_lsm_task_request(&c->task);
    }
    return NULL;
}

Test(lsm_task, no_request_is_lost_and_no_two_threads_run_it)
{
    pthread_t askers[ASKERS];
    kvi_os_exec *pool;
    kvi_mem mem;
    crowd c;

    kvi_mem_init(&mem, NULL);
    OK(kvi_os_pool_new(&mem, POOL_THREADS, &pool));
    crowd_init(&c, pool, run);
    c.all = ASKERS * ASKS;
    for (size_t i = 0; i < ASKERS; i++)
        cr_assert_eq(pthread_create(&askers[i], NULL, ask, &c), 0);
    for (size_t i = 0; i < ASKERS; i++)
        pthread_join(askers[i], NULL);
    OK(kvi_os_event_wait(&c.done, pool)); /* the last request has had its run */
    kvi_lsm_crew_stop(&c.crew);
    cr_assert_eq(c.afters, c.runs);
    cr_assert_leq(c.runs, ASKERS * ASKS);
    kvi_os_pool_free(pool);
    crowd_deinit(&c);
}

static void run_slowly(void *user)
{
    crowd *c = user;

    atomic_fetch_add(&c->runs, 1);
    kvi_os_event_set(&c->begun, KV_OK);
    (void)kvi_os_event_wait(&c->gate, NULL);
    if (atomic_load(&c->stopped))
        abort();
    atomic_store(&c->ended, true);
}

static void *stop(void *arg)
{
    crowd *c = arg;

    kvi_lsm_crew_stop(&c->crew);
    if (!atomic_load(&c->ended))
        abort();
    atomic_store(&c->stopped, true);
    return NULL;
}

Test(lsm_task, stop_waits_for_what_runs)
{
    kvi_os_exec *pool;
    pthread_t stopper;
    kvi_mem mem;
    crowd c;

    kvi_mem_init(&mem, NULL);
    OK(kvi_os_pool_new(&mem, 1, &pool));
    crowd_init(&c, pool, run_slowly);
    kvi_lsm_task_request(&c.task);
    OK(kvi_os_event_wait(&c.begun, pool));
    kvi_lsm_task_request(&c.task); /* for a second run, which there will not be */
    cr_assert_eq(pthread_create(&stopper, NULL, stop, &c), 0);
    while (!kvi_lsm_crew_stopping(&c.crew))
        kvi_os_yield();
    for (unsigned i = 0; i < 100; i++)
        kvi_os_yield();
    cr_assert(!c.stopped);
    kvi_os_event_set(&c.gate, KV_OK);
    pthread_join(stopper, NULL);
    cr_assert(c.stopped);
    cr_assert_eq(c.runs, 1);
    cr_assert_eq(c.afters, 1);
    kvi_lsm_task_request(&c.task);
    kvi_os_pool_free(pool);
    cr_assert_eq(c.runs, 1);
    crowd_deinit(&c);
}
