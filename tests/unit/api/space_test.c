/*
 * Keyspaces (api/space.c): apart, recorded, with a policy that stays.
 */
#include "api/store.h"
#include "base/bytes.h"
#include "unit/api/fixture.h"

static kvt_store t;

static void begin(void)
{
    kvt_store_start(&t, NULL);
}

static void end(void)
{
    kvt_store_end(&t);
}

static kv *space_of(const char *name)
{
    kv *space;

    OK(kv_space(t.db, name, NULL, &space));
    return space;
}

#define STORE_TEST(name) Test(api_space, name, .init = begin, .fini = end)

STORE_TEST(each_has_its_own_keys)
{
    kv *a = space_of("a"), *b = space_of("b");

    kvt_put(t.db, "k", "default");
    kvt_put(a, "k", "a");
    cr_assert(kvt_has(t.db, "k", "default") && kvt_has(a, "k", "a") && kvt_has(b, "k", NULL));
    kvt_put(b, "k", "b");
    kvt_delete(a, "k");
    cr_assert(kvt_has(t.db, "k", "default") && kvt_has(a, "k", NULL) && kvt_has(b, "k", "b"));
    OK(kv_close(a));
    OK(kv_close(b));
}

STORE_TEST(one_is_found_again_by_its_name)
{
    kv *a = space_of("a"), *twice = space_of("a"), *b;

    kvt_put(a, "k", "v");
    cr_assert(a != twice && kvt_has(twice, "k", "v"));
    OK(kv_close(a));
    cr_assert(kvt_has(twice, "k", "v"));
    OK(kv_space(twice, "b", NULL, &b)); /* by way of a space, too */
    kvt_put(b, "k", "w");
    OK(kv_close(b));
    OK(kv_close(twice));
    kvt_store_reopen(&t, NULL);
    a = space_of("a");
    b = space_of("b");
    cr_assert(kvt_has(a, "k", "v") && kvt_has(b, "k", "w"));
    OK(kv_close(a));
    OK(kv_close(b));
}

STORE_TEST(it_is_there_after_power_loss_if_an_entry_of_it_is)
{
    kv *a = space_of("a"), *b;

    kvt_put(a, "k", "v");
    OK(kv_close(a));
    OK(kvi_sim_fs_power_off(t.env.fs));
    (void)kv_close(t.db);
    OK(kvi_sim_env_crash(&t.env, KVI_SIM_DROP, 1));
    OK(kvi_api_open("store", NULL, &t.env.os, NULL, &t.db));
    b = space_of("b"); /* does not get a's number */
    a = space_of("a");
    cr_assert(kvt_has(a, "k", "v") && kvt_has(b, "k", NULL));
    OK(kv_close(a));
    OK(kv_close(b));
}

STORE_TEST(many_are_apart_also_where_prefixes_grow)
{
    enum { COUNT = 300 };
    char name[32];

    for (int i = 0; i < COUNT; i++) {
        kv *space;

        (void)snprintf(name, sizeof name, "space %d", i);
        space = space_of(name);
        kvt_put(space, "name", name);
        OK(kv_close(space));
    }
    for (int i = 0; i < COUNT; i++) {
        kv_iter *it;
        kv_entry e = KV_ENTRY_INIT;
        kv *space;

        (void)snprintf(name, sizeof name, "space %d", i);
        space = space_of(name);
        cr_assert_eq(space->space, (uint32_t)i + KVI_KEYSPACE_NAMED);
        cr_assert(kvt_has(space, "name", name));
        OK(kv_iter_open(space, NULL, &it));
        OK(kv_iter_next(it, &e));
        cr_assert(kvt_slice_is(e.key, "name"));
        cr_assert(kvt_slice_is(kvi_slice_of(e.value.data, e.value.len), name));
        cr_assert_eq(kv_iter_next(it, &e), KV_ENOTFOUND);
        kv_iter_close(it);
        OK(kv_close(space));
    }
}

STORE_TEST(names_are_checked)
{
    char name[257];
    kv *space = NULL;

    memset(name, 'n', sizeof name);
    name[256] = '\0';
    FAILS(kv_space(t.db, NULL, NULL, &space), KV_EINVAL, "name is NULL");
    FAILS(kv_space(t.db, "", NULL, &space), KV_EINVAL, "name is empty");
    FAILS(kv_space(t.db, name, NULL, &space), KV_EINVAL, "name is over the limit of 255 bytes");
    FAILS(kv_space(NULL, "a", NULL, &space), KV_EINVAL, "the handle is NULL");
    FAILS(kv_space(t.db, "a", NULL, NULL), KV_EINVAL, "out is NULL");
    cr_assert_null(space);
    OK(kv_space(t.db, name + 1, NULL, &space));
    kvt_put(space, "k", "v");
    OK(kv_close(space));
}

STORE_TEST(a_policy_stays_what_it_was)
{
    kv_policy policy = KV_POLICY_INIT;
    kv *space = NULL, *again;

    policy.ttl_ms = 1000;
    OK(kv_space(t.db, "a", &policy, &space));
    OK(kv_space(t.db, "a", &policy, &again));
    OK(kv_close(again));
    OK(kv_space(t.db, "a", NULL, &again));
    kvt_put(again, "k", "v");
    OK(kv_close(again));
    policy.ttl_ms = 1001;
    again = NULL;
    FAILS(kv_space(t.db, "a", &policy, &again), KV_ECONFLICT,
          "kv_policy.ttl_ms is 1001, but the keyspace \"a\" was created with 1000");
    policy.ttl_ms = 0;
    FAILS(kv_space(t.db, "a", &policy, &again), KV_ECONFLICT, "kv_policy.ttl_ms is 0");
    cr_assert_null(again);
    policy.ttl_ms = KV_TTL_NONE;
    OK(kv_space(t.db, "b", &policy, &again));
    OK(kv_close(again));
    policy.ttl_ms = 0;
    OK(kv_space(t.db, "b", &policy, &again));
    OK(kv_close(again));
    kvt_pass_ms(&t, 1000);
    cr_assert(kvt_has(space, "k", NULL));
    OK(kv_close(space));
}

STORE_TEST(a_wrong_policy_is_refused_and_makes_nothing)
{
    kv_policy policy = KV_POLICY_INIT;
    uint64_t before, after;
    kv *space = NULL;

    OK(kvi_sim_fs_hash(t.env.fs, &before));
    policy.size = 0;
    FAILS(kv_space(t.db, "a", &policy, &space), KV_EINVAL, "kv_policy.size is 0");
    policy = (kv_policy)KV_POLICY_INIT;
    policy.flags = 4;
    FAILS(kv_space(t.db, "a", &policy, &space), KV_EINVAL, "kv_policy.flags has 0x4");
    policy = (kv_policy)KV_POLICY_INIT;
    policy.ttl_ms = KV_TTL_MAX + 1;
    FAILS(kv_space(t.db, "a", &policy, &space), KV_EINVAL, "kv_policy.ttl_ms");
    OK(kvi_sim_fs_hash(t.env.fs, &after));
    cr_assert_eq(before, after);
    cr_assert_null(space);
}

/** Writes a record of the store's own, as some other libkv might have. */
static void write_own(const void *key, size_t key_len, const void *value, size_t value_len)
{
    kvi_lsm_waiter unused = {.wake = NULL};
    kvi_lsm_op op = {KVI_KIND_PUT, {key, key_len}, {value, value_len}, 0};
    kvi_lsm_write w = {.ops = &op, .count = 1, .waiter = &unused};

    OK(kvi_lsm_write_ops(t.db->store->lsm, &w));
}

STORE_TEST(a_record_that_cannot_be_read_is_told)
{
    uint8_t value[KVI_KEYSPACE_RECORD_LEN + 9] = {KVI_KEYSPACE_VERSION + 1};
    kv *space = NULL;

    write_own("\0nnewer", 7, value, sizeof value);
    FAILS(kv_space(t.db, "newer", NULL, &space), KV_EFORMAT, "version 2");
    value[0] = KVI_KEYSPACE_VERSION;
    write_own("\0nlong", 6, value, sizeof value);
    FAILS(kv_space(t.db, "long", NULL, &space), KV_ECORRUPT, "22 bytes, not 13");
    write_own("\0nempty", 7, value, 0);
    FAILS(kv_space(t.db, "empty", NULL, &space), KV_ECORRUPT, "0 bytes");
    cr_assert_null(space);
    kvt_put(t.db, "k", "v");
}

STORE_TEST(there_is_a_greatest_number_of_them)
{
    uint8_t counter[KVI_KEYSPACE_COUNTER_LEN] = {KVI_KEYSPACE_VERSION};
    kv *last, *none = NULL;

    kvi_put_u32(counter + KVI_KEYSPACE_ID_AT, KVI_KEYSPACE_NAMED + 65534);
    write_own("\0c", 2, counter, sizeof counter);
    OK(kv_space(t.db, "last", NULL, &last));
    FAILS(kv_space(t.db, "one more", NULL, &none), KV_ETOOBIG, "65535 keyspaces");
    cr_assert_null(none);
    kvt_put(last, "k", "v");
    cr_assert(kvt_has(last, "k", "v") && kvt_has(t.db, "k", NULL));
    OK(kv_close(last));
}

/* --- the default space -------------------------------------------------------------------- */

static void machine(void)
{
    kvt_machine_start(&t);
}

Test(api_space, the_default_one_has_the_policy_of_its_creation, .init = machine, .fini = end)
{
    kv_options o = KV_OPTIONS_INIT;
    kv_policy policy = KV_POLICY_INIT;

    policy.ttl_ms = 500;
    o.policy = &policy;
    OK(kvi_api_open("store", &o, &t.env.os, NULL, &t.db));
    kvt_put(t.db, "k", "v");
    kvt_store_reopen(&t, NULL);
    cr_assert(kvt_has(t.db, "k", "v"));
    kvt_put(t.db, "l", "v");
    kvt_store_reopen(&t, &o);
    kvt_pass_ms(&t, 500);
    cr_assert(kvt_has(t.db, "k", NULL) && kvt_has(t.db, "l", NULL));
    OK(kv_close(t.db));
    t.db = NULL;
    kvi_sim_env_restart(&t.env);
    policy.ttl_ms = 400;
    FAILS(kvi_api_open("store", &o, &t.env.os, NULL, &t.db), KV_ECONFLICT,
          "kv_policy.ttl_ms is 400");
    cr_assert_null(t.db);
    policy.ttl_ms = 500;
    OK(kvi_api_open("store", &o, &t.env.os, NULL, &t.db));
}

Test(api_space, a_default_one_without_a_policy_takes_none_later, .init = machine, .fini = end)
{
    kv_options o = KV_OPTIONS_INIT;
    kv_policy policy = KV_POLICY_INIT;
    kv *none = NULL;

    OK(kvi_api_open("store", NULL, &t.env.os, NULL, &t.db));
    OK(kv_close(t.db));
    kvi_sim_env_restart(&t.env);
    policy.ttl_ms = 1;
    o.policy = &policy;
    FAILS(kvi_api_open("store", &o, &t.env.os, NULL, &none), KV_ECONFLICT, "was created with 0");
    cr_assert_null(none);
    kvi_sim_env_restart(&t.env);
    OK(kvi_api_open("store", NULL, &t.env.os, NULL, &t.db));
}

/* --- time to live ------------------------------------------------------------------------- */

STORE_TEST(a_value_is_gone_at_its_millisecond)
{
    kv_op op = KV_OP_INIT;
    kv_result r = KV_RESULT_INIT;

    op.ttl_ms = 100;
    OK(kv_put(t.db, "k", 1, "v", 1, &op, NULL));
    kvt_put(t.db, "forever", "v");
    for (int flushed = 0; flushed < 2; flushed++) {
        OK(kv_get(t.db, "k", 1, NULL, &r));
        cr_assert_eq(r.values[0].expires_ms, KVI_SIM_EPOCH_MS + 100);
        OK(kv_flush(t.db));
    }
    kvt_pass_ms(&t, 99);
    cr_assert(kvt_has(t.db, "k", "v"));
    kvt_pass_ms(&t, 1);
    cr_assert(kvt_has(t.db, "k", NULL));
    cr_assert(kvt_has(t.db, "forever", "v"));
    kvt_put(t.db, "k", "again");
    kvt_pass_ms(&t, 1000000);
    cr_assert(kvt_has(t.db, "k", "again"));
    kv_result_free(&r);
}

STORE_TEST(the_longest_life_is_taken_by_any_clock)
{
    static const int64_t clocks[] = {INT64_MIN / 4, -1, 0, INT64_MAX - 1};
    kv_op op = KV_OP_INIT;
    kv_result r = KV_RESULT_INIT;

    for (size_t i = 0; i < sizeof clocks / sizeof clocks[0]; i++) {
        t.env.clock.wall_offset_ms = clocks[i];
        op.ttl_ms = KV_TTL_MAX;
        OK(kv_put(t.db, "k", 1, "v", 1, &op, NULL));
        op.ttl_ms = 1;
        OK(kv_put(t.db, "k", 1, "v", 1, &op, NULL));
    }
    t.env.clock.wall_offset_ms = 0;
    op.ttl_ms = KV_TTL_MAX;
    OK(kv_put(t.db, "k", 1, "v", 1, &op, NULL));
    OK(kv_get(t.db, "k", 1, NULL, &r));
    cr_assert_eq(r.values[0].expires_ms, (int64_t)KV_TTL_MAX);
    kv_result_free(&r);
}
