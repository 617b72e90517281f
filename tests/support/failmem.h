/*
 * An allocator that counts what it gave out and fails on demand: the Nth call, or from the Nth
 * on. Any thread.
 *
 *     for (size_t n = 0;; n++) {
 *         kvt_failmem_arm(&fm, n, false);
 *         ... the call under test: KV_ENOMEM, or it works ...
 *         if (!kvt_failmem_disarm(&fm))
 *             break;
 *     }
 */
#ifndef KVT_SUPPORT_FAILMEM_H
#define KVT_SUPPORT_FAILMEM_H

#include <stdatomic.h>
#include <stdbool.h>

#include "base/mem.h"

typedef struct kvt_failmem {
    _Atomic size_t calls; /* that allocate, since it was armed */
    _Atomic size_t live;  /* allocations not freed */
    _Atomic bool failed;
    _Atomic size_t fail_at; /* SIZE_MAX: never */
    _Atomic bool keep_failing;
} kvt_failmem;

/** Fills mem with it; never fails until armed. */
void kvt_failmem_init(kvt_failmem *f, kvi_mem *mem);

/** The allocation number at (0: the next) fails; keep: all behind it too. */
void kvt_failmem_arm(kvt_failmem *f, size_t at, bool keep);

/** No more failures; whether there was one. */
bool kvt_failmem_disarm(kvt_failmem *f);

/** Allocating calls since the last arm or disarm. */
static inline size_t kvt_failmem_calls(kvt_failmem *f)
{
    return atomic_load(&f->calls);
}

static inline size_t kvt_failmem_live(kvt_failmem *f)
{
    return atomic_load(&f->live);
}

#endif
