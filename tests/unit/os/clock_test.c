/*
 * The machine's clocks.
 */
#include "os/clock.h"

#include <criterion/criterion.h>

#include <time.h>

Test(os_clock, monotonic_does_not_go_back)
{
    kvi_os_clock *c = kvi_os_clock_real();
    uint64_t first = kvi_os_mono_ns(c), last = first;

    for (int i = 0; i < 10000; i++) {
        uint64_t now = kvi_os_mono_ns(c);

        cr_assert(now >= last);
        last = now;
    }
    cr_assert(last > first, "and it does go on");
}

Test(os_clock, wall_is_the_time_of_day)
{
    kvi_os_clock *c = kvi_os_clock_real();
    int64_t before = (int64_t)time(NULL) * 1000;
    int64_t now = kvi_os_wall_ms(c);

    /* The C library's seconds may lag behind by a tick. */
    cr_assert(now >= before && now <= (int64_t)time(NULL) * 1000 + 2000);
}
