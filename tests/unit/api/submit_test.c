/*
 * Submitted requests of an ordered store: kv_submit(), kv_cancel(), kv_step() and their kin, with a
 * thread of the store's own, and without.
 */
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdlib.h>

#include "support/tmpdir.h"
#include "unit/api/fixture.h"

/* --- what came back --------------------------------------------------------------------------- */

#define ENDS_MAX 4096

/** One end, copied out of its callback. */
typedef struct end_of {
    uint64_t ticket;
    int err;
    uint32_t count;
    size_t value_len, context_len;
    char value[32], detail[128];
    uint8_t durability;
} end_of;

static end_of ends[ENDS_MAX];
static _Atomic unsigned end_count;
static pthread_t end_thread;
static kv *db;
static char dir[200], path[256];
static kv_options options;

static void note_end(void *user, uint64_t ticket, int err, const kv_result *r)
{
    end_of *e = &ends[atomic_load(&end_count)];

    (void)user;
    memset(e, 0, sizeof *e);
    e->ticket = ticket;
    e->err = err;
    e->count = r->count;
    e->context_len = r->context.len;
    e->durability = r->durability;
    if (r->count > 0) {
        e->value_len = r->values[0].len;
        memcpy(e->value, r->values[0].data, kvi_min_size(e->value_len, sizeof e->value - 1));
    }
    if (err)
        (void)snprintf(e->detail, sizeof e->detail, "%s", kv_error_detail());
    end_thread = pthread_self();
    atomic_fetch_add(&end_count, 1);
}

static void begin(void)
{
    options = (kv_options)KV_OPTIONS_INIT;
    atomic_store(&end_count, 0);
    db = NULL;
    kvt_tmpdir(dir, sizeof dir);
    (void)snprintf(path, sizeof path, "%s/store", dir);
}

static void end(void)
{
    OK(kv_close(db));
    kvt_rmtree(dir);
}

static void open_stepped(const char *at)
{
    options.mode = KV_STEPPED;
    OK(kv_open(at, &options, &db));
}

#define SUBMIT_TEST(name) Test(api_submit, name, .init = begin, .fini = end)

static kv_request request_of(uint8_t call, const char *key, const char *value)
{
    kv_request q = KV_REQUEST_INIT;

    q.call = call;
    q.key = kvi_slice_of(key, strlen(key));
    if (value)
        q.value = kvi_slice_of(value, strlen(value));
    return q;
}

static uint64_t submit(uint8_t call, const char *key, const char *value)
{
    kv_request q = request_of(call, key, value);
    uint64_t ticket = 0;

    OK(kv_submit(db, &q, note_end, NULL, &ticket));
    cr_assert(ticket != 0);
    return ticket;
}

/** Waits until n have ended, of a store that runs by itself. */
static void await(unsigned n)
{
    while (atomic_load(&end_count) < n)
        sched_yield();
}

/* --- by itself -------------------------------------------------------------------------------- */

SUBMIT_TEST(a_thread_of_the_stores_own_runs_them_in_order)
{
    uint64_t put, get, del, none;

    OK(kv_open(NULL, NULL, &db));
    put = submit(KV_REQUEST_PUT, "key", "value");
    get = submit(KV_REQUEST_GET, "key", NULL);
    del = submit(KV_REQUEST_DELETE, "key", NULL);
    none = submit(KV_REQUEST_GET, "key", NULL);
    await(4);
    cr_assert(!pthread_equal(end_thread, pthread_self()));
    cr_assert(ends[0].ticket == put && ends[0].err == KV_OK && ends[0].context_len > 0);
    cr_assert_eq(ends[0].durability, KV_MEMORY);
    cr_assert(ends[1].ticket == get && ends[1].err == KV_OK && ends[1].count == 1);
    cr_assert_str_eq(ends[1].value, "value");
    cr_assert(ends[2].ticket == del && ends[2].err == KV_OK);
    cr_assert(ends[3].ticket == none && ends[3].err == KV_ENOTFOUND && ends[3].count == 0);
    cr_assert(kvt_has(db, "key", NULL));
}

/* Those that wait while others sync share the next sync. */
SUBMIT_TEST(many_in_flight_share_a_sync)
{
    kv_statistics stats = KV_STATISTICS_INIT;
    uint64_t syncs;

    OK(kv_open(path, NULL, &db));
    OK(kv_stats(db, &stats));
    syncs = stats.log_syncs;
    for (int i = 0; i < 640; i++) {
        char key[16];

        (void)snprintf(key, sizeof key, "%d", i);
        submit(KV_REQUEST_PUT, key, "value");
    }
    await(640);
    OK(kv_stats(db, &stats));
    cr_assert_eq(stats.puts, 640);
    cr_assert_lt(stats.log_syncs - syncs, 320);
    for (int i = 0; i < 640; i++)
        cr_assert(ends[i].err == KV_OK && ends[i].durability == KV_DISK);
}

SUBMIT_TEST(a_store_that_runs_by_itself_is_not_stepped)
{
    OK(kv_open(NULL, NULL, &db));
    FAILS(kv_step(db, 0), KV_ENOTSUP, "KV_THREADED");
    cr_assert_eq(kv_pollfd(db), -1);
    cr_assert_eq(kv_next_deadline(db), -1);
    FAILS(kv_step(NULL, 0), KV_EINVAL, "handle is NULL");
    cr_assert_eq(kv_pollfd(NULL), -1);
    cr_assert_eq(kv_next_deadline(NULL), -1);
}

static void submit_again(void *user, uint64_t ticket, int err, const kv_result *r)
{
    int *left = user;
    kv_request q = request_of(KV_REQUEST_PUT, "again", "value");

    if (--*left > 0)
        OK(kv_submit(db, &q, submit_again, user, NULL));
    else
        note_end(user, ticket, err, r);
}

SUBMIT_TEST(a_callback_may_submit)
{
    kv_request q = request_of(KV_REQUEST_PUT, "again", "value");
    int left = 100;

    OK(kv_open(NULL, NULL, &db));
    OK(kv_submit(db, &q, submit_again, &left, NULL));
    await(1);
    cr_assert_eq(left, 0);
}

typedef struct flood {
    pthread_t thread;
    _Atomic unsigned ended;
    int number;
} flood;

static void flood_end(void *user, uint64_t ticket, int err, const kv_result *r)
{
    flood *f = user;

    (void)ticket, (void)r;
    cr_assert_eq(err, KV_OK);
    atomic_fetch_add(&f->ended, 1);
}

static void *flood_main(void *user)
{
    flood *f = user;
    kv_request q = KV_REQUEST_INIT;
    char key[32];

    for (int i = 0; i < 500; i++) {
        (void)snprintf(key, sizeof key, "%d.%d", f->number, i);
        q = request_of(KV_REQUEST_PUT, key, "value");
        OK(kv_submit(db, &q, flood_end, f, NULL));
    }
    return NULL;
}

SUBMIT_TEST(many_threads_submit_at_once)
{
    flood floods[4];
    kv_statistics stats = KV_STATISTICS_INIT;

    OK(kv_open(NULL, NULL, &db));
    for (int i = 0; i < 4; i++) {
        floods[i].number = i;
        atomic_init(&floods[i].ended, 0);
        cr_assert_eq(pthread_create(&floods[i].thread, NULL, flood_main, &floods[i]), 0);
    }
    for (int i = 0; i < 4; i++)
        cr_assert_eq(pthread_join(floods[i].thread, NULL), 0);
    for (int i = 0; i < 4; i++)
        while (atomic_load(&floods[i].ended) < 500)
            sched_yield();
    OK(kv_stats(db, &stats));
    cr_assert_eq(stats.puts, 2000);
}

/* --- stepped ---------------------------------------------------------------------------------- */

static bool readable(int fd)
{
    struct pollfd p = {fd, POLLIN, 0};

    return poll(&p, 1, 0) == 1;
}

SUBMIT_TEST(a_stepped_store_runs_them_in_kv_step)
{
    int fd;

    open_stepped(path);
    OK(kv_step(db, 0));
    fd = kv_pollfd(db);
    cr_assert_geq(fd, 0);
    cr_assert(!readable(fd));
    cr_assert_eq(kv_next_deadline(db), -1);
    submit(KV_REQUEST_PUT, "key", "value");
    submit(KV_REQUEST_GET, "key", NULL);
    cr_assert_eq(atomic_load(&end_count), 0);
    cr_assert(readable(fd));
    cr_assert_eq(kv_next_deadline(db), 0);
    OK(kv_step(db, 0));
    cr_assert_eq(atomic_load(&end_count), 2);
    cr_assert(pthread_equal(end_thread, pthread_self()));
    cr_assert_str_eq(ends[0].value, "value", "a get does not wait for the sync of a put before it");
    cr_assert_eq(ends[1].durability, KV_DISK);
    cr_assert(!readable(fd));
    cr_assert_eq(kv_next_deadline(db), -1);
    cr_assert_eq(kv_pollfd(db), fd);
}

/* Without workers all disk work is the caller's: flushes and compactions by those who wait. */
SUBMIT_TEST(a_stepped_store_without_workers_does_not_hang)
{
    static char value[16 << 10];

    options.memory = (size_t)4 << 20;
    open_stepped(path);
    memset(value, 'v', sizeof value);
    for (int i = 0; i < 1000; i++) {
        char key[16];

        (void)snprintf(key, sizeof key, "%d", i);
        OK(kv_put(db, key, strlen(key), value, sizeof value, NULL, NULL));
    }
    OK(kv_flush(db));
    OK(kv_sync(db));
    for (int i = 0; kv_next_deadline(db) == 0; i++) {
        cr_assert_lt(i, 100000);
        OK(kv_step(db, 1000000));
    }
}

SUBMIT_TEST(a_blocking_call_leaves_callbacks_to_the_next_step)
{
    open_stepped(NULL);
    submit(KV_REQUEST_PUT, "key", "value");
    kvt_put(db, "other", "value");
    cr_assert_eq(atomic_load(&end_count), 0);
    OK(kv_step(db, 1000000));
    cr_assert_eq(atomic_load(&end_count), 1);
}

SUBMIT_TEST(callbacks_in_step_wait_for_it)
{
    int fd;

    options.flags = KV_CALLBACKS_IN_STEP;
    OK(kv_open(NULL, &options, &db));
    fd = kv_pollfd(db);
    cr_assert_geq(fd, 0);
    submit(KV_REQUEST_PUT, "key", "value");
    while (!readable(fd))
        sched_yield();
    cr_assert_eq(kv_next_deadline(db), 0);
    cr_assert_eq(atomic_load(&end_count), 0);
    OK(kv_step(db, 0));
    cr_assert_eq(atomic_load(&end_count), 1);
    cr_assert(pthread_equal(end_thread, pthread_self()));
    cr_assert(!readable(fd));
    cr_assert_eq(kv_next_deadline(db), -1);
}

/* --- arguments and limits --------------------------------------------------------------------- */

static void refused(kv_request q, int code, const char *detail)
{
    uint64_t ticket = 77;

    FAILS(kv_submit(db, &q, note_end, NULL, &ticket), code, detail);
    cr_assert_eq(ticket, 77);
}

SUBMIT_TEST(a_wrong_argument_is_told_at_once)
{
    kv_request q = request_of(KV_REQUEST_PUT, "key", "value");
    kv_op op = KV_OP_INIT;

    open_stepped(NULL);
    FAILS(kv_submit(NULL, &q, note_end, NULL, NULL), KV_EINVAL, "handle is NULL");
    FAILS(kv_submit(db, NULL, note_end, NULL, NULL), KV_EINVAL, "request is NULL");
    FAILS(kv_submit(db, &q, NULL, NULL, NULL), KV_EINVAL, "done is NULL");
    q.size++;
    refused(q, KV_EINVAL, "kv_request.size");
    q.size--;
    q.flags = 4;
    refused(q, KV_EINVAL, "kv_request.flags has 0x4");
    q.flags = 0;
    q.call = 0;
    refused(q, KV_EINVAL, "kv_request.call is 0");
    q.call = 4;
    refused(q, KV_EINVAL, "kv_request.call is 4");
    q.call = KV_REQUEST_GET;
    refused(q, KV_EINVAL, "kv_request.value has no meaning");
    q = request_of(KV_REQUEST_PUT, "", "value");
    refused(q, KV_EINVAL, "key is empty");
    q = request_of(KV_REQUEST_GET, "key", NULL);
    q.op = &op;
    op.ttl_ms = 1;
    refused(q, KV_EINVAL, "kv_op.ttl_ms has no meaning");
    op = (kv_op)KV_OP_INIT;
    op.context = kvi_slice_of("not a context", 13);
    q.call = KV_REQUEST_PUT;
    refused(q, KV_EINVAL, "kv_op.context of 13 bytes");
    OK(kv_step(db, 0));
    cr_assert_eq(atomic_load(&end_count), 0);
}

SUBMIT_TEST(all_that_was_given_is_copied)
{
    char key[] = "key", value[] = "value", context[64];
    kv_request q = request_of(KV_REQUEST_PUT, key, value);
    kv_result r = KV_RESULT_INIT;
    kv_op op = KV_OP_INIT;
    kv *space;

    open_stepped(NULL);
    OK(kv_space(db, "named", NULL, &space));
    OK(kv_put(space, "key", 3, "old", 3, NULL, &r));
    cr_assert_leq(r.context.len, sizeof context);
    memcpy(context, r.context.data, r.context.len);
    op.context = kvi_slice_of(context, r.context.len);
    kv_result_free(&r);
    q.op = &op;
    OK(kv_submit(space, &q, note_end, NULL, NULL));
    OK(kv_submit(space, &q, note_end, NULL, NULL));
    memset(key, 0, sizeof key);
    memset(value, 0, sizeof value);
    memset(context, 0, sizeof context);
    memset(&op, 0, sizeof op);
    OK(kv_close(space));
    OK(kv_step(db, 0));
    cr_assert_eq(ends[0].err, KV_OK);
    cr_assert_eq(ends[1].err, KV_ECONFLICT, "the context was used up");
    cr_assert(strstr(ends[1].detail, "written since"), "%s", ends[1].detail);
    OK(kv_space(db, "named", NULL, &space));
    cr_assert(kvt_has(space, "key", "value"));
    OK(kv_close(space));
}

SUBMIT_TEST(what_is_under_way_is_bounded)
{
    static char value[8 << 10];
    kv_request q = KV_REQUEST_INIT;
    unsigned taken = 0;
    int err;

    options.memory = (size_t)4 << 20;
    open_stepped(NULL);
    q = request_of(KV_REQUEST_PUT, "key", NULL);
    q.value = kvi_slice_of(value, sizeof value);
    while ((err = kv_submit(db, &q, note_end, NULL, NULL)) == KV_OK)
        taken++;
    cr_assert_eq(err, KV_EBUSY);
    cr_assert(strstr(kv_error_detail(), "over the limit of 524288"), "%s", kv_error_detail());
    cr_assert_gt(taken, 40);
    cr_assert_leq(taken, 64);
    OK(kv_step(db, 0));
    cr_assert_eq(atomic_load(&end_count), taken);
    OK(kv_submit(db, &q, note_end, NULL, NULL));
    OK(kv_step(db, 0));
    cr_assert_eq(atomic_load(&end_count), taken + 1);
}

/* --- giving up -------------------------------------------------------------------------------- */

SUBMIT_TEST(one_that_has_not_begun_can_be_canceled)
{
    uint64_t first, second;

    open_stepped(NULL);
    first = submit(KV_REQUEST_PUT, "first", "value");
    second = submit(KV_REQUEST_PUT, "second", "value");
    OK(kv_cancel(db, first));
    cr_assert_eq(atomic_load(&end_count), 0, "not from inside of it");
    cr_assert_eq(kv_cancel(db, first), KV_ENOTFOUND, "its end is on the way");
    OK(kv_step(db, 0));
    cr_assert_eq(atomic_load(&end_count), 2);
    cr_assert(ends[0].ticket == first && ends[0].err == KV_ECANCELED);
    cr_assert(strstr(ends[0].detail, "kv_cancel"), "%s", ends[0].detail);
    cr_assert(ends[1].ticket == second && ends[1].err == KV_OK);
    cr_assert_eq(kv_cancel(db, second), KV_ENOTFOUND);
    cr_assert_eq(kv_cancel(db, 0), KV_ENOTFOUND);
    cr_assert_eq(kv_cancel(db, 12345), KV_ENOTFOUND);
    cr_assert(kvt_has(db, "first", NULL));
    cr_assert(kvt_has(db, "second", "value"));
}

static void submit_at_the_end(void *user, uint64_t ticket, int err, const kv_result *r)
{
    kv_request q = request_of(KV_REQUEST_GET, "key", NULL);

    note_end(user, ticket, err, r);
    FAILS(kv_submit(db, &q, note_end, NULL, NULL), KV_ECANCELED, "being closed");
    cr_assert_eq(kv_cancel(db, ticket), KV_ENOTFOUND);
}

Test(api_submit, closing_ends_what_is_under_way, .init = begin)
{
    kv_request q = request_of(KV_REQUEST_PUT, "key", "value");

    open_stepped(path);
    for (int i = 0; i < 5; i++)
        OK(kv_submit(db, &q, submit_at_the_end, NULL, NULL));
    OK(kv_close(db));
    cr_assert_eq(atomic_load(&end_count), 5);
    for (int i = 0; i < 5; i++)
        cr_assert_eq(ends[i].err, KV_ECANCELED);
    open_stepped(path);
    cr_assert(kvt_has(db, "key", NULL));
    end();
}

Test(api_submit, closing_waits_for_what_has_begun, .init = begin)
{
    OK(kv_open(path, NULL, &db));
    for (int i = 0; i < 200; i++)
        submit(KV_REQUEST_PUT, "key", "value");
    OK(kv_close(db));
    cr_assert_eq(atomic_load(&end_count), 200);
    for (int i = 0; i < 200; i++)
        cr_assert(ends[i].err == KV_OK || ends[i].err == KV_ECANCELED);
    kvt_rmtree(dir);
}

/* A large value is pinned by its result until the callback, which kv_close() sees to. */
Test(api_submit, a_lent_value_does_not_keep_the_store_open, .init = begin)
{
    static char value[100 << 10];

    open_stepped(path);
    OK(kv_put(db, "large", 5, value, sizeof value, NULL, NULL));
    OK(kv_flush(db));
    OK(kv_close(db));
    options.flags = KV_CALLBACKS_IN_STEP;
    options.mode = KV_THREADED;
    OK(kv_open(path, &options, &db));
    submit(KV_REQUEST_GET, "large", NULL);
    while (kv_next_deadline(db) != 0)
        sched_yield();
    OK(kv_close(db));
    cr_assert_eq(atomic_load(&end_count), 1);
    cr_assert(ends[0].err == KV_OK && ends[0].value_len == sizeof value);
    kvt_rmtree(dir);
}

/* --- from inside a callback ------------------------------------------------------------------- */

static kv_batch *batch;
static kv_iter *iter;

static void try_to_wait(void *user, uint64_t ticket, int err, const kv_result *r)
{
    kv_statistics stats = KV_STATISTICS_INIT;
    kv_batch *b = NULL;
    kv_snap *snap = NULL;
    kv_iter *it = NULL;
    kv *space = NULL;
    size_t count = 0;

    FAILS(kv_get(db, "k", 1, NULL, NULL), KV_EDEADLK, "callback");
    FAILS(kv_put(db, "k", 1, "v", 1, NULL, NULL), KV_EDEADLK, "callback");
    FAILS(kv_delete(db, "k", 1, NULL, NULL), KV_EDEADLK, "callback");
    FAILS(kv_space(db, "s", NULL, &space), KV_EDEADLK, "callback");
    FAILS(kv_batch_new(db, &b), KV_EDEADLK, "callback");
    FAILS(kv_batch_commit(batch, NULL, NULL), KV_EDEADLK, "callback");
    FAILS(kv_snapshot(db, &snap), KV_EDEADLK, "callback");
    FAILS(kv_iter_open(db, NULL, &it), KV_EDEADLK, "callback");
    FAILS(kv_iter_next(iter, NULL), KV_EDEADLK, "callback");
    FAILS(kv_iter_seek(iter, "k", 1), KV_EDEADLK, "callback");
    FAILS(kv_iter_renew(iter, NULL), KV_EDEADLK, "callback");
    FAILS(kv_sync(db), KV_EDEADLK, "callback");
    FAILS(kv_flush(db), KV_EDEADLK, "callback");
    FAILS(kv_members(db, NULL, &count), KV_EDEADLK, "callback");
    FAILS(kv_step(db, 0), KV_EDEADLK, "callback");
    FAILS(kv_close(db), KV_EDEADLK, "callback");
    OK(kv_stats(db, &stats));
    note_end(user, ticket, err, r);
}

static void check_deadlocks(void)
{
    kv_request q = request_of(KV_REQUEST_PUT, "key", "value");

    OK(kv_batch_new(db, &batch));
    OK(kv_batch_put(batch, "b", 1, "v", 1, NULL));
    OK(kv_iter_open(db, NULL, &iter));
    OK(kv_submit(db, &q, try_to_wait, NULL, NULL));
    if (options.mode == KV_STEPPED)
        OK(kv_step(db, 0));
    await(1);
    OK(kv_batch_commit(batch, NULL, NULL));
    kv_batch_free(batch);
    kv_iter_close(iter);
}

SUBMIT_TEST(a_call_that_waits_is_refused_in_a_callback)
{
    OK(kv_open(NULL, &options, &db));
    check_deadlocks();
}

SUBMIT_TEST(a_call_that_waits_is_refused_in_a_callback_of_kv_step)
{
    open_stepped(NULL);
    check_deadlocks();
}

/* A callback may wait for another store. */
static void use_the_other(void *user, uint64_t ticket, int err, const kv_result *r)
{
    kv *other = user;

    kvt_put(other, "from", "callback");
    note_end(NULL, ticket, err, r);
}

SUBMIT_TEST(another_store_may_be_used_in_a_callback)
{
    kv_request q = request_of(KV_REQUEST_PUT, "key", "value");
    kv *other;

    open_stepped(NULL);
    OK(kv_open(NULL, NULL, &other));
    OK(kv_submit(db, &q, use_the_other, other, NULL));
    OK(kv_step(db, 0));
    cr_assert(kvt_has(other, "from", "callback"));
    OK(kv_close(other));
}
