/*
 * The table of members: found by id through growth and drops, digest sums, what is told next.
 */
#include <criterion/criterion.h>

#include "gossip/table.h"
#include "support/failmem.h"
#include "support/rng.h"

static kvi_gossip_slot *add(kvi_gossip_table *t, uint64_t node)
{
    kvi_gossip_slot *s;

    cr_assert_eq(kvi_gossip_table_add(t, node, node * 7, &s), KV_OK);
    return s;
}

/* Random adds and drops against an array of flags. */
Test(gossip_table, finds_what_is_there)
{
    enum { NODES = 300 };
    bool there[NODES + 1] = {false};
    kvi_gossip_table t;
    kvi_mem mem;
    kvt_rng rng;

    kvi_mem_init(&mem, NULL);
    kvt_rng_init(&rng, 1);
    kvi_gossip_table_init(&t, &mem, 42);
    for (int step = 0; step < 5000; step++) {
        uint64_t node = 1 + kvt_rng_below(&rng, NODES);
        kvi_gossip_slot *s = kvi_gossip_table_find(&t, node);

        cr_assert_eq(s != NULL, there[node], "step %d", step);
        if (s)
            kvi_gossip_table_drop(&t, s);
        else
            (void)add(&t, node);
        there[node] = !there[node];
    }
    for (uint32_t i = 1; i < t.count; i++)
        cr_assert(t.slots[t.by_id[i - 1]].node < t.slots[t.by_id[i]].node);
    /* Each is once in the order of probes. */
    for (uint32_t i = 0; i < t.count; i++) {
        uint32_t times = 0;

        for (uint32_t j = 0; j < t.count; j++)
            times += t.order[j] == t.by_id[i];
        cr_assert_eq(times, 1);
    }
    kvi_gossip_table_deinit(&t);
}

Test(gossip_table, sums_depend_on_what_is_known_alone)
{
    kvi_gossip_table a, b;
    kvi_mem mem;

    kvi_mem_init(&mem, NULL);
    kvi_gossip_table_init(&a, &mem, 1);
    kvi_gossip_table_init(&b, &mem, 2);
    for (uint64_t i = 1; i <= 100; i++) {
        kvi_gossip_slot *x = add(&a, i), *y = add(&b, 101 - i);

        x->open_id = i;
        y->open_id = 101 - i;
        kvi_gossip_table_set_state(&a, x, KVI_GOSSIP_ALIVE);
        kvi_gossip_table_set_state(&b, y, KVI_GOSSIP_ALIVE);
        kvi_gossip_table_resum(&a, x);
        kvi_gossip_table_resum(&b, y);
    }
    cr_assert_eq(memcmp(a.sums, b.sums, sizeof a.sums), 0);
    /* A dead stranger counts as one who is not known. */
    kvi_gossip_table_set_state(&a, kvi_gossip_table_find(&a, 7), KVI_GOSSIP_DEAD);
    kvi_gossip_table_resum(&a, kvi_gossip_table_find(&a, 7));
    cr_assert_neq(memcmp(a.sums, b.sums, sizeof a.sums), 0);
    kvi_gossip_table_drop(&b, kvi_gossip_table_find(&b, 7));
    cr_assert_eq(memcmp(a.sums, b.sums, sizeof a.sums), 0);
    cr_assert(a.alive == 99 && b.alive == 99);
    kvi_gossip_table_deinit(&a);
    kvi_gossip_table_deinit(&b);
}

Test(gossip_table, newest_and_least_told_comes_first)
{
    kvi_gossip_table t;
    kvi_gossip_slot *s;
    kvi_mem mem;

    kvi_mem_init(&mem, NULL);
    kvi_gossip_table_init(&t, &mem, 1);
    for (uint64_t i = 1; i <= 3; i++)
        (void)add(&t, i);
    for (uint64_t i = 1; i <= 3; i++)
        kvi_gossip_table_queue(&t, kvi_gossip_table_find(&t, i), 0);
    s = kvi_gossip_table_unqueue(&t);
    cr_assert_eq(s->node, 3);
    s->tells++;
    kvi_gossip_table_requeue(&t, s, 2);
    cr_assert_eq(kvi_gossip_table_unqueue(&t)->node, 2);
    cr_assert_eq(kvi_gossip_table_unqueue(&t)->node, 1);
    s = kvi_gossip_table_unqueue(&t);
    cr_assert_eq(s->node, 3);
    s->tells++;
    kvi_gossip_table_requeue(&t, s, 2);
    cr_assert_null(kvi_gossip_table_unqueue(&t), "told often enough");
    kvi_gossip_table_deinit(&t);
}

Test(gossip_table, survives_lack_of_memory_and_of_room)
{
    kvt_failmem fm;
    kvi_gossip_table t;
    kvi_gossip_slot *s;
    kvi_mem mem;

    kvt_failmem_init(&fm, &mem);
    kvi_gossip_table_init(&t, &mem, 1);
    for (uint64_t i = 1; i <= 40; i++) {
        for (size_t n = 0;; n++) {
            int r;

            kvt_failmem_arm(&fm, n, false);
            r = kvi_gossip_table_add(&t, i, 0, &s);
            if (!kvt_failmem_disarm(&fm)) {
                cr_assert_eq(r, KV_OK);
                break;
            }
            cr_assert_eq(r, KV_ENOMEM);
            cr_assert_eq(t.count, i - 1);
        }
        for (uint64_t j = 1; j <= i; j++)
            cr_assert_not_null(kvi_gossip_table_find(&t, j));
    }
    for (uint64_t i = 41; i <= KVI_GOSSIP_MEMBERS_MAX; i++)
        (void)add(&t, i);
    cr_assert_eq(kvi_gossip_table_add(&t, KVI_GOSSIP_MEMBERS_MAX + 1, 0, &s), KV_EBUSY);
    kvi_gossip_table_deinit(&t);
    cr_assert_eq(kvt_failmem_live(&fm), 0);
}
