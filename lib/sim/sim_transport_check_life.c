/*
 * The clauses about a transport's life: how it starts, holds back, stops, starts again, and lives
 * with threads. See sim_transport_check.h.
 */
#include "sim/sim_transport_check.h"

#include <string.h>

#include "base/rng.h"
#include "os/thread.h"

#define REFUSED_MAX 8u   /* deliveries after a KV_EBUSY that were on their way already */
#define THREADS_MS  300u /* how long the threads run */
#define RESTART_MS  20u  /* how long the one that starts again lives each time */

/** The struct says what the treaty asks for. */
int kvi_tcheck_fields(kvi_tcheck *c)
{
    for (unsigned i = 0; i < KVI_TCHECK_ENDS; i++) {
        const kv_transport *t = &c->end[i].transport;

        if (t->size != sizeof *t || t->flags != 0)
            return kvi_tcheck_fail(c, "size or flags are not those of KV_TRANSPORT_INIT");
        if (t->max_message < 1200)
            return kvi_tcheck_fail(c, "max_message is %zu, less than 1,200", t->max_message);
        if (!t->start || !t->send || !t->stop)
            return kvi_tcheck_fail(c, "start, send or stop is missing");
        if (t->step && !t->wake)
            return kvi_tcheck_fail(c, "there is a step, but no wake");
    }
    return 1;
}

/* What start must refuse; it is stopped again where it does not. */
static int must_refuse(kvi_tcheck *c, unsigned i, const char *address, int want, const char *why)
{
    bool was_started = c->end[i].started;
    int err = kvi_tcheck_start(c, i, address);

    if (err == want)
        return 1;
    if (!err || was_started)
        kvi_tcheck_stop(c, i);
    return kvi_tcheck_fail(c, "start %s answers %d, not %d", why, err, want);
}

/** start refuses an address that is taken or cannot be, and a second time; nothing changes by
 *  that. */
int kvi_tcheck_starting(kvi_tcheck *c)
{
    const kv_transport_check_config *config = &c->config;
    int err = kvi_tcheck_start(c, 0, config->addresses[0]);

    if (err)
        return kvi_tcheck_fail(c, "start at \"%s\" answers %d", config->addresses[0], err);
    if (!must_refuse(c, 0, config->addresses[1], KV_EINUSE, "of what is started") ||
        !must_refuse(c, 2, config->addresses[0], KV_EINUSE, "at an address that is taken"))
        return 0;
    if (config->invalid &&
        !must_refuse(c, 2, config->invalid, KV_EINVAL, "at an address that cannot be"))
        return 0;
    return kvi_tcheck_start_all(c) && kvi_tcheck_exchange(c, 0, 1, 100) &&
           kvi_tcheck_exchange(c, 1, 0, 100) && kvi_tcheck_exchange(c, 2, 0, 100);
}

/* --- KV_EBUSY --------------------------------------------------------------------------------- */

/* Sends from end 0 to end 1, which has no room for it, until it has said so. */
static int provoke_refusal(kvi_tcheck *c, uint32_t *id)
{
    kvi_tcheck_letter letter = {.from = 0, .address = c->config.addresses[1], .len = 600};
    uint64_t begin = kvi_tcheck_now();

    kvi_tcheck_inbox_refuse(&c->end[1].inbox, 0);
    while (kvi_tcheck_inbox_refused(&c->end[1].inbox, id) == 0) {
        if (kvi_tcheck_now() - begin > kvi_tcheck_patience_ns(c))
            return kvi_tcheck_fail(c, "no message came that could be refused");
        letter.id = kvi_tcheck_new_id(c);
        (void)kvi_tcheck_send(c, &letter);
        kvi_tcheck_turns(c, 1, 20);
    }
    return 1;
}

/* What comes of that sender meanwhile waits in the transport, and so nobody else does. */
static int holds_back(kvi_tcheck *c)
{
    kvi_tcheck_letter letter = {.from = 0, .address = c->config.addresses[1], .len = 600};
    unsigned before = kvi_tcheck_inbox_refused(&c->end[1].inbox, NULL), after;

    for (unsigned i = 0; i < 2 * REFUSED_MAX; i++) {
        letter.id = kvi_tcheck_new_id(c);
        (void)kvi_tcheck_send(c, &letter);
        kvi_tcheck_turns(c, 1, 2);
    }
    if (!kvi_tcheck_exchange(c, 2, 1, 400))
        return 0;
    after = kvi_tcheck_inbox_refused(&c->end[1].inbox, NULL);
    if (c->end[1].transport.resume && after > before + REFUSED_MAX)
        return kvi_tcheck_fail(c, "%u more messages of a peer came after KV_EBUSY, before resume",
                               after - before);
    return 1;
}

/* Nobody sends it again. */
static int await_refused(kvi_tcheck *c, uint32_t id)
{
    uint64_t begin = kvi_tcheck_now();

    while (!kvi_tcheck_inbox_has(&c->end[1].inbox, id, 600)) {
        if (kvi_tcheck_now() - begin > kvi_tcheck_patience_ns(c))
            return kvi_tcheck_fail(c, "after resume the message did not come that was refused");
        kvi_tcheck_turn(c, 1);
    }
    return 1;
}

/** After KV_EBUSY that peer alone is not read, until resume; then what was refused comes. */
int kvi_tcheck_busy(kvi_tcheck *c)
{
    kv_transport *t = &c->end[1].transport;
    char from[KVI_TCHECK_ADDRESS];
    uint32_t id = 0;

    if (!kvi_tcheck_exchange(c, 0, 1, 600))
        return 0;
    kvi_tcheck_inbox_from(&c->end[1].inbox, from);
    if (!provoke_refusal(c, &id) || !holds_back(c))
        return 0;
    kvi_tcheck_inbox_refuse(&c->end[1].inbox, -1);
    if (t->resume && from[0]) {
        t->resume(t->self, from);
        if (!await_refused(c, id))
            return 0;
    }
    return kvi_tcheck_all_whole(c) && kvi_tcheck_exchange(c, 0, 1, 601);
}

/* --- Stop ------------------------------------------------------------------------------------- */

/* Deliveries to an inbox after stop, with the reason noted. */
static int none_late(kvi_tcheck *c)
{
    for (unsigned i = 0; i < KVI_TCHECK_ENDS; i++) {
        kvi_tcheck_inbox *in = &c->end[i].inbox;
        unsigned late;

        kvi_os_mutex_lock(&in->lock);
        late = in->late;
        kvi_os_mutex_unlock(&in->lock);
        if (late)
            return kvi_tcheck_fail(c, "%u messages were delivered after stop had returned", late);
    }
    return 1;
}

/** No delivery comes after stop, whatever had been sent or is sent then. */
int kvi_tcheck_stopping(kvi_tcheck *c)
{
    kvi_tcheck_letter letter = {.from = 0, .address = c->config.addresses[1], .len = 300};

    for (unsigned i = 0; i < 40; i++) {
        letter.id = kvi_tcheck_new_id(c);
        (void)kvi_tcheck_send(c, &letter);
        if (i == 20)
            kvi_tcheck_stop(c, 1);
        if (i > 20)
            kvi_tcheck_turns(c, 0, 3);
    }
    kvi_tcheck_turns(c, 2, 20);
    return none_late(c) && kvi_tcheck_exchange(c, 0, 2, 300) && kvi_tcheck_sends_quick(c);
}

/** What was stopped starts again, and its address is free for others. */
int kvi_tcheck_restart(kvi_tcheck *c)
{
    kvi_tcheck_letter letter = {.from = 0, .address = c->config.addresses[1], .len = 200};
    int err;

    kvi_tcheck_stop(c, 1);
    kvi_tcheck_stop(c, 2);
    err = kvi_tcheck_start(c, 2, c->config.addresses[1]);
    if (err)
        return kvi_tcheck_fail(c, "start where another one was stopped answers %d", err);
    letter.id = kvi_tcheck_new_id(c);
    if (!kvi_tcheck_carry(c, 2, &letter))
        return 0;
    kvi_tcheck_stop(c, 2);
    return kvi_tcheck_start_all(c) && kvi_tcheck_exchange(c, 0, 1, 100) &&
           kvi_tcheck_exchange(c, 1, 0, 1000) && kvi_tcheck_exchange(c, 2, 1, 1000) && none_late(c);
}

/* --- Threads ---------------------------------------------------------------------------------- */

/* One end that lives on a thread of its own. */
typedef struct runner {
    kvi_tcheck *check;
    kvi_os_wake *done;
    kvi_os_thread thread;
    unsigned end;
    bool restarts;
    int err; /* of a start */
} runner;

static void run_end(void *user)
{
    runner *r = user;
    kvi_tcheck *c = r->check;
    kvi_rng rng;
    uint64_t born = kvi_tcheck_now();

    kvi_rng_init(&rng, r->end + 1);
    while (!r->err && !kvi_os_wake_wait(r->done, 0)) {
        kvi_tcheck_letter letter = {.from = r->end, .id = kvi_tcheck_new_id(c)};

        letter.address = c->config.addresses[kvi_rng_below(&rng, KVI_TCHECK_ENDS)];
        letter.len = KVI_TCHECK_HEADER + (size_t)kvi_rng_below(&rng, 3000);
        letter.len = kvi_min_size(letter.len, c->largest);
        letter.scramble = true;
        (void)kvi_tcheck_send(c, &letter);
        if (c->end[r->end].transport.step)
            kvi_tcheck_step(c, r->end, KVI_TCHECK_NS(1));
        else
            (void)kvi_os_wake_wait(r->done, KVI_TCHECK_NS(1));
        if (r->restarts && kvi_tcheck_now() - born > KVI_TCHECK_NS(RESTART_MS)) {
            kvi_tcheck_stop(c, r->end);
            r->err = kvi_tcheck_start(c, r->end, c->config.addresses[r->end]);
            born = kvi_tcheck_now();
        }
    }
}

/* Wakes the ends that do not stop meanwhile. */
static void wake_both(kvi_tcheck *c)
{
    kvi_os_wake pause;

    kvi_os_wake_open(&pause);
    for (unsigned i = 0; i < THREADS_MS; i++) {
        kv_transport *t = &c->end[i % 2].transport;

        if (t->wake)
            t->wake(t->self);
        (void)kvi_os_wake_wait(&pause, KVI_TCHECK_NS(1));
    }
    kvi_os_wake_close(&pause);
}

/** Each end lives on its own thread, and one of them starts and stops, while all send to all. */
int kvi_tcheck_threads(kvi_tcheck *c)
{
    runner runners[KVI_TCHECK_ENDS] = {{0}};
    kvi_os_wake done;
    unsigned started = 0;
    int err = KV_OK;

    kvi_os_wake_open(&done);
    for (; started < KVI_TCHECK_ENDS && !err; started += !err) {
        runner *r = &runners[started];

        *r = (runner){.check = c, .done = &done, .end = started, .restarts = started == 2};
        err = kvi_os_thread_start(&r->thread, run_end, r);
    }
    if (!err)
        wake_both(c);
    kvi_os_wake_set(&done);
    while (started-- > 0)
        kvi_os_thread_join(&runners[started].thread);
    kvi_os_wake_close(&done);
    if (err)
        return kvi_tcheck_fail(c, "cannot start a thread");
    if (runners[2].err)
        return kvi_tcheck_fail(c, "start after stop answers %d", runners[2].err);
    if (kvi_tcheck_inbox_count(&c->end[0].inbox, 1) == 0 ||
        kvi_tcheck_inbox_count(&c->end[1].inbox, 0) == 0)
        return kvi_tcheck_fail(c, "nothing came while each end ran on a thread of its own");
    if (!kvi_tcheck_all_whole(c) || !none_late(c) || !kvi_tcheck_sends_quick(c))
        return 0;
    kvi_tcheck_begin(c); /* the threads may have used up the ids */
    return kvi_tcheck_exchange(c, 0, 1, 500);
}

/** Where there is a step, deliveries come from inside it alone. Judged over all that went
 *  before. */
int kvi_tcheck_inside(kvi_tcheck *c)
{
    if (!c->end[0].transport.step)
        return KVI_TCHECK_NOT_APPLIES;
    if (!kvi_tcheck_exchange(c, 0, 1, 500) || !kvi_tcheck_exchange(c, 1, 1, 500))
        return 0;
    for (unsigned i = 0; i < KVI_TCHECK_ENDS; i++) {
        kvi_tcheck_inbox *in = &c->end[i].inbox;
        unsigned outside;

        kvi_os_mutex_lock(&in->lock);
        outside = in->outside;
        kvi_os_mutex_unlock(&in->lock);
        if (outside)
            return kvi_tcheck_fail(c, "%u messages were delivered while no step was running",
                                   outside);
    }
    return 1;
}
