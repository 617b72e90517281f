/*
 * KVI_ASSERT: a statement of what must hold. Always on: a store that goes on after a broken
 * invariant writes the damage to disk. For bugs only; what the world can do wrong is an error code.
 */
#ifndef KVI_BASE_CHECK_H
#define KVI_BASE_CHECK_H

#include "base/base.h"

/** Writes the broken statement to standard error and aborts. */
KVI_NORETURN void kvi_check_failed(const char *expr, const char *file, int line);

#define KVI_ASSERT(expr)                                 \
    do {                                                 \
        if (KVI_UNLIKELY(!(expr)))                       \
            kvi_check_failed(#expr, __FILE__, __LINE__); \
    } while (0)

#endif
