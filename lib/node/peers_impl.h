/*
 * Between peers.c and peers_split.c.
 */
#ifndef KVI_NODE_PEERS_IMPL_H
#define KVI_NODE_PEERS_IMPL_H

#include "node/peers.h"

/** Hands one finished envelope to the transport. */
void kvi_peers_emit(kvi_peers *p, const char *address, uint64_t node, kvi_slice bytes, int urgency);

/** Takes the content of a finished envelope that is too long for one message. */
void kvi_peer_split(kvi_peers *p, kvi_peer *peer, kvi_buf *envelope);
void kvi_peer_drop_splits(kvi_peers *p, kvi_peer *peer);
/** Sends what fragments are due. */
void kvi_peers_resend(kvi_peers *p, uint64_t now_ns);

#endif
