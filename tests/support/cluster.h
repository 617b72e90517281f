/*
 * A cluster of coordinators with their replicas for tests: in virtual time, over a network that
 * delays, loses, doubles and reorders, with nodes that crash and are opened again. One seed decides
 * all.
 *
 *     cl = kvt_cluster_new(seed, nodes, n, mem);
 *     kvt_cluster_begin(cl, node, &request);       any number of times
 *     while (kvt_cluster_step(cl)) …               what is due next, in drawn order
 *     kvt_cluster_free(cl);
 *
 * 1. A message that was sent to one opening of a node never reaches another one.
 * 2. What a node believes (who is reachable, who is open as what) is told to it by
 *    kvt_cluster_notice(), or by what it receives; it may be wrong meanwhile.
 * 3. A crash loses what was not synced, and all requests that the node had.
 *
 * What cannot be set up ends the test.
 */
#ifndef KVT_SUPPORT_CLUSTER_H
#define KVT_SUPPORT_CLUSTER_H

#include "coordinator/coordinator.h"
#include "support/fake_effects.h"
#include "vclock/object.h"

#define CL_NODES_MAX 6u
#define CL_LWW       16u /* the id of a last-write-wins space */
#define CL_NONE      ((unsigned)-1)

typedef struct cl_parcel {
    kvt_sent sent;
    unsigned from, to;
    uint64_t from_open, to_open, at_ns;
    unsigned copies;
} cl_parcel;

struct kvt_cluster;

typedef struct cl_node {
    struct kvt_cluster *cluster;
    unsigned index;
    kvt_effects fx;
    kvi_coordinator *c;
    kvi_replication *r;
    bool up, dying;
    uint64_t hlc_bound, persisting;
    bool believes[CL_NODES_MAX];
    uint64_t knows_open[CL_NODES_MAX];
} cl_node;

typedef struct kvt_cluster {
    kvt_rng rng;
    kvi_mem mem; /* of the nodes' coordinators and replicas */
    unsigned count;
    cl_node nodes[CL_NODES_MAX];
    bool cut[CL_NODES_MAX][CL_NODES_MAX]; /* from, to */
    kvi_ring *ring;
    cl_parcel *parcels;
    size_t parcel_count, parcel_cap;
    uint64_t now_ns, opens;
    unsigned loss_ppm, double_ppm;
    uint64_t delay_max_ns;
    uint64_t delivered[KVI_WIRE_KINDS];
    unsigned wanted; /* want_serving was called */
} kvt_cluster;

/* --- the whole -------------------------------------------------------------------------------- */

/** count nodes are open and have noticed each other; the ring serves, with n replicas. mem is
 *  copied, and its allocator borrowed; NULL: the process's. */
kvt_cluster *kvt_cluster_new(uint64_t seed, unsigned count, uint8_t n, const kvi_mem *mem);

/** Ends what still runs; every request is done by then. */
void kvt_cluster_free(kvt_cluster *cl);

/** A ring of all nodes, with n replicas and a last-write-wins space; the caller's. */
kvi_ring *cl_ring(kvt_cluster *cl, uint8_t n, bool serve);

/** All nodes learn this ring, which becomes the cluster's. */
void cl_set_ring(kvt_cluster *cl, kvi_ring *ring);

/* --- nodes ------------------------------------------------------------------------------------ */

void kvt_cluster_crash(kvt_cluster *cl, unsigned node);
void kvt_cluster_reopen(kvt_cluster *cl, unsigned node);

/** node sees the others as they are. */
void kvt_cluster_notice(kvt_cluster *cl, unsigned node);

/** n believes this of another node, true or not. */
void cl_know(cl_node *n, unsigned other, bool up, uint64_t open_id);

/** Takes a node from the others, and tells them; or brings it back. */
void cl_isolate(kvt_cluster *cl, unsigned node, bool away);

/* --- time and the network --------------------------------------------------------------------- */

/** Does one thing, moving time where nothing is due. false: nothing is left to do until then. */
bool cl_step(kvt_cluster *cl, uint64_t until_ns);
bool kvt_cluster_step(kvt_cluster *cl);
void kvt_cluster_run_ns(kvt_cluster *cl, uint64_t ns);

/** What a node has sent goes on its way. */
void cl_post(kvt_cluster *cl, unsigned from);

/** The nodes' clocks say what cl->now_ns says. */
void cl_time(kvt_cluster *cl);

/* --- requests --------------------------------------------------------------------------------- */

typedef struct cl_request {
    kvi_request r;
    unsigned node;
    unsigned dones;
    bool lost; /* its node crashed */
    char key[32], value[32];
    kvi_buf context;
    kvt_cluster *cluster;
    void (*check)(struct cl_request *q); /* from inside done; may be NULL */
    void *user;
} cl_request;

/** key and value are copied; value may be NULL. */
void cl_request_init(kvt_cluster *cl, cl_request *q, enum kvi_request_call call, const char *key,
                     const char *value);
void cl_request_deinit(cl_request *q);

/** The context of "nothing was seen" for a key. */
void cl_empty_context(kvt_cluster *cl, cl_request *q);

/** q stays where it is until it is done. */
void kvt_cluster_begin(kvt_cluster *cl, unsigned node, cl_request *q);

/** Begins it and steps until it is done. */
int kvt_cluster_call(kvt_cluster *cl, unsigned node, cl_request *q);

/* --- looking into stores ---------------------------------------------------------------------- */

/** The object of a key as a node's store has it now; false: none. o is initialised. */
bool cl_object(kvt_cluster *cl, unsigned node, uint32_t space, kvi_slice key, kvi_object *o);

/** How many siblings of o have this value. */
unsigned cl_copies(const kvi_object *o, const char *value);

/** Nodes whose store has a sibling of this value. */
unsigned cl_holders(kvt_cluster *cl, uint32_t space, kvi_slice key, const char *value);

/** The nodes for a key, primaries first, as indexes; returns how many. */
unsigned cl_walk(const kvt_cluster *cl, const char *key, unsigned n, unsigned *nodes);

#endif
