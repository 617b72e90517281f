/*
 * Envelopes longer than a message of the transport may be: cut into fragments, each in an envelope
 * of its own, acknowledged one by one, sent again until they are, and put together again.
 *
 * The sender's side, one split for each long envelope on its way:
 *
 *     kvi_wire_split_init(&s, id, &envelope, max_message, resend_ns);
 *     each step: while (!(err = kvi_wire_split_next(&s, &header, now_ns, &b))) send b;
 *                a FRAGMENT_ACK with this id: kvi_wire_split_ack(&s, index);
 *                then kvi_wire_split_state(&s), and kvi_wire_split_due(&s) for the next timer
 *
 * The receiver's side, one gather for each (peer, open-id of the peer):
 *
 *     err = kvi_wire_gather_add(&g, &fragment, now_ns, &whole);
 *     where err >= 0: answer FRAGMENT_ACK; where err == KV_OK: kvi_wire_open(whole)
 *
 * 1. Fragments may be lost, doubled and reordered. An envelope comes out whole or not at all, as it
 *    went in; its own checksum is checked by kvi_wire_open() as ever.
 * 2. At most KVI_WIRE_WINDOW fragments of one envelope are on their way at a time.
 * 3. What a peer can make a gather hold is bounded by its limits, in bytes, number and time.
 *    A fragment that has no room is not acknowledged, so it comes again.
 * 4. A fragment of an envelope that came out lately is acknowledged and dropped. Of one that came
 *    out long ago it is not known any more: the envelope may come out twice, as any message may.
 * 5. ids are the sender's, never used twice under one open-id.
 *
 * A FRAGMENT inside an envelope that was put together is nothing a sender makes: refuse it.
 *
 * Pure: time comes in as now_ns. Used by node, on its thread.
 */
#ifndef KVI_WIRE_FRAGMENT_H
#define KVI_WIRE_FRAGMENT_H

#include "wire/envelope.h"

/* The most that a fragment's envelope has beside the fragment's bytes: header, the message's length
 * and kind, five varints. */
#define KVI_WIRE_FRAGMENT_OVERHEAD (KVI_WIRE_HEADER_LEN + 5u + 1u + 10u + 4u * 5u)
#define KVI_WIRE_MAX_MESSAGE_MIN   1024u /* a transport that carries less is of no use */

#define KVI_WIRE_WINDOW        32u
#define KVI_WIRE_RESENDS_MAX   16u /* of one fragment, then the split has failed */
#define KVI_WIRE_RESEND_SHIFT  6u  /* each waits twice as long as the last, up to 2^6 times */
#define KVI_WIRE_GATHERING_MAX 16u /* envelopes at a time from one peer */
#define KVI_WIRE_GATHERED_MAX  64u /* ids that are remembered as done */

/** Where a fragment's bytes belong in the whole, and how many they are. False where index, count
 *  and total_len contradict each other or a limit. */
bool kvi_wire_fragment_place(uint32_t index, uint32_t count, uint32_t total_len, uint32_t *at,
                             uint32_t *len);

/* ---- sending ----------------------------------------------------------------------------- */

enum kvi_wire_split_state {
    KVI_WIRE_SPLIT_GOING, /* fragments are unsent or unacknowledged */
    KVI_WIRE_SPLIT_DONE,  /* all are acknowledged */
    KVI_WIRE_SPLIT_FAILED /* one was sent in vain too often */
};

/** A fragment on its way. */
typedef struct kvi_wire_flight {
    bool used;
    uint32_t index;
    uint32_t resends;
    uint64_t due_ns; /* to be sent again */
} kvi_wire_flight;

typedef struct kvi_wire_split {
    kvi_buf envelope; /* owned */
    uint64_t id, resend_ns;
    uint32_t count;
    uint32_t unsent;  /* the first index that was never sent; all before it were */
    uint32_t flights; /* used ones */
    bool failed;
    uint64_t retry_ns; /* there was no memory: not before */
    kvi_wire_flight flight[KVI_WIRE_WINDOW];
} kvi_wire_split;

/** Takes over the content of envelope, a finished one of more than max_message bytes, and leaves an
 *  empty buf there; ended by kvi_wire_split_deinit(). A fragment that stays unacknowledged is sent
 *  again after resend_ns (not 0), then after twice as long, and so on. KV_EINVAL: max_message is
 *  under KVI_WIRE_MAX_MESSAGE_MIN, or the envelope fits; envelope is then as it was. */
int kvi_wire_split_init(kvi_wire_split *s, uint64_t id, kvi_buf *envelope, size_t max_message,
                        uint64_t resend_ns) KVI_NODISCARD;
void kvi_wire_split_deinit(kvi_wire_split *s);

/** Puts the next fragment that is due at now_ns into b, as a finished envelope of at most
 *  max_message bytes, and counts it as sent. KV_ENOTFOUND: none is due; KV_ENOMEM: nothing
 *  changed, but that it is due only after resend_ns. */
int kvi_wire_split_next(kvi_wire_split *s, const kvi_wire_header *header, uint64_t now_ns,
                        kvi_buf *b) KVI_NODISCARD;

/** Fragment index has arrived. What is not on its way is ignored. */
void kvi_wire_split_ack(kvi_wire_split *s, uint32_t index);

enum kvi_wire_split_state kvi_wire_split_state(const kvi_wire_split *s);

/** When kvi_wire_split_next() has something again; in the past: now; UINT64_MAX: never. */
uint64_t kvi_wire_split_due(const kvi_wire_split *s);

/* ---- receiving --------------------------------------------------------------------------- */

typedef struct kvi_wire_gather_limits {
    size_t bytes;       /* of all unfinished envelopes together */
    uint32_t envelopes; /* 1 to KVI_WIRE_GATHERING_MAX */
    uint64_t age_ns;    /* an envelope of which nothing came for so long is dropped */
} kvi_wire_gather_limits;

/** An envelope that is not whole yet. */
typedef struct kvi_wire_gathering {
    bool used;
    uint64_t id;
    uint32_t count, total_len, have;
    uint64_t touched_ns; /* the last new fragment */
    uint8_t *bytes;      /* owned: total_len of the envelope, then a bit for each fragment */
    size_t bytes_len;
} kvi_wire_gathering;

typedef struct kvi_wire_gather {
    const kvi_mem *mem; /* borrowed, outlives it */
    kvi_wire_gather_limits limits;
    size_t held; /* bytes of all */
    uint32_t slots_used;
    kvi_wire_gathering slot[KVI_WIRE_GATHERING_MAX];
    uint64_t done[KVI_WIRE_GATHERED_MAX]; /* ids, a ring */
    uint32_t done_count, done_next;
} kvi_wire_gather;

void kvi_wire_gather_init(kvi_wire_gather *g, const kvi_mem *mem,
                          const kvi_wire_gather_limits *limits);
void kvi_wire_gather_deinit(kvi_wire_gather *g);

/** Forgets everything: the peer is there under a new open-id. */
void kvi_wire_gather_reset(kvi_wire_gather *g);

/** Takes a decoded fragment. Acknowledge it where the result is not negative:
 *  KV_OK: its envelope is whole, and is the new content of whole (an initialised buf);
 *  KVI_PENDING: taken, or known already.
 *  KV_EBUSY: no room now; KV_ETOOBIG: its envelope passes the limit by itself; KV_ECORRUPT: it
 *  contradicts an earlier fragment; KV_ENOMEM. */
int kvi_wire_gather_add(kvi_wire_gather *g, const kvi_wire_fragment *fragment, uint64_t now_ns,
                        kvi_buf *whole) KVI_NODISCARD;

/** Drops what is too old at now_ns; how many envelopes. kvi_wire_gather_add() does so itself. */
uint32_t kvi_wire_gather_expire(kvi_wire_gather *g, uint64_t now_ns);

/** When the next one will be too old; UINT64_MAX: nothing is held. */
uint64_t kvi_wire_gather_due(const kvi_wire_gather *g);

#endif
