/*
 * Submitted requests of a placed store, and threads: how they end, where, and that they do.
 */
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>

#include "unit/api/placed_fixture.h"

#define PLACED_TEST(name) Test(api_placed_async, name, .init = begin, .fini = end)

/* --- submitted -------------------------------------------------------------------------------- */

static unsigned ended;
static int end_err[8];
static uint64_t end_ticket[8];
static uint32_t end_values[8];

static void on_end(void *user, uint64_t ticket, int err, const kv_result *result)
{
    kv_op quick = KV_OP_INIT;

    (void)user;
    cr_assert_lt(ended, 8);
    end_err[ended] = err;
    end_ticket[ended] = ticket;
    end_values[ended++] = result->count;
    FAILS(kv_get(t.db, "key", 3, &quick, NULL), KV_EDEADLK, "callback");
}

static uint64_t submit(uint8_t call, const char *key)
{
    kv_request q = KV_REQUEST_INIT;
    uint64_t ticket;

    q.call = call;
    q.key = kvi_slice_of(key, strlen(key));
    if (call == KV_REQUEST_PUT)
        q.value = kvi_slice_of("value", 5);
    OK(kv_submit(t.db, &q, on_end, NULL, &ticket));
    return ticket;
}

static void step_until(unsigned n)
{
    for (int i = 0; ended < n; i++) {
        cr_assert_lt(i, 1000);
        OK(kv_step(t.db, 0));
    }
}

PLACED_TEST(a_submitted_request_ends_in_a_step)
{
    uint64_t ticket;

    ended = 0;
    OK(put("warm", "up"));
    ticket = submit(KV_REQUEST_PUT, "key");
    cr_assert_eq(ended, 0);
    cr_assert_eq(kv_next_deadline(t.db), 0);
    OK(get("warm")); /* steps the node, and leaves the callback */
    cr_assert_eq(ended, 0);
    step_until(1);
    cr_assert(end_ticket[0] == ticket && end_err[0] == KV_OK);
    submit(KV_REQUEST_GET, "key");
    submit(KV_REQUEST_GET, "none");
    step_until(3);
    cr_assert(end_err[1] + end_err[2] == KV_ENOTFOUND && end_values[1] + end_values[2] == 1);
    concur("siblings", 0);
    submit(KV_REQUEST_GET, "siblings");
    step_until(4);
    cr_assert(end_err[3] == KV_ESIBLINGS && end_values[3] == 2);
}

PLACED_TEST(a_submitted_request_can_be_canceled)
{
    uint64_t ticket;

    ended = 0;
    ticket = submit(KV_REQUEST_PUT, "key");
    OK(kv_cancel(t.db, ticket));
    OK(kv_cancel(t.db, ticket));
    step_until(1);
    cr_assert_eq(end_err[0], KV_ECANCELED);
    cr_assert_eq(kv_cancel(t.db, ticket), KV_ENOTFOUND);
    cr_assert_eq(get("key"), KV_ENOTFOUND);
}

Test(api_placed_async, closing_ends_what_was_submitted, .init = begin)
{
    uint64_t ticket;

    ended = 0;
    submit(KV_REQUEST_PUT, "key");
    ticket = submit(KV_REQUEST_GET, "key");
    OK(kv_cancel(t.db, ticket));
    OK(kv_close(t.db));
    cr_assert_eq(ended, 2);
    for (int i = 0; i < 2; i++)
        cr_assert(end_err[i] == KV_ECANCELED || end_err[i] == KV_EUNCERTAIN, "%d", end_err[i]);
    kvi_sim_env_deinit(&t.env);
}

/* --- threads ---------------------------------------------------------------------------------- */

typedef struct client {
    pthread_t thread;
    kv *db;
    int number;
    _Atomic unsigned ended;
} client;

static void on_client_end(void *user, uint64_t ticket, int err, const kv_result *result)
{
    client *c = user;

    (void)ticket, (void)result;
    cr_assert_eq(err, KV_OK);
    atomic_fetch_add(&c->ended, 1);
}

static void *client_main(void *user)
{
    client *c = user;
    kv_request q = KV_REQUEST_INIT;
    uint64_t ticket;
    char key[32];

    for (int i = 0; i < 200; i++) {
        (void)snprintf(key, sizeof key, "%d.%d", c->number, i);
        kvt_put(c->db, key, key);
        q.call = KV_REQUEST_GET;
        q.key = kvi_slice_of(key, strlen(key));
        OK(kv_submit(c->db, &q, on_client_end, c, &ticket));
        cr_assert(kvt_has(c->db, key, key));
    }
    return NULL;
}

Test(api_placed_async, many_threads_use_a_node_at_once)
{
    client clients[4];
    kv_options o = KV_OPTIONS_INIT;
    kv *db;

    o.layout = KV_PLACED;
    OK(kv_open(NULL, &o, &db));
    for (int i = 0; i < 4; i++) {
        clients[i].db = db;
        clients[i].number = i;
        atomic_init(&clients[i].ended, 0);
        cr_assert_eq(pthread_create(&clients[i].thread, NULL, client_main, &clients[i]), 0);
    }
    for (int i = 0; i < 4; i++) {
        cr_assert_eq(pthread_join(clients[i].thread, NULL), 0);
        while (atomic_load(&clients[i].ended) < 200)
            sched_yield();
    }
    OK(kv_close(db));
}

static void on_end_anywhere(void *user, uint64_t ticket, int err, const kv_result *result)
{
    (void)ticket, (void)result;
    cr_assert_eq(err, KV_OK);
    *(pthread_t *)user = pthread_self();
}

Test(api_placed_async, callbacks_in_step_wait_for_it)
{
    kv_options o = KV_OPTIONS_INIT;
    kv_request q = KV_REQUEST_INIT;
    pthread_t where;
    kv *db;

    o.layout = KV_PLACED;
    o.flags = KV_CALLBACKS_IN_STEP;
    q.call = KV_REQUEST_PUT;
    q.key = kvi_slice_of("key", 3);
    OK(kv_open(NULL, &o, &db));
    cr_assert_geq(kv_pollfd(db), 0);
    OK(kv_submit(db, &q, on_end_anywhere, &where, NULL));
    while (kv_next_deadline(db) != 0)
        sched_yield();
    OK(kv_step(db, 0));
    cr_assert(pthread_equal(where, pthread_self()));
    cr_assert_eq(kv_next_deadline(db), -1);
    OK(kv_close(db));
}

Test(api_placed_async, callbacks_of_a_node_run_on_its_thread)
{
    kv_options o = KV_OPTIONS_INIT;
    kv_request q = KV_REQUEST_INIT;
    pthread_t where = pthread_self();
    kv *db;

    o.layout = KV_PLACED;
    q.call = KV_REQUEST_PUT;
    q.key = kvi_slice_of("key", 3);
    OK(kv_open(NULL, &o, &db));
    FAILS(kv_step(db, 0), KV_ENOTSUP, "KV_THREADED");
    cr_assert_eq(kv_pollfd(db), -1);
    OK(kv_submit(db, &q, on_end_anywhere, &where, NULL));
    OK(kv_put(db, "key", 3, "", 0, NULL, NULL)); /* begun after it, and so are their ends */
    OK(kv_close(db));
    cr_assert(!pthread_equal(where, pthread_self()));
}

static _Atomic bool canceled_ended;

static void on_canceled(void *user, uint64_t ticket, int err, const kv_result *result)
{
    (void)user, (void)ticket, (void)result;
    cr_assert(err == KV_OK || err == KV_ECANCELED || err == KV_EUNCERTAIN, "%d", err);
    atomic_store(&canceled_ended, true);
}

Test(api_placed_async, a_cancellation_and_an_end_may_cross)
{
    kv_options o = KV_OPTIONS_INIT;
    kv_request q = KV_REQUEST_INIT;
    kv *db;

    o.layout = KV_PLACED;
    q.call = KV_REQUEST_PUT;
    q.key = kvi_slice_of("key", 3);
    OK(kv_open(NULL, &o, &db));
    for (int i = 0; i < 500; i++) {
        uint64_t ticket;
        int err;

        atomic_store(&canceled_ended, false);
        OK(kv_submit(db, &q, on_canceled, NULL, &ticket));
        for (int spin = 0; spin < i; spin++)
            (void)kv_next_deadline(db);
        err = kv_cancel(db, ticket);
        cr_assert(err == KV_OK || err == KV_ENOTFOUND);
        while (!atomic_load(&canceled_ended))
            sched_yield();
    }
    OK(kv_close(db));
}
