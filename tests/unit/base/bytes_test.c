/*
 * Numbers as bytes: their layout is fixed, since it is on disk, and readers stop at the end.
 */
#include "base/bytes.h"

#include <criterion/criterion.h>

#include "support/rng.h"

Test(base_bytes, fixed_width_is_little_endian)
{
    uint8_t b[8];

    kvi_put_u16(b, 0x0102);
    cr_assert_arr_eq(b, "\x02\x01", 2);
    cr_assert_eq(kvi_get_u16(b), 0x0102);

    kvi_put_u32(b, UINT32_C(0x01020304));
    cr_assert_arr_eq(b, "\x04\x03\x02\x01", 4);
    cr_assert(kvi_get_u32(b) == UINT32_C(0x01020304));

    kvi_put_u64(b, UINT64_C(0x0102030405060708));
    cr_assert_arr_eq(b, "\x08\x07\x06\x05\x04\x03\x02\x01", 8);
    cr_assert(kvi_get_u64(b) == UINT64_C(0x0102030405060708));
}

Test(base_bytes, no_alignment_is_needed)
{
    uint8_t b[16] = {0};

    for (size_t at = 0; at < 8; at++) {
        kvi_put_u64(b + at, UINT64_C(0x1122334455667788) + at);
        cr_assert(kvi_get_u64(b + at) == UINT64_C(0x1122334455667788) + at);
        kvi_put_u32(b + at, UINT32_C(0xdeadbeef));
        cr_assert(kvi_get_u32(b + at) == UINT32_C(0xdeadbeef));
    }
}

Test(base_bytes, big_endian_orders_as_numbers_do)
{
    kvt_rng rng;
    uint8_t a[8], b[8];

    kvi_put_be64(a, UINT64_C(0x0102030405060708));
    cr_assert_arr_eq(a, "\x01\x02\x03\x04\x05\x06\x07\x08", 8);
    cr_assert(kvi_get_be64(a) == UINT64_C(0x0102030405060708));

    kvt_rng_init(&rng, 1);
    for (int i = 0; i < 1000; i++) {
        uint64_t x = kvt_rng_next(&rng) >> kvt_rng_below(&rng, 64);
        uint64_t y = kvt_rng_next(&rng) >> kvt_rng_below(&rng, 64);

        kvi_put_be64(a, x);
        kvi_put_be64(b, y);
        cr_assert((memcmp(a, b, 8) < 0) == (x < y));
    }
}

/* Values around each border of length, and the bytes they take. */
static const struct {
    uint64_t value;
    size_t len;
} borders[] = {
    {0, 1},
    {1, 1},
    {0x7f, 1},
    {0x80, 2},
    {0x3fff, 2},
    {0x4000, 3},
    {0x1fffff, 3},
    {0x200000, 4},
    {0xfffffff, 4},
    {0x10000000, 5},
    {UINT32_MAX, 5},
    {UINT64_C(0x7ffffffff), 5},
    {UINT64_C(0x800000000), 6},
    {UINT64_C(0x7fffffffffffffff), 9},
    {UINT64_C(0x8000000000000000), 10},
    {UINT64_MAX, 10},
};

Test(base_bytes, varint_round_trip_at_borders)
{
    for (size_t i = 0; i < sizeof borders / sizeof borders[0]; i++) {
        uint8_t b[KVI_VARINT64_MAX];
        const uint8_t *end = kvi_put_varint(b, borders[i].value);
        uint64_t v = 0;

        cr_assert_eq((size_t)(end - b), borders[i].len, "border %zu", i);
        cr_assert_eq(kvi_varint_len(borders[i].value), borders[i].len, "border %zu", i);
        cr_assert(kvi_get_varint64(b, end, &v) == end, "border %zu", i);
        cr_assert(v == borders[i].value, "border %zu", i);
    }
}

Test(base_bytes, varint_round_trip_at_random)
{
    kvt_rng rng;

    kvt_rng_init(&rng, 2);
    for (int i = 0; i < 10000; i++) {
        uint64_t value = kvt_rng_next(&rng) >> kvt_rng_below(&rng, 64), v = 0;
        uint8_t b[KVI_VARINT64_MAX];
        const uint8_t *end = kvi_put_varint(b, value);

        cr_assert(kvi_get_varint64(b, b + sizeof b, &v) == end);
        cr_assert(v == value);
    }
}

Test(base_bytes, varint_truncated_is_refused)
{
    for (size_t i = 0; i < sizeof borders / sizeof borders[0]; i++) {
        uint8_t b[KVI_VARINT64_MAX];
        uint64_t v = 42;
        uint32_t v32 = 42;

        (void)kvi_put_varint(b, borders[i].value);
        for (size_t len = 0; len < borders[i].len; len++) {
            cr_assert_null(kvi_get_varint64(b, b + len, &v));
            cr_assert_null(kvi_get_varint32(b, b + len, &v32));
        }
        cr_assert(v == 42 && v32 == 42, "outputs are untouched on failure");
    }
}

Test(base_bytes, varint_that_does_not_fit_is_refused)
{
    uint8_t b[16];
    uint64_t v = 42;

    memset(b, 0x80, sizeof b);
    cr_assert_null(kvi_get_varint64(b, b + sizeof b, &v), "never ends");

    memset(b, 0xff, 9);
    b[9] = 2;
    cr_assert_null(kvi_get_varint64(b, b + 10, &v), "bit 64 is set");
    b[9] = 0x81;
    b[10] = 0;
    cr_assert_null(kvi_get_varint64(b, b + 11, &v), "eleven bytes");
    b[9] = 1;
    cr_assert(kvi_get_varint64(b, b + 10, &v) == b + 10);
    cr_assert(v == UINT64_MAX);
}

Test(base_bytes, varint32_that_does_not_fit_is_refused)
{
    uint8_t b[16];
    uint32_t v = 42;

    (void)kvi_put_varint(b, (uint64_t)UINT32_MAX + 1);
    cr_assert_null(kvi_get_varint32(b, b + sizeof b, &v), "33 bits");

    memset(b, 0x80, sizeof b);
    b[5] = 0;
    cr_assert_null(kvi_get_varint32(b, b + sizeof b, &v), "six bytes");
    cr_assert(v == 42, "untouched");

    cr_assert(kvi_get_varint32(b, kvi_put_varint(b, UINT32_MAX), &v) == b + 5);
    cr_assert(v == UINT32_MAX);
}

Test(base_bytes, varint_longer_than_needed_is_read)
{
    const uint8_t b[] = {0x81, 0x80, 0x00};
    uint64_t v = 0;
    uint32_t v32 = 0;

    cr_assert(kvi_get_varint64(b, b + sizeof b, &v) == b + 3);
    cr_assert(v == 1);
    cr_assert(kvi_get_varint32(b, b + sizeof b, &v32) == b + 3);
    cr_assert(v32 == 1);
}
