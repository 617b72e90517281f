/* Writing tables: what is reported, how it is written and charged, and what the index entries
 * are. */
#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>

#include "base/bytes.h"
#include "sstable/block_cursor.h"
#include "support/sst.h"

static kvt_sst s;
static kvt_memfile file;
static kvt_model model;

static const kvi_sst_builder_options plain = {5, 512, KV_COMPRESS_NONE};
static const kvi_sst_builder_options zstd = {5, 512, 1};

static void setup(void)
{
    kvt_sst_init(&s, 16 << 20);
    kvt_memfile_init(&file);
    memset(&model, 0, sizeof model);
}

static void teardown(void)
{
    kvt_model_deinit(&model);
    kvt_memfile_deinit(&file);
    kvt_sst_deinit(&s);
}

Test(builder, reports_what_it_wrote, .init = setup, .fini = teardown)
{
    static const kvt_shape shape = {300, 20, 3, 50, 3};
    kvi_sst_built built;
    uint64_t deletes = 0, raw = 0, low = UINT64_MAX, high = 0;
    kvt_rng rng;

    kvt_rng_init(&rng, 1);
    kvt_model_random(&model, &rng, &shape);
    for (size_t i = 0; i < model.count; i++) {
        const kvt_entry *e = &model.entries[i];

        deletes += kvi_tag_kind(e->tag) == KVI_KIND_DELETE;
        raw += e->key.len + e->value.len;
        low = kvi_min_u64(low, kvi_tag_seq(e->tag));
        high = kvi_max_u64(high, kvi_tag_seq(e->tag));
    }
    cr_assert_eq(kvt_sst_build(&s, &model, &zstd, &file, &built), KV_OK);
    cr_assert_eq(built.file_size, file.len);
    cr_assert_eq(built.entries, model.count);
    cr_assert_eq(built.deletes, deletes);
    cr_assert_eq(built.raw_bytes, raw);
    cr_assert_eq(built.seq_min, low);
    cr_assert_eq(built.seq_max, high);
    cr_assert(kvi_slice_eq(built.smallest, model.entries[0].key));
    cr_assert(kvi_slice_eq(built.largest, model.entries[model.count - 1].key));
}

Test(builder, compresses_what_shrinks, .init = setup, .fini = teardown)
{
    kvi_sst_built small, large;

    kvt_model_counted(&model, 1000, 100);
    cr_assert_eq(kvt_sst_build(&s, &model, &plain, &file, &large), KV_OK);
    file.len = 0;
    cr_assert_eq(kvt_sst_build(&s, &model, &zstd, &file, &small), KV_OK);
    cr_assert(small.file_size < large.file_size * 9 / 10);
}

Test(builder, writes_in_large_pieces, .init = setup, .fini = teardown)
{
    kvi_sst_built built;

    kvt_model_counted(&model, 20000, 100);
    cr_assert_eq(kvt_sst_build(&s, &model, &plain, &file, &built), KV_OK);
    cr_assert(file.writes <= built.file_size / KVI_SST_WRITE_CHUNK + 1);
    cr_assert(file.writes > 5);
}

Test(builder, knows_its_size_as_it_goes, .init = setup, .fini = teardown)
{
    kvi_sst_builder *b;
    kvi_sst_built built;
    uint64_t before = 0;

    kvt_model_counted(&model, 5000, 100);
    cr_assert_eq(kvi_sst_builder_new(&s.ctx, &plain, &file.base, &b), KV_OK);
    for (size_t i = 0; i < model.count; i++) {
        const kvt_entry *e = &model.entries[i];

        cr_assert_eq(kvi_sst_builder_add(b, e->key, e->tag, e->value), KV_OK);
        cr_assert(kvi_sst_builder_size(b) >= before);
        before = kvi_sst_builder_size(b);
        cr_assert_eq(kvi_sst_builder_entries(b), i + 1);
    }
    cr_assert_eq(kvi_sst_builder_finish(b, &built), KV_OK);
    cr_assert(built.file_size >= before);
    cr_assert(built.file_size < before * 11 / 10);
    cr_assert(kvi_budget_held(&s.budget, KVI_BUDGET_WORK) > KVI_SST_WRITE_CHUNK);
    kvi_sst_builder_free(b);
    kvi_sst_builder_free(NULL);
    cr_assert_eq(kvi_budget_held(&s.budget, KVI_BUDGET_WORK), 0);
}

Test(builder, passes_on_each_failed_write, .init = setup, .fini = teardown)
{
    size_t writes;

    kvt_model_counted(&model, 10000, 100);
    cr_assert_eq(kvt_sst_build(&s, &model, &plain, &file, NULL), KV_OK);
    writes = file.writes;
    cr_assert(writes > 2);
    for (size_t n = 0; n < writes; n++) {
        file.len = file.writes = 0;
        file.write_err = KV_ENOSPC;
        file.write_err_at = n;
        cr_assert_eq(kvt_sst_build(&s, &model, &plain, &file, NULL), KV_ENOSPC);
    }
}

Test(builder, survives_each_failed_allocation, .init = setup, .fini = teardown)
{
    size_t live = kvt_failmem_live(&s.failmem);
    bool failed = true;
    size_t n;

    kvt_model_counted(&model, 300, 20);
    for (n = 0; failed; n++) {
        int err;

        file.len = 0;
        kvt_failmem_arm(&s.failmem, n, false);
        err = kvt_sst_build(&s, &model, &plain, &file, NULL);
        failed = kvt_failmem_disarm(&s.failmem);
        cr_assert_eq(err, failed ? KV_ENOMEM : KV_OK, "allocation %zu", n);
        cr_assert_eq(kvt_failmem_live(&s.failmem), live);
        cr_assert_eq(kvi_budget_held(&s.budget, KVI_BUDGET_WORK), 0);
    }
    cr_assert(n > 20);
}

/* The filter has room for keys, however many versions they have. */
Test(builder, counts_a_key_once_in_the_filter, .init = setup, .fini = teardown)
{
    static const kvt_shape shape = {1, 5, 1000, 10, 26};
    kvt_rng rng;

    kvt_rng_init(&rng, 1);
    kvt_model_random(&model, &rng, &shape);
    cr_assert(model.count > 100);
    cr_assert_eq(kvt_sst_build(&s, &model, &plain, &file, NULL), KV_OK);
    cr_assert_eq(kvi_get_u64(file.data + file.len - KVI_SST_FOOTER_LEN + 24),
                 KVI_SST_FILTER_LINE + 8 + KVI_SST_TRAILER_LEN);
}

/* --- the index ---------------------------------------------------------------------------- */

/* The raw index of the table in file, plain: found from the footer. */
static kvi_slice raw_index(void)
{
    const uint8_t *footer = file.data + file.len - KVI_SST_FOOTER_LEN;
    uint64_t offset = kvi_get_u64(footer), len = kvi_get_u64(footer + 8);

    return kvi_slice_of(file.data + offset, (size_t)len - KVI_SST_TRAILER_LEN);
}

/* A table of two entries in two blocks; the index key between them. */
static void between(const char *left, const char *right, const char *wanted)
{
    static const kvi_sst_builder_options tiny = {5, 1, KV_COMPRESS_NONE};
    uint64_t left_tag = kvi_tag(9, KVI_KIND_PUT);
    kvt_entry entries[2] = {
        {{left, strlen(left)}, left_tag, {"", 0}},
        {{right, strlen(right)}, kvi_tag(8, KVI_KIND_PUT), {"", 0}},
    };
    kvt_model two = {entries, 2, NULL};
    kvi_sst_block_cursor index;

    file.len = 0;
    cr_assert_eq(kvt_sst_build(&s, &two, &tiny, &file, NULL), KV_OK);
    kvi_sst_block_cursor_init(&index, &s.mem);
    cr_assert_eq(kvi_sst_block_cursor_set(&index, raw_index()), KV_OK);
    cr_assert_eq(kvi_sst_block_cursor_first(&index), KV_OK);
    cr_assert(kvi_slice_eq(index.c.key, kvi_slice_of(wanted, strlen(wanted))),
              "%s | %s: %.*s, not %s", left, right, (int)index.c.key.len,
              (const char *)index.c.key.data, wanted);
    cr_assert_eq(index.c.tag, strcmp(left, wanted) == 0 ? left_tag : 0);
    cr_assert_eq(kvi_sst_block_cursor_next(&index), KV_OK);
    cr_assert(kvi_slice_eq(index.c.key, entries[1].key), "the last key stays whole");
    cr_assert_eq(index.c.tag, entries[1].tag);
    cr_assert_eq(kvi_sst_block_cursor_next(&index), KV_OK);
    cr_assert(!index.c.valid);
    kvi_sst_block_cursor_deinit(&index);
}

Test(builder, shortens_keys_of_the_index, .init = setup, .fini = teardown)
{
    between("abcdef", "abxyz", "abd");
    between("abcdef", "abd", "abce");
    between("abcdef", "abdx", "abd");
    between("abcdef", "abcdefg", "abcdef");
    between("", "a", "");
    between("a", "b", "a");
    between("a", "c", "a");
    between("abc", "abd", "abc");
    between("az", "b", "az");
    between("aza", "b", "a{");
    between("a\xff\xff", "b", "a\xff\xff");
    between("a\xff\xff\x01z", "b", "a\xff\xff\x02");
    between("k1", "k2zzz", "k1");
    between("key00000999", "key00001000", "key00001");
    between("a\xfexx", "a\xff", "a\xfey");
    between("a\xfexx",
            "a\xff"
            "1",
            "a\xff");
}

/* Whatever the keys: at or above all of its block, below all of the next, in the order of
 * entries. */
Test(builder, index_entries_part_the_blocks, .init = setup, .fini = teardown)
{
    static const kvi_sst_builder_options o = {5, 120, KV_COMPRESS_NONE};
    static const kvt_shape shapes[] = {
        {400, 10, 1, 10, 2}, {100, 6, 12, 20, 256}, {300, 30, 3, 9, 1}};

    for (uint64_t seed = 0; seed < 12; seed++) {
        kvi_sst_block_cursor index;
        kvt_rng rng;
        size_t i = 0, blocks = 0;

        kvt_rng_init(&rng, seed);
        kvt_model_random(&model, &rng, &shapes[seed % 3]);
        file.len = 0;
        cr_assert_eq(kvt_sst_build(&s, &model, &o, &file, NULL), KV_OK);
        kvi_sst_block_cursor_init(&index, &s.mem);
        cr_assert_eq(kvi_sst_block_cursor_set(&index, raw_index()), KV_OK);
        cr_assert_eq(kvi_sst_block_cursor_first(&index), KV_OK);
        for (; index.c.valid; blocks++) {
            const uint8_t *value = index.c.value.data;
            uint64_t offset, len;
            kvi_sst_block_cursor data;

            value = kvi_get_varint64(value, value + index.c.value.len, &offset);
            value = kvi_get_varint64(value, value + KVI_VARINT64_MAX, &len);
            kvi_sst_block_cursor_init(&data, &s.mem);
            cr_assert_eq(
                kvi_sst_block_cursor_set(
                    &data, kvi_slice_of(file.data + offset, (size_t)len - KVI_SST_TRAILER_LEN)),
                KV_OK);
            cr_assert_eq(kvi_sst_block_cursor_first(&data), KV_OK);
            for (; data.c.valid; i++) {
                cr_assert(kvt_entry_same(&model.entries[i], data.c.key, data.c.tag, data.c.value));
                cr_assert(kvi_entry_cmp(data.c.key, data.c.tag, index.c.key, index.c.tag) <= 0);
                cr_assert_eq(kvi_sst_block_cursor_next(&data), KV_OK);
            }
            if (i < model.count)
                cr_assert(kvi_entry_cmp(index.c.key, index.c.tag, model.entries[i].key,
                                        model.entries[i].tag) < 0);
            kvi_sst_block_cursor_deinit(&data);
            cr_assert_eq(kvi_sst_block_cursor_next(&index), KV_OK);
        }
        cr_assert_eq(i, model.count);
        cr_assert(blocks > 10);
        kvi_sst_block_cursor_deinit(&index);
        kvt_model_deinit(&model);
    }
}
