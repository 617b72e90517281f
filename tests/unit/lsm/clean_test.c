/*
 * The cleaner: a table that was compacted away is deleted when the last who reads it lets go, not
 * before, and by no reader.
 */
#include "unit/lsm/engines.h"

static engine e;

static void setup(void)
{
    engine_start(&e, (size_t)8 << 20, small_shape, true);
}

static void teardown(void)
{
    engine_end(&e);
}

static uint64_t newest_table(uint32_t level)
{
    kvi_lsm_version *v = kvi_lsm_version_current(e.l);
    uint64_t number;

    cr_assert_gt(v->level[level].count, 0);
    number = v->level[level].files[0]->number;
    kvi_lsm_version_unref(v);
    return number;
}

/* A table with this value of "k"; the first stays in level 0, the second is compacted with it. */
static void flush_value(const char *value)
{
    OK(engine_put(&e, text("a"), text(value)));
    OK(engine_put(&e, text("k"), text(value)));
    engine_flush(&e);
    engine_idle(&e);
}

/* How many tables the current version holds. */
static size_t current_tables(void)
{
    kvi_lsm_version *v = kvi_lsm_version_current(e.l);
    size_t n = 0;

    for (uint32_t level = 0; level < KVI_LSM_LEVELS; level++)
        n += v->level[level].count;
    kvi_lsm_version_unref(v);
    return n;
}

/* A retired view goes after a grace period of a few polls. */
static void clean(void)
{
    for (unsigned i = 0; i < 4; i++) {
        kvi_lsm_task_request(&e.l->clean_task);
        engine_idle(&e);
    }
}

Test(lsm_clean, what_nobody_reads_goes, .init = setup, .fini = teardown)
{
    uint64_t first;

    flush_value("1");
    first = newest_table(0);
    cr_assert(engine_has_table(&e, first));
    flush_value("2");
    clean();
    cr_assert(!engine_has_table(&e, first));
    cr_assert_eq(current_tables(), 1);
    cr_assert_eq(engine_tables(&e), 1);
    cr_assert_null(atomic_load(&e.l->trash));
    cr_assert(engine_has(&e, text("k"), KVI_LSM_SEQ_LATEST, "2"));
}

Test(lsm_clean, an_iterator_keeps_its_tables, .init = setup, .fini = teardown)
{
    kvi_lsm_bounds all = {{NULL, 0}, {NULL, 0}};
    kvi_lsm_iter *it[2];
    kvi_lsm_entry entry;
    uint64_t first;

    flush_value("1");
    first = newest_table(0);
    for (size_t i = 0; i < 2; i++)
        OK(kvi_lsm_iter_open(e.l, &all, KVI_LSM_SEQ_LATEST, &it[i]));
    flush_value("2");
    clean();
    for (size_t i = 0; i < 2; i++) {
        cr_assert(engine_has_table(&e, first), "iterator %zu still reads it", i);
        OK(kvi_lsm_iter_next(it[i], &entry));
        OK(kvi_lsm_iter_next(it[i], &entry));
        cr_assert(kvi_slice_eq(entry.key, text("k")) && kvi_slice_eq(entry.value, text("1")));
        kvi_lsm_iter_close(it[i]);
        cr_assert(engine_has_table(&e, first), "the reader deletes nothing");
        engine_idle(&e);
    }
    cr_assert(!engine_has_table(&e, first));
    cr_assert_eq(engine_tables(&e), current_tables());
}

Test(lsm_clean, a_renewed_iterator_lets_go, .init = setup, .fini = teardown)
{
    kvi_lsm_bounds all = {{NULL, 0}, {NULL, 0}};
    kvi_lsm_iter *it;
    uint64_t first;

    flush_value("1");
    first = newest_table(0);
    OK(kvi_lsm_iter_open(e.l, &all, KVI_LSM_SEQ_LATEST, &it));
    flush_value("2");
    clean();
    cr_assert(engine_has_table(&e, first));
    OK(kvi_lsm_iter_renew(it, NULL, KVI_LSM_SEQ_LATEST));
    clean();
    cr_assert(!engine_has_table(&e, first));
    kvi_lsm_iter_close(it);
}

Test(lsm_clean, a_reader_of_a_view_keeps_its_tables, .init = setup, .fini = teardown)
{
    kvi_epoch_guard guard;
    uint64_t first;

    flush_value("1");
    first = newest_table(0);
    guard = kvi_epoch_enter(e.l->epoch);
    flush_value("2");
    clean();
    cr_assert(engine_has_table(&e, first));
    kvi_epoch_leave(e.l->epoch, guard);
    clean();
    cr_assert(!engine_has_table(&e, first));
}

Test(lsm_clean, a_version_keeps_its_tables, .init = setup, .fini = teardown)
{
    kvi_lsm_version *v;
    uint64_t first;

    flush_value("1");
    first = newest_table(0);
    v = kvi_lsm_version_current(e.l);
    flush_value("2");
    clean();
    cr_assert(engine_has_table(&e, first));
    cr_assert(atomic_load(&v->level[0].files[0]->doomed));
    kvi_lsm_version_unref(v);
    cr_assert(engine_has_table(&e, first));
    cr_assert_not_null(atomic_load(&e.l->trash), "it waits for the cleaner");
    engine_idle(&e);
    cr_assert(!engine_has_table(&e, first));
    cr_assert(engine_has_table(&e, newest_table(1)));
}

/* A file that no edit has removed is only forgotten: what it holds may be the store's. */
Test(lsm_clean, what_is_not_doomed_stays_on_the_disk, .init = setup, .fini = teardown)
{
    kvi_lsm_version *v;
    uint64_t first;

    flush_value("1");
    first = newest_table(0);
    v = kvi_lsm_version_current(e.l);
    flush_value("2");
    clean();
    atomic_store(&v->level[0].files[0]->doomed, false);
    kvi_lsm_version_unref(v);
    clean();
    cr_assert_null(atomic_load(&e.l->trash));
    cr_assert(engine_has_table(&e, first));
    OK(engine_close(&e));
    engine_open(&e, small_shape); /* which knows better */
    cr_assert(!engine_has_table(&e, first));
    cr_assert(engine_has(&e, text("k"), KVI_LSM_SEQ_LATEST, "2"));
}

Test(lsm_clean, what_cannot_be_deleted_goes_with_the_next_open, .init = setup, .fini = teardown)
{
    kvi_sim_fs_faults faults = {
        .fail_call = KVI_SIM_CALL_UNLINK, .fail_with = KV_EIO, .from_then_on = true};
    uint64_t first;

    flush_value("1");
    first = newest_table(0);
    kvi_sim_fs_set_faults(e.env.fs, &faults);
    flush_value("2");
    clean();
    kvi_sim_fs_set_faults(e.env.fs, NULL);
    cr_assert(engine_has_table(&e, first));
    OK(engine_close(&e));
    engine_open(&e, small_shape);
    cr_assert(!engine_has_table(&e, first));
    cr_assert_eq(engine_tables(&e), current_tables());
    cr_assert(engine_has(&e, text("k"), KVI_LSM_SEQ_LATEST, "2"));
}
