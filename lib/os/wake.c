/*
 * A flag to sleep on; see the header for the contract.
 *
 * 1. Under lock: set, fd and tx_fd. Where there is a descriptor, one unit is in it while set is
 *    true and none while it is false: so a write never finds it full. Nothing blocks under the
 *    lock.
 * 2. Linux has eventfd, which is both ends in one; elsewhere it is a pipe.
 */
#include "os/wake.h"

#include <errno.h>
#include <time.h>
#include <unistd.h>
#ifdef __linux__
#include <sys/eventfd.h>
#else
#include <fcntl.h>
#endif

#include "base/check.h"
#include "base/error.h"
#include "os/clock.h"
#include "os/errno_text.h"

#define NS_PER_S UINT64_C(1000000000)
#define FAR_NS   (INT32_MAX * NS_PER_S) /* its seconds fit into any time_t */

/* What is written and read at once; eventfd wants 8 bytes, and counts by their value. */
typedef uint64_t unit;

static void cond_init(pthread_cond_t *c)
{
    pthread_condattr_t attr;
    int err = pthread_condattr_init(&attr);

    if (!err)
        err = pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
    if (!err)
        err = pthread_cond_init(c, &attr);
    KVI_ASSERT(err == 0);
    (void)pthread_condattr_destroy(&attr);
}

void kvi_os_wake_open(kvi_os_wake *w)
{
    kvi_os_mutex_init(&w->lock, KVI_RANK_EVENT, NULL);
    cond_init(&w->cond);
    w->set = false;
    w->fd = w->tx_fd = -1;
}

void kvi_os_wake_close(kvi_os_wake *w)
{
    int err = pthread_cond_destroy(&w->cond);

    KVI_ASSERT(err == 0);
    kvi_os_mutex_deinit(&w->lock);
    if (w->fd >= 0)
        (void)close(w->fd);
    if (w->tx_fd != w->fd)
        (void)close(w->tx_fd);
    w->fd = w->tx_fd = -1;
}

/* Can fail only where someone closed what is not theirs. */
static void fill(int tx_fd)
{
    const unit one = 1;
    ssize_t n;

    do
        n = write(tx_fd, &one, sizeof one);
    while (n < 0 && errno == EINTR);
    KVI_ASSERT(n == (ssize_t)sizeof one);
}

/* A host that reads its loop's descriptors by habit has done it already: no reason to end it. */
static void drain(int fd)
{
    unit got;
    ssize_t n;

    do
        n = read(fd, &got, sizeof got);
    while (n < 0 && errno == EINTR);
    KVI_ASSERT(n == (ssize_t)sizeof got || (n < 0 && errno == EAGAIN));
}

void kvi_os_wake_set(kvi_os_wake *w)
{
    kvi_os_mutex_lock(&w->lock);
    if (!w->set) {
        int err = pthread_cond_broadcast(&w->cond);

        KVI_ASSERT(err == 0);
        w->set = true;
        if (w->fd >= 0)
            fill(w->tx_fd);
    }
    kvi_os_mutex_unlock(&w->lock);
}

void kvi_os_wake_clear(kvi_os_wake *w)
{
    kvi_os_mutex_lock(&w->lock);
    if (w->set) {
        w->set = false;
        if (w->fd >= 0)
            drain(w->fd);
    }
    kvi_os_mutex_unlock(&w->lock);
}

/* The moment so far from now, in the terms of the condition variable; false where that is beyond
 * what can be told: for ever. */
static bool deadline_after(uint64_t timeout_ns, struct timespec *at)
{
    uint64_t now = kvi_os_mono_ns(kvi_os_clock_real());

    if (timeout_ns > FAR_NS - now)
        return false;
    at->tv_sec = (time_t)((now + timeout_ns) / NS_PER_S);
    at->tv_nsec = (long)((now + timeout_ns) % NS_PER_S);
    return true;
}

bool kvi_os_wake_wait(kvi_os_wake *w, uint64_t timeout_ns)
{
    struct timespec deadline = {0};
    bool limited = deadline_after(timeout_ns, &deadline);
    int err = timeout_ns == 0 ? ETIMEDOUT : 0;
    bool set;

    kvi_os_mutex_lock(&w->lock);
    while (!w->set && !err)
        err = limited ? pthread_cond_timedwait(&w->cond, &w->lock.m, &deadline)
                      : pthread_cond_wait(&w->cond, &w->lock.m);
    set = w->set;
    kvi_os_mutex_unlock(&w->lock);
    KVI_ASSERT(err == 0 || err == ETIMEDOUT);
    return set;
}

#ifdef __linux__

static int open_pair(int *fd, int *tx_fd)
{
    int both = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);

    if (both < 0)
        return errno;
    *fd = *tx_fd = both;
    return 0;
}

#else

static bool prepare(int fd)
{
    int flags = fcntl(fd, F_GETFL);

    return flags >= 0 && fcntl(fd, F_SETFL, flags | O_NONBLOCK) == 0 &&
           fcntl(fd, F_SETFD, FD_CLOEXEC) == 0;
}

static int open_pair(int *fd, int *tx_fd)
{
    int ends[2];

    if (pipe(ends) != 0)
        return errno;
    if (!prepare(ends[0]) || !prepare(ends[1])) {
        int err = errno;

        (void)close(ends[0]);
        (void)close(ends[1]);
        return err;
    }
    *fd = ends[0];
    *tx_fd = ends[1];
    return 0;
}

#endif

int kvi_os_wake_fd(kvi_os_wake *w, int *fd)
{
    kvi_os_errno_text cause;
    int err = 0;

    kvi_os_mutex_lock(&w->lock);
    if (w->fd < 0) {
        err = open_pair(&w->fd, &w->tx_fd);
        if (!err && w->set)
            fill(w->tx_fd);
    }
    if (!err)
        *fd = w->fd;
    kvi_os_mutex_unlock(&w->lock);
    if (!err)
        return KV_OK;
    return kvi_error_set(err == EMFILE || err == ENFILE ? KV_EMFILE : KV_EIO,
                         "cannot make a descriptor to poll: %s", kvi_os_errno_name(err, &cause));
}
