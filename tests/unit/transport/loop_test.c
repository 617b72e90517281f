/*
 * The network within a process: it keeps the treaty of transports, its queues are bounded, and
 * nobody gets what he should not.
 */
#include <criterion/criterion.h>

#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include <kv_sim.h>

#include "node/inbox.h"

#define ENDS           3
#define QUEUE_MESSAGES 4096
#define MESSAGE_MAX    ((size_t)1 << 20)
#define QUEUE_BYTES    ((size_t)16 << 20)

/* --- The treaty ------------------------------------------------------------------------------- */

static int make(void *user, unsigned index, kv_transport *out)
{
    (void)index;
    return kv_loop_transport(user, out);
}

static void report(void *user, const char *clause, int passed, const char *detail)
{
    (void)user;
    cr_expect_eq(passed, 1, "\"%s\" answers %d: %s", clause, passed, detail);
}

Test(transport_loop, keeps_the_treaty)
{
    kv_transport_check_config config = KV_TRANSPORT_CHECK_CONFIG_INIT;
    kv_loop *loop = NULL;

    cr_assert_eq(kv_loop_new(NULL, &loop), KV_OK);
    config.user = loop;
    config.make = make;
    config.report = report;
    config.addresses[0] = "a";
    config.addresses[1] = "the second one";
    config.addresses[2] = "127.0.0.1:7000";
    config.nobody = "b";
    config.invalid = "";
    config.slack_ms = 500;
    cr_assert_eq(kv_transport_check(&config), KV_OK, "%s", kv_error_detail());
    kv_loop_free(loop);
}

/* --- A store at each end ---------------------------------------------------------------------- */

typedef struct taker {
    struct kv_inbox inbox;
    const char *refuse; /* an address whose messages are answered KV_EBUSY */
    unsigned count, refused;
    char log[256]; /* the first byte of each that was taken */
    char from[256];
    size_t identity_len, len;
} taker;

static int take(struct kv_inbox *inbox, const kv_peer *from, const void *message, size_t len)
{
    taker *t = (taker *)inbox;

    if (t->refuse && strcmp(t->refuse, from->address) == 0) {
        t->refused++;
        return KV_EBUSY;
    }
    if (t->count < sizeof t->log - 1)
        t->log[t->count] = *(const char *)message;
    t->count++;
    t->len = len;
    t->identity_len = from->identity.len;
    memcpy(t->from, from->address, strlen(from->address) + 1);
    cr_assert_eq(memcmp(from->identity.data, from->address, from->identity.len), 0);
    return KV_OK;
}

static kv_loop *loop;
static kv_transport end[ENDS];
static taker at[ENDS];
static const char *const names[ENDS] = {"zero", "one", "two"};
static const kv_host host = {.size = sizeof host};

static void start(unsigned i)
{
    cr_assert_eq(end[i].start(end[i].self, &at[i].inbox, &host, names[i]), KV_OK);
}

static void setup(void)
{
    loop = NULL;
    memset(at, 0, sizeof at);
    cr_assert_eq(kv_loop_new(NULL, &loop), KV_OK);
    for (unsigned i = 0; i < ENDS; i++) {
        end[i] = (kv_transport)KV_TRANSPORT_INIT;
        cr_assert_eq(kv_loop_transport(loop, &end[i]), KV_OK);
        at[i].inbox.deliver = take;
        start(i);
    }
}

static void teardown(void)
{
    for (unsigned i = 0; i < ENDS; i++)
        end[i].stop(end[i].self);
    kv_loop_free(loop);
}

static int post(unsigned from, const char *to, const char *bytes, size_t len)
{
    kv_slice part = {bytes, len};

    return end[from].send(end[from].self, to, &part, 1, KV_SEND_URGENT);
}

static void step(unsigned i)
{
    cr_assert_eq(end[i].step(end[i].self, 0), KV_OK);
}

static bool readable(int fd)
{
    struct pollfd p = {.fd = fd, .events = POLLIN};

    return poll(&p, 1, 0) == 1;
}

Test(transport_loop, a_message_says_who_sent_it, .init = setup, .fini = teardown)
{
    cr_assert_eq(post(0, "one", "x", 1), KV_OK);
    cr_assert_eq(at[1].count, 0, "only a step delivers");
    step(1);
    cr_assert_eq(at[1].count, 1);
    cr_assert_str_eq(at[1].from, "zero");
    cr_assert_eq(at[1].identity_len, strlen("zero"));
}

Test(transport_loop, nobody_there_is_told_at_once, .init = setup, .fini = teardown)
{
    cr_assert_eq(post(0, "three", "x", 1), KV_EUNAVAILABLE);
    cr_assert_eq(post(0, "", "x", 1), KV_EUNAVAILABLE);
    end[1].stop(end[1].self);
    cr_assert_eq(post(0, "one", "x", 1), KV_EUNAVAILABLE);
    start(1);
    cr_assert_eq(post(0, "one", "x", 1), KV_OK);
}

Test(transport_loop, queue_is_bounded_by_number, .init = setup, .fini = teardown)
{
    for (unsigned i = 0; i < QUEUE_MESSAGES; i++)
        cr_assert_eq(post(i % 2 ? 0 : 2, "one", "x", 1), KV_OK);
    cr_assert_eq(post(0, "one", "x", 1), KV_EBUSY);
    cr_assert_eq(post(0, "two", "x", 1), KV_OK, "others have room");
    step(1);
    cr_assert_eq(at[1].count, QUEUE_MESSAGES);
    cr_assert_eq(post(0, "one", "x", 1), KV_OK);
}

Test(transport_loop, queue_is_bounded_by_bytes, .init = setup, .fini = teardown)
{
    char *big = calloc(1, MESSAGE_MAX);

    for (size_t i = 0; i < QUEUE_BYTES / MESSAGE_MAX - 1; i++)
        cr_assert_eq(post(0, "one", big, MESSAGE_MAX), KV_OK);
    cr_assert_eq(post(0, "one", big, MESSAGE_MAX - 1), KV_OK);
    cr_assert_eq(post(0, "one", big, 2), KV_EBUSY);
    cr_assert_eq(post(0, "one", big, 1), KV_OK, "to the last byte");
    cr_assert_eq(post(0, "one", big, 1), KV_EBUSY);
    step(1);
    cr_assert_eq(at[1].count, QUEUE_BYTES / MESSAGE_MAX + 1);
    cr_assert_eq(post(0, "one", big, MESSAGE_MAX), KV_OK);
    free(big);
}

Test(transport_loop, parts_are_judged, .init = setup, .fini = teardown)
{
    kv_slice parts[65];
    char *big = calloc(1, MESSAGE_MAX);

    for (unsigned i = 0; i < 65; i++)
        parts[i] = (kv_slice){"p", 1};
    cr_assert_eq(end[0].send(end[0].self, "one", parts, 65, 0), KV_EINVAL);
    cr_assert_eq(end[0].send(end[0].self, "one", parts, 0, 0), KV_EINVAL);
    cr_assert_eq(end[0].send(end[0].self, "one", parts, 64, 0), KV_OK);
    parts[0] = (kv_slice){NULL, 0};
    cr_assert_eq(end[0].send(end[0].self, "one", parts, 1, 0), KV_EINVAL);
    parts[0] = (kv_slice){big, MESSAGE_MAX};
    cr_assert_eq(end[0].send(end[0].self, "one", parts, 1, 0), KV_OK);
    cr_assert_eq(end[0].send(end[0].self, "one", parts, 2, 0), KV_EINVAL);
    parts[0] = (kv_slice){big, SIZE_MAX};
    cr_assert_eq(end[0].send(end[0].self, "one", parts, 2, 0), KV_EINVAL, "no overflow");
    step(1);
    cr_assert_eq(at[1].count, 2);
    cr_assert_eq(at[1].len, MESSAGE_MAX);
    free(big);
}

Test(transport_loop, who_is_refused_waits_alone_and_in_order, .init = setup, .fini = teardown)
{
    at[1].refuse = "zero";
    cr_assert_eq(post(0, "one", "a", 1), KV_OK);
    cr_assert_eq(post(2, "one", "x", 1), KV_OK);
    cr_assert_eq(post(0, "one", "b", 1), KV_OK);
    step(1);
    cr_assert_eq(post(0, "one", "c", 1), KV_OK);
    step(1);
    cr_assert_str_eq(at[1].log, "x");
    cr_assert_eq(at[1].refused, 1, "not asked again before resume");

    end[1].resume(end[1].self, "two");
    cr_assert_eq(end[1].next(end[1].self), -1, "that was somebody else");
    end[1].resume(end[1].self, "zero");
    cr_assert_eq(end[1].next(end[1].self), 0);
    step(1);
    cr_assert_eq(at[1].refused, 2, "still no room: held back again");

    at[1].refuse = NULL;
    end[1].resume(end[1].self, "zero");
    cr_assert_eq(post(0, "one", "d", 1), KV_OK);
    step(1);
    cr_assert_str_eq(at[1].log, "xabcd");
}

Test(transport_loop, what_is_held_back_counts, .init = setup, .fini = teardown)
{
    at[1].refuse = "zero";
    for (unsigned i = 0; i < QUEUE_MESSAGES; i++) {
        cr_assert_eq(post(0, "one", "x", 1), KV_OK);
        if (i % 1000 == 0)
            step(1);
    }
    step(1);
    cr_assert_eq(post(0, "one", "x", 1), KV_EBUSY);
    at[1].refuse = NULL;
    end[1].resume(end[1].self, "zero");
    step(1);
    cr_assert_eq(at[1].count, QUEUE_MESSAGES);
    cr_assert_eq(post(0, "one", "x", 1), KV_OK);
}

Test(transport_loop, stop_loses_what_waits, .init = setup, .fini = teardown)
{
    at[1].refuse = "zero";
    cr_assert_eq(post(0, "one", "a", 1), KV_OK);
    step(1);
    cr_assert_eq(post(2, "one", "b", 1), KV_OK);
    end[1].wake(end[1].self);
    end[1].stop(end[1].self);
    at[1].refuse = NULL;
    start(1);
    cr_assert_eq(end[1].next(end[1].self), -1);
    step(1);
    end[1].resume(end[1].self, "zero");
    step(1);
    cr_assert_eq(at[1].count, 0);
}

Test(transport_loop, descriptor_follows, .init = setup, .fini = teardown)
{
    int fd;

    cr_assert_eq(post(0, "one", "x", 1), KV_OK);
    fd = end[1].pollfd(end[1].self);
    cr_assert_geq(fd, 0);
    cr_assert(readable(fd), "asked for when a message was there already");
    step(1);
    cr_assert_not(readable(fd));
    end[1].wake(end[1].self);
    end[1].wake(end[1].self);
    cr_assert(readable(fd));
    step(1);
    cr_assert_not(readable(fd));
    cr_assert_eq(end[1].pollfd(end[1].self), fd);
    end[1].stop(end[1].self);
    cr_assert_eq(fcntl(fd, F_GETFD), -1, "closed");
    start(1);
    fd = end[1].pollfd(end[1].self);
    cr_assert_not(readable(fd));
}

/* --- Making ----------------------------------------------------------------------------------- */

Test(transport_loop, addresses_are_any_strings_of_1_to_255_bytes)
{
    kv_transport t = KV_TRANSPORT_INIT;
    taker here = {.inbox = {take}};
    char address[257];

    memset(address, '\xff', sizeof address);
    cr_assert_eq(kv_loop_new(NULL, &loop), KV_OK);
    cr_assert_eq(kv_loop_transport(loop, &t), KV_OK);
    cr_assert_eq(t.start(t.self, &here.inbox, &host, NULL), KV_EINVAL);
    cr_assert_eq(t.start(t.self, &here.inbox, &host, ""), KV_EINVAL);
    address[256] = '\0';
    cr_assert_eq(t.start(t.self, &here.inbox, &host, address), KV_EINVAL);
    address[255] = '\0';
    cr_assert_eq(t.start(t.self, &here.inbox, &host, address), KV_OK);
    cr_assert_eq(t.send(t.self, address, &(kv_slice){"x", 1}, 1, 0), KV_OK);
    cr_assert_eq(t.step(t.self, 0), KV_OK);
    cr_assert_eq(here.count, 1);
    cr_assert_str_eq(here.from, address);
    t.stop(t.self);
    kv_loop_free(loop);
}

Test(transport_loop, arguments_are_checked)
{
    kv_allocator none = KV_ALLOCATOR_INIT;
    kv_transport t = KV_TRANSPORT_INIT;

    loop = NULL;
    cr_assert_eq(kv_loop_new(NULL, NULL), KV_EINVAL);
    cr_assert_eq(kv_loop_new(&none, &loop), KV_EINVAL, "an allocator without functions");
    cr_assert_null(loop);
    cr_assert_eq(kv_loop_transport(NULL, &t), KV_EINVAL);
    cr_assert_eq(kv_loop_new(NULL, &loop), KV_OK);
    cr_assert_eq(kv_loop_transport(loop, NULL), KV_EINVAL);
    t.size--;
    cr_assert_eq(kv_loop_transport(loop, &t), KV_EINVAL);
    cr_assert_null(t.self);
    kv_loop_free(loop);
    kv_loop_free(NULL);
}

/* Counts what is alive, and fails from the n-th allocation on. */
typedef struct counter {
    int alive, left;
} counter;

static void *count_alloc(void *user, size_t bytes)
{
    counter *c = user;

    if (c->left-- <= 0)
        return NULL;
    c->alive++;
    return malloc(bytes);
}

static void *count_resize(void *user, void *old, size_t bytes)
{
    (void)user;
    return realloc(old, bytes);
}

static void count_free(void *user, void *old)
{
    ((counter *)user)->alive -= old != NULL;
    free(old);
}

Test(transport_loop, memory_is_the_allocators_and_may_end)
{
    counter c = {0, 0};
    kv_allocator a = KV_ALLOCATOR_INIT;
    kv_transport t = KV_TRANSPORT_INIT, unused = KV_TRANSPORT_INIT;
    taker here = {.inbox = {take}, .refuse = "me"};

    a.alloc = count_alloc;
    a.resize = count_resize;
    a.free = count_free;
    a.user = &c;
    loop = NULL;
    cr_assert_eq(kv_loop_new(&a, &loop), KV_ENOMEM);
    cr_assert_null(loop);
    c.left = 1;
    cr_assert_eq(kv_loop_new(&a, &loop), KV_OK);
    memset(&a, 0, sizeof a);
    cr_assert_eq(kv_loop_transport(loop, &t), KV_ENOMEM);
    cr_assert_null(t.self);
    c.left = 2;
    cr_assert_eq(kv_loop_transport(loop, &t), KV_OK);
    cr_assert_eq(kv_loop_transport(loop, &unused), KV_OK);
    cr_assert_eq(t.start(t.self, &here.inbox, &host, "me"), KV_OK);
    cr_assert_eq(t.send(t.self, "me", &(kv_slice){"x", 1}, 1, 0), KV_ENOMEM);
    c.left = 2;
    cr_assert_eq(t.send(t.self, "me", &(kv_slice){"x", 1}, 1, 0), KV_OK);
    cr_assert_eq(t.step(t.self, 0), KV_OK);
    cr_assert_eq(t.send(t.self, "me", &(kv_slice){"x", 1}, 1, 0), KV_OK);
    t.stop(t.self);
    cr_assert_eq(c.alive, 3, "what was ready or held back is gone");
    kv_loop_free(loop);
    cr_assert_eq(c.alive, 0);
}

/* --- Threads ---------------------------------------------------------------------------------- */

static atomic_bool enough;

static void *keep_sending(void *user)
{
    const unsigned *self = user;
    unsigned n = 0;

    while (!atomic_load(&enough)) {
        (void)post(*self, "one", "payload", 7);
        if (++n % 64 == 0)
            (void)end[*self].step(end[*self].self, 0);
    }
    return NULL;
}

/* A sender may find an endpoint that is just stopping: it sees one that is not there. */
Test(transport_loop, stops_while_others_send, .init = setup, .fini = teardown)
{
    static const unsigned senders[] = {0, 2};
    pthread_t threads[2];

    atomic_store(&enough, false);
    for (unsigned i = 0; i < 2; i++)
        cr_assert_eq(pthread_create(&threads[i], NULL, keep_sending, (void *)&senders[i]), 0);
    for (unsigned i = 0; i < 300; i++) {
        (void)end[1].step(end[1].self, 20000);
        if (i % 5 == 0)
            (void)end[1].pollfd(end[1].self);
        if (i % 3 == 0) {
            unsigned before;

            end[1].stop(end[1].self);
            before = at[1].count;
            start(1);
            cr_assert_eq(at[1].count, before);
        }
    }
    atomic_store(&enough, true);
    for (unsigned i = 0; i < 2; i++)
        cr_assert_eq(pthread_join(threads[i], NULL), 0);
    cr_assert_gt(at[1].count, 0);
}
