/*
 * C1, the safety swarm: what one seed draws before anything runs.
 *
 * All sizes that decide how long a seed takes are here.
 */
#ifndef KVT_SIM_C1_PLAN_H
#define KVT_SIM_C1_PLAN_H

#include <kv_sim.h>
#include <stdbool.h>

#include "support/rng.h"

#define C1_MACHINES_MAX 7u
#define C1_MS           UINT64_C(1000000)
#define C1_S            (1000 * C1_MS)

#define C1_FAULTY_NS (60 * C1_S) /* simulated, of clients and faults */
#define C1_OPS_MIN   300u
#define C1_OPS_MAX   900u

/* Keys, by what is promised of them; see c1_oracle.h. */
enum c1_class { C1_CONTEXTS, C1_BLIND, C1_NEVER_DELETED };

#define C1_KEYS       20u
#define C1_KEYS_A     10u /* C1_CONTEXTS: 0 to 9 */
#define C1_KEYS_B     6u  /* C1_BLIND: 10 to 15 … */
#define C1_PART_FIRST 12u /* … of which these are of one part, */
#define C1_PART_COUNT 4u  /* in the order of their bytes */
#define C1_PART       "{p}"

typedef struct c1_plan {
    uint64_t seed;
    unsigned machines, n;
    uint8_t durability; /* KV_DISK; KV_OS: crashes are ends of processes only */
    uint8_t ring_bits;
    bool lww;      /* the space is KV_LAST_WRITE_WINS */
    bool cold;     /* faults begin before the first write */
    bool blocking; /* batches and scans, too */
    bool large;    /* some values are longer than a message of the network */
    unsigned ops;
    kv_sim_network network;
    /* The nemesis: which faults, and how often on average. */
    unsigned pause_ms;
    bool cuts, crashes, pauses, clocks, weather, disks;
} c1_plan;

/** The stores of some seeds have memtables that are full all the time, and no large values. */
static inline bool c1_plan_tiny(const c1_plan *p)
{
    return p->seed % 4 == 0;
}

void c1_plan_draw(c1_plan *p, uint64_t seed);

static inline enum c1_class c1_class_of(unsigned key)
{
    return key < C1_KEYS_A               ? C1_CONTEXTS
           : key < C1_KEYS_A + C1_KEYS_B ? C1_BLIND
                                         : C1_NEVER_DELETED;
}

/** The key's bytes, with a NUL. */
const char *c1_key_name(unsigned key);
/** C1_KEYS: there is none of that name. */
unsigned c1_key_named(kv_slice name);

static inline uint64_t c1_between(kvt_rng *r, uint64_t least, uint64_t most)
{
    return least + kvt_rng_below(r, most - least + 1);
}

static inline bool c1_chance(kvt_rng *r, unsigned percent)
{
    return kvt_rng_below(r, 100) < percent;
}

#endif
