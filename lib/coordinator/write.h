/*
 * A write at its coordinator, as the write*.c files share it.
 *
 *   WAITING -> COLLECTING -> DECIDING <-> BOUNDING
 *                            DECIDING -> SPREADING -> DECIDING (last write wins: stamped again)
 *   any of them -> ENDING
 *
 *   write.c         the states, the own replica, the answer
 *   write_ask.c     what was asked, copied and checked; of several writes to one key the last
 *   write_decide.c  the rules of siblings and the dots, under the lock of the token
 *   write_spread.c  to the other primaries, to stand-ins, and the markers
 *   write_collect.c what a delete without a context has to see first
 *
 * 1. told is called once: at W, at the time-out, or with the refusal.
 * 2. A refusal is definitive exactly where no write of the own replica was tried: nothing is sent
 *    to anybody before the own replica's object is readable.
 * 3. Who gave up before decide never writes: decide refuses then.
 * 4. Every slot is one primary. A slot is settled when its primary holds the write, or a stand-in
 *    does with a hint for it, or this node has a marker for it. Before the answer primaries are
 *    sent to all the same, since a marker is nobody's acknowledgement.
 * 5. Acknowledgements are counted per slot and per round. Of a primary and its stand-in one counts,
 *    since the stand-in drops its copy once the primary has one; those of an older stamp do not.
 */
#ifndef KVI_COORDINATOR_WRITE_H
#define KVI_COORDINATOR_WRITE_H

#include "coordinator/impl.h"

#define KVI_WRITER_ROUNDS       4u  /* of stamping above what replicas hold */
#define KVI_WRITER_STAND_IN     2u  /* sends to a primary, unanswered, until a stand-in is asked */
#define KVI_WRITER_STAND_IN_MAX 3u  /* sends to a stand-in until the next one is asked */
#define KVI_WRITER_MARKS        3u  /* tries to note a marker */
#define KVI_WRITER_COLLECTS     64u /* reads at once, of a batch with deletes */

enum kvi_writer_state {
    KVI_WRITER_WAITING,
    KVI_WRITER_COLLECTING,
    KVI_WRITER_DECIDING,
    KVI_WRITER_BOUNDING,
    KVI_WRITER_SPREADING,
    KVI_WRITER_ENDING
};

/** One write of it. Slices point into the writer's bytes. */
typedef struct kvi_writer_item {
    uint8_t op; /* KVI_WIRE_PUT, KVI_WIRE_DELETE */
    bool lww;
    bool collect;   /* a delete that has to see first */
    bool collected; /* seen is what was there */
    bool nothing;   /* … which was nothing */
    bool given_up;  /* superseded by a later write to the same key */
    uint32_t space;
    uint64_t ttl_ms;
    int64_t expires_ms;
    kvi_slice key, value;
    kvi_clock seen;
    struct kvi_writer *writer;
} kvi_writer_item;

enum kvi_holder_state {
    KVI_HOLDER_NONE,  /* not asked */
    KVI_HOLDER_SENT,  /* no answer yet */
    KVI_HOLDER_HELD,  /* as durable as asked */
    KVI_HOLDER_WEAK,  /* it has it, less durable, or something newer: no acknowledgement */
    KVI_HOLDER_FAILED /* it will not */
};

typedef struct kvi_holder {
    uint64_t node;
    uint8_t state;
    uint8_t sends;
    uint64_t resend_ns, pause_ns;
} kvi_holder;

enum kvi_marker_state { KVI_MARKER_NONE, KVI_MARKER_BUSY, KVI_MARKER_HELD, KVI_MARKER_FAILED };

/** A primary, and who holds the write in its place. */
typedef struct kvi_slot {
    kvi_holder primary, stand_in;
    uint8_t marker;
    uint8_t marks; /* tries */
} kvi_slot;

typedef struct kvi_writer {
    kvi_job job;
    enum kvi_writer_state state;
    kvi_outcome_fn *told; /* NULL once it was called */
    void *user;
    uint64_t deadline_ns;

    /* what was asked (write_ask.c) */
    kvi_wire_forward ask; /* scalars only */
    uint8_t durability;
    kvi_buf bytes; /* keys, values, context */
    kvi_slice context;
    kvi_writer_item *items;
    uint32_t count; /* of items that count */
    kvi_plan plan;
    uint32_t reads, collect_next; /* write_collect.c */
    int collect_err;
    uint8_t collect_acks, collect_primaries;

    /* the own replica (write.c, write_decide.c) */
    kvi_update update;
    bool updating; /* update is under way */
    bool decided;  /* decide has agreed in this round */
    bool wants_bound, again;
    uint32_t round;       /* 0: nothing was written yet */
    uint64_t bound;       /* BOUNDING: waits for this one */
    kvi_buf apply;        /* kvi_wire_object items of this round … */
    uint32_t applied;     /* … their count */
    kvi_buf made;         /* the sealed context of what was made */
    kvi_buf refused_by;   /* KV_ESIBLINGS: the object, and … */
    kvi_buf refused_seen; /* … its context */

    /* the others (write_spread.c) */
    kvi_slot slots[KVI_RING_N_MAX];
    kvi_holder *own;   /* this node's place in them, or … */
    kvi_holder lost;   /* … the one it had when its store failed and another took it */
    uint16_t stood_in; /* plan->nodes that were asked to stand in, as bits */
    kvi_update marker;
    bool marking;
    kvi_slot *marked; /* whose marker it is */
} kvi_writer;

/* write.c */
void kvi_writer_step(kvi_writer *w);
/** Tells, if that was not done yet. */
void kvi_writer_tell(kvi_writer *w, int err, bool definitive);
void kvi_writer_go(kvi_writer *w, enum kvi_writer_state to);

/* write_ask.c */
int kvi_writer_take(kvi_writer *w, const kvi_wire_forward *ask) KVI_NODISCARD;
/** The ring is known: the plan, and the policies of the items. */
int kvi_writer_place(kvi_writer *w) KVI_NODISCARD;
void kvi_writer_drop(kvi_writer *w);

/* write_decide.c */
int kvi_writer_decide(kvi_update *u);

/* write_collect.c */
/** Some item waits for what is there. */
bool kvi_writer_must_collect(const kvi_writer *w);
/** Goes on; true when all is collected or it failed (w->collect_err). */
bool kvi_writer_collect(kvi_writer *w);

/* write_spread.c */
/** Whether w nodes can be reached at all. */
bool kvi_writer_possible(const kvi_writer *w);
/** Which primary the own replica stands in for; 0: it is one itself. */
uint64_t kvi_writer_own_slot(kvi_writer *w);
/** This round's object is readable here: everybody is asked anew. */
void kvi_writer_spread_begin(kvi_writer *w);
/** Sends what is due; settles what can be. Returns when to be called next. */
uint64_t kvi_writer_spread(kvi_writer *w);
void kvi_writer_count(const kvi_writer *w, uint8_t *acks, uint8_t *primaries, uint8_t *fallbacks);
bool kvi_writer_settled(const kvi_writer *w);
/** Nothing that is under way or may happen brings another acknowledgement. */
bool kvi_writer_hopeless(const kvi_writer *w);
/** Has every slot that is not settled marked here. */
void kvi_writer_mark_rest(kvi_writer *w);
void kvi_writer_receive(kvi_job *job, uint64_t from, const kvi_wire_message *m);

#endif
