/*
 * The flag to sleep on: by waiting, by polling, by both.
 */
#include "os/wake.h"

#include <criterion/criterion.h>

#include <fcntl.h>
#include <poll.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <unistd.h>

#include "base/error.h"
#include "os/clock.h"
#include "os/thread.h"
#include "unit/os/in_child.h"

#define MS UINT64_C(1000000)

static kvi_os_wake wake;

static void set_up(void)
{
    kvi_os_wake_open(&wake);
}

static void tear_down(void)
{
    kvi_os_wake_close(&wake);
}

static int wake_fd(void)
{
    int fd = -1;

    cr_assert_eq(kvi_os_wake_fd(&wake, &fd), KV_OK);
    cr_assert_geq(fd, 0);
    return fd;
}

static bool readable(int fd)
{
    struct pollfd p = {.fd = fd, .events = POLLIN};
    int n = poll(&p, 1, 0);

    cr_assert_geq(n, 0);
    return n > 0 && (p.revents & POLLIN);
}

Test(os_wake, is_set_until_it_is_cleared, .init = set_up, .fini = tear_down)
{
    cr_assert_not(kvi_os_wake_wait(&wake, 0));
    kvi_os_wake_clear(&wake);
    kvi_os_wake_set(&wake);
    kvi_os_wake_set(&wake);
    cr_assert(kvi_os_wake_wait(&wake, 0));
    cr_assert(kvi_os_wake_wait(&wake, KVI_OS_WAKE_FOREVER));
    kvi_os_wake_clear(&wake);
    cr_assert_not(kvi_os_wake_wait(&wake, 0));
}

Test(os_wake, the_descriptor_says_the_same, .init = set_up, .fini = tear_down)
{
    int fd = wake_fd();

    cr_assert_eq(wake_fd(), fd);
    for (int round = 0; round < 3; round++) {
        cr_assert_not(readable(fd));
        for (int i = 0; i < 1000; i++)
            kvi_os_wake_set(&wake);
        cr_assert(readable(fd));
        cr_assert(kvi_os_wake_wait(&wake, 0));
        kvi_os_wake_clear(&wake);
    }
    cr_assert_not(readable(fd));
}

Test(os_wake, a_late_descriptor_knows_what_is_set, .init = set_up, .fini = tear_down)
{
    int fd;

    kvi_os_wake_set(&wake);
    fd = wake_fd();
    cr_assert(readable(fd));
    kvi_os_wake_clear(&wake);
    cr_assert_not(readable(fd));
}

/* It should not, but loops that read what they poll are common. */
Test(os_wake, a_host_may_have_read_the_descriptor, .init = set_up, .fini = tear_down)
{
    int fd = wake_fd();
    uint64_t got = 0;

    for (int round = 0; round < 3; round++) {
        kvi_os_wake_set(&wake);
        cr_assert_eq(read(fd, &got, sizeof got), (ssize_t)sizeof got);
        cr_assert(kvi_os_wake_wait(&wake, 0));
        kvi_os_wake_clear(&wake);
        cr_assert_not(readable(fd));
    }
    kvi_os_wake_set(&wake);
    cr_assert(readable(fd));
}

Test(os_wake, the_descriptor_is_not_inherited, .init = set_up, .fini = tear_down)
{
    int flags = fcntl(wake_fd(), F_GETFD);

    cr_assert(flags >= 0 && (flags & FD_CLOEXEC));
}

/* 0: as it should be. */
static int open_without_descriptors(void *arg)
{
    struct rlimit none = {0, 0};
    int fd = -7;

    (void)arg;
    if (setrlimit(RLIMIT_NOFILE, &none) != 0)
        return 1;
    kvi_os_wake_open(&wake);
    kvi_error_clear();
    if (kvi_os_wake_fd(&wake, &fd) != KV_EMFILE || fd != -7 || !kvi_error_detail()[0])
        return 2;
    kvi_os_wake_set(&wake);
    if (!kvi_os_wake_wait(&wake, KVI_OS_WAKE_FOREVER))
        return 3;
    kvi_os_wake_close(&wake);
    return 0;
}

Test(os_wake, needs_a_descriptor_only_where_one_is_asked_for)
{
    if (!getenv("KVT_WRAPPER")) /* valgrind does not let the limit go so low */
        cr_assert_eq(kvt_in_child(open_without_descriptors, NULL), 0);
}

Test(os_wake, waits_as_long_as_it_was_told, .init = set_up, .fini = tear_down)
{
    uint64_t begin = kvi_os_mono_ns(kvi_os_clock_real());

    cr_assert_not(kvi_os_wake_wait(&wake, 5 * MS));
    cr_assert_geq(kvi_os_mono_ns(kvi_os_clock_real()) - begin, 5 * MS);
}

static void set_soon(void *user)
{
    for (int i = 0; i < 100; i++)
        kvi_os_yield();
    kvi_os_wake_set(user);
}

Test(os_wake, a_thread_that_waits_is_woken, .init = set_up, .fini = tear_down)
{
    const uint64_t timeouts[] = {KVI_OS_WAKE_FOREVER, KVI_OS_WAKE_FOREVER - 1, 60000 * MS};

    for (size_t i = 0; i < sizeof timeouts / sizeof timeouts[0]; i++) {
        kvi_os_thread thread;

        cr_assert_eq(kvi_os_thread_start(&thread, set_soon, &wake), KV_OK);
        cr_assert(kvi_os_wake_wait(&wake, timeouts[i]));
        kvi_os_thread_join(&thread);
        kvi_os_wake_clear(&wake);
    }
}

Test(os_wake, a_loop_that_polls_is_woken, .init = set_up, .fini = tear_down)
{
    struct pollfd p = {.fd = wake_fd(), .events = POLLIN};
    kvi_os_thread thread;

    cr_assert_eq(kvi_os_thread_start(&thread, set_soon, &wake), KV_OK);
    cr_assert_eq(poll(&p, 1, -1), 1);
    kvi_os_thread_join(&thread);
}

/* Others hand over work and set; the owner clears, then takes all there is. None may be left. */
enum { WORKERS = 3, WORK = 3000 };

static atomic_int work;

static void hand_over(void *user)
{
    for (int i = 0; i < WORK; i++) {
        atomic_fetch_add(&work, 1);
        kvi_os_wake_set(user);
    }
}

static void take_all(bool by_poll)
{
    kvi_os_thread threads[WORKERS];
    int taken = 0;

    atomic_store(&work, 0);
    for (int i = 0; i < WORKERS; i++)
        cr_assert_eq(kvi_os_thread_start(&threads[i], hand_over, &wake), KV_OK);
    while (taken < WORKERS * WORK) {
        if (by_poll) {
            struct pollfd p = {.fd = wake_fd(), .events = POLLIN};

            cr_assert_eq(poll(&p, 1, -1), 1);
        } else {
            cr_assert(kvi_os_wake_wait(&wake, KVI_OS_WAKE_FOREVER));
        }
        kvi_os_wake_clear(&wake);
        taken += atomic_exchange(&work, 0);
    }
    for (int i = 0; i < WORKERS; i++)
        kvi_os_thread_join(&threads[i]);
    cr_assert_eq(taken, WORKERS * WORK);
}

Test(os_wake, nothing_gets_lost_while_waiting, .init = set_up, .fini = tear_down)
{
    take_all(false);
}

Test(os_wake, nothing_gets_lost_while_polling, .init = set_up, .fini = tear_down)
{
    take_all(true);
}

static void ask_descriptor(void *user)
{
    *(int *)user = wake_fd();
}

Test(os_wake, all_who_ask_get_the_same_descriptor, .init = set_up, .fini = tear_down)
{
    kvi_os_thread threads[4];
    int fds[4];

    for (int i = 0; i < 4; i++)
        cr_assert_eq(kvi_os_thread_start(&threads[i], ask_descriptor, &fds[i]), KV_OK);
    for (int i = 0; i < 4; i++)
        kvi_os_thread_join(&threads[i]);
    for (int i = 0; i < 4; i++)
        cr_assert_eq(fds[i], wake_fd());
}
