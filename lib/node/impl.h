/*
 * The inside of a node, shared by the files of this folder and by nobody else. All of it is the
 * owner's, but for what has a lock of its own (posts, mailbox, storage's hand-back, wake).
 */
#ifndef KVI_NODE_IMPL_H
#define KVI_NODE_IMPL_H

#include <stdatomic.h>

#include "gossip/gossip.h"
#include "node/mailbox.h"
#include "node/membership.h"
#include "node/node.h"
#include "node/peers.h"
#include "node/storage.h"
#include "os/thread.h"
#include "os/wake.h"

/** A record of the node's own on its way to the disk. */
typedef struct kvi_record_write {
    kvi_buf bytes; /* the asker's to fill before, to free after */
    void (*done)(struct kvi_record_write *w, int err);
    void *user;
    /* private */
    kvi_node *node;
    uint8_t key[KVI_RECORD_KEY_LEN];
    kvi_store_put put;
    kvi_store_write write;
    kvi_store_sync sync;
} kvi_record_write;

/** A number on its way to the disk; its bytes are reserved when the node is opened. */
typedef struct kvi_number_write {
    kvi_record_write base;
    uint64_t number;
    bool busy;
} kvi_number_write;

/** What was refused or dropped of what has come, for people and for tests. */
typedef struct kvi_node_counters {
    uint64_t malformed, strangers, misdirected;
} kvi_node_counters;

struct kvi_node {
    kvi_effects effects; /* this node is the port of replication and coordinator */
    const kvi_os_env *env;
    kvi_cluster cluster;
    kvi_ring *ring; /* cluster.ring, owned */
    kvi_node_identity identity;
    kv_transport transport;
    bool has_transport;
    _Atomic bool started; /* the transport: who wakes asks too */
    kv_host host;
    char *advertise; /* "": alone */
    kvi_mailbox mailbox;
    kvi_peers peers;
    kvi_storage storage;
    kvi_gossip *gossip;
    kvi_gossip_port gossip_port;
    kvi_replication *replication;
    kvi_coordinator *coordinator;
    kvi_membership membership;
    kvi_node_counters counters;
    kvi_number_write hlc_write, incarnation_write;
    uint32_t incarnation_wanted;
    kvi_buf whole; /* an envelope put together from fragments */
    void (*after_step)(void *user);
    void *user;
    bool stepping, closing;

    kvi_os_mutex lock; /* of posts */
    kvi_list posts;
    kvi_os_wake wake;
    kvi_os_thread thread;
    bool threaded; /* thread runs */
    _Atomic bool stop;
};

/* step.c */

/** Something was posted that has not begun to run. */
bool kvi_node_has_posts(kvi_node *n);
/** Brings cluster->now_ns and wall_ms up to date. */
void kvi_node_refresh(kvi_node *n);
/** One turn, without the transport's step; whether anything happened. */
bool kvi_node_round(kvi_node *n);
/** The same while closing: nothing is received, only what was begun goes on. */
bool kvi_node_close_round(kvi_node *n);
/** Everything that was said leaves. */
void kvi_node_flush(kvi_node *n);

/* receive.c */

/** Acts on one message of the transport. */
void kvi_node_receive(kvi_node *n, const kvi_mail *mail);

/* port.c */

extern const struct kvi_effects_ops kvi_node_effects_ops;
bool kvi_node_reachable(void *user, uint64_t node);
uint64_t kvi_node_open_id_of(void *user, uint64_t node);
void kvi_node_want_serving(void *user);
void kvi_node_persist_hlc(void *user, uint64_t bound);
void kvi_node_gossip_send(void *user, uint64_t node, const char *address, kvi_slice body);
void kvi_node_gossip_changed(void *user, uint64_t node, enum kvi_gossip_state state);
void kvi_node_gossip_persist(void *user, uint32_t incarnation);

/** To a member; lost where it is none or not known how to reach. */
void kvi_node_send(kvi_node *n, uint64_t node, const kvi_wire_message *m);

/* record.c */

/** Writes bytes as the record of this letter, durably where there is a log; then done. */
void kvi_record_begin(kvi_node *n, char letter, kvi_record_write *w);

/** Logs one line of at most KVI_ERROR_DETAIL_MAX bytes. */
void kvi_node_log(const kvi_node *n, int level, const char *fmt, ...) KVI_PRINTF(3, 4);

#endif
