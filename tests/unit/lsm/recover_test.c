/*
 * Creation and recovery: what is refused, what a failure on the way leaves, what is swept away.
 */
#include "unit/lsm/life.h"

static life t;

static void setup(void)
{
    life_begin(&t);
}

static void teardown(void)
{
    life_end(&t);
}

/* --- creation ------------------------------------------------------------------------------- */

static void remove_all(enum kvi_lsm_name_kind kind)
{
    life_files files = life_list(&t, kind);

    for (unsigned i = 0; i < files.count; i++) {
        kvi_lsm_name name;

        if (kind == KVI_LSM_NAME_IS_LOG)
            kvi_lsm_name_log(name, files.numbers[i]);
        else
            kvi_lsm_name_table(name, files.numbers[i]);
        OK(kvi_sim_fs_remove_file(t.env.fs, LIFE_PATH, name));
    }
}

static void refuses(int code, const char *text)
{
    uint64_t before = life_hash(&t);

    kvi_sim_env_restart(&t.env);
    FAILS(life_try_open(&t), code, text);
    cr_assert_eq(life_hash(&t), before, "the directory is not what it was");
}

Test(lsm_recover, makes_no_new_store_where_the_remains_of_one_are, .init = setup, .fini = teardown)
{
    life_open(&t);
    life_put_all(&t, 0, 20, 0);
    OK(life_flush(&t));
    life_put_all(&t, 20, 40, 0);
    OK(life_close(&t));
    OK(kvi_sim_fs_remove_file(t.env.fs, LIFE_PATH, KVI_LSM_NAME_CURRENT));
    refuses(KV_ECORRUPT, "CURRENT is missing");
    remove_all(KVI_LSM_NAME_IS_LOG);
    cr_assert_eq(life_count(&t, KVI_LSM_NAME_IS_TABLE), 1);
    refuses(KV_ECORRUPT, "CURRENT is missing");
}

Test(lsm_recover, a_log_alone_is_remains_too, .init = setup, .fini = teardown)
{
    life_open(&t);
    life_put_all(&t, 0, 20, 0);
    OK(life_close(&t));
    OK(kvi_sim_fs_remove_file(t.env.fs, LIFE_PATH, KVI_LSM_NAME_CURRENT));
    cr_assert_eq(life_count(&t, KVI_LSM_NAME_IS_TABLE), 0);
    refuses(KV_ECORRUPT, "CURRENT is missing");
}

/* A creation that was cut short leaves a manifest and no more. */
Test(lsm_recover, creates_again_where_a_creation_was_cut_short, .init = setup, .fini = teardown)
{
    for (uint64_t n = 0;; n++) {
        int r;

        life_fail(&t, KVI_SIM_CALL_ANY, n, KV_EIO);
        r = life_try_open(&t);
        if (!life_failed(&t)) {
            OK(r);
            break;
        }
        life_crash(&t, (enum kvi_sim_crash)(n % KVI_SIM_CRASHES), n);
        life_open(&t);
        life_put(&t, 1, 0);
        OK(life_sync(&t));
        life_crash(&t, KVI_SIM_DROP, n);
        life_open(&t);
        life_check(&t, 1, 2, 0);
        life_run(&t);
        life_check_tidy(&t);
        life_end(&t);
        life_begin(&t);
    }
}

/* --- a failing open ------------------------------------------------------------------------- */

#define ENTRIES 600u

/* A store with tables in two levels, and with so much in the log that replay has to spill. */
static kvi_sim_fs *make_disk(void)
{
    kvi_sim_fs *disk;
    life s;

    life_begin(&s);
    life_open(&s);
    life_put_all(&s, 0, 100, 0);
    OK(life_flush(&s));
    life_put_all(&s, 50, 150, 1);
    OK(life_flush(&s));
    OK(life_close(&s));
    kvi_sim_env_restart(&s.env);
    s.options.shape.memtable_bytes = 1 << 20;
    life_open(&s);
    life_put_all(&s, 100, ENTRIES, 2);
    life_crash(&s, KVI_SIM_KEEP, 1);
    OK(kvi_sim_fs_crash_copy(s.env.fs, KVI_SIM_KEEP, 1, &disk));
    life_end(&s);
    return disk;
}

static void check_disk(life *s)
{
    life_check(s, 0, 50, 0);
    life_check(s, 50, 100, 1);
    life_check(s, 100, ENTRIES, 2);
}

static void spill_on_open(life *s)
{
    s->options.shape.memtable_bytes = 16 << 10;
}

/* Whether call number n of its kind was reached. Whatever then became of the open and of the power,
 * the next open finds everything. */
static bool open_failing(kvi_sim_fs *disk, enum kvi_sim_call call, uint64_t n, int err,
                         enum kvi_sim_crash variant)
{
    life s;
    bool failed;
    int r;

    life_begin_on(&s, disk, n + 1);
    spill_on_open(&s);
    life_fail(&s, call, n, err);
    r = life_try_open(&s);
    failed = life_failed(&s);
    if (r < 0)
        cr_assert(failed, "open fails without a cause: %s", kvi_error_detail());
    else
        check_disk(&s);
    life_crash(&s, variant, n);
    life_open(&s);
    cr_assert(life_version(&s)->level[0].count > 2, "nothing was spilled");
    check_disk(&s);
    life_run(&s);
    life_check_tidy(&s);
    life_end(&s);
    return failed;
}

static void fail_each(enum kvi_sim_call call, int err, unsigned least)
{
    kvi_sim_fs *disk = make_disk();

    for (int v = 0; v < KVI_SIM_CRASHES; v++) {
        uint64_t n = 0;

        while (open_failing(disk, call, n, err, (enum kvi_sim_crash)v))
            n++;
        cr_assert_geq(n, least);
    }
    kvi_sim_fs_free(disk);
}

/* Of the roll: the names of tables and manifest, then the rename's. */
Test(lsm_recover, loses_nothing_where_a_sync_of_the_directory_fails)
{
    fail_each(KVI_SIM_CALL_SYNC_DIR, KV_EIO, 2);
}

Test(lsm_recover, loses_nothing_where_a_rename_fails)
{
    fail_each(KVI_SIM_CALL_RENAME, KV_EIO, 1);
}

Test(lsm_recover, loses_nothing_whatever_call_fails)
{
    kvi_sim_fs *disk = make_disk();
    uint64_t n = 0;

    while (open_failing(disk, KVI_SIM_CALL_ANY, n, n % 2 ? KV_EIO : KV_ENOSPC,
                        (enum kvi_sim_crash)(n % KVI_SIM_CRASHES)))
        n++;
    cr_assert_gt(n, 50);
    kvi_sim_fs_free(disk);
}

/* The rename was done and its sync failed: the manifest that names the spilled tables may be in
 * force after a crash, so they stay. */
Test(lsm_recover, keeps_spilled_tables_that_a_manifest_may_name)
{
    kvi_sim_fs *disk = make_disk();
    life s;
    unsigned before, syncs = 0;

    life_begin_on(&s, disk, 1);
    spill_on_open(&s);
    kvi_sim_fs_reset_counts(s.env.fs);
    before = life_count(&s, KVI_LSM_NAME_IS_TABLE);
    life_open(&s);
    life_end(&s);
    do { /* the first sync after the rename */
        life_begin_on(&s, disk, 1);
        spill_on_open(&s);
        life_fail(&s, KVI_SIM_CALL_SYNC_DIR, syncs++, KV_EIO);
        FAILS(life_try_open(&s), KV_EIO, "");
        if (kvi_sim_fs_get_counts(s.env.fs)->calls[KVI_SIM_CALL_RENAME] > 0)
            break;
        cr_assert_eq(life_count(&s, KVI_LSM_NAME_IS_TABLE), before,
                     "tables that nothing names were left");
        life_end(&s);
    } while (syncs < 10);
    cr_assert_gt(life_count(&s, KVI_LSM_NAME_IS_TABLE), before + 2);
    life_crash(&s, KVI_SIM_KEEP, 1);
    life_open(&s);
    check_disk(&s);
    life_end(&s);
    kvi_sim_fs_free(disk);
}

/* --- orphans -------------------------------------------------------------------------------- */

static void put_file(const char *name)
{
    OK(kvi_sim_fs_put_file(t.env.fs, LIFE_PATH, name, "x", 1));
}

static bool is_there(const char *name)
{
    kvi_buf bytes;
    int r;

    kvi_buf_init(&bytes, life_mem());
    r = kvi_sim_fs_file_bytes(t.env.fs, LIFE_PATH, name, &bytes);
    kvi_buf_deinit(&bytes);
    return r == KV_OK;
}

Test(lsm_recover, deletes_orphans_and_nothing_else, .init = setup, .fini = teardown)
{
    static const char *const orphans[] = {"CURRENT.tmp", "MANIFEST-000777", "MANIFEST-000001",
                                          "000001.log",  "000778.log",      "000779.sst"};
    static const char *const foreign[] = {"notes.txt",  "00780.sst",   "000780.sst.bak",
                                          "000780.LOG", "MANIFEST-1x", "current"};

    life_open(&t);
    life_put_all(&t, 0, 20, 0);
    OK(life_flush(&t));
    life_put_all(&t, 20, 40, 0);
    life_reopen(&t); /* so that the log begins after number 1 */
    OK(life_close(&t));
    kvi_sim_env_restart(&t.env);
    for (size_t i = 0; i < sizeof orphans / sizeof orphans[0]; i++)
        put_file(orphans[i]);
    for (size_t i = 0; i < sizeof foreign / sizeof foreign[0]; i++)
        put_file(foreign[i]);

    life_open(&t);
    for (size_t i = 0; i < sizeof orphans / sizeof orphans[0]; i++)
        cr_assert(!is_there(orphans[i]), "%s is still there", orphans[i]);
    for (size_t i = 0; i < sizeof foreign / sizeof foreign[0]; i++)
        cr_assert(is_there(foreign[i]), "%s is gone", foreign[i]);
    cr_assert_gt(atomic_load(&t.l->next_file), 779, "a number may be used twice");
    life_check(&t, 0, 40, 0);
    life_run(&t);
    life_check_tidy(&t);
}

Test(lsm_recover, opens_where_an_orphan_cannot_be_deleted, .init = setup, .fini = teardown)
{
    /* Behind the two of the roll. */
    kvi_sim_fs_faults faults = {
        .fail_call = KVI_SIM_CALL_UNLINK, .fail_at = 2, .from_then_on = true, .fail_with = KV_EIO};

    life_open(&t);
    life_put_all(&t, 0, 20, 0);
    OK(life_close(&t));
    kvi_sim_env_restart(&t.env);
    put_file("000779.sst");
    kvi_sim_fs_reset_counts(t.env.fs);
    kvi_sim_fs_set_faults(t.env.fs, &faults);
    life_open(&t);
    cr_assert(life_failed(&t));
    cr_assert(is_there("000779.sst"));
    cr_assert_eq(t.env.log_counts[KV_LOG_WARN], 2); /* an old manifest as well */
    life_check(&t, 0, 20, 0);
    life_reopen(&t);
    cr_assert(!is_there("000779.sst"));
}

/* --- layouts -------------------------------------------------------------------------------- */

Test(lsm_recover, refuses_another_layout_than_the_store_has, .init = setup, .fini = teardown)
{
    life_open(&t);
    cr_assert_eq(kvi_lsm_layout(t.l), KV_ORDERED);
    life_put(&t, 1, 0);
    OK(life_close(&t));
    t.options.layout = KV_ORDERED + 1;
    refuses(KV_ELAYOUT, "was created with layout 1");
    t.options.layout = KV_ORDERED;
    kvi_sim_env_restart(&t.env);
    life_open(&t);
    life_check(&t, 1, 2, 0);
}

/* A store that a later library made. */
Test(lsm_recover, refuses_a_layout_that_it_does_not_know, .init = setup, .fini = teardown)
{
    kvi_os_fs *fs = kvi_sim_fs_os(t.env.fs);
    kvi_lsm_state state = {.store = {.layout = 9}, .next_file = 2};
    kvi_lsm_manifest m;
    kvi_os_dir *dir;
    bool created;

    OK(fs->ops->open_dir(fs, LIFE_PATH, true, &created, &dir));
    OK(kvi_lsm_version_new(life_mem(), &state.version));
    kvi_lsm_manifest_init(&m, life_mem(), dir);
    OK(kvi_lsm_manifest_roll(&m, &state, 1));
    kvi_lsm_manifest_close(&m);
    kvi_lsm_version_unref(state.version);
    OK(dir->ops->close(dir));
    OK(kvi_sim_fs_put_file(t.env.fs, LIFE_PATH, KVI_LSM_NAME_LOCK, "", 0));

    refuses(KV_ELAYOUT, "layout 9");
    t.options.layout = KV_ORDERED;
    refuses(KV_ELAYOUT, "layout 9");
}
