/* The order in which S3-FIFO lets blocks go, block by block. */
#include <criterion/criterion.h>
#include <string.h>

#include "sstable/cache_policy.h"
#include "support/failmem.h"

#define BLOCKS 64u
#define SIZE   100u

static kvt_failmem failmem;
static kvi_mem mem;
static kvi_sst_policy policy;
static kvi_sst_block blocks[BLOCKS];

static void setup(void)
{
    kvt_failmem_init(&failmem, &mem);
    kvi_sst_policy_init(&policy);
    cr_assert(kvi_sst_policy_resize(&policy, &mem, BLOCKS) >= BLOCKS * sizeof(kvi_sst_ghost));
    memset(blocks, 0, sizeof blocks);
    for (unsigned i = 0; i < BLOCKS; i++) {
        blocks[i].charged = SIZE;
        blocks[i].node.offset = i;
        atomic_init(&blocks[i].refs, 1);
        kvi_list_init(&blocks[i].node.queue);
    }
}

static void teardown(void)
{
    while (kvi_sst_policy_victim(&policy))
        continue;
    kvi_sst_policy_deinit(&policy, &mem);
    cr_assert_eq(kvt_failmem_live(&failmem), 0);
}

static void admit(unsigned i)
{
    kvi_sst_policy_admit(&policy, &blocks[i], kvi_sst_policy_hash(0, i));
}

static void hit(unsigned i, unsigned times)
{
    for (; times > 0; times--)
        kvi_sst_policy_hit(&blocks[i]);
}

static int victim(void)
{
    kvi_sst_block *b = kvi_sst_policy_victim(&policy);

    return b ? (int)b->node.offset : -1;
}

Test(cache_policy, lets_newcomers_go_in_order, .init = setup, .fini = teardown)
{
    for (unsigned i = 0; i < 10; i++)
        admit(i);
    hit(3, 1); /* once is not enough to stay */
    for (int i = 0; i < 10; i++)
        cr_assert_eq(victim(), i);
    cr_assert_eq(victim(), -1);
    cr_assert_eq(policy.count, 0);
}

Test(cache_policy, moves_what_was_asked_twice_to_main, .init = setup, .fini = teardown)
{
    for (unsigned i = 0; i < 10; i++)
        admit(i);
    hit(0, 2);
    hit(4, 9);
    cr_assert_eq(victim(), 1);
    cr_assert(blocks[0].node.in_main);
    cr_assert_eq(policy.main_bytes, SIZE);
    for (int i = 2; i < 10; i++) {
        if (i != 4)
            cr_assert_eq(victim(), i);
    }
    cr_assert_eq(victim(), 0);
    cr_assert_eq(victim(), 4);
}

Test(cache_policy, takes_back_a_fresh_ghost_into_main, .init = setup, .fini = teardown)
{
    for (unsigned i = 0; i < 10; i++)
        admit(i);
    cr_assert_eq(victim(), 0);
    admit(0);
    cr_assert(blocks[0].node.in_main);
    kvi_sst_policy_remove(&policy, &blocks[0]); /* not by eviction: no ghost */
    admit(0);
    cr_assert(!blocks[0].node.in_main);
}

Test(cache_policy, forgets_old_ghosts, .init = setup, .fini = teardown)
{
    for (unsigned i = 0; i < 10; i++)
        admit(i);
    cr_assert_eq(victim(), 0);
    for (unsigned i = 10; i < 40; i++) {
        admit(i);
        (void)victim();
    }
    admit(0);
    cr_assert(!blocks[0].node.in_main);
}

Test(cache_policy, goes_round_main_by_what_was_asked, .init = setup, .fini = teardown)
{
    for (unsigned i = 0; i < 4; i++) {
        admit(i);
        hit(i, 2);
    }
    admit(4);
    cr_assert_eq(victim(), 4); /* all others are in main now */
    hit(0, 1);
    hit(1, 3);
    cr_assert_eq(victim(), 2);
    cr_assert_eq(victim(), 3);
    cr_assert_eq(victim(), 0);
    cr_assert_eq(victim(), 1);
}

Test(cache_policy, takes_from_main_while_small_is_small, .init = setup, .fini = teardown)
{
    for (unsigned i = 0; i < 30; i++) {
        admit(i);
        hit(i, 2);
    }
    admit(30);
    cr_assert_eq(victim(), 0); /* 28, 29 and 30 are left in small: less than a tenth of 31 */
    cr_assert_eq(victim(), 1); /* a tenth of 30: 28 moves to main, which gives way then */
    cr_assert(blocks[28].node.in_main && !blocks[29].node.in_main);
    for (unsigned i = 31; i < 34; i++)
        admit(i);
    cr_assert_eq(victim(), 30); /* 29 moved on; 30 to 33 are more than a tenth of 32 */
    cr_assert(blocks[29].node.in_main);
}

Test(cache_policy, passes_over_what_readers_hold, .init = setup, .fini = teardown)
{
    for (unsigned i = 0; i < 4; i++)
        admit(i);
    for (unsigned i = 0; i < 3; i++)
        atomic_store(&blocks[i].refs, 2);
    cr_assert_eq(victim(), 3);
    cr_assert_eq(victim(), -1);
    cr_assert_eq(policy.count, 3);
    for (unsigned i = 0; i < 3; i++)
        atomic_store(&blocks[i].refs, 1);
    cr_assert_eq(victim(), 0);
}

Test(cache_policy, works_without_ghosts, .init = setup, .fini = teardown)
{
    kvi_sst_policy bare;

    kvi_sst_policy_init(&bare);
    kvt_failmem_arm(&failmem, 0, true);
    cr_assert_eq(kvi_sst_policy_resize(&bare, &mem, BLOCKS), 0);
    cr_assert(kvt_failmem_disarm(&failmem));
    kvi_sst_policy_admit(&bare, &blocks[0], kvi_sst_policy_hash(0, 0));
    cr_assert_eq(kvi_sst_policy_victim(&bare), &blocks[0]);
    kvi_sst_policy_admit(&bare, &blocks[0], kvi_sst_policy_hash(0, 0));
    cr_assert(!blocks[0].node.in_main);
    cr_assert_eq(kvi_sst_policy_victim(&bare), &blocks[0]);
    kvi_sst_policy_deinit(&bare, &mem);
}
