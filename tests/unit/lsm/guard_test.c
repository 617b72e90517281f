/*
 * Guards: a conditional write goes through only where nobody wrote to its key meanwhile.
 */
#include "unit/lsm/engines.h"

static engine e;
static int seen_in_between;

static void setup(void)
{
    engine_start(&e, (size_t)8 << 20, small_shape, true);
}

static void teardown(void)
{
    engine_end(&e);
}

static kvi_lsm_guard guard_of(kvi_slice key)
{
    kvi_lsm_guard g;

    OK(kvi_lsm_guard_take(e.l, key, &g));
    return g;
}

static int put_guarded(const char *key, const char *value, kvi_lsm_guard guard)
{
    kvi_lsm_op op = put_of(text(key), text(value));
    kvi_lsm_write w = {.ops = &op, .count = 1, .guarded = true, .guard = guard};

    return engine_write(&e, &w);
}

/* Another key whose slot is that of key, or is not. */
static void find_key(const char *key, bool same_slot, char out[16])
{
    uint32_t slot = guard_of(text(key)).slot;

    for (unsigned n = 0; n < 200000; n++) {
        (void)snprintf(out, 16, "other%u", n);
        if ((guard_of(text(out)).slot == slot) == same_slot)
            return;
    }
    cr_assert_fail("no such key");
}

Test(lsm_guard, stale_after_any_write_to_the_key, .init = setup, .fini = teardown)
{
    const kvi_lsm_op put = put_of(text("k"), text("theirs"));
    const kvi_lsm_op batch[] = {put_of(text("a"), text("1")), put, put_of(text("z"), text("2"))};
    const kvi_lsm_op delete = {KVI_KIND_DELETE, text("k"), text(""), 0};
    const kvi_lsm_op expiring = {KVI_KIND_PUT_EXPIRING, text("k"), text("x"), INT64_MAX};
    kvi_lsm_write writes[] = {
        {.ops = &put, .count = 1},
        {.ops = batch, .count = 3},
        {.ops = &delete, .count = 1},
        {.ops = &expiring, .count = 1},
    };

    for (size_t i = 0; i < sizeof writes / sizeof writes[0]; i++) {
        kvi_lsm_guard g = guard_of(text("k"));
        uint64_t last;

        OK(engine_write(&e, &writes[i]));
        last = kvi_lsm_last_seq(e.l);
        cr_assert_eq(put_guarded("k", "mine", g), KVI_STALE);
        cr_assert_eq(kvi_lsm_last_seq(e.l), last, "nothing was written");
        cr_assert(!engine_has(&e, text("k"), KVI_LSM_SEQ_LATEST, "mine"));
        OK(put_guarded("k", "mine", guard_of(text("k"))));
        cr_assert(engine_has(&e, text("k"), KVI_LSM_SEQ_LATEST, "mine"));
    }
}

Test(lsm_guard, holds_after_writes_to_other_slots_alone, .init = setup, .fini = teardown)
{
    char other[16], shares[16];
    kvi_lsm_guard g;

    find_key("k", false, other);
    find_key("k", true, shares);
    g = guard_of(text("k"));
    OK(engine_put(&e, text(other), text("v")));
    OK(put_guarded("k", "1", g));
    cr_assert_eq(put_guarded("k", "2", g), KVI_STALE, "it has been used");
    g = guard_of(text("k"));
    OK(engine_put(&e, text(shares), text("v")));
    cr_assert_eq(put_guarded("k", "3", g), KVI_STALE);
    g = guard_of(text("k"));
    cr_assert_eq(put_guarded(shares, "4", g), KV_OK, "a guard is its slot's");
}

Test(lsm_guard, survives_flush_and_compaction, .init = setup, .fini = teardown)
{
    kvi_lsm_guard g;

    OK(engine_put(&e, text("k"), text("1")));
    g = guard_of(text("k"));
    engine_flush(&e);
    engine_idle(&e);
    OK(put_guarded("k", "2", g));
}

Test(lsm_guard, created_late_they_cover_all_before, .init = setup, .fini = teardown)
{
    kvi_lsm_guard g;

    for (unsigned i = 0; i < 10; i++)
        OK(engine_put(&e, text("k"), text("v")));
    cr_assert_null(atomic_load(&e.l->guards), "nobody has asked for one");
    g = guard_of(text("k"));
    cr_assert_not_null(atomic_load(&e.l->guards));
    cr_assert_eq(g.seen, 10);
    cr_assert_eq(guard_of(text("never written")).seen, 10);
    OK(put_guarded("k", "w", g));
    cr_assert_eq(guard_of(text("k")).seen, 11);
    cr_assert_eq(guard_of(text("never written")).seen, 10);
}

static void take_in_between(engine *at)
{
    kvi_lsm_guard g;

    seen_in_between = kvi_lsm_guard_take(at->l, text("k"), &g);
}

/* first: the guards are made while a write is under way. */
static void check_under_way(bool first)
{
    char other[16];

    seen_in_between = KV_OK;
    e.in_between = take_in_between;
    OK(engine_put(&e, text("k"), text("v")));
    cr_assert_eq(seen_in_between, KVI_AGAIN);
    cr_assert(first || guard_of(text("k")).seen == kvi_lsm_last_seq(e.l));
    find_key("k", false, other);
    e.in_between = take_in_between;
    OK(engine_put(&e, text(other), text("v")));
    cr_assert_eq(seen_in_between, KV_OK, "a write to another slot is no matter");
}

Test(lsm_guard, not_to_be_had_while_a_write_is_under_way, .init = setup, .fini = teardown)
{
    check_under_way(true);
    check_under_way(false);
}

static kvi_lsm_guard guard_in_between;
static int result_in_between;

static void write_in_between(engine *at)
{
    kvi_lsm_op op = put_of(text("k"), text("late"));
    kvi_lsm_write w = {.ops = &op, .count = 1, .guarded = true, .guard = guard_in_between};
    told t;

    told_init(&t);
    w.waiter = &t.base;
    result_in_between = kvi_lsm_write_ops(at->l, &w);
}

Test(lsm_guard, stale_from_the_reservation_on, .init = setup, .fini = teardown)
{
    guard_in_between = guard_of(text("k"));
    e.in_between = write_in_between;
    OK(engine_put(&e, text("k"), text("early")));
    cr_assert_eq(result_in_between, KVI_STALE, "though the other was not readable yet");
    cr_assert(engine_has(&e, text("k"), KVI_LSM_SEQ_LATEST, "early"));
}

Test(lsm_guard, says_when_there_is_no_memory, .init = setup, .fini = teardown)
{
    kvi_lsm_guard g;

    kvi_sim_alloc_reset(&e.env.alloc, 0, false);
    cr_assert_eq(kvi_lsm_guard_take(e.l, text("k"), &g), KV_ENOMEM);
    kvi_sim_alloc_reset(&e.env.alloc, KVI_SIM_ALLOC_NEVER, false);
    OK(kvi_lsm_guard_take(e.l, text("k"), &g));
}
