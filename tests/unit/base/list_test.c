/*
 * The intrusive list.
 */
#include "base/list.h"

#include <criterion/criterion.h>

struct item {
    int value;
    kvi_list link;
};

/* The values of the list as decimal digits. */
static int digits(kvi_list *l)
{
    int n = 0;

    KVI_LIST_EACH(node, l)
        n = n * 10 + KVI_CONTAINER_OF(node, struct item, link)->value;
    return n;
}

Test(base_list, keeps_order)
{
    struct item items[3] = {{.value = 1}, {.value = 2}, {.value = 3}};
    kvi_list l;

    kvi_list_init(&l);
    cr_assert(kvi_list_empty(&l));
    cr_assert_eq(digits(&l), 0);
    for (int i = 0; i < 3; i++)
        kvi_list_push_back(&l, &items[i].link);
    cr_assert_not(kvi_list_empty(&l));
    cr_assert_eq(digits(&l), 123);
    cr_assert(KVI_LIST_FIRST(&l, struct item, link) == &items[0]);
}

Test(base_list, removes_anywhere)
{
    struct item items[3] = {{.value = 1}, {.value = 2}, {.value = 3}};
    kvi_list l;

    kvi_list_init(&l);
    for (int i = 0; i < 3; i++)
        kvi_list_push_back(&l, &items[i].link);
    kvi_list_remove(&items[1].link);
    cr_assert_eq(digits(&l), 13);
    cr_assert(kvi_list_empty(&items[1].link), "points to itself");
    kvi_list_push_back(&l, &items[1].link);
    cr_assert_eq(digits(&l), 132);
    kvi_list_remove(&items[0].link);
    kvi_list_remove(&items[1].link);
    kvi_list_remove(&items[2].link);
    cr_assert(kvi_list_empty(&l));
}

Test(base_list, removing_twice_does_nothing)
{
    struct item one = {.value = 1};
    kvi_list l;

    kvi_list_init(&l);
    kvi_list_push_back(&l, &one.link);
    kvi_list_remove(&one.link);
    kvi_list_remove(&one.link);
    cr_assert(kvi_list_empty(&l));
}
