/*
 * The hybrid logical clock; see the header for the contract.
 */
#include "vclock/hlc.h"

#include <inttypes.h>

#include "base/check.h"
#include "base/error.h"

/* The first stamp of a millisecond; what lies outside 48 bits is taken for the nearest that does
 * not. */
static uint64_t stamp_of(int64_t ms)
{
    if (ms < 0)
        ms = 0;
    if (ms > KVI_HLC_MS_MAX)
        ms = KVI_HLC_MS_MAX;
    return (uint64_t)ms << KVI_HLC_LOGICAL_BITS;
}

static int64_t ahead_of(uint64_t stamp, int64_t wall_ms)
{
    return kvi_hlc_ms(stamp) - kvi_hlc_ms(stamp_of(wall_ms));
}

void kvi_hlc_init(kvi_hlc *h, uint64_t bound)
{
    h->last = h->bound = bound;
}

int kvi_hlc_next(kvi_hlc *h, int64_t wall_ms, uint64_t *stamp)
{
    uint64_t next;

    if (h->last == UINT64_MAX || ahead_of(h->last, wall_ms) > KVI_HLC_DRIFT_MAX_MS)
        return kvi_error_set(KV_ECONFLICT,
                             "this node has stamped writes %" PRId64 " ms ahead of its wall clock, "
                             "which seems to have been set back: set it right, or wait",
                             ahead_of(h->last, wall_ms));
    next = kvi_max_u64(h->last + 1, stamp_of(wall_ms));
    if (next > h->bound)
        return KVI_AGAIN;
    h->last = next;
    *stamp = next;
    return KV_OK;
}

uint64_t kvi_hlc_bound(const kvi_hlc *h, int64_t wall_ms)
{
    int64_t wall = kvi_hlc_ms(stamp_of(wall_ms));
    /* Where last is ahead already, as after a restart, a bound gives one millisecond of stamps: a
     * node that crashes again and again does not run away from its clock. */
    int64_t ms = kvi_hlc_ms(h->last) + 1;

    if (ms < wall + KVI_HLC_AHEAD_MS)
        ms = wall + KVI_HLC_AHEAD_MS;
    return kvi_max_u64(h->bound, stamp_of(ms) | ((UINT64_C(1) << KVI_HLC_LOGICAL_BITS) - 1));
}

bool kvi_hlc_wants_bound(const kvi_hlc *h, int64_t wall_ms)
{
    return kvi_max_u64(h->last, stamp_of(wall_ms)) >= h->bound ||
           ahead_of(h->bound, wall_ms) < KVI_HLC_AHEAD_MS / 2;
}

void kvi_hlc_bounded(kvi_hlc *h, uint64_t bound)
{
    KVI_ASSERT(bound >= h->bound);
    h->bound = bound;
}

int kvi_hlc_observe(kvi_hlc *h, uint64_t stamp, int64_t wall_ms)
{
    if (ahead_of(stamp, wall_ms) > KVI_HLC_DRIFT_MAX_MS)
        return kvi_error_set(KV_ECONFLICT,
                             "a stamp is %" PRId64 " ms ahead of this node's wall clock, more than "
                             "%" PRId64 " ms: one of the two clocks is wrong",
                             ahead_of(stamp, wall_ms), KVI_HLC_DRIFT_MAX_MS);
    h->last = kvi_max_u64(h->last, stamp);
    return KV_OK;
}
