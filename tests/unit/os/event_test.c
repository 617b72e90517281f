/*
 * One thread waits for another.
 */
#include "os/event.h"

#include <criterion/criterion.h>

#include <pthread.h>
#include <stdlib.h>

#define TURNS 2000

Test(os_event, set_before_wait)
{
    kvi_os_event e;

    kvi_os_event_init(&e);
    kvi_os_event_set(&e, KV_EIO);
    cr_assert_eq(kvi_os_event_wait(&e, NULL), KV_EIO);
    kvi_os_event_deinit(&e);
}

static void *set_event(void *arg)
{
    kvi_os_event_set(arg, 7);
    return NULL;
}

/* The event is gone right after wait: a setter that still touched it would touch freed memory. */
Test(os_event, may_be_freed_after_wait)
{
    for (int i = 0; i < TURNS; i++) {
        kvi_os_event *e = malloc(sizeof *e);
        pthread_t thread;

        cr_assert_not_null(e);
        kvi_os_event_init(e);
        cr_assert_eq(pthread_create(&thread, NULL, set_event, e), 0);
        cr_assert_eq(kvi_os_event_wait(e, NULL), 7);
        kvi_os_event_deinit(e);
        free(e);
        cr_assert_eq(pthread_join(thread, NULL), 0);
    }
}

static void set_from_job(void *user)
{
    kvi_os_event_set(user, 9);
}

Test(os_event, set_by_a_pool)
{
    kvi_os_exec *pool;
    kvi_mem mem;

    kvi_mem_init(&mem, NULL);
    cr_assert_eq(kvi_os_pool_new(&mem, 2, &pool), KV_OK);
    for (int i = 0; i < TURNS; i++) {
        kvi_os_event e;
        kvi_os_job job = {.fn = set_from_job, .user = &e};

        kvi_os_event_init(&e);
        pool->ops->submit(pool, &job);
        cr_assert_eq(kvi_os_event_wait(&e, pool), 9);
        kvi_os_event_deinit(&e);
    }
    kvi_os_pool_free(pool);
}

/* An executor without threads: the waiter runs its jobs, of which the third sets the event. */
typedef struct lazy_exec {
    kvi_os_exec base;
    kvi_os_event *event;
    int helped;
} lazy_exec;

static bool help(kvi_os_exec *e)
{
    lazy_exec *x = (lazy_exec *)e;

    if (++x->helped == 3)
        kvi_os_event_set(x->event, 11);
    return true;
}

Test(os_event, waiter_runs_the_jobs_where_nobody_else_does)
{
    static const struct kvi_os_exec_ops ops = {.help = help};
    kvi_os_event e;
    lazy_exec x = {{&ops}, &e, 0};

    kvi_os_event_init(&e);
    cr_assert_eq(kvi_os_event_wait(&e, &x.base), 11);
    cr_assert_eq(x.helped, 3, "and no more than it takes");
    kvi_os_event_deinit(&e);
}
