/*
 * A walk over tables side by side, against a model of all of them together.
 */
#include "lsm/merge.h"

#include <criterion/criterion.h>

#include <string.h>

#include "lsm/names.h"
#include "support/cursors.h"
#include "support/lsm_fixture.h"

#define FILES_MAX 64u

static kvt_lsm f;
static kvt_model model;
static kvi_lsm_file *files[FILES_MAX];
static size_t begins[FILES_MAX + 1]; /* the entry that each file begins with */
static uint32_t file_count;

static void setup(void)
{
    kvt_lsm_init(&f, (size_t)16 << 20);
    memset(&model, 0, sizeof model);
    file_count = 0;
}

static void drop(void)
{
    for (uint32_t i = 0; i < file_count; i++)
        kvi_lsm_file_unref(files[i]);
    file_count = 0;
    kvt_model_deinit(&model);
}

static void teardown(void)
{
    drop();
    kvt_lsm_deinit(&f);
}

/* A random model in tables of per_file entries, but all entries of a key in one. */
static void make(kvt_rng *rng, const kvt_shape *shape, size_t per_file)
{
    kvt_model_random(&model, rng, shape);
    kvt_lsm_fit(&model);
    for (size_t i = 0; i < model.count; file_count++) {
        kvt_model part = {model.entries + i, 0, NULL};
        size_t end = kvi_min_size(i + per_file, model.count);

        while (end < model.count &&
               kvi_slice_eq(model.entries[end - 1].key, model.entries[end].key))
            end++;
        cr_assert(file_count < FILES_MAX);
        part.count = end - i;
        files[file_count] = kvt_lsm_file(&f, &part);
        begins[file_count] = i;
        i = end;
    }
    begins[file_count] = model.count;
}

static kvi_cursor *level(enum kvi_sst_scan how)
{
    kvi_cursor *c = NULL;

    cr_assert_eq(kvi_lsm_level_cursor(&f.l->tables, files, file_count, how, &c), KV_OK);
    cr_assert_not(c->valid);
    return c;
}

static void check(uint64_t seed, const kvt_shape *shape, size_t per_file, enum kvi_sst_scan how)
{
    const char *wrong;
    kvi_cursor *c;
    kvt_rng rng;

    kvt_rng_init(&rng, seed);
    make(&rng, shape, per_file);
    c = level(how);
    wrong = kvt_cursor_check(c, &model, &rng, 3000);
    cr_assert_null(wrong, "%s (seed %d)", wrong, (int)seed);
    c->ops->close(c);
    drop();
}

Test(lsm_level_cursor, shows_the_entries_of_all_its_tables, .init = setup, .fini = teardown)
{
    static const kvt_shape few = {30, 3, 2, 10, 3}, many = {2000, 10, 3, 60, 5};

    check(1, &few, 1000, KVI_SST_CACHED);
    check(2, &few, 1, KVI_SST_CACHED);
    check(3, &few, 3, KVI_SST_BULK);
    check(4, &many, 100, KVI_SST_CACHED);
    check(5, &many, 300, KVI_SST_BULK);
}

Test(lsm_level_cursor, opens_a_table_when_it_gets_there, .init = setup, .fini = teardown)
{
    static const kvt_shape shape = {200, 6, 1, 20, 4};
    kvi_cursor *c;
    kvt_rng rng;

    kvt_rng_init(&rng, 6);
    make(&rng, &shape, 20);
    cr_assert(file_count > 4);
    c = level(KVI_SST_CACHED);
    cr_assert_eq(f.l->tables.open_count, 0);
    cr_assert_eq(c->ops->seek(c, model.entries[begins[3]].key, KVI_TAG_NEWEST), KV_OK);
    cr_assert_eq(f.l->tables.open_count, 1);
    cr_assert_eq(c->ops->prev(c), KV_OK);
    cr_assert_eq(f.l->tables.open_count, 2);
    cr_assert_eq(c->ops->next(c), KV_OK);
    cr_assert_eq(f.l->tables.open_count, 2);
    c->ops->close(c);
}

/* A table is missing: the walk fails there, on both sides, and nowhere else. */
Test(lsm_level_cursor, an_error_surfaces_where_it_is, .init = setup, .fini = teardown)
{
    static const kvt_shape shape = {200, 6, 1, 20, 4};
    kvi_lsm_name name;
    kvi_cursor *c;
    kvt_rng rng;

    kvt_rng_init(&rng, 7);
    make(&rng, &shape, 20);
    kvi_lsm_name_table(name, files[2]->number);
    cr_assert_eq(f.dir->ops->unlink(f.dir, name), KV_OK);
    c = level(KVI_SST_CACHED);

    cr_assert_eq(c->ops->seek(c, model.entries[begins[2] - 1].key, KVI_TAG_NEWEST), KV_OK);
    cr_assert_eq(c->ops->next(c), KV_ECORRUPT);
    cr_assert(strstr(kvi_error_detail(), name), "%s", kvi_error_detail());
    cr_assert_not(c->valid);
    cr_assert_eq(c->ops->seek(c, model.entries[begins[2] + 1].key, KVI_TAG_NEWEST), KV_ECORRUPT);
    cr_assert_not(c->valid);
    cr_assert_eq(c->ops->seek(c, model.entries[begins[3]].key, KVI_TAG_NEWEST), KV_OK);
    cr_assert(c->valid);
    cr_assert_eq(c->ops->prev(c), KV_ECORRUPT);
    cr_assert_not(c->valid);
    cr_assert_eq(c->ops->first(c), KV_OK);
    cr_assert(c->valid);
    cr_assert_eq(c->ops->last(c), KV_OK);
    cr_assert(c->valid);
    c->ops->close(c);
}

/* Over all entries and back to where nothing is open or cached. */
static int walk_and_forget(void)
{
    kvi_cursor *c = NULL;
    int err = kvi_lsm_level_cursor(&f.l->tables, files, file_count, KVI_SST_CACHED, &c);

    if (!err) {
        err = c->ops->first(c);
        while (!err && c->valid)
            err = c->ops->next(c);
        cr_assert_not(c->valid);
        c->ops->close(c);
    }
    for (uint32_t i = 0; i < file_count; i++) {
        kvi_lsm_tables_forget(&f.l->tables, files[i]);
        kvi_sst_cache_drop_file(f.s.ctx.cache, files[i]->number);
    }
    return err;
}

Test(lsm_level_cursor, no_memory_leaves_nothing_behind, .init = setup, .fini = teardown)
{
    static const kvt_shape shape = {100, 6, 1, 20, 4};
    size_t live;
    kvt_rng rng;

    kvt_rng_init(&rng, 8);
    make(&rng, &shape, 40);
    cr_assert_eq(walk_and_forget(), KV_OK, "what is pooled is there from now on");
    live = kvt_failmem_live(&f.s.failmem);
    for (size_t n = 0;; n++) {
        int err;

        kvt_failmem_arm(&f.s.failmem, n, false);
        err = walk_and_forget();
        cr_assert_eq(kvt_failmem_live(&f.s.failmem), live, "after failure %zu", n);
        if (!kvt_failmem_disarm(&f.s.failmem)) {
            cr_assert_eq(err, KV_OK);
            break;
        }
        cr_assert(err == KV_ENOMEM || err == KV_OK, "what cannot be pooled is no failure");
    }
}
