/*
 * Evens out replica loads where there are zones: which of a member's partitions moved is changed
 * for another, as long as that makes the sum of load squared over weight less. Without zones,
 * spacing alone has done that already (assign.c).
 *
 * 1. How many partitions a member owns, and how many moved, stays as it is.
 * 2. No partition comes nearer to another of the same owner than the one it trades with was.
 */
#include "base/check.h"
#include "base/error.h"
#include "ring/ring_impl.h"

/* How far a walk for n zones is followed: far enough, but where one of them is rare. */
#define WALK_MIN    12u
#define WALK_FACTOR 4u /* times n */

/* Trades that are tried in a change, and for one partition. */
#define TRIES_MAX  4096u
#define TRIES_EACH 64u
#define ROUNDS     3u /* over all partitions */

#define LOAD_SCALE (INT64_C(1) << 20)

/* What a zone costs that a walk does not meet: more than any load. */
#define MISSED_COST (INT64_C(1) << 40)

typedef struct evening {
    kvi_ring *ring;
    uint32_t mask;      /* Q - 1 */
    unsigned spread, n; /* partitions apart; zones that a walk is to meet */
    uint32_t walk_max;  /* how far one is followed */
    int64_t cost;       /* of what is counted, up to a constant */
    int64_t *load;      /* by member: walks in which it is a primary */
    int64_t *scale;     /* by member: what its load costs */
} evening;

/* Adds the walk from `from` to the loads (sign 1), or takes it away (-1); returns how many
   partitions it went over. */
static uint32_t count_walk(evening *e, uint32_t from, int sign)
{
    const kvi_ring *ring = e->ring;
    uint16_t met[KVI_RING_N_MAX];
    unsigned count = 0;
    uint32_t i = 0;

    for (; i < e->walk_max && count < e->n; i++) {
        uint16_t owner = ring->owners[(from + i) & e->mask];
        unsigned k = 0;

        while (k < count && ring->zone_of[met[k]] != ring->zone_of[owner])
            k++;
        if (k < count)
            continue;
        met[count++] = owner;
        e->cost += (2 * (int64_t)sign * e->load[owner] + 1) * e->scale[owner];
        e->load[owner] += sign;
    }
    e->cost += (int64_t)sign * (e->n - count) * MISSED_COST;
    return i;
}

/* The same for all walks that come by `at`: where one from further back ends before, those from
   still further do too, and what is at `at` is nothing to them. */
static void count_walks_by(evening *e, uint32_t at, int sign)
{
    for (uint32_t i = 0; i < e->walk_max; i++)
        if (count_walk(e, (at - i) & e->mask, sign) <= i)
            break;
}

static void swap(uint16_t *owners, uint32_t a, uint32_t b)
{
    uint16_t kept = owners[a];

    owners[a] = owners[b];
    owners[b] = kept;
}

static void recount(evening *e, uint32_t a, uint32_t b)
{
    count_walks_by(e, a, -1);
    count_walks_by(e, b, -1);
    swap(e->ring->owners, a, b);
    count_walks_by(e, a, 1);
    count_walks_by(e, b, 1);
}

/* Whether a and b may trade: far enough apart that no walk counted comes by both, no more
   partitions moved for it than now, and none nearer to its like. */
static bool may_trade(const evening *e, const uint16_t *before, uint32_t a, uint32_t b)
{
    const uint16_t *owners = e->ring->owners;
    uint16_t of_a = owners[a], of_b = owners[b];
    int moved = (of_a != before[a]) + (of_b != before[b]);

    return of_a != of_b && (of_b != before[a]) + (of_a != before[b]) <= moved &&
           ((a - b) & e->mask) >= e->walk_max && ((b - a) & e->mask) >= e->walk_max &&
           kvi_ring_nearness(e->ring, e->spread, a, of_b) +
                   kvi_ring_nearness(e->ring, e->spread, b, of_a) <=
               kvi_ring_nearness(e->ring, e->spread, a, of_a) +
                   kvi_ring_nearness(e->ring, e->spread, b, of_b);
}

/* Tries a against others, in the order given from place on; returns how often. */
static uint32_t try_trades(evening *e, const uint16_t *before, kvi_ring_order order, uint32_t place)
{
    uint32_t a = kvi_ring_visit(order, e->mask, place), tries = 0;

    for (uint32_t i = 1; i <= e->mask && tries < TRIES_EACH; i++) {
        uint32_t b = kvi_ring_visit(order, e->mask, place + i);
        int64_t cost = e->cost;

        if (!may_trade(e, before, a, b))
            continue;
        tries++;
        recount(e, a, b);
        if (e->cost >= cost)
            recount(e, a, b);
    }
    return tries;
}

static void even_out(evening *e, const uint16_t *before, kvi_ring_order order)
{
    uint32_t tries = 0;

    for (uint32_t p = 0; p <= e->mask; p++)
        count_walk(e, p, 1);
    for (uint32_t i = 0; i <= ROUNDS * e->mask && tries < TRIES_MAX; i++) {
        uint32_t at = kvi_ring_visit(order, e->mask, i);

        if (e->ring->owners[at] != before[at])
            tries += try_trades(e, before, order, i);
    }
}

int kvi_ring_even_out(kvi_ring *ring, unsigned spread, const uint16_t *before, kvi_ring_order order)
{
    evening e = {.ring = ring,
                 .mask = ring->partitions - 1,
                 .spread = spread,
                 .n = (unsigned)kvi_min_size(spread, ring->zone_count)};

    if (ring->zone_count < 2)
        return KV_OK;
    e.walk_max = (uint32_t)kvi_max_size(WALK_MIN, (size_t)WALK_FACTOR * e.n);
    e.load = kvi_mem_zalloc(ring->mem, (size_t)ring->member_count * 2, sizeof *e.load);
    if (!e.load)
        return kvi_error_set(KV_ENOMEM, "no memory to share out a ring");
    e.scale = e.load + ring->member_count;
    for (uint32_t i = 0; i < ring->member_count; i++)
        if (ring->members[i].weight > 0)
            e.scale[i] = LOAD_SCALE / ring->members[i].weight;
    even_out(&e, before, order);
    kvi_mem_free(ring->mem, e.load);
    return KV_OK;
}
