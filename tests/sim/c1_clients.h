/*
 * The swarm's clients: requests at drawn machines, to drawn keys, with the contexts of earlier
 * calls, some of them old.
 */
#ifndef KVT_SIM_C1_CLIENTS_H
#define KVT_SIM_C1_CLIENTS_H

#include "sim/c1_oracle.h"

#define C1_CONTEXTS_KEPT 4u /* of a key */

typedef struct c1_clients {
    c1_cluster *cluster;
    c1_oracle *oracle;
    kvt_rng rng;
    kvi_buf contexts[C1_KEYS][C1_CONTEXTS_KEPT];
    uint64_t batches, walks;
} c1_clients;

void c1_clients_init(c1_clients *c, c1_cluster *cluster, c1_oracle *oracle, uint64_t seed);
void c1_clients_deinit(c1_clients *c);

/** One of them does something. */
void c1_clients_turn(c1_clients *c);

/** A put that must go well, before anything else: it makes the cluster serve. */
bool c1_clients_warm(c1_clients *c);

/** When all is healed: reads every key from all its replicas; check: and compares walks. */
void c1_clients_read_all(c1_clients *c, bool check);

#endif
