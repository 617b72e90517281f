/* Tables with every byte damaged, blocks in wrong places, and nonsense under right checksums. */
#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>

#include "base/bytes.h"
#include "base/error.h"
#include "support/one_table.h"
#include "support/reseal.h"

static kvt_one_table one;

static void setup(void)
{
    kvt_one_init(&one);
}

static void teardown(void)
{
    kvt_one_deinit(&one);
}

/* Opens what may be damaged, asks for everything and walks it: right or KV_ECORRUPT, and how
 * often the latter. */
static size_t check_damaged(void)
{
    size_t corrupt = 0, seen = 0;
    kvi_cursor *c;
    int err = kvt_one_open(&one);

    if (err) {
        cr_assert_eq(err, KV_ECORRUPT);
        cr_assert_not_null(strstr(kvi_error_detail(), "table 000012.sst: "));
        cr_assert_eq(kvi_budget_held(&one.s.budget, KVI_BUDGET_TABLE), 0);
        return 1;
    }
    for (size_t i = 0; i < one.model.count; i++) {
        err = kvt_one_ask(&one, one.model.entries[i].key, one.model.entries[i].tag);
        cr_assert(err == KV_OK || err == KV_ECORRUPT);
        corrupt += err != KV_OK;
    }
    cr_assert_eq(kvi_sst_table_cursor(one.table, KVI_SST_BULK, &c), KV_OK);
    for (err = c->ops->first(c); !err && c->valid; err = c->ops->next(c), seen++)
        cr_assert(kvt_entry_same(&one.model.entries[seen], c->key, c->tag, c->value));
    cr_assert(err ? err == KV_ECORRUPT : seen == one.model.count, "a silent end after %zu", seen);
    corrupt += err != KV_OK;
    c->ops->close(c);
    kvt_one_close(&one);
    return corrupt;
}

static void check_each_byte(int compression)
{
    kvt_model_counted(&one.model, 60, 20);
    kvt_one_build(&one, 256, compression);
    cr_assert_eq(check_damaged(), 0);
    for (size_t i = 0; i < one.file.len; i++) {
        static const uint8_t flips[] = {0x01, 0x80, 0xff};
        uint8_t was = one.file.data[i];

        for (size_t j = 0; j < sizeof flips; j++) {
            one.file.data[i] = was ^ flips[j];
            cr_assert(check_damaged() > 0, "byte %zu of %zu", i, one.file.len);
        }
        one.file.data[i] = 0;
        cr_assert(was == 0 || check_damaged() > 0, "byte %zu of %zu zeroed", i, one.file.len);
        one.file.data[i] = was;
    }
}

Test(table_damage, notices_each_wrong_byte, .init = setup, .fini = teardown)
{
    check_each_byte(KV_COMPRESS_NONE);
}

Test(table_damage, notices_each_wrong_byte_of_a_compressed_one, .init = setup, .fini = teardown)
{
    check_each_byte(1);
}

Test(table_damage, notices_each_cut, .init = setup, .fini = teardown)
{
    size_t whole;

    kvt_model_counted(&one.model, 60, 20);
    kvt_one_build(&one, 256, 1);
    whole = one.file.len;
    for (one.file.len = 0; one.file.len < whole; one.file.len++)
        cr_assert_eq(kvt_one_open(&one), KV_ECORRUPT, "cut to %zu of %zu", one.file.len, whole);
    cr_assert_eq(check_damaged(), 0);
    one.file.base.ops->write(&one.file.base, whole, "x", 1); /* and what was added */
    cr_assert_eq(kvt_one_open(&one), KV_ECORRUPT);
}

/* The same bytes are right in one place only. */
Test(table_damage, notices_blocks_in_wrong_places, .init = setup, .fini = teardown)
{
    enum { BLOCK = 256 };
    uint8_t *copy;
    size_t stride = 0;

    kvt_model_counted(&one.model, 60, 20);
    kvt_one_build(&one, BLOCK, KV_COMPRESS_NONE);
    copy = malloc(one.file.len);
    cr_assert_not_null(copy);
    memcpy(copy, one.file.data, one.file.len);
    while (memcmp(one.file.data + stride, "\0\013\024", 3) != 0 || stride < BLOCK)
        stride++; /* the second block begins like the first, by a whole key */
    memcpy(one.file.data, copy + stride, stride);
    cr_assert(check_damaged() > 0, "the second block over the first");
    memcpy(one.file.data + stride, copy, stride);
    cr_assert(check_damaged() > 1, "both swapped");
    memcpy(one.file.data, copy, one.file.len);
    cr_assert_eq(check_damaged(), 0);
    cr_assert_eq(kvi_sst_table_open(&one.s.ctx, &one.file.base, KVT_ONE_FILE_NO + 1, &one.table),
                 KV_ECORRUPT);
    one.s.ctx.store_seed++;
    cr_assert_eq(kvt_one_open(&one), KV_ECORRUPT);
    free(copy);
}

/* A stale file under the number of a newer one has other blocks, and a right footer of its own. */
Test(table_damage, notices_blocks_of_another_file, .init = setup, .fini = teardown)
{
    kvi_sst_builder_options other = {KVT_ONE_FILE_NO + 1, 256, KV_COMPRESS_NONE};
    kvt_memfile twin;

    kvt_memfile_init(&twin);
    kvt_model_counted(&one.model, 60, 20);
    kvt_one_build(&one, 256, KV_COMPRESS_NONE);
    cr_assert_eq(kvt_sst_build(&one.s, &one.model, &other, &twin, NULL), KV_OK);
    cr_assert_eq(twin.len, one.file.len);
    memcpy(one.file.data, twin.data, 300);
    cr_assert(check_damaged() > 0);
    kvt_memfile_deinit(&twin);
}

static void reseal_footer(void)
{
    kvt_reseal(&one.s.ctx, KVT_ONE_FILE_NO, one.file.data, one.file.len, KVT_RESEAL_FOOTER);
}

Test(table_damage, refuses_another_format_as_such, .init = setup, .fini = teardown)
{
    uint8_t *footer;

    kvt_model_counted(&one.model, 10, 10);
    kvt_one_build(&one, 256, 1);
    footer = one.file.data + one.file.len - KVI_SST_FOOTER_LEN;
    kvi_put_u32(footer + 48, KVI_SST_FORMAT + 1);
    cr_assert_eq(kvt_one_open(&one), KV_ECORRUPT, "nothing without a right checksum is believed");
    reseal_footer();
    cr_assert_eq(kvt_one_open(&one), KV_EFORMAT);
    cr_assert_not_null(strstr(kvi_error_detail(), "format 2"));
    kvi_put_u32(footer + 48, KVI_SST_FORMAT);
    kvi_put_u32(footer + 52, KVI_SST_MAGIC + 1);
    reseal_footer();
    cr_assert_eq(kvt_one_open(&one), KV_ECORRUPT);
}

Test(table_damage, believes_no_handle_of_the_footer, .init = setup, .fini = teardown)
{
    static const uint64_t lies[] = {0, 1, 15, 16, 1000, UINT32_MAX, UINT64_MAX - 15, UINT64_MAX};
    uint8_t *footer;

    kvt_model_counted(&one.model, 10, 10);
    kvt_one_build(&one, 256, 1);
    footer = one.file.data + one.file.len - KVI_SST_FOOTER_LEN;
    for (size_t field = 0; field < 6; field++) {
        uint64_t was = kvi_get_u64(footer + field * 8);

        for (size_t i = 0; i < sizeof lies / sizeof lies[0]; i++) {
            kvi_put_u64(footer + field * 8, lies[i]);
            reseal_footer();
            cr_assert(lies[i] == was || kvt_one_open(&one) == KV_ECORRUPT, "field %zu, lie %zu",
                      field, i);
        }
        kvi_put_u64(footer + field * 8, was);
    }
    reseal_footer();
    cr_assert_eq(kvt_one_open(&one), KV_OK);
}

/* --- what a writer of nonsense could put under right checksums ------------------------------ */

/* Replaces the meta block, and with it the footer. */
static int open_with_meta(kvi_slice raw)
{
    uint64_t footer_at = one.file.len - KVI_SST_FOOTER_LEN;
    uint64_t meta_at = kvi_get_u64(one.file.data + footer_at + 32);
    uint8_t footer[KVI_SST_FOOTER_LEN];
    kvi_buf out, scratch;
    int err;

    memcpy(footer, one.file.data + footer_at, sizeof footer);
    kvi_buf_init(&out, &one.s.mem);
    kvi_buf_init(&scratch, &one.s.mem);
    cr_assert_eq(kvi_sst_block_seal(&one.s.ctx, KVT_ONE_FILE_NO, meta_at, KVI_SST_META,
                                    KV_COMPRESS_NONE, raw, &scratch, &out),
                 KV_OK);
    one.file.len = (size_t)meta_at;
    kvi_put_u64(footer + 40, out.len);
    cr_assert_eq(one.file.base.ops->write(&one.file.base, meta_at, out.data, out.len), KV_OK);
    cr_assert_eq(one.file.base.ops->write(&one.file.base, meta_at + out.len, footer, sizeof footer),
                 KV_OK);
    reseal_footer();
    kvi_buf_deinit(&out);
    kvi_buf_deinit(&scratch);
    err = kvt_one_open(&one);
    if (!err)
        kvt_one_close(&one);
    return err;
}

Test(table_damage, believes_no_senseless_properties, .init = setup, .fini = teardown)
{
#define NUMBER(id, n) id, 8, n, 0, 0, 0, 0, 0, 0, 0
#define KEYS_AND_MORE 6, 1, 'a', 7, 1, 'b', 99, 3, 'n', 'e', 'w'
    static const uint8_t good[] = {NUMBER(1, 9), NUMBER(2, 9), NUMBER(3, 1),
                                   NUMBER(4, 2), NUMBER(5, 0), KEYS_AND_MORE};
    static const struct {
        size_t at;
        uint8_t value;
    } lies[] = {
        {0, 0},  {0, 2},  {1, 7},    {2, 0},    {10, 1}, {10, 3},   {12, 10}, {22, 3},
        {39, 1}, {50, 8}, {51, 200}, {52, 'c'}, {53, 8}, {54, 100}, {56, 7},  {57, 4},
    };

    kvt_model_counted(&one.model, 10, 10);
    kvt_one_build(&one, 256, 1);
    cr_assert_eq(open_with_meta(kvi_slice_of(good, sizeof good)), KV_OK);
    for (size_t len = 1; len < sizeof good - 5; len++)
        cr_assert_eq(open_with_meta(kvi_slice_of(good, len)), KV_ECORRUPT, "cut to %zu", len);
    for (size_t i = 0; i < sizeof lies / sizeof lies[0]; i++) {
        uint8_t bad[sizeof good];

        memcpy(bad, good, sizeof bad);
        bad[lies[i].at] = lies[i].value;
        cr_assert_eq(open_with_meta(kvi_slice_of(bad, sizeof bad)), KV_ECORRUPT, "lie %zu", i);
    }
#undef NUMBER
#undef KEYS_AND_MORE
}

/* What malformed blocks were blamed for, in details of errors. */
static size_t blamed_index, blamed_data;

static void blame(int err)
{
    cr_assert(err == KV_OK || err == KV_ECORRUPT);
    if (!err)
        return;
    cr_assert_not_null(strstr(kvi_error_detail(), "table 000012.sst: block at offset "));
    blamed_index += strstr(kvi_error_detail(), "(index): its entries are malformed") != NULL;
    blamed_data += strstr(kvi_error_detail(), "(data): its entries are malformed") != NULL;
}

static void walk(enum kvi_sst_scan how)
{
    kvi_cursor *c;
    int err = kvi_sst_table_cursor(one.table, how, &c);

    blame(err);
    if (err)
        return;
    for (err = c->ops->first(c); !err && c->valid;)
        err = c->ops->next(c);
    blame(err);
    for (err = c->ops->last(c); !err && c->valid;)
        err = c->ops->prev(c);
    blame(err);
    for (size_t i = 0; i < one.model.count; i++)
        blame(c->ops->seek(c, one.model.entries[i].key, one.model.entries[i].tag));
    c->ops->close(c);
}

/* With right checksums a wrong byte may be a wrong answer, but no crash and no endless walk; and
 * what cannot be is named. */
static void check_each_byte_resealed(int compression)
{
    kvt_model_counted(&one.model, 40, 20);
    kvt_one_build(&one, 256, compression);
    for (size_t i = 0; i < one.file.len * 8; i++) {
        size_t len = one.file.len;
        uint8_t *copy = malloc(len);
        int err;

        cr_assert_not_null(copy);
        memcpy(copy, one.file.data, len);
        one.file.data[i / 8] ^= (uint8_t)(1u << i % 8);
        kvt_reseal(&one.s.ctx, KVT_ONE_FILE_NO, one.file.data, len, KVT_RESEAL_ALL);
        err = kvt_one_open(&one);
        cr_assert(err == KV_OK || err == KV_ECORRUPT || err == KV_EFORMAT);
        for (size_t j = 0; !err && j < one.model.count; j++) {
            kvi_sst_found found = {.found = false};

            blame(kvt_sst_get(&one.s, one.table, one.model.entries[j].key, KVI_TAG_NEWEST, &found));
            kvi_sst_block_unref(found.block);
        }
        if (!err) {
            walk(KVI_SST_CACHED);
            walk(KVI_SST_BULK);
            kvt_one_close(&one);
        }
        kvi_sst_cache_drop_file(one.s.ctx.cache, KVT_ONE_FILE_NO);
        memcpy(one.file.data, copy, len);
        free(copy);
    }
}

Test(table_damage, survives_each_wrong_bit_under_right_checksums, .init = setup, .fini = teardown)
{
    blamed_index = blamed_data = 0;
    check_each_byte_resealed(KV_COMPRESS_NONE);
    cr_assert(blamed_index > 100, "%zu", blamed_index);
    cr_assert(blamed_data > 100, "%zu", blamed_data);
}

Test(table_damage, survives_each_wrong_bit_of_a_compressed_one_too, .init = setup, .fini = teardown)
{
    check_each_byte_resealed(1);
}
