/*
 * Calls of a placed store on one key: what is asked of its node, and what the answers become.
 */
#include "unit/api/placed_fixture.h"

#define PLACED_TEST(name) Test(api_placed, name, .init = begin, .fini = end)

PLACED_TEST(a_put_is_read_back_and_has_a_receipt)
{
    OK(put("key", "value"));
    cr_assert(r.acks == 1 && r.primaries == 1 && r.fallbacks == 0);
    cr_assert_eq(r.durability, KV_DISK);
    cr_assert(r.count == 0 && !r.values && r.context.len > 0);
    OK(get("key"));
    cr_assert(r.count == 1 && value_is(0, "value") && r.context.len > 0);
    cr_assert_eq(r.values[0].expires_ms, 0);
    cr_assert(r.acks == 0 && r.durability == 0);
    op.durability = KV_OS;
    OK(put("key", "other"));
    cr_assert_eq(r.durability, KV_OS);
    OK(kv_get(t.db, "key", 3, NULL, NULL));
    OK(kv_delete(t.db, "key", 3, NULL, &r));
    cr_assert_eq(r.acks, 1);
    cr_assert_eq(get("key"), KV_ENOTFOUND);
    cr_assert(r.count == 0 && !r.values && r.context.len > 0);
    cr_assert_eq(kv_get(t.db, "none", 4, NULL, NULL), KV_ENOTFOUND);
    OK(kv_delete(t.db, "none", 4, NULL, NULL));
}

PLACED_TEST(it_is_there_after_opening_again)
{
    OK(put("key", "value"));
    OK(reopen());
    OK(get("key"));
    cr_assert(value_is(0, "value"));
}

PLACED_TEST(a_value_expires_to_the_millisecond)
{
    op.ttl_ms = 1000;
    OK(put("key", "value"));
    OK(get("key"));
    cr_assert_gt(r.values[0].expires_ms, 0);
    kvt_pass_ms(&t, 999);
    OK(get("key"));
    kvt_pass_ms(&t, 1);
    cr_assert_eq(get("key"), KV_ENOTFOUND);
    op.ttl_ms = 0;
    concur("two", 1000);
    FAILS(get("two"), KV_ESIBLINGS, "2 values");
    kvt_pass_ms(&t, 1000);
    OK(get("two"));
    cr_assert(r.count == 1 && value_is(0, "two"));
}

PLACED_TEST(a_large_value_is_the_results_own)
{
    static uint8_t large[300 << 10];
    kv_result other = KV_RESULT_INIT;

    memset(large, 7, sizeof large);
    OK(kv_put(t.db, "large", 5, large, sizeof large, NULL, NULL));
    OK(get("large"));
    cr_assert_eq(r.values[0].len, sizeof large);
    cr_assert_arr_eq(r.values[0].data, large, sizeof large);
    OK(put("key", "large"));
    OK(kv_get(t.db, "key", 3, NULL, &other));
    OK(kv_get(t.db, other.values[0].data, other.values[0].len, NULL, &other));
    cr_assert_eq(other.values[0].len, sizeof large);
    OK(kv_put(t.db, "copy", 4, other.values[0].data, other.values[0].len, NULL, &other));
    OK(get("copy"));
    cr_assert_arr_eq(r.values[0].data, large, sizeof large);
    kv_result_free(&other);
}

PLACED_TEST(what_makes_no_sense_is_refused_by_name)
{
    uint8_t context[256];

    op.condition = KV_IF_ABSENT;
    FAILS(put("key", "value"), KV_ENOTSUP, "kv_op.condition");
    op = (kv_op)KV_OP_INIT;
    op.w = 9;
    FAILS(put("key", "value"), KV_EINVAL, "kv_op.w is 9");
    op.w = 2;
    FAILS(put("key", "value"), KV_EINVAL, "2");
    op = (kv_op)KV_OP_INIT;
    op.r = 1;
    FAILS(put("key", "value"), KV_EINVAL, "kv_op.r has no meaning");
    FAILS(kv_get(t.db, "key", 3, &(kv_op){sizeof op, .w = 1}, &r), KV_EINVAL,
          "kv_op.w has no meaning");
    FAILS(kv_get(t.db, "key", 3, &(kv_op){sizeof op, .flags = KV_OVERWRITE}, &r), KV_EINVAL,
          "KV_OVERWRITE");
    op = (kv_op)KV_OP_INIT;
    OK(put("key", "value"));
    op.context = keep_context(context, sizeof context);
    op.flags = KV_OVERWRITE;
    FAILS(put("key", "value"), KV_EINVAL, "KV_OVERWRITE");
    op.flags = 0;
    FAILS(put("another", "value"), KV_EINVAL, "context");
    context[3] ^= 1;
    FAILS(put("key", "value"), KV_EINVAL, "context");
    op = (kv_op)KV_OP_INIT;
    op.r = KV_ALL;
    op.timeout_ms = 100;
    op.flags = KV_PRIMARIES_ONLY;
    OK(kv_get(t.db, "key", 3, &op, &r));
}

PLACED_TEST(what_is_not_offered_says_so)
{
    kv_snap *snap;
    kv_iter *it;

    FAILS(kv_snapshot(t.db, &snap), KV_ENOTSUP, "no snapshots");
    OK(kv_iter_open(t.db, NULL, &it));
    FAILS(kv_iter_prev(it, NULL), KV_ENOTSUP, "forwards only");
    kv_iter_close(it);
}

PLACED_TEST(statistics_count_requests)
{
    kv_statistics s = KV_STATISTICS_INIT;

    OK(put("key", "value"));
    OK(get("key"));
    cr_assert_eq(get("none"), KV_ENOTFOUND);
    OK(kv_delete(t.db, "key", 3, NULL, NULL));
    OK(kv_sync(t.db));
    OK(kv_flush(t.db));
    OK(kv_stats(t.db, &s));
    cr_assert(s.gets == 2 && s.gets_found == 1 && s.puts == 1 && s.deletes == 1);
    cr_assert_eq(s.user_bytes_written, 3 + 5 + 3);
}
