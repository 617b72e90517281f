/*
 * Tables being written: finished they are whole, anything else leaves nothing behind.
 */
#include "lsm/output.h"

#include "unit/lsm/engines.h"

#define ENTRIES 200u

static engine e;

static void setup(void)
{
    engine_start(&e, (size_t)8 << 20, small_shape, true);
}

static void teardown(void)
{
    engine_end(&e);
}

static int fill(kvi_lsm_output *o)
{
    uint8_t key[8], value[100] = {0};
    int r = KV_OK;

    for (uint64_t i = 0; r == KV_OK && i < ENTRIES; i++) {
        kvi_put_be64(key, i);
        r = kvi_sst_builder_add(o->builder, kvi_slice_of(key, sizeof key),
                                kvi_tag(i + 1, i % 10 ? KVI_KIND_PUT : KVI_KIND_DELETE),
                                kvi_slice_of(value, i % 10 ? sizeof value : 0));
    }
    return r;
}

/* A whole table, or what failed; then nothing is open. */
static int make(uint32_t level, kvi_lsm_file **out)
{
    kvi_lsm_output o = {0};
    int r = kvi_lsm_output_open(&o, e.l, level);

    if (r == KV_OK)
        r = fill(&o);
    if (r == KV_OK)
        r = kvi_lsm_output_finish(&o, out);
    else
        kvi_lsm_output_abandon(&o);
    cr_assert_null(o.lsm);
    return r;
}

/* As an edit that never came into force: its file is deleted. */
static void drop(kvi_lsm_file *f)
{
    atomic_store(&f->doomed, true);
    kvi_lsm_file_unref(f);
    engine_idle(&e);
}

Test(lsm_output, a_finished_one_says_what_it_holds, .init = setup, .fini = teardown)
{
    kvi_lsm_file *f = NULL;
    kvi_os_file *file;
    kvi_lsm_name name;
    uint64_t size;

    OK(make(1, &f));
    cr_assert_eq(f->entries, ENTRIES);
    cr_assert_eq(f->deletes, ENTRIES / 10);
    cr_assert_eq(f->seq_min, 1);
    cr_assert_eq(f->seq_max, ENTRIES);
    cr_assert_eq(kvi_get_be64(f->smallest.data), 0);
    cr_assert_eq(kvi_get_be64(f->largest.data), ENTRIES - 1);
    cr_assert_eq(atomic_load(&f->refs), 1);
    cr_assert(engine_has_table(&e, f->number));
    kvi_lsm_name_table(name, f->number);
    OK(e.l->dir->ops->open(e.l->dir, name, KVI_OS_READ, &file));
    OK(file->ops->size(file, &size));
    OK(file->ops->close(file));
    cr_assert_eq(size, f->size);
    drop(f);
    cr_assert_eq(engine_tables(&e), 0);
}

Test(lsm_output, its_bytes_are_on_the_disk, .init = setup, .fini = teardown)
{
    kvi_buf now, later;
    kvi_lsm_name name;
    kvi_lsm_file *f = NULL;
    kvi_sim_fs *disk;

    kvi_buf_init(&now, &e.real);
    kvi_buf_init(&later, &e.real);
    OK(make(0, &f));
    OK(e.l->dir->ops->sync(e.l->dir)); /* the names are the caller's to sync */
    OK(kvi_sim_fs_crash_copy(e.env.fs, KVI_SIM_DROP, 1, &disk));
    kvi_lsm_name_table(name, f->number);
    OK(kvi_sim_fs_file_bytes(e.env.fs, ENGINE_PATH, name, &now));
    OK(kvi_sim_fs_file_bytes(disk, ENGINE_PATH, name, &later));
    cr_assert(kvi_slice_eq(kvi_buf_slice(&now), kvi_buf_slice(&later)));
    kvi_buf_deinit(&now);
    kvi_buf_deinit(&later);
    kvi_sim_fs_free(disk);
    drop(f);
}

Test(lsm_output, an_abandoned_one_leaves_no_file, .init = setup, .fini = teardown)
{
    kvi_lsm_output o = {0};
    size_t open_before = kvi_sim_fs_open_count(e.env.fs);

    kvi_lsm_output_abandon(&o); /* nothing is open: nothing happens */
    for (unsigned filled = 0; filled < 2; filled++) {
        OK(kvi_lsm_output_open(&o, e.l, filled));
        cr_assert(engine_has_table(&e, o.number));
        if (filled)
            OK(fill(&o));
        kvi_lsm_output_abandon(&o);
        kvi_lsm_output_abandon(&o);
        cr_assert_null(o.lsm);
        cr_assert_eq(engine_tables(&e), 0);
        cr_assert_eq(kvi_sim_fs_open_count(e.env.fs), open_before);
    }
}

/* Each call to the disk fails in turn. */
Test(lsm_output, a_failed_one_leaves_no_file, .init = setup, .fini = teardown)
{
    size_t open_before = kvi_sim_fs_open_count(e.env.fs);
    kvi_lsm_file *f = NULL;
    bool failed = true;

    for (uint64_t n = 0; failed; n++) {
        kvi_sim_fs_faults faults = {.fail_call = KVI_SIM_CALL_ANY, .fail_with = KV_EIO};
        uint64_t failures = kvi_sim_fs_get_counts(e.env.fs)->failed;
        int r;

        faults.fail_at = kvi_sim_fs_get_counts(e.env.fs)->calls[KVI_SIM_CALL_ANY] + n;
        kvi_sim_fs_set_faults(e.env.fs, &faults);
        r = make(1, &f);
        failed = kvi_sim_fs_get_counts(e.env.fs)->failed > failures;
        kvi_sim_fs_set_faults(e.env.fs, NULL);
        cr_assert_eq(r, failed ? KV_EIO : KV_OK, "call %llu", (unsigned long long)n);
        cr_assert_eq(engine_tables(&e), failed ? 0 : 1);
        cr_assert_eq(kvi_sim_fs_open_count(e.env.fs), open_before);
    }
    drop(f);
}

Test(lsm_output, without_memory_it_leaves_no_file, .init = setup, .fini = teardown)
{
    size_t open_before = kvi_sim_fs_open_count(e.env.fs);
    kvi_lsm_file *f = NULL;
    int r = KV_ENOMEM;

    for (size_t n = 0; r == KV_ENOMEM; n++) {
        kvi_sim_alloc_reset(&e.env.alloc, n, false);
        r = make(0, &f);
        kvi_sim_alloc_reset(&e.env.alloc, KVI_SIM_ALLOC_NEVER, false);
        cr_assert(r == KV_OK || r == KV_ENOMEM);
        cr_assert_eq(engine_tables(&e), r == KV_OK ? 1 : 0);
        cr_assert_eq(kvi_sim_fs_open_count(e.env.fs), open_before);
    }
    drop(f);
}

/* What could not be deleted is an orphan, which the next open deletes. */
Test(lsm_output, what_cannot_be_deleted_goes_with_the_next_open, .init = setup, .fini = teardown)
{
    kvi_sim_fs_faults faults = {
        .fail_call = KVI_SIM_CALL_UNLINK, .fail_with = KV_EIO, .from_then_on = true};
    kvi_lsm_output o = {0};

    OK(kvi_lsm_output_open(&o, e.l, 1));
    OK(fill(&o));
    kvi_sim_fs_set_faults(e.env.fs, &faults);
    kvi_lsm_output_abandon(&o);
    cr_assert_eq(engine_tables(&e), 1);
    kvi_sim_fs_set_faults(e.env.fs, NULL);
    OK(engine_close(&e));
    engine_open(&e, small_shape);
    cr_assert_eq(engine_tables(&e), 0);
}
