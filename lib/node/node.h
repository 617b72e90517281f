/*
 * One node of a cluster: owns one of each module below it, turns what happens (messages, posts,
 * timers, completions of storage) into their calls, and runs their effects.
 *
 * 1. One owner. Everything but kvi_node_post(), kvi_node_wake() and kv_deliver() is called by it:
 *    the node's own thread (kvi_node_start), or whoever steps it. The modules know no other
 *    thread.
 * 2. A step never waits, unless it is given a time to wait for. Storage that needs the disk runs
 *    on the executor; where that has no threads, the step runs its jobs.
 * 3. Whatever one step says to a peer leaves in as few messages of the transport as fit.
 * 4. An envelope counts only if it comes from a member of the same cluster, by the ring and by the
 *    address that the transport vouches for, and is meant for this opening. Everything else
 *    changes nothing (but for JOIN, where this is the authority of a forming cluster).
 * 5. A new ring document is durable here before anything acts on it.
 */
#ifndef KVI_NODE_NODE_H
#define KVI_NODE_NODE_H

#include "coordinator/coordinator.h"
#include "lsm/lsm.h"
#include "node/identity.h"

#define KVI_NODE_SEEDS_MAX 64u
#define KVI_NODE_INBOX_MAX \
    (64u << 20) /* bytes of messages that wait; and an eighth of the budget */
#define KVI_NODE_ENVELOPE_SLACK \
    (1u << 20)                  /* what the longest envelope has beside a batch's keys and values */
#define KVI_NODE_ROUNDS_MAX 64u /* turns of one step: then its caller gets a say */

typedef struct kvi_node kvi_node;

/** How a node is opened. Strings are copied. */
typedef struct kvi_node_config {
    const kvi_os_env *env; /* borrowed, outlives the node; so do the two below */
    kvi_lsm *lsm;
    kvi_budget *budget;
    bool logged; /* the engine has a log */
    uint8_t durability;
    size_t value_max, batch_max;
    kvi_node_identity identity; /* of this opening, durable already (identity.h) */
    kvi_ring_policy policy;     /* of the default space, where this creates the cluster; resolved */
    bool create;                /* where the store belongs to no cluster: create one, else join */
    const kv_transport *transport; /* copied; NULL: alone */
    const char *listen, *advertise;
    const char *const *seeds;
    size_t seed_count;
    const char *zone;
    uint16_t weight;
    bool trusted;      /* KV_TRUSTED_NETWORK */
    uint8_t ring_bits; /* of a cluster that is created; 0: 10 */
    /** Called by the node's thread after each step; NULL: nothing. */
    void (*after_step)(void *user);
    void *user;
} kvi_node_config;

/** Reads the node's records, starts the transport. Nothing runs until it is stepped or started.
 *  Errors of the transport's start, of reading; KV_ECORRUPT. */
int kvi_node_open(const kvi_node_config *config, kvi_node **out) KVI_NODISCARD;

/** Ends all requests (KV_ECANCELED, KV_EUNCERTAIN: their done is called from in here), stops the
 *  transport, waits for what the executor still runs, frees. The thread was stopped. */
void kvi_node_close(kvi_node *n);

/** A thread of the node's own becomes its owner, until stop has returned. */
int kvi_node_start(kvi_node *n) KVI_NODISCARD;
void kvi_node_stop(kvi_node *n);
/** The calling thread is the node's own. */
bool kvi_node_is_self(const kvi_node *n);

/** Does what is ready, within about budget_ns (0: each thing once), after waiting up to wait_ns for
 *  something to be. Not from inside itself. */
void kvi_node_step(kvi_node *n, uint64_t wait_ns, uint64_t budget_ns);

/** Nanoseconds until a step is due; 0: now; -1: not by time. */
int64_t kvi_node_deadline(kvi_node *n);
/** As kv_pollfd(). */
int kvi_node_pollfd(kvi_node *n);

/** Something to be run by the owner. The poster's memory, until run has begun. */
typedef struct kvi_post {
    kvi_list link;
    void (*run)(struct kvi_post *p, kvi_node *n);
} kvi_post;

/** Any thread; posts of one thread run in order. Always runs, at the latest in kvi_node_close(). */
void kvi_node_post(kvi_node *n, kvi_post *p);
/** A step that waits returns soon. Any thread. */
void kvi_node_wake(kvi_node *n);

/* --- for what is posted: by the owner --------------------------------------------------------- */

kvi_coordinator *kvi_node_coordinator(kvi_node *n);
/** NULL: not a member yet. Until the owner's next step. */
const kvi_ring *kvi_node_ring(const kvi_node *n);
/** Why it is none yet, for a person. */
const char *kvi_node_joining_detail(const kvi_node *n);
const kvi_replication *kvi_node_replication(const kvi_node *n);
/** KV_MEMBER_…. */
unsigned kvi_node_member_state(const kvi_node *n, uint64_t node);

/** A space is asked for. Done when this node's ring has it, or with an error: KV_ECONFLICT (another
 *  policy), KV_ETOOBIG, KV_EUNAVAILABLE (the authority did not answer in time). */
typedef struct kvi_space_ask {
    kvi_list link;
    const char *name;              /* the asker's, until done */
    const kvi_ring_policy *policy; /* NULL: whatever it has, or that of the default space */
    uint64_t timeout_ns;           /* from begin */
    int err;
    uint32_t id;
    kvi_ring_policy found;
    char detail[KVI_ERROR_DETAIL_MAX + 1];
    void (*done)(struct kvi_space_ask *s);
    /* private */
    uint64_t deadline, resend_at, change_id;
} kvi_space_ask;

void kvi_node_ask_space(kvi_node *n, kvi_space_ask *ask);

/** For tests and the simulator: a digest of all that the node knows and would persist about the
 *  cluster: ring, members. */
uint64_t kvi_node_digest(const kvi_node *n);

#endif
