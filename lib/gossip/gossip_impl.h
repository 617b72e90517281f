/*
 * The inside of gossip: its state, its constants, and what its files call of each other. The
 * contract is gossip.h's.
 *
 *   gossip.c   life, the ring document, questions
 *   tick.c     the period: what the last probe came to, who is probed next
 *   receive.c  what arrives
 *   learn.c    what is believed: records are merged, suspicions run out
 *   send.c     what is sent: which records ride on a message, and the budget
 */
#ifndef KVI_GOSSIP_GOSSIP_IMPL_H
#define KVI_GOSSIP_GOSSIP_IMPL_H

#include "base/rng.h"
#include "gossip/table.h"

/** Relays asked to ping for us, and what we ping for others at a time. */
#define KVI_GOSSIP_RELAYS     3u
#define KVI_GOSSIP_RELAYS_MAX 16u

/** The local health multiplier ends here. */
#define KVI_GOSSIP_HEALTH_MAX 4u
#define KVI_GOSSIP_LEAP_MAX   65536u /* incarnations that others may be ahead of ours */

/** The ping's time-out, as parts of a period: before a round trip was measured, and its bounds. */
#define KVI_GOSSIP_TIMEOUT_FIRST(period) ((period) / 2)
#define KVI_GOSSIP_TIMEOUT_MIN(period)   ((period) / 8)
#define KVI_GOSSIP_TIMEOUT_MAX(period)   ((period) / 2)
#define KVI_GOSSIP_TIMEOUT_RELAY(period) ((period) / 4)

/** A suspicion lasts so many periods, and half the binary logarithm of the members, before it
 *  becomes a verdict; twice as long while no other confirms it. */
#define KVI_GOSSIP_SUSPICION_PERIODS 3u

/** Nobody is condemned unasked: in the last periods of a suspicion who holds it pings the accused,
 *  so many of them in a period. A refutation may be on its way to us behind much other news. */
#define KVI_GOSSIP_LAST_PERIODS 3u
#define KVI_GOSSIP_LAST_CALLS   4u

/** The longest wait between two probes of a dead one. */
#define KVI_GOSSIP_DEAD_PROBE_NS UINT64_C(30000000000)

/** How many of the dead are looked at in a period, for one that is due. */
#define KVI_GOSSIP_DEAD_SCAN 32u

/** A dead stranger is forgotten after this. */
#define KVI_GOSSIP_FORGET_NS UINT64_C(3600000000000)

/** Every so many periods a seed is knocked at though others are alive. */
#define KVI_GOSSIP_SEED_PERIODS 32u

/** A tick that is later than its time by more than so many periods: this node slept. */
#define KVI_GOSSIP_SLEPT_PERIODS 1u

/** Heartbeats of others on a ping or pong, where there are so few members that such word is fresh
 *  enough to mean something. */
#define KVI_GOSSIP_BEATS_TOLD    8u
#define KVI_GOSSIP_BEATS_MEMBERS 64u

/** A record is told by each who learns it so many times, and half the binary logarithm of the
 *  members more. Every one of them tells it on, and what that misses the digests find. */
#define KVI_GOSSIP_TELLS_LEAST 4u

/** Records of the queue on a message. */
#define KVI_GOSSIP_TOLD_MAX 128u

/** Draws for a random member before none is found. */
#define KVI_GOSSIP_PICK_DRAWS 16u

/** Of the messages of a period, this many are kept for what this node starts itself, and once half
 *  of the rest are sent, answers carry no records. */
#define KVI_GOSSIP_PERIOD_OWN 12u

/** A ping on somebody's behalf. */
typedef struct kvi_gossip_relay {
    uint64_t for_node; /* 0: free */
    uint64_t target;
    uint64_t due_ns;
    uint32_t for_seq, seq;
} kvi_gossip_relay;

typedef struct kvi_gossip_probe {
    uint64_t node; /* 0: none runs */
    uint64_t start_ns, indirect_ns;
    uint64_t told_beat; /* as it began */
    uint32_t seq;
    uint32_t asked, nacks; /* relays */
    bool answered, indirect;
} kvi_gossip_probe;

struct kvi_gossip {
    const kvi_mem *mem;
    kvi_gossip_table table;
    kvi_rng rng;
    uint64_t node_id, open_id;
    uint32_t incarnation;
    uint32_t wanted; /* the incarnation that persist was asked for; 0: none */
    char *address;
    size_t address_len;
    uint64_t period_ns;
    uint64_t beat; /* messages sent */
    uint64_t now_ns;
    uint64_t tick_ns; /* when the next period begins */
    uint32_t period;  /* periods begun */
    uint32_t seq;
    uint32_t health;
    uint32_t sent;        /* messages in this period */
    uint32_t beat_cursor; /* whose heartbeat is told next */
    uint32_t seed_cursor;
    bool urgent; /* a refutation waits to be told */
    kvi_gossip_probe probe;
    kvi_gossip_relay relays[KVI_GOSSIP_RELAYS_MAX];
    char *seeds[KVI_GOSSIP_SEEDS_MAX];
    uint32_t seed_count;
    uint8_t *out; /* message_max bytes */
    size_t message_max;
};

/* ---- learn.c ---- */

/** What became of a record. */
enum kvi_gossip_learnt {
    KVI_GOSSIP_OLD,   /* less than what is known */
    KVI_GOSSIP_SAME,  /* known */
    KVI_GOSSIP_NEWS,  /* taken */
    KVI_GOSSIP_UNFIT, /* of this node, or there is no room */
};

/** Merges a record. second_hand: told by a digest's difference, which may be old: a verdict is
 *  taken as a suspicion. */
enum kvi_gossip_learnt kvi_gossip_learn(kvi_gossip *g, const kvi_gossip_record *r, bool second_hand,
                                        const kvi_gossip_port *port);

/** This node suspects the slot, or confirms it. */
void kvi_gossip_accuse(kvi_gossip *g, kvi_gossip_slot *s, const kvi_gossip_port *port);

/** Verdicts over the suspects whose time is over; forgets dead strangers. */
void kvi_gossip_judge(kvi_gossip *g, const kvi_gossip_port *port);

/** This node slept: every suspicion begins anew. */
void kvi_gossip_grant(kvi_gossip *g);

/** Tells the owner. */
void kvi_gossip_tell_changed(const kvi_gossip_slot *s, const kvi_gossip_port *port);

/** The sum over part i of all that this node knows, itself included. */
uint32_t kvi_gossip_own_sum(const kvi_gossip *g, uint32_t part);

/* ---- send.c ---- */

/** What is to be sent. */
typedef struct kvi_gossip_letter {
    enum kvi_gossip_kind kind;
    uint32_t seq;
    uint64_t subject;
    bool answer;                      /* gives way when the period's messages run out */
    const kvi_gossip_message *differ; /* records of the parts where its sums differ from ours */
} kvi_gossip_letter;

/** Sends to a node at an address (borrowed). s is the receiver's slot, or NULL. */
void kvi_gossip_send(kvi_gossip *g, kvi_gossip_slot *s, uint64_t node, const char *address,
                     const kvi_gossip_letter *letter, const kvi_gossip_port *port);

/** A ping out of turn, at most one a period: the member does not know what is said of it. */
void kvi_gossip_contact(kvi_gossip *g, kvi_gossip_slot *s, const kvi_gossip_port *port);

/** Whether the sums of the message are not ours. */
bool kvi_gossip_differs(const kvi_gossip *g, const kvi_gossip_message *m);

/** A random member that is alive and has an address, other than `except`; NULL: none was found. */
kvi_gossip_slot *kvi_gossip_pick(kvi_gossip *g, uint64_t except);

/* ---- tick.c ---- */

/** Takes note of the time; sees whether this node slept. Every call that has the time begins so. */
void kvi_gossip_observe(kvi_gossip *g, uint64_t now_ns);

/** A new sequence number, not 0. */
uint32_t kvi_gossip_next_seq(kvi_gossip *g);

/** How long a pong of this member may take. */
uint64_t kvi_gossip_timeout_ns(const kvi_gossip *g, const kvi_gossip_slot *s);

/** floor(log2(n)), 0 for 0. */
static inline uint32_t kvi_gossip_log2(uint32_t n)
{
    uint32_t l = 0;

    while (n >>= 1)
        l++;
    return l;
}

#endif
