/*
 * Results (api/result.h): buffers kept, large values lent, and nothing pulled from under a caller.
 */
#include "unit/api/fixture.h"

#define LARGE 5000

static kvt_store t;
static kv_result r;
static uint8_t large[LARGE];

static void begin(void)
{
    r = (kv_result)KV_RESULT_INIT;
    for (size_t i = 0; i < sizeof large; i++)
        large[i] = (uint8_t)(i * 11);
    kvt_store_start(&t, NULL);
}

static void end(void)
{
    kv_result_free(&r);
    kvt_store_end(&t);
}

#define STORE_TEST(name) Test(api_result, name, .init = begin, .fini = end)

STORE_TEST(a_warm_one_allocates_nothing)
{
    uint8_t value[4096] = {1};
    size_t calls;

    OK(kv_put(t.db, "k", 1, value, sizeof value, NULL, &r));
    OK(kv_get(t.db, "k", 1, NULL, &r));
    calls = t.env.alloc.calls;
    for (int i = 0; i < 10; i++) {
        OK(kv_get(t.db, "k", 1, NULL, &r));
        cr_assert_eq(kv_get(t.db, "none", 4, NULL, &r), KV_ENOTFOUND);
    }
    cr_assert_eq(t.env.alloc.calls, calls);
}

STORE_TEST(a_large_value_is_lent_until_the_next_use)
{
    OK(kv_put(t.db, "large", 5, large, sizeof large, NULL, NULL));
    for (int flushed = 0; flushed < 2; flushed++) {
        OK(kv_get(t.db, "large", 5, NULL, &r));
        FAILS(kv_close(t.db), KV_EBUSY, "1 lent values");
        OK(kv_put(t.db, "large", 5, "other", 5, NULL, NULL));
        OK(kv_flush(t.db));
        cr_assert_eq(r.values[0].len, sizeof large);
        cr_assert_arr_eq(r.values[0].data, large, sizeof large, "pinned as it was");
        cr_assert_eq(kv_get(t.db, "none", 4, NULL, &r), KV_ENOTFOUND);
        OK(kv_put(t.db, "large", 5, large, sizeof large, NULL, NULL));
        OK(kv_flush(t.db));
    }
    OK(kv_get(t.db, "large", 5, NULL, &r));
    kv_result_free(&r);
    kvt_store_reopen(&t, NULL);
}

/* A call may be given what its own result holds, lent or copied. */
STORE_TEST(its_content_may_be_an_argument)
{
    OK(kv_put(t.db, "large", 5, large, sizeof large, NULL, NULL));
    OK(kv_put(t.db, "small", 5, "large", 5, NULL, NULL));
    OK(kv_get(t.db, "large", 5, NULL, &r));
    OK(kv_put(t.db, "copy", 4, r.values[0].data, r.values[0].len, NULL, &r));
    OK(kv_get(t.db, "copy", 4, NULL, &r));
    cr_assert_arr_eq(r.values[0].data, large, sizeof large);
    OK(kv_get(t.db, "small", 5, NULL, &r));
    OK(kv_get(t.db, r.values[0].data, r.values[0].len, NULL, &r));
    cr_assert_eq(r.values[0].len, sizeof large);
    OK(kv_get(t.db, "small", 5, NULL, &r));
    OK(kv_put(t.db, r.values[0].data, r.values[0].len, r.values[0].data, r.values[0].len, NULL,
              &r));
    cr_assert(kvt_has(t.db, "large", "large"));
}

STORE_TEST(one_result_may_serve_two_stores)
{
    kvt_store other;

    kvt_store_start(&other, NULL);
    OK(kv_put(t.db, "large", 5, large, sizeof large, NULL, NULL));
    OK(kv_put(other.db, "large", 5, large, sizeof large - 1, NULL, NULL));
    OK(kv_get(t.db, "large", 5, NULL, &r));
    OK(kv_get(other.db, "large", 5, NULL, &r));
    cr_assert_eq(r.values[0].len, sizeof large - 1);
    FAILS(kv_close(other.db), KV_EBUSY, "1 lent values");
    OK(kv_get(t.db, "large", 5, NULL, &r));
    kvt_store_end(&other);
}
