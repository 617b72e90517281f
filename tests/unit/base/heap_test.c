/*
 * The heap of deadlines: order, stability, removal anywhere, failing memory.
 */
#include "base/heap.h"

#include <criterion/criterion.h>

#include "base/error.h"
#include "support/failmem.h"
#include "support/rng.h"

static kvt_failmem fm;
static kvi_mem mem;
static kvi_heap heap;

typedef struct timer {
    int name;
    kvi_heap_node node;
} timer;

static void set_up(void)
{
    kvt_failmem_init(&fm, &mem);
    kvi_heap_init(&heap, &mem);
}

static void tear_down(void)
{
    kvi_heap_deinit(&heap);
    cr_assert_eq(kvt_failmem_live(&fm), 0);
}

static void push(timer *t, int name, uint64_t key)
{
    t->name = name;
    kvi_heap_node_init(&t->node);
    cr_assert_eq(kvi_heap_push(&heap, &t->node, key), KV_OK);
}

/* The least timer's name; -1 where there is none. */
static int pop(void)
{
    kvi_heap_node *node = kvi_heap_pop(&heap);

    if (!node)
        return -1;
    cr_assert_not(kvi_heap_queued(node));
    return KVI_CONTAINER_OF(node, timer, node)->name;
}

Test(base_heap, empty_has_no_least, .init = set_up, .fini = tear_down)
{
    timer t = {0};

    cr_assert_null(kvi_heap_peek(&heap));
    cr_assert_null(kvi_heap_pop(&heap));
    kvi_heap_remove(&heap, &t.node);
    cr_assert_eq(kvi_heap_count(&heap), 0);
    cr_assert_eq(kvi_heap_reserve(&heap, 0), KV_OK);
    cr_assert_eq(kvt_failmem_calls(&fm), 0);
}

Test(base_heap, the_least_comes_first, .init = set_up, .fini = tear_down)
{
    const uint64_t keys[] = {50, 0, UINT64_MAX, 20, 40, 10, 30};
    const int want[] = {1, 5, 3, 6, 4, 0, 2, -1};
    timer timers[7];

    for (int i = 0; i < 7; i++)
        push(&timers[i], i, keys[i]);
    cr_assert_eq(kvi_heap_count(&heap), 7);
    cr_assert(kvi_heap_peek(&heap) == &timers[1].node);
    for (int i = 0; i < 8; i++)
        cr_assert_eq(pop(), want[i], "at %d", i);
}

Test(base_heap, equals_keep_their_order, .init = set_up, .fini = tear_down)
{
    enum { COUNT = 100 };
    timer timers[COUNT];

    for (int i = 0; i < COUNT; i++)
        push(&timers[i], i, (uint64_t)(i % 2));
    for (int i = 0; i < COUNT; i++)
        cr_assert_eq(pop(), i < COUNT / 2 ? 2 * i : 2 * (i - COUNT / 2) + 1);
}

Test(base_heap, a_change_goes_behind_its_equals, .init = set_up, .fini = tear_down)
{
    timer timers[4];

    for (int i = 0; i < 4; i++)
        push(&timers[i], i, 10);
    kvi_heap_change(&heap, &timers[0].node, 10);
    kvi_heap_change(&heap, &timers[2].node, 5);
    cr_assert_eq(timers[2].node.key, 5);
    cr_assert_eq(pop(), 2);
    cr_assert_eq(pop(), 1);
    kvi_heap_change(&heap, &timers[3].node, 11);
    cr_assert_eq(pop(), 0);
    cr_assert_eq(pop(), 3);
}

/* What is in the heap, least first, by looking at all. */
static timer *least_of(timer *timers, int count)
{
    timer *least = NULL;

    for (int i = 0; i < count; i++) {
        timer *t = &timers[i];

        if (!kvi_heap_queued(&t->node))
            continue;
        if (!least || t->node.key < least->node.key ||
            (t->node.key == least->node.key && t->name < least->name))
            least = t;
    }
    return least;
}

/* One of push, change, remove, pop. A timer's name is the number of the step that queued it, so
 * that names of equals tell their order. */
static void step(timer *timers, int count, int number, kvt_rng *r)
{
    timer *t = &timers[kvt_rng_below(r, (uint64_t)count)];
    uint64_t key = kvt_rng_below(r, 20);

    switch (kvt_rng_below(r, 4)) {
    case 0:
        kvi_heap_remove(&heap, &t->node);
        break;
    case 1:
        t = least_of(timers, count);
        cr_assert_eq(pop(), t ? t->name : -1);
        break;
    default:
        t->name = number;
        if (kvi_heap_queued(&t->node))
            kvi_heap_change(&heap, &t->node, key);
        else
            cr_assert_eq(kvi_heap_push(&heap, &t->node, key), KV_OK);
    }
}

Test(base_heap, does_what_a_search_through_all_does, .init = set_up, .fini = tear_down)
{
    enum { COUNT = 60, STEPS = 20000 };
    timer timers[COUNT] = {{0}};
    timer *least;
    kvt_rng r;

    kvt_rng_init(&r, 1);
    for (int i = 0; i < STEPS; i++) {
        step(timers, COUNT, i, &r);
        least = least_of(timers, COUNT);
        cr_assert(kvi_heap_peek(&heap) == (least ? &least->node : NULL), "step %d", i);
    }
    while ((least = least_of(timers, COUNT)) != NULL)
        cr_assert_eq(pop(), least->name);
    cr_assert_eq(pop(), -1);
}

Test(base_heap, without_memory_it_stays_as_it_was, .init = set_up, .fini = tear_down)
{
    enum { COUNT = 100 };
    timer timers[COUNT];

    for (int i = 0; i < COUNT; i++) {
        int err;

        timers[i].name = i;
        kvi_heap_node_init(&timers[i].node);
        for (size_t n = 0;; n++) {
            kvt_failmem_arm(&fm, n, false);
            err = kvi_heap_push(&heap, &timers[i].node, (uint64_t)(COUNT - i));
            if (!kvt_failmem_disarm(&fm))
                break;
            cr_assert_eq(err, KV_ENOMEM);
            cr_assert(kvi_error_detail()[0] != '\0');
            cr_assert_not(kvi_heap_queued(&timers[i].node));
            cr_assert_eq(kvi_heap_count(&heap), (size_t)i);
        }
        cr_assert_eq(err, KV_OK);
    }
    for (int i = COUNT - 1; i >= 0; i--)
        cr_assert_eq(pop(), i);
}

Test(base_heap, what_is_reserved_or_was_taken_out_cannot_fail, .init = set_up, .fini = tear_down)
{
    timer timers[100];

    cr_assert_eq(kvi_heap_reserve(&heap, 100), KV_OK);
    kvt_failmem_arm(&fm, 0, true);
    for (int round = 0; round < 3; round++) {
        for (int i = 0; i < 100; i++)
            push(&timers[i], i, (uint64_t)i);
        for (int i = 0; i < 100; i++)
            cr_assert_eq(pop(), i);
    }
    cr_assert_not(kvt_failmem_disarm(&fm));
}

Test(base_heap, does_not_grow_beyond_memory, .init = set_up, .fini = tear_down)
{
    timer t;

    push(&t, 1, 1);
    cr_assert_eq(kvi_heap_reserve(&heap, SIZE_MAX), KV_ENOMEM);
    cr_assert_eq(kvi_heap_reserve(&heap, SIZE_MAX / sizeof(void *)), KV_ENOMEM);
    cr_assert_eq(pop(), 1);
}
