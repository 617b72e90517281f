/*
 * The map from numbers to pointers: against a plain array that does the same, under failing
 * memory, and the order in which it is walked.
 */
#include "base/map.h"

#include <criterion/criterion.h>

#include "base/error.h"
#include "base/hash.h"
#include "support/failmem.h"
#include "support/rng.h"

static kvt_failmem fm;
static kvi_mem mem;
static kvi_map map;

static void set_up(void)
{
    kvt_failmem_init(&fm, &mem);
    kvi_map_init(&map, &mem);
}

static void tear_down(void)
{
    kvi_map_deinit(&map);
    cr_assert_eq(kvt_failmem_live(&fm), 0);
}

/* Values only need to be told apart. */
static char cells[4096];

static void insert(uint64_t key, size_t cell)
{
    cr_assert_eq(kvi_map_insert(&map, key, &cells[cell]), KV_OK);
}

Test(base_map, empty_finds_nothing_and_needs_nothing, .init = set_up, .fini = tear_down)
{
    cr_assert_eq(kvi_map_count(&map), 0);
    cr_assert_null(kvi_map_find(&map, 0));
    cr_assert_null(kvi_map_remove(&map, 0));
    cr_assert_eq(kvi_map_reserve(&map, 0), KV_OK);
    KVI_MAP_EACH(i, &map)
        cr_assert(false, "entry %u", (unsigned)i);
    cr_assert_eq(kvt_failmem_calls(&fm), 0);
}

Test(base_map, finds_what_was_inserted, .init = set_up, .fini = tear_down)
{
    insert(0, 1);
    insert(UINT64_MAX, 2);
    cr_assert_eq(kvi_map_count(&map), 2);
    cr_assert(kvi_map_find(&map, 0) == &cells[1]);
    cr_assert(kvi_map_find(&map, UINT64_MAX) == &cells[2]);
    cr_assert_null(kvi_map_find(&map, 1));
    cr_assert(kvi_map_remove(&map, 0) == &cells[1]);
    cr_assert_null(kvi_map_find(&map, 0));
    cr_assert_null(kvi_map_remove(&map, 0));
    insert(0, 3);
    cr_assert(kvi_map_find(&map, 0) == &cells[3]);
}

static void expect_keys(const uint64_t *keys, uint32_t count)
{
    cr_assert_eq(kvi_map_count(&map), count);
    KVI_MAP_EACH(i, &map)
        cr_assert_eq(kvi_map_at(&map, i)->key, keys[i], "entry %u", (unsigned)i);
}

Test(base_map, order_is_that_of_its_history, .init = set_up, .fini = tear_down)
{
    const uint64_t all[] = {50, 10, 40, 20, 30}, gap[] = {50, 30, 40, 20}, end[] = {50, 30, 40, 10};

    for (size_t i = 0; i < 5; i++)
        insert(all[i], i);
    expect_keys(all, 5);
    (void)kvi_map_remove(&map, 10);
    expect_keys(gap, 4);
    (void)kvi_map_remove(&map, 20);
    insert(10, 9);
    expect_keys(end, 4);
    cr_assert(kvi_map_at(&map, 1)->value == &cells[4], "the value moves with its key");
    cr_assert(kvi_map_find(&map, 30) == &cells[4]);
}

Test(base_map, a_walk_from_the_last_may_remove_where_it_stands, .init = set_up, .fini = tear_down)
{
    enum { COUNT = 1000 };
    unsigned visits[COUNT] = {0};

    for (uint64_t key = 0; key < COUNT; key++)
        insert(key, key);
    KVI_MAP_EACH_BACK(i, &map) {
        uint64_t key = kvi_map_at(&map, i)->key;

        if (key >= COUNT)
            continue;
        visits[key]++;
        if (key % 3 != 0)
            (void)kvi_map_remove(&map, key);
        if (key % 100 == 0)
            insert(key + COUNT, key);
    }
    for (uint64_t key = 0; key < COUNT; key++) {
        cr_assert_eq(visits[key], 1, "key %u", (unsigned)key);
        cr_assert_eq(kvi_map_find(&map, key) != NULL, key % 3 == 0, "key %u", (unsigned)key);
    }
    cr_assert_eq(kvi_map_count(&map), (COUNT + 2) / 3 + COUNT / 100);
}

/* The same operations on an array, in the way that the header promises. */
typedef struct model {
    kvi_map_entry entries[4096];
    uint32_t count;
} model;

static kvi_map_entry *model_find(model *m, uint64_t key)
{
    for (uint32_t i = 0; i < m->count; i++)
        if (m->entries[i].key == key)
            return &m->entries[i];
    return NULL;
}

static void step_both(model *m, uint64_t key, size_t cell)
{
    kvi_map_entry *known = model_find(m, key);

    cr_assert(kvi_map_find(&map, key) == (known ? known->value : NULL));
    if (known) {
        cr_assert(kvi_map_remove(&map, key) == known->value);
        *known = m->entries[--m->count];
    } else {
        insert(key, cell);
        m->entries[m->count].key = key;
        m->entries[m->count++].value = &cells[cell];
    }
}

static void compare(const model *m)
{
    cr_assert_eq(kvi_map_count(&map), m->count);
    KVI_MAP_EACH(i, &map) {
        cr_assert_eq(kvi_map_at(&map, i)->key, m->entries[i].key);
        cr_assert(kvi_map_find(&map, m->entries[i].key) == m->entries[i].value);
    }
}

/* Few keys, so that what is removed comes back, beside each other and far apart. */
static void run_against_model(uint64_t seed, uint64_t keys, uint64_t stride)
{
    static model m;
    kvt_rng r;

    kvt_rng_init(&r, seed);
    m.count = 0;
    for (size_t i = 0; i < 4000; i++) {
        step_both(&m, kvt_rng_below(&r, keys) * stride, i);
        if (i % 500 == 0)
            compare(&m);
    }
    compare(&m);
}

Test(base_map, does_what_an_array_does, .init = set_up, .fini = tear_down)
{
    const uint64_t keys[] = {4, 16, 100, 1000}, strides[] = {1, UINT64_C(1) << 32, 4093};

    for (size_t i = 0; i < 12; i++) {
        run_against_model(i, keys[i % 4], strides[i % 3]);
        kvi_map_deinit(&map);
    }
}

/* So many keys that start in one slot of a table of 16, the last one: they go round its end. */
static void colliding(uint64_t *keys, size_t count)
{
    size_t n = 0;

    for (uint64_t key = 0; n < count; key++)
        if ((kvi_mix64(key) & 15) == 15)
            keys[n++] = key;
}

Test(base_map, keys_that_collide_survive_each_others_removal, .init = set_up, .fini = tear_down)
{
    enum { COUNT = 12 };
    uint64_t keys[COUNT];

    colliding(keys, COUNT);
    for (size_t gone = 0; gone < COUNT; gone++) {
        for (size_t i = 0; i < COUNT; i++)
            insert(keys[i], i);
        cr_assert(kvi_map_remove(&map, keys[gone]) == &cells[gone]);
        for (size_t i = 0; i < COUNT; i++)
            cr_assert(kvi_map_find(&map, keys[i]) == (i == gone ? NULL : &cells[i]));
        for (size_t i = 0; i < COUNT; i++)
            (void)kvi_map_remove(&map, keys[i]);
        cr_assert_eq(kvi_map_count(&map), 0);
    }
}

Test(base_map, without_memory_it_stays_as_it_was, .init = set_up, .fini = tear_down)
{
    enum { COUNT = 100 };

    for (size_t key = 0; key < COUNT; key++) {
        int err;

        for (size_t n = 0;; n++) {
            kvt_failmem_arm(&fm, n, false);
            err = kvi_map_insert(&map, key, &cells[key]);
            if (!kvt_failmem_disarm(&fm))
                break;
            cr_assert_eq(err, KV_ENOMEM);
            cr_assert(kvi_error_detail()[0] != '\0');
            cr_assert_eq(kvi_map_count(&map), key);
            cr_assert_null(kvi_map_find(&map, key));
            for (size_t old = 0; old < key; old++)
                cr_assert(kvi_map_find(&map, old) == &cells[old]);
        }
        cr_assert_eq(err, KV_OK);
    }
}

Test(base_map, what_is_reserved_cannot_fail, .init = set_up, .fini = tear_down)
{
    cr_assert_eq(kvi_map_reserve(&map, 1000), KV_OK);
    kvt_failmem_arm(&fm, 0, true);
    for (size_t key = 0; key < 1000; key++)
        insert(key, key);
    cr_assert_not(kvt_failmem_disarm(&fm));
    cr_assert_eq(kvi_map_count(&map), 1000);
}

Test(base_map, does_not_grow_beyond_its_limit, .init = set_up, .fini = tear_down)
{
    insert(7, 7);
    cr_assert_eq(kvi_map_reserve(&map, KVI_MAP_COUNT_MAX), KV_ENOMEM);
    cr_assert_eq(kvi_map_reserve(&map, UINT32_MAX), KV_ENOMEM);
    cr_assert(kvi_map_find(&map, 7) == &cells[7]);
}
