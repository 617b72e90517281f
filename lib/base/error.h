/*
 * Error codes travel as int results; what a person needs to know beside the code is this thread's
 * detail line.
 *
 * 1. The function that finds the fault sets the detail; callers pass the code on and add nothing.
 * 2. The detail is thread-local, truncated, never allocated. It is the library's only thread-local
 *    state beside lock ranks.
 */
#ifndef KVI_BASE_ERROR_H
#define KVI_BASE_ERROR_H

#include "base/base.h"

#define KVI_ERROR_DETAIL_MAX 512

/** Positive results that stay inside the library: work goes on elsewhere, the caller is told
 *  through its waiter. */
enum { KVI_PENDING = 1, KVI_AGAIN = 2, KVI_LEAD = 3, KVI_STALE = 4 };

/** Sets the detail and returns err, so that a failure is one line: return kvi_error_set(KV_EINVAL,
 *  "…"). */
#define kvi_error_set(err, ...) (kvi_error_note(__VA_ARGS__), kvi_error_code(err))

/* The two halves of it. The code stays visible at the place of the fault, so that compilers and
 * analyzers know what the caller gets. */
void kvi_error_note(const char *fmt, ...) KVI_PRINTF(1, 2);

static inline int kvi_error_code(int err)
{
    return err;
}

/** Empties the detail. */
void kvi_error_clear(void);

/** This thread's detail. */
const char *kvi_error_detail(void);

/** The text of a code; never NULL. */
const char *kvi_error_name(int err);

#endif
