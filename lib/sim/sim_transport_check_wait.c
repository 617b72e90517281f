/*
 * The clauses about waiting: of step for time, for wake and for messages; of a host for the
 * descriptor. See sim_transport_check.h. What is measured by the clock is tried more than once
 * where a machine that stalls could spoil it.
 */
#include "sim/sim_transport_check.h"

#include <errno.h>
#include <poll.h>

#include "os/thread.h"

#define TIMEOUT_MS 100u /* that a step is given */
#define STEPS_MAX  200u /* in that time; more is spinning */
#define TRIES      3u
#define QUIET_MAX  200u /* steps until nothing is left to do */
#define DELAY_NS   KVI_TCHECK_NS(30)

/* How long a step waits that something is to end early; it should be gone in half of that. */
static uint64_t long_wait_ns(const kvi_tcheck *c)
{
    return 4 * kvi_tcheck_slack_ns(c);
}

/* Lets end 0 wait for about TIMEOUT_MS in all. Returns how many steps that took. */
static unsigned wait_it_out(kvi_tcheck *c, uint64_t *took_ns)
{
    uint64_t begin = kvi_tcheck_now(), passed = 0;
    unsigned steps = 0;

    while (passed < KVI_TCHECK_NS(TIMEOUT_MS) && steps <= STEPS_MAX) {
        kvi_tcheck_step(c, 0, KVI_TCHECK_NS(TIMEOUT_MS) - passed);
        steps++;
        passed = kvi_tcheck_now() - begin;
    }
    *took_ns = passed;
    return steps;
}

/** A step waits about as long as it may, and not at all where it may not. */
int kvi_tcheck_timeout(kvi_tcheck *c)
{
    uint64_t took_ns = 0;
    unsigned tries;

    if (!c->end[0].transport.step)
        return KVI_TCHECK_NOT_APPLIES;
    kvi_tcheck_turns(c, 0, 20);
    for (tries = 0; tries < TRIES; tries++) {
        uint64_t begin = kvi_tcheck_now();

        kvi_tcheck_step(c, 0, 0);
        if (kvi_tcheck_now() - begin < kvi_tcheck_slack_ns(c))
            break;
    }
    if (tries == TRIES)
        return kvi_tcheck_fail(c, "a step that may not wait waits more than %u ms",
                               (unsigned)c->config.slack_ms);
    for (tries = 0; tries < TRIES; tries++) {
        if (wait_it_out(c, &took_ns) > STEPS_MAX)
            return kvi_tcheck_fail(c, "nothing comes, and still a step that may wait returns at "
                                      "once, time and again");
        if (took_ns < KVI_TCHECK_NS(TIMEOUT_MS) + kvi_tcheck_slack_ns(c))
            return 1;
    }
    return kvi_tcheck_fail(c, "a step that may wait %u ms waits %u ms", TIMEOUT_MS,
                           (unsigned)(took_ns / KVI_TCHECK_NS(1)));
}

/* --- Wake ------------------------------------------------------------------------------------- */

/* Wakes end 0 after a moment, then again and again until that was enough, so that even a wait
 * without end comes to one. */
typedef struct waker {
    kvi_tcheck *check;
    kvi_os_wake done;
    bool again;
} waker;

static void wake_later(void *user)
{
    waker *w = user;
    kv_transport *t = &w->check->end[0].transport;

    if (kvi_os_wake_wait(&w->done, DELAY_NS))
        return;
    t->wake(t->self);
    while (w->again && !kvi_os_wake_wait(&w->done, long_wait_ns(w->check)))
        t->wake(t->self);
}

/* How long a step of end 0 takes that may take timeout_ns, while another thread wakes it. It may
 * return early for reasons of its own, but not again and again. */
static int woken_step(kvi_tcheck *c, uint64_t timeout_ns, uint64_t *took_ns)
{
    waker w = {.check = c, .again = timeout_ns == UINT64_MAX};
    kvi_os_thread thread;
    unsigned steps = 0;
    uint64_t begin;
    int err;

    kvi_os_wake_open(&w.done);
    err = kvi_os_thread_start(&thread, wake_later, &w);
    if (!err) {
        begin = kvi_tcheck_now();
        do {
            kvi_tcheck_step(c, 0, timeout_ns);
            *took_ns = kvi_tcheck_now() - begin;
        } while (*took_ns < DELAY_NS && ++steps < STEPS_MAX);
        kvi_os_wake_set(&w.done);
        kvi_os_thread_join(&thread);
    }
    kvi_os_wake_close(&w.done);
    kvi_tcheck_step(c, 0, 0); /* a wake that came late */
    if (steps == STEPS_MAX)
        return kvi_tcheck_fail(c, "a step that may wait%s returns at once, time and again",
                               w.again ? " without end" : "");
    return err ? kvi_tcheck_fail(c, "cannot start a thread") : 1;
}

static int wake_before(kvi_tcheck *c)
{
    kv_transport *t = &c->end[0].transport;

    for (unsigned i = 0; i < TRIES; i++) {
        uint64_t begin;

        kvi_tcheck_turns(c, 0, 5);
        t->wake(t->self);
        begin = kvi_tcheck_now();
        kvi_tcheck_step(c, 0, long_wait_ns(c));
        if (kvi_tcheck_now() - begin < long_wait_ns(c) / 2)
            return 1;
    }
    return kvi_tcheck_fail(c, "a step that begins after a wake waits all the same");
}

/** A wake ends the step that waits, or the next one. */
int kvi_tcheck_wake(kvi_tcheck *c)
{
    const uint64_t timeouts[] = {long_wait_ns(c), UINT64_MAX};

    if (!c->end[0].transport.step)
        return KVI_TCHECK_NOT_APPLIES;
    if (!wake_before(c))
        return 0;
    for (unsigned i = 0; i < 2; i++) {
        uint64_t took_ns = UINT64_MAX;

        for (unsigned tries = 0; took_ns > long_wait_ns(c) / 2; tries++) {
            if (tries == TRIES)
                return kvi_tcheck_fail(c, "a wake from another thread does not end a step that %s",
                                       i == 0 ? "waits" : "waits without end");
            if (!woken_step(c, timeouts[i], &took_ns))
                return 0;
        }
    }
    return 1;
}

/* --- Messages --------------------------------------------------------------------------------- */

/* Sends to end 0 from end 1, which runs on this thread meanwhile. */
typedef struct sender {
    kvi_tcheck *check;
    kvi_os_wake done;
    uint32_t id;
} sender;

static void send_later(void *user)
{
    sender *s = user;
    kvi_tcheck *c = s->check;
    kvi_tcheck_letter letter = {
        .from = 1, .address = c->config.addresses[0], .id = s->id, .len = 900};
    uint64_t wait_ns = DELAY_NS, sent = 0;

    while (!kvi_os_wake_wait(&s->done, wait_ns)) {
        if (sent == 0 || kvi_tcheck_now() - sent > long_wait_ns(c)) {
            (void)kvi_tcheck_send(c, &letter);
            sent = kvi_tcheck_now();
        }
        kvi_tcheck_step(c, 1, 0);
        wait_ns = KVI_TCHECK_NS(2);
    }
}

/* How long end 0 waits for a message that another thread sends to it. */
static int await_message(kvi_tcheck *c, uint64_t *took_ns)
{
    sender s = {.check = c, .id = kvi_tcheck_new_id(c)};
    kvi_os_thread thread;
    uint64_t begin = kvi_tcheck_now();
    int err;

    kvi_os_wake_open(&s.done);
    err = kvi_os_thread_start(&thread, send_later, &s);
    while (!err && !kvi_tcheck_inbox_has(&c->end[0].inbox, s.id, 900) &&
           kvi_tcheck_now() - begin < kvi_tcheck_patience_ns(c))
        kvi_tcheck_step(c, 0, long_wait_ns(c));
    *took_ns = kvi_tcheck_now() - begin;
    if (!err) {
        kvi_os_wake_set(&s.done);
        kvi_os_thread_join(&thread);
    }
    kvi_os_wake_close(&s.done);
    return err ? kvi_tcheck_fail(c, "cannot start a thread") : 1;
}

/** A message ends the step that waits. */
int kvi_tcheck_arrival(kvi_tcheck *c)
{
    uint64_t took_ns = 0;

    if (!c->end[0].transport.step)
        return KVI_TCHECK_NOT_APPLIES;
    for (unsigned tries = 0; tries < TRIES; tries++) {
        kvi_tcheck_turns(c, 0, 5);
        if (!await_message(c, &took_ns) || !kvi_tcheck_all_whole(c))
            return 0;
        if (took_ns < long_wait_ns(c) / 2)
            return 1;
    }
    return kvi_tcheck_fail(c, "a message from another thread does not end a step that waits: %u ms",
                           (unsigned)(took_ns / KVI_TCHECK_NS(1)));
}

/* --- The descriptor --------------------------------------------------------------------------- */

static bool readable(int fd, uint64_t wait_ns)
{
    struct pollfd p = {.fd = fd, .events = POLLIN};
    int n;

    do
        n = poll(&p, 1, (int)(wait_ns / KVI_TCHECK_NS(1)));
    while (n < 0 && errno == EINTR);
    return n > 0 && (p.revents & POLLIN);
}

/* Whether end 0 comes to rest, as the descriptor and next tell it. */
static int comes_to_rest(kvi_tcheck *c, int fd, const char *after)
{
    kv_transport *t = &c->end[0].transport;
    bool due = true;

    for (unsigned i = 0; due && i < QUIET_MAX; i++) {
        for (unsigned other = KVI_TCHECK_ENDS; other-- > 0;)
            kvi_tcheck_step(c, other, 0);
        due = (fd >= 0 && readable(fd, 0)) || (t->next && t->next(t->self) == 0);
    }
    if (due)
        return kvi_tcheck_fail(c, "%s there is nothing to do, and a host that polls would spin: %s",
                               after,
                               fd >= 0 && readable(fd, 0) ? "pollfd is readable" : "next is 0");
    if (t->next && t->next(t->self) < -1)
        return kvi_tcheck_fail(c, "next answers less than -1");
    return 1;
}

static int wake_shows(kvi_tcheck *c, int fd)
{
    kv_transport *t = &c->end[0].transport;

    t->wake(t->self);
    if (!readable(fd, kvi_tcheck_slack_ns(c)))
        return kvi_tcheck_fail(c, "pollfd is not readable after a wake");
    if (!readable(fd, 0))
        return kvi_tcheck_fail(c, "pollfd is readable after a wake, but not until a step");
    return comes_to_rest(c, fd, "after a wake and a step");
}

static int message_shows(kvi_tcheck *c, int fd)
{
    kvi_tcheck_letter letter = {
        .from = 1, .address = c->config.addresses[0], .id = kvi_tcheck_new_id(c), .len = 700};
    uint64_t begin = kvi_tcheck_now();

    while (!kvi_tcheck_inbox_has(&c->end[0].inbox, letter.id, letter.len)) {
        if (kvi_tcheck_now() - begin > kvi_tcheck_patience_ns(c))
            return kvi_tcheck_fail(c, "pollfd does not lead to a message");
        (void)kvi_tcheck_send(c, &letter);
        for (unsigned i = 0; i < 50 && !readable(fd, KVI_TCHECK_NS(2)); i++) {
            kvi_tcheck_step(c, 1, 0);
            kvi_tcheck_step(c, 2, 0);
        }
        while (readable(fd, 0) && kvi_tcheck_now() - begin <= kvi_tcheck_patience_ns(c))
            kvi_tcheck_step(c, 0, 0);
    }
    return comes_to_rest(c, fd, "after a message was delivered");
}

/** The descriptor is readable exactly while step has something to do, and next agrees. */
int kvi_tcheck_pollfd(kvi_tcheck *c)
{
    kv_transport *t = &c->end[0].transport;
    int fd;

    if (!t->step || (!t->pollfd && !t->next))
        return KVI_TCHECK_NOT_APPLIES;
    fd = t->pollfd ? t->pollfd(t->self) : -1;
    if (!comes_to_rest(c, fd, "at the beginning"))
        return 0;
    if (fd < 0)
        return 1;
    if (!wake_shows(c, fd) || !message_shows(c, fd) || !kvi_tcheck_all_whole(c))
        return 0;
    if (t->pollfd(t->self) != fd)
        return kvi_tcheck_fail(c, "pollfd answers another descriptor than before");
    return 1;
}
