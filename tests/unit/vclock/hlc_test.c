/* lib/vclock/hlc.c: stamps that grow, not above what is durable, not far from the wall clock. */
#include "vclock/hlc.h"

#include "unit/vclock/objects.h"

#define NOW INT64_C(1700000000000)

static uint64_t at(int64_t ms, uint64_t logical)
{
    return (uint64_t)ms << KVI_HLC_LOGICAL_BITS | logical;
}

/* As a node does it. */
static uint64_t next(kvi_hlc *h, int64_t wall_ms)
{
    uint64_t stamp = 0, last = h->last;
    int err = kvi_hlc_next(h, wall_ms, &stamp);

    if (err == KVI_AGAIN) {
        cr_assert_eq(h->last, last, "nothing changed");
        kvi_hlc_bounded(h, kvi_hlc_bound(h, wall_ms));
        err = kvi_hlc_next(h, wall_ms, &stamp);
    }
    cr_assert_eq(err, KV_OK, "%d: %s", err, kvi_error_detail());
    cr_assert_gt(stamp, last);
    cr_assert_leq(stamp, h->bound);
    return stamp;
}

Test(vclock_hlc, follows_the_wall_clock_and_counts_within_a_millisecond)
{
    kvi_hlc h;

    kvi_hlc_init(&h, 0);
    cr_assert_eq(next(&h, NOW), at(NOW, 0));
    cr_assert_eq(next(&h, NOW), at(NOW, 1));
    cr_assert_eq(next(&h, NOW - 500), at(NOW, 2), "a clock that goes back a little");
    cr_assert_eq(next(&h, NOW + 7), at(NOW + 7, 0));
    cr_assert_eq(kvi_hlc_ms(h.last), NOW + 7);
}

Test(vclock_hlc, a_millisecond_that_is_full_becomes_the_next)
{
    kvi_hlc h;

    kvi_hlc_init(&h, 0);
    next(&h, NOW);
    OK(kvi_hlc_observe(&h, at(NOW, 0xffff), NOW));
    cr_assert_eq(next(&h, NOW), at(NOW + 1, 0));
}

Test(vclock_hlc, no_stamp_above_the_bound)
{
    uint64_t stamp = 17;
    kvi_hlc h;

    kvi_hlc_init(&h, 0);
    cr_assert_eq(kvi_hlc_next(&h, NOW, &stamp), KVI_AGAIN);
    kvi_hlc_bounded(&h, kvi_hlc_bound(&h, NOW));
    next(&h, NOW + KVI_HLC_AHEAD_MS);
    cr_assert_eq(kvi_hlc_next(&h, NOW + KVI_HLC_AHEAD_MS + 1, &stamp), KVI_AGAIN);
    OK(kvi_hlc_observe(&h, at(NOW + 30000, 5), NOW)); /* above the bound */
    cr_assert_eq(kvi_hlc_next(&h, NOW, &stamp), KVI_AGAIN);
    cr_assert_eq(stamp, 17);
    cr_assert_eq(next(&h, NOW), at(NOW + 30000, 6));
}

Test(vclock_hlc, after_a_crash_no_stamp_comes_twice)
{
    uint64_t durable = 0, greatest = 0;
    int64_t wall_ms = NOW;
    kvt_rng rng;

    kvt_rng_init(&rng, 1);
    for (int crash = 0; crash < 200; crash++) {
        kvi_hlc h;

        kvi_hlc_init(&h, durable);
        for (uint64_t puts = kvt_rng_below(&rng, 50); puts > 0; puts--) {
            uint64_t stamp = next(&h, wall_ms);

            cr_assert_gt(stamp, greatest);
            greatest = stamp;
            durable = h.bound;
            wall_ms += (int64_t)kvt_rng_below(&rng, 3);
        }
    }
    cr_assert_lt(kvi_hlc_ms(durable), wall_ms + KVI_HLC_AHEAD_MS + 500,
                 "crashes alone do not carry it away from the wall clock");
}

Test(vclock_hlc, asks_for_a_bound_before_it_is_needed)
{
    kvi_hlc h;

    kvi_hlc_init(&h, 0);
    cr_assert(kvi_hlc_wants_bound(&h, NOW));
    kvi_hlc_bounded(&h, kvi_hlc_bound(&h, NOW));
    cr_assert_not(kvi_hlc_wants_bound(&h, NOW));
    cr_assert_not(kvi_hlc_wants_bound(&h, NOW + KVI_HLC_AHEAD_MS / 2));
    cr_assert(kvi_hlc_wants_bound(&h, NOW + KVI_HLC_AHEAD_MS / 2 + 1));
    kvi_hlc_bounded(&h, kvi_hlc_bound(&h, NOW + KVI_HLC_AHEAD_MS / 2 + 1));
    cr_assert_not(kvi_hlc_wants_bound(&h, NOW + KVI_HLC_AHEAD_MS / 2 + 1));
    OK(kvi_hlc_observe(&h, h.bound, NOW + KVI_HLC_AHEAD_MS));
    cr_assert(kvi_hlc_wants_bound(&h, NOW + KVI_HLC_AHEAD_MS), "the next stamp lies above it");
}

/* A node that asks whenever wants_bound says so never waits, and does not ask all the time. */
Test(vclock_hlc, who_asks_in_time_never_waits)
{
    int64_t wall_ms = NOW;
    unsigned persisted = 0;
    uint64_t stamp;
    kvi_hlc h;

    kvi_hlc_init(&h, at(NOW + KVI_HLC_AHEAD_MS, 0xffff)); /* just restarted */
    for (int i = 0; i < 100000; i++) {
        if (kvi_hlc_wants_bound(&h, wall_ms)) {
            kvi_hlc_bounded(&h, kvi_hlc_bound(&h, wall_ms));
            persisted++;
        }
        OK(kvi_hlc_next(&h, wall_ms, &stamp));
        wall_ms += i % 2;
    }
    cr_assert_lt(persisted, 15);
}

Test(vclock_hlc, refuses_a_stamp_too_far_ahead)
{
    kvi_hlc h;

    kvi_hlc_init(&h, 0);
    next(&h, NOW);
    OK(kvi_hlc_observe(&h, at(NOW - 100, 0), NOW));
    cr_assert_eq(h.last, at(NOW, 0), "an old one changes nothing");
    OK(kvi_hlc_observe(&h, at(NOW + KVI_HLC_DRIFT_MAX_MS, 0xffff), NOW));
    cr_assert_eq(kvi_hlc_observe(&h, at(NOW + KVI_HLC_DRIFT_MAX_MS + 1, 0), NOW), KV_ECONFLICT);
    cr_assert_eq(kvi_hlc_observe(&h, UINT64_MAX, NOW), KV_ECONFLICT);
    cr_assert_eq(h.last, at(NOW + KVI_HLC_DRIFT_MAX_MS, 0xffff));
}

Test(vclock_hlc, refuses_to_stamp_when_its_own_clock_went_far_back)
{
    uint64_t stamp = 17;
    kvi_hlc h;

    kvi_hlc_init(&h, 0);
    next(&h, NOW);
    cr_assert_eq(kvi_hlc_next(&h, NOW - KVI_HLC_DRIFT_MAX_MS - 1, &stamp), KV_ECONFLICT);
    cr_assert_eq(stamp, 17);
    next(&h, NOW - KVI_HLC_DRIFT_MAX_MS);
}

Test(vclock_hlc, walls_outside_of_what_stamps_can_say)
{
    uint64_t stamp;
    kvi_hlc h;

    kvi_hlc_init(&h, 0);
    cr_assert_eq(next(&h, INT64_MIN), 1, "0 is no stamp");
    cr_assert_eq(next(&h, -1), 2);
    cr_assert_eq(next(&h, INT64_MAX), at(KVI_HLC_MS_MAX, 0));
    OK(kvi_hlc_observe(&h, UINT64_MAX, INT64_MAX));
    cr_assert_eq(kvi_hlc_next(&h, INT64_MAX, &stamp), KV_ECONFLICT, "there is no greater stamp");
}
