/*
 * lib/ring/assign.c: loads, movement and distinctness while rings grow and shrink, and that the
 * same changes give the same documents everywhere.
 */
#include "support/rng.h"
#include "unit/ring/rings.h"

static kvi_mem mem;

static void setup(void)
{
    kvi_mem_init(&mem, NULL);
}

#define RULE_TEST(name) Test(ring_assign, name, .init = setup)

/* Replica loads with so few members cannot be as even as later. */
static unsigned replica_limit(unsigned members)
{
    return members == 4 || members == 5 ? 1150 : 1100;
}

static void check_loads(const kvi_ring *ring, unsigned members, unsigned n)
{
    cr_assert_leq(top_load(ring, 1), 1100, "primaries of %u: %u", members, top_load(ring, 1));
    cr_assert_leq(top_load(ring, n), replica_limit(members), "replicas of %u: %u", members,
                  top_load(ring, n));
}

/* A join moves the newcomer's share and nothing else. */
static void join_checked(kvi_ring **ring, unsigned i, unsigned zones)
{
    char texts[2][32];
    kvi_ring_member m = member(i, zones, texts);
    uint32_t q = partitions_of(*ring), count;
    kvi_ring *made = NULL;

    OK(kvi_ring_join(*ring, &m, &made));
    count = moved(*ring, made);
    cr_assert_leq(count * (i + 1), q + q / 10, "%u: %u moved", i + 1, count);
    for (uint32_t p = 0; p < q; p++)
        if (kvi_ring_owner(*ring, p) != kvi_ring_owner(made, p))
            cr_assert_eq(kvi_ring_owner(made, p), m.node_id);
    replace(ring, made);
}

/* A leave moves the leaver's partitions and nothing else. */
static void leave_checked(kvi_ring **ring, unsigned i)
{
    kvi_ring *made = NULL;

    OK(kvi_ring_leave(*ring, id_of(i), &made));
    for (uint32_t p = 0; p < partitions_of(*ring); p++)
        if (kvi_ring_owner(*ring, p) != kvi_ring_owner(made, p))
            cr_assert_eq(kvi_ring_owner(*ring, p), id_of(i));
    replace(ring, made);
}

static void grow_and_shrink(unsigned n, unsigned members)
{
    kvi_ring *ring = ring_of(&mem, 10, n, 3, 1);

    for (unsigned i = 3; i < members; i++) {
        join_checked(&ring, i, 1);
        check_loads(ring, i + 1, n);
    }
    for (unsigned i = members; i-- > 3;) {
        leave_checked(&ring, i);
        check_loads(ring, i, n);
    }
    kvi_ring_free(ring);
}

RULE_TEST(loads_stay_even_from_3_to_64_and_back)
{
    grow_and_shrink(3, 64);
}

RULE_TEST(loads_stay_even_with_two_and_with_five_replicas)
{
    grow_and_shrink(2, 40);
    grow_and_shrink(5, 40);
}

RULE_TEST(loads_stay_even_up_to_1000_members)
{
    kvi_ring *ring = ring_of(&mem, 14, 3, 3, 1);

    for (unsigned i = 3; i < 1000; i++) {
        if (i % 37 != 0 && i != 999) {
            join(&ring, i, 1);
            continue;
        }
        join_checked(&ring, i, 1);
        check_loads(ring, i + 1, 3);
    }
    for (unsigned i = 1000; i-- > 990;)
        leave_checked(&ring, i);
    check_loads(ring, 990, 3);
    kvi_ring_free(ring);
}

/* Members come and go in any order: what they leave behind is as even as growth alone. */
RULE_TEST(loads_stay_even_under_churn)
{
    kvi_ring *ring = ring_of(&mem, 10, 3, 8, 1);
    bool there[40] = {true, true, true, true, true, true, true, true};
    unsigned members = 8;
    kvt_rng rng;

    kvt_rng_init(&rng, kvt_env_u64("SEED", 1));
    for (int step = 0; step < 300; step++) {
        unsigned i = 1 + (unsigned)kvt_rng_below(&rng, 39);

        if (there[i] && members == 6)
            continue;
        if (there[i])
            leave_checked(&ring, i);
        else
            join(&ring, i, 1);
        members = there[i] ? members - 1 : members + 1;
        there[i] = !there[i];
        check_loads(ring, members, 3);
    }
    kvi_ring_free(ring);
}

RULE_TEST(any_three_partitions_in_a_row_have_three_owners)
{
    kvi_ring *ring = ring_of(&mem, 10, 3, 5, 1);
    uint32_t q = partitions_of(ring);

    for (unsigned i = 5; i < 64; i++) {
        join(&ring, i, 1);
        for (uint32_t p = 0; p < q && i > 10; p++) {
            uint64_t a = kvi_ring_owner(ring, p), b = kvi_ring_owner(ring, (p + 1) % q);
            uint64_t c = kvi_ring_owner(ring, (p + 2) % q);

            cr_assert(a != b && b != c && a != c, "%u members, partition %u", i + 1, p);
        }
    }
    kvi_ring_free(ring);
}

RULE_TEST(loads_follow_weights)
{
    static const uint16_t weights[] = {100, 200, 50, 100, 400, 25, 300, 100};
    unsigned count = sizeof weights / sizeof weights[0];
    kvi_ring *ring = ring_of(&mem, 12, 3, 1, 1);
    uint32_t q = partitions_of(ring), sum = 0;

    for (unsigned i = 1; i < count; i++) {
        char texts[2][32];
        kvi_ring_member m = member(i, 1, texts);
        kvi_ring *made = NULL;

        m.weight = weights[i];
        OK(kvi_ring_join(ring, &m, &made));
        replace(&ring, made);
    }
    for (unsigned i = 0; i < count; i++)
        sum += weights[i];
    for (unsigned i = 0; i < count; i++) {
        uint32_t owned = 0, ideal = q * weights[i] / sum;

        for (uint32_t p = 0; p < q; p++)
            owned += kvi_ring_owner(ring, p) == id_of(i);
        cr_assert(owned * 100 >= ideal * 85 && owned * 100 <= ideal * 115,
                  "weight %u: %u partitions, %u ideal", weights[i], owned, ideal);
    }
    kvi_ring_free(ring);
}

/* Three zones of as many members each: replica loads are even, though every list has all zones. */
RULE_TEST(loads_stay_even_over_three_zones)
{
    kvi_ring *ring = ring_of(&mem, 10, 3, 3, 3);

    for (unsigned i = 3; i < 63; i++) {
        join_checked(&ring, i, 3);
        cr_assert_leq(top_load(ring, 1), 1100);
        if (i % 3 == 2)
            cr_assert_leq(top_load(ring, 3), 1100, "%u members: %u", i + 1, top_load(ring, 3));
    }
    kvi_ring_free(ring);
}

/* --- the same everywhere --------------------------------------------------------------------- */

static void expect_print(const kvi_ring *ring, uint64_t print)
{
    uint64_t got = print_of(&mem, ring);

    cr_assert_eq(got, print, "0x%016llx", (unsigned long long)got);
}

RULE_TEST(documents_are_the_same_on_every_platform)
{
    kvi_ring_policy policy = {5, 1, KV_ALL, 0, 1, 1000};
    kvi_ring *ring = ring_of(&mem, 10, 3, 3, 1), *made = NULL;

    expect_print(ring, UINT64_C(0x2f8424391acb2732));
    for (unsigned i = 3; i < 64; i++)
        join(&ring, i, 1);
    expect_print(ring, UINT64_C(0x42d14725d8fc9d49));
    for (unsigned i = 1; i < 50; i += 2)
        leave(&ring, i);
    expect_print(ring, UINT64_C(0x8c69e8ff38edf9be));
    kvi_ring_free(ring);
    ring = ring_of(&mem, 9, 3, 30, 3);
    expect_print(ring, UINT64_C(0x187f2962576036f3));
    OK(kvi_ring_add_space(ring, "users", &policy, &made));
    replace(&ring, made);
    OK(kvi_ring_reweight(ring, id_of(7), 3 * WEIGHT, &made));
    replace(&ring, made);
    OK(kvi_ring_reweight(ring, id_of(8), WEIGHT / 3, &made));
    replace(&ring, made);
    leave(&ring, 9);
    expect_print(ring, UINT64_C(0xfe9883bffc431b7e));
    kvi_ring_free(ring);
}
