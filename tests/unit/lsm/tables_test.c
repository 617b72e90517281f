/*
 * Open tables: opened when needed, closed when too many, never under a reader.
 */
#include "lsm/tables.h"

#include <criterion/criterion.h>

#include <pthread.h>
#include <string.h>

#include "base/hash.h"
#include "lsm/names.h"
#include "support/lsm_fixture.h"

#define FILES   20u
#define ENTRIES 60u

static kvt_lsm f;
static kvt_model model; /* the same entries in every file */
static kvi_lsm_file *files[KVI_LSM_TABLES_OPEN + 50];
static uint32_t file_count;

static void setup(void)
{
    kvt_lsm_init(&f, (size_t)64 << 20);
    kvt_model_counted(&model, ENTRIES, 50);
    file_count = 0;
}

static void make(uint32_t count)
{
    for (; file_count < count; file_count++)
        files[file_count] = kvt_lsm_file(&f, &model);
}

static void teardown(void)
{
    for (uint32_t i = 0; i < file_count; i++)
        kvi_lsm_file_unref(files[i]);
    file_count = 0;
    kvt_model_deinit(&model);
    kvt_lsm_deinit(&f);
}

/* Uses a table within an epoch: whether it opens and holds what it should. */
static int use(uint32_t i, uint64_t n)
{
    kvi_epoch_guard guard = kvi_epoch_enter(f.l->epoch);
    const kvt_entry *e = &model.entries[n % model.count];
    kvi_sst_found found;
    kvi_lsm_table *table;
    int err = kvi_lsm_tables_get(&f.l->tables, files[i], false, &table);

    if (!err)
        err = kvt_sst_get(&f.s, table->table, e->key, KVI_TAG_NEWEST, &found);
    if (!err) {
        if (!found.found || !kvt_entry_same(e, e->key, found.tag, found.value))
            err = KV_ENOTFOUND;
        else
            kvi_sst_block_unref(found.block);
    }
    kvi_epoch_leave(f.l->epoch, guard);
    return err;
}

static bool is_open(uint32_t i)
{
    return atomic_load(&files[i]->table) != NULL;
}

Test(lsm_tables, a_table_is_opened_once, .init = setup, .fini = teardown)
{
    kvi_epoch_guard guard = kvi_epoch_enter(f.l->epoch);
    kvi_lsm_table *table = NULL, *again = NULL;

    make(1);
    cr_assert_eq(kvi_lsm_tables_get(&f.l->tables, files[0], true, &table), KVI_AGAIN);
    cr_assert_null(table);
    cr_assert_not(is_open(0));
    cr_assert_eq(kvi_lsm_tables_get(&f.l->tables, files[0], false, &table), KV_OK);
    cr_assert_eq(kvi_lsm_tables_get(&f.l->tables, files[0], true, &again), KV_OK);
    cr_assert(table == again);
    cr_assert_eq(f.l->tables.open_count, 1);
    cr_assert_eq(f.l->tables.memory, kvi_sst_table_memory(table->table));
    kvi_epoch_leave(f.l->epoch, guard);

    kvi_lsm_tables_forget(&f.l->tables, files[0]);
    cr_assert_not(is_open(0));
    cr_assert_eq(f.l->tables.open_count, 0);
    cr_assert_eq(kvi_budget_held(&f.s.budget, KVI_BUDGET_TABLE), 0);
    kvi_lsm_tables_forget(&f.l->tables, files[0]);
    cr_assert_eq(use(0, 7), KV_OK, "and opened again");
}

Test(lsm_tables, one_that_is_missing_or_damaged_is_corrupt, .init = setup, .fini = teardown)
{
    kvi_lsm_name name;
    kvi_os_file *file;
    uint64_t size;

    make(2);
    kvi_lsm_name_table(name, files[0]->number);
    cr_assert_eq(f.dir->ops->unlink(f.dir, name), KV_OK);
    cr_assert_eq(use(0, 0), KV_ECORRUPT);
    cr_assert_str_eq(kvi_error_detail(), "table 000001.sst is missing");

    kvi_lsm_name_table(name, files[1]->number);
    cr_assert_eq(f.dir->ops->open(f.dir, name, KVI_OS_WRITE, &file), KV_OK);
    cr_assert_eq(file->ops->size(file, &size), KV_OK);
    cr_assert_eq(file->ops->write(file, size - 3, "x", 1), KV_OK);
    cr_assert_eq(file->ops->close(file), KV_OK);
    cr_assert_eq(use(1, 0), KV_ECORRUPT);
    cr_assert_eq(f.l->tables.open_count, 0);
    cr_assert_eq(kvi_budget_held(&f.s.budget, KVI_BUDGET_TABLE), 0);
}

Test(lsm_tables, no_more_than_so_many_stay_open, .init = setup, .fini = teardown)
{
    make(KVI_LSM_TABLES_OPEN + 50);
    for (uint32_t i = 0; i < file_count; i++) {
        cr_assert_eq(use(i, i), KV_OK);
        cr_assert(is_open(i), "what was just opened stays");
        cr_assert(f.l->tables.open_count <= KVI_LSM_TABLES_OPEN);
    }
    cr_assert_eq(f.l->tables.open_count, KVI_LSM_TABLES_OPEN);
    for (uint32_t i = 0; i < file_count; i++)
        cr_assert_eq(use(i, i), KV_OK);
}

static void limit_memory(uint32_t tables)
{
    cr_assert_eq(use(0, 0), KV_OK);
    f.l->tables.memory_max = tables * f.l->tables.memory / f.l->tables.open_count;
}

Test(lsm_tables, indexes_and_filters_stay_within_their_share, .init = setup, .fini = teardown)
{
    make(FILES);
    limit_memory(5);
    for (uint32_t i = 0; i < FILES; i++) {
        cr_assert_eq(use(i, i), KV_OK);
        cr_assert(f.l->tables.memory <= f.l->tables.memory_max);
    }
    cr_assert(f.l->tables.open_count == 5 || f.l->tables.open_count == 4);
    f.l->tables.memory_max = 1;
    cr_assert_eq(use(3, 0), KV_OK, "one that is larger than the share by itself");
    cr_assert_eq(f.l->tables.open_count, 1);
}

Test(lsm_tables, those_in_use_stay_before_others, .init = setup, .fini = teardown)
{
    make(FILES);
    limit_memory(4);
    for (uint32_t i = 1; i < FILES; i++) {
        cr_assert_eq(use(0, i), KV_OK);
        cr_assert_eq(use(i, i), KV_OK);
        cr_assert(is_open(0), "the one that is asked each time, after %u", i);
    }
}

Test(lsm_tables, a_cursor_keeps_its_table, .init = setup, .fini = teardown)
{
    kvi_cursor *c[2];
    uint32_t met = 0;

    make(FILES);
    limit_memory(3);
    for (uint32_t i = 0; i < 2; i++) {
        cr_assert_eq(
            kvi_lsm_tables_cursor(&f.l->tables, files[i], i ? KVI_SST_BULK : KVI_SST_CACHED, &c[i]),
            KV_OK);
        cr_assert_eq(c[i]->ops->first(c[i]), KV_OK);
    }
    for (uint32_t i = 2; i < FILES; i++)
        cr_assert_eq(use(i, i), KV_OK);
    cr_assert(is_open(0) && is_open(1), "closing them would free nothing");
    kvi_lsm_tables_forget(&f.l->tables, files[0]);
    for (; c[0]->valid && c[1]->valid; met++) {
        for (uint32_t i = 0; i < 2; i++) {
            cr_assert(kvt_entry_same(&model.entries[met], c[i]->key, c[i]->tag, c[i]->value));
            cr_assert_eq(c[i]->ops->next(c[i]), KV_OK);
        }
    }
    cr_assert_eq(met, ENTRIES);
    c[0]->ops->close(c[0]);
    c[1]->ops->close(c[1]);
    for (uint32_t i = 2; i < FILES; i++)
        cr_assert_eq(use(i, i), KV_OK);
    cr_assert_not(is_open(1), "nobody holds it any more");
}

Test(lsm_tables, one_that_is_evicted_stays_good_within_the_epoch, .init = setup, .fini = teardown)
{
    kvi_epoch_guard guard;
    kvi_sst_found found;
    kvi_lsm_table *table;

    make(FILES);
    limit_memory(2);
    guard = kvi_epoch_enter(f.l->epoch);
    cr_assert_eq(kvi_lsm_tables_get(&f.l->tables, files[0], false, &table), KV_OK);
    for (uint32_t i = 1; i < FILES; i++)
        cr_assert_eq(use(i, i), KV_OK);
    cr_assert_not(is_open(0));
    cr_assert_eq(kvt_sst_get(&f.s, table->table, model.entries[5].key, KVI_TAG_NEWEST, &found),
                 KV_OK);
    cr_assert(found.found);
    kvi_sst_block_unref(found.block);
    kvi_epoch_leave(f.l->epoch, guard);
    cr_assert_not(kvi_epoch_poll(f.l->epoch));
    cr_assert_eq(kvi_budget_held(&f.s.budget, KVI_BUDGET_TABLE), f.l->tables.memory);
}

Test(lsm_tables, no_memory_leaves_nothing_behind, .init = setup, .fini = teardown)
{
    size_t live;

    make(1);
    cr_assert_eq(use(0, 0), KV_OK, "what is pooled is there from now on");
    kvi_lsm_tables_forget(&f.l->tables, files[0]);
    live = kvt_failmem_live(&f.s.failmem);
    for (size_t n = 0;; n++) {
        kvi_cursor *c = NULL;
        int err;

        kvt_failmem_arm(&f.s.failmem, n, false);
        err = kvi_lsm_tables_cursor(&f.l->tables, files[0], KVI_SST_CACHED, &c);
        if (!kvt_failmem_disarm(&f.s.failmem)) {
            cr_assert_eq(err, KV_OK);
            c->ops->close(c);
            break;
        }
        cr_assert_eq(err, KV_ENOMEM);
        kvi_lsm_tables_forget(&f.l->tables, files[0]);
        cr_assert_eq(kvt_failmem_live(&f.s.failmem), live, "after failure %zu", n);
    }
}

/* --- threads ------------------------------------------------------------------------------ */

static void *use_many(void *arg)
{
    uintptr_t bad = 0;
    kvt_rng rng;

    kvt_rng_init(&rng, (uint64_t)(uintptr_t)arg);
    for (int n = 0; n < 3000; n++) {
        uint32_t i = (uint32_t)kvt_rng_below(&rng, FILES);
        kvi_cursor *c;

        if (n % 16) {
            bad += use(i, kvt_rng_next(&rng)) != KV_OK;
            continue;
        }
        if (kvi_lsm_tables_cursor(&f.l->tables, files[i], KVI_SST_CACHED, &c) != KV_OK) {
            bad++;
            continue;
        }
        bad += c->ops->last(c) != KV_OK || !c->valid;
        c->ops->close(c);
    }
    return (void *)bad;
}

Test(lsm_tables, threads_open_and_evict_side_by_side, .init = setup, .fini = teardown)
{
    pthread_t threads[4];

    make(FILES);
    limit_memory(2);
    for (size_t i = 0; i < 4; i++)
        cr_assert_eq(pthread_create(&threads[i], NULL, use_many, (void *)(uintptr_t)(i + 1)), 0);
    for (size_t i = 0; i < 4; i++) {
        void *bad = NULL;

        pthread_join(threads[i], &bad);
        cr_assert_null(bad, "thread %zu", i);
    }
    while (kvi_epoch_poll(f.l->epoch))
        ;
    cr_assert_eq(kvi_budget_held(&f.s.budget, KVI_BUDGET_TABLE), f.l->tables.memory);
}
