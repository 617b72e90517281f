/*
 * Epochs: nothing is released under a reader's hands, everything is released in the end.
 */
#include "base/epoch.h"

#include <criterion/criterion.h>

#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>

typedef struct thing {
    kvi_retired retired;
    int released;
} thing;

static void note_release(kvi_retired *self)
{
    KVI_CONTAINER_OF(self, thing, retired)->released++;
}

static kvi_mem mem;
static kvi_epoch *epoch;

static void setup(void)
{
    kvi_mem_init(&mem, NULL);
    epoch = kvi_epoch_new(&mem);
    cr_assert_not_null(epoch);
}

static void teardown(void)
{
    kvi_epoch_free(epoch);
    epoch = NULL;
}

Test(base_epoch, without_readers_it_is_released_at_once, .init = setup, .fini = teardown)
{
    for (int i = 0; i < 100; i++) {
        thing t = {.released = 0};

        kvi_epoch_retire(epoch, &t.retired, note_release);
        cr_assert_eq(t.released, 1, "turn %d", i);
        cr_assert_not(kvi_epoch_poll(epoch));
    }
}

Test(base_epoch, a_reader_holds_it_back, .init = setup, .fini = teardown)
{
    kvi_epoch_guard guard;
    thing t = {.released = 0};

    /* At either parity, whatever phase it is. */
    for (int turn = 0; turn < 8; turn++) {
        t.released = 0;
        guard = kvi_epoch_enter(epoch);
        kvi_epoch_retire(epoch, &t.retired, note_release);
        for (int i = 0; i < 10; i++)
            cr_assert(kvi_epoch_poll(epoch), "still waiting");
        cr_assert_eq(t.released, 0);
        kvi_epoch_leave(epoch, guard);
        cr_assert_eq(t.released, 0, "leaving releases nothing");
        cr_assert_not(kvi_epoch_poll(epoch));
        cr_assert_eq(t.released, 1);
    }
}

Test(base_epoch, every_one_of_several_readers_holds_it_back, .init = setup, .fini = teardown)
{
    kvi_epoch_guard first = kvi_epoch_enter(epoch), second;
    thing a = {.released = 0}, b = {.released = 0};

    kvi_epoch_retire(epoch, &a.retired, note_release);
    second = kvi_epoch_enter(epoch);
    kvi_epoch_retire(epoch, &b.retired, note_release);
    kvi_epoch_leave(epoch, first);
    (void)kvi_epoch_poll(epoch);
    cr_assert_eq(b.released, 0, "the second entered before b was retired");
    kvi_epoch_leave(epoch, second);
    cr_assert_not(kvi_epoch_poll(epoch));
    cr_assert_eq(a.released, 1);
    cr_assert_eq(b.released, 1);
}

/* There is always a reader inside, yet none that stays. */
Test(base_epoch, a_steady_stream_of_readers_does_not_starve_it, .init = setup, .fini = teardown)
{
    enum { TURNS = 1000, BEHIND_MAX = 4 };
    static thing things[TURNS];
    kvi_epoch_guard guard = kvi_epoch_enter(epoch);

    for (int i = 0; i < TURNS; i++) {
        kvi_epoch_guard next;

        things[i].released = 0;
        kvi_epoch_retire(epoch, &things[i].retired, note_release);
        next = kvi_epoch_enter(epoch);
        kvi_epoch_leave(epoch, guard);
        guard = next;
        (void)kvi_epoch_poll(epoch);
        if (i >= BEHIND_MAX)
            cr_assert_eq(things[i - BEHIND_MAX].released, 1, "turn %d", i);
    }
    kvi_epoch_leave(epoch, guard);
    cr_assert_not(kvi_epoch_poll(epoch));
    for (int i = 0; i < TURNS; i++)
        cr_assert_eq(things[i].released, 1);
}

/* Each release retires the next thing: no recursion, however long the chain. */
#define CHAIN 100000
static thing chain[CHAIN];

static void release_and_retire_next(kvi_retired *self)
{
    thing *t = KVI_CONTAINER_OF(self, thing, retired);

    t->released++;
    if (t + 1 < chain + CHAIN)
        kvi_epoch_retire(epoch, &t[1].retired, release_and_retire_next);
}

Test(base_epoch, a_release_may_retire, .init = setup, .fini = teardown)
{
    for (int i = 0; i < CHAIN; i++)
        chain[i].released = 0;
    kvi_epoch_retire(epoch, &chain[0].retired, release_and_retire_next);
    while (kvi_epoch_poll(epoch))
        ;
    for (int i = 0; i < CHAIN; i++)
        cr_assert_eq(chain[i].released, 1, "link %d", i);
}

Test(base_epoch, free_releases_what_waits)
{
    kvi_epoch_guard guard;
    thing t = {.released = 0};

    setup();
    guard = kvi_epoch_enter(epoch);
    kvi_epoch_retire(epoch, &t.retired, note_release);
    kvi_epoch_leave(epoch, guard);
    kvi_epoch_free(epoch);
    cr_assert_eq(t.released, 1);
    kvi_epoch_free(NULL);
}

static void *no_alloc(void *user, size_t bytes)
{
    (void)user;
    (void)bytes;
    return NULL;
}

static void *no_resize(void *user, void *old, size_t bytes)
{
    (void)user;
    (void)old;
    (void)bytes;
    return NULL;
}

static void no_free(void *user, void *old)
{
    (void)user;
    (void)old;
}

Test(base_epoch, without_memory_there_is_none)
{
    kv_allocator host = KV_ALLOCATOR_INIT;
    kvi_mem none;

    host.alloc = no_alloc;
    host.resize = no_resize;
    host.free = no_free;
    kvi_mem_init(&none, &host);
    cr_assert_null(kvi_epoch_new(&none));
}

Test(base_epoch, leaving_twice_is_a_bug, .signal = SIGABRT)
{
    kvi_epoch_guard guard;

    setup();
    guard = kvi_epoch_enter(epoch);
    kvi_epoch_leave(epoch, guard);
    kvi_epoch_leave(epoch, guard);
}

Test(base_epoch, freeing_under_a_reader_is_a_bug, .signal = SIGABRT)
{
    setup();
    (void)kvi_epoch_enter(epoch);
    kvi_epoch_free(epoch);
}

/*
 * Real threads. Writers replace the objects that readers follow; a release poisons what it gets and
 * keeps the memory, so that a reader who was robbed sees poison (and a thread checker a race).
 */
enum { SHARED = 4, READERS = 3, WRITERS = 2, SWAPS = 10000 };
#define LIVE UINT64_C(0x600d600d600d600d)
#define DEAD UINT64_C(0xdeaddeaddeaddead)

typedef struct object {
    kvi_retired retired;
    uint64_t magic;
} object;

typedef struct field {
    _Atomic(object *) shared[SHARED];
    atomic_int released, robbed, writers_left;
    object objects[WRITERS][SWAPS];
    object first[SHARED];
} field;

static field *arena;

static void poison(kvi_retired *self)
{
    object *o = KVI_CONTAINER_OF(self, object, retired);

    if (o->magic != LIVE)
        atomic_fetch_add(&arena->robbed, 1);
    o->magic = DEAD;
    atomic_fetch_add(&arena->released, 1);
}

static void *read_objects(void *arg)
{
    unsigned turn = *(unsigned *)arg;

    while (atomic_load(&arena->writers_left) > 0) {
        kvi_epoch_guard guard = kvi_epoch_enter(epoch);
        const object *o = atomic_load(&arena->shared[turn % SHARED]);

        if (o->magic != LIVE)
            atomic_fetch_add(&arena->robbed, 1);
        if (turn % 8 == 0)
            sched_yield();
        if (o->magic != LIVE)
            atomic_fetch_add(&arena->robbed, 1);
        kvi_epoch_leave(epoch, guard);
        turn++;
    }
    return NULL;
}

static void *swap_objects(void *arg)
{
    unsigned writer = *(unsigned *)arg;

    for (unsigned i = 0; i < SWAPS; i++) {
        object *fresh = &arena->objects[writer][i];
        object *old;

        fresh->magic = LIVE;
        old = atomic_exchange(&arena->shared[i % SHARED], fresh);
        kvi_epoch_retire(epoch, &old->retired, poison);
    }
    atomic_fetch_sub(&arena->writers_left, 1);
    return NULL;
}

Test(base_epoch, readers_are_not_robbed_under_threads, .init = setup)
{
    pthread_t threads[READERS + WRITERS];
    unsigned numbers[READERS + WRITERS];

    arena = calloc(1, sizeof *arena);
    cr_assert_not_null(arena);
    atomic_store(&arena->writers_left, WRITERS);
    for (unsigned i = 0; i < SHARED; i++) {
        arena->first[i].magic = LIVE;
        atomic_store(&arena->shared[i], &arena->first[i]);
    }
    for (unsigned i = 0; i < READERS + WRITERS; i++) {
        numbers[i] = i < WRITERS ? i : i - WRITERS;
        cr_assert_eq(pthread_create(&threads[i], NULL, i < WRITERS ? swap_objects : read_objects,
                                    &numbers[i]),
                     0);
    }
    for (unsigned i = 0; i < READERS + WRITERS; i++)
        cr_assert_eq(pthread_join(threads[i], NULL), 0);
    cr_assert_not(kvi_epoch_poll(epoch), "nothing waits where nobody reads");
    kvi_epoch_free(epoch);
    cr_assert_eq(atomic_load(&arena->robbed), 0);
    cr_assert_eq(atomic_load(&arena->released), WRITERS * SWAPS);
    free(arena);
}
