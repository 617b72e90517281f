/*
 * What a replica owes the others: it applies what they send, answers what they ask, keeps hints for
 * those that are away and brings them home.
 *
 * 1. An APPLY is answered when its objects are merged, readable, and as durable as it asked; the
 *    answer says how durable. It is idempotent: doubled and late ones do no harm.
 * 2. A hint is a marker beside the object (key.h), written in one batch with it. It is deleted only
 *    after its owner has answered *durably* that it holds what was sent, and only if the object is
 *    still that; the object goes with the last marker where this node is no primary of it. What is
 *    given up by age, or because its owner has left the ring, takes along the marker only.
 * 3. Hints are capped by count, bytes and age (KVI_HINTS_…). An APPLY that would pass a cap is
 *    refused with KV_ENOSPC before anything is written. Replay is paced.
 * 4. A read that fails is answered by its error, never as "nothing".
 * 5. Merges have no cap on siblings and never prune.
 *
 * The answer to an APPLY, beside KV_OK:
 *   KV_ECONFLICT     last write wins: this replica holds a newer stamp than an item; newer is that
 *                    object, the newest where there are several. The other items were applied.
 *                    Without newer: a stamp is more than KVI_HLC_DRIFT_MAX_MS ahead of the clock
 *                    here. A HANDOFF has nobody who could stamp again: a newer one is KV_OK to it.
 *   KV_ENOSPC, KV_EBUSY, KV_EUNAVAILABLE (no ring yet), KV_EINVAL, KV_ETOOBIG, KV_ECORRUPT (what
 *                    came or what is here cannot be read): nothing was written.
 *   others           as the storage said.
 *
 * Step functions of the node's owner thread. Time is cluster->now_ns.
 */
#ifndef KVI_REPLICATION_REPLICATION_H
#define KVI_REPLICATION_REPLICATION_H

#include "replication/update.h"
#include "vclock/hlc.h"

#define KVI_HINTS_COUNT_MAX  (1u << 20)          /* of one node, for all owners */
#define KVI_HINTS_BYTES_MAX  (UINT64_C(1) << 30) /* of the objects they stand for */
#define KVI_HINTS_AGE_MAX_MS INT64_C(604800000)  /* a week: then it is anti-entropy's business */
#define KVI_HINTS_PACE       64u                 /* replays under way at once, per owner */

/* A replay without an answer is sent again, with doubled pauses; then others get their turn. An
 * owner that refused one is left alone for a while, and longer each time. */
#define KVI_HINTS_RESEND_NS    UINT64_C(200000000)
#define KVI_HINTS_RESENDS      6u
#define KVI_HINTS_PAUSE_NS     UINT64_C(100000000)
#define KVI_HINTS_PAUSE_MAX_NS UINT64_C(30000000000)

#define KVI_SCAN_LIMIT_MAX   4096u               /* entries of one SCAN_ANSWER … */
#define KVI_SCAN_BYTES_MAX   (UINT32_C(1) << 20) /* … and bytes, but for one that is larger */
#define KVI_REPLICA_JOBS_MAX 65536u              /* APPLY, READ, SCAN under way; else KV_EBUSY */

/** Ids of messages: those of replication have this bit, the coordinator's do not, so that an answer
 *  finds who asked. */
#define KVI_REPLICATION_ID (UINT64_C(1) << 63)

typedef struct kvi_replication kvi_replication;

typedef struct kvi_replication_config {
    const kvi_mem *mem;
    kvi_effects *effects;
    kvi_cluster *cluster;
    uint64_t hints_count_max, hints_bytes_max; /* 0: KVI_HINTS_… */
    int64_t hints_age_max_ms;
} kvi_replication_config;

/** Since kvi_replication_new(). */
typedef struct kvi_replication_stats {
    uint64_t applied;         /* objects that were merged, whether they brought anything or not */
    uint64_t drift_refused;   /* APPLYs with a stamp too far ahead */
    uint64_t hints_refused;   /* by a cap */
    uint64_t hints_settled;   /* their owner has it */
    uint64_t hints_dropped;   /* too old, or for nobody */
    uint64_t objects_dropped; /* with their last hint */
    uint64_t replays;         /* APPLYs sent, repetitions included */
} kvi_replication_stats;

/** Begins by counting the hints that are there (asynchronously; replay waits for it). */
int kvi_replication_new(const kvi_replication_config *config, kvi_replication **out) KVI_NODISCARD;
/** Nothing is under way: all effects have completed, with KV_ECANCELED perhaps. */
void kvi_replication_free(kvi_replication *r);

/** For the coordinator: updates of this node's own replica. */
kvi_updates *kvi_replication_updates(kvi_replication *r);

/** A message of kind APPLY, READ, SCAN, or an APPLY_ACK with KVI_REPLICATION_ID, from a member. m
 *  is borrowed. */
void kvi_replication_receive(kvi_replication *r, uint64_t from, const kvi_wire_message *m);

/** Something became due, a member came back, or the ring changed. */
void kvi_replication_tick(kvi_replication *r);
/** When tick is next due, monotonic ns; UINT64_MAX: never. */
uint64_t kvi_replication_deadline(const kvi_replication *r);

/** Hints kept for a member; 0: for all. */
uint64_t kvi_replication_hints(const kvi_replication *r, uint64_t owner);
const kvi_replication_stats *kvi_replication_statistics(const kvi_replication *r);
/** A hint for this object (bytes) would be taken now. */
bool kvi_replication_hint_room(const kvi_replication *r, uint64_t bytes);

#endif
