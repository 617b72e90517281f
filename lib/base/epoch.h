/*
 * Epochs: how a reader uses shared, immutable things without a lock or a count of its own on each
 * of them, and how those who replace such a thing know when no reader can hold the old one any more
 * (the grace period).
 *
 * The scheme is that of sleepable RCU (McKenney, "Sleepable RCU", 2006): readers count themselves
 * in and out on one of several counters; retired things wait until each counter was seen at zero
 * after they were unlinked.
 *
 * 1. A reader's section covers one call. It may read disk in it, never wait for another thread's
 *    progress.
 * 2. A thing is unlinked (no new reader can find it) before it is retired.
 * 3. Between enter and the matching leave nothing retired after enter is released.
 * 4. Nobody waits: retire and poll release what is due, and the rest stays for the next call.
 * Any thread may call anything. Pointers that readers follow are loaded and stored with
 * memory_order_seq_cst.
 */
#ifndef KVI_BASE_EPOCH_H
#define KVI_BASE_EPOCH_H

#include "base/mem.h"

#define KVI_EPOCH_SLOTS 32 /* counters, spread over threads; more threads share */

typedef struct kvi_epoch kvi_epoch;

/** Embedded in a thing that will be retired; release runs once, on whatever thread polls. All of it
 *  is private. */
typedef struct kvi_retired {
    struct kvi_retired *next;
    void (*release)(struct kvi_retired *self);
    uint64_t stamp;
} kvi_retired;

typedef struct kvi_epoch_guard {
    uint32_t slot, parity;
} kvi_epoch_guard;

/** NULL where there is no memory. */
kvi_epoch *kvi_epoch_new(const kvi_mem *mem) KVI_NODISCARD;

/** No reader may be inside; releases all that is retired. NULL is allowed. */
void kvi_epoch_free(kvi_epoch *e);

kvi_epoch_guard kvi_epoch_enter(kvi_epoch *e);
void kvi_epoch_leave(kvi_epoch *e, kvi_epoch_guard guard);

/** Hands over a thing that is unlinked already, and releases what is due: of others too, so the
 *  caller holds no lock that a release takes. A release may retire other things. */
void kvi_epoch_retire(kvi_epoch *e, kvi_retired *thing, void (*release)(kvi_retired *self));

/** Releases what is due, under the same condition; returns whether something is still waiting, or
 *  being released by another thread. */
bool kvi_epoch_poll(kvi_epoch *e);

#endif
