/*
 * What a hostile peer says to a cluster: garbage, copies of what it has overheard, changed and
 * sealed again, replays, envelopes of its own.
 */
#ifndef KVT_SIM_C8_LIES_H
#define KVT_SIM_C8_LIES_H

#include "sim/c1_cluster.h"
#include "sim/sim_net.h"

#define C8_HEARD_MAX 256u /* messages that are kept of all that were overheard */

typedef struct c8_heard {
    unsigned from, to;
    kvi_buf bytes;
} c8_heard;

enum c8_lie {
    C8_GARBAGE,    /* from a stranger */
    C8_CHANGED,    /* overheard, changed, sealed again; from a stranger */
    C8_IMPOSTOR,   /* overheard, as a member; from a stranger */
    C8_OTHER_UUID, /* of another cluster; from a member's address */
    C8_OLD_EPOCH,  /* overheard, with an old epoch; from a stranger */
    C8_REPLAY,     /* overheard, from whom it was */
    C8_DAMAGED,    /* overheard, changed and not sealed; from whom it was */
    C8_JOIN,       /* a stranger wants to join */
    C8_CUT,        /* overheard, cut or with a tail; from a stranger */
    C8_LIES
};

typedef struct c8_liar {
    c1_cluster *cluster;
    kvt_rng rng;
    c8_heard heard[C8_HEARD_MAX];
    uint64_t count; /* overheard in all */
    kvi_buf out;
    uint64_t told[C8_LIES];
} c8_liar;

void c8_liar_init(c8_liar *l, c1_cluster *c, uint64_t seed);
void c8_liar_deinit(c8_liar *l);

/** For kvi_sim_net_tap(). */
void c8_liar_tap(void *liar, unsigned from, unsigned to, kvi_slice message);

/** Says something to somebody. */
void c8_liar_tell(c8_liar *l);

#endif
