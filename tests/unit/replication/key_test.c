/*
 * Physical keys (replication/key.c): made and taken apart, ordered as tokens are, and nothing else
 * is taken for one.
 */
#include "unit/replication/replica.h"

static kvi_mem mem;
static kvi_buf a, b;

static void begin(void)
{
    kvi_mem_init(&mem, NULL);
    kvi_buf_init(&a, &mem);
    kvi_buf_init(&b, &mem);
}

static void end(void)
{
    kvi_buf_deinit(&a);
    kvi_buf_deinit(&b);
}

#define KEY_TEST(name) Test(replication_key, name, .init = begin, .fini = end)

KEY_TEST(what_is_made_is_taken_apart)
{
    static const uint32_t spaces[] = {1, 16, 239, 240, 255, 256, 65535, 65536, UINT32_MAX};
    static const uint64_t numbers[] = {1, 0x0102030405060708, UINT64_MAX};

    for (size_t s = 0; s < sizeof spaces / sizeof spaces[0]; s++) {
        for (size_t n = 0; n < 3; n++) {
            uint32_t space = 0;
            uint64_t token = 0, owner = 0;
            kvi_slice key;

            kvi_buf_clear(&a);
            OK(kvi_key_data(&a, spaces[s], numbers[n], kvt_text("key")));
            OK(kvi_key_parse_data(kvi_buf_slice(&a), &space, &token, &key));
            cr_assert(space == spaces[s] && token == numbers[n] &&
                      kvi_slice_eq(key, kvt_text("key")));
            kvi_buf_clear(&a);
            OK(kvi_key_hint(&a, numbers[n], spaces[s], numbers[2 - n], kvt_text("k")));
            OK(kvi_key_parse_hint(kvi_buf_slice(&a), &owner, &space, &token, &key));
            cr_assert(owner == numbers[n] && space == spaces[s] && token == numbers[2 - n] &&
                      kvi_slice_eq(key, kvt_text("k")));
            cr_assert_eq(kvi_key_parse_data(kvi_buf_slice(&a), &space, &token, &key), KV_ECORRUPT);
        }
    }
}

KEY_TEST(keys_lie_in_the_order_of_tokens)
{
    OK(kvi_key_data(&a, 1, 255, kvt_text("zzz")));
    OK(kvi_key_data(&b, 1, 256, kvt_text("a")));
    cr_assert_lt(kvi_slice_cmp(kvi_buf_slice(&a), kvi_buf_slice(&b)), 0);
}

KEY_TEST(a_range_ends_behind_all_that_begin_so)
{
    OK(kvi_key_data(&a, 1, UINT64_MAX, kvt_text("")));
    kvi_key_end(&a);
    cr_assert_eq(a.len, 1);
    cr_assert_eq(a.data[0], 2);
    kvi_buf_clear(&a);
    OK(kvi_key_hints_of(&a, 0x01ff));
    kvi_key_end(&a);
    OK(kvi_key_hint(&b, 0x01ff, UINT32_MAX, UINT64_MAX, kvt_text("\xff\xff")));
    cr_assert_gt(kvi_slice_cmp(kvi_buf_slice(&a), kvi_buf_slice(&b)), 0);
    kvi_buf_clear(&b);
    OK(kvi_key_hints_of(&b, 0x0200));
    cr_assert_leq(kvi_slice_cmp(kvi_buf_slice(&a), kvi_buf_slice(&b)), 0);
}

KEY_TEST(other_bytes_are_no_keys)
{
    static const char *const bad[] = {"",
                                      "\x01",
                                      "\x01tokentok",
                                      "\x02tokentokk",
                                      "\x03tokentokk",
                                      "\xf0\x10tokentokk",
                                      "\xf1\x01",
                                      "\xf4tokentokkkkkk",
                                      "\xff"};
    uint32_t space = 77;
    uint64_t token = 77, owner = 77;
    kvi_slice key;

    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        cr_assert_eq(kvi_key_parse_data(kvt_text(bad[i]), &space, &token, &key), KV_ECORRUPT, "%zu",
                     i);
        cr_assert_eq(kvi_key_parse_hint(kvt_text(bad[i]), &owner, &space, &token, &key),
                     KV_ECORRUPT, "%zu", i);
    }
    cr_assert(space == 77 && token == 77 && owner == 77);
}

KEY_TEST(a_hint_says_when_and_how_much)
{
    uint8_t value[KVI_KEY_HINT_VALUE_LEN];
    int64_t made_ms = 0;
    uint64_t bytes = 0;

    kvi_key_hint_value(value, -5, 123456789012);
    OK(kvi_key_parse_hint_value(kvi_slice_of(value, sizeof value), &made_ms, &bytes));
    cr_assert(made_ms == -5 && bytes == 123456789012);
    kvi_key_hint_value(value, -5, KVI_KEY_HINT_BYTES_MAX + 1);
    cr_assert_eq(kvi_key_parse_hint_value(kvi_slice_of(value, sizeof value), &made_ms, &bytes),
                 KV_ECORRUPT);
    cr_assert_eq(kvi_key_parse_hint_value(kvi_slice_of(value, 8), &made_ms, &bytes), KV_ECORRUPT);
}
