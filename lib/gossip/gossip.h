/*
 * Who is there, and who is alive: membership and failure detection by gossip. SWIM (Das, Gupta,
 * Motivala, "SWIM: Scalable Weakly-consistent Infection-style Process Group Membership Protocol",
 * DSN 2002) with the local health and the suspicion time-outs of Lifeguard (Dadgar, Phillips,
 * Currey, "Lifeguard: Local Health Awareness for More Accurate Failure Detection", 2017).
 *
 * Liveness is what is gossiped, ownership is not: who the members are is told by the ring document
 * (kvi_gossip_set_members). Nodes that are not in it, because they are joining, are known as they
 * are heard of, and forgotten when they have been dead for long.
 *
 * 1. A step function: no clock, lock, thread or random source of its own. The same calls give the
 *    same effects on every machine.
 * 2. What is known of a node is its record: open-id, incarnation, state, address. Records are
 *    ordered by (incarnation, open-id, state), and the greater one wins wherever two meet. Only a
 *    node itself raises its incarnation: at each open, and to refute what is said against it.
 * 3. An incarnation is told only once it is durable: the port's persist, then
 *    kvi_gossip_persisted.
 * 4. The dead are probed for ever, with back-off: a partition that heals is noticed.
 * 5. A node that notices that it slept condemns nobody for the time it was away.
 * 6. What is sent per period is bounded by KVI_GOSSIP_PERIOD_MESSAGES messages; one message by
 *    message_max bytes. What is beyond is not sent; an answer gives way first.
 * 7. The port is called from inside the calls that take it, and may not call back into them; it
 *    may ask (state, open-id, …).
 *
 * The owner of the node calls everything here, on its one thread.
 */
#ifndef KVI_GOSSIP_GOSSIP_H
#define KVI_GOSSIP_GOSSIP_H

#include "base/mem.h"
#include "base/slice.h"

/** Bounds of a configuration. */
#define KVI_GOSSIP_ADDRESS_MAX     255u /* bytes, without the terminator */
#define KVI_GOSSIP_MESSAGE_MIN     600u
#define KVI_GOSSIP_MESSAGE_DEFAULT 1200u
#define KVI_GOSSIP_MESSAGE_MAX     65536u
#define KVI_GOSSIP_PERIOD_NS       UINT64_C(1000000000)
#define KVI_GOSSIP_PERIOD_MIN_NS   UINT64_C(1000000)
#define KVI_GOSSIP_PERIOD_MAX_NS   UINT64_C(600000000000)

/** Nodes known at a time, in the ring document or not; what is beyond is not learnt. */
#define KVI_GOSSIP_MEMBERS_MAX 4096u
#define KVI_GOSSIP_SEEDS_MAX   16u

/** Messages a node sends in one of its periods at most, answers included. */
#define KVI_GOSSIP_PERIOD_MESSAGES 48u

/** In the order in which one wins over the other at the same incarnation. */
enum kvi_gossip_state {
    KVI_GOSSIP_UNKNOWN = 0, /* named by the ring document, not heard of yet; or no such member */
    KVI_GOSSIP_ALIVE = 1,
    KVI_GOSSIP_SUSPECT = 2, /* does not answer; has the chance to refute it */
    KVI_GOSSIP_DEAD = 3
};

typedef struct kvi_gossip kvi_gossip;

/** Strings are copied. */
typedef struct kvi_gossip_config {
    uint64_t node_id;     /* this node's, not 0 */
    uint64_t open_id;     /* drawn at this open, not 0 */
    uint32_t incarnation; /* of this open: greater than any that was persisted before, so not 0 */
    const char *address;  /* where the others reach this node; KVI_GOSSIP_ADDRESS_MAX at most */
    uint64_t period_ns;   /* 0: KVI_GOSSIP_PERIOD_NS */
    size_t message_max;   /* bytes of a message; 0: KVI_GOSSIP_MESSAGE_DEFAULT */
    uint64_t seed;        /* of the random choices */
} kvi_gossip_config;

/** The effects. body and address are borrowed for the call. */
typedef struct kvi_gossip_port {
    void *user;

    /** A message for a node. node 0: whoever lives at the address. It may get lost. */
    void (*send)(void *user, uint64_t node, const char *address, kvi_slice body);

    /** A member's state, open-id or address has changed, or the member is new or gone (UNKNOWN).
     *  Not told of this node itself. */
    void (*changed)(void *user, uint64_t node, enum kvi_gossip_state state);

    /** Make this incarnation durable, then call kvi_gossip_persisted: not from inside. */
    void (*persist)(void *user, uint32_t incarnation);
} kvi_gossip_port;

/** What the ring document says of a member. */
typedef struct kvi_gossip_peer {
    uint64_t node;
    const char *address; /* borrowed for the call */
} kvi_gossip_peer;

/** One member as it is known here; address is good until the next call that is no question. */
typedef struct kvi_gossip_member {
    uint64_t node, open_id; /* open_id 0: not heard of yet */
    const char *address;    /* "": not known */
    uint64_t heard_ns;      /* the last sign of life by itself; 0: none */
    uint32_t incarnation;   /* 0: not heard of yet */
    uint32_t rtt_us;        /* smoothed round trip; 0: not measured */
    enum kvi_gossip_state state;
    bool in_ring;
} kvi_gossip_member;

/** now_ns: the monotonic clock; the first period begins within the next period_ns. mem is borrowed
 *  and outlives it. KV_EINVAL (what a configuration breaks is in the detail), KV_ENOMEM. */
int kvi_gossip_new(kvi_gossip **out, const kvi_mem *mem, const kvi_gossip_config *config,
                   uint64_t now_ns) KVI_NODISCARD;

/** NULL is allowed. */
void kvi_gossip_free(kvi_gossip *g);

/** Addresses to knock at while no other member is known to be alive, and now and then after that.
 *  Replaces those before. KV_OK, KV_EINVAL, KV_ENOMEM. */
int kvi_gossip_set_seeds(kvi_gossip *g, const char *const *addresses, uint32_t count) KVI_NODISCARD;

/** The members by the ring document, this node among them or not. Others stay known as strangers.
 *  An address from here holds until the node itself tells another. KV_OK, KV_EINVAL (a node 0, an
 *  address that is too long, too many), KV_EBUSY (with the strangers they are too many), KV_ENOMEM:
 *  nothing changed, but for new members that were taken in already. */
int kvi_gossip_set_members(kvi_gossip *g, const kvi_gossip_peer *peers, uint32_t count,
                           const kvi_gossip_port *port) KVI_NODISCARD;

/** Does what is due. Early calls do nothing. */
void kvi_gossip_tick(kvi_gossip *g, uint64_t now_ns, const kvi_gossip_port *port);

/** When kvi_gossip_tick has to be called next. May be in the past. Moves by any call. */
uint64_t kvi_gossip_deadline(const kvi_gossip *g);

/** A message from node `from` (as the envelope names its sender). KV_OK (also for what is old,
 *  repeated or meant for another), KV_ECORRUPT for what is malformed or names another sender:
 *  nothing has changed then. */
int kvi_gossip_receive(kvi_gossip *g, uint64_t now_ns, uint64_t from, kvi_slice body,
                       const kvi_gossip_port *port) KVI_NODISCARD;

/** An envelope of a member arrived, whatever is in it: a sign of life of the open that it names. */
void kvi_gossip_heard(kvi_gossip *g, uint64_t now_ns, uint64_t node, uint64_t open_id,
                      const kvi_gossip_port *port);

/** A connection to the node was refused or reset: it is suspected at once. */
void kvi_gossip_suspect(kvi_gossip *g, uint64_t now_ns, uint64_t node, const kvi_gossip_port *port);

/** The incarnation that the port's persist asked for is durable; it is told from the next tick on,
 *  which is due at once. An older one is ignored. */
void kvi_gossip_persisted(kvi_gossip *g, uint32_t incarnation);

/** It could not be made durable: asked for again at the next accusation. */
void kvi_gossip_unpersisted(kvi_gossip *g);

/* Questions. This node itself is always ALIVE and is not among the members counted. */

enum kvi_gossip_state kvi_gossip_state(const kvi_gossip *g, uint64_t node);

/** 0 where it is not known. */
uint64_t kvi_gossip_open_id(const kvi_gossip *g, uint64_t node);

/** NULL where it is not known. Good until the next call that is no question. */
const char *kvi_gossip_address(const kvi_gossip *g, uint64_t node);

/** This node's, as it is told to the others. */
uint32_t kvi_gossip_incarnation(const kvi_gossip *g);

/** How badly this node itself does (Lifeguard's local health multiplier): 0 is well. */
uint32_t kvi_gossip_health(const kvi_gossip *g);

/** How many others are known, and the i-th of them by node id, i < count. */
uint32_t kvi_gossip_count(const kvi_gossip *g);
void kvi_gossip_at(const kvi_gossip *g, uint32_t i, kvi_gossip_member *out);

/** False where the node is not known (this node itself is not among them). */
bool kvi_gossip_find(const kvi_gossip *g, uint64_t node, kvi_gossip_member *out);

#endif
