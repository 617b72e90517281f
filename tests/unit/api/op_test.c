/*
 * Get, put and del(api/op.c): what they do, keep and refuse.
 */
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

static bool result_is_empty(const kv_result *x)
{
    return x->count == 0 && !x->values && !x->context.data && x->context.len == 0 &&
           x->durability == 0;
}

/** Something in it, so that it can be seen to go. */
static void fill_result(void)
{
    OK(kv_put(t.db, "filler", 6, "x", 1, NULL, NULL));
    OK(kv_get(t.db, "filler", 6, NULL, &r));
    cr_assert_eq(r.count, 1);
}

#define STORE_TEST(name) Test(api_op, name, .init = begin, .fini = end)

STORE_TEST(what_was_put_is_got_until_it_is_deleted)
{
    FAILS(kv_get(t.db, "k", 1, NULL, NULL), KV_ENOTFOUND, "");
    cr_assert(kvt_has(t.db, "k", NULL));
    kvt_put(t.db, "k", "one");
    cr_assert(kvt_has(t.db, "k", "one"));
    OK(kv_get(t.db, "k", 1, NULL, NULL));
    kvt_put(t.db, "k", "two");
    cr_assert(kvt_has(t.db, "k", "two"));
    kvt_store_reopen(&t, NULL);
    cr_assert(kvt_has(t.db, "k", "two"));
    kvt_delete(t.db, "k");
    cr_assert(kvt_has(t.db, "k", NULL));
    kvt_delete(t.db, "k");
    kvt_store_reopen(&t, NULL);
    cr_assert(kvt_has(t.db, "k", NULL));
}

STORE_TEST(a_result_says_all)
{
    OK(kv_put(t.db, "k", 1, "v", 1, NULL, &r));
    cr_assert_eq(r.count, 0);
    cr_assert_null(r.values);
    cr_assert_eq(r.durability, KV_DISK);
    cr_assert_gt(r.context.len, 0);
    OK(kv_get(t.db, "k", 1, NULL, &r));
    cr_assert_eq(r.count, 1);
    cr_assert(kvt_slice_is(kvi_slice_of(r.values[0].data, r.values[0].len), "v"));
    cr_assert_eq(r.values[0].expires_ms, 0);
    cr_assert_eq(r.durability, KV_DEFAULT);
    cr_assert_gt(r.context.len, 0);
    cr_assert_eq(kv_get(t.db, "none", 4, NULL, &r), KV_ENOTFOUND);
    cr_assert_eq(r.count, 0);
    cr_assert_null(r.values);
    cr_assert_gt(r.context.len, 0, "there is none: a version too");
    OK(kv_delete(t.db, "k", 1, NULL, &r));
    cr_assert_eq(r.durability, KV_DISK);
    cr_assert_gt(r.context.len, 0);
    kv_result_free(&r);
    cr_assert(result_is_empty(&r) && !r.held);
    kv_result_free(&r);
    kv_result_free(NULL);
}

STORE_TEST(keys_and_values_are_any_bytes_of_any_length_allowed)
{
    static uint8_t bytes[65535];
    static const size_t lens[] = {1, 2, 255, 256, 257, 300, 4095, 4096, 4097, 65534, 65535};

    for (size_t i = 0; i < sizeof bytes; i++)
        bytes[i] = (uint8_t)(i * 131 + (i >> 8));
    OK(kv_put(t.db, "empty", 5, NULL, 0, NULL, NULL));
    OK(kv_put(t.db, "\0\0\0", 3, "zeros", 5, NULL, NULL));
    for (size_t i = 0; i < sizeof lens / sizeof lens[0]; i++)
        OK(kv_put(t.db, bytes, lens[i], bytes, lens[i], NULL, NULL));
    for (int flushed = 0; flushed < 2; flushed++) {
        for (size_t i = 0; i < sizeof lens / sizeof lens[0]; i++) {
            OK(kv_get(t.db, bytes, lens[i], NULL, &r));
            cr_assert_eq(r.values[0].len, lens[i]);
            cr_assert_arr_eq(r.values[0].data, bytes, lens[i]);
        }
        OK(kv_get(t.db, "empty", 5, NULL, &r));
        cr_assert_eq(r.count, 1);
        cr_assert_eq(r.values[0].len, 0);
        OK(kv_get(t.db, "\0\0\0", 3, NULL, &r));
        cr_assert(kvt_slice_is(kvi_slice_of(r.values[0].data, r.values[0].len), "zeros"));
        OK(kv_flush(t.db));
    }
}

/** Every call is refused alike, says why, fills the result with nothing, and writes nothing. */
static void all_refuse(const void *key, size_t len, int code, const char *detail)
{
    uint64_t before, after;

    fill_result();
    OK(kvi_sim_fs_hash(t.env.fs, &before));
    FAILS(kv_get(t.db, key, len, NULL, &r), code, detail);
    cr_assert(result_is_empty(&r));
    FAILS(kv_get(t.db, key, len, NULL, NULL), code, detail);
    FAILS(kv_put(t.db, key, len, "v", 1, NULL, &r), code, detail);
    cr_assert(result_is_empty(&r));
    FAILS(kv_delete(t.db, key, len, NULL, &r), code, detail);
    cr_assert(result_is_empty(&r));
    OK(kvi_sim_fs_hash(t.env.fs, &after));
    cr_assert_eq(before, after);
}

STORE_TEST(a_bad_key_is_refused)
{
    static const uint8_t bytes[70000];

    all_refuse(NULL, 0, KV_EINVAL, "key is NULL");
    all_refuse(NULL, 5, KV_EINVAL, "key is NULL");
    all_refuse("", 0, KV_EINVAL, "key is empty");
    all_refuse(bytes, 65536, KV_ETOOBIG, "key of 65536 bytes is over the limit of 65535");
    all_refuse(bytes, 70000, KV_ETOOBIG, "key of 70000 bytes is over the limit of 65535");
    all_refuse(bytes, SIZE_MAX, KV_ETOOBIG, "key of");
}

STORE_TEST(a_bad_value_is_refused)
{
    uint64_t before, after;

    fill_result();
    OK(kvi_sim_fs_hash(t.env.fs, &before));
    FAILS(kv_put(t.db, "k", 1, NULL, 3, NULL, &r), KV_EINVAL, "value is NULL, its length 3");
    cr_assert(result_is_empty(&r));
    FAILS(kv_put(t.db, "k", 1, "x", (8u << 20) + 1, NULL, &r), KV_ETOOBIG,
          "value of 8388609 bytes is over this store's limit of 8388608");
    FAILS(kv_put(t.db, "k", 1, "x", SIZE_MAX, NULL, &r), KV_ETOOBIG, "value of");
    OK(kvi_sim_fs_hash(t.env.fs, &after));
    cr_assert_eq(before, after);
    cr_assert(kvt_has(t.db, "k", NULL));
}

STORE_TEST(a_value_of_the_greatest_length_is_kept)
{
    size_t len = 8u << 20;
    uint8_t *value = kvi_mem_alloc(&t.real, len + 1), key[65535];

    memset(key, 'k', sizeof key);
    for (size_t i = 0; i < len; i++)
        value[i] = (uint8_t)(i * 7 + (i >> 13));
    OK(kv_put(t.db, key, sizeof key, value, len, NULL, NULL));
    kvt_store_reopen(&t, NULL);
    OK(kv_get(t.db, key, sizeof key, NULL, &r));
    cr_assert_eq(r.values[0].len, len);
    cr_assert_arr_eq(r.values[0].data, value, len);
    FAILS(kv_put(t.db, key, sizeof key, value, len + 1, NULL, NULL), KV_ETOOBIG, "value of");
    kvi_mem_free(&t.real, value);
    kv_result_free(&r);
}

STORE_TEST(a_missing_handle_is_refused)
{
    FAILS(kv_get(NULL, "k", 1, NULL, &r), KV_EINVAL, "the handle is NULL");
    FAILS(kv_put(NULL, "k", 1, "v", 1, NULL, &r), KV_EINVAL, "the handle is NULL");
    FAILS(kv_delete(NULL, "k", 1, NULL, &r), KV_EINVAL, "the handle is NULL");
    FAILS(kv_sync(NULL), KV_EINVAL, "the handle is NULL");
    FAILS(kv_flush(NULL), KV_EINVAL, "the handle is NULL");
    OK(kv_close(NULL));
}

STORE_TEST(a_result_that_was_not_set_up_is_refused_and_left_alone)
{
    kv_result zero, flagged = KV_RESULT_INIT;

    memset(&zero, 0, sizeof zero);
    zero.count = 77;
    FAILS(kv_get(t.db, "k", 1, NULL, &zero), KV_EINVAL, "kv_result.size is 0");
    FAILS(kv_put(t.db, "k", 1, "v", 1, NULL, &zero), KV_EINVAL, "kv_result.size is 0");
    FAILS(kv_delete(t.db, "k", 1, NULL, &zero), KV_EINVAL, "kv_result.size is 0");
    cr_assert_eq(zero.count, 77);
    flagged.flags = 2;
    FAILS(kv_get(t.db, "k", 1, NULL, &flagged), KV_EINVAL, "kv_result.flags has 0x2");
    cr_assert(kvt_has(t.db, "k", NULL));
}

/** Puts with op are refused; op starts over. */
static void put_refuses(int code, const char *detail)
{
    fill_result();
    FAILS(kv_put(t.db, "k", 1, "v", 1, &op, &r), code, detail);
    cr_assert(result_is_empty(&r));
    cr_assert(kvt_has(t.db, "k", NULL));
    op = (kv_op)KV_OP_INIT;
}

STORE_TEST(a_wrong_field_of_op_is_named)
{
    op.size = 0;
    put_refuses(KV_EINVAL, "kv_op.size is 0");
    op.size = sizeof op + 8;
    put_refuses(KV_EINVAL, "kv_op.size");
    op.flags = 1;
    put_refuses(KV_EINVAL, "kv_op.flags has 0x1");
    op.flags = 1u << 2;
    put_refuses(KV_EINVAL, "kv_op.flags has 0x4, which is not defined");
    op.w = 1;
    put_refuses(KV_EINVAL, "kv_op.w is of placed stores");
    op.timeout_ms = 1;
    put_refuses(KV_EINVAL, "kv_op.timeout_ms is of placed stores");
    op.flags = KV_PRIMARIES_ONLY;
    put_refuses(KV_EINVAL, "kv_op.flags has 0x2, which is of placed stores");
    op.durability = 4;
    put_refuses(KV_EINVAL, "kv_op.durability is 4");
    op.durability = KV_MEMORY;
    put_refuses(KV_EINVAL, "kv_op.durability is KV_MEMORY");
    op.condition = 3;
    put_refuses(KV_EINVAL, "kv_op.condition is 3");
    op.ttl_ms = KV_TTL_MAX + 1;
    put_refuses(KV_EINVAL, "kv_op.ttl_ms is 31536000000001");
    op.ttl_ms = KV_TTL_NONE - 1;
    put_refuses(KV_EINVAL, "kv_op.ttl_ms is 18446744073709551614");
    op.context.len = 21;
    put_refuses(KV_EINVAL, "kv_op.context is NULL");
    op.context = kvi_slice_of("not a context", 13);
    put_refuses(KV_EINVAL, "kv_op.context of 13 bytes");
}

STORE_TEST(a_field_without_meaning_for_the_call_is_named)
{
    kv_snap *snap;

    OK(kv_snapshot(t.db, &snap));
    op.snapshot = snap;
    put_refuses(KV_EINVAL, "kv_op.snapshot has no meaning");
    op.snapshot = snap;
    FAILS(kv_delete(t.db, "k", 1, &op, NULL), KV_EINVAL, "kv_op.snapshot has no meaning");
    op = (kv_op)KV_OP_INIT;
    op.ttl_ms = 1;
    FAILS(kv_delete(t.db, "k", 1, &op, NULL), KV_EINVAL, "kv_op.ttl_ms has no meaning");
    FAILS(kv_get(t.db, "k", 1, &op, NULL), KV_EINVAL, "kv_op.ttl_ms has no meaning");
    op = (kv_op)KV_OP_INIT;
    op.durability = KV_DISK;
    FAILS(kv_get(t.db, "k", 1, &op, NULL), KV_EINVAL, "kv_op.durability has no meaning");
    op = (kv_op)KV_OP_INIT;
    op.condition = KV_IF_ABSENT;
    FAILS(kv_get(t.db, "k", 1, &op, NULL), KV_EINVAL, "kv_op.condition has no meaning");
    op = (kv_op)KV_OP_INIT;
    op.context = kvi_slice_of("x", 1);
    FAILS(kv_get(t.db, "k", 1, &op, NULL), KV_EINVAL, "kv_op.context has no meaning");
    kv_snapshot_free(snap);
}

STORE_TEST(each_request_is_as_durable_as_asked)
{
    uint64_t syncs;

    op.durability = KV_OS;
    syncs = kvi_sim_fs_get_counts(t.env.fs)->calls[KVI_SIM_CALL_SYNC];
    OK(kv_put(t.db, "k", 1, "v", 1, &op, &r));
    cr_assert_eq(r.durability, KV_OS);
    OK(kv_delete(t.db, "k", 1, &op, &r));
    cr_assert_eq(kvi_sim_fs_get_counts(t.env.fs)->calls[KVI_SIM_CALL_SYNC], syncs,
                 "nobody asked for one");
    op.durability = KV_DISK;
    OK(kv_put(t.db, "k", 1, "w", 1, &op, &r));
    cr_assert_eq(r.durability, KV_DISK);
    cr_assert_gt(kvi_sim_fs_get_counts(t.env.fs)->calls[KVI_SIM_CALL_SYNC], syncs);
    op.durability = KV_OS;
    OK(kv_put(t.db, "k", 1, "x", 1, &op, &r));
    syncs = kvi_sim_fs_get_counts(t.env.fs)->calls[KVI_SIM_CALL_SYNC];
    OK(kv_sync(t.db));
    cr_assert_gt(kvi_sim_fs_get_counts(t.env.fs)->calls[KVI_SIM_CALL_SYNC], syncs);
}

/** The power fails; what is on the disk is opened again. */
static void crash(const kv_options *o)
{
    kv_result_free(&r);
    OK(kvi_sim_fs_power_off(t.env.fs));
    (void)kv_close(t.db);
    t.db = NULL;
    OK(kvi_sim_env_crash(&t.env, KVI_SIM_DROP, 1));
    OK(kvi_api_open("store", o, &t.env.os, NULL, &t.db));
}

STORE_TEST(a_durable_put_survives_power_loss)
{
    kvt_put(t.db, "k", "v");
    op.durability = KV_OS;
    OK(kv_put(t.db, "later", 5, "v", 1, &op, NULL));
    crash(NULL);
    cr_assert(kvt_has(t.db, "k", "v"));
    OK(kv_put(t.db, "later", 5, "v", 1, &op, NULL));
    OK(kv_sync(t.db));
    crash(NULL);
    cr_assert(kvt_has(t.db, "later", "v"));
}

STORE_TEST(without_a_log_nothing_more_than_memory_is_promised)
{
    kv_options o = KV_OPTIONS_INIT;

    o.durability = KV_MEMORY;
    kvt_store_reopen(&t, &o);
    OK(kv_put(t.db, "kept", 4, "v", 1, NULL, &r));
    cr_assert_eq(r.durability, KV_MEMORY);
    op.durability = KV_MEMORY;
    OK(kv_put(t.db, "kept", 4, "w", 1, &op, &r));
    op.durability = KV_OS;
    FAILS(kv_put(t.db, "k", 1, "v", 1, &op, &r), KV_ENOTSUP, "opened without a log");
    op.durability = KV_DISK;
    FAILS(kv_put(t.db, "k", 1, "v", 1, &op, &r), KV_ENOTSUP, "opened without a log");
    FAILS(kv_delete(t.db, "kept", 4, &op, &r), KV_ENOTSUP, "opened without a log");
    FAILS(kv_sync(t.db), KV_ENOTSUP, "kv_flush()");
    cr_assert(kvt_has(t.db, "k", NULL));
    OK(kv_flush(t.db));
    kvt_put(t.db, "lost", "v");
    crash(&o);
    cr_assert(kvt_has(t.db, "kept", "w"));
    cr_assert(kvt_has(t.db, "lost", NULL));
    kvt_put(t.db, "closed", "v");
    kv_result_free(&r);
    kvt_store_reopen(&t, &o);
    cr_assert(kvt_has(t.db, "closed", "v"));
}

STORE_TEST(a_failed_sync_is_told_and_ends_writing)
{
    kvi_sim_fs_faults f = {
        .fail_call = KVI_SIM_CALL_SYNC, .from_then_on = true, .fail_with = KV_EIO};

    kvt_put(t.db, "before", "v");
    f.fail_at = kvi_sim_fs_get_counts(t.env.fs)->calls[KVI_SIM_CALL_SYNC];
    kvi_sim_fs_set_faults(t.env.fs, &f);
    cr_assert_eq(kv_put(t.db, "k", 1, "v", 1, NULL, &r), KV_EIO);
    cr_assert(result_is_empty(&r));
    cr_assert_gt(strlen(kv_error_detail()), 0);
    kvi_sim_fs_set_faults(t.env.fs, NULL);
    FAILS(kv_put(t.db, "k", 1, "v", 1, NULL, &r), KV_EIO, "opened again");
    FAILS(kv_sync(t.db), KV_EIO, "");
    cr_assert(kvt_has(t.db, "before", "v"));
    kv_result_free(&r);
    cr_assert_eq(kv_close(t.db), KV_EIO);
    kvi_sim_env_restart(&t.env);
    OK(kvi_api_open("store", NULL, &t.env.os, NULL, &t.db));
    cr_assert(kvt_has(t.db, "before", "v"));
    kvt_put(t.db, "k", "v");
}

STORE_TEST(the_first_failed_allocation_is_told_and_nothing_leaks)
{
    static uint8_t key[1000], value[10000];

    for (size_t n = 0;; n++) {
        kv_result own = KV_RESULT_INIT;
        size_t failed = t.env.alloc.failed;
        int err;

        key[0] = (uint8_t)n;
        kvi_sim_alloc_reset(&t.env.alloc, n, false);
        err = kv_put(t.db, key, sizeof key, value, sizeof value, NULL, &own);
        if (err) {
            cr_assert_eq(err, KV_ENOMEM);
            cr_assert(result_is_empty(&own));
        } else {
            cr_assert_eq(own.durability, KV_DISK);
        }
        err = kv_get(t.db, key, sizeof key, NULL, &own);
        cr_assert(err == KV_OK || err == KV_ENOMEM || err == KV_ENOTFOUND);
        kv_result_free(&own);
        kvi_sim_alloc_reset(&t.env.alloc, KVI_SIM_ALLOC_NEVER, false);
        if (t.env.alloc.failed == failed)
            break;
        cr_assert_lt(n, 1000);
    }
}
