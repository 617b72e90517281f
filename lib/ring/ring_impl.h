/*
 * The struct behind a document, and how the files of this folder build one: make (the block with
 * all but owners), then owners, then index. For lib/ring alone.
 */
#ifndef KVI_RING_RING_IMPL_H
#define KVI_RING_RING_IMPL_H

#include "ring/ring.h"

#define KVI_RING_NOBODY     UINT16_MAX /* as an owner, while owners are being found */
#define KVI_RING_CHOICE_MAX 15u        /* of a policy's mode and conflict */

/* What a document says apart from its tables. */
typedef struct kvi_ring_head {
    uint8_t uuid[16];
    uint64_t epoch;
    uint64_t token_seed;
    uint64_t secret[2];
    uint8_t stage, bits;
    uint32_t next_space_id;
    uint32_t voter_count;
    uint64_t voters[KVI_RING_VOTERS_MAX];
} kvi_ring_head;

/* One block of memory with all that its pointers point to, but for the index. */
struct kvi_ring {
    const kvi_mem *mem;
    kvi_ring_head head;
    uint32_t partitions; /* Q */
    uint32_t member_count, space_count;
    uint32_t weighted;   /* members with weight */
    uint32_t zone_count; /* zones of members with weight */
    kvi_ring_member *members;
    kvi_ring_space *spaces;
    uint16_t *zone_of; /* by member: the first member in the same zone; any number if weightless */
    uint16_t *owners;  /* by partition: an index into members */

    /* The index: by partition, the first owners met clockwise, and the first met of each zone; near
       of the one and zoned of the other. zoned is 0 where there is one zone. */
    unsigned near, zoned;
    uint16_t *near_list, *zoned_list;
};

/* The tables of a document that is to be made; borrowed. */
typedef struct kvi_ring_tables {
    const kvi_ring_member *members;
    uint32_t member_count;
    const kvi_ring_space *spaces;
    uint32_t space_count;
} kvi_ring_tables;

/** A document with head and copies of the tables, without owners (all NOBODY) and index. */
int kvi_ring_make(const kvi_mem *mem, const kvi_ring_head *head, const kvi_ring_tables *tables,
                  kvi_ring **out) KVI_NODISCARD;

/** Builds the index from the owners, which are all there. */
int kvi_ring_index(kvi_ring *ring) KVI_NODISCARD;

/** The place of node_id among the members, or where it would come; *found says which. */
uint32_t kvi_ring_find(const kvi_ring *ring, uint64_t node_id, bool *found);

/** What is wrong with a member, a policy; NULL where it is in order. */
const char *kvi_ring_member_fault(const kvi_ring_member *member);
const char *kvi_ring_policy_fault(const kvi_ring_policy *policy);

/** How many members a ring of 2^bits partitions takes. */
static inline uint32_t kvi_ring_capacity(unsigned bits)
{
    uint32_t capacity = (UINT32_C(1) << bits) / KVI_RING_SPREAD;

    return capacity > 0 ? capacity : 1;
}

/* --- the rule of ownership (assign.c, even.c) ------------------------------------------------ */

/** Moves partitions from the most loaded to member, until it has its share by weight. */
int kvi_ring_assign_take(kvi_ring *ring, uint32_t member) KVI_NODISCARD;

/** Moves partitions from member to the least loaded, until it has no more than its share. */
int kvi_ring_assign_give(kvi_ring *ring, uint32_t member) KVI_NODISCARD;

/** Gives the partitions that nobody owns, since leaver had them, to the least loaded. */
int kvi_ring_assign_orphans(kvi_ring *ring, uint64_t leaver) KVI_NODISCARD;

/** The order in which a change goes over partitions. */
typedef struct kvi_ring_order {
    uint32_t start, stride; /* stride is odd */
} kvi_ring_order;

static inline uint32_t kvi_ring_visit(kvi_ring_order order, uint32_t mask, uint32_t i)
{
    return (order.start + i * order.stride) & mask;
}

/** How near other partitions of member are to `at`: 0 where none is less than spread away. */
int kvi_ring_nearness(const kvi_ring *ring, unsigned spread, uint32_t at, uint16_t member);

/** Lets partitions that moved trade places so that the loads of spread replicas become more even.
 *  before: the owners before the change, NOBODY where one has left. */
int kvi_ring_even_out(kvi_ring *ring, unsigned spread, const uint16_t *before, kvi_ring_order order)
    KVI_NODISCARD;

#endif
