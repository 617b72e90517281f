/*
 * Who the node talks to: an outbox for each peer, in which all that one step says to it is
 * gathered; large envelopes in fragments; what was learnt of a peer's opening.
 *
 * 1. A message is encoded when it is sent, and leaves with kvi_peers_flush() at the end of the
 *    step, or earlier where the outbox is full. Urgent ones leave at once, ahead of the outbox.
 * 2. An envelope names the opening of the receiver that its sender knows (0: none yet): what was
 *    meant for one opening has no effect on the next.
 * 3. Nothing here waits and nothing is promised: what the transport refuses is lost. Peers that
 *    refused a connection are marked, for kvi_peers_take_refused().
 * 4. Peers are members of the ring, and while this node is joining up to KVI_PEERS_STRANGERS_MAX
 *    others.
 */
#ifndef KVI_NODE_PEERS_H
#define KVI_NODE_PEERS_H

#include "base/list.h"
#include "base/map.h"
#include "wire/fragment.h"

#define KVI_PEERS_STRANGERS_MAX 16u
#define KVI_PEERS_SPLITS_MAX    8u /* long envelopes on their way to one peer; more are dropped */
#define KVI_PEERS_ADDRESS_MAX   255u
#define KVI_PEERS_RESEND_NS     UINT64_C(100000000)
#define KVI_PEERS_GATHER_AGE_NS UINT64_C(30000000000)

typedef struct kvi_split_link {
    kvi_list link;
    kvi_wire_split split;
} kvi_split_link;

typedef struct kvi_peer {
    uint64_t node;
    bool member;                             /* of the ring */
    char address[KVI_PEERS_ADDRESS_MAX + 1]; /* "": unknown */
    uint64_t open_id;                        /* 0: not known */
    kvi_list dirty;                          /* in kvi_peers.dirty while the outbox has anything */
    kvi_buf outbox;                          /* an unfinished envelope */
    kvi_list splits;
    uint32_t split_count;
    kvi_wire_gather *gather;            /* NULL: it has sent no fragment */
    uint64_t hello_at, ring_at, ask_at; /* when the next of these may be sent again */
    bool refused;                       /* the transport found nobody there */
} kvi_peer;

typedef struct kvi_peers {
    const kvi_mem *mem;            /* borrowed */
    const kv_transport *transport; /* started; NULL: alone */
    kvi_wire_header header;        /* of every envelope, but for to_open: kept by the node */
    kvi_map map;                   /* node id -> kvi_peer */
    kvi_list dirty;
    uint32_t strangers;
    uint32_t splits; /* of all peers */
    uint64_t next_split;
    size_t gather_bytes;
    kvi_buf urgent;
    uint32_t refused;                   /* peers that are marked so */
    int failed;                         /* what send last said that is worth a line; the node's to
                                           log and to reset */
    bool unflushed;                     /* something was sent since the transport's last flush */
    uint64_t sent, dropped, sent_bytes; /* messages of the transport */
} kvi_peers;

void kvi_peers_init(kvi_peers *p, const kvi_mem *mem, size_t gather_bytes);
void kvi_peers_deinit(kvi_peers *p);

kvi_peer *kvi_peers_find(const kvi_peers *p, uint64_t node);
/** Finds or makes one. KV_EBUSY: too many strangers; KV_ENOMEM. */
int kvi_peers_add(kvi_peers *p, uint64_t node, const char *address, bool member, kvi_peer **out)
    KVI_NODISCARD;
/** Forgets all strangers. */
void kvi_peers_forget_strangers(kvi_peers *p);
/** address may be NULL: it is not known. */
void kvi_peer_set_address(kvi_peer *peer, const char *address);
/** The peer speaks as this opening: what was meant for the one before is forgotten. */
void kvi_peer_set_open(kvi_peers *p, kvi_peer *peer, uint64_t open_id);

void kvi_peers_send(kvi_peers *p, kvi_peer *peer, const kvi_wire_message *m);
/** By itself, at once, to whatever opening; m may be NULL: only to be known. */
void kvi_peers_send_urgent(kvi_peers *p, const char *address, uint64_t node,
                           const kvi_wire_message *m);
/** The end of a step: everything leaves. */
void kvi_peers_flush(kvi_peers *p, uint64_t now_ns);
/** A peer of which the transport said that nobody is there, once; 0: none. */
uint64_t kvi_peers_take_refused(kvi_peers *p);
/** When flush has fragments to send again; UINT64_MAX: never. */
uint64_t kvi_peers_deadline(const kvi_peers *p);

/** A fragment has come. KV_OK: *whole is the envelope it completed. Acknowledges it. Other errors:
 *  nothing to do. */
int kvi_peers_fragment(kvi_peers *p, kvi_peer *peer, const kvi_wire_fragment *f, uint64_t now_ns,
                       kvi_buf *whole) KVI_NODISCARD;
void kvi_peers_fragment_ack(kvi_peer *peer, const kvi_wire_fragment_ack *ack);

#endif
