/*
 * Where a store takes its messages: what stands behind the kv_inbox that a transport is started
 * with.
 *
 * kv_deliver() checks its arguments and calls deliver; so a test can be a store for a transport,
 * and the node is one implementation among others.
 */
#ifndef KVI_NODE_INBOX_H
#define KVI_NODE_INBOX_H

#include "base/base.h"

/** The first member of whatever takes messages. */
struct kv_inbox {
    /** As kv_deliver(); from and message are there, and len is 1 or more. On the thread that the
     *  transport delivers from. */
    int (*deliver)(struct kv_inbox *inbox, const kv_peer *from, const void *message, size_t len);
};

#endif
