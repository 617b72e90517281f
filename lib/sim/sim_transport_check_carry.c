/*
 * The clauses about messages: that they come, whole and as they were, and that sending costs the
 * sender nothing. See sim_transport_check.h.
 */
#include "sim/sim_transport_check.h"

#include <string.h>

#include "base/check.h"
#include "os/thread.h"

#define FLOOD         8192u /* messages that nobody takes, … */
#define FLOOD_LEN     1024u /* … of so many bytes */
#define STUCK_MS      250u  /* a sender that has not moved for … */
#define STUCK_PERIODS 4u    /* … so many of these is stuck */

/** A message of 1 to max_message bytes arrives whole. */
int kvi_tcheck_content(kvi_tcheck *c)
{
    static const size_t lengths[] = {1, 2, 7, 8, 9, 63, 255, 1199, 1200, 4095, 16384, 65536, 65537};

    for (size_t i = 0; i < sizeof lengths / sizeof lengths[0]; i++)
        if (lengths[i] < c->largest && !kvi_tcheck_exchange(c, 0, 1, lengths[i]))
            return 0;
    return kvi_tcheck_exchange(c, 0, 1, c->largest - 1) &&
           kvi_tcheck_exchange(c, 1, 0, c->largest) && kvi_tcheck_exchange(c, 0, 1, c->largest);
}

/** Up to 64 parts, of which some are empty, are one message. */
int kvi_tcheck_parts(kvi_tcheck *c)
{
    static const size_t counts[] = {2, 3, 16, 63, 64};

    for (size_t i = 0; i < sizeof counts / sizeof counts[0]; i++) {
        kvi_tcheck_letter letter = {.from = 0, .address = c->config.addresses[1]};

        letter.parts = counts[i];
        for (letter.len = 8; letter.len <= c->largest; letter.len *= 11) {
            letter.id = kvi_tcheck_new_id(c);
            if (!kvi_tcheck_carry(c, 1, &letter))
                return 0;
        }
    }
    return 1;
}

/** The parts and the address are the sender's again as soon as send returns. */
int kvi_tcheck_borrowing(kvi_tcheck *c)
{
    static const size_t lengths[] = {8, 100, 1200, 30000};

    for (size_t i = 0; i < sizeof lengths / sizeof lengths[0]; i++) {
        kvi_tcheck_letter letter = {.from = 0,
                                    .address = c->config.addresses[1],
                                    .id = kvi_tcheck_new_id(c),
                                    .len = kvi_min_size(lengths[i], c->largest),
                                    .parts = 3,
                                    .scramble = true};

        if (!kvi_tcheck_carry(c, 1, &letter))
            return 0;
    }
    return 1;
}

/** An endpoint can send to its own address. */
int kvi_tcheck_oneself(kvi_tcheck *c)
{
    return kvi_tcheck_exchange(c, 0, 0, 1) && kvi_tcheck_exchange(c, 0, 0, 1000) &&
           kvi_tcheck_exchange(c, 1, 1, c->largest);
}

/** The sender's address, where it is told, is one to answer to. */
int kvi_tcheck_sender(kvi_tcheck *c)
{
    char from[KVI_TCHECK_ADDRESS];
    kvi_tcheck_letter answer = {.from = 1, .address = from, .len = 500};

    if (!kvi_tcheck_exchange(c, 0, 1, 500))
        return 0;
    kvi_tcheck_inbox_from(&c->end[1].inbox, from);
    if (!from[0])
        return KVI_TCHECK_NOT_APPLIES;
    answer.id = kvi_tcheck_new_id(c);
    return kvi_tcheck_carry(c, 0, &answer);
}

/* An answer of send where nobody is: an error or silence. */
static int try_address(kvi_tcheck *c, const char *address)
{
    kvi_tcheck_letter letter = {.from = 0, .address = address, .len = 1000};

    for (unsigned i = 0; i < 5; i++) {
        int answer;

        letter.id = kvi_tcheck_new_id(c);
        answer = kvi_tcheck_send(c, &letter);
        if (answer > KV_OK)
            return kvi_tcheck_fail(c, "send answers %d, which is no error code", answer);
        kvi_tcheck_turns(c, 0, 5);
        if (!kvi_tcheck_sends_quick(c))
            return 0;
    }
    return 1;
}

/** Sending to where nobody listens, or to what is no address, harms nobody. */
int kvi_tcheck_unreachable(kvi_tcheck *c)
{
    static const char *const made_up[] = {"", " ", "%s%n%s", "\x01\x7f\xff:99999", ":::::", "/../"};
    char endless[4096];

    if (c->config.nobody && !try_address(c, c->config.nobody))
        return 0;
    for (size_t i = 0; i < sizeof made_up / sizeof made_up[0]; i++)
        if (!try_address(c, made_up[i]))
            return 0;
    memset(endless, 'a', sizeof endless);
    endless[sizeof endless - 1] = '\0';
    return try_address(c, endless) && kvi_tcheck_exchange(c, 0, 1, 1000);
}

/* A send that waits for the receiver would wait for ever, as the kit plays both. So somebody
 * watches, and steps the receiver when the sender has stood still for long. */
typedef struct watch {
    kvi_tcheck *check;
    kvi_os_wake done;
    bool was_stuck;
} watch;

static void watch_sender(void *user)
{
    watch *w = user;
    unsigned still = 0, last = 0;

    while (!kvi_os_wake_wait(&w->done, KVI_TCHECK_NS(w->was_stuck ? 10 : STUCK_MS))) {
        unsigned sends = atomic_load(&w->check->end[0].sends);

        still = sends == last ? still + 1 : 0;
        last = sends;
        if (still >= STUCK_PERIODS)
            w->was_stuck = true;
        if (w->was_stuck)
            kvi_tcheck_step(w->check, 1, 0);
    }
}

static void flood(kvi_tcheck *c)
{
    kvi_tcheck_letter letter = {.from = 0, .address = c->config.addresses[1], .len = FLOOD_LEN};

    for (unsigned i = 0; i < FLOOD && c->end[0].slow < KVI_TCHECK_SLOW_SENDS; i++) {
        letter.id = kvi_tcheck_new_id(c);
        (void)kvi_tcheck_send(c, &letter);
    }
}

/* What has threads of its own is kept from delivering by an inbox without room. */
static void hold_receiver(kvi_tcheck *c, bool hold)
{
    kv_transport *t = &c->end[1].transport;
    char from[KVI_TCHECK_ADDRESS];

    if (t->step)
        return;
    kvi_tcheck_inbox_refuse(&c->end[1].inbox, hold ? 0 : -1);
    kvi_tcheck_inbox_from(&c->end[1].inbox, from);
    if (!hold && t->resume && from[0])
        t->resume(t->self, from);
}

/** send never blocks, though the receiver takes nothing; and it recovers. */
int kvi_tcheck_flood(kvi_tcheck *c)
{
    watch w = {.check = c};
    kvi_os_thread thread;
    int err;

    kvi_os_wake_open(&w.done);
    err = kvi_os_thread_start(&thread, watch_sender, &w);
    if (!err) {
        hold_receiver(c, true);
        flood(c);
        hold_receiver(c, false);
        kvi_os_wake_set(&w.done);
        kvi_os_thread_join(&thread);
    }
    kvi_os_wake_close(&w.done);
    if (err)
        return kvi_tcheck_fail(c, "cannot start a thread");
    if (w.was_stuck)
        return kvi_tcheck_fail(c, "send waits until the receiver has taken something");
    return kvi_tcheck_sends_quick(c) && kvi_tcheck_exchange(c, 0, 1, 1000) &&
           kvi_tcheck_exchange(c, 1, 0, 1000);
}
