/*
 * The executor without threads: order, who is told, a stop that waits and drops.
 */
#include "os/exec.h"

#include <criterion/criterion.h>

#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>

#include "base/error.h"
#include "os/event.h"
#include "support/failmem.h"

static kvt_failmem fm;
static kvi_mem mem;
static atomic_int told;

static void tell(void *user)
{
    atomic_fetch_add((atomic_int *)user, 1);
}

static kvi_os_exec *new_exec(void)
{
    kvi_os_exec *exec = NULL;

    kvt_failmem_init(&fm, &mem);
    atomic_store(&told, 0);
    cr_assert_eq(kvi_os_step_exec_new(&mem, tell, &told, &exec), KV_OK);
    return exec;
}

static void free_exec(kvi_os_exec *exec)
{
    kvi_os_step_exec_free(exec);
    cr_assert_eq(kvt_failmem_live(&fm), 0);
}

static void count_one(void *user)
{
    atomic_fetch_add((atomic_int *)user, 1);
}

Test(os_step_exec, nothing_runs_before_help)
{
    kvi_os_exec *exec = new_exec();
    atomic_int ran = 0;
    kvi_os_job job = {.fn = count_one, .user = &ran};

    cr_assert_not(exec->ops->help(exec));
    cr_assert_not(kvi_os_step_exec_waiting(exec));
    exec->ops->submit(exec, &job);
    cr_assert_eq(ran, 0);
    cr_assert_eq(told, 1);
    cr_assert(kvi_os_step_exec_waiting(exec));
    cr_assert(exec->ops->help(exec));
    cr_assert_eq(ran, 1);
    cr_assert_not(kvi_os_step_exec_waiting(exec));
    cr_assert_not(exec->ops->help(exec));
    free_exec(exec);
    kvi_os_step_exec_free(NULL);
}

typedef struct numbered {
    kvi_os_job job;
    int *next;
    int place; /* in which it ran, from 1 */
} numbered;

static void take_place(void *user)
{
    numbered *n = user;

    n->place = ++*n->next;
}

Test(os_step_exec, urgent_jobs_go_first_and_each_kind_in_order)
{
    enum { COUNT = 6 };
    kvi_os_exec *exec = new_exec();
    numbered jobs[COUNT];
    int next = 0;

    for (int i = 0; i < COUNT; i++) {
        jobs[i] = (numbered){.next = &next};
        jobs[i].job = (kvi_os_job){.fn = take_place, .user = &jobs[i], .urgent = i % 2 != 0};
        exec->ops->submit(exec, &jobs[i].job);
    }
    while (exec->ops->help(exec))
        ;
    for (int i = 0; i < COUNT; i++)
        cr_assert_eq(jobs[i].place, i / 2 + 1 + (i % 2 ? 0 : COUNT / 2), "job %d", i);
    free_exec(exec);
}

Test(os_step_exec, nobody_need_be_told)
{
    kvi_os_exec *exec = NULL;
    atomic_int ran = 0;
    kvi_os_job job = {.fn = count_one, .user = &ran};

    kvi_mem_init(&mem, NULL);
    cr_assert_eq(kvi_os_step_exec_new(&mem, NULL, NULL, &exec), KV_OK);
    exec->ops->submit(exec, &job);
    cr_assert(exec->ops->help(exec));
    cr_assert_eq(ran, 1);
    kvi_os_step_exec_free(exec);
}

/* A job that goes on in steps, on the heap, and frees itself at its end. */
typedef struct stepper {
    kvi_os_job job;
    kvi_os_exec *exec;
    atomic_int *ended;
    int left;
} stepper;

static void run_step(void *user)
{
    stepper *s = user;

    if (--s->left > 0) {
        s->exec->ops->submit(s->exec, &s->job);
        return;
    }
    atomic_fetch_add(s->ended, 1);
    free(s);
}

static void submit_stepper(kvi_os_exec *exec, atomic_int *ended, int steps)
{
    stepper *s = calloc(1, sizeof *s);

    cr_assert_not_null(s);
    *s = (stepper){.exec = exec, .ended = ended, .left = steps};
    s->job = (kvi_os_job){.fn = run_step, .user = s};
    exec->ops->submit(exec, &s->job);
}

Test(os_step_exec, a_job_may_submit_itself_again_or_free_itself)
{
    kvi_os_exec *exec = new_exec();
    atomic_int ended = 0;
    int steps = 0;

    submit_stepper(exec, &ended, 3);
    submit_stepper(exec, &ended, 1);
    while (exec->ops->help(exec))
        steps++;
    cr_assert_eq(steps, 4);
    cr_assert_eq(ended, 2);
    cr_assert_eq(told, 4, "each submit is told, a job's own too");
    free_exec(exec);
}

static void set_done(void *user)
{
    kvi_os_event_set(user, KV_OK);
}

Test(os_step_exec, who_waits_for_an_event_helps)
{
    kvi_os_exec *exec = new_exec();
    atomic_int ended = 0;
    kvi_os_event done;
    kvi_os_job job = {.fn = set_done, .user = &done};

    kvi_os_event_init(&done);
    submit_stepper(exec, &ended, 10);
    exec->ops->submit(exec, &job);
    cr_assert_eq(kvi_os_event_wait(&done, exec), KV_OK);
    while (exec->ops->help(exec))
        ;
    cr_assert_eq(ended, 1);
    kvi_os_event_deinit(&done);
    free_exec(exec);
}

Test(os_step_exec, stop_drops_what_waits)
{
    kvi_os_exec *exec = new_exec();
    atomic_int ran = 0;
    kvi_os_job jobs[10], late = {.fn = count_one, .user = &ran};

    for (size_t i = 0; i < 10; i++) {
        jobs[i] = (kvi_os_job){.fn = count_one, .user = &ran, .urgent = i % 3 == 0};
        exec->ops->submit(exec, &jobs[i]);
    }
    exec->ops->stop(exec);
    cr_assert_not(kvi_os_step_exec_waiting(exec));
    cr_assert_not(exec->ops->help(exec));
    exec->ops->submit(exec, &late);
    cr_assert_not(exec->ops->help(exec));
    cr_assert_eq(told, 10, "nobody is told of what is dropped");
    exec->ops->stop(exec);
    free_exec(exec);
    cr_assert_eq(ran, 0);
}

/* A job that is held up on a thread of its own; then it submits another. */
typedef struct gate {
    kvi_os_exec *exec;
    kvi_os_job job, other;
    kvi_os_event entered, open;
    atomic_bool ended;
} gate;

static void hold_up(void *user)
{
    gate *g = user;

    kvi_os_event_set(&g->entered, KV_OK);
    (void)kvi_os_event_wait(&g->open, NULL);
    g->exec->ops->submit(g->exec, &g->other);
    atomic_store(&g->ended, true);
}

static void *help_once(void *arg)
{
    kvi_os_exec *exec = arg;

    return exec->ops->help(exec) ? exec : NULL;
}

static void *open_gate(void *arg)
{
    gate *g = arg;

    for (int i = 0; i < 100; i++)
        kvi_os_yield();
    kvi_os_event_set(&g->open, KV_OK);
    return NULL;
}

Test(os_step_exec, stop_waits_for_what_others_run_and_drops_what_that_submits)
{
    pthread_t helper, opener;
    atomic_int ran = 0;
    void *helped = NULL;
    gate g = {.exec = new_exec(), .other = {.fn = count_one, .user = &ran}};

    kvi_os_event_init(&g.entered);
    kvi_os_event_init(&g.open);
    g.job = (kvi_os_job){.fn = hold_up, .user = &g};
    g.exec->ops->submit(g.exec, &g.job);
    cr_assert_eq(pthread_create(&helper, NULL, help_once, g.exec), 0);
    (void)kvi_os_event_wait(&g.entered, NULL);
    cr_assert_not(g.exec->ops->help(g.exec), "what runs does not wait");
    cr_assert_eq(pthread_create(&opener, NULL, open_gate, &g), 0);
    g.exec->ops->stop(g.exec);
    cr_assert(atomic_load(&g.ended));
    cr_assert_eq(pthread_join(helper, &helped), 0);
    cr_assert_eq(pthread_join(opener, NULL), 0);
    cr_assert(helped == g.exec);
    free_exec(g.exec);
    cr_assert_eq(ran, 0);
    kvi_os_event_deinit(&g.entered);
    kvi_os_event_deinit(&g.open);
}

/* Each submitter's jobs lie in its own array; each must run once, on whatever thread helps. */
enum { SUBMITTERS = 4, JOBS = 3000 };

typedef struct submitter {
    kvi_os_exec *exec;
    atomic_int *ran;
    kvi_os_job jobs[JOBS];
} submitter;

static void *submit_all(void *arg)
{
    submitter *s = arg;

    for (size_t i = 0; i < JOBS; i++) {
        s->jobs[i] = (kvi_os_job){.fn = count_one, .user = s->ran, .urgent = i % 5 == 0};
        s->exec->ops->submit(s->exec, &s->jobs[i]);
        if (i % 2 == 0)
            (void)s->exec->ops->help(s->exec);
    }
    return NULL;
}

Test(os_step_exec, every_job_of_many_threads_runs)
{
    kvi_os_exec *exec = new_exec();
    submitter *submitters = calloc(SUBMITTERS, sizeof *submitters);
    pthread_t threads[SUBMITTERS];
    atomic_int ran = 0;

    cr_assert_not_null(submitters);
    for (int i = 0; i < SUBMITTERS; i++) {
        submitters[i].exec = exec;
        submitters[i].ran = &ran;
        cr_assert_eq(pthread_create(&threads[i], NULL, submit_all, &submitters[i]), 0);
    }
    for (int i = 0; i < SUBMITTERS; i++)
        cr_assert_eq(pthread_join(threads[i], NULL), 0);
    while (exec->ops->help(exec))
        ;
    cr_assert_eq(atomic_load(&ran), SUBMITTERS * JOBS);
    cr_assert_eq(atomic_load(&told), SUBMITTERS * JOBS);
    free_exec(exec);
    free(submitters);
}

Test(os_step_exec, without_memory_there_is_none)
{
    kvi_os_exec *exec = NULL;

    kvt_failmem_init(&fm, &mem);
    kvt_failmem_arm(&fm, 0, true);
    kvi_error_clear();
    cr_assert_eq(kvi_os_step_exec_new(&mem, NULL, NULL, &exec), KV_ENOMEM);
    cr_assert_null(exec);
    cr_assert(kvi_error_detail()[0] != '\0');
}
