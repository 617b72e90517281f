/*
 * A clock that only a test moves; see the header for the contract.
 */
#include "sim/sim_clock.h"

#include "base/check.h"

#define NS_PER_MS 1000000u

static uint64_t mono_ns(kvi_os_clock *base)
{
    kvi_sim_clock *c = KVI_CONTAINER_OF(base, kvi_sim_clock, base);

    kvi_sim_clock_advance(c, c->step_ns);
    return c->now_ns;
}

static int64_t wall_ms(kvi_os_clock *base)
{
    const kvi_sim_clock *c = KVI_CONTAINER_OF(base, kvi_sim_clock, base);

    return c->wall_offset_ms + (int64_t)(c->now_ns / NS_PER_MS);
}

void kvi_sim_clock_init(kvi_sim_clock *c, int64_t wall)
{
    c->base.mono_ns = mono_ns;
    c->base.wall_ms = wall_ms;
    c->now_ns = 0;
    c->wall_offset_ms = wall;
    c->step_ns = 0;
}

void kvi_sim_clock_advance(kvi_sim_clock *c, uint64_t ns)
{
    KVI_ASSERT(ns <= UINT64_MAX - c->now_ns);
    c->now_ns += ns;
}

void kvi_sim_clock_jump(kvi_sim_clock *c, int64_t delta_ms)
{
    c->wall_offset_ms += delta_ms;
}
