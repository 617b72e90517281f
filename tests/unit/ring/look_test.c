/* lib/ring/look.c: parts of keys, tokens, partitions, and walks against a plain walk. */
#include "support/rng.h"
#include "unit/ring/rings.h"

static kvi_mem mem;

static void setup(void)
{
    kvi_mem_init(&mem, NULL);
}

static void expect_part(const char *key, const char *part)
{
    kvi_slice got = kvi_ring_part(kvi_slice_of(key, strlen(key)));

    cr_assert(kvi_slice_eq(got, kvi_slice_of(part, strlen(part))), "%s: %.*s", key, (int)got.len,
              (const char *)got.data);
}

Test(ring_look, the_part_in_braces_decides)
{
    expect_part("user:1", "user:1");
    expect_part("{user:1}:name", "user:1");
    expect_part("a{b}c{d}", "b");
    expect_part("a{}b{c}", "a{}b{c}");
    expect_part("a{b", "a{b");
    expect_part("a}b{c}", "c");
    expect_part("{{a}}", "{a");
    expect_part("{", "{");
    expect_part("", "");
    cr_assert_eq(kvi_ring_part(kvi_slice_of("\0{\0}", 4)).len, 1, "keys are bytes");
}

Test(ring_look, token_is_the_seeded_hash_of_the_part, .init = setup)
{
    kvi_ring *ring = ring_of_one(&mem, 4, 3);

    cr_assert_eq(kvi_ring_token(ring, kvi_slice_of("x{ab}y", 6)), kvi_hash64("ab", 2, 7));
    cr_assert_eq(kvi_ring_token(ring, kvi_slice_of("xaby", 4)), kvi_hash64("xaby", 4, 7));
    kvi_ring_free(ring);
}

Test(ring_look, partition_is_the_tokens_top_bits, .init = setup)
{
    for (unsigned bits = 0; bits <= KVI_RING_BITS_MAX; bits += 4) {
        kvi_ring *ring = ring_of_one(&mem, bits, 3);

        cr_assert_eq(kvi_ring_partition(ring, 0), 0);
        cr_assert_eq(kvi_ring_partition(ring, UINT64_MAX), (1u << bits) - 1);
        if (bits > 0)
            cr_assert_eq(kvi_ring_partition(ring, UINT64_C(1) << 63), 1u << (bits - 1));
        kvi_ring_free(ring);
    }
}

Test(ring_look, a_ring_of_one_partition, .init = setup)
{
    kvi_ring *ring = ring_of_one(&mem, 0, 3);
    uint64_t nodes[4];

    cr_assert_eq(kvi_ring_owner(ring, 0), id_of(0));
    cr_assert_eq(kvi_ring_walk(ring, 0, 3, nodes, 4), 1);
    cr_assert_eq(nodes[0], id_of(0));
    kvi_ring_free(ring);
}

/* --- walks ----------------------------------------------------------------------------------- */

typedef struct list {
    uint64_t node[KVI_RING_MEMBERS_MAX];
    unsigned count;
} list;

static bool listed(const list *l, uint64_t node)
{
    for (unsigned i = 0; i < l->count; i++)
        if (l->node[i] == node)
            return true;
    return false;
}

static bool zone_listed(const kvi_ring *ring, const list *l, uint64_t node)
{
    const char *zone = kvi_ring_member_of(ring, node)->zone;

    for (unsigned i = 0; i < l->count; i++)
        if (strcmp(kvi_ring_member_of(ring, l->node[i])->zone, zone) == 0)
            return true;
    return false;
}

/* The rule as the header has it, step by step. */
static void plain_walk(const kvi_ring *ring, uint32_t partition, unsigned n, list *l)
{
    uint32_t q = partitions_of(ring);

    l->count = 0;
    for (uint32_t i = 0; i < q && l->count < n; i++) {
        uint64_t owner = kvi_ring_owner(ring, (partition + i) % q);

        if (!zone_listed(ring, l, owner))
            l->node[l->count++] = owner;
    }
    for (uint32_t i = 0; i < q; i++) {
        uint64_t owner = kvi_ring_owner(ring, (partition + i) % q);

        if (!listed(l, owner))
            l->node[l->count++] = owner;
    }
}

static void check_walks(const kvi_ring *ring)
{
    static list all;
    uint64_t nodes[KVI_RING_LIST_MAX + 1];

    for (uint32_t p = 0; p < partitions_of(ring); p++) {
        for (unsigned n = 1; n <= 5; n += 2) {
            unsigned count = kvi_ring_walk(ring, p, n, nodes, KVI_RING_LIST_MAX + 1);
            unsigned have = kvi_ring_effective_n(ring, n);

            plain_walk(ring, p, n, &all);
            cr_assert_eq(count, all.count < KVI_RING_LIST_MAX ? all.count : KVI_RING_LIST_MAX);
            cr_assert_arr_eq(nodes, all.node, count * sizeof nodes[0]);
            cr_assert_eq(kvi_ring_walk(ring, p, n, nodes, 2), count < 2 ? count : 2);
            cr_assert_arr_eq(nodes, all.node, (count < 2 ? count : 2) * sizeof nodes[0]);
            for (unsigned i = 0; i < all.count; i++)
                cr_assert_eq(kvi_ring_is_primary(ring, p, n, all.node[i]), i < have);
        }
    }
}

Test(ring_look, walks_are_those_of_a_plain_walk, .init = setup)
{
    static const unsigned sizes[] = {1, 2, 3, 4, 7, 15, 16};

    for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
        for (unsigned zones = 1; zones <= 4; zones++) {
            kvi_ring *ring = ring_of(&mem, 8, 3, sizes[i], zones);

            check_walks(ring);
            kvi_ring_free(ring);
        }
    }
}

Test(ring_look, walks_end_at_the_limit_of_a_list, .init = setup)
{
    kvi_ring *ring = ring_of(&mem, 9, 3, 32, 5);

    check_walks(ring);
    kvi_ring_free(ring);
}

Test(ring_look, who_is_no_member_is_no_primary, .init = setup)
{
    kvi_ring *ring = ring_of(&mem, 6, 3, 2, 1);

    cr_assert_not(kvi_ring_is_primary(ring, 5, 3, id_of(2)));
    cr_assert(kvi_ring_is_primary(ring, 5, 3, id_of(1)));
    kvi_ring_free(ring);
}

Test(ring_look, primaries_lie_in_different_zones, .init = setup)
{
    kvi_ring *ring = ring_of(&mem, 10, 3, 20, 3);

    for (uint32_t p = 0; p < partitions_of(ring); p++) {
        uint64_t nodes[3];
        unsigned zones = 0;

        cr_assert_eq(kvi_ring_walk(ring, p, 3, nodes, 3), 3);
        for (int i = 0; i < 3; i++)
            zones |= 1u << (kvi_ring_member_of(ring, nodes[i])->zone[5] - '0');
        cr_assert_eq(zones, 7);
    }
    kvi_ring_free(ring);
}
