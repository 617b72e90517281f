/*
 * The memory budget; see the header for the contract.
 *
 * A figure is never ahead of used: reserving adds to used first, releasing subtracts from held
 * first. So used >= the sum of held at every moment, and equal to it when nobody is in between.
 */
#include "base/budget.h"

#include "base/check.h"
#include "base/error.h"

/* How often reserve asks the reclaimer: others may take what it gave back before we do. */
#define BUDGET_RECLAIM_ROUNDS 8

void kvi_budget_init(kvi_budget *b, size_t limit)
{
    b->limit = limit;
    atomic_init(&b->used, 0);
    for (int i = 0; i < KVI_BUDGET_COUNT; i++)
        atomic_init(&b->held[i], 0);
    b->reclaim = NULL;
    b->reclaim_user = NULL;
}

void kvi_budget_set_reclaim(kvi_budget *b, kvi_budget_reclaim_fn *fn, void *user)
{
    b->reclaim = fn;
    b->reclaim_user = user;
}

bool kvi_budget_try(kvi_budget *b, enum kvi_budget_who who, size_t bytes)
{
    size_t used = atomic_load_explicit(&b->used, memory_order_relaxed);

    KVI_ASSERT(who < KVI_BUDGET_COUNT);
    do {
        if (used > b->limit || bytes > b->limit - used)
            return false;
    } while (!atomic_compare_exchange_weak_explicit(&b->used, &used, used + bytes,
                                                    memory_order_relaxed, memory_order_relaxed));
    atomic_fetch_add_explicit(&b->held[who], bytes, memory_order_relaxed);
    return true;
}

/* How much must be given back before bytes fit; bytes <= limit. */
static size_t shortfall(const kvi_budget *b, size_t bytes)
{
    size_t used = atomic_load_explicit(&b->used, memory_order_relaxed);
    size_t room = b->limit - bytes;

    return used > room ? used - room : 0;
}

int kvi_budget_reserve(kvi_budget *b, enum kvi_budget_who who, size_t bytes)
{
    if (kvi_budget_try(b, who, bytes))
        return KV_OK;
    for (int round = 0; b->reclaim && bytes <= b->limit && round < BUDGET_RECLAIM_ROUNDS; round++) {
        size_t missing = shortfall(b, bytes);
        bool given = missing == 0 || b->reclaim(b->reclaim_user, missing) > 0;

        if (kvi_budget_try(b, who, bytes))
            return KV_OK;
        if (!given)
            break;
    }
    return kvi_error_set(KV_ENOMEM, "the memory budget of %zu bytes has no room for %zu more",
                         b->limit, bytes);
}

void kvi_budget_charge(kvi_budget *b, enum kvi_budget_who who, size_t bytes)
{
    size_t used = atomic_fetch_add_explicit(&b->used, bytes, memory_order_relaxed);

    KVI_ASSERT(used <= SIZE_MAX - bytes);
    atomic_fetch_add_explicit(&b->held[who], bytes, memory_order_relaxed);
}

void kvi_budget_release(kvi_budget *b, enum kvi_budget_who who, size_t bytes)
{
    size_t held = atomic_fetch_sub_explicit(&b->held[who], bytes, memory_order_relaxed);
    size_t used = atomic_fetch_sub_explicit(&b->used, bytes, memory_order_relaxed);

    KVI_ASSERT(held >= bytes);
    KVI_ASSERT(used >= bytes);
}
