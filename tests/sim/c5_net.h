/*
 * A network of gossips for the test of membership, with nothing else in it: virtual time, a heap
 * of events, messages that are lost, delayed and overtake each other, nodes that die, return,
 * sleep, and are cut off.
 *
 * 1. The same seed gives the same run.
 * 2. A node that sleeps gets no call; what is sent to it meanwhile waits, as it would in a socket.
 *    It wakes to a tick first, as an event loop would that looks at its clock.
 * 3. A node that is down loses what is sent to it. It returns as another open, with a greater
 *    incarnation.
 * 4. A verdict is false where one node holds another for DEAD, by itself or by others' word, that
 *    was neither down nor asleep nor cut off for a while (the word of a just verdict goes round).
 * One thread.
 */
#ifndef KVT_SIM_C5_NET_H
#define KVT_SIM_C5_NET_H

#include "base/heap.h"
#include "base/rng.h"
#include "gossip/gossip.h"

#define C5_ROUND_NS   KVI_GOSSIP_PERIOD_NS
#define C5_LOSS_PPM   100000u
#define C5_DELAY_MIN  UINT64_C(500000)
#define C5_DELAY_MAX  UINT64_C(60000000)
#define C5_PERSIST_NS UINT64_C(5000000)

/** What a node may send in a round. A round is a period of the network's clock, and may touch two
 *  of the node's own. */
#define C5_ROUND_BYTES_MAX (2u * KVI_GOSSIP_PERIOD_MESSAGES * KVI_GOSSIP_MESSAGE_DEFAULT)

typedef struct c5_net c5_net;

typedef struct c5_node {
    c5_net *net;
    kvi_gossip *g;       /* NULL: down */
    kvi_heap_node timer; /* its deadline */
    uint64_t id, open_id;
    uint64_t wakes_ns;   /* asleep until then; 0: awake */
    uint64_t excused_ns; /* until then verdicts against it are no surprise */
    uint64_t bytes;      /* sent in this round */
    uint32_t incarnation;
    uint32_t side; /* of a partition */
    char address[16];
} c5_node;

struct c5_net {
    kvi_mem mem;
    kvi_rng rng;
    kvi_heap timers, events;
    c5_node *nodes;
    uint32_t count;
    uint64_t now_ns;
    uint64_t round_ends_ns;
    uint64_t bytes, bytes_most; /* of all nodes in the last round, and the most by one in any */
    uint64_t messages;
    uint32_t false_verdicts;
    uint64_t unjust_at_ns; /* the last of them, and whose it was against whom */
    uint32_t unjust_by, unjust_to;
    uint32_t disagree_a, disagree_b;
    bool by_seed;
};

/** count nodes, all up; by_seed: they know the address of the first one, else the whole list. */
void c5_net_init(c5_net *net, uint32_t count, bool by_seed, uint64_t seed);
void c5_net_deinit(c5_net *net);

/** Lets a round go by. */
void c5_net_round(c5_net *net);

/** Rounds until all that are up agree on who is up and on every open-id; limit + 1: they do not. */
uint32_t c5_net_rounds_to_agree(c5_net *net, uint32_t limit);
bool c5_net_agrees(c5_net *net);

/** The port of a node, for calls of the test. */
kvi_gossip_port c5_net_port(c5_node *node);

void c5_net_kill(c5_net *net, uint32_t i);
void c5_net_return(c5_net *net, uint32_t i);
void c5_net_sleep(c5_net *net, uint32_t i, uint64_t ns);

/** Nodes on different sides do not reach each other. */
void c5_net_cut(c5_net *net, uint32_t i, uint32_t side);

#endif
