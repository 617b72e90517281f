/*
 * One seed of the safety swarm, from an empty simulation to the last check.
 */
#ifndef KVT_SIM_C1_RUN_H
#define KVT_SIM_C1_RUN_H

#include "sim/c1_oracle.h"

/** What it came to. Sums are kept over seeds. */
typedef struct c1_figures {
    uint64_t seeds, twice, events, messages, looks, violations;
    uint64_t ops, outcomes[C1_OUTCOMES], batches, walks;
    uint64_t cuts, heals, crashes, pauses, jumps, storms, disks, closes;
    unsigned most_siblings;
    uint64_t traces; /* of all seeds: equal for all builds that are right */
} c1_figures;

typedef struct c1_verdict {
    bool good;
    uint64_t trace, digest, events;
    char why[600];
} c1_verdict;

/** Runs a seed and adds to figures. */
void c1_run(uint64_t seed, c1_figures *figures, c1_verdict *out);

#endif
