/*
 * Requests of clients, each one explicit state machine.
 *
 * 1. A write goes to the first reachable primary of its key, which coordinates it; where that is
 *    another node, as a FORWARD with a sequence number of this opening. A read is coordinated here.
 * 2. A FORWARD is executed at most once: the replay window of its origin (replay.h) knows every
 *    sequence of which a copy came. The origin repeats it to the same opening of the same node,
 *    never to another, unless that one's first verdict was that nothing was done and nothing will
 *    be.
 * 3. W counts distinct nodes that hold the write as durably as asked; a stand-in holds it with a
 *    durable hint, and does not count beside the primary it stands for, as it drops its copy once
 *    that one has it. A delete that finds nothing on R replicas writes nothing: it counts those. R
 *    counts distinct nodes that answered; a stand-in's "nothing" does not count.
 * 4. KV_OK means W. KV_EUNAVAILABLE means that nothing was written anywhere. Whatever is between is
 *    KV_EUNCERTAIN, with the counts.
 * 5. After its answer a write goes on until all its replicas hold it or a hint for each that does
 *    not; a read goes on until those found stale are repaired.
 * 6. What runs is bounded: KVI_REQUESTS_MAX; more are refused with KV_EBUSY, before anything is
 *    done.
 *
 * Step functions of the node's owner thread. Time is cluster->now_ns.
 */
#ifndef KVI_COORDINATOR_COORDINATOR_H
#define KVI_COORDINATOR_COORDINATOR_H

#include "coordinator/request.h"
#include "replication/replication.h"

#define KVI_REQUESTS_MAX         65536u
#define KVI_REQUEST_RESEND_NS    UINT64_C(200000000) /* first repetition of what was not answered */
#define KVI_REQUEST_LOOK_NS      UINT64_C(50000000)  /* nobody can be reached: when to look again */
#define KVI_REQUEST_RESENDS      6u                  /* with doubled pauses */
#define KVI_REQUEST_HEDGE_MIN_NS UINT64_C(2000000)   /* no hedge before; else p95 of the replica */

typedef struct kvi_coordinator kvi_coordinator;

typedef struct kvi_coordinator_config {
    const kvi_mem *mem;
    kvi_effects *effects;
    kvi_cluster *cluster;         /* its births are raised through the updates */
    kvi_replication *replication; /* this node's own replica */
    uint64_t hlc_bound;           /* persisted: stamps up to it may have been given */
    /** Persists a new bound; then calls kvi_coordinator_hlc_bounded(), later: with the bound, or,
     *  where that could not be done, with 0. */
    void (*persist_hlc)(void *user, uint64_t bound);
    void *user;
} kvi_coordinator_config;

int kvi_coordinator_new(const kvi_coordinator_config *config, kvi_coordinator **out) KVI_NODISCARD;
/** Nothing is under way. */
void kvi_coordinator_free(kvi_coordinator *c);

/** Takes a request over until its done. */
void kvi_coordinator_begin(kvi_coordinator *c, kvi_request *request);
/** Gives one up that begin took: done comes soon, with KV_ECANCELED where nothing was written or
 *  sent, else KV_EUNCERTAIN (reads: KV_ECANCELED). No effect where done is on its way. */
void kvi_coordinator_cancel(kvi_coordinator *c, kvi_request *request);
/** All of them, for closing; new ones are refused from now on. */
void kvi_coordinator_cancel_all(kvi_coordinator *c);
/** Requests and what goes on after their answers, that still wait for effects. */
bool kvi_coordinator_idle(const kvi_coordinator *c);

/** A message of kind FORWARD, FORWARD_ANSWER, READ_ANSWER, SCAN_ANSWER, or an APPLY_ACK whose id
 *  has not KVI_REPLICATION_ID, from a member in its opening from_open. */
void kvi_coordinator_receive(kvi_coordinator *c, uint64_t from, uint64_t from_open,
                             const kvi_wire_message *m);

/** Something became due: what was begun, a timer, a done to be called. To be called whenever the
 *  deadline has come, also within the step that brought it forward. */
void kvi_coordinator_tick(kvi_coordinator *c);
uint64_t kvi_coordinator_deadline(const kvi_coordinator *c);

/** cluster->ring is another document, or serves now. */
void kvi_coordinator_ring_changed(kvi_coordinator *c);
/** A member is unreachable now, or was opened again: what waits for it looks further. */
void kvi_coordinator_peer_changed(kvi_coordinator *c, uint64_t node);
/** persist_hlc has ended. */
void kvi_coordinator_hlc_bounded(kvi_coordinator *c, uint64_t bound);

#endif
