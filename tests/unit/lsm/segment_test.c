/*
 * Log segments: prepared ahead, recycled, as large as their records; and what a full disk or a
 * lack of address space does to writers.
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

static uint64_t calls(enum kvi_sim_call call)
{
    return kvi_sim_fs_get_counts(t.env.fs)->calls[call];
}

static kvi_lsm_segment *newest(void)
{
    return KVI_CONTAINER_OF(t.l->segments.prev, kvi_lsm_segment, link);
}

Test(lsm_segment, flushed_ones_are_used_again, .init = setup, .fini = teardown)
{
    life_open(&t);
    life_put_all(&t, 0, 100, 0);
    OK(life_flush(&t));
    life_run(&t);
    cr_assert_gt(t.l->spare_count, 0);
    kvi_sim_fs_reset_counts(t.env.fs);
    for (unsigned edition = 1; edition < 20; edition++) {
        uint64_t last = newest()->journal.file_no;

        life_put_all(&t, 0, 100, edition);
        OK(life_sync(&t));
        cr_assert_gt(newest()->journal.file_no, last, "numbers do not ascend");
        OK(life_flush(&t));
        life_run(&t);
    }
    cr_assert_gt(calls(KVI_SIM_CALL_RENAME), 19);
    cr_assert_lt(life_count(&t, KVI_LSM_NAME_IS_LOG), 12);
    life_check_tidy(&t);
}

/* What an earlier life of the file left never passes for a record of the new one. */
Test(lsm_segment, nothing_comes_back_out_of_a_recycled_one, .init = setup, .fini = teardown)
{
    life_open(&t);
    for (unsigned edition = 0; edition < 12; edition++) {
        enum kvi_sim_crash variant = (enum kvi_sim_crash)(edition % KVI_SIM_CRASHES);

        life_put_all(&t, 0, 100, edition);
        OK(life_flush(&t));
        life_run(&t);
        life_put_all(&t, 0, 30 + edition, edition + 1);
        OK(life_sync(&t));
        life_crash(&t, variant, edition);
        life_open(&t);
        life_check(&t, 0, 30 + edition, edition + 1);
        life_check(&t, 30 + edition, 100, edition);
    }
}

Test(lsm_segment, no_more_spares_are_kept_than_are_of_use, .init = setup, .fini = teardown)
{
    life_open(&t);
    life_put_all(&t, 0, 400, 0);
    cr_assert_gt(life_list_len(&t.l->segments), 5);
    OK(life_flush(&t));
    life_put_all(&t, 0, 100, 1); /* needs segments, which looks after the spare ones */
    life_run(&t);
    cr_assert_leq(t.l->spare_count, 4);
    cr_assert_eq(t.l->spare_count, life_list_len(&t.l->spare));
    life_check_tidy(&t);
}

Test(lsm_segment, a_large_record_gets_a_large_one, .init = setup, .fini = teardown)
{
    static char big[40 << 10];
    kvi_lsm_op op = {.kind = KVI_KIND_PUT, .key = {"big", 3}, .value = {big, sizeof big}};
    kvi_lsm_get g = {.key = {"big", 3}, .seq = KVI_LSM_SEQ_LATEST};

    memset(big, 'x', sizeof big);
    life_open(&t);
    life_run(&t);
    cr_assert_not_null(t.l->ready);
    cr_assert_lt(t.l->ready->capacity, sizeof big);
    for (unsigned i = 0; i < 5; i++) {
        kvi_lsm_value found = {0};
        kvi_buf copy;

        big[0] = (char)('0' + i);
        life_put(&t, i, i);
        OK(life_write(&t, &op));
        cr_assert_gt(newest()->capacity, sizeof big);
        life_put(&t, i + 10, i);
        OK(life_sync(&t));
        life_run(&t);
        if (i == 0) /* there are no spare ones yet */
            cr_assert_eq(t.l->ready->capacity, 8u << 10, "the next one is of the usual size");
        life_crash(&t, KVI_SIM_DROP, i);
        life_open(&t);
        life_check(&t, i, i + 1, i);
        life_check(&t, i + 10, i + 11, i);
        kvi_buf_init(&copy, life_mem());
        OK(kvi_lsm_get_value(t.l, &g, &copy, &found));
        cr_assert(kvi_slice_eq(found.data, op.value), "edition %u of the large value", i);
        kvi_lsm_value_release(&found);
        kvi_buf_deinit(&copy);
    }
}

/* Writes until a write fails; returns the entry that was not written. */
static unsigned put_until_full(unsigned from, int code)
{
    uint64_t last;
    int r;

    do {
        last = kvi_lsm_last_seq(t.l);
        r = life_try_put(&t, from++, 0);
    } while (r == KV_OK);
    cr_assert_eq(r, code, "%d: %s", r, kvi_error_detail());
    cr_assert_eq(kvi_lsm_last_seq(t.l), last);
    cr_assert_eq(t.l->next_seq, last + 1);
    cr_assert(kvi_list_empty(&t.l->order) && kvi_list_empty(&t.l->stalled));
    return from - 1;
}

Test(lsm_segment, a_full_disk_fails_the_write_and_no_more, .init = setup, .fini = teardown)
{
    unsigned full;
    kvi_sim_fs_faults faults = {0};

    life_open(&t);
    life_run(&t);
    for (int times = 0; times < 3; times++) {
        faults.capacity = kvi_sim_fs_used(t.env.fs) + (5u << 10); /* not one segment more */
        kvi_sim_fs_set_faults(t.env.fs, &faults);
        full = put_until_full((unsigned)times * 1000, KV_ENOSPC);
        cr_assert_eq(put_until_full(full, KV_ENOSPC), full, "and again");
        life_check(&t, (unsigned)times * 1000, full, 0);
        life_check_none(&t, full, full + 1);
        OK(life_sync(&t));
        cr_assert_eq(atomic_load(&t.l->broken), KV_OK);
        life_run(&t);
        life_check_tidy(&t); /* nothing of the segments that could not be had */

        kvi_sim_fs_set_faults(t.env.fs, NULL);
        life_put_all(&t, full, full + 100, 0);
        life_check(&t, (unsigned)times * 1000, full + 100, 0);
    }
    OK(life_sync(&t));
    life_crash(&t, KVI_SIM_DROP, 1);
    life_open(&t);
    life_check(&t, 2000, full + 100, 0);
}

/* Call number n of what preparing segments does fails. Whoever waits for one is told, and goes on
   by trying again. Whether there was such a call. */
static bool prepare_failing(uint64_t n, bool recycled)
{
    unsigned i = 0, told = 0, segments;
    bool failed;

    life_begin(&t);
    life_open(&t);
    life_put_all(&t, 0, 150, 0);
    if (recycled)
        OK(life_flush(&t));
    life_run(&t);
    cr_assert_eq(t.l->spare_count > 0, recycled);

    life_fail(&t, KVI_SIM_CALL_ANY, n, KV_EIO);
    segments = life_list_len(&t.l->segments);
    while (life_list_len(&t.l->segments) < segments + 3) {
        int r = life_try_put(&t, i, 1);

        if (r == KV_OK)
            i++;
        else
            cr_assert((r == KV_EIO || r == KV_ENOMEM) && told++ == 0, "%d: %s", r,
                      kvi_error_detail());
    }
    failed = life_failed(&t);
    cr_assert(failed || told == 0);
    cr_assert_eq(atomic_load(&t.l->broken), KV_OK);
    OK(life_sync(&t));
    life_crash(&t, KVI_SIM_DROP, n);
    life_open(&t);
    life_check(&t, 0, i, 1);
    life_check(&t, i, 150, 0);
    life_run(&t);
    life_check_tidy(&t);
    life_end(&t);
    return failed;
}

Test(lsm_segment, preparing_may_fail_at_each_call)
{
    for (int recycled = 0; recycled < 2; recycled++) {
        uint64_t n = 0;

        while (prepare_failing(n, recycled))
            n++;
        cr_assert_gt(n, 8);
    }
}

Test(lsm_segment, where_files_cannot_be_mapped_they_are_written, .init = setup, .fini = teardown)
{
    kvi_sim_fs_set_map(t.env.fs, false);
    life_open(&t);
    cr_assert(!t.l->mapped);
    life_put_all(&t, 0, 300, 0);
    OK(life_sync(&t));
    cr_assert_null(newest()->journal.map);
    life_crash(&t, KVI_SIM_DROP, 1);
    life_open(&t);
    life_check(&t, 0, 300, 0);
}

/* No address space, for a while. */
Test(lsm_segment, one_that_cannot_be_mapped_fails_the_write, .init = setup, .fini = teardown)
{
    unsigned full;

    life_open(&t);
    life_run(&t);
    cr_assert(t.l->mapped);
    kvi_sim_fs_set_map(t.env.fs, false);
    full = put_until_full(0, KV_ENOMEM);
    cr_assert(strstr(kvi_error_detail(), "address space"), "%s", kvi_error_detail());
    kvi_sim_fs_set_map(t.env.fs, true);
    life_put_all(&t, full, full + 100, 0);
    life_check(&t, 0, full + 100, 0);
}
