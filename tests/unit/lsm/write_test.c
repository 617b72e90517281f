/*
 * Writes: their sequence, their limits, the order in which they become readable, what a failing
 * log does to them, and how they wait for room.
 *
 * A write that is held back is one whose thread comes to other work between two of its steps: by
 * the hook of engines.h. With threads: write_threads_test.c.
 */
#include "unit/lsm/engines.h"

#define LATEST KVI_LSM_SEQ_LATEST

static engine e;

static void setup(void)
{
    engine_start(&e, (size_t)8 << 20, small_shape, true);
}

static void setup_unmapped(void)
{
    engine_start(&e, (size_t)8 << 20, small_shape, false);
}

static void teardown(void)
{
    engine_end(&e);
}

/* Where the engine is broken, so is its close. */
static void teardown_broken(void)
{
    kvi_sim_fs_set_faults(e.env.fs, NULL);
    (void)engine_close(&e);
    kvi_sim_env_deinit(&e.env);
}

static void *filled(size_t len)
{
    void *p = malloc(len);

    cr_assert_not_null(p);
    memset(p, 'v', len);
    return p;
}

/* --- sequence and limits ------------------------------------------------------------------ */

Test(lsm_write, a_batch_takes_one_sequence_per_op, .init = setup, .fini = teardown)
{
    const kvi_lsm_op ops[] = {
        put_of(text("a"), text("1")),
        put_of(text("b"), text("2")),
        {KVI_KIND_DELETE, text("b"), text(""), 0},
        put_of(text("a"), text("3")),
    };
    kvi_lsm_write w = {.ops = ops, .count = 4};

    OK(engine_put(&e, text("b"), text("0")));
    OK(engine_write(&e, &w));
    cr_assert_eq(w.last_seq, 5);
    cr_assert_eq(kvi_lsm_last_seq(e.l), 5);
    cr_assert(engine_has(&e, text("b"), 1, "0") && engine_has(&e, text("a"), 1, NULL));
    cr_assert(engine_has(&e, text("a"), 2, "1") && engine_has(&e, text("a"), 4, "1"));
    cr_assert(engine_has(&e, text("b"), 3, "2") && engine_has(&e, text("b"), 4, NULL));
    cr_assert(engine_has(&e, text("a"), LATEST, "3"), "the later one of a batch counts");
    w.count = 1;
    OK(engine_write(&e, &w));
    cr_assert_eq(w.last_seq, 6);
}

Test(lsm_write, too_big_begins_right_behind_the_limit, .init = setup, .fini = teardown)
{
    size_t max = kvi_lsm_write_max(e.l);
    char *bytes = filled(max + 1);
    kvi_lsm_op ops[3];
    kvi_lsm_write w = {.ops = ops};

    cr_assert_eq(max, small_shape.memtable_bytes + KVI_LSM_KEY_MAX);
    for (uint32_t count = 1; count <= 3; count++) {
        uint64_t last = kvi_lsm_last_seq(e.l);

        w.count = count;
        for (uint32_t i = 0; i < count; i++)
            ops[i] = put_of(kvi_slice_of(&"abc"[i], 1), kvi_slice_of(bytes, i + 1));
        ops[0].value.len = max + 1;
        for (uint32_t i = 0; i < count; i++)
            ops[0].value.len -= 1 + (i > 0 ? ops[i].value.len : 0);
        cr_assert_eq(engine_write(&e, &w), KV_ETOOBIG, "%u ops", count);
        cr_assert_eq(kvi_lsm_last_seq(e.l), last);
        ops[0].value.len--;
        OK(engine_write(&e, &w));
        cr_assert_eq(kvi_lsm_last_seq(e.l), last + count);
    }
    w.count = 1;
    ops[0].value.len = SIZE_MAX / 2; /* never looked at */
    cr_assert_eq(engine_write(&e, &w), KV_ETOOBIG);
    free(bytes);
}

/* The smallest budget that the library allows, and the shape that follows from it. */
Test(lsm_write, the_largest_value_goes_into_the_smallest_budget)
{
    char key[16];
    size_t max, len;
    void *bytes;

    engine_start(&e, (size_t)4 << 20, (kvi_lsm_shape){0}, true);
    max = kvi_lsm_write_max(e.l);
    bytes = filled(max);
    for (unsigned i = 0; i < 24; i++) {
        kvi_lsm_op op;
        kvi_lsm_write w = {.ops = &op, .count = 1};

        (void)snprintf(key, sizeof key, "key%02u", i % 5);
        len = max - strlen(key) - (i % 3 == 2 ? 100 * i : 0);
        op = put_of(text(key), kvi_slice_of(bytes, len));
        op.kind = i % 2 ? KVI_KIND_PUT_EXPIRING : KVI_KIND_PUT;
        op.expires_ms = INT64_MAX;
        OK(engine_write(&e, &w));
    }
    engine_idle(&e);
    free(bytes);
    engine_end(&e);
}

/* --- the order of publication ------------------------------------------------------------- */

static kvi_lsm_op late_op;
static kvi_lsm_write late;
static told late_told;
static int late_result;

/* The later write, while the earlier one is at work. */
static void write_late(engine *at)
{
    late_op = put_of(text("late"), text("2"));
    late = (kvi_lsm_write){.ops = &late_op, .count = 1, .waiter = &late_told.base};
    told_init(&late_told);
    late_result = kvi_lsm_write_ops(at->l, &late);
    if (late_result != KVI_PENDING)
        return;
    cr_assert_eq(late_told.times, 0);
    cr_assert_eq(late.last_seq, kvi_lsm_last_seq(at->l) + 2);
    cr_assert(engine_has(at, text("late"), LATEST, NULL), "not before the earlier one");
    cr_assert(engine_has(at, text("early"), LATEST, NULL));
}

Test(lsm_write, nothing_is_readable_before_what_is_earlier, .init = setup, .fini = teardown)
{
    e.in_between = write_late;
    OK(engine_put(&e, text("early"), text("1")));
    cr_assert_eq(late_result, KVI_PENDING);
    cr_assert_eq(late_told.times, 1);
    cr_assert_eq(late_told.result, KV_OK);
    cr_assert_eq(kvi_lsm_last_seq(e.l), 2);
    cr_assert(engine_has(&e, text("early"), 1, "1") && engine_has(&e, text("late"), 1, NULL));
    cr_assert(engine_has(&e, text("late"), 2, "2"));
}

/* --- a failing log ------------------------------------------------------------------------ */

/* The log's next write but skip fails. */
static void fail_log_write(uint64_t skip)
{
    kvi_sim_fs_faults faults = {.fail_call = KVI_SIM_CALL_WRITE, .fail_with = KV_EIO};

    faults.fail_at = kvi_sim_fs_get_counts(e.env.fs)->calls[KVI_SIM_CALL_WRITE] + skip;
    kvi_sim_fs_set_faults(e.env.fs, &faults);
}

static void check_broken(void)
{
    told t;

    told_init(&t);
    cr_assert_eq(kvi_lsm_last_seq(e.l), 1);
    cr_assert_eq(engine_put(&e, text("more"), text("x")), KV_EIO);
    cr_assert_eq(kvi_lsm_sync(e.l, 1, &t.base), KV_EIO);
    cr_assert_eq(kvi_lsm_flush(e.l, &t.base), KV_EIO);
    cr_assert_eq(t.times, 0);
    cr_assert(engine_has(&e, text("before"), LATEST, "0"), "reads go on");
    cr_assert(engine_has(&e, text("early"), LATEST, NULL));
    cr_assert(engine_has(&e, text("late"), LATEST, NULL));
    cr_assert(engine_has(&e, text("more"), LATEST, NULL));
}

Test(lsm_write, a_failed_log_write_breaks_the_engine, .init = setup_unmapped,
     .fini = teardown_broken)
{
    OK(engine_put(&e, text("before"), text("0")));
    fail_log_write(0);
    cr_assert_eq(engine_put(&e, text("early"), text("1")), KV_EIO);
    check_broken();
    kvi_sim_fs_set_faults(e.env.fs, NULL);
    (void)engine_close(&e);
    engine_open(&e, small_shape);
    cr_assert(engine_has(&e, text("before"), LATEST, "0"));
    OK(engine_put(&e, text("more"), text("x")));
}

Test(lsm_write, nothing_behind_a_hole_is_acknowledged, .init = setup_unmapped,
     .fini = teardown_broken)
{
    OK(engine_put(&e, text("before"), text("0")));
    fail_log_write(1); /* the later one is written first */
    e.in_between = write_late;
    cr_assert_eq(engine_put(&e, text("early"), text("1")), KV_EIO);
    cr_assert_eq(late_result, KVI_PENDING);
    cr_assert_eq(late_told.times, 1);
    cr_assert_eq(late_told.result, KV_EIO);
    check_broken();
}

Test(lsm_write, who_is_at_work_finds_the_engine_broken, .init = setup_unmapped,
     .fini = teardown_broken)
{
    OK(engine_put(&e, text("before"), text("0")));
    fail_log_write(0);
    e.in_between = write_late;
    cr_assert_eq(engine_put(&e, text("early"), text("1")), KV_EIO);
    cr_assert_eq(late_result, KV_EIO);
    cr_assert_eq(late_told.times, 0);
    check_broken();
}

/* --- stalls ------------------------------------------------------------------------------- */

/* Writes without letting anything run until a write has to wait; the number of writes. */
static unsigned write_until_stalled(kvi_lsm_write *w, told *t, size_t value_len)
{
    static kvi_lsm_op op;
    void *bytes = filled(value_len);
    unsigned n = 0;
    int r;

    op = put_of(text("k"), kvi_slice_of(bytes, value_len));
    *w = (kvi_lsm_write){.ops = &op, .count = 1, .waiter = &t->base};
    do {
        told_init(t);
        r = kvi_lsm_write_ops(e.l, w);
    } while (r == KV_OK && n++ < 1000);
    cr_assert_eq(r, KVI_PENDING);
    cr_assert_eq(kvi_lsm_last_seq(e.l), n, "nothing was written");
    op.value.len = 1; /* the next try needs none of the bytes */
    free(bytes);
    op.value = text("v");
    return n;
}

static void check_stall_ends(enum kvi_lsm_stall why, size_t value_len)
{
    kvi_lsm_write w;
    told t;
    unsigned n = write_until_stalled(&w, &t, value_len);

    cr_assert_eq(atomic_load(&e.l->stats.stalls[why]), 1);
    cr_assert_eq(t.times, 0);
    engine_idle(&e);
    cr_assert_eq(t.times, 1);
    cr_assert_eq(t.result, KVI_AGAIN);
    OK(engine_write(&e, &w));
    cr_assert_eq(w.last_seq, n + 1);
}

Test(lsm_write, waits_for_the_log, .init = setup, .fini = teardown)
{
    check_stall_ends(KVI_LSM_STALL_LOG, 1000);
}

Test(lsm_write, waits_for_the_memtables)
{
    kvi_lsm_shape shape = small_shape;

    shape.segment_bytes = 256 << 10; /* the log has room enough */
    engine_start(&e, (size_t)8 << 20, shape, true);
    check_stall_ends(KVI_LSM_STALL_MEMTABLE, 1000);
    engine_end(&e);
}

Test(lsm_write, waits_for_level_0)
{
    kvi_lsm_shape shape = small_shape;

    shape.segment_bytes = 256 << 10;
    engine_start(&e, (size_t)8 << 20, shape, true);
    atomic_store(&e.l->level0_count, shape.level0_stall); /* as far as writers can see */
    check_stall_ends(KVI_LSM_STALL_LEVEL0, 1000);
    engine_end(&e);
}

Test(lsm_write, who_waits_is_told_of_a_failed_flush)
{
    kvi_sim_fs_faults faults = {
        .fail_call = KVI_SIM_CALL_CREATE, .fail_with = KV_ENOSPC, .from_then_on = true};
    kvi_lsm_shape shape = small_shape;
    kvi_lsm_write w;
    told t;

    shape.segment_bytes = 256 << 10;
    engine_start(&e, (size_t)8 << 20, shape, true);
    (void)write_until_stalled(&w, &t, 1000);
    kvi_sim_fs_set_faults(e.env.fs, &faults);
    cr_assert_eq(told_wait(&e, &t), KV_ENOSPC);
    kvi_sim_fs_set_faults(e.env.fs, NULL);
    OK(engine_write(&e, &w));
    engine_end(&e);
}

/* Where nothing runs that could give memory back, waiting would be for ever. */
Test(lsm_write, who_waits_for_memory_that_never_comes_is_told)
{
    kvi_lsm_shape shape = small_shape;
    kvi_lsm_write w;
    size_t rest;
    told t;

    shape.segment_bytes = 256 << 10;
    engine_start(&e, (size_t)8 << 20, shape, true);
    rest = e.budget.limit - atomic_load(&e.budget.used);
    kvi_budget_charge(&e.budget, KVI_BUDGET_RESULT, rest);
    (void)write_until_stalled(&w, &t, 30000);
    cr_assert_eq(told_wait(&e, &t), KVI_AGAIN, "there might have been something");
    ((kvi_lsm_op *)(uintptr_t)w.ops)->value = kvi_slice_of(filled(30000), 30000);
    cr_assert_eq(engine_write(&e, &w), KV_ENOMEM);
    kvi_budget_release(&e.budget, KVI_BUDGET_RESULT, rest);
    OK(engine_write(&e, &w));
    free((void *)(uintptr_t)w.ops[0].value.data);
    engine_end(&e);
}
