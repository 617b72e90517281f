/* lib/sim/sim_alloc.c */
#include <criterion/criterion.h>

#include "sim/sim_alloc.h"

static kvi_mem plain, mem;
static kvi_sim_alloc a;

static void setup(void)
{
    kvi_mem_init(&plain, NULL);
    kvi_sim_alloc_init(&a, &plain);
    kvi_mem_init(&mem, &a.host);
}

Test(sim_alloc, knows_what_is_outstanding, .init = setup)
{
    void *p = kvi_mem_alloc(&mem, 10), *q = kvi_mem_alloc(&mem, 20);

    cr_assert(p && q);
    cr_assert_eq(a.blocks, 2);
    cr_assert_eq(a.bytes, 30);
    p = kvi_mem_resize(&mem, p, 100);
    cr_assert_eq(a.blocks, 2);
    cr_assert_eq(a.bytes, 120);
    kvi_mem_free(&mem, p);
    kvi_mem_free(&mem, q);
    kvi_mem_free(&mem, NULL);
    cr_assert_eq(a.blocks, 0);
    cr_assert_eq(a.bytes, 0);
    cr_assert_eq(a.calls, 3);
}

Test(sim_alloc, memory_is_aligned_and_not_zero, .init = setup)
{
    unsigned char *p = kvi_mem_alloc(&mem, 33);

    cr_assert_eq((uintptr_t)p % _Alignof(max_align_t), 0);
    for (size_t i = 0; i < 33; i++)
        cr_assert_neq(p[i], 0);
    kvi_mem_free(&mem, p);
}

Test(sim_alloc, a_resize_keeps_the_bytes_and_moves, .init = setup)
{
    char *p = kvi_mem_dup(&mem, "hello", 6), *q = kvi_mem_resize(&mem, p, 1000);

    cr_assert_str_eq(q, "hello");
    q = kvi_mem_resize(&mem, q, 3);
    cr_assert_arr_eq(q, "hel", 3);
    kvi_mem_free(&mem, q);
    p = kvi_mem_resize(&mem, NULL, 5);
    cr_assert_not_null(p);
    kvi_mem_free(&mem, p);
}

Test(sim_alloc, the_call_that_is_named_fails_once, .init = setup)
{
    void *p, *q;

    kvi_sim_alloc_reset(&a, 1, false);
    p = kvi_mem_alloc(&mem, 1);
    cr_assert_not_null(p);
    q = kvi_mem_resize(&mem, p, 2);
    cr_assert_null(q); /* and p is as it was */
    q = kvi_mem_alloc(&mem, 1);
    cr_assert_not_null(q);
    cr_assert_eq(a.failed, 1);
    cr_assert_eq(a.calls, 3);
    kvi_mem_free(&mem, p);
    kvi_mem_free(&mem, q);
    cr_assert_eq(a.blocks, 0);
}

Test(sim_alloc, or_all_from_it_on, .init = setup)
{
    void *p;

    kvi_sim_alloc_reset(&a, 1, true);
    p = kvi_mem_alloc(&mem, 1);
    cr_assert_not_null(p);
    for (int i = 0; i < 5; i++)
        cr_assert_null(kvi_mem_alloc(&mem, 1));
    kvi_sim_alloc_reset(&a, KVI_SIM_ALLOC_NEVER, true);
    p = kvi_mem_resize(&mem, p, 2);
    cr_assert_not_null(p);
    kvi_mem_free(&mem, p);
}

Test(sim_alloc, a_size_that_cannot_be_is_refused, .init = setup)
{
    cr_assert_null(kvi_mem_alloc(&mem, SIZE_MAX));
    cr_assert_eq(a.blocks, 0);
}
