/*
 * The rule of ownership: which partitions move when a member comes, goes or changes its weight.
 *
 * How many move, and from whom or to whom, is settled first, by load over weight. Which ones is
 * then settled by strain: a partition strains under an owner who has another one, or whose zone
 * has, less than `spread` partitions away, the more the nearer. Where nothing strains, any `spread`
 * partitions in a row have as many owners, and so every replica load is the owner's own load times
 * N. What zones leave uneven, even.c then evens out.
 *
 * 1. Nothing moves but what must: a newcomer's share, or a leaver's partitions.
 * 2. Of those that may move, the ones that relieve most strain do. Among equals the order is that
 *    of a walk with a stride by the golden ratio, so that a member's partitions lie all over the
 *    ring.
 * 3. Who has one partition left keeps it.
 *
 * Pure integers. A change costs some rounds over all partitions.
 */
#include <limits.h>

#include "base/check.h"
#include "base/error.h"
#include "base/hash.h"
#include "ring/ring_impl.h"

/* Space for the N that most spaces have, also where no space has asked for it yet. */
#define SPREAD_MIN 3u

/* What one's own nearness counts beside that of one's zone: more than all of that. */
#define OWN_STRAIN 128

/* How many others a strained partition is tried against, to trade places. */
#define TRADES_MAX 512u

typedef struct plan {
    kvi_ring *ring;
    uint32_t mask;                /* Q - 1 */
    unsigned spread, zone_spread; /* apart: an owner's partitions, a zone's */
    kvi_ring_order order;         /* in which partitions are visited */
    uint16_t *before;             /* by partition: its owner before the change */
    uint32_t *load;               /* by member: partitions owned now */
    uint32_t *moves;              /* by member: how many it still gives, or still gets */
} plan;

/* --- loads ----------------------------------------------------------------------------------- */

static void plan_deinit(plan *p)
{
    kvi_mem_free(p->ring->mem, p->load);
    kvi_mem_free(p->ring->mem, p->before);
}

static int plan_init(plan *p, kvi_ring *ring, uint64_t node_id)
{
    uint32_t q = ring->partitions;

    p->ring = ring;
    p->mask = q - 1;
    p->spread = SPREAD_MIN;
    for (uint32_t i = 0; i < ring->space_count; i++)
        p->spread = ring->spaces[i].policy.n > p->spread ? ring->spaces[i].policy.n : p->spread;
    p->zone_spread = ring->zone_count > 1 ? (unsigned)kvi_min_size(p->spread, ring->zone_count) : 0;
    p->order.start = (uint32_t)kvi_mix64(node_id) & p->mask;
    p->order.stride = (uint32_t)(q * UINT64_C(2654435769) >> 32) | 1u;
    p->load = kvi_mem_zalloc(ring->mem, (size_t)ring->member_count * 2, sizeof *p->load);
    p->before = kvi_mem_dup(ring->mem, ring->owners, q * sizeof *ring->owners);
    if (!p->load || !p->before) {
        plan_deinit(p);
        return kvi_error_set(KV_ENOMEM, "no memory to share out a ring");
    }
    p->moves = p->load + ring->member_count;
    for (uint32_t i = 0; i < q; i++)
        if (ring->owners[i] != KVI_RING_NOBODY)
            p->load[ring->owners[i]]++;
    return KV_OK;
}

static uint32_t visit(const plan *p, uint32_t i)
{
    return kvi_ring_visit(p->order, p->mask, i);
}

/* What a member ought to own: at least one partition if it has weight. */
static uint32_t share(const kvi_ring *ring, uint32_t member)
{
    uint64_t weight = ring->members[member].weight, sum = 0;
    uint32_t part;

    for (uint32_t i = 0; i < ring->member_count; i++)
        sum += ring->members[i].weight;
    if (weight == 0)
        return 0;
    KVI_ASSERT(sum >= weight);
    part = (uint32_t)(ring->partitions * weight / sum);
    return part > 0 ? part : 1;
}

/* a / of_a > b / of_b */
static bool is_more(uint32_t a, uint16_t of_a, uint32_t b, uint16_t of_b)
{
    return (uint64_t)a * of_b > (uint64_t)b * of_a;
}

/* Settles who gives how many of the count that taker gets; returns the count found. */
static uint32_t settle_donors(plan *p, uint32_t taker, uint32_t count)
{
    const kvi_ring_member *m = p->ring->members;
    uint32_t found;

    for (found = 0; found < count; found++) {
        uint32_t most = p->ring->member_count;

        for (uint32_t i = 0; i < p->ring->member_count; i++)
            if (i != taker && p->load[i] > 1 &&
                (most == p->ring->member_count ||
                 is_more(p->load[i], m[i].weight, p->load[most], m[most].weight)))
                most = i;
        if (most == p->ring->member_count)
            break;
        p->load[most]--;
        p->moves[most]++;
    }
    return found;
}

/* Settles who gets how many of count partitions. */
static void settle_takers(plan *p, uint32_t giver, uint32_t count)
{
    const kvi_ring_member *m = p->ring->members;

    for (; count > 0; count--) {
        uint32_t least = p->ring->member_count;

        for (uint32_t i = 0; i < p->ring->member_count; i++)
            if (i != giver && m[i].weight > 0 &&
                (least == p->ring->member_count ||
                 is_more(p->load[least] + 1, m[least].weight, p->load[i] + 1, m[i].weight)))
                least = i;
        KVI_ASSERT(least < p->ring->member_count);
        p->load[least]++;
        p->moves[least]++;
    }
}

/* --- strain ---------------------------------------------------------------------------------- */

int kvi_ring_nearness(const kvi_ring *ring, unsigned spread, uint32_t at, uint16_t member)
{
    uint32_t mask = ring->partitions - 1;
    int sum = 0;

    for (unsigned apart = 1; apart < spread; apart++)
        sum += (int)(spread - apart) * ((ring->owners[(at - apart) & mask] == member) +
                                        (ring->owners[(at + apart) & mask] == member));
    return sum;
}

static bool same_zone(const kvi_ring *ring, uint32_t partition, uint16_t member)
{
    uint16_t owner = ring->owners[partition];

    return owner != KVI_RING_NOBODY && ring->zone_of[owner] == ring->zone_of[member];
}

/* How much a partition strains, or would, under member. */
static int strain(const plan *p, uint32_t at, uint16_t member)
{
    int sum = kvi_ring_nearness(p->ring, p->spread, at, member) * OWN_STRAIN;

    for (unsigned apart = 1; apart < p->zone_spread; apart++)
        sum += (int)(p->zone_spread - apart) * (same_zone(p->ring, (at - apart) & p->mask, member) +
                                                same_zone(p->ring, (at + apart) & p->mask, member));
    return sum;
}

/* --- which ones ------------------------------------------------------------------------------ */

/* Moves count partitions to taker, from each other what it gives, the best first. What a move
   changes in the strain of others is only ever for the worse: each level is done when it has been
   gone through once. */
static void take(plan *p, uint16_t taker, uint32_t count)
{
    uint16_t *owners = p->ring->owners;
    int level = INT_MIN;

    while (count > 0) {
        int next = INT_MAX;

        for (uint32_t i = 0; i <= p->mask && count > 0; i++) {
            uint32_t at = visit(p, i);
            uint16_t owner = owners[at];
            int change;

            if (owner == taker || p->moves[owner] == 0)
                continue;
            change = strain(p, at, taker) - strain(p, at, owner);
            if (change <= level) {
                owners[at] = taker;
                p->moves[owner]--;
                count--;
            } else if (change < next) {
                next = change;
            }
        }
        KVI_ASSERT(count == 0 || next > level);
        level = next;
    }
}

int kvi_ring_assign_take(kvi_ring *ring, uint32_t member)
{
    uint32_t target = share(ring, member);
    plan p;
    int err = plan_init(&p, ring, ring->members[member].node_id);

    if (err)
        return err;
    if (p.load[member] < target)
        take(&p, (uint16_t)member, settle_donors(&p, member, target - p.load[member]));
    err = kvi_ring_even_out(ring, p.spread, p.before, p.order);
    plan_deinit(&p);
    return err;
}

/* Takes count partitions from giver, those that strain most under it. */
static void orphan(plan *p, uint16_t giver, uint32_t count)
{
    int level = INT_MAX;

    while (count > 0) {
        int next = INT_MIN;

        for (uint32_t i = 0; i <= p->mask && count > 0; i++) {
            uint32_t at = visit(p, i);
            int relief;

            if (p->ring->owners[at] != giver)
                continue;
            relief = strain(p, at, giver);
            if (relief >= level) {
                p->ring->owners[at] = KVI_RING_NOBODY;
                count--;
            } else if (relief > next) {
                next = relief;
            }
        }
        level = next;
    }
}

/* Of those who still get partitions, the one under whom at strains least. */
static uint16_t best_taker(const plan *p, uint32_t at)
{
    uint16_t best = KVI_RING_NOBODY;
    int least = INT_MAX;

    for (uint32_t i = 0; i < p->ring->member_count; i++) {
        int under;

        if (p->moves[i] == 0)
            continue;
        under = strain(p, at, (uint16_t)i);
        if (under < least || (under == least && p->moves[i] > p->moves[best])) {
            least = under;
            best = (uint16_t)i;
        }
    }
    return best;
}

/* Lets a and b trade owners where both together strain less for it. They are of different owners,
   so what they are to each other stays as it is. */
static bool trade(plan *p, uint32_t a, uint32_t b)
{
    uint16_t *owners = p->ring->owners;
    uint16_t of_a = owners[a], of_b = owners[b];
    int before, after;

    owners[a] = owners[b] = KVI_RING_NOBODY;
    before = strain(p, a, of_a) + strain(p, b, of_b);
    after = strain(p, a, of_b) + strain(p, b, of_a);
    owners[a] = after < before ? of_b : of_a;
    owners[b] = after < before ? of_a : of_b;
    return after < before;
}

/* Gives every orphan its owner, in the order of the list, then lets those that strain trade. */
static void place(plan *p, const uint32_t *orphans, uint32_t count)
{
    uint16_t *owners = p->ring->owners;

    for (uint32_t i = 0; i < count; i++) {
        uint16_t taker = best_taker(p, orphans[i]);

        owners[orphans[i]] = taker;
        p->moves[taker]--;
    }
    for (uint32_t i = 0; i < count; i++) {
        uint32_t tries = (uint32_t)kvi_min_size(count - 1, TRADES_MAX);

        for (uint32_t k = 1; k <= tries; k++) {
            uint32_t a = orphans[i], b = orphans[(i + k) % count];

            if (strain(p, a, owners[a]) == 0)
                break;
            if (owners[a] != owners[b])
                (void)trade(p, a, b);
        }
    }
}

static int place_orphans(plan *p, uint32_t giver)
{
    uint32_t count = 0;
    uint32_t *orphans;

    for (uint32_t i = 0; i <= p->mask; i++)
        count += p->ring->owners[i] == KVI_RING_NOBODY;
    if (count == 0)
        return KV_OK;
    orphans = kvi_mem_alloc(p->ring->mem, count * sizeof *orphans);
    if (!orphans)
        return kvi_error_set(KV_ENOMEM, "no memory to share out a ring");
    count = 0;
    for (uint32_t i = 0; i <= p->mask; i++)
        if (p->ring->owners[visit(p, i)] == KVI_RING_NOBODY)
            orphans[count++] = visit(p, i);
    settle_takers(p, giver, count);
    place(p, orphans, count);
    kvi_mem_free(p->ring->mem, orphans);
    return kvi_ring_even_out(p->ring, p->spread, p->before, p->order);
}

int kvi_ring_assign_give(kvi_ring *ring, uint32_t member)
{
    uint32_t target = share(ring, member);
    plan p;
    int err = plan_init(&p, ring, ring->members[member].node_id);

    if (err)
        return err;
    if (p.load[member] > target) {
        orphan(&p, (uint16_t)member, p.load[member] - target);
        err = place_orphans(&p, member);
    }
    plan_deinit(&p);
    return err;
}

int kvi_ring_assign_orphans(kvi_ring *ring, uint64_t leaver)
{
    plan p;
    int err = plan_init(&p, ring, leaver);

    if (err)
        return err;
    err = place_orphans(&p, ring->member_count);
    plan_deinit(&p);
    return err;
}
