/*
 * Group commit: what one sync covers, who leads, and what a failed one means.
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

static uint64_t syncs(void)
{
    return kvi_sim_fs_get_counts(t.env.fs)->calls[KVI_SIM_CALL_SYNC];
}

Test(lsm_sync, one_covers_all_that_is_published, .init = setup, .fini = teardown)
{
    life_waiter w = life_waiter_new();

    life_put_all(&t, 0, 10, 0);
    kvi_sim_fs_reset_counts(t.env.fs);
    OK(kvi_lsm_sync(t.l, 3, &w.waiter));
    cr_assert_eq(syncs(), 1);
    cr_assert_eq(atomic_load(&t.l->synced_seq), 10);
    OK(life_sync(&t));
    cr_assert_eq(syncs(), 1, "there was nothing left to sync");
    cr_assert_eq(atomic_load(&t.l->stats.log_synced_writes), 10);
    cr_assert_eq(w.woken, 0);
    life_crash(&t, KVI_SIM_DROP, 1);
    life_open(&t);
    life_check(&t, 0, 10, 0);
}

Test(lsm_sync, one_covers_several_segments, .init = setup, .fini = teardown)
{
    unsigned i = 0, segments;

    while (life_list_len(&t.l->segments) < 4)
        life_put(&t, i++, 0);
    life_run(&t);
    segments = life_list_len(&t.l->segments);
    kvi_sim_fs_reset_counts(t.env.fs);
    OK(life_sync(&t));
    cr_assert_eq(syncs(), segments);
    life_crash(&t, KVI_SIM_DROP, 1);
    life_open(&t);
    life_check(&t, 0, i, 0);
}

Test(lsm_sync, without_a_log_there_is_none)
{
    life_waiter w = life_waiter_new();

    life_begin(&t);
    t.options.log = false;
    life_open(&t);
    life_put(&t, 0, 0);
    FAILS(kvi_lsm_sync(t.l, 1, &w.waiter), KV_ENOTSUP, "flush");
    life_end(&t);
}

/* --- a sync that fails ---------------------------------------------------------------------- */

/* The store takes nothing any more, and says why; what it shows, it goes on showing. */
static void check_broken(unsigned acknowledged, unsigned written)
{
    static const char text[] = "until the store is opened again";
    life_waiter w = life_waiter_new();
    uint64_t last = kvi_lsm_last_seq(t.l);

    cr_assert_eq(atomic_load(&t.l->broken), KV_EIO);
    for (int times = 0; times < 3; times++) {
        FAILS(life_try_put(&t, 9999, 1), KV_EIO, text);
        FAILS(life_sync(&t), KV_EIO, text);
        FAILS(life_flush(&t), KV_EIO, text);
    }
    OK(kvi_lsm_sync(t.l, acknowledged, &w.waiter)); /* of what is on the disk */
    cr_assert_eq(kvi_lsm_last_seq(t.l), last);
    cr_assert_eq(atomic_load(&t.l->synced_seq), acknowledged);
    life_check(&t, 0, written, 0);
    life_check_none(&t, 9999, 10000);
    life_run(&t);
    life_check(&t, 0, written, 0);
}

/* For each state in which a power loss may leave what was written. */
static void break_and_crash(bool evict, enum kvi_sim_crash variant)
{
    kvi_sim_fs_faults faults = {
        .fail_call = KVI_SIM_CALL_SYNC, .fail_with = KV_EIO, .evict = evict};

    setup();
    life_put_all(&t, 0, 10, 0);
    OK(life_sync(&t));
    life_put_all(&t, 10, 20, 0);
    kvi_sim_fs_reset_counts(t.env.fs);
    kvi_sim_fs_set_faults(t.env.fs, &faults); /* the next one alone */
    FAILS(life_sync(&t), KV_EIO, "sync");
    check_broken(10, 20);
    FAILS(life_close(&t), KV_EIO, "until the store is opened again");
    OK(kvi_sim_env_crash(&t.env, variant, 7));
    life_open(&t);
    life_check(&t, 0, 10, 0);
    cr_assert_leq(kvi_lsm_last_seq(t.l), 20);
    life_check(&t, 10, (unsigned)kvi_lsm_last_seq(t.l), 0);
    life_check_none(&t, (unsigned)kvi_lsm_last_seq(t.l), 20);
    life_put_all(&t, 10, 20, 1);
    OK(life_sync(&t));
    life_crash(&t, KVI_SIM_DROP, 8);
    life_open(&t);
    life_check(&t, 0, 10, 0);
    life_check(&t, 10, 20, 1);
    life_end(&t);
}

Test(lsm_sync, one_that_fails_is_the_last)
{
    for (int evict = 0; evict < 2; evict++)
        for (int variant = 0; variant < KVI_SIM_CRASHES; variant++)
            break_and_crash(evict, (enum kvi_sim_crash)variant);
}

/* The second of three segments: what the first one holds is on the disk, and nobody says so. */
Test(lsm_sync, one_that_fails_half_way_acknowledges_nothing, .init = setup, .fini = teardown)
{
    uint64_t first_end;
    unsigned i = 0;

    while (life_list_len(&t.l->segments) < 3)
        life_put(&t, i++, 0);
    life_run(&t);
    first_end = KVI_LIST_FIRST(&t.l->segments, kvi_lsm_segment, link)->last_seq;
    life_fail(&t, KVI_SIM_CALL_SYNC, 1, KV_EIO);
    FAILS(life_sync(&t), KV_EIO, "sync");
    cr_assert_eq(syncs(), 2, "segments behind one that failed are not synced");
    check_broken(0, i);
    life_crash(&t, KVI_SIM_DROP, 1);
    life_open(&t);
    cr_assert_geq(kvi_lsm_last_seq(t.l), first_end);
    life_check(&t, 0, (unsigned)first_end, 0);
}

/* A watermark that cannot be written: without it a torn record would pass for one never synced. */
Test(lsm_sync, a_watermark_that_fails_breaks_the_store)
{
    life_begin(&t);
    kvi_sim_fs_set_map(t.env.fs, false);
    life_open(&t);
    life_run(&t);
    life_put_all(&t, 0, 10, 0);
    life_fail(&t, KVI_SIM_CALL_WRITE, 0, KV_EIO);
    FAILS(life_sync(&t), KV_EIO, "write");
    check_broken(0, 10);
    life_crash(&t, KVI_SIM_DROP, 1);
    life_open(&t);
    life_check(&t, 0, 10, 0); /* they were synced, if never acknowledged */
    life_end(&t);
}

/* --- leading -------------------------------------------------------------------------------- */

/* Who comes along while a leader is at work, from within its sync. */
static struct {
    bool came;
    int early_result, late_result, later_result;
    life_waiter early, late, later;
} others;

static void come_along(void *user, kvi_sim_fs *fs, uint64_t n)
{
    uint64_t last = kvi_lsm_last_seq(t.l);

    (void)user;
    (void)fs;
    (void)n;
    if (others.came || !t.l->sync_leading)
        return;
    others.came = true;
    others.early = others.late = others.later = life_waiter_new();
    others.early_result = kvi_lsm_sync(t.l, last, &others.early.waiter);
    life_put(&t, 100, 0); /* into the map: no call */
    others.late_result = kvi_lsm_sync(t.l, last + 1, &others.late.waiter);
    life_put(&t, 101, 0);
    others.later_result = kvi_lsm_sync(t.l, last + 2, &others.later.waiter);
}

static int sync_while_others_come(void)
{
    int r;

    others.came = false;
    life_put_all(&t, 0, 10, 0);
    kvi_sim_fs_set_hook(t.env.fs, come_along, NULL);
    r = life_sync(&t);
    kvi_sim_fs_set_hook(t.env.fs, NULL, NULL);
    cr_assert(others.came && !t.l->sync_leading);
    cr_assert_eq(others.early_result, KVI_PENDING);
    cr_assert_eq(others.late_result, KVI_PENDING);
    cr_assert_eq(others.later_result, KVI_PENDING);
    cr_assert_eq(others.early.woken, 1);
    cr_assert_eq(others.late.woken, 1);
    return r;
}

Test(lsm_sync, serves_those_in_time_and_hands_over_to_the_next, .init = setup, .fini = teardown)
{
    life_waiter again = life_waiter_new();

    OK(sync_while_others_come());
    cr_assert_eq(others.early.result, KV_OK);
    cr_assert_eq(others.late.result, KVI_LEAD);
    cr_assert_eq(others.later.woken, 0);
    cr_assert_eq(atomic_load(&t.l->synced_seq), 10);

    OK(kvi_lsm_sync(t.l, 11, &again.waiter)); /* the late one leads, for all there is */
    cr_assert_eq(others.later.woken, 1);
    cr_assert_eq(others.later.result, KV_OK);
    cr_assert_eq(atomic_load(&t.l->synced_seq), 12);
    cr_assert(kvi_list_empty(&t.l->sync_waiters));
    life_crash(&t, KVI_SIM_DROP, 1);
    life_open(&t);
    life_check(&t, 0, 10, 0);
    life_check(&t, 100, 102, 0);
}

Test(lsm_sync, a_failure_is_told_to_all_who_wait, .init = setup, .fini = teardown)
{
    life_fail(&t, KVI_SIM_CALL_SYNC, 0, KV_EIO);
    cr_assert_eq(sync_while_others_come(), KV_EIO);
    cr_assert_eq(others.early.result, KV_EIO);
    cr_assert_eq(others.late.result, KV_EIO);
    cr_assert_eq(others.later.woken, 1);
    cr_assert_eq(others.later.result, KV_EIO);
    cr_assert(kvi_list_empty(&t.l->sync_waiters));
    life_crash(&t, KVI_SIM_DROP, 1);
    life_open(&t);
}
