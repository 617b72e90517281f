/*
 * Batches (api/batch.c): all or nothing, the last write of a key counts, limits.
 */
#include "api/store.h"
#include "unit/api/fixture.h"

static kvt_store t;
static kv_batch *b;

static void begin(void)
{
    kvt_store_start(&t, NULL);
    OK(kv_batch_new(t.db, &b));
}

static void end(void)
{
    kv_batch_free(b);
    kvt_store_end(&t);
}

static void add(const char *key, const char *value)
{
    OK(kv_batch_put(b, key, strlen(key), value, strlen(value), NULL));
}

#define STORE_TEST(name) Test(api_batch, name, .init = begin, .fini = end)

STORE_TEST(nothing_is_seen_before_the_commit_and_all_after)
{
    kv_result r = KV_RESULT_INIT;

    kvt_put(t.db, "gone", "x");
    add("a", "1");
    add("b", "2");
    OK(kv_batch_delete(b, "gone", 4));
    cr_assert(kvt_has(t.db, "a", NULL) && kvt_has(t.db, "gone", "x"));
    OK(kv_batch_commit(b, NULL, &r));
    cr_assert_eq(r.durability, KV_DISK);
    cr_assert(r.count == 0 && r.context.len == 0);
    cr_assert(kvt_has(t.db, "a", "1") && kvt_has(t.db, "b", "2") && kvt_has(t.db, "gone", NULL));
    OK(kv_batch_commit(b, NULL, &r)); /* empty by now */
    kvt_delete(t.db, "a");
    cr_assert(kvt_has(t.db, "a", NULL));
    add("c", "3");
    OK(kv_batch_commit(b, NULL, NULL));
    kv_batch_free(b);
    kvt_store_reopen(&t, NULL);
    OK(kv_batch_new(t.db, &b));
    cr_assert(kvt_has(t.db, "b", "2") && kvt_has(t.db, "c", "3"));
    kv_result_free(&r);
}

STORE_TEST(the_last_write_of_a_key_counts)
{
    add("k", "1");
    add("k", "2");
    OK(kv_batch_delete(b, "gone", 4));
    add("gone", "x");
    add("gone", "y");
    OK(kv_batch_delete(b, "gone", 4));
    OK(kv_batch_commit(b, NULL, NULL));
    cr_assert(kvt_has(t.db, "k", "2") && kvt_has(t.db, "gone", NULL));
    OK(kv_flush(t.db));
    cr_assert(kvt_has(t.db, "k", "2") && kvt_has(t.db, "gone", NULL));
}

STORE_TEST(it_copies_what_it_is_given)
{
    char key[] = "key", value[] = "value";

    add(key, value);
    memset(key, 'x', sizeof key);
    memset(value, 'x', sizeof value);
    OK(kv_batch_commit(b, NULL, NULL));
    cr_assert(kvt_has(t.db, "key", "value"));
}

STORE_TEST(it_may_span_spaces_whose_handles_are_closed)
{
    kv *space;

    OK(kv_space(t.db, "s", NULL, &space));
    add("k", "default");
    OK(kv_batch_use(b, space));
    add("k", "s");
    OK(kv_close(space));
    add("l", "s");
    OK(kv_batch_use(b, t.db));
    add("m", "default");
    OK(kv_batch_commit(b, NULL, NULL));
    OK(kv_space(t.db, "s", NULL, &space));
    cr_assert(kvt_has(t.db, "k", "default") && kvt_has(t.db, "m", "default") &&
              kvt_has(t.db, "l", NULL));
    cr_assert(kvt_has(space, "k", "s") && kvt_has(space, "l", "s") && kvt_has(space, "m", NULL));
    OK(kv_close(space));
}

STORE_TEST(a_ttl_counts_from_the_commit)
{
    kv_policy brief = KV_POLICY_INIT;
    kv_op op = KV_OP_INIT;
    kv_result r = KV_RESULT_INIT;
    kv *space;

    brief.ttl_ms = 50;
    OK(kv_space(t.db, "brief", &brief, &space));
    op.ttl_ms = 100;
    OK(kv_batch_put(b, "k", 1, "v", 1, &op));
    OK(kv_batch_use(b, space));
    add("default", "v");
    op.ttl_ms = KV_TTL_NONE;
    OK(kv_batch_put(b, "none", 4, "v", 1, &op));
    kvt_pass_ms(&t, 1000);
    OK(kv_batch_commit(b, NULL, NULL));
    OK(kv_get(t.db, "k", 1, NULL, &r));
    cr_assert_eq(r.values[0].expires_ms, KVI_SIM_EPOCH_MS + 1100);
    OK(kv_get(space, "default", 7, NULL, &r));
    cr_assert_eq(r.values[0].expires_ms, KVI_SIM_EPOCH_MS + 1050);
    OK(kv_get(space, "none", 4, NULL, &r));
    cr_assert_eq(r.values[0].expires_ms, 0);
    kv_result_free(&r);
    OK(kv_close(space));
}

STORE_TEST(what_is_refused_leaves_it_as_it_was)
{
    static const uint8_t big[65536];
    kv_op op = KV_OP_INIT;

    add("k", "v");
    FAILS(kv_batch_put(b, NULL, 1, "v", 1, NULL), KV_EINVAL, "key is NULL");
    FAILS(kv_batch_put(b, "", 0, "v", 1, NULL), KV_EINVAL, "key is empty");
    FAILS(kv_batch_put(b, big, sizeof big, "v", 1, NULL), KV_ETOOBIG, "key of 65536 bytes");
    FAILS(kv_batch_put(b, "x", 1, NULL, 1, NULL), KV_EINVAL, "value is NULL");
    FAILS(kv_batch_put(b, "x", 1, "v", SIZE_MAX, NULL), KV_ETOOBIG, "value of");
    FAILS(kv_batch_delete(b, NULL, 1), KV_EINVAL, "key is NULL");
    FAILS(kv_batch_delete(b, big, sizeof big), KV_ETOOBIG, "key of 65536 bytes");
    op.durability = KV_DISK;
    FAILS(kv_batch_put(b, "x", 1, "v", 1, &op), KV_EINVAL, "kv_op.durability has no meaning");
    op = (kv_op)KV_OP_INIT;
    op.ttl_ms = 1;
    FAILS(kv_batch_commit(b, &op, NULL), KV_EINVAL, "kv_op.ttl_ms has no meaning");
    op = (kv_op)KV_OP_INIT;
    op.condition = KV_IF_ABSENT;
    FAILS(kv_batch_commit(b, &op, NULL), KV_EINVAL, "kv_op.condition has no meaning");
    op.size = 1;
    FAILS(kv_batch_commit(b, &op, NULL), KV_EINVAL, "kv_op.size is 1");
    FAILS(kv_batch_use(b, NULL), KV_EINVAL, "space is NULL");
    OK(kv_batch_commit(b, NULL, NULL));
    cr_assert(kvt_has(t.db, "k", "v") && kvt_has(t.db, "x", NULL));
}

STORE_TEST(missing_arguments_are_named)
{
    kv_batch *none = NULL;

    FAILS(kv_batch_new(NULL, &none), KV_EINVAL, "the handle is NULL");
    FAILS(kv_batch_new(t.db, NULL), KV_EINVAL, "out is NULL");
    FAILS(kv_batch_put(NULL, "k", 1, "v", 1, NULL), KV_EINVAL, "batch is NULL");
    FAILS(kv_batch_delete(NULL, "k", 1), KV_EINVAL, "batch is NULL");
    FAILS(kv_batch_commit(NULL, NULL, NULL), KV_EINVAL, "batch is NULL");
    FAILS(kv_batch_use(NULL, t.db), KV_EINVAL, "batch is NULL");
    kv_batch_free(NULL);
    cr_assert_null(none);
}

STORE_TEST(a_space_of_another_store_is_refused)
{
    kvt_store other;

    kvt_store_start(&other, NULL);
    FAILS(kv_batch_use(b, other.db), KV_EINVAL, "another store");
    kvt_store_end(&other);
}

/* The limit: an eighth of 64 MiB and 64 KiB. */
STORE_TEST(a_batch_is_filled_to_its_limit_and_no_further)
{
    static uint8_t value[1 << 20];
    kv_result r = KV_RESULT_INIT;
    char key[16];
    int n = 0, err = KV_OK;

    while (!err) {
        (void)snprintf(key, sizeof key, "%08d", n);
        memset(value, n, sizeof value);
        err = kv_batch_put(b, key, 8, value, sizeof value, NULL);
        if (!err)
            n++;
    }
    cr_assert_eq(err, KV_ETOOBIG);
    cr_assert(strstr(kv_error_detail(), "over the limit of"), "%s", kv_error_detail());
    cr_assert_eq(n, 8);
    OK(kv_batch_commit(b, NULL, NULL));
    for (int i = 0; i < n; i++) {
        (void)snprintf(key, sizeof key, "%08d", i);
        memset(value, i, sizeof value);
        OK(kv_get(t.db, key, 8, NULL, &r));
        cr_assert_eq(r.values[0].len, sizeof value);
        cr_assert_arr_eq(r.values[0].data, value, sizeof value);
    }
    kv_result_free(&r);
}

STORE_TEST(many_small_entries_are_one_write)
{
    kv_result r = KV_RESULT_INIT;
    kv_statistics before = KV_STATISTICS_INIT, after = KV_STATISTICS_INIT;
    enum { COUNT = 20000 };

    OK(kv_stats(t.db, &before));
    for (uint32_t i = 0; i < COUNT; i++)
        OK(kv_batch_put(b, &i, sizeof i, &i, sizeof i, NULL));
    OK(kv_batch_commit(b, NULL, NULL));
    OK(kv_stats(t.db, &after));
    cr_assert_eq(after.puts - before.puts, COUNT);
    cr_assert_eq(after.batches - before.batches, 1);
    cr_assert_eq(after.last_sequence - before.last_sequence, COUNT);
    for (uint32_t i = 0; i < COUNT; i++) {
        OK(kv_get(t.db, &i, sizeof i, NULL, &r));
        cr_assert_arr_eq(r.values[0].data, &i, sizeof i);
    }
    kv_result_free(&r);
}

STORE_TEST(an_open_one_keeps_the_store_open)
{
    add("k", "v");
    FAILS(kv_close(t.db), KV_EBUSY, "1 batches");
}

/* What it holds counts to the store's budget, and is given back. */
STORE_TEST(its_memory_is_the_stores)
{
    static uint8_t value[1 << 20];
    kv_statistics empty = KV_STATISTICS_INIT, full = KV_STATISTICS_INIT;

    OK(kv_stats(t.db, &empty));
    OK(kv_batch_put(b, "k", 1, value, sizeof value, NULL));
    OK(kv_stats(t.db, &full));
    cr_assert_geq(full.memory_used - empty.memory_used, sizeof value);
    kv_batch_free(b);
    OK(kv_stats(t.db, &full));
    cr_assert_eq(full.memory_used, empty.memory_used);
    OK(kv_batch_new(t.db, &b));
}

STORE_TEST(it_grows_while_background_work_holds_the_budget)
{
    kvi_budget *budget = &t.db->store->budget;

    kvi_budget_charge(budget, KVI_BUDGET_WORK, budget->limit);
    add("a", "1");
    kvi_budget_release(budget, KVI_BUDGET_WORK, budget->limit);
    OK(kv_batch_commit(b, NULL, NULL));
    cr_assert(kvt_has(t.db, "a", "1"));
}

STORE_TEST(a_failed_allocation_leaves_it_as_it_was)
{
    static uint8_t value[300];

    for (size_t n = 0;; n++) {
        size_t failed = t.env.alloc.failed;
        uint32_t added = 0;
        int err = KV_OK;

        kvi_sim_alloc_reset(&t.env.alloc, n, false);
        for (uint32_t i = 0; i < 10; i++) {
            uint32_t key[2] = {(uint32_t)n, i};

            err = kv_batch_put(b, key, sizeof key, value, sizeof value, NULL);
            cr_assert(err == KV_OK || err == KV_ENOMEM);
            added += err == KV_OK;
        }
        err = kv_batch_commit(b, NULL, NULL);
        cr_assert(err == KV_OK || err == KV_ENOMEM);
        kvi_sim_alloc_reset(&t.env.alloc, KVI_SIM_ALLOC_NEVER, false);
        if (err)
            OK(kv_batch_commit(b, NULL, NULL));
        for (uint32_t i = 0; i < 10; i++) {
            uint32_t key[2] = {(uint32_t)n, i};

            added -= kv_get(t.db, key, sizeof key, NULL, NULL) == KV_OK;
        }
        cr_assert_eq(added, 0);
        if (t.env.alloc.failed == failed)
            break;
        kv_batch_free(b);
        OK(kv_batch_new(t.db, &b));
        cr_assert_lt(n, 1000);
    }
}
