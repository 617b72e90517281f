/*
 * What a store sleeps on; see the header for the contract.
 */
#include "loop_bell.h"

#include <errno.h>
#include <fcntl.h>
#include <time.h>
#include <unistd.h>

#define NS_PER_S UINT64_C(1000000000)
#define FOREVER  (NS_PER_S * 86400 * 365) /* what waits a year waits as long as it takes */

/* By the monotonic clock: somebody may set the other one. */
bool kvi_loop_bell_init(struct kvi_loop_bell *b)
{
    pthread_condattr_t attr;
    bool ok;

    b->rung = false;
    b->fd = b->fill_fd = -1;
    if (pthread_condattr_init(&attr) != 0)
        return false;
    ok = pthread_condattr_setclock(&attr, CLOCK_MONOTONIC) == 0 &&
         pthread_cond_init(&b->was_rung, &attr) == 0;
    (void)pthread_condattr_destroy(&attr);
    return ok;
}

void kvi_loop_bell_deinit(struct kvi_loop_bell *b)
{
    kvi_loop_bell_mute(b);
    (void)pthread_cond_destroy(&b->was_rung);
}

static void fill(int fd)
{
    while (write(fd, "!", 1) < 0 && errno == EINTR)
        ;
}

static void drain(int fd)
{
    char byte;

    while (read(fd, &byte, 1) < 0 && errno == EINTR)
        ;
}

void kvi_loop_bell_set(struct kvi_loop_bell *b, bool rung)
{
    if (rung == b->rung)
        return;
    b->rung = rung;
    if (rung)
        (void)pthread_cond_signal(&b->was_rung);
    if (b->fd >= 0 && rung)
        fill(b->fill_fd);
    else if (b->fd >= 0)
        drain(b->fd);
}

void kvi_loop_bell_wait(struct kvi_loop_bell *b, pthread_mutex_t *lock, uint64_t timeout_ns)
{
    struct timespec end;
    int err = 0;

    if (b->rung || timeout_ns == 0)
        return;
    if (timeout_ns > FOREVER) {
        while (!b->rung)
            (void)pthread_cond_wait(&b->was_rung, lock);
        return;
    }
    (void)clock_gettime(CLOCK_MONOTONIC, &end);
    timeout_ns += (uint64_t)end.tv_nsec;
    end.tv_sec += (time_t)(timeout_ns / NS_PER_S);
    end.tv_nsec = (long)(timeout_ns % NS_PER_S);
    while (!b->rung && !err)
        err = pthread_cond_timedwait(&b->was_rung, lock, &end);
}

/* Neither end blocks, and no program that the host starts gets them. */
static bool open_pipe(int ends[2])
{
    if (pipe(ends) != 0)
        return false;
    for (int i = 0; i < 2; i++)
        if (fcntl(ends[i], F_SETFL, O_NONBLOCK) != 0 || fcntl(ends[i], F_SETFD, FD_CLOEXEC) != 0) {
            (void)close(ends[0]);
            (void)close(ends[1]);
            return false;
        }
    return true;
}

int kvi_loop_bell_fd(struct kvi_loop_bell *b)
{
    int ends[2];

    if (b->fd < 0 && open_pipe(ends)) {
        b->fd = ends[0];
        b->fill_fd = ends[1];
        if (b->rung)
            fill(b->fill_fd);
    }
    return b->fd;
}

void kvi_loop_bell_mute(struct kvi_loop_bell *b)
{
    b->rung = false;
    if (b->fd >= 0) {
        (void)close(b->fd);
        (void)close(b->fill_fd);
    }
    b->fd = b->fill_fd = -1;
}
