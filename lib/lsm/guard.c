/*
 * Guards: how a conditional write knows that nobody wrote to its key between reading it and
 * writing.
 *
 * Keys fall by hash into KVI_LSM_GUARD_SLOTS slots; a slot holds the last sequence reserved for
 * any of its keys. A guard is a slot's number as it was before the key was read, once everything
 * up to it is readable; the write goes through if the number is still the same when it is
 * reserved. Keys that share a slot only make each other try again. (Optimistic concurrency
 * control: Kung, Robinson, "On Optimistic Methods for Concurrency Control", 1981, with slots for
 * read sets.)
 *
 * 1. The slots exist from the first conditional write on; a store that never makes one pays a load
 *    per write.
 * 2. They are made under `write_lock` with the newest reserved sequence in each slot, so that what
 *    was reserved before them is covered.
 */
#include "base/check.h"
#include "base/hash.h"
#include "lsm/engine.h"

#define GUARD_SLOTS 4096u /* a power of two */

struct kvi_lsm_guards {
    _Atomic uint64_t last[GUARD_SLOTS];
};

static uint32_t slot_of(const kvi_lsm *l, kvi_slice key)
{
    return (uint32_t)(kvi_hash64(key.data, key.len, l->sst.filter_seed) & (GUARD_SLOTS - 1));
}

static int guards_make(kvi_lsm *l)
{
    struct kvi_lsm_guards *g = kvi_mem_alloc(l->mem, sizeof *g);

    if (!g)
        return kvi_error_set(KV_ENOMEM, "no memory for conditional writes");
    kvi_os_mutex_lock(&l->write_lock);
    if (!atomic_load(&l->guards)) {
        for (uint32_t i = 0; i < GUARD_SLOTS; i++)
            atomic_init(&g->last[i], l->next_seq - 1);
        atomic_store(&l->guards, g);
        g = NULL;
    }
    kvi_os_mutex_unlock(&l->write_lock);
    kvi_mem_free(l->mem, g);
    return KV_OK;
}

int kvi_lsm_guard_take(kvi_lsm *l, kvi_slice key, kvi_lsm_guard *out)
{
    struct kvi_lsm_guards *g = atomic_load(&l->guards);
    uint32_t slot = slot_of(l, key);
    uint64_t seen;

    if (!g) {
        int r = guards_make(l);

        if (r < 0)
            return r;
        g = atomic_load(&l->guards);
    }
    seen = atomic_load(&g->last[slot]);
    if (seen > atomic_load(&l->published)) {
        int r = kvi_lsm_check_broken(l); /* a write that broke the log is never published */

        return r < 0 ? r : KVI_AGAIN;
    }
    out->slot = slot;
    out->seen = seen;
    return KV_OK;
}

bool kvi_lsm_guard_holds(const kvi_lsm *l, const kvi_lsm_write *w)
{
    struct kvi_lsm_guards *g = atomic_load(&l->guards);

    if (!w->guarded)
        return true;
    KVI_ASSERT(g && w->guard.slot < GUARD_SLOTS);
    return atomic_load(&g->last[w->guard.slot]) == w->guard.seen;
}

void kvi_lsm_guard_note(kvi_lsm *l, const kvi_lsm_write *w)
{
    struct kvi_lsm_guards *g = atomic_load_explicit(&l->guards, memory_order_relaxed);

    if (KVI_LIKELY(!g))
        return;
    for (uint32_t i = 0; i < w->count; i++)
        atomic_store(&g->last[slot_of(l, w->ops[i].key)], w->last_seq);
}

void kvi_lsm_guards_free(kvi_lsm *l)
{
    kvi_mem_free(l->mem, atomic_load(&l->guards));
    atomic_store(&l->guards, NULL);
}
