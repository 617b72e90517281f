/* lib/wire/field.c: fields as bytes and back, the shortest form only, and the first fault stays. */
#include "wire/field.h"

#include <criterion/criterion.h>

#include "base/bytes.h"
#include "wire/wire_format.h"

static kvi_wire_cursor over(const void *bytes, size_t len)
{
    const uint8_t *p = bytes;

    return (kvi_wire_cursor){p, p + len, NULL};
}

Test(wire_field, what_is_counted_is_written)
{
    kvi_wire_items items = {3, {"items", 5}};
    uint8_t bytes[100];
    kvi_wire_writer w = {NULL, 0, KV_OK, NULL};
    kvi_wire_cursor c;
    size_t counted = 0;

    for (int pass = 0; pass < 2; pass++) {
        kvi_wire_put_u8(&w, 200);
        kvi_wire_put_u64(&w, UINT64_C(0x0102030405060708));
        kvi_wire_put_varint(&w, UINT64_MAX);
        kvi_wire_put_varint(&w, UINT32_MAX);
        kvi_wire_put_varint(&w, UINT16_MAX);
        kvi_wire_put_err(&w, KV_ECORRUPT);
        kvi_wire_put_err(&w, -INT32_MAX);
        kvi_wire_put_u8(&w, true);
        kvi_wire_put_bytes(&w, kvi_slice_of("abc", 3), 3);
        kvi_wire_put_bytes(&w, kvi_slice_of(NULL, 0), 0);
        kvi_wire_put_items(&w, items);
        if (pass == 0)
            counted = w.len;
        cr_assert_eq(w.err, KV_OK);
        w.p = pass == 0 ? bytes : w.p;
    }
    cr_assert_eq(w.p, bytes + counted);

    c = over(bytes, counted);
    cr_assert_eq(kvi_wire_get_u8(&c), 200);
    cr_assert_eq(kvi_wire_get_u64(&c), UINT64_C(0x0102030405060708));
    cr_assert_eq(kvi_wire_get_varint64(&c), UINT64_MAX);
    cr_assert_eq(kvi_wire_get_varint32(&c), UINT32_MAX);
    cr_assert_eq(kvi_wire_get_varint16(&c), UINT16_MAX);
    cr_assert_eq(kvi_wire_get_err(&c), KV_ECORRUPT);
    cr_assert_eq(kvi_wire_get_err(&c), -INT32_MAX);
    cr_assert(kvi_wire_get_bool(&c));
    cr_assert(kvi_slice_eq(kvi_wire_get_bytes(&c, 3), kvi_slice_of("abc", 3)));
    cr_assert_eq(kvi_wire_get_bytes(&c, 0).len, 0);
    items = kvi_wire_get_items(&c);
    cr_assert_eq(items.count, 3);
    cr_assert(kvi_slice_eq(items.bytes, kvi_slice_of("items", 5)));
    cr_assert(kvi_wire_cursor_finish(&c));
}

Test(wire_field, writers_refuse_what_passes_a_limit)
{
    kvi_wire_writer w = {NULL, 0, KV_OK, NULL};
    kvi_wire_items many = {KVI_WIRE_ITEMS_MAX + 1, {NULL, 0}};

    kvi_wire_put_bytes(&w, kvi_slice_of("abcd", 4), 3);
    cr_assert_eq(w.err, KV_ETOOBIG);
    kvi_wire_put_err(&w, 1);
    cr_assert_eq(w.err, KV_ETOOBIG, "the first fault stays");
    w = (kvi_wire_writer){NULL, 0, KV_OK, NULL};
    kvi_wire_put_err(&w, 1);
    cr_assert_eq(w.err, KV_EINVAL);
    w = (kvi_wire_writer){NULL, 0, KV_OK, NULL};
    kvi_wire_put_err(&w, INT32_MIN);
    cr_assert_eq(w.err, KV_EINVAL);
    w = (kvi_wire_writer){NULL, 0, KV_OK, NULL};
    kvi_wire_put_items(&w, many);
    cr_assert_eq(w.err, KV_ETOOBIG);
}

Test(wire_field, a_detail_is_cut)
{
    static char text[KVI_WIRE_DETAIL_MAX + 10];
    kvi_wire_writer w = {NULL, 0, KV_OK, NULL};

    kvi_wire_put_detail(&w, kvi_slice_of(text, sizeof text));
    cr_assert_eq(w.err, KV_OK);
    cr_assert_eq(w.len, kvi_varint_len(KVI_WIRE_DETAIL_MAX) + KVI_WIRE_DETAIL_MAX);
}

Test(wire_field, nothing_is_read_behind_the_end)
{
    static const uint8_t bytes[8] = {0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80};
    kvi_wire_cursor c;

    c = over(bytes, 0);
    cr_assert(kvi_wire_get_u8(&c) == 0 && c.why);
    c = over(bytes, 7);
    cr_assert(kvi_wire_get_u64(&c) == 0 && c.why);
    c = over(bytes, 8);
    cr_assert(kvi_wire_get_varint64(&c) == 0 && c.why);
    c = over("\x05"
             "abcd",
             5);
    cr_assert(kvi_wire_get_bytes(&c, 100).len == 0 && c.why);
    cr_assert_eq(kvi_wire_get_u8(&c), 0, "and nothing from then on");
    cr_assert_not(kvi_wire_cursor_finish(&c));
}

Test(wire_field, numbers_have_one_form)
{
    static const uint8_t padded[] = {0x85, 0x00}, padded_zero[] = {0x80, 0x00}, two[] = {2},
                         zero[] = {0},
                         wide[] = {0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x02},
                         above32[] = {0x80, 0x80, 0x80, 0x80, 0x10}, above16[] = {0x80, 0x80, 0x04},
                         err_max[] = {0xff, 0xff, 0xff, 0xff, 0x07},
                         err_above[] = {0x80, 0x80, 0x80, 0x80, 0x08};
    kvi_wire_cursor c;

    c = over(padded, sizeof padded);
    cr_assert(kvi_wire_get_varint64(&c) == 0 && c.why);
    c = over(padded_zero, sizeof padded_zero);
    cr_assert(kvi_wire_get_varint64(&c) == 0 && c.why);
    c = over(zero, sizeof zero);
    cr_assert(kvi_wire_get_varint64(&c) == 0 && !c.why);
    c = over(wide, sizeof wide);
    cr_assert(kvi_wire_get_varint64(&c) == 0 && c.why);
    c = over(above32, sizeof above32);
    cr_assert(kvi_wire_get_varint32(&c) == 0 && c.why);
    c = over(above32, sizeof above32);
    cr_assert_eq(kvi_wire_get_varint64(&c), UINT64_C(1) << 32);
    c = over(above16, sizeof above16);
    cr_assert(kvi_wire_get_varint16(&c) == 0 && c.why);
    c = over(err_max, sizeof err_max);
    cr_assert(kvi_wire_get_err(&c) == -INT32_MAX && !c.why);
    c = over(err_above, sizeof err_above);
    cr_assert(kvi_wire_get_err(&c) == 0 && c.why);
    c = over(two, sizeof two);
    cr_assert(!kvi_wire_get_bool(&c) && c.why);
}

Test(wire_field, bytes_and_items_keep_their_limits)
{
    kvi_wire_cursor c = over("\x04"
                             "abcd",
                             5);

    cr_assert(kvi_wire_get_bytes(&c, 3).len == 0 && c.why);
    c = over("\x81\x80\x80\x08\x00", 5); /* one more than KVI_WIRE_ITEMS_MAX */
    cr_assert(kvi_wire_get_items(&c).count == 0 && c.why);
    c = over("\x80\x80\x80\x08\x00", 5);
    cr_assert(kvi_wire_get_items(&c).count == KVI_WIRE_ITEMS_MAX && !c.why);
}

Test(wire_field, bytes_left_over_are_a_fault)
{
    kvi_wire_cursor c = over("ab", 2);

    (void)kvi_wire_get_u8(&c);
    cr_assert_not(kvi_wire_cursor_finish(&c));
}
