/*
 * A transport that breaks one rule; see the header for which.
 */
#include "support/faulty_transport.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define LONG_NS 50000000u /* a step that is given this waits to be ended early */

static void must(bool ok)
{
    if (!ok)
        abort();
}

static void nap(int ms)
{
    (void)poll(NULL, 0, ms);
}

static bool has(const kvt_faulty_end *e, enum kvt_fault fault)
{
    return e->net->fault == fault;
}

static kvt_faulty_end *other_at(kvt_faulty_end *e, const char *address)
{
    for (unsigned i = 0; i < KVT_FAULTY_ENDS; i++) {
        kvt_faulty_end *o = &e->net->end[i];

        if (o->was_started && strcmp(o->address, address) == 0)
            return o;
    }
    return NULL;
}

static void resume_all(kvt_faulty_end *e)
{
    for (unsigned i = 0; i < KVT_FAULTY_ENDS; i++)
        e->in.resume(e->in.self, e->net->end[i].address);
}

/* --- Between the wrapped one and the store ---------------------------------------------------- */

static int between(struct kv_inbox *inbox, const kv_peer *from, const void *message, size_t len)
{
    kvt_faulty_end *e = (kvt_faulty_end *)inbox;
    kv_peer peer = *from;
    int answer;

    if (has(e, KVT_FORGES_SENDER))
        peer.address = "nowhere";
    if (has(e, KVT_HOLDS_ALL) && e->refused)
        return KV_EBUSY;
    if (has(e, KVT_LOSES_REFUSED) && e->refused && strcmp(from->address, e->kept_copy) == 0)
        return KV_OK;
    answer = kv_deliver(e->inbox, &peer, message, len);
    if (answer == KV_EBUSY) {
        e->refused = true;
        strncpy(e->kept_copy, from->address, sizeof e->kept_copy - 1);
        if (has(e, KVT_LOSES_REFUSED) || has(e, KVT_NO_RESUME))
            return KV_OK;
    }
    return answer;
}

/* --- Start and stop --------------------------------------------------------------------------- */

static void *pump(void *user)
{
    kvt_faulty_end *e = user;
    struct pollfd p = {.events = POLLIN};

    p.fd = e->in.pollfd(e->in.self);
    while (!atomic_load(&e->quit)) {
        (void)poll(&p, 1, 5);
        (void)pthread_mutex_lock(&e->lock);
        (void)e->in.step(e->in.self, 0);
        (void)pthread_mutex_unlock(&e->lock);
    }
    return NULL;
}

static int faulty_start(void *self, kv_inbox *inbox, const kv_host *host, const char *listen)
{
    kvt_faulty_end *e = self;
    kv_inbox *before = e->inbox;
    int err;

    if (has(e, KVT_STARTS_ONCE) && e->was_started)
        return KV_EINUSE;
    if (has(e, KVT_KEEPS_ADDRESSES) && other_at(e, listen) && other_at(e, listen) != e)
        return KV_EINUSE;
    e->inbox = inbox;
    err = e->in.start(e->in.self, &e->between, host, listen);
    if (err) {
        e->inbox = before;
        if (has(e, KVT_WRONG_ERROR) && err == KV_EINVAL)
            return KV_EIO;
        if (has(e, KVT_SHARES_ADDRESS) && err == KV_EINUSE && !e->started)
            return KV_OK;
        return has(e, KVT_STARTS_TWICE) && err == KV_EINUSE ? KV_OK : err;
    }
    strcpy(e->address, listen);
    e->started = e->was_started = true;
    e->starter = pthread_self();
    e->refused = false;
    if (has(e, KVT_OWN_THREADS)) {
        atomic_store(&e->quit, false);
        must(pthread_create(&e->thread, NULL, pump, e) == 0);
    }
    return KV_OK;
}

static void faulty_stop(void *self)
{
    kvt_faulty_end *e = self;

    if (has(e, KVT_OWN_THREADS) && e->started) {
        atomic_store(&e->quit, true);
        must(pthread_join(e->thread, NULL) == 0);
    }
    e->in.stop(e->in.self);
    e->started = false;
}

/* --- Sending ---------------------------------------------------------------------------------- */

static char *gather(const kv_slice *parts, size_t count, size_t *len)
{
    char *bytes = NULL;

    *len = 0;
    for (size_t i = 0; i < count; i++) {
        bytes = realloc(bytes, *len + parts[i].len + 1);
        must(bytes != NULL);
        if (parts[i].len > 0)
            memcpy(bytes + *len, parts[i].data, parts[i].len);
        *len += parts[i].len;
    }
    return bytes;
}

static int send_changed(kvt_faulty_end *e, const char *address, const kv_slice *parts, size_t count)
{
    kv_slice whole;
    char *bytes = gather(parts, count, &whole.len);
    int err;

    whole.data = bytes;
    if (whole.len > 100 && has(e, KVT_CUTS))
        whole.len--;
    if (whole.len > 100 && has(e, KVT_FLIPS))
        bytes[whole.len / 2] ^= 4;
    err = e->in.send(e->in.self, address, &whole, 1, KV_SEND_NORMAL);
    free(bytes);
    return err;
}

static int keep(kvt_faulty_end *e, const char *address, const kv_slice *parts, size_t count)
{
    e->kept_address = address;
    memcpy(e->kept_parts, parts, count * sizeof *parts);
    e->kept_count = count;
    if (has(e, KVT_KEEPS_PARTS)) {
        strncpy(e->kept_copy, address, sizeof e->kept_copy - 1);
        e->kept_address = e->kept_copy;
    } else {
        free(e->kept_bytes);
        e->kept_bytes = gather(parts, count, &e->kept_parts[0].len);
        e->kept_parts[0].data = e->kept_bytes;
        e->kept_count = 1;
    }
    return KV_OK;
}

static void faulty_flush(void *self)
{
    kvt_faulty_end *e = self;

    if (e->kept_count > 0)
        (void)e->in.send(e->in.self, e->kept_address, e->kept_parts, e->kept_count, 0);
    e->kept_count = 0;
}

/* Straight into the store, from the wrong place. */
static int deliver_now(kvt_faulty_end *e, kvt_faulty_end *to, const kv_slice *parts, size_t count)
{
    kv_peer from = KV_PEER_INIT;
    size_t len;
    char *bytes = gather(parts, count, &len);
    int err;

    from.address = e->address;
    err = kv_deliver(to->inbox, &from, bytes, len);
    free(bytes);
    return err;
}

static int wait_for_room(kvt_faulty_end *e, const char *address, const kv_slice *parts,
                         size_t count)
{
    int err;

    do {
        nap(1);
        err = e->in.send(e->in.self, address, parts, count, 0);
    } while (err == KV_EBUSY);
    return err;
}

static int send_twice(kvt_faulty_end *e, const char *address, const kv_slice *parts, size_t count)
{
    e->sent++;
    if (e->sent % 3 == 0)
        return KV_OK;
    if (e->sent % 5 == 0)
        (void)e->in.send(e->in.self, address, parts, count, 0);
    return e->in.send(e->in.self, address, parts, count, 0);
}

static int faulty_send(void *self, const char *address, const kv_slice *parts, size_t count,
                       int urgency)
{
    kvt_faulty_end *e = self, *to;
    int err;

    switch (e->net->fault) {
    case KVT_LOSES_AND_DOUBLES:
        return send_twice(e, address, parts, count);
    case KVT_CUTS:
    case KVT_FLIPS:
        return send_changed(e, address, parts, count);
    case KVT_FIRST_PARTS_ONLY:
        return e->in.send(e->in.self, address, parts, count > 16 ? 16 : count, urgency);
    case KVT_KEEPS_PARTS:
    case KVT_KEEPS_ADDRESS:
        return keep(e, address, parts, count);
    case KVT_NOT_TO_ONESELF:
        if (strcmp(address, e->address) == 0)
            return KV_OK;
        break;
    case KVT_DELIVERS_AFTER_STOP:
        to = other_at(e, address);
        if (to && !to->started)
            return deliver_now(e, to, parts, count);
        break;
    case KVT_ONE_THREAD:
        if (!pthread_equal(e->starter, pthread_self()))
            return KV_OK;
        break;
    case KVT_DELIVERS_IN_SEND:
        to = other_at(e, address);
        if (to)
            return deliver_now(e, to, parts, count);
        break;
    default:
        break;
    }
    err = e->in.send(e->in.self, address, parts, count, urgency);
    if (has(e, KVT_POSITIVE_ERROR) && err == KV_EUNAVAILABLE)
        return ECONNREFUSED;
    if (has(e, KVT_BLOCKS_WHEN_FULL) && err == KV_EBUSY)
        nap(150);
    if (has(e, KVT_WAITS_FOR_RECEIVER) && err == KV_EBUSY)
        return wait_for_room(e, address, parts, count);
    return err;
}

/* --- Waiting ---------------------------------------------------------------------------------- */

static void sleep_on(kvt_faulty_end *e, uint64_t timeout_ns)
{
    for (uint64_t slept = 0; slept < timeout_ns && !atomic_load(&e->woken); slept += 5000000)
        nap(5);
    atomic_store(&e->woken, false);
}

static int faulty_step(void *self, uint64_t timeout_ns)
{
    kvt_faulty_end *e = self;

    if (has(e, KVT_ASKS_AGAIN))
        resume_all(e);
    if (has(e, KVT_FORGETS_WAKE))
        (void)e->in.step(e->in.self, 0);
    if (has(e, KVT_OVERSLEEPS) && timeout_ns >= LONG_NS)
        nap(200);
    if (has(e, KVT_SLEEPS_ON) && timeout_ns >= LONG_NS)
        sleep_on(e, timeout_ns);
    if (has(e, KVT_SPINS) || has(e, KVT_SLEEPS_ON) ||
        (has(e, KVT_ENDLESS_OVERFLOWS) && timeout_ns == UINT64_MAX) ||
        (has(e, KVT_WAKES_NEXT_STEP) && atomic_exchange(&e->woken, false)))
        timeout_ns = 0;
    return e->in.step(e->in.self, timeout_ns);
}

static void faulty_wake(void *self)
{
    kvt_faulty_end *e = self;

    atomic_store(&e->woken, true);
    if (!has(e, KVT_IGNORES_WAKE) && !has(e, KVT_WAKES_NEXT_STEP))
        e->in.wake(e->in.self);
}

static int64_t faulty_next(void *self)
{
    kvt_faulty_end *e = self;

    return has(e, KVT_ALWAYS_DUE) ? 0 : e->in.next(e->in.self);
}

static int faulty_pollfd(void *self)
{
    kvt_faulty_end *e = self;

    if (has(e, KVT_ALWAYS_READABLE) || has(e, KVT_NEVER_READABLE))
        return e->pipe[0];
    return e->in.pollfd(e->in.self);
}

static void faulty_resume(void *self, const char *from)
{
    kvt_faulty_end *e = self;

    (void)pthread_mutex_lock(&e->lock);
    e->refused = false;
    if (has(e, KVT_HOLDS_ALL))
        resume_all(e);
    e->in.resume(e->in.self, from);
    (void)pthread_mutex_unlock(&e->lock);
}

/* --- Making ----------------------------------------------------------------------------------- */

void kvt_faulty_open(kvt_faulty_net *net, enum kvt_fault fault)
{
    memset(net, 0, sizeof *net);
    net->fault = fault;
    must(kv_loop_new(NULL, &net->loop) == KV_OK);
    for (unsigned i = 0; i < KVT_FAULTY_ENDS; i++) {
        kvt_faulty_end *e = &net->end[i];

        e->between.deliver = between;
        e->net = net;
        e->in = (kv_transport)KV_TRANSPORT_INIT;
        must(kv_loop_transport(net->loop, &e->in) == KV_OK);
        must(pipe(e->pipe) == 0);
        if (fault == KVT_ALWAYS_READABLE)
            must(write(e->pipe[1], "!", 1) == 1);
        must(pthread_mutex_init(&e->lock, NULL) == 0);
    }
}

void kvt_faulty_close(kvt_faulty_net *net)
{
    for (unsigned i = 0; i < KVT_FAULTY_ENDS; i++) {
        kvt_faulty_end *e = &net->end[i];

        (void)close(e->pipe[0]);
        (void)close(e->pipe[1]);
        free(e->kept_bytes);
        (void)pthread_mutex_destroy(&e->lock);
    }
    kv_loop_free(net->loop);
}

int kvt_faulty_make(void *user, unsigned index, kv_transport *out)
{
    kvt_faulty_net *net = user;
    bool threads = net->fault == KVT_OWN_THREADS;

    out->max_message = net->fault == KVT_SMALL_MESSAGES ? 1199 : 100000;
    out->self = &net->end[index];
    out->start = faulty_start;
    out->send = faulty_send;
    out->flush = faulty_flush;
    out->stop = faulty_stop;
    out->resume = net->fault == KVT_NO_RESUME ? NULL : faulty_resume;
    if (threads)
        return KV_OK;
    out->step = faulty_step;
    out->wake = faulty_wake;
    if (net->fault != KVT_NO_DESCRIPTOR) {
        out->next = faulty_next;
        out->pollfd = faulty_pollfd;
    }
    return KV_OK;
}
