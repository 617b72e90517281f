/*
 * A read of one key, as the read*.c files share it.
 *
 *   WAITING (no ring yet) -> ASKING -> REPAIRING -> ENDING
 *
 *   read.c         whom to ask, what counts, the result
 *   read_repair.c  what is stale is brought up to date behind the answer
 *
 * 1. A replica is settled when what it holds is known here: nothing, an object, or a digest that is
 *    that of an object at hand. The read ends when r settled ones count.
 * 2. Of primaries everything counts that is no error. A stand-in counts where it has something: it
 *    says nothing about what it was not given.
 * 3. Who is slow, cannot be reached or has failed is no longer waited for, and another is asked;
 *    its answer, should it come, counts all the same.
 * 4. All objects that came are merged, not only those that count.
 */
#ifndef KVI_COORDINATOR_READ_H
#define KVI_COORDINATOR_READ_H

#include "coordinator/impl.h"

#define KVI_READER_SENDS        4u    /* of one question to one replica */
#define KVI_READER_REPAIRS_MAX  1024u /* reads that repair; others leave it to the next one */
#define KVI_READER_REPAIR_SENDS 3u

enum kvi_reader_state {
    KVI_READER_WAITING,
    KVI_READER_ASKING,
    KVI_READER_REPAIRING,
    KVI_READER_ENDING
};

enum kvi_replica_state {
    KVI_REPLICA_UNASKED,
    KVI_REPLICA_ASKED,
    KVI_REPLICA_NOTHING,
    KVI_REPLICA_DIGEST,
    KVI_REPLICA_OBJECT,
    KVI_REPLICA_FAILED
};

typedef struct kvi_replica {
    uint64_t node;
    bool primary;
    uint8_t state;
    bool full; /* ASKED: for the object */
    bool slow; /* ASKED, and not waited for */
    uint8_t sends;
    uint64_t asked_ns, slow_ns, resend_ns, pause_ns;
    uint64_t digest; /* DIGEST, OBJECT */
    kvi_buf object;
    /* read_repair.c */
    bool stale;
    uint8_t repairs;
} kvi_replica;

typedef struct kvi_reader {
    kvi_job job;
    enum kvi_reader_state state;
    kvi_read_fn *told; /* NULL once it was called */
    void *user;
    uint32_t space, flags;
    uint8_t r;
    uint64_t deadline_ns;
    kvi_buf key, physical;
    kvi_plan plan;
    kvi_replica replicas[KVI_RING_LIST_MAX];
    kvi_replica *own; /* this node's, NULL where it is none that is asked */
    kvi_store_read read;
    bool reading;
    int failure; /* the last error of a replica */
    bool asked_full;

    /* read_repair.c */
    kvi_buf merged;  /* the encoded whole … */
    kvi_buf objects; /* … as the item of an APPLY */
    kvi_update update;
    kvi_object fresh; /* borrows from merged */
    bool updating;
    bool repairing; /* counted in kvi_coordinator.repairs */
    uint64_t repair_ns, repair_pause_ns;
} kvi_reader;

/* read.c */
void kvi_reader_go(kvi_reader *r, enum kvi_reader_state to);
void kvi_reader_step(kvi_reader *r);

/* read_repair.c: merged was answered. Whether there is something to repair. */
bool kvi_reader_repair_begin(kvi_reader *r, const kvi_object *merged);
/** Sends what is due; true where all is done or given up. */
bool kvi_reader_repair(kvi_reader *r);
void kvi_reader_repaired(kvi_reader *r, uint64_t from, const kvi_wire_apply_ack *ack);

#endif
