/*
 * A clock that only a test moves. Monotonic time never goes back; wall time follows it and may be
 * set to jump.
 *
 * step_ns, a knob: each reading of monotonic time moves the clock on by so much first, for code
 * that waits for time to pass.
 * One thread.
 */
#ifndef KVI_SIM_CLOCK_H
#define KVI_SIM_CLOCK_H

#include "os/clock.h"

typedef struct kvi_sim_clock {
    kvi_os_clock base;
    uint64_t now_ns;
    int64_t wall_offset_ms; /* wall time at monotonic 0 */
    uint64_t step_ns;
} kvi_sim_clock;

/** Monotonic 0; wall_ms: what the wall shows then. */
void kvi_sim_clock_init(kvi_sim_clock *c, int64_t wall_ms);

/** Time passes, on both. */
void kvi_sim_clock_advance(kvi_sim_clock *c, uint64_t ns);

/** Somebody sets the wall clock: by delta_ms, forth or back. */
void kvi_sim_clock_jump(kvi_sim_clock *c, int64_t delta_ms);

#endif
