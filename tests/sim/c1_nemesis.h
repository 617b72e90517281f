/*
 * The swarm's nemesis: cuts, crashes, pauses, clocks and weather, as the plan allows.
 *
 * At least one machine stays up. Wall clocks stay within C1_JUMP_MAX_MS of each other, so that no
 * stamp of last write wins is refused for ever.
 */
#ifndef KVT_SIM_C1_NEMESIS_H
#define KVT_SIM_C1_NEMESIS_H

#include "sim/c1_cluster.h"

#define C1_JUMP_MAX_MS 20000
#define C1_DRIFT_PPM   50000
#define C1_PAUSE_MAX   (15 * C1_S)
#define C1_DOWN_MAX    (15 * C1_S)

typedef struct c1_nemesis {
    c1_cluster *cluster;
    kvt_rng rng;
    uint64_t resume_at[C1_MACHINES_MAX], sick_until[C1_MACHINES_MAX];
    uint64_t cuts, heals, crashes, pauses, jumps, storms, disks;
} c1_nemesis;

void c1_nemesis_init(c1_nemesis *n, c1_cluster *c, uint64_t seed);

/** Does something, and draws when to be called next. */
uint64_t c1_nemesis_turn(c1_nemesis *n);

/** Has those come back whose time it is; false: one does not open. Often. */
bool c1_nemesis_return(c1_nemesis *n);

/** All are up, linked and awake again, on the plan's network; false: a machine does not open. */
bool c1_nemesis_end(c1_nemesis *n);

#endif
