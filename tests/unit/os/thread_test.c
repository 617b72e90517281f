/*
 * A thread: it runs, it knows itself, and signals are the host's.
 */
#include "os/thread.h"

#include <criterion/criterion.h>

#include <signal.h>

#include "base/error.h"
#include "os/event.h"
#include "unit/os/in_child.h"

typedef struct probe {
    kvi_os_thread thread;
    kvi_os_thread *other; /* or NULL */
    kvi_os_event open;
    bool ran, is_self, is_other;
    sigset_t mask;
} probe;

static void look(void *user)
{
    probe *p = user;

    p->ran = true;
    p->is_self = kvi_os_thread_is_self(&p->thread);
    p->is_other = p->other && kvi_os_thread_is_self(p->other);
    (void)pthread_sigmask(SIG_SETMASK, NULL, &p->mask);
}

Test(os_thread, runs_and_knows_itself)
{
    for (int i = 0; i < 50; i++) {
        probe p = {.other = NULL};

        cr_assert_eq(kvi_os_thread_start(&p.thread, look, &p), KV_OK);
        cr_assert_not(kvi_os_thread_is_self(&p.thread));
        kvi_os_thread_join(&p.thread);
        cr_assert(p.ran);
        cr_assert(p.is_self);
    }
}

static void hold_up(void *user)
{
    (void)kvi_os_event_wait(&((probe *)user)->open, NULL);
}

Test(os_thread, two_are_not_each_other)
{
    probe held, other = {.other = &held.thread};

    kvi_os_event_init(&held.open);
    cr_assert_eq(kvi_os_thread_start(&held.thread, hold_up, &held), KV_OK);
    cr_assert_eq(kvi_os_thread_start(&other.thread, look, &other), KV_OK);
    kvi_os_thread_join(&other.thread);
    kvi_os_event_set(&held.open, KV_OK);
    kvi_os_thread_join(&held.thread);
    kvi_os_event_deinit(&held.open);
    cr_assert(other.is_self);
    cr_assert_not(other.is_other);
}

Test(os_thread, signals_are_the_hosts)
{
    const int signals[] = {SIGINT, SIGTERM, SIGHUP, SIGUSR1, SIGALRM, SIGCHLD, SIGPIPE};
    sigset_t before, after;
    probe p = {.other = NULL};

    (void)pthread_sigmask(SIG_SETMASK, NULL, &before);
    cr_assert_eq(kvi_os_thread_start(&p.thread, look, &p), KV_OK);
    (void)pthread_sigmask(SIG_SETMASK, NULL, &after);
    kvi_os_thread_join(&p.thread);
    for (size_t i = 0; i < sizeof signals / sizeof signals[0]; i++) {
        cr_assert_eq(sigismember(&p.mask, signals[i]), 1, "signal %d is blocked", signals[i]);
        cr_assert_eq(sigismember(&before, signals[i]), sigismember(&after, signals[i]));
    }
}

/* 0: as it should be. No system has so much room for a stack. */
static int start_without_room(void *arg)
{
    pthread_attr_t attr;
    probe p = {.other = NULL};

    (void)arg;
    if (pthread_attr_init(&attr) != 0 || pthread_attr_setstacksize(&attr, SIZE_MAX / 4 + 1) != 0 ||
        pthread_setattr_default_np(&attr) != 0)
        return 1;
    kvi_error_clear();
    if (kvi_os_thread_start(&p.thread, look, &p) != KV_ENOMEM || !kvi_error_detail()[0])
        return 2;
    return p.ran ? 3 : 0;
}

Test(os_thread, there_may_be_no_room_for_one)
{
    cr_assert_eq(kvt_in_child(start_without_room, NULL), 0);
}
