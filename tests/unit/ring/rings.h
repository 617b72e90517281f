/* Rings for tests: members by number, growth one at a time, and what is measured of them. */
#ifndef KVT_RING_RINGS_H
#define KVT_RING_RINGS_H

#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/error.h"
#include "base/hash.h"
#include "ring/ring.h"

#define OK(call) cr_assert_eq((call), KV_OK, "%s: %s", #call, kvi_error_detail())

#define WEIGHT 100

/* Node ids that lie anywhere, so that a newcomer comes anywhere among the members. */
static inline uint64_t id_of(unsigned i)
{
    return kvi_mix64(i + 1);
}

/* Member i: one of zones zones in turn. texts: where its zone and address are written. */
static inline kvi_ring_member member(unsigned i, unsigned zones, char texts[2][32])
{
    snprintf(texts[0], 32, "zone-%u", i % zones);
    snprintf(texts[1], 32, "10.0.%u.%u:7000", (i >> 8) & 255, i & 255);
    return (kvi_ring_member){id_of(i), WEIGHT, texts[0], texts[1]};
}

static inline kvi_ring_params params(unsigned bits, unsigned n)
{
    kvi_ring_params p = {.uuid = "a ring of a test",
                         .token_seed = 7,
                         .secret = {11, 13},
                         .bits = (uint8_t)bits,
                         .first = {id_of(0), WEIGHT, "zone-0", "10.0.0.0:7000"},
                         .policy = {(uint8_t)n, KV_QUORUM, KV_QUORUM, 0, 0, 0}};
    return p;
}

/* A ring of member 0. The caller's. */
static inline kvi_ring *ring_of_one(const kvi_mem *mem, unsigned bits, unsigned n)
{
    kvi_ring_params p = params(bits, n);
    kvi_ring *ring = NULL;

    OK(kvi_ring_create(mem, &p, &ring));
    return ring;
}

/* Takes the place of the ring that it was made from. */
static inline void replace(kvi_ring **ring, kvi_ring *by)
{
    cr_assert(by && kvi_ring_epoch(by) == kvi_ring_epoch(*ring) + 1);
    kvi_ring_free(*ring);
    *ring = by;
}

static inline void join(kvi_ring **ring, unsigned i, unsigned zones)
{
    char texts[2][32];
    kvi_ring_member m = member(i, zones, texts);
    kvi_ring *made = NULL;

    OK(kvi_ring_join(*ring, &m, &made));
    replace(ring, made);
}

static inline void leave(kvi_ring **ring, unsigned i)
{
    kvi_ring *made = NULL;

    OK(kvi_ring_leave(*ring, id_of(i), &made));
    replace(ring, made);
}

/* A ring of members 0 to count - 1, grown one at a time. */
static inline kvi_ring *ring_of(const kvi_mem *mem, unsigned bits, unsigned n, unsigned count,
                                unsigned zones)
{
    kvi_ring *ring = ring_of_one(mem, bits, n);

    for (unsigned i = 1; i < count; i++)
        join(&ring, i, zones);
    return ring;
}

static inline uint32_t partitions_of(const kvi_ring *ring)
{
    return UINT32_C(1) << kvi_ring_bits(ring);
}

/* The place among the members, which must be one's. */
static inline uint32_t place_of(const kvi_ring *ring, uint64_t node_id)
{
    uint32_t count;
    const kvi_ring_member *members = kvi_ring_members(ring, &count);
    const kvi_ring_member *m = kvi_ring_member_of(ring, node_id);

    cr_assert_not_null(m);
    return (uint32_t)(m - members);
}

/* How many partitions are another's in b than in a. */
static inline uint32_t moved(const kvi_ring *a, const kvi_ring *b)
{
    uint32_t count = 0;

    for (uint32_t p = 0; p < partitions_of(a); p++)
        count += kvi_ring_owner(a, p) != kvi_ring_owner(b, p);
    return count;
}

/* The most loaded member's load over the mean, in thousandths. n 1: of primaries. */
static inline unsigned top_load(const kvi_ring *ring, unsigned n)
{
    uint32_t count, top = 0, q = partitions_of(ring);
    unsigned have = kvi_ring_effective_n(ring, n);
    uint32_t *load;

    (void)kvi_ring_members(ring, &count);
    load = calloc(count, sizeof *load);
    cr_assert_not_null(load);
    for (uint32_t p = 0; p < q; p++) {
        uint64_t nodes[KVI_RING_N_MAX];

        cr_assert_eq(kvi_ring_walk(ring, p, n, nodes, n), have);
        for (unsigned i = 0; i < have; i++)
            load[place_of(ring, nodes[i])]++;
    }
    for (uint32_t i = 0; i < count; i++)
        top = load[i] > top ? load[i] : top;
    free(load);
    return (unsigned)((uint64_t)top * count * 1000 / ((uint64_t)q * have));
}

/* The hash of the document's bytes. */
static inline uint64_t print_of(const kvi_mem *mem, const kvi_ring *ring)
{
    kvi_buf bytes;
    uint64_t hash;

    kvi_buf_init(&bytes, mem);
    OK(kvi_ring_encode(ring, &bytes));
    hash = kvi_hash64(bytes.data, bytes.len, 0);
    kvi_buf_deinit(&bytes);
    return hash;
}

#endif
