/*
 * A hybrid logical clock: stamps that follow the wall clock, never go back, and are greater than
 * all that was observed (Kulkarni, Demirbas, Madappa, Avva, Leone, "Logical physical clocks and
 * consistent snapshots in globally distributed databases", 2014, section 4.2; the two parts in 64
 * bits: section 6.2).
 *
 * 1. A stamp is 48 bits of milliseconds since 1970 and 16 bits that count within one; where these
 *    overflow the milliseconds go up. 0 is no stamp.
 * 2. No stamp is given out above `bound`, and bound is durable before it is set: after a crash the
 *    clock begins at the bound that was persisted, so no stamp is given out twice.
 * 3. No stamp is given out or taken over that is more than KVI_HLC_DRIFT_MAX_MS ahead of the wall
 *    clock: one clock that is wrong does not drag along the others.
 *
 * Pure: wall_ms comes in. One owner. The node has one.
 */
#ifndef KVI_VCLOCK_HLC_H
#define KVI_VCLOCK_HLC_H

#include "base/base.h"

/* How far ahead of the wall clock a new bound is: as often it has to be persisted. */
#define KVI_HLC_AHEAD_MS INT64_C(10000)

/* How far ahead of the wall clock a stamp may be. */
#define KVI_HLC_DRIFT_MAX_MS INT64_C(60000)

#define KVI_HLC_LOGICAL_BITS 16
#define KVI_HLC_MS_MAX       ((INT64_C(1) << 48) - 1)

typedef struct kvi_hlc {
    uint64_t last;  /* the greatest stamp given out or observed */
    uint64_t bound; /* durable: none above it is given out */
} kvi_hlc;

static inline int64_t kvi_hlc_ms(uint64_t stamp)
{
    return (int64_t)(stamp >> KVI_HLC_LOGICAL_BITS);
}

/** bound: the last one that was persisted, 0 at a store's creation. */
void kvi_hlc_init(kvi_hlc *h, uint64_t bound);

/** The next stamp. KVI_AGAIN, and nothing changed: persist kvi_hlc_bound first. KV_ECONFLICT: this
 *  node's stamps are too far ahead of its wall clock, which was set back (the detail says it). */
int kvi_hlc_next(kvi_hlc *h, int64_t wall_ms, uint64_t *stamp) KVI_NODISCARD;

/** The bound to be persisted now, and then told by kvi_hlc_bounded. */
uint64_t kvi_hlc_bound(const kvi_hlc *h, int64_t wall_ms);

/** Whether it is time to persist a new bound, so that no put has to wait for it. */
bool kvi_hlc_wants_bound(const kvi_hlc *h, int64_t wall_ms);

/** bound is durable now. */
void kvi_hlc_bounded(kvi_hlc *h, uint64_t bound);

/** Has the next stamp be greater than stamp, one that was received. KV_ECONFLICT, and nothing
 *  changed: it is more than KVI_HLC_DRIFT_MAX_MS ahead of wall_ms; refuse what carries it, and
 *  count that. */
int kvi_hlc_observe(kvi_hlc *h, uint64_t stamp, int64_t wall_ms) KVI_NODISCARD;

#endif
