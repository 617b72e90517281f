/*
 * Changes of the tables coming into force: the manifest first, and what it may name is not deleted.
 */
#include "unit/lsm/life.h"

#define ENTRIES 100u

static life t;

/* One table in level 0, and entries in memory. */
static void begin(void)
{
    life_begin(&t);
    life_open(&t);
    life_put_all(&t, 0, ENTRIES, 0);
    OK(life_flush(&t));
    life_run(&t);
    life_put_all(&t, 50, ENTRIES, 1);
    OK(life_sync(&t));
}

static void check_entries(void)
{
    life_check(&t, 0, 50, 0);
    life_check(&t, 50, ENTRIES, 1);
}

/* How many calls of the kind a flush makes; the last ones are the manifest's. */
static uint64_t calls_of_flush(enum kvi_sim_call call)
{
    uint64_t n;

    begin();
    kvi_sim_fs_reset_counts(t.env.fs);
    OK(life_flush(&t));
    n = kvi_sim_fs_get_counts(t.env.fs)->calls[call];
    life_end(&t);
    return n;
}

static bool is_there(uint64_t number)
{
    life_files tables = life_list(&t, KVI_LSM_NAME_IS_TABLE);

    for (unsigned i = 0; i < tables.count; i++)
        if (tables.numbers[i] == number)
            return true;
    return false;
}

static void check_refused(int err)
{
    FAILS(life_try_put(&t, 1, 9), err, "until the store is opened again");
    FAILS(life_flush(&t), err, "until the store is opened again");
    check_entries();
}

/* The edit of a flush may or may not be on the disk. */
static void break_flush(enum kvi_sim_call call, uint64_t n, enum kvi_sim_crash variant)
{
    begin();
    life_fail(&t, call, n, KV_EIO);
    FAILS(life_flush(&t), KV_EIO, "MANIFEST");
    cr_assert(life_failed(&t));
    cr_assert_eq(atomic_load(&t.l->broken), KV_EIO);
    cr_assert_eq(life_version(&t)->level[0].count, 1, "a change shows that is not in force");
    cr_assert_eq(life_count(&t, KVI_LSM_NAME_IS_TABLE), 2);
    check_refused(KV_EIO);
    life_run(&t);
    cr_assert_eq(life_count(&t, KVI_LSM_NAME_IS_TABLE), 2, "the manifest may name it");
    (void)life_close(&t);
    cr_assert_eq(life_count(&t, KVI_LSM_NAME_IS_TABLE), 2, "the manifest may name it");
    OK(kvi_sim_env_crash(&t.env, variant, n));
    life_open(&t);
    check_entries();
    life_run(&t);
    life_check_tidy(&t);
    OK(life_flush(&t));
    check_entries();
    life_end(&t);
}

Test(lsm_install, a_manifest_that_cannot_be_synced_breaks_the_store)
{
    uint64_t n = calls_of_flush(KVI_SIM_CALL_SYNC);

    for (int v = 0; v < KVI_SIM_CRASHES; v++)
        break_flush(KVI_SIM_CALL_SYNC, n - 1, (enum kvi_sim_crash)v);
}

Test(lsm_install, a_manifest_that_cannot_be_written_breaks_the_store)
{
    uint64_t n = calls_of_flush(KVI_SIM_CALL_WRITE); /* the last one is the watermark's */

    for (int v = 0; v < KVI_SIM_CRASHES; v++)
        break_flush(KVI_SIM_CALL_WRITE, n - 2, (enum kvi_sim_crash)v);
}

/* The edit before it is in force; there will be no other. */
Test(lsm_install, a_watermark_that_cannot_be_written_ends_the_manifest)
{
    uint64_t n = calls_of_flush(KVI_SIM_CALL_WRITE);

    begin();
    life_fail(&t, KVI_SIM_CALL_WRITE, n - 1, KV_EIO);
    OK(life_flush(&t));
    cr_assert(life_failed(&t));
    cr_assert_eq(life_version(&t)->level[0].count, 2);
    life_put_all(&t, 0, 50, 2);
    OK(life_sync(&t));
    FAILS(life_flush(&t), KV_EIO, "manifest");
    cr_assert_eq(atomic_load(&t.l->broken), KV_EIO);
    life_check(&t, 0, 50, 2);
    life_crash(&t, KVI_SIM_DROP, 1);
    life_open(&t);
    cr_assert_geq(life_version(&t)->level[0].count, 2);
    life_check(&t, 0, 50, 2);
    life_check(&t, 50, ENTRIES, 1);
    life_end(&t);
}

/* Inputs and outputs of a compaction whose edit may be on the disk: both stay. */
static void break_compaction(uint64_t n, uint64_t *of, enum kvi_sim_crash variant)
{
    life_files before, after;

    begin();
    OK(life_flush(&t));
    OK(life_close(&t));
    kvi_sim_env_restart(&t.env);
    t.options.shape.level0_compact = 2;
    t.options.log = false; /* so that no segment is prepared at the same time */
    life_open(&t);
    before = life_list(&t, KVI_LSM_NAME_IS_TABLE);
    life_fail(&t, KVI_SIM_CALL_SYNC, n, KV_EIO);
    life_run(&t);
    *of = kvi_sim_fs_get_counts(t.env.fs)->calls[KVI_SIM_CALL_SYNC];
    if (life_failed(&t)) {
        cr_assert_eq(atomic_load(&t.l->broken), KV_EIO);
        check_refused(KV_EIO);
        (void)life_close(&t);
        for (unsigned i = 0; i < before.count; i++)
            cr_assert(is_there(before.numbers[i]), "an input is gone");
        after = life_list(&t, KVI_LSM_NAME_IS_TABLE);
        cr_assert_gt(after.count, before.count, "an output is gone");
        OK(kvi_sim_env_crash(&t.env, variant, n));
        life_open(&t);
        check_entries();
        life_run(&t);
        life_check_tidy(&t);
    }
    check_entries();
    life_end(&t);
}

Test(lsm_install, a_compaction_that_may_be_in_force_deletes_nothing)
{
    uint64_t n, ignored;

    break_compaction(UINT64_MAX, &n, KVI_SIM_DROP);
    cr_assert_gt(n, 1);
    for (int v = 0; v < KVI_SIM_CRASHES; v++)
        break_compaction(n - 1, &ignored, (enum kvi_sim_crash)v);
}

/* --- a manifest that grows ------------------------------------------------------------------ */

#define LONG_KEY 60000u

/* Edits hold keys: with long ones a manifest is long soon. */
static void put_long(unsigned i)
{
    static char key[LONG_KEY];
    kvi_lsm_op op = {.kind = KVI_KIND_PUT, .key = {key, sizeof key}};

    memset(key, 'k', sizeof key);
    (void)snprintf(key, sizeof key, "%06u", i);
    OK(life_write(&t, &op));
    OK(life_flush(&t));
    life_run(&t);
}

static void begin_long(void)
{
    life_begin(&t);
    t.options.shape.memtable_bytes = 256 << 10;
    t.options.shape.segment_bytes = 128 << 10;
    t.options.shape.level0_compact = 2;
    t.options.shape.table_bytes = 32 << 20; /* few tables: many edits of few of them */
    t.options.shape.level1_bytes = 32 << 20;
    life_open(&t);
}

Test(lsm_install, a_long_manifest_is_rolled)
{
    uint64_t first, now, most = 0;
    unsigned rolls = 0;

    begin_long();
    first = now = t.l->manifest.journal.file_no;
    for (unsigned i = 0; i < 60; i++) {
        put_long(i % 3);
        most = kvi_max_u64(most, t.l->manifest.end);
        if (t.l->manifest.journal.file_no == now)
            continue;
        cr_assert_gt(t.l->manifest.journal.file_no, now);
        now = t.l->manifest.journal.file_no;
        rolls++;
        life_check_tidy(&t);
    }
    cr_assert(now > first && rolls > 0);
    cr_assert_leq(most, KVI_LSM_MANIFEST_ROLL + (1 << 20));
    life_crash(&t, KVI_SIM_DROP, 1);
    life_open(&t);
    cr_assert_eq(kvi_lsm_last_seq(t.l), 60);
    life_end(&t);
}

/* The old one goes on; the roll is tried with each edit until it works. */
Test(lsm_install, a_roll_that_fails_is_no_harm)
{
    uint64_t old, rolled_at = 0;
    unsigned failures = 0;

    begin_long();
    old = t.l->manifest.journal.file_no;
    for (unsigned i = 0; i < 60 && !rolled_at; i++) {
        uint64_t warnings = t.env.log_counts[KV_LOG_WARN];

        if (t.l->manifest.end + (512 << 10) > KVI_LSM_MANIFEST_ROLL && failures < 3) {
            /* No file but the table's is made before the roll's. */
            life_fail(&t, KVI_SIM_CALL_CREATE, 1, KV_ENOSPC);
        }
        put_long(i % 3);
        (void)life_failed(&t);
        cr_assert_eq(atomic_load(&t.l->broken), KV_OK);
        failures += t.env.log_counts[KV_LOG_WARN] > warnings;
        if (t.l->manifest.journal.file_no != old)
            rolled_at = i;
    }
    cr_assert_gt(failures, 0);
    cr_assert_gt(rolled_at, 0);
    life_check_tidy(&t);
    life_crash(&t, KVI_SIM_DROP, 1);
    life_open(&t);
    cr_assert_eq(kvi_lsm_last_seq(t.l), rolled_at + 1);
    life_end(&t);
}
