/*
 * Conditions and contexts of writes (api/op.c): they hold or nothing is written, also where many
 * try at once.
 */
#include <pthread.h>

#include "api/check.h"
#include "unit/api/fixture.h"

static kvt_store t;
static kv_result r;
static kv_op op;

static void begin(void)
{
    r = (kv_result)KV_RESULT_INIT;
    op = (kv_op)KV_OP_INIT;
    kvt_store_start(&t, NULL);
}

static void end(void)
{
    kv_result_free(&r);
    kvt_store_end(&t);
}

static int put(const char *key, const char *value)
{
    return kv_put(t.db, key, strlen(key), value, strlen(value), &op, &r);
}

static int del(const char *key)
{
    return kv_delete(t.db, key, strlen(key), &op, &r);
}

#define STORE_TEST(name) Test(api_condition, name, .init = begin, .fini = end)

STORE_TEST(if_absent)
{
    op.condition = KV_IF_ABSENT;
    OK(put("k", "one"));
    FAILS(put("k", "two"), KV_ECONFLICT, "KV_IF_ABSENT: the key has a value");
    cr_assert(r.count == 0 && r.context.len == 0);
    OK(kv_flush(t.db));
    FAILS(put("k", "two"), KV_ECONFLICT, "KV_IF_ABSENT");
    FAILS(del("k"), KV_ECONFLICT, "KV_IF_ABSENT");
    cr_assert(kvt_has(t.db, "k", "one"));
    kvt_delete(t.db, "k");
    OK(del("k"));
    OK(put("k", "three"));
    cr_assert(kvt_has(t.db, "k", "three"));
}

STORE_TEST(if_present)
{
    op.condition = KV_IF_PRESENT;
    FAILS(put("k", "one"), KV_ECONFLICT, "KV_IF_PRESENT: the key has no value");
    FAILS(del("k"), KV_ECONFLICT, "KV_IF_PRESENT");
    cr_assert(kvt_has(t.db, "k", NULL));
    kvt_put(t.db, "k", "one");
    OK(put("k", "two"));
    cr_assert(kvt_has(t.db, "k", "two"));
    OK(del("k"));
    FAILS(del("k"), KV_ECONFLICT, "KV_IF_PRESENT");
}

STORE_TEST(what_has_expired_is_absent)
{
    kv_op with_ttl = KV_OP_INIT;

    with_ttl.ttl_ms = 10;
    OK(kv_put(t.db, "k", 1, "v", 1, &with_ttl, NULL));
    op.condition = KV_IF_ABSENT;
    FAILS(put("k", "w"), KV_ECONFLICT, "KV_IF_ABSENT");
    kvt_pass_ms(&t, 10);
    OK(put("k", "w"));
}

/* A write that power loss takes away gives its sequence to the next one: its context must not hold
 * for that. */
STORE_TEST(a_context_does_not_hold_for_another_write_of_its_sequence)
{
    uint8_t lost[64];

    op.durability = KV_OS;
    OK(kv_sync(t.db));
    OK(put("k", "lost"));
    op.context = kvi_slice_of(lost, r.context.len);
    memcpy(lost, r.context.data, r.context.len);
    kv_result_free(&r); /* its memory is the old process's */
    OK(kvi_sim_fs_power_off(t.env.fs));
    cr_assert_neq(kv_close(t.db), KV_OK);
    OK(kvi_sim_env_crash(&t.env, KVI_SIM_DROP, 1));
    OK(kvi_api_open("store", NULL, &t.env.os, NULL, &t.db));
    cr_assert(kvt_has(t.db, "k", NULL));
    kvt_put(t.db, "k", "other");
    FAILS(kv_put(t.db, "k", 1, "mine", 4, &op, NULL), KV_ECONFLICT, "written since");
    cr_assert(kvt_has(t.db, "k", "other"));
}

STORE_TEST(a_context_holds_until_the_key_is_written)
{
    kvt_put(t.db, "k", "one");
    OK(kv_get(t.db, "k", 1, NULL, &r));
    op.context = r.context;
    kvt_put(t.db, "other", "x");
    OK(kv_flush(t.db));
    OK(put("k", "two"));
    cr_assert(kvt_has(t.db, "k", "two"));

    OK(kv_get(t.db, "k", 1, NULL, &r));
    op.context = r.context;
    kvt_put(t.db, "k", "two");
    FAILS(put("k", "three"), KV_ECONFLICT, "kv_op.context: the key was written since");
    cr_assert(kvt_has(t.db, "k", "two"), "the same value, but written again");
}

STORE_TEST(a_write_answers_with_the_context_of_the_next)
{
    OK(put("k", "1"));
    for (int i = 0; i < 5; i++) {
        op.context = r.context;
        OK(put("k", "n"));
    }
    op.context = r.context;
    OK(del("k"));
    op.context = r.context;
    OK(put("k", "again"));
    op.context = r.context;
    kvt_delete(t.db, "k");
    FAILS(put("k", "no"), KV_ECONFLICT, "kv_op.context");
}

STORE_TEST(a_context_of_nothing_holds_whenever_there_is_nothing)
{
    uint8_t kept[64];

    cr_assert_eq(kv_get(t.db, "k", 1, NULL, &r), KV_ENOTFOUND);
    cr_assert_leq(r.context.len, sizeof kept);
    memcpy(kept, r.context.data, r.context.len);
    op.context = kvi_slice_of(kept, r.context.len);
    kvt_put(t.db, "k", "v");
    FAILS(put("k", "w"), KV_ECONFLICT, "kv_op.context");
    kvt_delete(t.db, "k");
    OK(put("k", "w"));
    FAILS(put("k", "x"), KV_ECONFLICT, "kv_op.context");
    kvt_delete(t.db, "k");
    OK(kv_flush(t.db));
    kv_result_free(&r);
    kvt_store_reopen(&t, NULL);
    OK(put("k", "y"));
}

STORE_TEST(a_context_that_expired_meanwhile_holds_no_more)
{
    kv_op with_ttl = KV_OP_INIT;

    with_ttl.ttl_ms = 10;
    OK(kv_put(t.db, "k", 1, "v", 1, &with_ttl, &r));
    op.context = r.context;
    kvt_pass_ms(&t, 10);
    FAILS(put("k", "w"), KV_ECONFLICT, "kv_op.context");
    cr_assert_eq(kv_get(t.db, "k", 1, NULL, &r), KV_ENOTFOUND);
    op.context = r.context;
    OK(put("k", "w"));
}

STORE_TEST(a_context_is_good_for_its_key_and_store_alone)
{
    uint8_t kept[64];
    kvt_store other;
    kv *space;

    kvt_put(t.db, "k", "v");
    OK(kv_get(t.db, "k", 1, NULL, &r));
    memcpy(kept, r.context.data, r.context.len);
    op.context = kvi_slice_of(kept, r.context.len);
    FAILS(put("k2", "v"), KV_EINVAL, "kv_op.context is not of this key");
    OK(kv_space(t.db, "space", NULL, &space));
    FAILS(kv_put(space, "k", 1, "v", 1, &op, NULL), KV_EINVAL, "kv_op.context is not of this key");
    OK(kv_close(space));
    kvt_machine_start(&other);
    kvi_sim_rand_init(&other.env.rand, 99); /* another machine draws other secrets */
    OK(kvi_api_open("store", NULL, &other.env.os, NULL, &other.db));
    FAILS(kv_put(other.db, "k", 1, "v", 1, &op, NULL), KV_EINVAL,
          "kv_op.context is not of this key");
    kvt_store_end(&other);
    kept[7] ^= 1;
    FAILS(put("k", "v"), KV_EINVAL, "kv_op.context is not of this key");
    kept[7] ^= 1;
    kv_result_free(&r);
    kvt_store_reopen(&t, NULL);
    OK(put("k", "w"));
}

STORE_TEST(condition_and_context_must_both_hold)
{
    OK(kv_put(t.db, "k", 1, "v", 1, NULL, &r));
    op.context = r.context;
    op.condition = KV_IF_ABSENT;
    FAILS(put("k", "w"), KV_ECONFLICT, "KV_IF_ABSENT");
    OK(kv_get(t.db, "k", 1, NULL, &r));
    op.context = r.context;
    op.condition = KV_IF_PRESENT;
    OK(put("k", "w"));
}

/* --- with threads ------------------------------------------------------------------------- */

#define THREADS 4
#define ROUNDS  200

/** Adds ROUNDS to a shared number, by reading it and putting it back under its context. */
static void *add(void *db)
{
    kv_result mine = KV_RESULT_INIT;
    intptr_t conflicts = 0;

    for (int done = 0; done < ROUNDS;) {
        kv_op under = KV_OP_INIT;
        uint32_t n = 0;
        int err = kv_get(db, "n", 1, NULL, &mine);

        if (err == KV_OK)
            memcpy(&n, mine.values[0].data, sizeof n);
        else if (err != KV_ENOTFOUND)
            return (void *)(intptr_t)err;
        n++;
        under.context = mine.context;
        err = kv_put(db, "n", 1, &n, sizeof n, &under, &mine);
        if (err == KV_OK)
            done++;
        else if (err == KV_ECONFLICT)
            conflicts++;
        else
            return (void *)(intptr_t)err;
    }
    kv_result_free(&mine);
    return (void *)conflicts;
}

Test(api_condition_threads, no_addition_is_lost)
{
    pthread_t threads[THREADS];
    kv_result result = KV_RESULT_INIT;
    uint32_t n;
    kv *db;

    OK(kv_open(NULL, NULL, &db));
    for (int i = 0; i < THREADS; i++)
        cr_assert_eq(pthread_create(&threads[i], NULL, add, db), 0);
    for (int i = 0; i < THREADS; i++) {
        void *conflicts;

        cr_assert_eq(pthread_join(threads[i], &conflicts), 0);
        cr_assert_geq((intptr_t)conflicts, 0);
    }
    OK(kv_get(db, "n", 1, NULL, &result));
    memcpy(&n, result.values[0].data, sizeof n);
    cr_assert_eq(n, THREADS * ROUNDS);
    kv_result_free(&result);
    OK(kv_close(db));
}

/** Counts the keys that this thread was first to put. */
static void *claim(void *db)
{
    intptr_t mine = 0;

    for (uint32_t i = 0; i < ROUNDS; i++) {
        kv_op first = KV_OP_INIT;
        int err;

        first.condition = KV_IF_ABSENT;
        err = kv_put(db, &i, sizeof i, "x", 1, &first, NULL);
        if (err == KV_OK)
            mine++;
        else if (err != KV_ECONFLICT)
            return (void *)(intptr_t)err;
    }
    return (void *)mine;
}

Test(api_condition_threads, each_key_is_claimed_once)
{
    pthread_t threads[THREADS];
    intptr_t sum = 0;
    kv *db;

    OK(kv_open(NULL, NULL, &db));
    for (int i = 0; i < THREADS; i++)
        cr_assert_eq(pthread_create(&threads[i], NULL, claim, db), 0);
    for (int i = 0; i < THREADS; i++) {
        void *mine;

        cr_assert_eq(pthread_join(threads[i], &mine), 0);
        cr_assert_geq((intptr_t)mine, 0);
        sum += (intptr_t)mine;
    }
    cr_assert_eq(sum, ROUNDS);
    OK(kv_close(db));
}
