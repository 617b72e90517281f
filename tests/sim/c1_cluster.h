/*
 * A simulated cluster as the swarm uses it: it forms, its machines crash, pause and come back, and
 * the oracle looks into their engines.
 *
 * 1. A look changes nothing: it reads engines, in between the steps of their stores.
 * 2. kill and pause are noted, so that the oracle knows who could not have answered.
 * 3. Who makes a call that waits says so by c1_cluster_blocking(): callbacks wait meanwhile.
 */
#ifndef KVT_SIM_C1_CLUSTER_H
#define KVT_SIM_C1_CLUSTER_H

#include "base/buf.h"
#include "ring/ring.h"
#include "sim/c1_plan.h"

typedef struct c1_machine {
    kv *db; /* NULL: it is down */
    uint64_t node;
    bool paused;
    uint64_t idle_since; /* paused or blocked; 0: it runs */
    uint64_t idle_ns;    /* in all, before that */
    uint64_t downs;      /* how often it went down … */
    uint64_t down_at;    /* … the last time */
    uint64_t up_at;      /* when it is to come back */
    int64_t jumped_ms;
    bool ailing; /* its disk fails */
} c1_machine;

typedef struct c1_cluster {
    const c1_plan *plan; /* borrowed */
    kv_sim *sim;
    kvi_mem mem;
    c1_machine machines[C1_MACHINES_MAX];
    kvi_buf physical; /* of a look */
    uint64_t opens, crashes, closes;
    char why[256]; /* what should not have failed */
} c1_cluster;

/** false: why. */
bool c1_cluster_init(c1_cluster *c, const c1_plan *plan);
/** Crashes what is left. */
void c1_cluster_deinit(c1_cluster *c);

/** Runs until all are members at each. */
bool c1_cluster_form(c1_cluster *c);

bool c1_cluster_open(c1_cluster *c, unsigned machine);
/** Power loss or the end of its process; closes: in peace. */
void c1_cluster_kill(c1_cluster *c, unsigned machine, bool closes);
void c1_cluster_pause(c1_cluster *c, unsigned machine, bool paused);
void c1_cluster_blocking(c1_cluster *c, unsigned machine, bool begins);
/** Nanoseconds so far in which the machine stood still. */
uint64_t c1_cluster_idle_ns(const c1_cluster *c, unsigned machine);
unsigned c1_cluster_up(const c1_cluster *c);

/** Whether each that is up takes all others for alive, and the hints that they keep. */
bool c1_cluster_quiet(c1_cluster *c, uint64_t *hints);

/** The newest document; NULL: no machine that is up has one. */
const kvi_ring *c1_cluster_ring(const c1_cluster *c);
/** The primaries of a key, as machines, and then the others that may stand in. */
unsigned c1_cluster_walk(const c1_cluster *c, kvi_slice key, unsigned *out_machines,
                         unsigned *primaries);

/** The object of a key at a machine that is up. KV_ENOTFOUND. */
int c1_cluster_object(c1_cluster *c, unsigned machine, kvi_slice key, kvi_buf *out);

#endif
