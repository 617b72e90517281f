/*
 * Replaying the log: what it takes, what it drops, what it refuses.
 */
#include "sim/sim_disk.h"
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

/* Writes entries of edition 0 until the log has this many segments; how many entries. */
static unsigned fill_segments(unsigned segments, bool sync)
{
    unsigned i = 0;

    while (life_list_len(&t.l->segments) < segments) {
        life_put(&t, i++, 0);
        if (sync)
            OK(life_sync(&t));
    }
    return i;
}

static kvi_lsm_segment *segment_at(unsigned index)
{
    kvi_list *n = t.l->segments.next;

    while (index-- > 0)
        n = n->next;
    return KVI_CONTAINER_OF(n, kvi_lsm_segment, link);
}

/* Turns a byte of the file over. */
static void damage(const char *name, uint64_t offset)
{
    kvi_buf bytes;
    uint8_t byte;

    kvi_buf_init(&bytes, life_mem());
    OK(kvi_sim_fs_file_bytes(t.env.fs, LIFE_PATH, name, &bytes));
    cr_assert_lt(offset, bytes.len);
    byte = bytes.data[offset] ^ 0xffu;
    kvi_buf_deinit(&bytes);
    OK(kvi_sim_fs_patch(t.env.fs, LIFE_PATH, name, offset, &byte, 1));
}

/* Opening fails, says so, and touches nothing. */
static void refuses(const char *text)
{
    uint64_t before = life_hash(&t);

    kvi_sim_env_restart(&t.env);
    FAILS(life_try_open(&t), KV_ECORRUPT, text);
    cr_assert_eq(life_hash(&t), before, "the directory is not what it was");
}

Test(lsm_replay, brings_back_puts_deletes_and_expiries, .init = setup, .fini = teardown)
{
    char key[16];
    kvi_lsm_get g = {.key = life_key(key, 1000), .seq = KVI_LSM_SEQ_LATEST};
    kvi_lsm_op op = {.kind = KVI_KIND_PUT_EXPIRING, .key = g.key, .value = {"soon gone", 9}};
    kvi_lsm_value found = {0};
    uint64_t last;
    kvi_buf copy;

    life_open(&t);
    op.expires_ms = kvi_os_wall_ms(t.env.os.clock) + 5000;
    life_put_all(&t, 0, 40, 0);
    life_put_all(&t, 10, 30, 1);
    for (unsigned i = 20; i < 30; i++)
        life_delete(&t, i);
    OK(life_write(&t, &op));
    last = kvi_lsm_last_seq(t.l);
    life_reopen(&t);
    cr_assert_eq(kvi_lsm_last_seq(t.l), last);
    life_check(&t, 0, 10, 0);
    life_check(&t, 10, 20, 1);
    life_check_none(&t, 20, 30);
    life_check(&t, 30, 40, 0);

    kvi_buf_init(&copy, life_mem());
    g.now_ms = op.expires_ms - 1;
    OK(kvi_lsm_get_value(t.l, &g, &copy, &found));
    cr_assert_eq(found.expires_ms, op.expires_ms);
    cr_assert(kvi_slice_eq(found.data, op.value));
    kvi_lsm_value_release(&found);
    g.now_ms = op.expires_ms;
    cr_assert_eq(kvi_lsm_get_value(t.l, &g, &copy, &found), KV_ENOTFOUND);
    kvi_buf_deinit(&copy);
}

Test(lsm_replay, refuses_a_log_that_misses_its_oldest_segment, .init = setup, .fini = teardown)
{
    kvi_lsm_name oldest;

    life_open(&t);
    (void)fill_segments(3, true);
    kvi_lsm_name_log(oldest, segment_at(0)->journal.file_no);
    OK(life_close(&t));
    OK(kvi_sim_fs_remove_file(t.env.fs, LIFE_PATH, oldest));
    refuses("missing");
}

Test(lsm_replay, refuses_a_log_that_misses_a_segment_in_between, .init = setup, .fini = teardown)
{
    kvi_lsm_name middle;

    life_open(&t);
    (void)fill_segments(4, true);
    kvi_lsm_name_log(middle, segment_at(1)->journal.file_no);
    OK(life_close(&t));
    OK(kvi_sim_fs_remove_file(t.env.fs, LIFE_PATH, middle));
    refuses("missing");
}

Test(lsm_replay, refuses_a_bad_byte_among_what_was_synced, .init = setup, .fini = teardown)
{
    uint64_t end;
    kvi_lsm_name name;

    life_open(&t);
    (void)fill_segments(3, true);
    kvi_lsm_name_log(name, segment_at(1)->journal.file_no);
    end = segment_at(1)->synced;
    cr_assert_gt(end, KVI_JOURNAL_HEADER_LEN);
    OK(life_close(&t));
    damage(name, end - KVI_JOURNAL_ALIGN);
    refuses(name);
    damage(name, end - KVI_JOURNAL_ALIGN); /* as it was */
    damage(name, KVI_JOURNAL_HEADER_LEN + KVI_JOURNAL_RECORD_HEADER);
    refuses(name);
}

/* The last record of the first segment is torn and nothing was synced: what follows it in other
 * segments is no longer part of the log. Deleting number n fails: then the open does, rather than
 * give the sequences of what is still there to others. Whether there was such a deletion. */
static bool drop_behind_torn_tail(uint64_t n)
{
    unsigned first = 0, all;
    uint64_t end;
    kvi_lsm_name name;
    bool failed;

    life_open(&t);
    while (life_list_len(&t.l->segments) < 2)
        life_put(&t, first++, 0);
    first -= 2; /* one is in the second segment, one is to be torn */
    for (all = first + 2; life_list_len(&t.l->segments) < 4; all++)
        life_put(&t, all, 0);
    kvi_lsm_name_log(name, segment_at(0)->journal.file_no);
    end = segment_at(0)->used;
    life_crash(&t, KVI_SIM_KEEP, 1);
    damage(name, end - KVI_JOURNAL_ALIGN);

    life_fail(&t, KVI_SIM_CALL_UNLINK, n, KV_EIO);
    if (life_try_open(&t) < 0)
        kvi_sim_env_restart(&t.env);
    failed = life_failed(&t);
    if (!t.l)
        life_open(&t);
    cr_assert_eq(kvi_lsm_last_seq(t.l), first);
    life_check(&t, 0, first, 0);
    life_check_none(&t, first, all);
    life_put_all(&t, first, all, 1); /* takes the sequences of what was dropped */
    OK(life_sync(&t));
    life_crash(&t, KVI_SIM_DROP, 2);
    life_open(&t);
    life_check(&t, 0, first, 0);
    life_check(&t, first, all, 1);
    life_run(&t);
    life_check_tidy(&t);
    return failed;
}

Test(lsm_replay, drops_the_segments_behind_a_torn_tail)
{
    bool failed = true;

    for (uint64_t n = 0; failed; n++) {
        life_begin(&t);
        failed = drop_behind_torn_tail(n);
        life_end(&t);
        cr_assert(failed || n > 4);
    }
}

/* The process dies and nothing else: what was written and not synced is still to be read, and still
 * not on the disk. */
static void kill_process(void)
{
    OK(kvi_sim_fs_power_off(t.env.fs));
    (void)life_close(&t);
    t.env.fs->off = false;
    kvi_sim_env_restart(&t.env);
}

/* What replay showed was not synced before; it is from then on. */
Test(lsm_replay, makes_durable_what_it_shows, .init = setup, .fini = teardown)
{
    unsigned all;

    life_open(&t);
    all = fill_segments(3, false);
    kill_process();
    life_open(&t);
    life_check(&t, 0, all, 0);
    life_crash(&t, KVI_SIM_DROP, 2);
    life_open(&t);
    life_check(&t, 0, all, 0);
}

Test(lsm_replay, spills_a_log_that_is_larger_than_the_budget, .init = setup, .fini = teardown)
{
    const unsigned all = 4000;
    size_t log_bytes;

    t.options.shape.memtable_bytes = 2 << 20;
    t.options.shape.segment_bytes = 64 << 10;
    life_open(&t);
    life_put_all(&t, 0, all, 0);
    life_put_all(&t, 0, all / 2, 1);
    for (unsigned i = 0; i < all / 4; i++)
        life_delete(&t, i);
    cr_assert_eq(life_version(&t)->level[0].count, 0);
    log_bytes = (size_t)atomic_load(&t.l->stats.log_bytes);
    OK(life_close(&t));
    kvi_sim_env_restart(&t.env);

    t.options.shape.memtable_bytes = 32 << 10;
    t.memory = 384 << 10;
    cr_assert_gt(log_bytes, t.memory);
    life_open(&t);
    cr_assert_gt(life_version(&t)->level[0].count, 10);
    cr_assert_leq(atomic_load(&t.budget.used), t.memory);
    cr_assert_leq(kvi_budget_held(&t.budget, KVI_BUDGET_MEMTABLE), 2 * (32u << 10));
    life_crash(&t, KVI_SIM_DROP, 3);
    life_open(&t);
    life_check_none(&t, 0, all / 4);
    life_check(&t, all / 4, all / 2, 1);
    life_check(&t, all / 2, all, 0);
    life_run(&t);
    life_check_tidy(&t);
}

/* A record that no memtable of the shape has room for. */
Test(lsm_replay, makes_room_for_a_record_larger_than_the_memtable, .init = setup, .fini = teardown)
{
    static char big[40 << 10];
    kvi_lsm_op op = {.kind = KVI_KIND_PUT, .key = {"big", 3}, .value = {big, sizeof big}};
    kvi_lsm_get g = {.key = {"big", 3}, .seq = KVI_LSM_SEQ_LATEST};
    kvi_lsm_value found = {0};
    kvi_buf copy;

    memset(big, 'x', sizeof big);
    life_open(&t);
    life_put_all(&t, 0, 10, 0);
    OK(life_write(&t, &op));
    life_put_all(&t, 10, 20, 0);
    OK(life_close(&t));
    kvi_sim_env_restart(&t.env);
    t.options.shape.memtable_bytes = 16 << 10;
    life_open(&t);
    life_check(&t, 0, 20, 0);
    kvi_buf_init(&copy, life_mem());
    OK(kvi_lsm_get_value(t.l, &g, &copy, &found));
    cr_assert(kvi_slice_eq(found.data, op.value));
    kvi_lsm_value_release(&found);
    kvi_buf_deinit(&copy);
}

Test(lsm_replay, passes_over_what_is_in_tables, .init = setup, .fini = teardown)
{
    uint64_t last;

    life_open(&t);
    life_put_all(&t, 0, 20, 0);
    OK(life_flush(&t));
    life_put_all(&t, 15, 25, 1);
    last = kvi_lsm_last_seq(t.l);
    cr_assert_eq(life_list_len(&t.l->segments), 1, "the flushed records are no longer in the log");
    for (int i = 0; i < 3; i++) {
        life_reopen(&t);
        cr_assert_eq(kvi_lsm_memtable_count(t.l->active), 10);
        cr_assert_eq(atomic_load(&t.l->flushed_seq), 20);
        cr_assert_eq(kvi_lsm_last_seq(t.l), last);
        life_check(&t, 0, 15, 0);
        life_check(&t, 15, 25, 1);
    }
}
