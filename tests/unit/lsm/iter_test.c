/*
 * Iterators over views made by hand, against what a model shows at the same moment.
 */
#include <criterion/criterion.h>

#include <stdlib.h>
#include <string.h>

#include "base/bytes.h"
#include "support/lsm_fixture.h"

static kvt_lsm f;
static kvt_model model;

static const kvi_lsm_bounds everything = {{NULL, 0}, {NULL, 0}};

static void setup(void)
{
    kvt_lsm_init(&f, (size_t)64 << 20);
    memset(&model, 0, sizeof model);
}

static void teardown(void)
{
    kvt_model_deinit(&model);
    kvt_lsm_deinit(&f);
}

static kvi_lsm_iter *open_iter(const kvi_lsm_bounds *b, uint64_t seq)
{
    kvi_lsm_iter *it = NULL;

    cr_assert_eq(kvi_lsm_iter_open(f.l, b, seq, &it), KV_OK);
    return it;
}

/* --- against a model ---------------------------------------------------------------------- */

/* What is to be seen, in order, and the gap that the iterator stands in: before number gap. On an
 * entry it stands in both gaps beside it. */
typedef struct expected {
    const kvt_entry **seen;
    size_t count;
    bool fresh; /* in the first gap and in the last */
    bool on;    /* on the entry before the gap */
    size_t gap;
} expected;

static void expect(expected *x, const kvi_lsm_bounds *b, uint64_t seq, int64_t now_ms)
{
    *x = (expected){.seen = malloc((model.count + 1) * sizeof *x->seen), .fresh = true};
    cr_assert_not_null(x->seen);
    for (size_t i = 0; i < model.count; i++) {
        kvi_slice key = model.entries[i].key;
        const kvt_entry *e = kvt_lsm_visible(&model, key, seq, now_ms);

        if (e != &model.entries[i] || (b->from.len > 0 && kvi_slice_cmp(key, b->from) < 0) ||
            (b->to.len > 0 && kvi_slice_cmp(key, b->to) >= 0))
            continue;
        x->seen[x->count++] = e;
    }
}

/* Compares what was lent. */
static void check_entry(const kvt_entry *want, const kvi_lsm_entry *e)
{
    int64_t expires_ms;
    kvi_slice content = kvt_lsm_content(want, &expires_ms);

    cr_assert(kvi_slice_eq(e->key, want->key));
    cr_assert(kvi_slice_eq(e->value, content));
    cr_assert_eq(e->expires_ms, expires_ms);
    cr_assert_eq(e->seq, kvi_tag_seq(want->tag));
}

static void next(kvi_lsm_iter *it, expected *x)
{
    size_t to = x->fresh ? 0 : x->gap;
    kvi_lsm_entry e;
    int r = kvi_lsm_iter_next(it, &e);

    cr_assert_eq(r, to < x->count ? KV_OK : KV_ENOTFOUND);
    if (r == KV_OK)
        check_entry(x->seen[to], &e);
    x->on = r == KV_OK;
    x->gap = x->on ? to + 1 : x->count;
    x->fresh = false;
}

static void prev(kvi_lsm_iter *it, expected *x)
{
    size_t behind = x->fresh ? x->count : x->on ? x->gap - 1 : x->gap;
    kvi_lsm_entry e;
    int r = kvi_lsm_iter_prev(it, &e);

    cr_assert_eq(r, behind > 0 ? KV_OK : KV_ENOTFOUND);
    if (r == KV_OK)
        check_entry(x->seen[behind - 1], &e);
    x->on = r == KV_OK;
    x->gap = behind;
    x->fresh = false;
}

static void seek(kvi_lsm_iter *it, expected *x, kvi_slice key)
{
    cr_assert_eq(kvi_lsm_iter_seek(it, key), KV_OK);
    x->on = x->fresh = false;
    for (x->gap = 0; x->gap < x->count; x->gap++)
        if (kvi_slice_cmp(x->seen[x->gap]->key, key) >= 0)
            break;
}

/* A key of the model, or one near it. */
static kvi_slice random_key(kvt_rng *rng, uint8_t *bytes, size_t cap)
{
    kvi_slice key = model.entries[kvt_rng_below(rng, model.count)].key;
    size_t len = kvi_min_size(key.len, cap - 1);

    memcpy(bytes, key.data, len);
    switch (kvt_rng_below(rng, 4)) {
    case 0:
        bytes[len++] = (uint8_t)kvt_rng_next(rng);
        break;
    case 1:
        bytes[len - 1]--;
        break;
    case 2:
        len--;
        break;
    default:
        break;
    }
    return kvi_slice_of(bytes, len);
}

static void random_walk(kvi_lsm_iter *it, expected *x, kvt_rng *rng, size_t moves)
{
    for (size_t i = 0; i < moves; i++) {
        uint64_t what = kvt_rng_below(rng, 100);
        uint8_t bytes[256];

        if (what < 45)
            next(it, x);
        else if (what < 90)
            prev(it, x);
        else if (what < 92 && x->on)
            seek(it, x, x->seen[x->gap - 1]->key);
        else
            seek(it, x, random_key(rng, bytes, sizeof bytes));
    }
}

static void whole_walks(kvi_lsm_iter *it, expected *x)
{
    for (size_t i = 0; i <= x->count; i++)
        next(it, x);
    for (size_t i = 0; i <= x->count; i++)
        prev(it, x);
    next(it, x);
}

static uint64_t random_seq(kvt_rng *rng)
{
    return kvt_rng_below(rng, 3) ? KVI_LSM_SEQ_LATEST : kvt_rng_below(rng, 1001);
}

static void check_renewed(kvi_lsm_iter *it, kvt_rng *rng, const kvi_lsm_bounds *b,
                          const kvi_lsm_bounds *given, size_t moves)
{
    uint64_t seq = random_seq(rng);
    expected x;

    f.clock.wall_ms = (int64_t)kvt_rng_below(rng, 120);
    cr_assert_eq(kvi_lsm_iter_renew(it, given, seq), KV_OK);
    expect(&x, b, seq, f.clock.wall_ms);
    random_walk(it, &x, rng, moves);
    free(x.seen);
}

/* An iterator over random bounds, fresh and renewed. */
static void check_bounds(kvt_rng *rng, size_t moves)
{
    uint8_t from[256], to[256], from2[256];
    kvi_lsm_bounds b = everything, b2 = everything;
    uint64_t seq = random_seq(rng);
    kvi_lsm_iter *it;
    expected x;

    if (kvt_rng_below(rng, 2))
        b.from = random_key(rng, from, sizeof from);
    if (kvt_rng_below(rng, 2))
        b.to = random_key(rng, to, sizeof to);
    if (kvt_rng_below(rng, 2))
        b2.from = random_key(rng, from2, sizeof from2);
    f.clock.wall_ms = (int64_t)kvt_rng_below(rng, 120);
    it = open_iter(&b, seq);
    expect(&x, &b, seq, f.clock.wall_ms);
    if (kvt_rng_below(rng, 2))
        whole_walks(it, &x);
    random_walk(it, &x, rng, moves);
    free(x.seen);
    check_renewed(it, rng, &b, NULL, moves);
    check_renewed(it, rng, &b2, &b2, moves);
    kvi_lsm_iter_close(it);
}

static void check_shape(uint64_t seed, const kvt_shape *shape)
{
    kvt_rng rng;

    kvt_rng_init(&rng, seed);
    kvt_model_random(&model, &rng, shape);
    kvt_lsm_fit(&model);
    if (model.count > 0) {
        kvt_lsm_load(&f, &model, &rng, 0);
        for (int i = 0; i < 8; i++)
            check_bounds(&rng, 250);
    }
    kvt_model_deinit(&model);
}

Test(lsm_iter, shows_what_a_model_shows, .init = setup, .fini = teardown)
{
    static const kvt_shape shapes[] = {
        {3, 2, 4, 30, 2},       /* next to nothing */
        {60, 3, 5, 40, 3},      /* short keys */
        {1000, 8, 4, 40, 6},    /* many tables */
        {20, 3, 200, 20, 3},    /* runs of versions to jump over */
        {40, 200, 3, 9000, 20}, /* large */
    };

    for (uint64_t seed = 1; seed <= 40; seed++)
        check_shape(seed, &shapes[seed % (sizeof shapes / sizeof shapes[0])]);
}

/* --- one view, many moments --------------------------------------------------------------- */

/* Twelve keys in a table, and room in the memtable. */
static void load_small(void)
{
    kvt_rng rng;

    kvt_rng_init(&rng, 3);
    kvt_model_counted(&model, 12, 20);
    kvt_lsm_load(&f, &model, &rng, 100000);
}

static void put(uint64_t seq, const char *key, const char *value)
{
    kvt_entry e = {{key, strlen(key)}, kvi_tag(seq, KVI_KIND_PUT), {value, strlen(value)}};

    kvt_lsm_add(atomic_load(&f.l->view)->mem, &e);
}

static size_t count_up(kvi_lsm_iter *it)
{
    size_t n = 0;

    while (kvi_lsm_iter_next(it, NULL) == KV_OK)
        n++;
    return n;
}

static size_t count_down(kvi_lsm_iter *it)
{
    size_t n = 0;

    while (kvi_lsm_iter_prev(it, NULL) == KV_OK)
        n++;
    return n;
}

/* The entry that it stands on is written again, and the gap beside it filled, before it turns. */
Test(lsm_iter, turns_where_others_write, .init = setup, .fini = teardown)
{
    kvi_lsm_iter *it;
    kvi_lsm_entry e;

    load_small();
    it = open_iter(&everything, KVI_LSM_SEQ_LATEST);
    for (int i = 0; i < 5; i++)
        cr_assert_eq(kvi_lsm_iter_next(it, &e), KV_OK);
    cr_assert_arr_eq(e.key.data, "key00000004", 11);
    put(1001, "key00000004", "newer");
    put(1002, "key000000039", "before");
    put(1003, "key000000041", "behind");
    atomic_store(&f.l->published, 1003);
    cr_assert_eq(kvi_lsm_iter_prev(it, &e), KV_OK);
    cr_assert_arr_eq(e.key.data, "key00000003", 11);
    cr_assert_eq(e.key.len, 11);
    put(1004, "key00000003", "newer");
    put(1005, "key000000031", "behind");
    cr_assert_eq(kvi_lsm_iter_next(it, &e), KV_OK);
    cr_assert_eq(e.key.len, 11);
    cr_assert_arr_eq(e.key.data, "key00000004", 11);
    cr_assert_eq(e.seq, 5);
    kvi_lsm_iter_close(it);
}

Test(lsm_iter, may_seek_what_it_lent, .init = setup, .fini = teardown)
{
    kvi_lsm_iter *it;
    kvi_lsm_entry e;

    load_small();
    it = open_iter(&everything, KVI_LSM_SEQ_LATEST);
    cr_assert_eq(kvi_lsm_iter_prev(it, &e), KV_OK);
    cr_assert_eq(kvi_lsm_iter_prev(it, &e), KV_OK);
    cr_assert_eq(kvi_lsm_iter_seek(it, kvi_slice_of(kvi_slice_bytes(e.key) + 1, e.key.len - 1)),
                 KV_OK);
    cr_assert_eq(kvi_lsm_iter_prev(it, &e), KV_ENOTFOUND, "\"ey…\" is below all");
    cr_assert_eq(kvi_lsm_iter_seek(it, kvi_slice_of("z", 1)), KV_OK);
    cr_assert_eq(kvi_lsm_iter_prev(it, &e), KV_OK);
    cr_assert_eq(kvi_lsm_iter_seek(it, e.key), KV_OK);
    cr_assert_eq(kvi_lsm_iter_next(it, &e), KV_OK);
    cr_assert_arr_eq(e.key.data, "key00000011", 11);
    cr_assert_eq(kvi_lsm_iter_seek(it, e.key), KV_OK);
    cr_assert_eq(kvi_lsm_iter_prev(it, &e), KV_OK);
    cr_assert_arr_eq(e.key.data, "key00000010", 11);
    kvi_lsm_iter_close(it);
}

/* --- what moves cost ---------------------------------------------------------------------- */

Test(lsm_iter, allocates_nothing_once_warm, .init = setup, .fini = teardown)
{
    kvi_lsm_iter *it;

    load_small();
    it = open_iter(&everything, KVI_LSM_SEQ_LATEST);
    for (int turn = 0; turn < 3; turn++) {
        kvt_failmem_arm(&f.s.failmem, SIZE_MAX, false);
        cr_assert_eq(count_up(it), 12);
        cr_assert_eq(count_down(it), 12);
        cr_assert_eq(kvi_lsm_iter_seek(it, kvi_slice_of("key00000007", 11)), KV_OK);
        cr_assert_eq(kvi_lsm_iter_next(it, NULL), KV_OK);
        cr_assert_eq(kvi_lsm_iter_renew(it, NULL, KVI_LSM_SEQ_LATEST), KV_OK);
        if (turn > 0)
            cr_assert_eq(kvt_failmem_calls(&f.s.failmem), 0);
        kvt_failmem_disarm(&f.s.failmem);
    }
    kvi_lsm_iter_close(it);
}

Test(lsm_iter, reads_the_clock_once_a_move_and_where_it_matters, .init = setup, .fini = teardown)
{
    static const uint8_t value[KVI_EXPIRES_LEN + 1] = {100, 0, 0, 0, 0, 0, 0, 0, 'v'};
    kvt_entry e[40];
    uint8_t keys[40];
    kvi_lsm_iter *it;

    load_small();
    it = open_iter(&everything, KVI_LSM_SEQ_LATEST);
    f.clock.asked = 0;
    cr_assert_eq(count_up(it), 12);
    cr_assert_eq(f.clock.asked, 0);
    for (uint8_t i = 0; i < 40; i++) {
        keys[i] = i;
        e[i] = (kvt_entry){{&keys[i], 1}, kvi_tag(2, KVI_KIND_PUT_EXPIRING), {value, sizeof value}};
    }
    kvt_lsm_set_view(&f, kvt_lsm_memtable(&f, &(kvt_model){e, 40, NULL}, 0), NULL, 0,
                     kvt_lsm_version(&f, NULL, 0));
    cr_assert_eq(kvi_lsm_iter_renew(it, NULL, KVI_LSM_SEQ_LATEST), KV_OK);
    f.clock.wall_ms = 99;
    cr_assert_eq(kvi_lsm_iter_next(it, NULL), KV_OK);
    cr_assert_eq(f.clock.asked, 1);
    f.clock.wall_ms = 100;
    cr_assert_eq(kvi_lsm_iter_next(it, NULL), KV_ENOTFOUND, "the others have expired meanwhile");
    cr_assert_eq(f.clock.asked, 2);
    cr_assert_eq(kvi_lsm_iter_prev(it, NULL), KV_ENOTFOUND);
    cr_assert_eq(f.clock.asked, 3);
    kvi_lsm_iter_close(it);
}

Test(lsm_iter, a_large_value_is_charged_while_it_is_kept, .init = setup, .fini = teardown)
{
    static uint8_t large[200000];
    kvt_entry e[2] = {{{"a", 1}, kvi_tag(1, KVI_KIND_PUT), {"small", 5}},
                      {{"b", 1}, kvi_tag(1, KVI_KIND_PUT), {large, sizeof large}}};
    kvi_lsm_iter *it;

    atomic_store(&f.l->published, 1);
    kvt_lsm_set_view(&f, kvt_lsm_memtable(&f, &(kvt_model){e, 2, NULL}, 0), NULL, 0,
                     kvt_lsm_version(&f, NULL, 0));
    it = open_iter(&everything, KVI_LSM_SEQ_LATEST);
    cr_assert_eq(kvi_lsm_iter_prev(it, NULL), KV_OK);
    cr_assert(kvi_budget_held(&f.s.budget, KVI_BUDGET_WORK) >= sizeof large);
    cr_assert_eq(kvi_lsm_iter_prev(it, NULL), KV_OK);
    cr_assert(kvi_budget_held(&f.s.budget, KVI_BUDGET_WORK) < 1000);
    cr_assert_eq(kvi_lsm_iter_next(it, NULL), KV_OK);
    cr_assert_eq(kvi_lsm_iter_next(it, NULL), KV_ENOTFOUND);
    cr_assert_eq(kvi_lsm_iter_prev(it, NULL), KV_OK);
    kvi_lsm_iter_close(it);
    cr_assert_eq(kvi_budget_held(&f.s.budget, KVI_BUDGET_WORK), 0);
}

Test(lsm_iter, an_entry_that_makes_no_sense_is_corrupt, .init = setup, .fini = teardown)
{
    kvt_entry e[] = {
        {{"a", 1}, kvi_tag(7, KVI_KIND_PUT), {"fine", 4}},
        {{"b", 1}, kvi_tag(7, KVI_KIND_PUT_EXPIRING), {"1234567", 7}},
        {{"c", 1}, kvi_tag(7, KVI_KIND_PUT), {"fine", 4}},
    };
    kvi_lsm_file *file = kvt_lsm_file(&f, &(kvt_model){e, 3, NULL});
    kvi_lsm_iter *it;

    atomic_store(&f.l->published, 7);
    kvt_lsm_set_view(&f, kvt_lsm_memtable(&f, NULL, 0), NULL, 0, kvt_lsm_version(&f, &file, 1));
    it = open_iter(&everything, KVI_LSM_SEQ_LATEST);
    cr_assert_eq(kvi_lsm_iter_next(it, NULL), KV_OK);
    cr_assert_eq(kvi_lsm_iter_next(it, NULL), KV_ECORRUPT);
    cr_assert_eq(kvi_lsm_iter_seek(it, kvi_slice_of("c", 1)), KV_OK);
    cr_assert_eq(kvi_lsm_iter_next(it, NULL), KV_OK);
    cr_assert_eq(kvi_lsm_iter_prev(it, NULL), KV_ECORRUPT);
    kvi_lsm_iter_close(it);
}
