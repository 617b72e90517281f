/*
 * Compaction: what it drops and what it keeps, how it moves tables, and what a failure leaves.
 */
#include "unit/lsm/life.h"

#define LATEST KVI_LSM_SEQ_LATEST

static life t;

static void setup(void)
{
    life_begin(&t);
    t.options.shape.level0_compact = 2;
    t.options.shape.level1_bytes = 1 << 20; /* nothing goes deeper */
    life_open(&t);
    life_run(&t);
}

static void teardown(void)
{
    life_end(&t);
}

static uint64_t table_bytes(void)
{
    uint64_t bytes = 0;

    for (uint32_t level = 0; level < KVI_LSM_LEVELS; level++)
        bytes += life_version(&t)->level[level].bytes;
    return bytes;
}

static uint32_t tables_in(uint32_t level)
{
    return life_version(&t)->level[level].count;
}

static void flush_and_run(void)
{
    OK(life_flush(&t));
    life_run(&t);
}

/* Fills level 0 until it is compacted, all of it with all that lies under it. */
static void compact_all(void)
{
    int turns = 0;

    do {
        cr_assert_lt(turns++, 3, "level 0 is not compacted: %s", t.env.log_last);
        life_put(&t, 0, 3);
        life_put(&t, 999999, 3);
        flush_and_run();
    } while (tables_in(0) > 0);
}

Test(lsm_compact, merges_level_0_into_the_next, .init = setup, .fini = teardown)
{
    kv_statistics s = KV_STATISTICS_INIT;

    life_put_all(&t, 0, 300, 0);
    flush_and_run();
    cr_assert_eq(tables_in(0), 1);
    life_put_all(&t, 100, 200, 1);
    flush_and_run();
    cr_assert_eq(tables_in(0), 0);
    cr_assert_gt(tables_in(1), 2, "tables end at their size");
    for (uint32_t i = 0; i < tables_in(1); i++)
        cr_assert_lt(life_version(&t)->level[1].files[i]->size, 10u << 10);
    kvi_lsm_stats(t.l, &s);
    cr_assert_eq(s.compactions, 1);
    cr_assert(s.compaction_read_bytes > 0 && s.compaction_write_bytes == table_bytes());
    life_check(&t, 0, 100, 0);
    life_check(&t, 100, 200, 1);
    life_check(&t, 200, 300, 0);
    life_check_tidy(&t);
    life_crash(&t, KVI_SIM_DROP, 1);
    life_open(&t);
    life_check(&t, 0, 100, 0);
    life_check(&t, 100, 200, 1);
    life_check(&t, 200, 300, 0);
}

Test(lsm_compact, gives_back_the_room_of_what_was_deleted, .init = setup, .fini = teardown)
{
    uint64_t full;

    life_put_all(&t, 0, 600, 0);
    flush_and_run();
    compact_all();
    full = table_bytes();
    for (unsigned i = 1; i < 600; i++)
        life_delete(&t, i);
    flush_and_run();
    compact_all();
    cr_assert_lt(table_bytes() * 20, full);
    cr_assert_eq(life_version(&t)->level[1].files[0]->deletes, 0, "nothing is left to hide");
    life_check_none(&t, 1, 600);
    life_check_tidy(&t);
}

Test(lsm_compact, keeps_what_snapshots_see, .init = setup, .fini = teardown)
{
    kvi_lsm_snapshot first, second;

    life_put_all(&t, 10, 200, 0);
    kvi_lsm_snapshot_take(t.l, &first);
    life_put_all(&t, 10, 200, 1);
    life_put_all(&t, 10, 200, 2); /* 1 is seen by nobody */
    kvi_lsm_snapshot_take(t.l, &second);
    for (unsigned i = 10; i < 200; i++)
        life_delete(&t, i);
    compact_all();
    cr_assert_eq(tables_in(0), 0);
    life_check_at(&t, 10, 200, 0, first.seq);
    life_check_at(&t, 10, 200, 2, second.seq);
    life_check_none(&t, 10, 200);

    kvi_lsm_snapshot_drop(t.l, &first);
    compact_all();
    life_check_at(&t, 10, 200, 2, second.seq);
    kvi_lsm_snapshot_drop(t.l, &second);
    compact_all();
    life_check_none(&t, 10, 200);
    cr_assert_eq(tables_in(1), 1);
    cr_assert_eq(life_version(&t)->level[1].files[0]->entries, 2);
}

/* All entries of a key in one table, however many there are. */
Test(lsm_compact, does_not_cut_a_key_in_two, .init = setup, .fini = teardown)
{
    enum { EDITIONS = 90 };
    static kvi_lsm_snapshot snapshots[EDITIONS];
    const uint64_t usual = t.options.shape.table_bytes;

    for (unsigned n = 0; n < EDITIONS; n++) {
        life_put(&t, 5, n);
        life_put(&t, 6, n);
        kvi_lsm_snapshot_take(t.l, &snapshots[n]);
    }
    compact_all();
    cr_assert_eq(tables_in(0), 0);
    cr_assert_gt(tables_in(1), 1);
    for (uint32_t i = 0; i < tables_in(1); i++)
        cr_assert_lt(life_version(&t)->level[1].files[i]->size, 2 * usual + (4 << 10));
    for (unsigned n = 0; n < EDITIONS; n++)
        life_check_at(&t, 5, 7, n, snapshots[n].seq);
    for (unsigned n = 0; n < EDITIONS; n++)
        kvi_lsm_snapshot_drop(t.l, &snapshots[n]);
}

Test(lsm_compact, moves_a_table_that_nothing_lies_under)
{
    uint64_t number;

    life_begin(&t);
    t.options.shape.level0_compact = 1;
    life_open(&t);
    life_put_all(&t, 0, 50, 0);
    OK(life_flush(&t));
    if (tables_in(0) == 1)
        number = life_version(&t)->level[0].files[0]->number;
    else
        number = life_version(&t)->level[1].files[0]->number;
    life_run(&t);
    cr_assert_eq(tables_in(0), 0);
    cr_assert_eq(tables_in(1), 1);
    cr_assert_eq(life_version(&t)->level[1].files[0]->number, number);
    cr_assert_eq(atomic_load(&t.l->stats.trivial_moves), 1);
    cr_assert_eq(atomic_load(&t.l->stats.compaction_write_bytes), 0);
    life_check(&t, 0, 50, 0);
    life_check_tidy(&t);
    life_crash(&t, KVI_SIM_DROP, 1);
    life_open(&t);
    cr_assert_eq(tables_in(1), 1);
    life_check(&t, 0, 50, 0);
    life_end(&t);
}

Test(lsm_compact, fills_deeper_levels)
{
    life_begin(&t);
    t.options.shape.level0_compact = 2;
    life_open(&t);
    for (unsigned n = 0; n < 6; n++) {
        life_put_all(&t, n * 300, n * 300 + 1000, n);
        flush_and_run();
    }
    cr_assert_gt(tables_in(2), 0);
    for (unsigned n = 0; n < 5; n++)
        life_check(&t, n * 300, n * 300 + 300, n);
    life_check(&t, 1500, 2500, 5);
    life_check_tidy(&t);
    life_end(&t);
}

/* A reader keeps its tables; they go when it does. */
Test(lsm_compact, deletes_inputs_once_nobody_reads_them, .init = setup, .fini = teardown)
{
    kvi_lsm_bounds all = {{NULL, 0}, {NULL, 0}};
    kvi_lsm_iter *it;
    kvi_lsm_entry entry;
    unsigned n = 0;

    life_put_all(&t, 0, 300, 0);
    flush_and_run();
    OK(kvi_lsm_iter_open(t.l, &all, LATEST, &it));
    life_put_all(&t, 0, 300, 1);
    flush_and_run();
    cr_assert_eq(tables_in(0), 0);
    cr_assert_gt(life_count(&t, KVI_LSM_NAME_IS_TABLE), tables_in(1));
    while (kvi_lsm_iter_next(it, &entry) == KV_OK) {
        char key[16], value[LIFE_VALUE_LEN];

        cr_assert(kvi_slice_eq(entry.key, life_key(key, n)));
        cr_assert(kvi_slice_eq(entry.value, life_value(value, n, 0)));
        n++;
    }
    cr_assert_eq(n, 300);
    kvi_lsm_iter_close(it);
    life_run(&t);
    kvi_lsm_task_request(&t.l->clean_task); /* the epoch may need another turn */
    life_run(&t);
    life_check_tidy(&t);
}

/* --- failures ------------------------------------------------------------------------------- */

#define ENTRIES 400u

static void check_entries(void)
{
    life_check(&t, 0, 100, 0);
    life_check(&t, 100, 200, 1);
    life_check_none(&t, 200, 300);
    life_check(&t, 300, ENTRIES, 0);
}

/* A store whose level 0 is full, in the eyes of a smaller shape. */
static kvi_sim_fs *make_disk(void)
{
    kvi_sim_fs *disk;

    life_begin(&t);
    life_open(&t);
    life_put_all(&t, 0, ENTRIES, 0);
    OK(life_flush(&t));
    life_put_all(&t, 100, 200, 1);
    OK(life_flush(&t));
    for (unsigned i = 200; i < 300; i++)
        life_delete(&t, i);
    OK(life_flush(&t));
    OK(life_close(&t));
    OK(kvi_sim_fs_crash_copy(t.env.fs, KVI_SIM_KEEP, 1, &disk));
    kvi_sim_env_deinit(&t.env);
    return disk;
}

static void begin_full(kvi_sim_fs *disk, uint64_t seed)
{
    life_begin_on(&t, disk, seed);
    t.options.shape.level0_compact = 2;
    life_open(&t);
    cr_assert_geq(tables_in(0), 3);
}

/* Call number n of a compaction fails. Whether there was one. */
static bool compact_failing(kvi_sim_fs *disk, uint64_t n, int err, enum kvi_sim_crash variant)
{
    bool failed;

    begin_full(disk, n + 1);
    life_fail(&t, KVI_SIM_CALL_ANY, n, err);
    life_run(&t);
    failed = life_failed(&t);
    check_entries();
    if (n % 2 && atomic_load(&t.l->broken) == KV_OK) { /* tried again with the next flush */
        life_put(&t, 0, 0);
        OK(life_flush(&t));
        life_run(&t);
        cr_assert_lt(tables_in(0), 2);
        check_entries();
    }
    life_crash(&t, variant, n);
    life_open(&t);
    check_entries();
    life_run(&t);
    cr_assert_lt(tables_in(0), 2);
    check_entries();
    life_check_tidy(&t);
    life_end(&t);
    return failed;
}

static void fail_each(int err)
{
    kvi_sim_fs *disk = make_disk();
    uint64_t n = 0;

    while (compact_failing(disk, n, err, (enum kvi_sim_crash)(n % KVI_SIM_CRASHES)))
        n++;
    cr_assert_gt(n, 30);
    for (int v = 0; v < KVI_SIM_CRASHES; v++)
        for (uint64_t late = n - 10; late < n; late++)
            (void)compact_failing(disk, late, err, (enum kvi_sim_crash)v);
    kvi_sim_fs_free(disk);
}

Test(lsm_compact, may_fail_at_each_call)
{
    fail_each(KV_EIO);
}

Test(lsm_compact, may_find_the_disk_full_at_each_call)
{
    fail_each(KV_ENOSPC);
}

/* Inputs that do not hold what the manifest says: nothing is made of them. */
Test(lsm_compact, refuses_inputs_with_another_number_of_entries)
{
    kvi_sim_fs *disk = make_disk();
    unsigned tables;

    begin_full(disk, 1);
    tables = life_count(&t, KVI_LSM_NAME_IS_TABLE);
    life_version(&t)->level[0].files[1]->entries++; /* as if the manifest had said so */
    life_run(&t);
    cr_assert(strstr(t.env.log_last, "entries of tables that hold"), "%s", t.env.log_last);
    cr_assert_eq(tables_in(0), 3);
    cr_assert_eq(life_count(&t, KVI_LSM_NAME_IS_TABLE), tables, "the outputs stay");
    cr_assert_eq(atomic_load(&t.l->stats.compactions), 0);
    check_entries();
    life_end(&t);
    kvi_sim_fs_free(disk);
}

/* Closing does not wait for it, and nothing of it stays. */
Test(lsm_compact, is_given_up_where_the_store_is_closed)
{
    unsigned tables;

    life_begin(&t);
    t.options.shape.memtable_bytes = 2 << 20;
    t.options.shape.segment_bytes = 1 << 20;
    life_open(&t);
    for (unsigned n = 0; n < 2; n++) {
        life_put_all(&t, 0, 12000, n);
        OK(life_flush(&t));
    }
    OK(life_close(&t));
    kvi_sim_env_restart(&t.env);
    tables = life_count(&t, KVI_LSM_NAME_IS_TABLE);
    t.options.shape.level0_compact = 2;
    life_open(&t);
    while (!t.l->compaction)
        cr_assert_eq(kvi_sim_exec_run_all(&t.env.exec, 1), 1);
    cr_assert_gt(life_count(&t, KVI_LSM_NAME_IS_TABLE), tables);
    OK(life_close(&t));
    cr_assert_eq(life_count(&t, KVI_LSM_NAME_IS_TABLE), tables);
    kvi_sim_env_restart(&t.env);
    life_open(&t);
    life_check(&t, 0, 12000, 1);
    life_end(&t);
}
