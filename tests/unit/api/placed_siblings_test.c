/*
 * Keys of a placed store with several values at once: who sees them, who may replace them, and what
 * a merge makes of them.
 */
#include "unit/api/placed_fixture.h"

#define PLACED_TEST(name) Test(api_placed_siblings, name, .init = begin, .fini = end)

PLACED_TEST(concurrent_puts_are_siblings_until_one_has_seen_them)
{
    uint8_t context[256];

    concur("key", 0);
    FAILS(get("key"), KV_ESIBLINGS, "2 values");
    cr_assert(r.count == 2 && value_is(0, "one") && value_is(1, "two"));
    op.context = keep_context(context, sizeof context);
    FAILS(kv_get(t.db, "key", 3, NULL, NULL), KV_ESIBLINGS, "2 values");
    OK(put("key", "both"));
    op.context = kvi_slice_of(NULL, 0);
    OK(get("key"));
    cr_assert(r.count == 1 && value_is(0, "both"));
}

PLACED_TEST(a_put_that_has_not_seen_siblings_is_refused_with_them)
{
    concur("key", 0);
    FAILS(put("key", "blind"), KV_ESIBLINGS, "siblings");
    cr_assert(r.count == 2 && value_is(0, "one") && value_is(1, "two"));
    cr_assert_eq(r.acks, 0);
    op.flags = KV_OVERWRITE;
    OK(put("key", "blind"));
    OK(get("key"));
    cr_assert(r.count == 1 && value_is(0, "blind"));
    op.flags = 0;
    concur("gone", 0);
    OK(kv_delete(t.db, "gone", 4, NULL, NULL));
    cr_assert_eq(get("gone"), KV_ENOTFOUND);
}

/* --- merging ---------------------------------------------------------------------------------- */

static unsigned merges;
static int merge_err;
static size_t merge_wants;

static int on_merge(void *user, kv_slice key, const kv_value *siblings, uint32_t count, void *out,
                    size_t capacity, size_t *len)
{
    cr_assert(user == &merges && kvt_slice_is(key, "key") && count == 2);
    merges++;
    if (merge_err)
        return merge_err;
    *len = kvi_max_size(merge_wants, siblings[0].len + siblings[1].len);
    if (*len > capacity)
        return KV_ETOOBIG;
    memset(out, '-', *len);
    memcpy(out, siblings[0].data, siblings[0].len);
    memcpy((char *)out + siblings[0].len, siblings[1].data, siblings[1].len);
    return KV_OK;
}

static void begin_merging(void)
{
    begin_machine();
    merges = 0;
    merge_err = KV_OK;
    merge_wants = 0;
    options.merge = on_merge;
    options.user = &merges;
    OK(reopen());
    concur("key", 0);
}

#define MERGE_TEST(name) Test(api_placed_siblings, name, .init = begin_merging, .fini = end)

MERGE_TEST(a_merge_makes_one_of_siblings_for_the_get)
{
    uint8_t context[256];

    OK(get("key"));
    cr_assert(merges == 1 && r.count == 1 && value_is(0, "onetwo"));
    OK(kv_get(t.db, "key", 3, NULL, NULL));
    cr_assert_eq(merges, 2);
    op.context = keep_context(context, sizeof context);
    FAILS(kv_put(t.db, "key", 3, "x", 1, NULL, NULL), KV_ESIBLINGS, "siblings");
    OK(put("key", "merged"));
    OK(get("key"));
    cr_assert(merges == 2 && value_is(0, "merged"));
}

MERGE_TEST(a_merge_gets_the_room_that_it_asks_for)
{
    merge_wants = 10000;
    OK(get("key"));
    cr_assert(merges == 2 && r.count == 1 && r.values[0].len == 10000);
    merge_wants = (size_t)1 << 30;
    FAILS(get("key"), KV_ESIBLINGS, "2 values");
}

MERGE_TEST(a_merge_that_fails_leaves_the_siblings)
{
    merge_err = KV_ECONFLICT;
    FAILS(get("key"), KV_ESIBLINGS, "2 values");
    cr_assert(merges == 1 && r.count == 2 && value_is(0, "one") && value_is(1, "two"));
}
