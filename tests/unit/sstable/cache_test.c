/* The block cache: what is in it, what it costs, what stays under pressure, and many threads at
 * once. */
#include <criterion/criterion.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "sstable/cache_policy.h"
#include "support/sst.h"

#define BLOCK_LEN 4000u

static kvt_sst s;
static kvt_memfile file; /* one stored block, that all blocks of these tests are read from */
static kvi_sst_handle stored;

static void setup_limit(size_t limit)
{
    static const uint8_t raw[BLOCK_LEN] = {1, 2, 3};
    kvi_buf out, scratch;

    kvt_sst_init(&s, limit);
    kvt_memfile_init(&file);
    kvi_buf_init(&out, &s.mem);
    kvi_buf_init(&scratch, &s.mem);
    cr_assert_eq(kvi_sst_block_seal(&s.ctx, 1, 0, KVI_SST_DATA, KV_COMPRESS_NONE,
                                    kvi_slice_of(raw, sizeof raw), &scratch, &out),
                 KV_OK);
    kvt_memfile_set(&file, out.data, out.len);
    stored = (kvi_sst_handle){0, out.len};
    kvi_buf_deinit(&out);
    kvi_buf_deinit(&scratch);
}

static void setup(void)
{
    setup_limit(1 << 20);
}

static void teardown(void)
{
    kvt_memfile_deinit(&file);
    kvt_sst_deinit(&s);
}

static kvi_sst_block *read_block(void)
{
    kvi_sst_block *b;

    cr_assert_eq(
        kvi_sst_block_read(&s.ctx, &file.base, 1, stored, KVI_SST_DATA, KVI_BUDGET_CACHE, &b),
        KV_OK);
    return b;
}

/* As a read through the cache does it; whether it was a hit. */
static bool touch(uint64_t file_no, uint64_t offset)
{
    kvi_sst_block *b = kvi_sst_cache_get(s.ctx.cache, file_no, offset);
    bool hit = b != NULL;

    if (!hit) {
        b = read_block();
        kvi_sst_cache_put(s.ctx.cache, file_no, offset, b);
    }
    kvi_sst_block_unref(b);
    return hit;
}

static bool has(uint64_t file_no, uint64_t offset)
{
    kvi_sst_block *b = kvi_sst_cache_get(s.ctx.cache, file_no, offset);

    kvi_sst_block_unref(b);
    return b != NULL;
}

static size_t used(void)
{
    return atomic_load(&s.budget.used);
}

Test(cache, gives_what_was_put, .init = setup, .fini = teardown)
{
    kvi_sst_block *b = read_block(), *other = read_block(), *got;
    uint64_t hits, misses;

    cr_assert_null(kvi_sst_cache_get(s.ctx.cache, 7, 4096));
    kvi_sst_cache_put(s.ctx.cache, 7, 4096, b);
    kvi_sst_cache_put(s.ctx.cache, 7, 4096, other); /* too late: the first stays */
    got = kvi_sst_cache_get(s.ctx.cache, 7, 4096);
    cr_assert_eq(got, b);
    cr_assert_null(kvi_sst_cache_get(s.ctx.cache, 7, 4097));
    cr_assert_null(kvi_sst_cache_get(s.ctx.cache, 8, 4096));
    kvi_sst_cache_counts(s.ctx.cache, &hits, &misses);
    cr_assert_eq(hits, 1);
    cr_assert_eq(misses, 3);
    kvi_sst_block_unref(got);
    kvi_sst_block_unref(other);
    kvi_sst_block_unref(b);
}

Test(cache, charges_all_that_it_holds, .init = setup, .fini = teardown)
{
    size_t empty = used(), per_block;

    cr_assert(!touch(1, 0));
    per_block = used() - empty;
    cr_assert(per_block >= BLOCK_LEN + sizeof(kvi_sst_block));
    for (uint64_t i = 1; i < 100; i++)
        touch(1, i * 4096);
    cr_assert_eq(used(), empty + 100 * per_block);
    cr_assert_eq(used(), kvi_budget_held(&s.budget, KVI_BUDGET_CACHE));
    kvi_sst_cache_drop_file(s.ctx.cache, 1);
    cr_assert_eq(used(), empty);
}

Test(cache, grows_its_tables_and_charges_them, .init = setup, .fini = teardown)
{
    size_t blocks = 0;

    kvi_sst_cache_free(s.ctx.cache);
    s.budget.limit = (size_t)64 << 20;
    cr_assert_eq(kvi_sst_cache_new(&s.mem, &s.budget, NULL, &s.ctx.cache), KV_OK);
    for (uint64_t i = 0; i < 8000; i++)
        touch(i, i);
    for (uint64_t i = 0; i < 8000; i++)
        blocks += has(i, i);
    cr_assert_eq(blocks, 8000);
    cr_assert(used() > 8000 * (sizeof(kvi_sst_block) + BLOCK_LEN + sizeof(void *)));
}

Test(cache, never_passes_the_limit, .init = setup, .fini = teardown)
{
    kvt_rng rng;

    kvt_rng_init(&rng, 3);
    for (size_t i = 0; i < 20000; i++) {
        touch(kvt_rng_below(&rng, 4), kvt_rng_below(&rng, 1000));
        cr_assert(used() <= s.budget.limit, "%zu of %zu after %zu", used(), s.budget.limit, i);
    }
    cr_assert(used() > s.budget.limit - 3 * BLOCK_LEN, "%zu unused", s.budget.limit - used());
}

/* The 65th block of one shard makes its tables grow, here by more than the budget has left. */
Test(cache, never_passes_the_limit_where_it_grows, .init = setup, .fini = teardown)
{
    size_t empty = used(), blocks = 0;

    for (uint64_t i = 0; blocks <= 64; i++) {
        if (kvi_sst_policy_hash(1, i) / (UINT64_MAX / KVI_SST_CACHE_SHARDS + 1) != 3)
            continue;
        if (blocks == 64)
            s.budget.limit = used() + (used() - empty) / blocks + 100;
        touch(1, i);
        blocks++;
    }
    cr_assert(used() <= s.budget.limit, "%zu of %zu", used(), s.budget.limit);
}

Test(cache, gives_back_what_others_reserve, .init = setup, .fini = teardown)
{
    size_t half = s.budget.limit / 2;

    for (uint64_t i = 0; i < 1000; i++)
        touch(1, i);
    cr_assert_eq(kvi_budget_reserve(&s.budget, KVI_BUDGET_MEMTABLE, half), KV_OK);
    cr_assert(used() <= s.budget.limit);
    cr_assert(kvi_budget_held(&s.budget, KVI_BUDGET_CACHE) > half - 20 * BLOCK_LEN);
    for (uint64_t i = 0; i < 1000; i++)
        touch(2, i);
    cr_assert(used() <= s.budget.limit);
    kvi_budget_release(&s.budget, KVI_BUDGET_MEMTABLE, half);
}

Test(cache, reclaims_all_that_is_not_pinned, .init = setup, .fini = teardown)
{
    size_t empty = used(), pinned_bytes = 0;
    kvi_sst_block *pinned[20];

    for (uint64_t i = 0; i < 100; i++)
        touch(1, i);
    for (uint64_t i = 0; i < 20; i++) {
        pinned[i] = kvi_sst_cache_get(s.ctx.cache, 1, i);
        cr_assert_not_null(pinned[i]);
        pinned_bytes += pinned[i]->charged;
    }
    cr_assert(kvi_sst_cache_reclaim(s.ctx.cache, 1) > 0);
    cr_assert(kvi_sst_cache_reclaim(s.ctx.cache, 10 * BLOCK_LEN) >= 10 * BLOCK_LEN);
    (void)kvi_sst_cache_reclaim(s.ctx.cache, SIZE_MAX);
    cr_assert_eq(used(), empty + pinned_bytes);
    cr_assert_eq(kvi_sst_cache_reclaim(s.ctx.cache, 1), 0);
    for (uint64_t i = 0; i < 20; i++) {
        cr_assert(has(1, i), "a pinned block is still there for others");
        kvi_sst_block_unref(pinned[i]);
    }
    (void)kvi_sst_cache_reclaim(s.ctx.cache, SIZE_MAX);
    cr_assert_eq(used(), empty);
}

Test(cache, declines_where_nothing_can_go, .init = setup, .fini = teardown)
{
    kvi_sst_block *b;
    size_t empty = used();

    kvi_budget_charge(&s.budget, KVI_BUDGET_MEMTABLE, s.budget.limit);
    b = read_block();
    kvi_sst_cache_put(s.ctx.cache, 1, 0, b);
    cr_assert(!has(1, 0));
    cr_assert_eq(kvi_budget_held(&s.budget, KVI_BUDGET_CACHE), empty + b->charged);
    kvi_sst_block_unref(b);
    kvi_budget_release(&s.budget, KVI_BUDGET_MEMTABLE, s.budget.limit);
    cr_assert_eq(used(), empty);
}

Test(cache, drops_one_file_and_leaves_pinned_blocks_alive, .init = setup, .fini = teardown)
{
    kvi_sst_block *b;

    for (uint64_t i = 0; i < 50; i++) {
        touch(1, i);
        touch(2, i);
    }
    b = kvi_sst_cache_get(s.ctx.cache, 1, 7);
    kvi_sst_cache_drop_file(s.ctx.cache, 1);
    for (uint64_t i = 0; i < 50; i++) {
        cr_assert(!has(1, i));
        cr_assert(has(2, i));
    }
    cr_assert_eq(b->len, BLOCK_LEN);
    cr_assert_eq(b->data[2], 3);
    kvi_sst_block_unref(b);
}

/* A hot set of a third of the cache, asked for again and again, while ten times the cache passes
 * through once. */
Test(cache, keeps_the_hot_set_through_a_scan, .init = setup, .fini = teardown)
{
    size_t fits = s.budget.limit / (BLOCK_LEN + sizeof(kvi_sst_block));
    uint64_t hot = fits / 3;
    size_t kept = 0;

    for (int round = 0; round < 4; round++) {
        for (uint64_t i = 0; i < hot; i++)
            touch(1, i);
    }
    for (uint64_t i = 0; i < 10 * fits; i++)
        touch(2, i);
    for (uint64_t i = 0; i < hot; i++)
        kept += has(1, i);
    cr_assert(kept * 100 >= hot * 95, "%zu of %zu", kept, (size_t)hot);
}

/* A skewed load must hit about as often as the share of the hottest blocks says. */
Test(cache, hits_a_skewed_load_well, .init = setup, .fini = teardown)
{
    size_t hits = 0, asked = 0;
    kvt_rng rng;

    kvt_rng_init(&rng, 5);
    for (size_t i = 0; i < 60000; i++) {
        bool hot = kvt_rng_below(&rng, 10) < 8; /* four fifths go to 120 of 10,000 blocks */
        bool hit = touch(1, hot ? kvt_rng_below(&rng, 120) : 1000 + kvt_rng_below(&rng, 10000));

        if (i >= 20000) {
            hits += hit;
            asked++;
        }
    }
    cr_assert(hits * 100 >= asked * 78, "%zu of %zu", hits, asked);
}

Test(cache, comes_with_all_its_memory_or_not_at_all, .init = setup, .fini = teardown)
{
    size_t live = kvt_failmem_live(&s.failmem), before = used();
    bool failed = true;
    size_t n;

    for (n = 0; failed; n++) {
        kvi_sst_cache *c = NULL;
        int err;

        kvt_failmem_arm(&s.failmem, n, false);
        err = kvi_sst_cache_new(&s.mem, &s.budget, NULL, &c);
        failed = kvt_failmem_disarm(&s.failmem);
        /* Ghosts are a luxury: without them it works as well. */
        cr_assert(err == KV_OK ? c != NULL : err == KV_ENOMEM && failed && !c);
        kvi_sst_cache_free(c);
        cr_assert_eq(kvt_failmem_live(&s.failmem), live);
        cr_assert_eq(used(), before);
    }
    cr_assert(n > KVI_SST_CACHE_SHARDS);
}

Test(cache, works_on_where_it_cannot_grow, .init = setup, .fini = teardown)
{
    kvi_sst_block *b[200];

    kvi_sst_cache_free(s.ctx.cache);
    s.budget.limit = (size_t)16 << 20;
    cr_assert_eq(kvi_sst_cache_new(&s.mem, &s.budget, NULL, &s.ctx.cache), KV_OK);
    for (uint64_t i = 0; i < 1500; i += 200) {
        for (size_t j = 0; j < 200; j++)
            b[j] = read_block();
        kvt_failmem_arm(&s.failmem, 0, true);
        for (size_t j = 0; j < 200; j++)
            kvi_sst_cache_put(s.ctx.cache, 1, i + j, b[j]);
        (void)kvt_failmem_disarm(&s.failmem);
        for (size_t j = 0; j < 200; j++)
            kvi_sst_block_unref(b[j]);
    }
    for (uint64_t i = 0; i < 1600; i++)
        cr_assert(has(1, i));
}

/* --- threads ------------------------------------------------------------------------------ */

#define THREADS 4

static void *hammer(void *arg)
{
    uint64_t seed = *(uint64_t *)arg;
    kvi_sst_block *held[8] = {NULL};
    kvt_rng rng;

    kvt_rng_init(&rng, seed);
    for (size_t i = 0; i < 5000; i++) {
        uint64_t file_no = kvt_rng_below(&rng, 3), offset = kvt_rng_below(&rng, 200);
        size_t slot = (size_t)kvt_rng_below(&rng, 8);
        kvi_sst_block *b;

        kvi_sst_block_unref(held[slot]);
        held[slot] = NULL;
        b = kvi_sst_cache_get(s.ctx.cache, file_no, offset);
        if (!b) {
            b = read_block();
            kvi_sst_cache_put(s.ctx.cache, file_no, offset, b);
        }
        cr_assert(b->len == BLOCK_LEN && b->data[2] == 3);
        held[slot] = b;
        if (kvt_rng_below(&rng, 500) == 0)
            kvi_sst_cache_drop_file(s.ctx.cache, file_no);
        if (kvt_rng_below(&rng, 100) == 0)
            (void)kvi_sst_cache_reclaim(s.ctx.cache, 10 * BLOCK_LEN);
    }
    for (size_t i = 0; i < 8; i++)
        kvi_sst_block_unref(held[i]);
    return NULL;
}

Test(cache, serves_many_threads, .init = setup, .fini = teardown)
{
    pthread_t threads[THREADS];
    uint64_t seeds[THREADS];

    for (size_t i = 0; i < THREADS; i++) {
        seeds[i] = i;
        cr_assert_eq(pthread_create(&threads[i], NULL, hammer, &seeds[i]), 0);
    }
    for (size_t i = 0; i < THREADS; i++)
        cr_assert_eq(pthread_join(threads[i], NULL), 0);
    (void)touch(9, 9);
    cr_assert(used() <= s.budget.limit);
}
