/* Opening and asking tables, against a model; failures; threads. */
#include <criterion/criterion.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "base/hash.h"
#include "support/one_table.h"

static kvt_one_table one;

static void setup(void)
{
    kvt_one_init(&one);
}

static void teardown(void)
{
    kvt_one_deinit(&one);
}

static void check_model(void)
{
    for (size_t i = 0; i < one.model.count; i++) {
        kvt_entry e = one.model.entries[i];

        cr_assert_eq(kvt_one_ask(&one, e.key, e.tag), KV_OK);
        cr_assert_eq(kvt_one_ask(&one, e.key, e.tag - 1), KV_OK);
        cr_assert_eq(kvt_one_ask(&one, e.key, e.tag + 1), KV_OK);
        cr_assert_eq(kvt_one_ask(&one, e.key, 0), KV_OK);
        cr_assert_eq(kvt_one_ask(&one, e.key, KVI_TAG_NEWEST), KV_OK);
        if (e.key.len > 0)
            cr_assert_eq(kvt_one_ask(&one, kvi_slice_of(e.key.data, e.key.len - 1), e.tag), KV_OK);
    }
}

Test(table, answers_as_the_model_does, .init = setup, .fini = teardown)
{
    static const kvt_shape shapes[] = {{1, 5, 1, 10, 26},  {300, 12, 1, 60, 3},
                                       {60, 8, 30, 20, 4}, {2, 3, 400, 30, 2},
                                       {500, 3, 2, 4, 26}, {40, 900, 3, 900, 2}};
    static const uint32_t sizes[] = {1, 100, 4096};

    for (size_t i = 0; i < 36; i++) {
        kvt_rng rng;

        kvt_rng_init(&rng, i);
        kvt_model_random(&one.model, &rng, &shapes[i % 6]);
        kvt_one_build(&one, sizes[i / 6 % 3], i < 18 ? KV_COMPRESS_NONE : 1);
        cr_assert_eq(kvt_one_open(&one), KV_OK);
        check_model();
        for (size_t j = 0; j < 200; j++) {
            uint8_t key[16];
            size_t len = (size_t)kvt_rng_below(&rng, sizeof key);

            for (size_t k = 0; k < len; k++)
                key[k] = (uint8_t)(255 - kvt_rng_below(&rng, 5));
            cr_assert_eq(kvt_one_ask(&one, kvi_slice_of(key, len), kvt_rng_below(&rng, 1000) << 8),
                         KV_OK);
        }
        kvt_one_close(&one);
        kvt_model_deinit(&one.model);
    }
}

Test(table, takes_keys_of_64_kib_and_values_of_1_mib, .init = setup, .fini = teardown)
{
    static const kvt_shape shape = {20, 66000, 2, 1 << 20, 1};
    kvt_rng rng;

    kvt_rng_init(&rng, 1);
    kvt_model_random(&one.model, &rng, &shape);
    kvt_one_build(&one, 4096, 1);
    cr_assert_eq(kvt_one_open(&one), KV_OK);
    check_model();
}

Test(table, says_what_it_holds, .init = setup, .fini = teardown)
{
    static const kvt_shape shape = {300, 20, 3, 50, 3};
    kvi_sst_builder_options o = {KVT_ONE_FILE_NO, 4096, 1};
    const kvi_sst_meta *meta;
    kvi_sst_built built;
    kvt_rng rng;

    kvt_rng_init(&rng, 1);
    kvt_model_random(&one.model, &rng, &shape);
    cr_assert_eq(kvt_sst_build(&one.s, &one.model, &o, &one.file, &built), KV_OK);
    cr_assert_eq(kvt_one_open(&one), KV_OK);
    meta = kvi_sst_table_meta(one.table);
    cr_assert_eq(meta->entries, built.entries);
    cr_assert_eq(meta->deletes, built.deletes);
    cr_assert_eq(meta->seq_min, built.seq_min);
    cr_assert_eq(meta->seq_max, built.seq_max);
    cr_assert_eq(meta->raw_bytes, built.raw_bytes);
    cr_assert(kvi_slice_eq(meta->smallest, built.smallest));
    cr_assert(kvi_slice_eq(meta->largest, built.largest));
    cr_assert_eq(kvi_sst_table_memory(one.table), kvi_budget_held(&one.s.budget, KVI_BUDGET_TABLE));
}

Test(table, owns_its_file_from_a_successful_open_on, .init = setup, .fini = teardown)
{
    kvt_model_counted(&one.model, 10, 10);
    kvt_one_build(&one, 4096, 1);
    one.file.data[one.file.len - 1] ^= 1;
    cr_assert_eq(kvt_one_open(&one), KV_ECORRUPT);
    cr_assert_eq(one.file.closed, 0);
    one.file.data[one.file.len - 1] ^= 1;
    cr_assert_eq(kvt_one_open(&one), KV_OK);
    cr_assert_eq(one.file.closed, 0);
    kvt_one_close(&one);
    cr_assert_eq(one.file.closed, 1);
    cr_assert_eq(kvi_budget_held(&one.s.budget, KVI_BUDGET_TABLE), 0);
}

Test(table, asks_the_filter_first_and_reads_a_block_once, .init = setup, .fini = teardown)
{
    kvi_sst_get_info info = {false, false};
    kvi_sst_found found;
    size_t reads, passed = 0;
    kvt_entry e;

    kvt_model_counted(&one.model, 1000, 50);
    kvt_one_build(&one, 4096, 1);
    cr_assert_eq(kvt_one_open(&one), KV_OK);
    reads = one.file.reads;
    e = one.model.entries[500];
    for (size_t i = 0; i < 1000; i++) { /* in range, but not there */
        uint8_t key[KVT_COUNTED_KEY_LEN + 1];

        kvt_counted_key(key, i);
        key[KVT_COUNTED_KEY_LEN] = 'x';
        cr_assert_eq(kvi_sst_table_get(one.table, kvi_slice_of(key, sizeof key),
                                       kvi_hash64(key, sizeof key, one.s.ctx.filter_seed),
                                       KVI_TAG_NEWEST, false, &found, &info),
                     KV_OK);
        cr_assert(!found.found && info.filter_asked);
        passed += !info.filter_no;
    }
    cr_assert(passed < 30, "%zu of 1000", passed);
    cr_assert(one.file.reads - reads <= passed);
    kvi_sst_cache_drop_file(one.s.ctx.cache, KVT_ONE_FILE_NO);
    reads = one.file.reads;
    cr_assert_eq(kvi_sst_table_get(one.table, e.key,
                                   kvi_hash64(e.key.data, e.key.len, one.s.ctx.filter_seed),
                                   KVI_TAG_NEWEST, true, &found, &info),
                 KVI_AGAIN);
    cr_assert(info.filter_asked && !info.filter_no);
    cr_assert_eq(one.file.reads, reads);
    cr_assert_eq(kvt_one_ask(&one, e.key, e.tag), KV_OK);
    cr_assert_eq(one.file.reads, reads + 1);
    cr_assert_eq(kvt_one_ask(&one, e.key, e.tag), KV_OK);
    cr_assert_eq(one.file.reads, reads + 1);
    cr_assert_eq(kvi_sst_table_get(one.table, e.key,
                                   kvi_hash64(e.key.data, e.key.len, one.s.ctx.filter_seed),
                                   KVI_TAG_NEWEST, true, &found, &info),
                 KV_OK);
    cr_assert(found.found);
    kvi_sst_block_unref(found.block);
}

/* Versions of one key over many blocks: one block is read, the right one. */
Test(table, reads_one_block_for_any_version, .init = setup, .fini = teardown)
{
    static const kvt_shape shape = {1, 4, 900, 40, 26};
    kvt_rng rng;

    kvt_rng_init(&rng, 2);
    kvt_model_random(&one.model, &rng, &shape);
    cr_assert(one.model.count > 300);
    kvt_one_build(&one, 200, KV_COMPRESS_NONE);
    cr_assert_eq(kvt_one_open(&one), KV_OK);
    for (size_t i = 0; i < one.model.count; i++) {
        size_t reads;

        kvi_sst_cache_drop_file(one.s.ctx.cache, KVT_ONE_FILE_NO);
        reads = one.file.reads;
        cr_assert_eq(kvt_one_ask(&one, one.model.entries[i].key, one.model.entries[i].tag), KV_OK);
        cr_assert_eq(one.file.reads, reads + 1);
        cr_assert_eq(kvt_one_ask(&one, one.model.entries[i].key, one.model.entries[i].tag - 1),
                     KV_OK);
    }
}

Test(table, lends_values_that_outlive_table_and_cache, .init = setup, .fini = teardown)
{
    kvi_sst_found found;

    kvt_model_counted(&one.model, 100, 50);
    kvt_one_build(&one, 4096, 1);
    cr_assert_eq(kvt_one_open(&one), KV_OK);
    cr_assert_eq(kvt_sst_get(&one.s, one.table, one.model.entries[3].key, KVI_TAG_NEWEST, &found),
                 KV_OK);
    kvt_one_close(&one);
    kvi_sst_cache_drop_file(one.s.ctx.cache, KVT_ONE_FILE_NO);
    cr_assert(kvi_slice_eq(found.value, one.model.entries[3].value));
    kvi_sst_block_unref(found.block);
}

/* --- failures ----------------------------------------------------------------------------- */

Test(table, open_survives_each_failed_allocation, .init = setup, .fini = teardown)
{
    size_t live = kvt_failmem_live(&one.s.failmem);
    bool failed = true;
    size_t n;

    kvt_model_counted(&one.model, 200, 20);
    kvt_one_build(&one, 256, 1);
    for (n = 0; failed; n++) {
        int err;

        kvt_failmem_arm(&one.s.failmem, n, false);
        err = kvt_one_open(&one);
        failed = kvt_failmem_disarm(&one.s.failmem);
        cr_assert_eq(err, failed ? KV_ENOMEM : KV_OK);
        if (!err)
            kvt_one_close(&one);
        cr_assert(kvt_failmem_live(&one.s.failmem) <= live + 4); /* what the codec keeps */
        cr_assert_eq(kvi_budget_held(&one.s.budget, KVI_BUDGET_TABLE), 0);
    }
    cr_assert(n > 4);
}

Test(table, get_survives_failed_allocations_and_reads, .init = setup, .fini = teardown)
{
    kvi_sst_found found = {.found = false};
    bool failed = true;

    kvt_model_counted(&one.model, 200, 20);
    kvt_one_build(&one, 256, 1);
    cr_assert_eq(kvt_one_open(&one), KV_OK);
    for (size_t n = 0; failed; n++) {
        int err;

        kvi_sst_cache_drop_file(one.s.ctx.cache, KVT_ONE_FILE_NO);
        kvt_failmem_arm(&one.s.failmem, n, false);
        err = kvt_sst_get(&one.s, one.table, one.model.entries[7].key, KVI_TAG_NEWEST, &found);
        failed = kvt_failmem_disarm(&one.s.failmem);
        cr_assert_eq(err, failed ? KV_ENOMEM : KV_OK);
    }
    kvi_sst_block_unref(found.block);
    kvi_sst_cache_drop_file(one.s.ctx.cache, KVT_ONE_FILE_NO);
    one.file.read_err = KV_EIO;
    cr_assert_eq(kvt_sst_get(&one.s, one.table, one.model.entries[7].key, KVI_TAG_NEWEST, &found),
                 KV_EIO);
    kvt_one_close(&one);
    cr_assert_eq(kvt_one_open(&one), KV_EIO);
    one.file.read_err = 0;
}

/* --- threads ------------------------------------------------------------------------------ */

#define THREADS 4

static void *ask_and_walk(void *arg)
{
    kvt_rng rng;
    kvi_cursor *c;

    kvt_rng_init(&rng, *(uint64_t *)arg);
    cr_assert_eq(
        kvi_sst_table_cursor(one.table, *(uint64_t *)arg % 2 ? KVI_SST_BULK : KVI_SST_CACHED, &c),
        KV_OK);
    for (size_t i = 0; i < 3000; i++) {
        size_t n = (size_t)kvt_rng_below(&rng, one.model.count);
        const kvt_entry *e = &one.model.entries[n];

        cr_assert_eq(kvt_one_ask(&one, e->key, e->tag), KV_OK);
        if (i % 10 > 0)
            continue;
        cr_assert_eq(c->ops->seek(c, e->key, e->tag), KV_OK);
        for (size_t j = 0; c->valid && j < 20; j++) {
            cr_assert(kvt_entry_same(&one.model.entries[n + j], c->key, c->tag, c->value));
            cr_assert_eq(c->ops->next(c), KV_OK);
        }
    }
    c->ops->close(c);
    return NULL;
}

Test(table, serves_many_threads_from_a_small_cache, .init = setup, .fini = teardown)
{
    pthread_t threads[THREADS];
    uint64_t seeds[THREADS];

    kvt_model_counted(&one.model, 3000, 50);
    kvt_one_build(&one, 1024, 1);
    cr_assert_eq(kvt_one_open(&one), KV_OK);
    one.s.budget.limit = atomic_load(&one.s.budget.used) + 100000;
    for (size_t i = 0; i < THREADS; i++) {
        seeds[i] = i;
        cr_assert_eq(pthread_create(&threads[i], NULL, ask_and_walk, &seeds[i]), 0);
    }
    for (size_t i = 0; i < THREADS; i++)
        cr_assert_eq(pthread_join(threads[i], NULL), 0);
}
