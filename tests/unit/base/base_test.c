/*
 * The small arithmetic of base.h.
 */
#include "base/base.h"

#include <criterion/criterion.h>

struct outer {
    char before;
    int member;
};

Test(base_base, container_of_finds_the_struct)
{
    struct outer o = {'x', 7};
    int *inner = &o.member;

    cr_assert(KVI_CONTAINER_OF(inner, struct outer, member) == &o);
}

Test(base_base, min_and_max)
{
    cr_assert_eq(kvi_min_size(3, 5), 3);
    cr_assert_eq(kvi_min_size(5, 3), 3);
    cr_assert_eq(kvi_max_size(3, 5), 5);
    cr_assert_eq(kvi_max_size(5, 3), 5);
    cr_assert(kvi_min_u64(UINT64_MAX, 1) == 1);
    cr_assert(kvi_max_u64(UINT64_MAX, 1) == UINT64_MAX);
}

Test(base_base, align_up)
{
    cr_assert(kvi_align_up(0, 8) == 0);
    cr_assert(kvi_align_up(1, 8) == 8);
    cr_assert(kvi_align_up(8, 8) == 8);
    cr_assert(kvi_align_up(9, 8) == 16);
    cr_assert(kvi_align_up(UINT64_C(0x100000001), 4096) == UINT64_C(0x100001000));
    cr_assert(kvi_align_up(5, 1) == 5);
}
