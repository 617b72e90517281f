/*
 * The members that are known: slots in one array, found by node id, strung on lists by their
 * state, by what is still to be told of them, and by the part of the digest they count in. Pure.
 *
 * 1. A slot keeps its number until it is dropped; pointers to slots are good until the next add.
 *    Lists link numbers.
 * 2. A SUSPECT slot is on the suspects' list, a DEAD one on the dead ones', others on neither.
 * 3. sums[i] is the sum of `sum` over the slots of part i. A slot that is UNKNOWN, or a dead
 *    stranger, counts as 0: who has forgotten it differs in nothing from who has not.
 * 4. Nothing here depends on an address: order comes from node ids and from the calls before.
 */
#ifndef KVI_GOSSIP_TABLE_H
#define KVI_GOSSIP_TABLE_H

#include "gossip/message.h"

#define KVI_GOSSIP_NONE UINT32_MAX

/** Independent suspicions that shorten the time-out as far as it goes (Lifeguard's k). */
#define KVI_GOSSIP_CONFIRMERS 3u

/** A record is told at most so many times, whatever the number of members. */
#define KVI_GOSSIP_TELLS_MAX 48u

typedef struct kvi_gossip_slot {
    uint64_t node, open_id;
    char *address;      /* owned; NULL: not known */
    uint64_t beat;      /* the last message by itself */
    uint64_t told_beat; /* the greatest that others told of this open */
    uint64_t heard_ns;  /* the last sign of life by itself; 0: none */
    uint64_t since_ns;  /* since when it is in its state */
    uint64_t due_ns;    /* SUSPECT: condemned then. DEAD: next probe */
    uint64_t by;        /* SUSPECT: who said so last */
    uint32_t incarnation;
    uint32_t rtt_us, rtt_dev_us;
    uint32_t next, prev;           /* by state */
    uint32_t tell_next, tell_prev; /* what is to be told */
    uint32_t part_next, part_prev; /* of the digest */
    uint32_t sum;
    uint32_t contacted; /* the period it was last pinged out of turn in */
    uint32_t confirmers[KVI_GOSSIP_CONFIRMERS + 1]; /* folded ids; the first is who began */
    uint8_t state;                                  /* enum kvi_gossip_state */
    uint8_t confirms;                               /* SUSPECT: how many are in confirmers */
    uint8_t tells;                                  /* times told since it changed */
    uint8_t back_off;
    uint8_t address_len;
    bool in_ring, queued; /* queued: it is to be told */
    bool behind;          /* it does not know yet what is said of it */
    bool spared;          /* its last failed probe was overruled by others' word */
} kvi_gossip_slot;

typedef struct kvi_gossip_chain {
    uint32_t first, last;
} kvi_gossip_chain;

typedef struct kvi_gossip_table {
    const kvi_mem *mem;
    kvi_gossip_slot *slots;
    uint32_t *by_id; /* numbers of slots, sorted by node */
    uint32_t *index; /* 2 * cap numbers of slots + 1 by the hash of node, 0: none; linear probing */
    uint64_t seed;   /* of that hash: node ids are chosen by others */
    uint32_t *order; /* numbers of slots in the order in which they are probed */
    uint32_t count, cap;
    uint32_t used; /* slots ever used: the ones from here on are untouched */
    uint32_t free; /* dropped slots, by next */
    uint32_t cursor;
    uint32_t alive; /* slots in state ALIVE */
    kvi_gossip_chain suspects, dead;
    kvi_gossip_chain tells[KVI_GOSSIP_TELLS_MAX]; /* by times told */
    uint32_t tell_count;
    kvi_gossip_chain parts[KVI_GOSSIP_SUMS_MAX];
    uint32_t sums[KVI_GOSSIP_SUMS_MAX];
} kvi_gossip_table;

void kvi_gossip_table_init(kvi_gossip_table *t, const kvi_mem *mem, uint64_t seed);
void kvi_gossip_table_deinit(kvi_gossip_table *t);

/** The slot of a node; NULL where it is not known. */
kvi_gossip_slot *kvi_gossip_table_find(const kvi_gossip_table *t, uint64_t node);

/** A new slot, UNKNOWN, with no address, at place `where` modulo of what is left of this round's
 *  probes. The node is not known yet. KV_OK, KV_EBUSY (full), KV_ENOMEM. */
int kvi_gossip_table_add(kvi_gossip_table *t, uint64_t node, uint64_t where, kvi_gossip_slot **out)
    KVI_NODISCARD;

void kvi_gossip_table_drop(kvi_gossip_table *t, kvi_gossip_slot *s);

/** Sets the address; KV_OK (*changed says whether it is another), KV_ENOMEM. */
int kvi_gossip_table_set_address(kvi_gossip_table *t, kvi_gossip_slot *s, kvi_slice address,
                                 bool *changed) KVI_NODISCARD;

/** Moves between the lists of invariant 2. */
void kvi_gossip_table_set_state(kvi_gossip_table *t, kvi_gossip_slot *s,
                                enum kvi_gossip_state state);

/** Brings invariant 3 about after a change of open-id, incarnation, state or in_ring. */
void kvi_gossip_table_resum(kvi_gossip_table *t, kvi_gossip_slot *s);

/** To be told from now on, before all that was told `tells` times (0 or more) before. */
void kvi_gossip_table_queue(kvi_gossip_table *t, kvi_gossip_slot *s, uint8_t tells);

/** Takes out the slot that was told the fewest times, the newest of them; NULL: there is none. */
kvi_gossip_slot *kvi_gossip_table_unqueue(kvi_gossip_table *t);

/** Back to those that were told s->tells times, behind them, unless that is `limit`. */
void kvi_gossip_table_requeue(kvi_gossip_table *t, kvi_gossip_slot *s, uint32_t limit);

/** Moves a listed slot (SUSPECT, DEAD) behind the others of its state. */
void kvi_gossip_table_to_back(kvi_gossip_table *t, kvi_gossip_slot *s);

/** Which part a node counts in, and with how much. */
uint32_t kvi_gossip_part_of(uint64_t node);
uint32_t kvi_gossip_sum_of(uint64_t node, uint64_t open_id, uint32_t incarnation,
                           enum kvi_gossip_state state);

static inline uint32_t kvi_gossip_slot_number(const kvi_gossip_table *t, const kvi_gossip_slot *s)
{
    return (uint32_t)(s - t->slots);
}

#endif
