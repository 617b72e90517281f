/*
 * Mutexes and condition variables over POSIX threads; see the header for the contract.
 *
 * What the checks know is per thread: which mutex it holds at each rank. It exists in test builds
 * only.
 */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE /* PTHREAD_MUTEX_ADAPTIVE_NP */
#endif
#include "os/lock.h"

#include <sched.h>

#include "base/check.h"

#ifdef KVI_CHECK_LOCKS

static _Thread_local const kvi_os_mutex *held[KVI_RANK_LEAF + 1];

static void check_lock(const kvi_os_mutex *m)
{
    for (int rank = (int)m->rank; rank <= KVI_RANK_LEAF; rank++)
        KVI_ASSERT(!held[rank]);
    held[m->rank] = m;
}

static void check_unlock(const kvi_os_mutex *m)
{
    KVI_ASSERT(held[m->rank] == m);
    held[m->rank] = NULL;
}

bool kvi_os_mutex_held(const kvi_os_mutex *m)
{
    return held[m->rank] == m;
}

#else

static void check_lock(const kvi_os_mutex *m)
{
    (void)m;
}

static void check_unlock(const kvi_os_mutex *m)
{
    (void)m;
}

bool kvi_os_mutex_held(const kvi_os_mutex *m)
{
    (void)m;
    return true;
}

#endif

/* The C library's adaptive kind spins for about as long as the lock was held of late, then
 * sleeps. */
static int set_kind(pthread_mutexattr_t *attr)
{
#ifdef __GLIBC__
    return pthread_mutexattr_settype(attr, PTHREAD_MUTEX_ADAPTIVE_NP);
#else
    return pthread_mutexattr_settype(attr, PTHREAD_MUTEX_NORMAL);
#endif
}

void kvi_os_mutex_init(kvi_os_mutex *m, enum kvi_os_rank rank, kvi_os_jitter *jitter)
{
    pthread_mutexattr_t attr;
    int err = pthread_mutexattr_init(&attr);

    KVI_ASSERT(rank >= KVI_RANK_MANIFEST && rank <= KVI_RANK_LEAF);
    if (!err)
        err = set_kind(&attr);
    if (!err)
        err = pthread_mutex_init(&m->m, &attr);
    KVI_ASSERT(err == 0);
    (void)pthread_mutexattr_destroy(&attr);
    m->jitter = jitter;
    m->rank = rank;
}

void kvi_os_mutex_deinit(kvi_os_mutex *m)
{
    int err = pthread_mutex_destroy(&m->m);

    KVI_ASSERT(err == 0);
}

void kvi_os_mutex_lock(kvi_os_mutex *m)
{
    int err;

    if (m->jitter)
        m->jitter->yield(m->jitter);
    check_lock(m);
    err = pthread_mutex_lock(&m->m);
    KVI_ASSERT(err == 0);
}

/* Who takes the mutex next may free it, so nothing of it is read once it is open. */
void kvi_os_mutex_unlock(kvi_os_mutex *m)
{
    kvi_os_jitter *jitter = m->jitter;
    int err;

    check_unlock(m);
    err = pthread_mutex_unlock(&m->m);
    KVI_ASSERT(err == 0);
    if (jitter)
        jitter->yield(jitter);
}

void kvi_os_cond_init(kvi_os_cond *c)
{
    int err = pthread_cond_init(&c->c, NULL);

    KVI_ASSERT(err == 0);
}

void kvi_os_cond_deinit(kvi_os_cond *c)
{
    int err = pthread_cond_destroy(&c->c);

    KVI_ASSERT(err == 0);
}

/* A thread that sleeps here takes no lock meanwhile, so m stays marked as held. */
void kvi_os_cond_wait(kvi_os_cond *c, kvi_os_mutex *m)
{
    int err;

    KVI_ASSERT(kvi_os_mutex_held(m));
    err = pthread_cond_wait(&c->c, &m->m);
    KVI_ASSERT(err == 0);
}

void kvi_os_cond_signal(kvi_os_cond *c)
{
    int err = pthread_cond_signal(&c->c);

    KVI_ASSERT(err == 0);
}

void kvi_os_cond_broadcast(kvi_os_cond *c)
{
    int err = pthread_cond_broadcast(&c->c);

    KVI_ASSERT(err == 0);
}

void kvi_os_yield(void)
{
    (void)sched_yield();
}
