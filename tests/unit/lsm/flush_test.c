/*
 * Flush: what it makes of a memtable, whom it tells, and what a failure leaves.
 */
#include "unit/lsm/life.h"

static life t;

static void setup(void)
{
    life_begin(&t);
    life_open(&t);
    life_run(&t);
}

static void teardown(void)
{
    life_end(&t);
}

Test(lsm_flush, an_empty_memtable_is_flushed_already, .init = setup, .fini = teardown)
{
    life_waiter w = life_waiter_new();

    OK(kvi_lsm_flush(t.l, &w.waiter));
    life_put(&t, 0, 0);
    OK(life_flush(&t));
    OK(kvi_lsm_flush(t.l, &w.waiter));
    cr_assert_eq(w.woken, 0);
    cr_assert_eq(life_version(&t)->level[0].count, 1);
}

Test(lsm_flush, makes_one_table_of_level_0, .init = setup, .fini = teardown)
{
    const kvi_lsm_file *f;

    life_put_all(&t, 0, 50, 0);
    life_put_all(&t, 10, 20, 1);
    life_delete(&t, 30);
    OK(life_flush(&t));
    cr_assert_eq(life_version(&t)->level[0].count, 1);
    f = life_version(&t)->level[0].files[0];
    cr_assert_eq(f->entries, 49, "older editions, and deletes with nothing beneath, are dropped");
    cr_assert_eq(f->deletes, 0);
    cr_assert_eq(f->seq_max, 60);
    cr_assert_eq(atomic_load(&t.l->flushed_seq), 61);
    cr_assert_eq(t.l->imm_count, 0);
    life_delete(&t, 31);
    OK(life_flush(&t));
    f = life_version(&t)->level[0].files[0];
    cr_assert(f->entries == 1 && f->deletes == 1, "this one hides something");
    life_crash(&t, KVI_SIM_DROP, 1);
    life_open(&t);
    cr_assert_eq(kvi_lsm_memtable_count(t.l->active), 0);
    life_check(&t, 0, 10, 0);
    life_check(&t, 10, 20, 1);
    life_check_none(&t, 30, 32);
    life_check(&t, 32, 50, 0);
}

/* No table comes of it, but the log is free. */
Test(lsm_flush, nothing_is_left_of_what_was_deleted_at_once, .init = setup, .fini = teardown)
{
    for (unsigned i = 0; i < 20; i++) {
        life_put(&t, i, 0);
        life_delete(&t, i);
    }
    OK(life_flush(&t));
    life_run(&t);
    cr_assert_eq(life_count(&t, KVI_LSM_NAME_IS_TABLE), 0);
    cr_assert_eq(atomic_load(&t.l->flushed_seq), 40);
    life_crash(&t, KVI_SIM_DROP, 1);
    life_open(&t);
    cr_assert_eq(atomic_load(&t.l->flushed_seq), 40);
    cr_assert_eq(kvi_lsm_last_seq(t.l), 40, "sequences go on behind it");
    life_check_none(&t, 0, 20);
}

Test(lsm_flush, keeps_what_a_snapshot_sees, .init = setup, .fini = teardown)
{
    kvi_lsm_snapshot old;

    life_put_all(&t, 0, 20, 0);
    kvi_lsm_snapshot_take(t.l, &old);
    life_put_all(&t, 0, 10, 1);
    for (unsigned i = 10; i < 20; i++)
        life_delete(&t, i);
    OK(life_flush(&t));
    cr_assert_eq(life_version(&t)->level[0].files[0]->entries, 40);
    life_check_at(&t, 0, 20, 0, old.seq);
    life_check(&t, 0, 10, 1);
    life_check_none(&t, 10, 20);
    kvi_lsm_snapshot_drop(t.l, &old);
}

Test(lsm_flush, tells_all_who_wait, .init = setup, .fini = teardown)
{
    life_waiter w[3] = {life_waiter_new(), life_waiter_new(), life_waiter_new()};

    life_put(&t, 0, 0);
    cr_assert_eq(kvi_lsm_flush(t.l, &w[0].waiter), KVI_PENDING);
    cr_assert_eq(kvi_lsm_flush(t.l, &w[1].waiter), KVI_PENDING);
    life_put(&t, 1, 0);
    cr_assert_eq(kvi_lsm_flush(t.l, &w[2].waiter), KVI_PENDING);
    cr_assert_eq(t.l->imm_count, 2);
    life_run(&t);
    for (unsigned i = 0; i < 3; i++)
        cr_assert(w[i].woken == 1 && w[i].result == KV_OK, "waiter %u", i);
    cr_assert_eq(life_version(&t)->level[0].count, 2);
}

/* A third one has to wait for one of them to go. */
Test(lsm_flush, waits_where_two_memtables_wait, .init = setup, .fini = teardown)
{
    life_waiter w[3] = {life_waiter_new(), life_waiter_new(), life_waiter_new()};

    for (unsigned i = 0; i < 3; i++) {
        life_put(&t, i, 0);
        cr_assert_eq(kvi_lsm_flush(t.l, &w[i].waiter), KVI_PENDING);
    }
    life_run(&t);
    cr_assert(w[0].woken == 1 && w[0].result == KV_OK);
    cr_assert(w[1].woken == 1 && w[1].result == KV_OK);
    cr_assert(w[2].woken == 1 && w[2].result == KVI_AGAIN);
    OK(life_flush(&t));
    cr_assert_eq(life_version(&t)->level[0].count, 3);
}

Test(lsm_flush, is_what_closing_does_without_a_log)
{
    life_begin(&t);
    t.options.log = false;
    life_open(&t);
    life_put_all(&t, 0, 500, 0); /* also fills memtables */
    life_put_all(&t, 0, 10, 1);
    OK(life_close(&t));
    cr_assert_eq(life_count(&t, KVI_LSM_NAME_IS_LOG), 0);
    OK(kvi_sim_env_crash(&t.env, KVI_SIM_DROP, 1));
    life_open(&t);
    life_check(&t, 0, 10, 1);
    life_check(&t, 10, 500, 0);
    life_end(&t);
}

/* --- failures ------------------------------------------------------------------------------- */

#define ENTRIES 120u

/* A store with tables, and with a memtable that is to be flushed. */
static kvi_sim_fs *make_disk(void)
{
    kvi_sim_fs *disk;

    setup();
    life_put_all(&t, 0, ENTRIES, 0);
    OK(life_flush(&t));
    life_run(&t);
    life_put_all(&t, 40, 80, 1);
    OK(life_close(&t));
    OK(kvi_sim_fs_crash_copy(t.env.fs, KVI_SIM_KEEP, 1, &disk));
    kvi_sim_env_deinit(&t.env);
    return disk;
}

static void check_entries(void)
{
    life_check(&t, 0, 40, 0);
    life_check(&t, 40, 80, 1);
    life_check(&t, 80, ENTRIES, 0);
}

/* Call number n of a flush fails. Those who wait are told; nothing is lost, now or after a crash;
   a flush that did not break the store works when it is tried again. Whether there was such a
   call. */
static bool flush_failing(kvi_sim_fs *disk, uint64_t n, int err, enum kvi_sim_crash variant)
{
    life_waiter w[2] = {life_waiter_new(), life_waiter_new()};
    bool failed, broken;

    life_begin_on(&t, disk, n + 1);
    life_open(&t);
    life_run(&t);
    cr_assert_eq(kvi_lsm_flush(t.l, &w[0].waiter), KVI_PENDING);
    cr_assert_eq(kvi_lsm_flush(t.l, &w[1].waiter), KVI_PENDING);
    life_fail(&t, KVI_SIM_CALL_ANY, n, err);
    life_run(&t);
    failed = life_failed(&t);
    broken = atomic_load(&t.l->broken) < 0;
    cr_assert(w[0].woken == 1 && w[1].woken == 1, "nobody tells those who wait");
    cr_assert_eq(w[0].result, w[1].result);
    if (w[0].result < 0) {
        cr_assert(failed && w[0].result == err);
        FAILS(kvi_lsm_explain(t.l, err), err, "(simulated)");
        cr_assert_eq(atomic_load(&t.l->flushed_seq), ENTRIES);
        if (!broken)
            cr_assert_eq(life_count(&t, KVI_LSM_NAME_IS_TABLE), 1, "its table stays");
    }
    check_entries();
    if (w[0].result < 0 && !broken && n % 2) {
        OK(life_flush(&t));
        check_entries();
    }
    life_crash(&t, variant, n);
    life_open(&t);
    check_entries();
    life_run(&t);
    life_check_tidy(&t);
    OK(life_flush(&t));
    check_entries();
    life_end(&t);
    return failed;
}

static void fail_each(int err)
{
    kvi_sim_fs *disk = make_disk();

    for (int v = 0; v < KVI_SIM_CRASHES; v++) {
        uint64_t n = 0;

        while (flush_failing(disk, n, err, (enum kvi_sim_crash)v))
            n++;
        cr_assert_gt(n, 6);
    }
    kvi_sim_fs_free(disk);
}

Test(lsm_flush, may_fail_at_each_call)
{
    fail_each(KV_EIO);
}

Test(lsm_flush, may_find_the_disk_full_at_each_call)
{
    fail_each(KV_ENOSPC);
}

/* Writers that wait for the memtable to be flushed are told as well, and go on when it is. */
Test(lsm_flush, a_full_disk_stops_writers_for_as_long_as_it_is_full)
{
    kvi_sim_fs_faults faults = {
        .fail_call = KVI_SIM_CALL_CREATE, .from_then_on = true, .fail_with = KV_ENOSPC};
    unsigned i = 0;
    int r;

    life_begin(&t);
    t.options.log = false;
    life_open(&t);
    kvi_sim_fs_set_faults(t.env.fs, &faults);
    do {
        r = life_try_put(&t, i++, 0);
    } while (r == KV_OK);
    cr_assert_eq(r, KV_ENOSPC);
    cr_assert_eq(t.l->imm_count, KVI_LSM_IMM_MAX);
    cr_assert_eq(life_try_put(&t, i, 0), KV_ENOSPC);
    life_check(&t, 0, i - 1, 0);
    kvi_sim_fs_set_faults(t.env.fs, NULL);
    life_put_all(&t, i - 1, i + 1000, 0);
    life_check(&t, 0, i + 1000, 0);
    life_end(&t);
}
