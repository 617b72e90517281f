/*
 * The port of replication and coordinator (replication/effects.h) for tests: a store in memory,
 * messages that are only noted, completions in an order drawn by a seed.
 *
 * 1. What is asked waits until kvt_effects_step() completes it. Which is next is drawn; so is
 *    whether a read or a scan sees the store as it was when it was asked or as it is when it
 *    completes. Writes take effect in the order in which they were asked.
 * 2. What the asker passed in must not change meanwhile: keys and writes are compared.
 * 3. Nothing here fails, unless kvt_effects_fail() asks for it. What fails has had no effect.
 * 4. A message is encoded and decoded on the way to the notes: what no peer would accept ends the
 *    test.
 *
 * It also holds a kvi_cluster: a node with everything reachable, and a ring where one was set.
 */
#ifndef KVT_SUPPORT_FAKE_EFFECTS_H
#define KVT_SUPPORT_FAKE_EFFECTS_H

#include "replication/effects.h"
#include "support/rng.h"

#define KVT_NODES_MAX 64u

enum kvt_effect { KVT_READ = 1, KVT_WRITE = 2, KVT_SYNC = 4, KVT_SCAN = 8, KVT_ANY = 15 };

typedef struct kvt_sent {
    uint64_t to;
    kvi_buf bytes;
    kvi_wire_message m; /* borrows from bytes */
} kvt_sent;

typedef struct kvt_effects {
    kvi_effects port;
    kvi_cluster cluster;
    kvi_mem mem; /* of the fake itself */
    kvt_rng rng;

    struct kvt_entry *entries; /* sorted */
    size_t entry_count, entry_cap;
    struct kvt_change *log; /* all writes in order, for a crash */
    size_t log_count, log_cap;
    uint64_t seq, durable;

    struct kvt_op *ops; /* pending, in the order in which they were asked */
    size_t op_count, op_cap;
    size_t asked; /* ever */
    bool closing;

    unsigned fail_kinds;
    size_t fail_after; /* so many more of these kinds succeed, then … */
    size_t fail_times; /* … so many fail */
    int fail_err;

    kvt_sent *sent;
    size_t sent_count, sent_cap;
    size_t logged; /* lines for the host's log */

    uint64_t unreachable[KVT_NODES_MAX];
    uint32_t unreachable_count;
} kvt_effects;

/** cluster: self is node 1, open-id 101, a logged store, KV_DISK, wall clock 1,000,000,000 ms. */
void kvt_effects_init(kvt_effects *e, uint64_t seed);
/** Nothing is pending. Frees the ring, where one was set. */
void kvt_effects_deinit(kvt_effects *e);

/** Completes one thing; false: nothing is pending. */
bool kvt_effects_step(kvt_effects *e);
/** Completes all, and what is asked because of that. */
void kvt_effects_run(kvt_effects *e);

/** Of what is asked from now on, after more of these kinds (enum kvt_effect) the next `times`
 *  fail. */
void kvt_effects_fail(kvt_effects *e, unsigned kinds, size_t after, size_t times, int err);

/** Closing: all that is pending, and whatever is asked from now on, completes with KV_ECANCELED. */
void kvt_effects_cancel(kvt_effects *e);
/** After kvt_effects_cancel: the store loses what was not synced, from a drawn point on, and takes
 *  requests again, for another opening of the node. */
void kvt_effects_reopen(kvt_effects *e);

/* The store, directly. */
bool kvt_effects_get(kvt_effects *e, kvi_slice key, kvi_slice *value);
void kvt_effects_put(kvt_effects *e, kvi_slice key, kvi_slice value);
/** How many keys begin with this. */
size_t kvt_effects_count(kvt_effects *e, kvi_slice prefix);

/** The i-th message noted; the last of this kind to this node, NULL where there is none. */
static inline const kvt_sent *kvt_effects_sent(const kvt_effects *e, size_t i)
{
    return &e->sent[i];
}
const kvt_sent *kvt_effects_last(const kvt_effects *e, uint64_t to, enum kvi_wire_kind kind);
void kvt_effects_forget_sent(kvt_effects *e);

/** By cluster.reachable. */
void kvt_effects_reachable(kvt_effects *e, uint64_t node, bool is);

/** Sets cluster.ring: nodes 1 to `nodes`, 2^bits partitions, the default space with n replicas. */
void kvt_effects_ring(kvt_effects *e, uint32_t nodes, unsigned bits, uint8_t n);

#endif
