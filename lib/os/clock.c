/*
 * The machine's clocks; see the header for the contract.
 */
#include "os/clock.h"

#include <time.h>

#include "base/check.h"

static struct timespec now(clockid_t which)
{
    struct timespec t;
    int err = clock_gettime(which, &t);

    KVI_ASSERT(err == 0);
    return t;
}

static uint64_t real_mono_ns(kvi_os_clock *c)
{
    struct timespec t = now(CLOCK_MONOTONIC);

    (void)c;
    return (uint64_t)t.tv_sec * UINT64_C(1000000000) + (uint64_t)t.tv_nsec;
}

static int64_t real_wall_ms(kvi_os_clock *c)
{
    struct timespec t = now(CLOCK_REALTIME);

    (void)c;
    return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

kvi_os_clock *kvi_os_clock_real(void)
{
    static const kvi_os_clock real = {real_mono_ns, real_wall_ms};

    /* Without state, nobody writes to it; the seam's type cannot say so, since other clocks have
     * some. */
    return (kvi_os_clock *)(uintptr_t)&real;
}
