/*
 * Epochs by counters; see the header for the contract.
 *
 * Why it is safe. Take a thing X that was unlinked by a seq_cst store, and a reader that found X.
 * Its load of the pointer comes before the unlinking store in the single total order of seq_cst
 * operations, and its increment comes before its load. We look at the counters after the unlinking,
 * so we see that increment until the reader has left: a counter that is zero at one look after the
 * unlinking holds no reader of X, whatever else went in and out meanwhile. Once *each* counter was
 * zero at such a look, X is nobody's. (Our load of zero also reads from the release sequence of
 * every decrement, so that all the reader did happens before the release.)
 *
 * Nothing in that depends on which of the two counters of its slot a reader chose. The parity
 * serves progress alone: under a steady stream of readers one counter would never be seen at zero,
 * so readers are sent to one of them while the other drains. A reader that was delayed between
 * loading the parity and its increment lands on the draining one: that is one look more for us, and
 * the next time it reads the new parity.
 *
 * Phases. The poller stamps things with the phase, then looks at all counters of the idle parity,
 * and where all are zero steps to the next phase, which swaps the parities. All of it is done under
 * `polling`, so the looks of a step are made after the stamping: two steps after its stamp, all
 * counters of both parities were seen at zero.
 *
 * `polling` is only ever tried, never waited for: who finds it taken leaves its things to the owner
 * or to the next call. It stays taken while things are released, so a release that retires again
 * does not recurse.
 */
#include "base/epoch.h"

#include <stdatomic.h>

#include "base/check.h"
#include "base/error.h"
#include "base/hash.h"

/* Steps that make a thing due. */
#define EPOCH_GRACE_STEPS 2

/* How often one poll starts over for what was retired while it released. */
#define EPOCH_POLL_ROUNDS 4

/* On a line of its own, so that readers on different slots share nothing. */
typedef struct epoch_slot {
    _Alignas(KVI_CACHE_LINE) _Atomic uint32_t inside[2];
} epoch_slot;

struct kvi_epoch {
    epoch_slot slots[KVI_EPOCH_SLOTS];
    /* Where readers enter: phase & 1. */
    _Alignas(KVI_CACHE_LINE) _Atomic uint32_t parity;
    /* A stack of what was retired, pushed by anyone, taken as a whole. */
    _Alignas(KVI_CACHE_LINE) _Atomic(kvi_retired *) incoming;
    _Atomic size_t unreleased; /* retired, and release has not returned */
    atomic_flag polling;
    /* Under polling: */
    uint64_t phase;
    kvi_retired *waiting;       /* stamped; the oldest first */
    kvi_retired **waiting_tail; /* the link that ends it */
    const kvi_mem *mem;
};

kvi_epoch *kvi_epoch_new(const kvi_mem *mem)
{
    kvi_epoch *e = kvi_mem_zalloc_aligned(mem, sizeof *e);

    if (!e)
        return NULL;
    for (int i = 0; i < KVI_EPOCH_SLOTS; i++) {
        atomic_init(&e->slots[i].inside[0], 0);
        atomic_init(&e->slots[i].inside[1], 0);
    }
    atomic_init(&e->parity, 0);
    atomic_init(&e->incoming, NULL);
    atomic_init(&e->unreleased, 0);
    atomic_flag_clear(&e->polling);
    e->waiting_tail = &e->waiting;
    e->mem = mem;
    return e;
}

/* Threads are told apart by where their thread-local storage lies: here, their error detail. */
static uint32_t slot_of_this_thread(void)
{
    return (uint32_t)(kvi_mix64((uintptr_t)kvi_error_detail()) % KVI_EPOCH_SLOTS);
}

kvi_epoch_guard kvi_epoch_enter(kvi_epoch *e)
{
    kvi_epoch_guard guard = {slot_of_this_thread(), atomic_load(&e->parity)};

    atomic_fetch_add(&e->slots[guard.slot].inside[guard.parity], 1);
    return guard;
}

void kvi_epoch_leave(kvi_epoch *e, kvi_epoch_guard guard)
{
    uint32_t before = atomic_fetch_sub(&e->slots[guard.slot].inside[guard.parity], 1);

    KVI_ASSERT(before > 0);
}

static bool drained(kvi_epoch *e, uint32_t parity)
{
    for (int i = 0; i < KVI_EPOCH_SLOTS; i++)
        if (atomic_load(&e->slots[i].inside[parity]) != 0)
            return false;
    return true;
}

/* Moves what came in to the end of the waiting ones. */
static void stamp_incoming(kvi_epoch *e)
{
    kvi_retired *thing = atomic_exchange(&e->incoming, NULL);

    while (thing) {
        kvi_retired *next = thing->next;

        thing->stamp = e->phase;
        thing->next = NULL;
        *e->waiting_tail = thing;
        e->waiting_tail = &thing->next;
        thing = next;
    }
}

/* Cuts off what is due. Stamps rise along the list, so it is the front. */
static kvi_retired *take_due(kvi_epoch *e)
{
    kvi_retired **cut = &e->waiting;
    kvi_retired *due, *rest;

    while (*cut && e->phase - (*cut)->stamp >= EPOCH_GRACE_STEPS)
        cut = &(*cut)->next;
    rest = *cut;
    *cut = NULL;
    due = e->waiting;
    e->waiting = rest;
    if (!rest)
        e->waiting_tail = &e->waiting;
    return due;
}

static void release_all(kvi_epoch *e, kvi_retired *thing)
{
    while (thing) {
        kvi_retired *next = thing->next;

        thing->release(thing);
        atomic_fetch_sub(&e->unreleased, 1);
        thing = next;
    }
}

/* One round under `polling`: whether anything was released. */
static bool poll_round(kvi_epoch *e)
{
    kvi_retired *due;

    stamp_incoming(e);
    for (int step = 0; step < EPOCH_GRACE_STEPS; step++) {
        if (!e->waiting || !drained(e, (e->phase + 1) & 1))
            break;
        e->phase++;
        atomic_store(&e->parity, (uint32_t)(e->phase & 1));
    }
    due = take_due(e);
    release_all(e, due);
    return due != NULL;
}

bool kvi_epoch_poll(kvi_epoch *e)
{
    if (atomic_load(&e->unreleased) == 0)
        return false;
    if (!atomic_flag_test_and_set(&e->polling)) {
        for (int round = 0; round < EPOCH_POLL_ROUNDS; round++)
            if (!poll_round(e))
                break;
        atomic_flag_clear(&e->polling);
    }
    return atomic_load(&e->unreleased) != 0;
}

void kvi_epoch_retire(kvi_epoch *e, kvi_retired *thing, void (*release)(kvi_retired *self))
{
    KVI_ASSERT(release);
    thing->release = release;
    atomic_fetch_add(&e->unreleased, 1);
    thing->next = atomic_load(&e->incoming);
    while (!atomic_compare_exchange_weak(&e->incoming, &thing->next, thing))
        ;
    (void)kvi_epoch_poll(e);
}

void kvi_epoch_free(kvi_epoch *e)
{
    if (!e)
        return;
    KVI_ASSERT(drained(e, 0) && drained(e, 1));
    while (kvi_epoch_poll(e))
        ;
    kvi_mem_free_aligned(e->mem, e);
}
