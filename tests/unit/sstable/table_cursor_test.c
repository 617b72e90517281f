/* Walking tables, through the cache and past it, against a model. */
#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "support/sst.h"

#define FILE_NO 3u

static kvt_sst s;
static kvt_memfile file;
static kvt_model model;
static kvi_sst_table *table;
static kvi_cursor *cursor;

static void setup(void)
{
    kvt_sst_init(&s, 64 << 20);
    kvt_memfile_init(&file);
    memset(&model, 0, sizeof model);
    table = NULL;
    cursor = NULL;
}

static void stop(void)
{
    if (cursor)
        cursor->ops->close(cursor);
    kvi_sst_table_close(table);
    kvi_sst_cache_drop_file(s.ctx.cache, FILE_NO);
    kvt_model_deinit(&model);
    cursor = NULL;
    table = NULL;
}

static void teardown(void)
{
    stop();
    kvt_memfile_deinit(&file);
    kvt_sst_deinit(&s);
}

static void start(uint32_t block_size, int compression, enum kvi_sst_scan how)
{
    kvi_sst_builder_options o = {FILE_NO, block_size, compression};

    file.len = 0;
    cr_assert_eq(kvt_sst_build(&s, &model, &o, &file, NULL), KV_OK);
    cr_assert_eq(kvi_sst_table_open(&s.ctx, &file.base, FILE_NO, &table), KV_OK);
    cr_assert_eq(kvi_sst_table_cursor(table, how, &cursor), KV_OK);
    cr_assert(!cursor->valid);
}

static void stands_on(size_t i)
{
    if (i >= model.count) {
        cr_assert(!cursor->valid);
        return;
    }
    cr_assert(cursor->valid, "nothing at %zu of %zu", i, model.count);
    cr_assert(kvt_entry_same(&model.entries[i], cursor->key, cursor->tag, cursor->value),
              "another entry at %zu of %zu", i, model.count);
}

static void check_walks(void)
{
    cr_assert_eq(cursor->ops->first(cursor), KV_OK);
    for (size_t i = 0; i <= model.count; i++) {
        stands_on(i);
        if (cursor->valid)
            cr_assert_eq(cursor->ops->next(cursor), KV_OK);
    }
    cr_assert_eq(cursor->ops->last(cursor), KV_OK);
    for (size_t i = model.count; i-- > 0;) {
        stands_on(i);
        cr_assert_eq(cursor->ops->prev(cursor), KV_OK);
    }
    cr_assert(!cursor->valid);
}

static void check_seek(kvi_slice key, uint64_t tag)
{
    size_t i = kvt_model_seek(&model, key, tag);

    cr_assert_eq(cursor->ops->seek(cursor, key, tag), KV_OK);
    stands_on(i);
    if (cursor->valid && tag % 2) {
        cr_assert_eq(cursor->ops->next(cursor), KV_OK);
        stands_on(i + 1);
    } else if (cursor->valid) {
        cr_assert_eq(cursor->ops->prev(cursor), KV_OK);
        stands_on(i > 0 ? i - 1 : model.count);
    }
}

static void check_seeks(kvt_rng *rng)
{
    for (size_t i = 0; i < model.count; i++) {
        kvt_entry e = model.entries[i];

        check_seek(e.key, e.tag);
        check_seek(e.key, e.tag + 1);
        check_seek(e.key, e.tag - 1);
        check_seek(e.key, 0);
        check_seek(e.key, KVI_TAG_NEWEST);
        if (e.key.len > 0)
            check_seek(kvi_slice_of(e.key.data, e.key.len - 1), e.tag);
    }
    for (size_t i = 0; i < 300; i++) {
        uint8_t key[16];
        size_t len = (size_t)kvt_rng_below(rng, sizeof key);

        for (size_t k = 0; k < len; k++)
            key[k] = (uint8_t)(255 - kvt_rng_below(rng, 5));
        check_seek(kvi_slice_of(key, len), kvt_rng_below(rng, 300000));
    }
    check_seek(kvi_slice_of(NULL, 0), 1);
}

/* A walk of random steps, which turns round in the middle of blocks and at their ends. */
static void check_wandering(kvt_rng *rng)
{
    size_t i = 0;

    cr_assert_eq(cursor->ops->first(cursor), KV_OK);
    for (size_t n = 0; n < 2000; n++) {
        bool up = kvt_rng_below(rng, 100) < 50;

        stands_on(i);
        if ((up && i + 1 == model.count) || (!up && i == 0))
            continue;
        cr_assert_eq(up ? cursor->ops->next(cursor) : cursor->ops->prev(cursor), KV_OK);
        i = up ? i + 1 : i - 1;
    }
}

static void check_all_shapes(enum kvi_sst_scan how)
{
    static const kvt_shape shapes[] = {{1, 5, 1, 10, 26},
                                       {300, 12, 1, 60, 3},
                                       {60, 8, 30, 20, 4},
                                       {500, 3, 2, 4, 26},
                                       {40, 900, 3, 900, 2}};
    static const uint32_t sizes[] = {1, 100, 4096};

    for (size_t i = 0; i < 30; i++) {
        kvt_rng rng;

        kvt_rng_init(&rng, i);
        kvt_model_random(&model, &rng, &shapes[i % 5]);
        start(sizes[i / 5 % 3], i < 15 ? KV_COMPRESS_NONE : 1, how);
        check_walks();
        check_seeks(&rng);
        check_wandering(&rng);
        stop();
    }
}

Test(table_cursor, agrees_with_the_model_through_the_cache, .init = setup, .fini = teardown)
{
    check_all_shapes(KVI_SST_CACHED);
}

Test(table_cursor, agrees_with_the_model_past_the_cache, .init = setup, .fini = teardown)
{
    check_all_shapes(KVI_SST_BULK);
}

Test(table_cursor, takes_keys_of_64_kib_and_values_of_1_mib, .init = setup, .fini = teardown)
{
    static const kvt_shape shape = {20, 66000, 2, 1 << 20, 1};

    for (int i = 0; i < 4; i++) {
        kvt_rng rng;

        kvt_rng_init(&rng, 1);
        kvt_model_random(&model, &rng, &shape);
        start(4096, i < 2 ? 1 : KV_COMPRESS_NONE, i % 2 ? KVI_SST_BULK : KVI_SST_CACHED);
        check_walks();
        stop();
    }
}

Test(table_cursor, allocates_nothing_once_warm, .init = setup, .fini = teardown)
{
    for (int i = 0; i < 4; i++) {
        kvt_rng rng;

        kvt_rng_init(&rng, 1);
        kvt_model_counted(&model, 3000, 30);
        start(1024, i < 2 ? 1 : KV_COMPRESS_NONE, i % 2 ? KVI_SST_BULK : KVI_SST_CACHED);
        check_walks();
        kvt_failmem_arm(&s.failmem, 0, true);
        check_walks();
        check_seeks(&rng);
        cr_assert(!kvt_failmem_disarm(&s.failmem));
        stop();
    }
}

Test(table_cursor, past_the_cache_reads_large_and_leaves_no_trace, .init = setup, .fini = teardown)
{
    uint64_t hits, misses;
    size_t reads, cached;

    kvt_model_counted(&model, 20000, 60);
    start(4096, KV_COMPRESS_NONE, KVI_SST_BULK);
    cached = kvi_budget_held(&s.budget, KVI_BUDGET_CACHE);
    reads = file.reads;
    check_walks();
    cr_assert(file.reads - reads <= 2 * (file.len / KVI_SST_READAHEAD + 2) + file.len / 100000,
              "%zu reads", (size_t)(file.reads - reads));
    kvi_sst_cache_counts(s.ctx.cache, &hits, &misses);
    cr_assert_eq(hits + misses, 0);
    cr_assert_eq(kvi_budget_held(&s.budget, KVI_BUDGET_CACHE), cached);
    cr_assert(kvi_budget_held(&s.budget, KVI_BUDGET_WORK) >= KVI_SST_READAHEAD);
    cursor->ops->close(cursor);
    cursor = NULL;
    cr_assert_eq(kvi_budget_held(&s.budget, KVI_BUDGET_WORK), 0);
}

Test(table_cursor, through_the_cache_reads_each_block_once, .init = setup, .fini = teardown)
{
    size_t reads;

    kvt_model_counted(&model, 5000, 60);
    start(4096, KV_COMPRESS_NONE, KVI_SST_CACHED);
    check_walks();
    reads = file.reads;
    check_walks();
    cr_assert_eq(file.reads, reads);
}

/* Moving within a block does not ask the cache again. */
Test(table_cursor, stays_in_its_block, .init = setup, .fini = teardown)
{
    uint64_t hits, misses;

    kvt_model_counted(&model, 30, 20);
    start(4096, KV_COMPRESS_NONE, KVI_SST_CACHED);
    for (size_t i = 0; i < model.count; i++)
        check_seek(model.entries[i].key, model.entries[i].tag);
    check_walks();
    kvi_sst_cache_counts(s.ctx.cache, &hits, &misses);
    cr_assert_eq(hits + misses, 1);
}

/* An error ends the walk, is named, and the cursor can be positioned elsewhere. */
static void check_errors(enum kvi_sst_scan how)
{
    uint64_t block = 20 * 1000;
    size_t n = 0;
    int err;

    kvt_model_counted(&model, 2000, 60);
    start(512, KV_COMPRESS_NONE, how);
    file.data[block] ^= 1;
    for (err = cursor->ops->first(cursor); !err && cursor->valid; n++) {
        stands_on(n);
        err = cursor->ops->next(cursor);
    }
    cr_assert_eq(err, KV_ECORRUPT);
    cr_assert(!cursor->valid && n > 100);
    cr_assert_not_null(strstr(kvi_error_detail(), "table 000003.sst: block at offset "));
    cr_assert_eq(cursor->ops->seek(cursor, model.entries[n].key, KVI_TAG_NEWEST), KV_ECORRUPT);
    cr_assert(!cursor->valid);
    cr_assert_eq(cursor->ops->first(cursor), KV_OK);
    stands_on(0);
    for (n = 0, err = cursor->ops->last(cursor); !err && cursor->valid; n++) {
        stands_on(model.count - 1 - n);
        err = cursor->ops->prev(cursor);
    }
    cr_assert_eq(err, KV_ECORRUPT);
    file.data[block] ^= 1;
    kvi_sst_cache_drop_file(s.ctx.cache, FILE_NO);
    check_walks();
}

Test(table_cursor, stops_at_damage_through_the_cache, .init = setup, .fini = teardown)
{
    check_errors(KVI_SST_CACHED);
}

Test(table_cursor, stops_at_damage_past_the_cache, .init = setup, .fini = teardown)
{
    check_errors(KVI_SST_BULK);
}

/* Whatever allocation fails: KV_ENOMEM, and the next try goes on. */
static void check_failed_allocations(enum kvi_sst_scan how)
{
    bool failed = true;
    size_t n;

    kvt_model_counted(&model, 300, 60);
    start(512, 1, how);
    for (n = 0; failed; n++) {
        kvi_cursor *c = NULL;
        size_t i = 0;
        int err;

        kvi_sst_cache_drop_file(s.ctx.cache, FILE_NO);
        kvt_failmem_arm(&s.failmem, n, false);
        err = kvi_sst_table_cursor(table, how, &c);
        if (!err)
            err = c->ops->first(c);
        for (; !err && c->valid; i++)
            err = c->ops->next(c);
        failed = kvt_failmem_disarm(&s.failmem);
        cr_assert_eq(err, failed ? KV_ENOMEM : KV_OK);
        cr_assert(failed || i == model.count);
        if (c)
            c->ops->close(c);
    }
    cr_assert(n > 4);
}

Test(table_cursor, survives_each_failed_allocation_through_the_cache, .init = setup,
     .fini = teardown)
{
    check_failed_allocations(KVI_SST_CACHED);
}

Test(table_cursor, survives_each_failed_allocation_past_the_cache, .init = setup, .fini = teardown)
{
    check_failed_allocations(KVI_SST_BULK);
}

Test(table_cursor, passes_on_what_the_disk_says, .init = setup, .fini = teardown)
{
    for (int i = 0; i < 2; i++) {
        kvt_model_counted(&model, 100, 60);
        start(512, 1, i ? KVI_SST_BULK : KVI_SST_CACHED);
        file.read_err = KV_EIO;
        cr_assert_eq(cursor->ops->first(cursor), KV_EIO);
        cr_assert(!cursor->valid);
        file.read_err = 0;
        check_walks();
        stop();
    }
}
