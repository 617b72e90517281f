/*
 * The merge of sources, against a model of all of them together.
 */
#include "lsm/merge.h"

#include <criterion/criterion.h>

#include <stdlib.h>
#include <string.h>

#include "support/cursors.h"
#include "support/lsm_fixture.h"

#define SOURCES_MAX 12u

/* Sources that hold a model's entries among them. */
typedef struct split {
    kvt_model all;
    kvt_model part[SOURCES_MAX]; /* their bytes are those of all */
    kvt_model_cursor source[SOURCES_MAX];
    uint32_t count;
} split;

static kvt_failmem failmem;
static kvi_mem mem;
static split s;

static void setup(void)
{
    kvt_failmem_init(&failmem, &mem);
    memset(&s, 0, sizeof s);
}

static void drop(void)
{
    for (uint32_t i = 0; i < s.count; i++) {
        free(s.part[i].entries);
        cr_assert_eq(s.source[i].closed, 1, "source %u", i);
    }
    kvt_model_deinit(&s.all);
    memset(&s, 0, sizeof s);
}

static void teardown(void)
{
    cr_assert_eq(kvt_failmem_live(&failmem), 0);
}

/* run: entries in a row that a source gets, about. */
static void make(kvt_rng *rng, const kvt_shape *shape, uint32_t count, uint64_t run)
{
    uint32_t to = 0;

    kvt_model_random(&s.all, rng, shape);
    s.count = count;
    for (uint32_t i = 0; i < count; i++) {
        s.part[i].entries = calloc(s.all.count + 1, sizeof(kvt_entry));
        cr_assert_not_null(s.part[i].entries);
    }
    for (size_t i = 0; i < s.all.count; i++) {
        if (kvt_rng_below(rng, run) == 0)
            to = (uint32_t)kvt_rng_below(rng, count);
        s.part[to].entries[s.part[to].count++] = s.all.entries[i];
    }
    for (uint32_t i = 0; i < count; i++)
        kvt_model_cursor_init(&s.source[i], &s.part[i]);
}

static kvi_cursor *merge(void)
{
    kvi_cursor *sources[SOURCES_MAX], *c = NULL;

    for (uint32_t i = 0; i < s.count; i++)
        sources[i] = &s.source[i].c;
    cr_assert_eq(kvi_lsm_merge_cursor(&mem, sources, s.count, &c), KV_OK);
    return c;
}

static void check(uint64_t seed, const kvt_shape *shape, uint32_t count, uint64_t run, size_t moves)
{
    const char *wrong;
    kvi_cursor *c;
    kvt_rng rng;

    kvt_rng_init(&rng, seed);
    make(&rng, shape, count, run);
    c = merge();
    cr_assert_not(c->valid);
    wrong = kvt_cursor_check(c, &s.all, &rng, moves);
    cr_assert_null(wrong, "%s (seed %d, %u sources)", wrong, (int)seed, count);
    c->ops->close(c);
    drop();
}

Test(lsm_merge, shows_all_entries_of_all_sources_in_order, .init = setup, .fini = teardown)
{
    static const kvt_shape small = {12, 3, 3, 4, 3}, large = {3000, 10, 3, 8, 4};
    uint64_t seed = 1;

    for (uint32_t count = 2; count <= SOURCES_MAX; count++) {
        check(seed++, &large, count, 1, 10000);
        check(seed++, &large, count, 50, 10000);
        for (int i = 0; i < 20; i++)
            check(seed++, &small, count, 1 + (uint64_t)(i % 3), 1000);
    }
}

Test(lsm_merge, sources_may_be_empty, .init = setup, .fini = teardown)
{
    static const kvt_shape nothing = {0, 0, 1, 0, 1}, one = {1, 2, 1, 2, 2};

    for (uint32_t count = 2; count <= SOURCES_MAX; count++) {
        check(count, &nothing, count, 1, 100);
        check(count, &one, count, 1, 100);
    }
}

Test(lsm_merge, of_nothing_is_empty, .init = setup, .fini = teardown)
{
    kvi_cursor *c = NULL;

    cr_assert_eq(kvi_lsm_merge_cursor(&mem, NULL, 0, &c), KV_OK);
    cr_assert_eq(c->ops->first(c), KV_OK);
    cr_assert_not(c->valid);
    cr_assert_eq(c->ops->last(c), KV_OK);
    cr_assert_not(c->valid);
    cr_assert_eq(c->ops->seek(c, kvi_slice_of("k", 1), 1), KV_OK);
    cr_assert_not(c->valid);
    c->ops->close(c);
}

Test(lsm_merge, of_one_source_is_that_source, .init = setup, .fini = teardown)
{
    static const kvt_shape shape = {10, 2, 1, 2, 2};
    kvi_cursor *c;
    kvt_rng rng;

    kvt_rng_init(&rng, 5);
    make(&rng, &shape, 1, 1);
    c = merge();
    cr_assert(c == &s.source[0].c);
    c->ops->close(c);
    drop();
}

/* --- a source that grows ------------------------------------------------------------------ */

/* A memtable's cursor; whenever it has sought, a writer is just faster. */
typedef struct growing_cursor {
    kvi_cursor c;
    kvi_cursor *of;
    kvi_lsm_memtable *m;
    char last; /* the key that was added last: one letter, descending */
} growing_cursor;

static int follow(kvi_cursor *c, int err)
{
    const kvi_cursor *of = KVI_CONTAINER_OF(c, growing_cursor, c)->of;

    c->valid = of->valid;
    c->key = of->key;
    c->tag = of->tag;
    c->value = of->value;
    return err;
}

static int growing_first(kvi_cursor *c)
{
    kvi_cursor *of = KVI_CONTAINER_OF(c, growing_cursor, c)->of;

    return follow(c, of->ops->first(of));
}

static int growing_last(kvi_cursor *c)
{
    kvi_cursor *of = KVI_CONTAINER_OF(c, growing_cursor, c)->of;

    return follow(c, of->ops->last(of));
}

static int growing_next(kvi_cursor *c)
{
    kvi_cursor *of = KVI_CONTAINER_OF(c, growing_cursor, c)->of;

    return follow(c, of->ops->next(of));
}

static int growing_prev(kvi_cursor *c)
{
    kvi_cursor *of = KVI_CONTAINER_OF(c, growing_cursor, c)->of;

    return follow(c, of->ops->prev(of));
}

static int growing_seek(kvi_cursor *c, kvi_slice key, uint64_t tag)
{
    growing_cursor *g = KVI_CONTAINER_OF(c, growing_cursor, c);
    int err = follow(c, g->of->ops->seek(g->of, key, tag));
    kvt_entry e = {{&g->last, 1}, kvi_tag(9, KVI_KIND_PUT), {"x", 1}};

    g->last--;
    kvt_lsm_add(g->m, &e);
    return err;
}

static void growing_close(kvi_cursor *c)
{
    kvi_cursor *of = KVI_CONTAINER_OF(c, growing_cursor, c)->of;

    of->ops->close(of);
}

/* Stands on "f" of the other source, turns down, and must not meet what was just put behind "f".
 * high: what is above "f" at first, if anything. */
static void check_growing(const char *high)
{
    static const struct kvi_cursor_ops ops = {
        growing_first, growing_last, growing_seek, growing_next, growing_prev, growing_close,
    };
    kvt_entry low = {{"b", 1}, kvi_tag(1, KVI_KIND_PUT), {"x", 1}};
    kvt_entry top = {{high, 1}, kvi_tag(1, KVI_KIND_PUT), {"x", 1}};
    kvt_entry middle = {{"f", 1}, kvi_tag(1, KVI_KIND_PUT), {"x", 1}};
    kvt_model one = {&middle, 1, NULL};
    kvt_model_cursor other;
    growing_cursor g = {.c.ops = &ops, .last = 'p'};
    kvi_cursor *sources[2] = {&other.c, &g.c}, *c = NULL;
    kvi_budget budget;

    kvi_budget_init(&budget, 1 << 20);
    kvt_model_cursor_init(&other, &one);
    cr_assert_eq(kvi_lsm_memtable_new(&mem, &budget, 10000, &g.m), KV_OK);
    kvt_lsm_add(g.m, &low);
    if (high)
        kvt_lsm_add(g.m, &top);
    cr_assert_eq(kvi_lsm_memtable_cursor(g.m, &mem, &g.of), KV_OK);
    cr_assert_eq(kvi_lsm_merge_cursor(&mem, sources, 2, &c), KV_OK);
    cr_assert_eq(c->ops->first(c), KV_OK);
    cr_assert_eq(c->ops->next(c), KV_OK);
    cr_assert(c->valid && kvi_slice_eq(c->key, middle.key));
    cr_assert_eq(c->ops->prev(c), KV_OK);
    cr_assert(c->valid && kvi_slice_eq(c->key, low.key));
    cr_assert_eq(c->ops->next(c), KV_OK);
    cr_assert(c->valid && kvi_slice_eq(c->key, middle.key));
    c->ops->close(c);
    kvi_lsm_memtable_unref(g.m);
}

Test(lsm_merge, turns_where_a_source_grows, .init = setup, .fini = teardown)
{
    check_growing("x");
    check_growing(NULL);
}

/* --- failures ----------------------------------------------------------------------------- */

/* A walk that goes every way. Stops at the first error, which it returns. */
static int walk(kvi_cursor *c, kvt_rng *rng, size_t moves)
{
    int err = c->ops->first(c);

    for (size_t i = 0; !err && i < moves; i++) {
        const kvt_entry *e = &s.all.entries[kvt_rng_below(rng, s.all.count)];

        if (!c->valid)
            err = kvt_rng_below(rng, 2) ? c->ops->seek(c, e->key, e->tag) : c->ops->last(c);
        else
            err = kvt_rng_below(rng, 3) ? c->ops->next(c) : c->ops->prev(c);
    }
    return err;
}

/* Each move of each source fails once; the failure surfaces, and afterwards the merge is as good as
 * new. */
Test(lsm_merge, an_error_of_a_source_surfaces, .init = setup, .fini = teardown)
{
    static const kvt_shape shape = {40, 3, 2, 3, 3};
    kvi_cursor *c;
    kvt_rng rng;

    kvt_rng_init(&rng, 9);
    make(&rng, &shape, 3, 2);
    c = merge();
    for (uint32_t bad = 0; bad < s.count; bad++) {
        for (size_t n = 0;; n++) {
            kvt_rng again;
            int err;

            kvt_rng_init(&again, 1234);
            for (uint32_t i = 0; i < s.count; i++)
                s.source[i].moves = 0;
            s.source[bad].fail_at = n;
            s.source[bad].err = n % 2 ? KV_EIO : KV_ECORRUPT;
            err = walk(c, &again, 300);
            s.source[bad].fail_at = SIZE_MAX;
            if (!err) {
                cr_assert(n > 100, "only %zu moves of source %u", n, bad);
                break;
            }
            cr_assert_eq(err, s.source[bad].err);
            cr_assert_not(c->valid);
        }
    }
    cr_assert_null(kvt_cursor_check(c, &s.all, &rng, 1000));
    c->ops->close(c);
    drop();
}

Test(lsm_merge, where_it_cannot_be_made_its_sources_are_closed, .init = setup, .fini = teardown)
{
    static const kvt_shape shape = {10, 2, 1, 2, 2};
    kvi_cursor *sources[3], *c = NULL, **many;
    kvt_rng rng;

    kvt_rng_init(&rng, 6);
    make(&rng, &shape, 3, 1);
    for (uint32_t i = 0; i < 3; i++)
        sources[i] = &s.source[i].c;
    kvt_failmem_arm(&failmem, 0, true);
    cr_assert_eq(kvi_lsm_merge_cursor(&mem, sources, 3, &c), KV_ENOMEM);
    kvt_failmem_disarm(&failmem);
    cr_assert_null(c);
    drop();

    make(&rng, &shape, 1, 1);
    many = malloc((KVI_LSM_MERGE_MAX + 1) * sizeof(kvi_cursor *));
    cr_assert_not_null(many);
    for (uint32_t i = 0; i <= KVI_LSM_MERGE_MAX; i++)
        many[i] = &s.source[0].c;
    cr_assert_eq(kvi_lsm_merge_cursor(&mem, many, KVI_LSM_MERGE_MAX + 1, &c), KV_ENOMEM);
    cr_assert_eq(s.source[0].closed, KVI_LSM_MERGE_MAX + 1);
    s.source[0].closed = 1;
    free(many);
    drop();
}
