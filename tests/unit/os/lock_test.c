/*
 * Mutexes, condition variables, and the order in which locks are taken.
 */
#include "os/lock.h"

#include <criterion/criterion.h>

#include <signal.h>

#define THREADS 4
#define TURNS   20000

typedef struct counter {
    kvi_os_mutex lock;
    unsigned value; /* under lock */
} counter;

static void *count_up(void *arg)
{
    counter *c = arg;

    for (int i = 0; i < TURNS; i++) {
        kvi_os_mutex_lock(&c->lock);
        c->value++;
        kvi_os_mutex_unlock(&c->lock);
    }
    return NULL;
}

Test(os_lock, mutex_excludes)
{
    pthread_t threads[THREADS];
    counter c = {.value = 0};

    kvi_os_mutex_init(&c.lock, KVI_RANK_LEAF, NULL);
    for (int i = 0; i < THREADS; i++)
        cr_assert_eq(pthread_create(&threads[i], NULL, count_up, &c), 0);
    for (int i = 0; i < THREADS; i++)
        cr_assert_eq(pthread_join(threads[i], NULL), 0);
    cr_assert_eq(c.value, THREADS * TURNS);
    kvi_os_mutex_deinit(&c.lock);
}

/* Two threads take turns: one at even values, one at odd ones. */
typedef struct ping_pong {
    kvi_os_mutex lock;
    kvi_os_cond cond;
    unsigned value; /* under lock */
} ping_pong;

static void take_turns(ping_pong *p, unsigned parity)
{
    for (int i = 0; i < TURNS / 10; i++) {
        kvi_os_mutex_lock(&p->lock);
        while (p->value % 2 != parity)
            kvi_os_cond_wait(&p->cond, &p->lock);
        p->value++;
        if (i % 2)
            kvi_os_cond_signal(&p->cond);
        else
            kvi_os_cond_broadcast(&p->cond);
        kvi_os_mutex_unlock(&p->lock);
    }
}

static void *take_odd_turns(void *arg)
{
    take_turns(arg, 1);
    return NULL;
}

Test(os_lock, cond_wakes)
{
    ping_pong p = {.value = 0};
    pthread_t thread;

    kvi_os_mutex_init(&p.lock, KVI_RANK_EXEC, NULL);
    kvi_os_cond_init(&p.cond);
    cr_assert_eq(pthread_create(&thread, NULL, take_odd_turns, &p), 0);
    take_turns(&p, 0);
    cr_assert_eq(pthread_join(thread, NULL), 0);
    cr_assert_eq(p.value, 2 * (TURNS / 10));
    kvi_os_cond_deinit(&p.cond);
    kvi_os_mutex_deinit(&p.lock);
}

typedef struct counting_jitter {
    kvi_os_jitter base;
    int calls;
} counting_jitter;

static void count_call(kvi_os_jitter *j)
{
    ((counting_jitter *)j)->calls++;
    kvi_os_yield();
}

Test(os_lock, jitter_is_called_around_the_lock)
{
    counting_jitter j = {{count_call}, 0};
    kvi_os_mutex m;

    kvi_os_mutex_init(&m, KVI_RANK_SNAPSHOT, &j.base);
    kvi_os_mutex_lock(&m);
    cr_assert_eq(j.calls, 1, "before");
    kvi_os_mutex_unlock(&m);
    cr_assert_eq(j.calls, 2, "after");
    kvi_os_mutex_deinit(&m);
}

Test(os_lock, ascending_ranks_pass)
{
    kvi_os_mutex locks[KVI_RANK_LEAF + 1];

    for (int rank = KVI_RANK_MANIFEST; rank <= KVI_RANK_LEAF; rank++)
        kvi_os_mutex_init(&locks[rank], (enum kvi_os_rank)rank, NULL);
    for (int turn = 0; turn < 2; turn++) {
        for (int rank = KVI_RANK_MANIFEST; rank <= KVI_RANK_LEAF; rank++) {
            kvi_os_mutex_lock(&locks[rank]);
            cr_assert(kvi_os_mutex_held(&locks[rank]));
        }
        /* They may be opened in any order. */
        for (int rank = KVI_RANK_MANIFEST; rank <= KVI_RANK_LEAF; rank++)
            kvi_os_mutex_unlock(&locks[rank]);
    }
    for (int rank = KVI_RANK_MANIFEST; rank <= KVI_RANK_LEAF; rank++)
        kvi_os_mutex_deinit(&locks[rank]);
}

#ifdef KVI_CHECK_LOCKS

static void lock_two(enum kvi_os_rank first, enum kvi_os_rank second)
{
    kvi_os_mutex a, b;

    kvi_os_mutex_init(&a, first, NULL);
    kvi_os_mutex_init(&b, second, NULL);
    kvi_os_mutex_lock(&a);
    kvi_os_mutex_lock(&b);
}

Test(os_lock, descending_ranks_are_a_bug, .signal = SIGABRT)
{
    lock_two(KVI_RANK_SNAPSHOT, KVI_RANK_WRITE);
}

Test(os_lock, equal_ranks_are_a_bug, .signal = SIGABRT)
{
    lock_two(KVI_RANK_SNAPSHOT, KVI_RANK_SNAPSHOT);
}

Test(os_lock, unlocking_what_another_holds_is_a_bug, .signal = SIGABRT)
{
    kvi_os_mutex a, b;

    kvi_os_mutex_init(&a, KVI_RANK_SNAPSHOT, NULL);
    kvi_os_mutex_init(&b, KVI_RANK_SNAPSHOT, NULL);
    kvi_os_mutex_lock(&a);
    kvi_os_mutex_unlock(&b);
}

static void *is_held(void *arg)
{
    return kvi_os_mutex_held(arg) ? arg : NULL;
}

Test(os_lock, held_is_of_this_mutex_and_this_thread)
{
    kvi_os_mutex a, b;
    pthread_t thread;
    void *held_there = &a;

    kvi_os_mutex_init(&a, KVI_RANK_SNAPSHOT, NULL);
    kvi_os_mutex_init(&b, KVI_RANK_SNAPSHOT, NULL);
    cr_assert_not(kvi_os_mutex_held(&a));
    kvi_os_mutex_lock(&a);
    cr_assert(kvi_os_mutex_held(&a));
    cr_assert_not(kvi_os_mutex_held(&b));
    cr_assert_eq(pthread_create(&thread, NULL, is_held, &a), 0);
    cr_assert_eq(pthread_join(thread, &held_there), 0);
    cr_assert_null(held_there);
    kvi_os_mutex_unlock(&a);
    cr_assert_not(kvi_os_mutex_held(&a));
    kvi_os_mutex_deinit(&a);
    kvi_os_mutex_deinit(&b);
}

#endif
