/* Walking and searching a block, against the sorted entries that it was built from, and over
 * bytes that are no block. */
#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>

#include "base/bytes.h"
#include "sstable/block_builder.h"
#include "sstable/block_cursor.h"
#include "sstable/block_search.h"
#include "support/sst.h"

static kvt_failmem failmem;
static kvi_mem mem;
static kvi_sst_block_builder builder;
static kvi_sst_block_cursor cursor;
static kvt_model model;

static void setup(void)
{
    kvt_failmem_init(&failmem, &mem);
    kvi_sst_block_builder_init(&builder, &mem, KVI_SST_RESTART_INTERVAL);
    kvi_sst_block_cursor_init(&cursor, &mem);
    memset(&model, 0, sizeof model);
}

static void teardown(void)
{
    kvt_model_deinit(&model);
    kvi_sst_block_builder_deinit(&builder);
    kvi_sst_block_cursor_deinit(&cursor);
    cr_assert_eq(kvt_failmem_live(&failmem), 0);
}

static kvi_slice build(uint32_t interval)
{
    kvi_slice raw;

    kvi_sst_block_builder_reset(&builder);
    builder.interval = interval;
    for (size_t i = 0; i < model.count; i++) {
        const kvt_entry *e = &model.entries[i];

        cr_assert_eq(kvi_sst_block_builder_add(&builder, e->key, e->tag, e->value), KV_OK);
    }
    cr_assert_eq(kvi_sst_block_builder_finish(&builder, &raw), KV_OK);
    return raw;
}

/* A copy without a byte to spare, so that the sanitizer sees a read outside. */
static uint8_t *tight_copy(kvi_slice raw)
{
    uint8_t *copy = malloc(raw.len > 0 ? raw.len : 1);

    cr_assert_not_null(copy);
    if (raw.len > 0)
        memcpy(copy, raw.data, raw.len);
    return copy;
}

static void stands_on(size_t i)
{
    if (i >= model.count) {
        cr_assert(!cursor.c.valid, "stands although nothing is there");
        return;
    }
    cr_assert(cursor.c.valid, "nothing at %zu of %zu", i, model.count);
    cr_assert(kvt_entry_same(&model.entries[i], cursor.c.key, cursor.c.tag, cursor.c.value),
              "another entry at %zu of %zu", i, model.count);
}

static void check_walks(void)
{
    cr_assert_eq(cursor.c.ops->first(&cursor.c), KV_OK);
    for (size_t i = 0; i <= model.count; i++) {
        stands_on(i);
        if (cursor.c.valid)
            cr_assert_eq(cursor.c.ops->next(&cursor.c), KV_OK);
    }
    cr_assert_eq(cursor.c.ops->last(&cursor.c), KV_OK);
    for (size_t i = model.count; i-- > 0;) {
        stands_on(i);
        cr_assert_eq(cursor.c.ops->prev(&cursor.c), KV_OK);
    }
    cr_assert(!cursor.c.valid);
}

/* Seek and get of one place; seek goes on both ways. */
static void check_place(kvi_slice raw, kvi_slice key, uint64_t tag)
{
    size_t i = kvt_model_seek(&model, key, tag);
    const kvt_entry *wanted = kvt_model_get(&model, key, tag);
    bool found = !wanted;
    uint64_t found_tag = 0;
    kvi_slice value = {NULL, 0};

    cr_assert_eq(cursor.c.ops->seek(&cursor.c, key, tag), KV_OK);
    stands_on(i);
    if (cursor.c.valid) {
        cr_assert_eq(cursor.c.ops->prev(&cursor.c), KV_OK);
        stands_on(i > 0 ? i - 1 : model.count);
        cr_assert_eq(cursor.c.ops->seek(&cursor.c, key, tag), KV_OK);
        cr_assert_eq(cursor.c.ops->next(&cursor.c), KV_OK);
        stands_on(i + 1);
    }
    cr_assert_eq(kvi_sst_block_get(raw, key, tag, &found, &found_tag, &value), KV_OK);
    cr_assert_eq(found, wanted != NULL);
    cr_assert(!wanted || kvt_entry_same(wanted, key, found_tag, value));
}

static void check_places(kvi_slice raw, kvt_rng *rng, size_t key_max, unsigned letters)
{
    uint8_t *key = malloc(key_max + 2);

    cr_assert_not_null(key);
    for (size_t i = 0; i < model.count; i++) {
        const kvt_entry *e = &model.entries[i];

        check_place(raw, e->key, e->tag);
        check_place(raw, e->key, e->tag + 1);
        check_place(raw, e->key, e->tag - 1);
        check_place(raw, e->key, 0);
        check_place(raw, e->key, KVI_TAG_NEWEST);
        if (e->key.len > 0)
            check_place(raw, kvi_slice_of(e->key.data, e->key.len - 1), e->tag);
        memcpy(key, e->key.data, e->key.len);
        key[e->key.len] = 0;
        check_place(raw, kvi_slice_of(key, e->key.len + 1), e->tag);
    }
    for (size_t i = 0; i < 500; i++) {
        size_t len = (size_t)kvt_rng_below(rng, key_max + 2);

        for (size_t j = 0; j < len; j++)
            key[j] = (uint8_t)(255 - kvt_rng_below(rng, letters + 1));
        check_place(raw, kvi_slice_of(key, len), kvt_rng_below(rng, 1000) << 8);
    }
    check_place(raw, kvi_slice_of(NULL, 0), 0);
    free(key);
}

static void check_shape(const kvt_shape *shape, uint64_t seed)
{
    static const uint32_t intervals[] = {1, 2, 3, 16, 1000};
    kvt_rng rng;

    kvt_rng_init(&rng, seed);
    kvt_model_random(&model, &rng, shape);
    for (size_t i = 0; i < sizeof intervals / sizeof intervals[0]; i++) {
        kvi_slice built = build(intervals[i]);
        uint8_t *copy = tight_copy(built);
        kvi_slice raw = {copy, built.len};

        cr_assert_eq(kvi_sst_block_cursor_set(&cursor, raw), KV_OK);
        check_walks();
        check_places(raw, &rng, shape->key_max, shape->letters);
        free(copy);
    }
    kvt_model_deinit(&model);
}

Test(block_cursor, agrees_with_the_model, .init = setup, .fini = teardown)
{
    static const kvt_shape shapes[] = {
        {1, 10, 1, 10, 26},   {2, 1, 1, 0, 2},    {40, 3, 4, 20, 3},
        {100, 24, 2, 100, 4}, {60, 12, 20, 5, 2}, {30, 400, 2, 300, 2},
        {200, 2, 1, 3, 256},  {1, 5, 300, 8, 3},  {50, 40, 1, 0, 1},
    };

    for (size_t i = 0; i < sizeof shapes / sizeof shapes[0]; i++) {
        for (uint64_t seed = 1; seed <= 3; seed++)
            check_shape(&shapes[i], seed);
    }
}

Test(block_cursor, takes_keys_of_64_kib_and_values_of_1_mib, .init = setup, .fini = teardown)
{
    static const kvt_shape shape = {12, 70000, 2, 1 << 20, 1};
    kvt_rng rng;
    kvi_slice raw;

    kvt_rng_init(&rng, 7);
    kvt_model_random(&model, &rng, &shape);
    raw = build(4);
    cr_assert_eq(kvi_sst_block_cursor_set(&cursor, raw), KV_OK);
    check_walks();
    for (size_t i = 0; i < model.count; i++)
        check_place(raw, model.entries[i].key, model.entries[i].tag);
}

Test(block_cursor, over_nothing_stands_nowhere, .init = setup, .fini = teardown)
{
    for (int i = 0; i < 2; i++) {
        kvi_slice raw = i == 0 ? kvi_slice_of(NULL, 0) : build(1);

        cr_assert_eq(kvi_sst_block_cursor_set(&cursor, raw), KV_OK);
        check_walks();
        cr_assert_eq(kvi_sst_block_cursor_seek(&cursor, kvi_slice_of("k", 1), 0), KV_OK);
        cr_assert(!cursor.c.valid);
    }
}

Test(block_cursor, allocates_nothing_once_warm, .init = setup, .fini = teardown)
{
    kvi_slice raw;

    kvt_model_counted(&model, 200, 10);
    raw = build(16);
    cr_assert_eq(kvi_sst_block_cursor_set(&cursor, raw), KV_OK);
    check_walks();
    kvt_failmem_arm(&failmem, 0, true);
    cr_assert_eq(kvi_sst_block_cursor_set(&cursor, raw), KV_OK);
    check_walks();
    for (size_t i = 0; i < model.count; i++)
        check_place(raw, model.entries[i].key, model.entries[i].tag);
    cr_assert(!kvt_failmem_disarm(&failmem));
}

Test(block_cursor, says_when_memory_is_out_and_can_be_used_again, .init = setup, .fini = teardown)
{
    kvt_model_counted(&model, 4, 10);
    cr_assert_eq(kvi_sst_block_cursor_set(&cursor, build(16)), KV_OK);
    cr_assert_eq(kvi_sst_block_cursor_first(&cursor), KV_OK);
    kvt_failmem_arm(&failmem, 0, false);
    cr_assert_eq(kvi_sst_block_cursor_next(&cursor), KV_ENOMEM);
    cr_assert(!cursor.c.valid);
    cr_assert(kvt_failmem_disarm(&failmem));
    check_walks();
}

/* --- bytes that are no block --------------------------------------------------------------- */

/* Walks and searches; whatever the answers, they end, agree, and read nothing outside. */
static void survives(kvi_slice raw)
{
    size_t steps = 0;
    kvi_slice key = {"key00000002", 11}, value;
    bool found = false;
    uint64_t tag;
    int err = kvi_sst_block_cursor_set(&cursor, raw);
    int get_err = kvi_sst_block_get(raw, key, KVI_TAG_NEWEST, &found, &tag, &value);

    if (err || raw.len == 0) {
        cr_assert_eq(err, raw.len > 0 ? KV_ECORRUPT : KV_OK);
        cr_assert_eq(get_err, KV_ECORRUPT);
        return;
    }
    err = kvi_sst_block_cursor_seek(&cursor, key, KVI_TAG_NEWEST);
    cr_assert_eq(err, get_err);
    if (found) {
        cr_assert(cursor.c.valid && cursor.c.tag == tag && kvi_slice_eq(cursor.c.key, key));
        cr_assert_eq(cursor.c.value.data, value.data);
    }
    for (err = kvi_sst_block_cursor_first(&cursor); !err && cursor.c.valid; steps++)
        err = kvi_sst_block_cursor_next(&cursor);
    cr_assert(err == KV_OK || err == KV_ECORRUPT);
    for (err = kvi_sst_block_cursor_last(&cursor); !err && cursor.c.valid; steps++)
        err = kvi_sst_block_cursor_prev(&cursor);
    cr_assert(err == KV_OK || err == KV_ECORRUPT);
    cr_assert(steps <= 2 * raw.len);
}

Test(block_cursor, survives_each_flipped_bit_and_each_cut, .init = setup, .fini = teardown)
{
    kvi_slice raw;
    uint8_t *copy;

    kvt_model_counted(&model, 8, 5);
    raw = build(3);
    copy = tight_copy(raw);
    for (size_t i = 0; i < raw.len * 8; i++) {
        copy[i / 8] ^= (uint8_t)(1u << i % 8);
        survives(kvi_slice_of(copy, raw.len));
        copy[i / 8] ^= (uint8_t)(1u << i % 8);
    }
    free(copy);
    for (size_t len = 0; len < raw.len; len++) {
        copy = tight_copy(kvi_slice_of(raw.data, len));
        survives(kvi_slice_of(copy, len));
        free(copy);
    }
}

Test(block_cursor, survives_random_bytes_with_plausible_restarts, .init = setup, .fini = teardown)
{
    kvt_rng rng;

    kvt_rng_init(&rng, 99);
    for (size_t round = 0; round < 20000; round++) {
        size_t len = (size_t)kvt_rng_below(&rng, 120);
        uint32_t count = 1 + (uint32_t)kvt_rng_below(&rng, 4);
        size_t total = len + (count + 1) * sizeof(uint32_t);
        uint8_t *raw = malloc(total);

        cr_assert_not_null(raw);
        for (size_t i = 0; i < len; i++)
            raw[i] = (uint8_t)(kvt_rng_below(&rng, 4) == 0 ? kvt_rng_next(&rng)
                                                           : kvt_rng_below(&rng, 12));
        for (uint32_t i = 0; i < count; i++)
            kvi_put_u32(raw + len + i * 4, i == 0 ? 0 : (uint32_t)kvt_rng_below(&rng, len + 1));
        kvi_put_u32(raw + len + count * 4, count);
        survives(kvi_slice_of(raw, total));
        free(raw);
    }
}

/* A key that begins like one that the entry before does not have so long. */
Test(block_cursor, refuses_to_share_what_is_not_there, .init = setup, .fini = teardown)
{
    static const uint8_t raw[] = {
        0, 1, 0, 2, 0, 0, 0, 0, 0, 0, 0, 'a', /* "a" */
        2, 1, 0, 2, 0, 0, 0, 0, 0, 0, 0, 'b', /* two bytes of "a", then "b" */
        0, 0, 0, 0, 1, 0, 0, 0,
    };
    kvi_slice all = {raw, sizeof raw}, value;
    uint64_t tag;
    bool found;

    cr_assert_eq(kvi_sst_block_cursor_set(&cursor, all), KV_OK);
    cr_assert_eq(kvi_sst_block_cursor_first(&cursor), KV_OK);
    cr_assert_eq(kvi_sst_block_cursor_next(&cursor), KV_ECORRUPT);
    cr_assert_eq(kvi_sst_block_cursor_seek(&cursor, kvi_slice_of("z", 1), 1), KV_ECORRUPT);
    cr_assert_eq(kvi_sst_block_get(all, kvi_slice_of("z", 1), 1, &found, &tag, &value),
                 KV_ECORRUPT);
    cr_assert_eq(kvi_sst_block_get(all, kvi_slice_of("a", 1), 2, &found, &tag, &value), KV_OK);
    cr_assert(found);
}

/* A restart within the first entry, where a longer entry seems to begin. */
Test(block_cursor, refuses_to_step_back_over_where_it_stood, .init = setup, .fini = teardown)
{
    static const uint8_t raw[] = {
        0, 1, 11, 2, 0,  0, 0, 0, 0, 0, 0, 'a',      /* "a", and its value: */
        0, 0, 13, 2, 0,  0, 0, 0, 0, 0, 0,           /* seems to have a value of 13 bytes */
        0, 1, 1,  2, 0,  0, 0, 0, 0, 0, 0, 'b', 'v', /* "b" */
        0, 1, 0,  2, 0,  0, 0, 0, 0, 0, 0, 'c',      /* "c" */
        0, 0, 0,  0, 12, 0, 0, 0, 2, 0, 0, 0,
    };

    cr_assert_eq(kvi_sst_block_cursor_set(&cursor, kvi_slice_of(raw, sizeof raw)), KV_OK);
    cr_assert_eq(kvi_sst_block_cursor_first(&cursor), KV_OK);
    cr_assert_eq(kvi_sst_block_cursor_next(&cursor), KV_OK);
    cr_assert(kvi_slice_eq(cursor.c.key, kvi_slice_of("b", 1)));
    cr_assert_eq(kvi_sst_block_cursor_prev(&cursor), KV_ECORRUPT);
    cr_assert(!cursor.c.valid);
}

Test(block_cursor, refuses_senseless_restarts, .init = setup, .fini = teardown)
{
    uint8_t raw[16] = {0};

    cr_assert_eq(kvi_sst_block_cursor_set(&cursor, kvi_slice_of(raw, 16)),
                 KV_ECORRUPT); /* count 0 */
    kvi_put_u32(raw + 12, 4);  /* more than there is room for */
    cr_assert_eq(kvi_sst_block_cursor_set(&cursor, kvi_slice_of(raw, 16)), KV_ECORRUPT);
    kvi_put_u32(raw + 12, UINT32_MAX);
    cr_assert_eq(kvi_sst_block_cursor_set(&cursor, kvi_slice_of(raw, 16)), KV_ECORRUPT);
    kvi_put_u32(raw + 12, 3);
    cr_assert_eq(kvi_sst_block_cursor_set(&cursor, kvi_slice_of(raw, 16)), KV_OK);
    kvi_put_u32(raw, 1); /* the first is not 0 */
    cr_assert_eq(kvi_sst_block_cursor_set(&cursor, kvi_slice_of(raw, 16)), KV_ECORRUPT);
    cr_assert_eq(
        kvi_sst_block_cursor_set(&cursor, kvi_slice_of(raw, (size_t)KVI_SST_BLOCK_MAX + 1)),
        KV_ECORRUPT);
}
