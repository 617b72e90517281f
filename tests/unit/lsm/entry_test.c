/*
 * What a stored entry says to a reader.
 */
#include "lsm/entry.h"

#include <criterion/criterion.h>

#include <string.h>

Test(lsm_entry, a_put_is_its_value)
{
    kvi_lsm_content c;

    cr_assert_eq(
        kvi_lsm_entry_open(kvi_tag(1, KVI_KIND_PUT), kvi_slice_of("abc", 3), INT64_MAX, &c), KV_OK);
    cr_assert_eq(c.value.len, 3);
    cr_assert_arr_eq(c.value.data, "abc", 3);
    cr_assert_eq(c.expires_ms, 0);
    cr_assert_eq(kvi_lsm_entry_open(kvi_tag(1, KVI_KIND_PUT), kvi_slice_of(NULL, 0), 0, &c), KV_OK);
    cr_assert_eq(c.value.len, 0);
}

Test(lsm_entry, a_delete_is_nothing)
{
    kvi_lsm_content c;

    cr_assert_eq(kvi_lsm_entry_open(kvi_tag(1, KVI_KIND_DELETE), kvi_slice_of(NULL, 0), 0, &c),
                 KV_ENOTFOUND);
}

Test(lsm_entry, a_value_is_there_until_it_expires)
{
    uint64_t tag = kvi_tag(1, KVI_KIND_PUT_EXPIRING);
    uint8_t bytes[10] = {0, 0, 0, 0, 0, 0, 0, 0, 'a', 'b'};
    kvi_lsm_content c;

    kvi_put_u64(bytes, 1000);
    cr_assert_eq(kvi_lsm_entry_open(tag, kvi_slice_of(bytes, 10), 999, &c), KV_OK);
    cr_assert_eq(c.expires_ms, 1000);
    cr_assert_eq(c.value.len, 2);
    cr_assert_arr_eq(c.value.data, "ab", 2);
    cr_assert_eq(kvi_lsm_entry_open(tag, kvi_slice_of(bytes, 8), 999, &c), KV_OK);
    cr_assert_eq(c.value.len, 0);
    cr_assert_eq(kvi_lsm_entry_open(tag, kvi_slice_of(bytes, 10), 1000, &c), KV_ENOTFOUND);
    cr_assert_eq(kvi_lsm_entry_open(tag, kvi_slice_of(bytes, 10), INT64_MAX, &c), KV_ENOTFOUND);
}

Test(lsm_entry, what_no_writer_writes_is_corrupt)
{
    kvi_lsm_content c = {{NULL, 77}, 0};

    for (unsigned kind = 0; kind < 256; kind++) {
        if (kvi_kind_known(kind))
            continue;
        kvi_error_clear();
        cr_assert_eq(kvi_lsm_entry_open(UINT64_C(5) << 8 | kind, kvi_slice_of("x", 1), 0, &c),
                     KV_ECORRUPT);
        cr_assert(strstr(kvi_error_detail(), "sequence 5"), "%s", kvi_error_detail());
    }
    for (size_t len = 0; len < KVI_EXPIRES_LEN; len++)
        cr_assert_eq(kvi_lsm_entry_open(kvi_tag(1, KVI_KIND_PUT_EXPIRING),
                                        kvi_slice_of("1234567", len), 0, &c),
                     KV_ECORRUPT);
    cr_assert_eq(c.value.len, 77, "untouched");
}
