/* lib/sim/sim_clock.c */
#include <criterion/criterion.h>

#include "sim/sim_clock.h"

Test(sim_clock, time_passes_only_when_told)
{
    kvi_sim_clock c;

    kvi_sim_clock_init(&c, 1000);
    cr_assert_eq(kvi_os_mono_ns(&c.base), 0);
    cr_assert_eq(kvi_os_mono_ns(&c.base), 0);
    cr_assert_eq(kvi_os_wall_ms(&c.base), 1000);
    kvi_sim_clock_advance(&c, 2500000);
    cr_assert_eq(kvi_os_mono_ns(&c.base), 2500000);
    cr_assert_eq(kvi_os_wall_ms(&c.base), 1002);
}

Test(sim_clock, the_wall_jumps_and_monotonic_time_does_not)
{
    kvi_sim_clock c;

    kvi_sim_clock_init(&c, 1000);
    kvi_sim_clock_advance(&c, 5000000);
    kvi_sim_clock_jump(&c, -3000);
    cr_assert_eq(kvi_os_wall_ms(&c.base), -1995);
    cr_assert_eq(kvi_os_mono_ns(&c.base), 5000000);
    kvi_sim_clock_jump(&c, 10000);
    cr_assert_eq(kvi_os_wall_ms(&c.base), 8005);
}

Test(sim_clock, a_reading_may_take_time)
{
    kvi_sim_clock c;

    kvi_sim_clock_init(&c, 0);
    c.step_ns = 10;
    cr_assert_eq(kvi_os_mono_ns(&c.base), 10);
    cr_assert_eq(kvi_os_mono_ns(&c.base), 20);
}
