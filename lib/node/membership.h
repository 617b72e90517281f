/*
 * How the node comes to a ring document and to newer ones: creating a cluster, joining one, asking
 * for changes, and, where it is the authority (the one voter), deciding them.
 *
 * 1. A document is adopted only if it is of this cluster, newer, and has this node in it; it is
 *    durable here before it counts. One at a time; what comes meanwhile comes again.
 * 2. The authority decides changes one after the other, each durable before it is told to anybody:
 *    no two documents of one epoch exist. A majority of one voter is that voter.
 * 3. Joining is for a cluster that is forming: KV_ENOTSUP once it serves. It begins to serve when
 *    a first request wants it and as many members are there as the default space has replicas (so
 *    that a first request does not shut out those who are still on their way); alone, at once.
 * 4. A joining node asks its seeds in turn, with back-off, for ever; why it is not let in is told
 *    to the log and to requests that wait.
 * 5. Changes that wait are bounded: KVI_CHANGES_MAX; more are refused with KV_EBUSY.
 */
#ifndef KVI_NODE_MEMBERSHIP_H
#define KVI_NODE_MEMBERSHIP_H

#include "node/node.h"

#define KVI_CHANGES_MAX       256u
#define KVI_JOIN_PAUSE_NS     UINT64_C(200000000) /* then half as much again, up to … */
#define KVI_JOIN_PAUSE_MAX_NS UINT64_C(5000000000)
#define KVI_CHANGE_RESEND_NS  UINT64_C(200000000)
#define KVI_ADOPT_RETRY_NS    UINT64_C(200000000) /* the modules are told again of what they lack */
/* To one peer: asking for a newer document, telling of one, saying which opening is here. */
#define KVI_RING_TELL_NS      UINT64_C(300000000)

/** A change that the authority has to decide. */
typedef struct kvi_change kvi_change;

typedef struct kvi_membership {
    kvi_node *node;
    /* Joining. */
    char **seeds;
    uint32_t seed_count, seed_next;
    uint64_t join_at, join_pause; /* join_at: UINT64_MAX where nothing is to be asked */
    char *zone;
    uint16_t weight;
    char why[KVI_ERROR_DETAIL_MAX + 1]; /* there is no ring yet */
    /* Adopting. */
    struct kvi_record_write *record;
    kvi_ring *next;   /* on its way to the disk; NULL: none */
    uint64_t tell_at; /* the modules do not know all of the ring yet; UINT64_MAX: they do */
    /* Deciding. */
    kvi_list changes; /* kvi_change; the first one's document is `next` while deciding */
    uint32_t change_count;
    bool deciding;
    /* Asking. */
    kvi_list asks; /* kvi_space_ask */
    uint64_t next_change_id;
    bool want_serving;
    uint64_t serve_id, serve_at;
    char serve_why[KVI_ERROR_DETAIL_MAX + 1];
} kvi_membership;

/** Reads or creates the ring, and sets the node's cluster up with it. May wait for the disk: for
 *  opening. */
int kvi_membership_open(kvi_membership *m, kvi_node *n, const kvi_node_config *config)
    KVI_NODISCARD;
/** Ends what is asked. Nothing is on its way to the disk. */
void kvi_membership_close(kvi_membership *m);

/** JOIN, JOIN_ANSWER, RING_ASK, RING, CHANGE, CHANGE_ANSWER. from: the envelope's sender. */
void kvi_membership_receive(kvi_membership *m, uint64_t from, const kvi_wire_message *msg);
/** An envelope of a member named this epoch. */
void kvi_membership_epoch(kvi_membership *m, uint64_t from, uint64_t epoch);

void kvi_membership_want_serving(kvi_membership *m);
void kvi_membership_ask_space(kvi_membership *m, kvi_space_ask *ask);
void kvi_membership_tick(kvi_membership *m);
uint64_t kvi_membership_deadline(const kvi_membership *m);

/* --- between membership.c, adopt.c and authority.c -------------------------------------------- */

/** adopt.c: takes over ring, a newer document, makes it durable and then the node's. False, and it
 *  stays the caller's: another is on its way, or there is no memory to encode it. */
bool kvi_adopt_begin(kvi_membership *m, kvi_ring *ring);
/** adopt.c: decodes, checks and begins. */
void kvi_adopt_bytes(kvi_membership *m, kvi_slice document);
/** adopt.c: the ring is the node's now: tells the modules. KV_ENOMEM: some do not know all of
 *  it. */
int kvi_adopt_tell(kvi_membership *m);
/** adopt.c: does that again, where it had failed and its time has come. */
void kvi_adopt_retry(kvi_membership *m);

/** authority.c: this node decides. */
bool kvi_authority_is_self(const kvi_membership *m);
uint64_t kvi_authority_of(const kvi_ring *ring);
/** authority.c: queues a change asked by `from` (0 and no address: by this node). KV_EBUSY,
 *  KV_ENOMEM. */
int kvi_authority_join(kvi_membership *m, uint64_t from, const kvi_wire_join *join) KVI_NODISCARD;
int kvi_authority_change(kvi_membership *m, uint64_t from, const kvi_wire_change *change)
    KVI_NODISCARD;
/** authority.c: adopting `next` has ended. */
void kvi_authority_decided(kvi_membership *m, int err);
void kvi_authority_close(kvi_membership *m);

/** membership.c: what the authority says to a change that this node asked for. */
void kvi_membership_answer(kvi_membership *m, const kvi_wire_change_answer *answer);
/** membership.c: the ring has changed: what was asked for may be there. */
void kvi_membership_ring_changed(kvi_membership *m);
/** membership.c: sends this node's document. */
void kvi_membership_tell_ring(kvi_membership *m, uint64_t node);

#endif
