/*
 * A thread over POSIX threads; see the header for the contract.
 *
 * The new thread may run before pthread_create has told its id. It waits on `starting`, which its
 * starter holds meanwhile, so that the id is there for whoever asks from inside fn.
 */
#include "os/thread.h"

#include <signal.h>

#include "base/check.h"
#include "base/error.h"
#include "os/errno_text.h"

static void *run_thread(void *arg)
{
    kvi_os_thread *t = arg;

    kvi_os_mutex_lock(&t->starting);
    kvi_os_mutex_unlock(&t->starting);
    t->fn(t->user);
    return NULL;
}

/* A new thread inherits the mask. */
static int create_masked(kvi_os_thread *t)
{
    sigset_t all, old;
    int err;

    (void)sigfillset(&all);
    (void)pthread_sigmask(SIG_SETMASK, &all, &old);
    kvi_os_mutex_lock(&t->starting);
    err = pthread_create(&t->id, NULL, run_thread, t);
    kvi_os_mutex_unlock(&t->starting);
    (void)pthread_sigmask(SIG_SETMASK, &old, NULL);
    return err;
}

int kvi_os_thread_start(kvi_os_thread *t, void (*fn)(void *user), void *user)
{
    kvi_os_errno_text cause;
    int err;

    KVI_ASSERT(fn);
    kvi_os_mutex_init(&t->starting, KVI_RANK_LEAF, NULL);
    t->fn = fn;
    t->user = user;
    err = create_masked(t);
    if (!err)
        return KV_OK;
    kvi_os_mutex_deinit(&t->starting);
    return kvi_error_set(KV_ENOMEM, "cannot start a thread: %s", kvi_os_errno_name(err, &cause));
}

void kvi_os_thread_join(kvi_os_thread *t)
{
    int err;

    KVI_ASSERT(!kvi_os_thread_is_self(t));
    err = pthread_join(t->id, NULL);
    KVI_ASSERT(err == 0);
    kvi_os_mutex_deinit(&t->starting);
}

bool kvi_os_thread_is_self(const kvi_os_thread *t)
{
    return pthread_equal(pthread_self(), t->id) != 0;
}
