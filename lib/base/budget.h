/*
 * The memory budget: one figure for a whole store, and who holds how much of it. Thread-safe,
 * lock-free but for reclaim.
 *
 * 1. used is the sum of all consumers' holdings.
 * 2. reserve never lets used pass the limit; what it lacks it first asks of the reclaimer (the
 *    block cache, which gives up what nobody pins). charge always succeeds: for memory that is
 *    there already and must be told (a pinned block).
 * 3. Who reserves or charges releases the same bytes under the same name.
 */
#ifndef KVI_BASE_BUDGET_H
#define KVI_BASE_BUDGET_H

#include <stdatomic.h>

#include "base/base.h"

enum kvi_budget_who {
    KVI_BUDGET_MEMTABLE,
    KVI_BUDGET_CACHE,
    KVI_BUDGET_TABLE,  /* indexes and filters of open tables */
    KVI_BUDGET_WORK,   /* buffers of flush, compaction, recovery, iterators */
    KVI_BUDGET_RESULT, /* lent values */
    KVI_BUDGET_FILE,   /* files of a store in memory */
    KVI_BUDGET_COUNT
};

/** Gives back up to want bytes by releasing them from the budget; returns how many. Must not call
 *  reserve. Any thread. */
typedef size_t kvi_budget_reclaim_fn(void *user, size_t want);

typedef struct kvi_budget {
    size_t limit;
    _Atomic size_t used;
    _Atomic size_t held[KVI_BUDGET_COUNT];
    kvi_budget_reclaim_fn *reclaim; /* set before the budget is shared, or NULL */
    void *reclaim_user;
} kvi_budget;

void kvi_budget_init(kvi_budget *b, size_t limit);

/** Before any other thread knows the budget. */
void kvi_budget_set_reclaim(kvi_budget *b, kvi_budget_reclaim_fn *fn, void *user);

/** KV_OK or KV_ENOMEM (with detail), after asking the reclaimer. */
int kvi_budget_reserve(kvi_budget *b, enum kvi_budget_who who, size_t bytes) KVI_NODISCARD;

/** As reserve without asking the reclaimer: false where there is no room. For the cache itself. */
bool kvi_budget_try(kvi_budget *b, enum kvi_budget_who who, size_t bytes) KVI_NODISCARD;

void kvi_budget_charge(kvi_budget *b, enum kvi_budget_who who, size_t bytes);
void kvi_budget_release(kvi_budget *b, enum kvi_budget_who who, size_t bytes);

static inline size_t kvi_budget_held(const kvi_budget *b, enum kvi_budget_who who)
{
    return atomic_load_explicit(&b->held[who], memory_order_relaxed);
}

#endif
