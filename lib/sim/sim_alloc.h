/*
 * An allocator for the code under test: counts, knows what is outstanding, and fails the call it is
 * told to.
 *
 * 1. Every alloc and every resize is a call, numbered from 0 since init or reset.
 * 2. Memory is filled with junk, and a resize always moves: who relies on zeros or on the old
 *    address is found out, and runs alike with every seed.
 * 3. A block's guard is checked when it is freed.
 * Any thread may allocate and free; the knobs are set while nobody does. Memory comes from the
 * plain allocator given to init.
 */
#ifndef KVI_SIM_ALLOC_H
#define KVI_SIM_ALLOC_H

#include <stdatomic.h>

#include "base/mem.h"

typedef struct kvi_sim_alloc {
    kv_allocator host; /* hand this to the code under test */
    const kvi_mem *mem;
    _Atomic size_t calls;
    _Atomic size_t failed;
    _Atomic size_t blocks, bytes; /* outstanding */
    /* Knobs. */
    size_t fail_at; /* the call that gets no memory; KVI_SIM_ALLOC_NEVER: none */
    bool fail_from_then_on;
} kvi_sim_alloc;

#define KVI_SIM_ALLOC_NEVER SIZE_MAX

/** mem is borrowed; a stays where it is while host is in use. */
void kvi_sim_alloc_init(kvi_sim_alloc *a, const kvi_mem *mem);

/** Counts calls from 0 again, and sets which one fails. */
void kvi_sim_alloc_reset(kvi_sim_alloc *a, size_t fail_at, bool from_then_on);

#endif
