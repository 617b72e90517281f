/* The payload of a block, byte by byte, and its limits. */
#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>

#include "base/bytes.h"
#include "sstable/block_builder.h"
#include "sstable/table_format.h"
#include "support/failmem.h"

static kvt_failmem failmem;
static kvi_mem mem;
static kvi_sst_block_builder builder;

static void setup(void)
{
    kvt_failmem_init(&failmem, &mem);
    kvi_sst_block_builder_init(&builder, &mem, 2);
}

static void teardown(void)
{
    kvi_sst_block_builder_deinit(&builder);
    cr_assert_eq(kvt_failmem_live(&failmem), 0);
}

static int add(const char *key, uint64_t tag, const char *value)
{
    return kvi_sst_block_builder_add(&builder, kvi_slice_of(key, strlen(key)), tag,
                                     kvi_slice_of(value, strlen(value)));
}

/* The bytes of format 1, as table_format.h says. */
Test(block_builder, writes_the_format, .init = setup, .fini = teardown)
{
    static const uint8_t expected[] = {
        0, 3, 1, 0x02, 1,  0, 0, 0, 0, 0, 0, 'a', 'b', 'c', 'x',           /* restart */
        2, 2, 0, 0x01, 2,  0, 0, 0, 0, 0, 0, 'd', 'e',                     /* shares "ab" */
        0, 4, 2, 0x02, 3,  0, 0, 0, 0, 0, 0, 'a', 'b', 'x', 'y', 'v', 'w', /* restart */
        0, 0, 0, 0,    28, 0, 0, 0, 2, 0, 0, 0,
    };
    kvi_slice raw;

    cr_assert_eq(add("abc", kvi_tag(1, KVI_KIND_PUT), "x"), KV_OK);
    cr_assert_eq(add("abde", kvi_tag(2, KVI_KIND_DELETE), ""), KV_OK);
    cr_assert_eq(add("abxy", kvi_tag(3, KVI_KIND_PUT), "vw"), KV_OK);
    cr_assert_eq(kvi_sst_block_builder_len(&builder), sizeof expected);
    cr_assert_eq(kvi_sst_block_builder_finish(&builder, &raw), KV_OK);
    cr_assert_eq(raw.len, sizeof expected);
    cr_assert_arr_eq(raw.data, expected, sizeof expected);
}

Test(block_builder, without_entries_has_one_restart, .init = setup, .fini = teardown)
{
    static const uint8_t expected[8] = {0, 0, 0, 0, 1, 0, 0, 0};
    kvi_slice raw;

    cr_assert_eq(kvi_sst_block_builder_len(&builder), sizeof expected);
    cr_assert_eq(kvi_sst_block_builder_finish(&builder, &raw), KV_OK);
    cr_assert_eq(raw.len, sizeof expected);
    cr_assert_arr_eq(raw.data, expected, sizeof expected);
}

Test(block_builder, starts_afresh_after_reset, .init = setup, .fini = teardown)
{
    kvi_slice raw;
    size_t len;

    cr_assert_eq(add("abc", 1, "x"), KV_OK);
    len = kvi_sst_block_builder_len(&builder);
    cr_assert_eq(kvi_sst_block_builder_finish(&builder, &raw), KV_OK);
    kvi_sst_block_builder_reset(&builder);
    cr_assert_eq(add("abc", 1, "x"), KV_OK);
    cr_assert_eq(kvi_sst_block_builder_len(&builder), len);
    cr_assert(kvi_sst_block_builder_memory(&builder) >= len);
}

Test(block_builder, refuses_what_passes_the_limit, .init = setup, .fini = teardown)
{
    size_t len = KVI_SST_BLOCK_MAX / 2;
    char *value = calloc(1, len);
    kvi_slice big = {value, len};
    kvi_slice too_big = {value, (size_t)KVI_SST_BLOCK_MAX + 1}; /* not touched */
    size_t before;

    cr_assert_not_null(value);
    cr_assert_eq(kvi_sst_block_builder_add(&builder, kvi_slice_of("a", 1), 9, big), KV_OK);
    before = kvi_sst_block_builder_len(&builder);
    cr_assert_eq(kvi_sst_block_builder_add(&builder, kvi_slice_of("b", 1), 8, big), KV_ETOOBIG);
    cr_assert_eq(kvi_sst_block_builder_add(&builder, kvi_slice_of("b", 1), 8, too_big), KV_ETOOBIG);
    cr_assert_eq(kvi_sst_block_builder_add(&builder, too_big, 8, kvi_slice_of("", 0)), KV_ETOOBIG);
    cr_assert_eq(kvi_sst_block_builder_len(&builder), before);
    free(value);
}

Test(block_builder, is_as_it_was_after_a_failed_allocation, .init = setup, .fini = teardown)
{
    char key[200];
    size_t failures = 0;

    memset(key, 'k', sizeof key);
    for (size_t i = 0; i < 100; i++) {
        for (size_t n = 0;; n++) {
            size_t before = kvi_sst_block_builder_len(&builder);
            int err;

            kvt_failmem_arm(&failmem, n, false);
            err = kvi_sst_block_builder_add(&builder, kvi_slice_of(key, 100 + i), 1,
                                            kvi_slice_of(key, i));
            if (!kvt_failmem_disarm(&failmem)) {
                cr_assert_eq(err, KV_OK);
                break;
            }
            cr_assert_eq(err, KV_ENOMEM);
            cr_assert_eq(kvi_sst_block_builder_len(&builder), before);
            failures++;
        }
    }
    cr_assert(failures > 5);
    cr_assert_eq(builder.count, 100);
}
