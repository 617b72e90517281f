/*
 * The worker pool: each job once, urgent ones first, a stop that drops.
 */
#include "os/exec.h"

#include <criterion/criterion.h>

#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>

#include "base/error.h"
#include "os/event.h"

static kvi_mem mem;

static kvi_os_exec *new_pool(unsigned threads)
{
    kvi_os_exec *pool = NULL;

    kvi_mem_init(&mem, NULL);
    cr_assert_eq(kvi_os_pool_new(&mem, threads, &pool), KV_OK);
    return pool;
}

/* A pool's thread that is held up, so that what is submitted meanwhile waits. */
typedef struct gate {
    kvi_os_job job;
    kvi_os_event entered, open;
} gate;

static void hold_up(void *user)
{
    gate *g = user;

    kvi_os_event_set(&g->entered, KV_OK);
    (void)kvi_os_event_wait(&g->open, NULL);
}

static void gate_close(gate *g, kvi_os_exec *pool)
{
    kvi_os_event_init(&g->entered);
    kvi_os_event_init(&g->open);
    g->job = (kvi_os_job){.fn = hold_up, .user = g};
    pool->ops->submit(pool, &g->job);
    (void)kvi_os_event_wait(&g->entered, pool);
}

/* Once the pool is stopped. */
static void gate_deinit(gate *g)
{
    kvi_os_event_deinit(&g->entered);
    kvi_os_event_deinit(&g->open);
}

typedef struct numbered {
    kvi_os_job job;
    atomic_int *next;
    int place; /* in which it ran, from 1 */
} numbered;

static void take_place(void *user)
{
    numbered *n = user;

    n->place = atomic_fetch_add(n->next, 1) + 1;
}

static void set_done(void *user)
{
    kvi_os_event_set(user, KV_OK);
}

Test(os_pool, urgent_jobs_go_first_and_each_kind_in_order)
{
    enum { COUNT = 6 };
    kvi_os_exec *pool = new_pool(1);
    numbered jobs[COUNT];
    kvi_os_event done;
    kvi_os_job last = {.fn = set_done, .user = &done};
    atomic_int next = 0;
    gate g;

    gate_close(&g, pool);
    for (int i = 0; i < COUNT; i++) {
        jobs[i] = (numbered){.next = &next};
        jobs[i].job = (kvi_os_job){.fn = take_place, .user = &jobs[i], .urgent = i % 2 != 0};
        pool->ops->submit(pool, &jobs[i].job);
    }
    kvi_os_event_init(&done);
    pool->ops->submit(pool, &last);
    kvi_os_event_set(&g.open, KV_OK);
    (void)kvi_os_event_wait(&done, pool);
    for (int i = 0; i < COUNT; i++)
        cr_assert_eq(jobs[i].place, i / 2 + 1 + (i % 2 ? 0 : COUNT / 2), "job %d", i);
    kvi_os_pool_free(pool);
    kvi_os_event_deinit(&done);
    gate_deinit(&g);
}

Test(os_pool, does_not_help)
{
    kvi_os_exec *pool = new_pool(1);

    cr_assert_not(pool->ops->help(pool));
    kvi_os_pool_free(pool);
    kvi_os_pool_free(NULL);
}

static void count_one(void *user)
{
    atomic_fetch_add((atomic_int *)user, 1);
}

typedef struct stopper {
    kvi_os_exec *pool;
    atomic_bool stopped;
} stopper;

static void *stop_pool(void *arg)
{
    stopper *s = arg;

    s->pool->ops->stop(s->pool);
    atomic_store(&s->stopped, true);
    return NULL;
}

Test(os_pool, stop_waits_for_what_runs)
{
    stopper s = {.pool = new_pool(2), .stopped = false};
    pthread_t thread;
    gate g;

    gate_close(&g, s.pool);
    cr_assert_eq(pthread_create(&thread, NULL, stop_pool, &s), 0);
    for (int i = 0; i < 100; i++)
        kvi_os_yield();
    cr_assert_not(atomic_load(&s.stopped));
    kvi_os_event_set(&g.open, KV_OK);
    cr_assert_eq(pthread_join(thread, NULL), 0);
    kvi_os_pool_free(s.pool);
    gate_deinit(&g);
}

Test(os_pool, stop_drops_what_waits)
{
    kvi_os_exec *pool = new_pool(2);
    kvi_os_job jobs[1000], late;
    atomic_int ran = 0;
    int before;

    for (size_t i = 0; i < 1000; i++) {
        jobs[i] = (kvi_os_job){.fn = count_one, .user = &ran, .urgent = i % 3 == 0};
        pool->ops->submit(pool, &jobs[i]);
    }
    pool->ops->stop(pool);
    before = atomic_load(&ran);
    cr_assert(before <= 1000);
    late = (kvi_os_job){.fn = count_one, .user = &ran};
    pool->ops->submit(pool, &late);
    pool->ops->stop(pool);
    kvi_os_pool_free(pool);
    cr_assert_eq(atomic_load(&ran), before, "nothing runs after stop");
}

/* A job that goes on in steps, as compaction does. */
typedef struct stepper {
    kvi_os_job job;
    kvi_os_exec *pool;
    kvi_os_event *done;
    int left;
} stepper;

static void run_step(void *user)
{
    stepper *s = user;

    if (--s->left > 0)
        s->pool->ops->submit(s->pool, &s->job);
    else
        kvi_os_event_set(s->done, KV_OK);
}

Test(os_pool, a_job_may_submit_itself_again)
{
    kvi_os_exec *pool = new_pool(3);
    kvi_os_event done;
    stepper s = {.pool = pool, .done = &done, .left = 5000};

    s.job = (kvi_os_job){.fn = run_step, .user = &s};
    kvi_os_event_init(&done);
    pool->ops->submit(pool, &s.job);
    cr_assert_eq(kvi_os_event_wait(&done, pool), KV_OK);
    cr_assert_eq(s.left, 0);
    kvi_os_pool_free(pool);
    kvi_os_event_deinit(&done);
}

static void submit_forever(void *user)
{
    stepper *s = user;

    s->pool->ops->submit(s->pool, &s->job);
}

Test(os_pool, stop_ends_what_submits_itself_for_ever)
{
    kvi_os_exec *pool = new_pool(2);
    stepper s[2];

    for (int i = 0; i < 2; i++) {
        s[i] = (stepper){.pool = pool};
        s[i].job = (kvi_os_job){.fn = submit_forever, .user = &s[i], .urgent = i != 0};
        pool->ops->submit(pool, &s[i].job);
    }
    kvi_os_pool_free(pool);
}

/* Each submitter's jobs lie in its own array; each must run once. */
enum { SUBMITTERS = 4, JOBS = 5000 };

typedef struct submitter {
    kvi_os_exec *pool;
    atomic_int *ran;
    kvi_os_job jobs[JOBS];
} submitter;

static void *submit_all(void *arg)
{
    submitter *s = arg;

    for (size_t i = 0; i < JOBS; i++) {
        s->jobs[i] = (kvi_os_job){.fn = count_one, .user = s->ran, .urgent = i % 5 == 0};
        s->pool->ops->submit(s->pool, &s->jobs[i]);
    }
    return NULL;
}

Test(os_pool, every_job_of_many_threads_runs)
{
    kvi_os_exec *pool = new_pool(KVI_OS_POOL_MAX);
    submitter *submitters = calloc(SUBMITTERS, sizeof *submitters);
    pthread_t threads[SUBMITTERS];
    atomic_int ran = 0;

    cr_assert_not_null(submitters);
    for (int i = 0; i < SUBMITTERS; i++) {
        submitters[i].pool = pool;
        submitters[i].ran = &ran;
        cr_assert_eq(pthread_create(&threads[i], NULL, submit_all, &submitters[i]), 0);
    }
    for (int i = 0; i < SUBMITTERS; i++)
        cr_assert_eq(pthread_join(threads[i], NULL), 0);
    while (atomic_load(&ran) < SUBMITTERS * JOBS)
        kvi_os_yield();
    kvi_os_pool_free(pool);
    cr_assert_eq(atomic_load(&ran), SUBMITTERS * JOBS);
    free(submitters);
}

typedef struct mask {
    sigset_t set;
    kvi_os_event done;
} mask;

static void read_mask(void *user)
{
    mask *m = user;

    (void)pthread_sigmask(SIG_SETMASK, NULL, &m->set);
    kvi_os_event_set(&m->done, KV_OK);
}

Test(os_pool, signals_are_the_hosts)
{
    const int signals[] = {SIGINT, SIGTERM, SIGHUP, SIGUSR1, SIGALRM, SIGCHLD, SIGPIPE};
    sigset_t before, after;
    kvi_os_exec *pool;
    kvi_os_job job;
    mask m;

    (void)pthread_sigmask(SIG_SETMASK, NULL, &before);
    pool = new_pool(1);
    (void)pthread_sigmask(SIG_SETMASK, NULL, &after);
    kvi_os_event_init(&m.done);
    job = (kvi_os_job){.fn = read_mask, .user = &m};
    pool->ops->submit(pool, &job);
    (void)kvi_os_event_wait(&m.done, pool);
    for (size_t i = 0; i < sizeof signals / sizeof signals[0]; i++) {
        cr_assert_eq(sigismember(&m.set, signals[i]), 1, "signal %d is blocked", signals[i]);
        cr_assert_eq(sigismember(&before, signals[i]), sigismember(&after, signals[i]));
    }
    kvi_os_pool_free(pool);
    kvi_os_event_deinit(&m.done);
}

static void *no_alloc(void *user, size_t bytes)
{
    (void)user;
    (void)bytes;
    return NULL;
}

static void *no_resize(void *user, void *old, size_t bytes)
{
    (void)user;
    (void)old;
    (void)bytes;
    return NULL;
}

static void no_free(void *user, void *old)
{
    (void)user;
    (void)old;
}

Test(os_pool, without_memory_there_is_none)
{
    kv_allocator host = KV_ALLOCATOR_INIT;
    kvi_os_exec *pool = NULL;
    kvi_mem none;

    host.alloc = no_alloc;
    host.resize = no_resize;
    host.free = no_free;
    kvi_mem_init(&none, &host);
    kvi_error_clear();
    cr_assert_eq(kvi_os_pool_new(&none, 1, &pool), KV_ENOMEM);
    cr_assert_null(pool);
    cr_assert(kvi_error_detail()[0] != '\0');
}
