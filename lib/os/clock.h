/*
 * The clock seam. Monotonic and wall time are apart: intervals are measured by the first, expiry is
 * judged by the second. Any thread.
 */
#ifndef KVI_OS_CLOCK_H
#define KVI_OS_CLOCK_H

#include "base/base.h"

typedef struct kvi_os_clock kvi_os_clock;

struct kvi_os_clock {
    uint64_t (*mono_ns)(kvi_os_clock *c); /* never goes back; its origin means nothing */
    int64_t (*wall_ms)(kvi_os_clock *c);  /* since 1970-01-01 UTC; may jump */
};

static inline uint64_t kvi_os_mono_ns(kvi_os_clock *c)
{
    return c->mono_ns(c);
}

static inline int64_t kvi_os_wall_ms(kvi_os_clock *c)
{
    return c->wall_ms(c);
}

/** The machine's. Stateless: one static object serves all. */
kvi_os_clock *kvi_os_clock_real(void);

#endif
