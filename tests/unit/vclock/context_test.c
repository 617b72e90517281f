/* lib/vclock/context.c: what a client has seen, sealed. */
#include "vclock/context.h"

#include "unit/vclock/objects.h"

static const uint64_t secret[2] = {UINT64_C(0x1122334455667788), UINT64_C(0x99aabbccddeeff00)};
static kvi_slice key;
static kvi_mem mem;
static kvi_clock seen, got;
static kvi_buf sealed;

static void setup(void)
{
    kvi_dot old = dot_of(42, 1, 1);

    kvi_mem_init(&mem, NULL);
    kvi_clock_init(&seen, &mem);
    kvi_clock_init(&got, &mem);
    kvi_buf_init(&sealed, &mem);
    key = kvi_slice_of("\001tokentokkey", 12);
    OK(kvi_clock_raise(&got, &old));
    for (uint64_t i = 0; i < 3; i++) {
        kvi_dot dot = dot_of(i * 1000, i, i + 1);

        OK(kvi_clock_raise(&seen, &dot));
    }
}

static void teardown(void)
{
    kvi_clock_deinit(&seen);
    kvi_clock_deinit(&got);
    kvi_buf_deinit(&sealed);
}

/* Refused as the client's fault, with got as it was. */
static void refused(kvi_slice context, const uint64_t by[2], kvi_slice of)
{
    kvi_error_clear();
    cr_assert_eq(kvi_context_open(context, by, of, &got), KV_EINVAL);
    cr_assert_not_null(strstr(kvi_error_detail(), "kv_op.context"));
    cr_assert_eq(got.count, 1);
    cr_assert_eq(got.entries[0].actor.open_id, 42);
}

Test(vclock_context, comes_back, .init = setup, .fini = teardown)
{
    OK(kvi_buf_append(&sealed, "before", 6));
    OK(kvi_context_seal(&seen, secret, key, &sealed));
    OK(kvi_context_open(kvi_slice_of(sealed.data + 6, sealed.len - 6), secret, key, &got));
    cr_assert_eq(kvi_clock_compare(&seen, &got), KVI_CLOCK_EQUAL);
}

Test(vclock_context, of_nothing_comes_back, .init = setup, .fini = teardown)
{
    kvi_clock_clear(&seen);
    OK(kvi_context_seal(&seen, secret, key, &sealed));
    OK(kvi_context_open(kvi_buf_slice(&sealed), secret, key, &got));
    cr_assert_eq(got.count, 0);
}

Test(vclock_context, of_many_actors_fits, .init = setup, .fini = teardown)
{
    for (uint64_t i = 0; i < KVI_CLOCK_ACTORS_MAX - 3; i++) {
        kvi_dot dot = dot_of(UINT64_MAX - i, UINT64_MAX, UINT64_MAX);

        OK(kvi_clock_raise(&seen, &dot));
    }
    OK(kvi_context_seal(&seen, secret, key, &sealed));
    cr_assert_leq(sealed.len, KVI_CONTEXT_LEN_MAX);
    OK(kvi_context_open(kvi_buf_slice(&sealed), secret, key, &got));
    cr_assert_eq(kvi_clock_compare(&seen, &got), KVI_CLOCK_EQUAL);
}

Test(vclock_context, every_changed_bit_is_refused, .init = setup, .fini = teardown)
{
    OK(kvi_context_seal(&seen, secret, key, &sealed));
    for (size_t bit = 0; bit < sealed.len * 8; bit++) {
        sealed.data[bit / 8] ^= (uint8_t)(1u << bit % 8);
        refused(kvi_buf_slice(&sealed), secret, key);
        sealed.data[bit / 8] ^= (uint8_t)(1u << bit % 8);
    }
    for (size_t len = 0; len < sealed.len; len++)
        refused(kvi_slice_of(sealed.data, len), secret, key);
    OK(kvi_buf_append(&sealed, "", 1));
    refused(kvi_buf_slice(&sealed), secret, key);
}

Test(vclock_context, of_another_key_or_cluster_is_refused, .init = setup, .fini = teardown)
{
    const uint64_t first[2] = {secret[0] ^ 1, secret[1]}, second[2] = {secret[0], secret[1] ^ 1};

    OK(kvi_context_seal(&seen, secret, key, &sealed));
    refused(kvi_buf_slice(&sealed), secret, kvi_slice_of("\002tokentokkey", 12));
    refused(kvi_buf_slice(&sealed), secret, kvi_slice_of("\001tokentokkex", 12));
    refused(kvi_buf_slice(&sealed), secret, kvi_slice_of(NULL, 0));
    refused(kvi_buf_slice(&sealed), first, key);
    refused(kvi_buf_slice(&sealed), second, key);
}

Test(vclock_context, has_these_bytes, .init = setup, .fini = teardown)
{
    /* The hashes as any platform must make them. */
    static const uint8_t bytes[] = {1,    0,    0x7f, 0x60, 0x73, 0x5a, 0xa9, 0x75, 0x30,
                                    0x8b, 0x94, 0x31, 0x6f, 0x8b, 0xf8, 0xed, 0x96, 0x75};

    kvi_clock_clear(&seen);
    OK(kvi_context_seal(&seen, secret, key, &sealed));
    cr_assert_eq(sealed.len, sizeof bytes);
    cr_assert_arr_eq(sealed.data, bytes, sizeof bytes);
}

Test(vclock_context, without_memory_nothing_changes, .init = setup, .fini = teardown)
{
    kvt_failmem fm;

    OK(kvi_context_seal(&seen, secret, key, &sealed));
    kvi_clock_deinit(&got);
    kvt_failmem_init(&fm, &mem);
    kvt_failmem_arm(&fm, 0, true);
    cr_assert_eq(kvi_context_open(kvi_buf_slice(&sealed), secret, key, &got), KV_ENOMEM);
    cr_assert(kvt_failmem_disarm(&fm));
    cr_assert_eq(got.count, 0);
    kvt_failmem_arm(&fm, 0, true);
    {
        kvi_buf out;

        kvi_buf_init(&out, &mem);
        cr_assert_eq(kvi_context_seal(&seen, secret, key, &out), KV_ENOMEM);
        cr_assert(kvt_failmem_disarm(&fm));
        cr_assert_eq(out.len, 0);
    }
    kvi_mem_init(&mem, NULL);
}
