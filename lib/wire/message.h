/*
 * What nodes say to each other: one struct for each kind of message. Their bytes: wire_format.h;
 * writing and reading them: envelope.h.
 *
 * 1. Slices are borrowed: from the envelope where a message was decoded, from the caller where it
 *    is to be encoded. They live as long as those bytes stay where they are.
 * 2. Objects, contexts, ring documents and gossip are opaque here: whoever reads them checks them.
 * 3. What is decoded is within the limits of wire_format.h, its enums are of the values named here,
 *    and its lists are well-formed. The encoder refuses the same things that the decoder does.
 * 4. Numbers that come from a request (flags, r, w, durability, condition) are passed on as they
 *    are; who acts on them checks them.
 *
 * Used by gossip, replication, coordinator and node, on the node's thread.
 */
#ifndef KVI_WIRE_MESSAGE_H
#define KVI_WIRE_MESSAGE_H

#include "base/slice.h"
#include "wire/items.h"
#include "wire/wire_format.h"

/* ---- the ring ---------------------------------------------------------------------------- */

/** Asks to become a member. */
typedef struct kvi_wire_join {
    uint64_t node_id;
    uint16_t weight;
    kvi_slice zone;    /* may be empty; at most KVI_WIRE_NAME_MAX */
    kvi_slice address; /* at most KVI_WIRE_ADDRESS_MAX */
} kvi_wire_join;

typedef struct kvi_wire_join_answer {
    int32_t err;      /* KV_OK or a KV_E… code, as every err here */
    kvi_slice detail; /* for a person; the encoder cuts it at KVI_WIRE_DETAIL_MAX */
    kvi_slice document;
} kvi_wire_join_answer;

/** "Yours is newer than mine: send it." */
typedef struct kvi_wire_ring_ask {
    uint64_t epoch_have;
} kvi_wire_ring_ask;

typedef struct kvi_wire_ring {
    kvi_slice document;
} kvi_wire_ring;

enum kvi_wire_change_what { KVI_WIRE_CHANGE_SERVE = 1, KVI_WIRE_CHANGE_ADD_SPACE = 2 };

/** A space's policy; the fields of kv_policy that are recorded. */
typedef struct kvi_wire_policy {
    uint8_t n, r, w, mode, conflict;
    uint64_t ttl_ms;
} kvi_wire_policy;

/** Asks the authority to change the ring. Name and policy are ADD_SPACE's, else empty and zero. */
typedef struct kvi_wire_change {
    uint64_t id;
    uint8_t what;   /* enum kvi_wire_change_what */
    kvi_slice name; /* at most KVI_WIRE_NAME_MAX */
    kvi_wire_policy policy;
} kvi_wire_change;

typedef struct kvi_wire_change_answer {
    uint64_t id;
    int32_t err;
    kvi_slice detail;
    kvi_slice document;
} kvi_wire_change_answer;

/* ---- gossip: pings, pongs, digests, deltas: the body says which ---------------------------- */

typedef struct kvi_wire_gossip {
    kvi_slice body;
} kvi_wire_gossip;

/* ---- requests ---------------------------------------------------------------------------- */

/** A client's write, sent to the node that coordinates it. PUT and DELETE have a key (DELETE no
 *  value) and no items; BATCH has items (kvi_wire_op) and neither key nor value. */
typedef struct kvi_wire_forward {
    uint64_t seq;
    uint8_t op; /* enum kvi_wire_op_kind */
    uint32_t flags;
    uint8_t r, w, durability, condition;
    uint64_t timeout_ns; /* what is left of it */
    uint64_t ttl_ms;
    uint32_t space;
    kvi_slice key, value;
    kvi_slice context;
    kvi_wire_items items;
} kvi_wire_forward;

typedef struct kvi_wire_forward_answer {
    uint64_t seq;
    int32_t err;
    bool definitive; /* nothing was done, and nothing ever will be, by this sequence */
    uint8_t acks, primaries, fallbacks, durability;
    kvi_slice context;
    kvi_slice object; /* the siblings, on KV_ESIBLINGS; else empty */
    kvi_slice detail;
} kvi_wire_forward_answer;

/* ---- replicas ---------------------------------------------------------------------------- */

/** kvi_wire_apply.flags. Other bits are refused. */
enum {
    KVI_WIRE_APPLY_REPAIR = 1u << 0, /* a reader found this replica behind */
    KVI_WIRE_APPLY_HANDOFF = 1u << 1 /* a hint is replayed to the owner */
};

/** Objects of one token, to merge with what is there. */
typedef struct kvi_wire_apply {
    uint64_t id;
    uint32_t space;
    uint64_t token;
    uint8_t durability;
    uint8_t flags;
    uint64_t hint_for;    /* the node id in whose place this one keeps them; 0: its own */
    kvi_wire_items items; /* kvi_wire_object, at least one */
} kvi_wire_apply;

typedef struct kvi_wire_apply_ack {
    uint64_t id;
    int32_t err;
    uint8_t durability;
    kvi_slice newer; /* last write wins: the object with a newer stamp that is there; else empty */
} kvi_wire_apply_ack;

/** kvi_wire_read.flags. Other bits are refused. */
enum { KVI_WIRE_READ_DIGEST = 1u << 0 };

typedef struct kvi_wire_read {
    uint64_t id;
    uint32_t space;
    uint64_t token;
    uint8_t flags;
    kvi_slice key;
} kvi_wire_read;

/** What a READ_ANSWER holds. NONE: there is no object (err KV_OK), or the read failed (err says
 *  how); an object has no digest and a digest no object. */
enum kvi_wire_read_holds {
    KVI_WIRE_HOLDS_NONE = 0,
    KVI_WIRE_HOLDS_DIGEST = 1,
    KVI_WIRE_HOLDS_OBJECT = 2
};

typedef struct kvi_wire_read_answer {
    uint64_t id;
    int32_t err;
    uint8_t holds; /* enum kvi_wire_read_holds */
    uint64_t digest;
    kvi_slice object; /* not empty where it is held */
} kvi_wire_read_answer;

/** Objects in the order of (token, key), behind (token_from, key_after) and up to the last of
 *  token_to. */
typedef struct kvi_wire_scan {
    uint64_t id;
    uint32_t space;
    uint64_t token_from, token_to;
    kvi_slice key_after;   /* empty: from the first key of token_from on */
    uint32_t limit, bytes; /* of the answer: entries, and what they come to */
} kvi_wire_scan;

typedef struct kvi_wire_scan_answer {
    uint64_t id;
    int32_t err;
    bool more;            /* the limits ended it, not the range */
    kvi_wire_items items; /* kvi_wire_entry */
} kvi_wire_scan_answer;

/* ---- fragments: fragment.h ----------------------------------------------------------------- */

/** Part of an envelope that is longer than a message of the transport may be. */
typedef struct kvi_wire_fragment {
    uint64_t id; /* of the whole, counted by its sender */
    uint32_t index, count, total_len;
    kvi_slice bytes;
} kvi_wire_fragment;

typedef struct kvi_wire_fragment_ack {
    uint64_t id;
    uint32_t index;
} kvi_wire_fragment_ack;

/* ------------------------------------------------------------------------------------------- */

typedef struct kvi_wire_message {
    enum kvi_wire_kind kind;
    union {
        kvi_wire_join join;
        kvi_wire_join_answer join_answer;
        kvi_wire_ring_ask ring_ask;
        kvi_wire_ring ring;
        kvi_wire_change change;
        kvi_wire_change_answer change_answer;
        kvi_wire_gossip gossip;
        kvi_wire_forward forward;
        kvi_wire_forward_answer forward_answer;
        kvi_wire_apply apply;
        kvi_wire_apply_ack apply_ack;
        kvi_wire_read read;
        kvi_wire_read_answer read_answer;
        kvi_wire_scan scan;
        kvi_wire_scan_answer scan_answer;
        kvi_wire_fragment fragment;
        kvi_wire_fragment_ack fragment_ack;
    } u;
} kvi_wire_message;

/** "APPLY", for logs and traces; "?" where it is no kind. */
const char *kvi_wire_kind_name(enum kvi_wire_kind kind);

#endif
