/*
 * A network within one process, and the example to learn from for whoever writes a transport.
 *
 * A transport is an object with the methods of kv_transport (kv.h): a store calls them to send, and
 * the transport calls kv_deliver() with what has come. Like every transport this file includes
 * kv.h, the C library and POSIX, and nothing of libkv's inside. Read it from the bottom up if you
 * like: the table of methods is at the end, and each method begins with what the treaty in kv.h
 * says of it. Whether your own one keeps that treaty is told by kv_transport_check() of kv_sim.h.
 *
 * The whole network is a list of endpoints, one for each store. Sending copies the message into the
 * queue of the endpoint that listens at the address; that store's step takes it from there.
 *
 * What always holds:
 * 1. One lock guards the network: the list, and of each endpoint what is marked so below. It is
 *    held to move pointers about, never while memory is copied or kv_deliver() runs.
 * 2. A message belongs to exactly one queue, or to the step that is delivering it. Its sender may
 *    be gone meanwhile: it carries the sender's address with it.
 * 3. An endpoint is due while it was woken or has a message that is ready. Exactly then its
 *    descriptor (if anybody asked for one) is readable, and no step of it waits.
 * 4. What waits at an endpoint is bounded, by number and by bytes. What does not fit is refused at
 *    the sender's (KV_EBUSY), who knows best what to do about it.
 * 5. Endpoints live as long as the network. So a sender may find one that is just stopping, and all
 *    it sees then is that nobody listens.
 *
 * Threads: each endpoint's methods run on the thread of its store, one at a time, and wake on any.
 * Endpoints meet only under the lock.
 */
#include <kv.h>

#include <pthread.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "loop_bell.h"
#include "loop_queue.h"

#define ADDRESS_MAX    255
#define PARTS_MAX      64
#define MESSAGE_MAX    ((size_t)1 << 20)
#define QUEUE_MESSAGES 4096 /* that wait at one endpoint, and … */
#define QUEUE_BYTES    ((size_t)16 << 20)

/* What one store is connected by: the `self` of its kv_transport. */
struct endpoint {
    kv_loop *loop;

    /* Under the lock. */
    struct endpoint *next;         /* in the list of all */
    char address[ADDRESS_MAX + 1]; /* empty: nobody listens here. Written only by start and stop, so
                                      that the own thread may read it without the lock */
    struct queue ready;            /* what the next step delivers */
    size_t count, bytes;           /* that wait here: ready, held back, or being delivered */
    bool woken;
    struct kvi_loop_bell due; /* rung while woken, or ready is not empty */

    /* Only for the thread of the store. */
    kv_inbox *inbox;
    struct queue held; /* refused by kv_deliver(), and what came after it from the same sender */
};

struct kv_loop {
    pthread_mutex_t lock;
    kv_allocator memory;
    struct endpoint *endpoints;
};

/* --- Memory, the lock and queues -------------------------------------------------------------- */

static void *libc_alloc(void *user, size_t bytes)
{
    (void)user;
    return malloc(bytes);
}

static void libc_free(void *user, void *old)
{
    (void)user;
    free(old);
}

static void *new_bytes(kv_loop *loop, size_t bytes)
{
    return loop->memory.alloc(loop->memory.user, bytes);
}

static void free_bytes(kv_loop *loop, void *old)
{
    loop->memory.free(loop->memory.user, old);
}

/* A plain mutex that is used as it should be does not fail. */
static void lock(kv_loop *loop)
{
    (void)pthread_mutex_lock(&loop->lock);
}

static void unlock(kv_loop *loop)
{
    (void)pthread_mutex_unlock(&loop->lock);
}

static void queue_free(kv_loop *loop, struct queue *q)
{
    for (struct message *m; (m = queue_take(q)) != NULL;)
        free_bytes(loop, m);
}

/* Restores invariant 3 after woken or ready has changed. Under the lock. */
static void settle(struct endpoint *e)
{
    kvi_loop_bell_set(&e->due, e->woken || e->ready.head);
}

/* --- The methods ------------------------------------------------------------------------------ */

/* Who listens at the address, or NULL. Under the lock. A network of thousands would hash; one that
 * lives in a process is short enough to walk. */
static struct endpoint *find(kv_loop *loop, const char *address)
{
    for (struct endpoint *e = loop->endpoints; e; e = e->next)
        if (e->address[0] && strcmp(e->address, address) == 0)
            return e;
    return NULL;
}

/* "Begins to deliver to inbox what is sent to listen. Before anything else; once more only after
 *  stop, perhaps elsewhere and for another store. KV_EINVAL (an address that cannot be), KV_EINUSE
 *  (it is taken, or this object is started already), KV_EIO, KV_ENOMEM: kv_open() answers with it,
 *  all is as before, and stop is not called. inbox and host are the store's, valid until stop has
 *  returned; listen only during the call."
 *
 * The host's allocator and log are not needed here: messages are shared by several stores, so their
 * memory is the network's, and whatever goes wrong is an answer to a call. */
static int loop_start(void *self, kv_inbox *inbox, const kv_host *host, const char *listen)
{
    struct endpoint *e = self;
    size_t len = listen ? strlen(listen) : 0;
    int err = KV_OK;

    (void)host;
    if (!inbox || len == 0 || len > ADDRESS_MAX)
        return KV_EINVAL;
    lock(e->loop);
    if (e->address[0] || find(e->loop, listen)) {
        err = KV_EINUSE;
    } else {
        e->inbox = inbox;
        memcpy(e->address, listen, len + 1); /* from here on it is found */
    }
    unlock(e->loop);
    return err;
}

/* A copy of the parts, one after the other, with who sent them. */
static int new_message(const struct endpoint *from, const kv_slice *parts, size_t count,
                       struct message **out)
{
    size_t from_size = strlen(from->address) + 1, len = 0;
    struct message *m;
    char *at;

    if (count > PARTS_MAX)
        return KV_EINVAL;
    for (size_t i = 0; i < count; i++) {
        if (parts[i].len > MESSAGE_MAX - len)
            return KV_EINVAL;
        len += parts[i].len;
    }
    if (len == 0)
        return KV_EINVAL;
    m = new_bytes(from->loop, sizeof *m + from_size + len);
    if (!m)
        return KV_ENOMEM;
    m->from_size = from_size;
    m->len = len;
    memcpy(m->data, from->address, from_size);
    at = m->data + from_size;
    for (size_t i = 0; i < count; i++) {
        if (parts[i].len > 0) /* the data of an empty part may be NULL */
            memcpy(at, parts[i].data, parts[i].len);
        at += parts[i].len;
    }
    *out = m;
    return KV_OK;
}

/* Hands m to who listens at the address, or says why not: then it is still the caller's. Under the
 * lock. */
static int enqueue(kv_loop *loop, const char *address, struct message *m)
{
    struct endpoint *to = find(loop, address);

    if (!to)
        return KV_EUNAVAILABLE;
    if (to->count == QUEUE_MESSAGES || m->len > QUEUE_BYTES - to->bytes)
        return KV_EBUSY;
    to->count++;
    to->bytes += m->len;
    queue_put(&to->ready, m);
    settle(to);
    return KV_OK;
}

/* "Sends the count parts, 1 to 64, some perhaps empty, as one message of 1 to max_message bytes.
 *  Borrows all of it and address until it returns. An address may be the sender's own, one where
 *  nobody is, and any text that a peer made up. Never blocks. KV_OK: taken, nothing is promised.
 *  KV_EBUSY: too much waits for that peer; the message was dropped. KV_EUNAVAILABLE: nobody is
 *  there (refused, reset): taken as a suspicion at once. Other errors are logged and the message is
 *  lost."
 *
 * Nothing waits here on its way, so urgent messages have nothing to overtake. */
static int loop_send(void *self, const char *address, const kv_slice *parts, size_t count,
                     int urgency)
{
    struct endpoint *e = self;
    struct message *m = NULL;
    int err = new_message(e, parts, count, &m);

    (void)urgency;
    if (err)
        return err;
    lock(e->loop);
    err = enqueue(e->loop, address, m);
    unlock(e->loop);
    if (err)
        free_bytes(e->loop, m);
    return err;
}

/* A message has left the queues, for good or with an answer that is as good: makes room. */
static void forget(struct endpoint *e, struct message *m)
{
    lock(e->loop);
    e->count--;
    e->bytes -= m->len;
    unlock(e->loop);
    free_bytes(e->loop, m);
}

static bool is_held_back(const struct endpoint *e, const char *from)
{
    for (const struct message *m = e->held.head; m; m = m->next)
        if (strcmp(m->data, from) == 0)
            return true;
    return false;
}

/* Delivers one message, or keeps it. kv_deliver() answers KV_EBUSY where the store has no room:
 * "stop reading that peer until resume". So what else that peer has sent is not even tried. Any
 * other answer means that the store is done with the message. */
static void deliver(struct endpoint *e, struct message *m)
{
    kv_peer from = KV_PEER_INIT;
    size_t address_len = m->from_size - 1;

    from.address = m->data;
    /* An identity is what the transport has proved, as TLS does by a certificate. Here the address
       is as good: each message got it from the network itself, and nobody can forge another's. */
    from.identity.data = m->data;
    from.identity.len = address_len;
    if (is_held_back(e, m->data) ||
        kv_deliver(e->inbox, &from, m->data + m->from_size, m->len) == KV_EBUSY)
        queue_put(&e->held, m);
    else
        forget(e, m);
}

/* "Delivers what has come, by kv_deliver() from inside; where that is nothing, waits up to
 *  timeout_ns for something, or for a wake. UINT64_MAX: as long as it takes. Returns KV_OK, also
 *  where nothing came."
 *
 * Takes what is ready at once, so that a sender who keeps sending cannot keep the store in here. */
static int loop_step(void *self, uint64_t timeout_ns)
{
    struct endpoint *e = self;
    struct queue come;

    queue_init(&come);
    lock(e->loop);
    kvi_loop_bell_wait(&e->due, &e->loop->lock, timeout_ns);
    e->woken = false;
    queue_move(&come, &e->ready);
    settle(e);
    unlock(e->loop);
    for (struct message *m; (m = queue_take(&come)) != NULL;)
        deliver(e, m);
    return KV_OK;
}

/* "Makes a step that waits, or the next one, return at once, and pollfd readable until then. From
 *  any thread, also while another method runs, but not once stop has begun." */
static void loop_wake(void *self)
{
    struct endpoint *e = self;

    lock(e->loop);
    e->woken = true;
    settle(e);
    unlock(e->loop);
}

/* "kv_deliver() had answered KV_EBUSY to a message of this address: try again with that one, which
 *  was kept, and read on." The next step does it, before it looks at what came later. */
static void loop_resume(void *self, const char *from)
{
    struct endpoint *e = self;
    struct queue again, others;

    queue_init(&again);
    queue_init(&others);
    for (struct message *m; (m = queue_take(&e->held)) != NULL;)
        queue_put(strcmp(m->data, from) == 0 ? &again : &others, m);
    queue_move(&e->held, &others);
    lock(e->loop);
    queue_move(&again, &e->ready);
    queue_move(&e->ready, &again);
    settle(e);
    unlock(e->loop);
}

/* "A descriptor, readable while step has something to deliver or was woken; -1: none. The same at
 *  each call, valid until stop." Made when it is first asked for: a store with a thread of its own
 *  sleeps in step and needs none. */
static int loop_pollfd(void *self)
{
    struct endpoint *e = self;
    int fd;

    lock(e->loop);
    fd = kvi_loop_bell_fd(&e->due);
    unlock(e->loop);
    return fd;
}

/* "Nanoseconds until step has something to do by time; 0: now; -1: none." */
static int64_t loop_next(void *self)
{
    struct endpoint *e = self;
    bool due;

    lock(e->loop);
    due = e->due.rung;
    unlock(e->loop);
    return due ? 0 : -1;
}

/* "Ends it: no delivery is under way or will come when it returns, and the address is free. What
 *  was sent and not delivered is lost."
 *
 * None is under way, since no step is. And none comes, since under the lock the endpoint loses its
 * address, by which senders find it, with all that waits. */
static void loop_stop(void *self)
{
    struct endpoint *e = self;
    struct queue lost;

    queue_init(&lost);
    lock(e->loop);
    e->address[0] = '\0';
    queue_move(&lost, &e->ready);
    queue_move(&lost, &e->held);
    e->count = e->bytes = 0;
    e->woken = false;
    kvi_loop_bell_mute(&e->due);
    unlock(e->loop);
    e->inbox = NULL;
    queue_free(e->loop, &lost);
}

/* --- Making a network and its endpoints ------------------------------------------------------- */

int kv_loop_new(const kv_allocator *allocator, kv_loop **out)
{
    kv_allocator memory = KV_ALLOCATOR_INIT;
    kv_loop *loop;

    memory.alloc = libc_alloc;
    memory.free = libc_free;
    if (allocator)
        memory = *allocator;
    if (!out || memory.size != sizeof memory || !memory.alloc || !memory.free)
        return KV_EINVAL;
    loop = memory.alloc(memory.user, sizeof *loop);
    if (!loop)
        return KV_ENOMEM;
    loop->memory = memory;
    loop->endpoints = NULL;
    if (pthread_mutex_init(&loop->lock, NULL) != 0) {
        free_bytes(loop, loop);
        return KV_ENOMEM;
    }
    *out = loop;
    return KV_OK;
}

static void fill_transport(struct endpoint *e, kv_transport *out)
{
    out->max_message = MESSAGE_MAX;
    out->self = e;
    out->start = loop_start;
    out->send = loop_send;
    out->flush = NULL; /* what was sent has left already */
    out->step = loop_step;
    out->next = loop_next;
    out->wake = loop_wake;
    out->resume = loop_resume;
    out->pollfd = loop_pollfd;
    out->stop = loop_stop;
}

int kv_loop_transport(kv_loop *loop, kv_transport *out)
{
    struct endpoint *e;

    if (!loop || !out || out->size != sizeof *out)
        return KV_EINVAL;
    e = new_bytes(loop, sizeof *e);
    if (!e)
        return KV_ENOMEM;
    memset(e, 0, sizeof *e);
    e->loop = loop;
    queue_init(&e->ready);
    queue_init(&e->held);
    if (!kvi_loop_bell_init(&e->due)) {
        free_bytes(loop, e);
        return KV_ENOMEM;
    }
    lock(loop);
    e->next = loop->endpoints;
    loop->endpoints = e;
    unlock(loop);
    fill_transport(e, out);
    return KV_OK;
}

void kv_loop_free(kv_loop *loop)
{
    struct endpoint *e;

    if (!loop)
        return;
    while ((e = loop->endpoints) != NULL) {
        loop->endpoints = e->next;
        loop_stop(e); /* a host that started it without a store may have left something */
        kvi_loop_bell_deinit(&e->due);
        free_bytes(loop, e);
    }
    (void)pthread_mutex_destroy(&loop->lock);
    free_bytes(loop, loop);
}
