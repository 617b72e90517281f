/*
 * The port through which replication and coordinator act on the world, and what they know of it.
 * They are step functions: the node calls them with something that happened, they answer by calls
 * of this port, and the node brings back what came of those.
 *
 * 1. No call of the port calls back. What was asked completes later, from the node's loop, by the
 *    done function of what was passed in; also where the answer was at hand in memory.
 * 2. What is passed in (reads, writes, syncs, scans) is the asker's memory, with all that it points
 *    to, untouched until its done has begun. done is called exactly once, also when the node closes
 *    (with KV_ECANCELED).
 * 3. Reads see all writes whose done was called with KV_OK. Writes become readable in the order in
 *    which they were asked.
 * 4. A message may be lost, doubled, late, or arrive after others sent later.
 *
 * Implemented by node/ and, recorded, by tests. One thread: the node's owner.
 */
#ifndef KVI_REPLICATION_EFFECTS_H
#define KVI_REPLICATION_EFFECTS_H

#include "base/buf.h"
#include "base/hash.h"
#include "base/list.h"
#include "base/rng.h"
#include "ring/ring.h"
#include "wire/message.h"

/* --- storage ------------------------------------------------------------------------------ */

/** One physical key is read. */
typedef struct kvi_store_read {
    kvi_list link; /* private to the node */
    kvi_slice key;
    kvi_buf *value; /* replaced by what was found; where nothing was, emptied */
    int err;        /* out: KV_OK, KV_ENOTFOUND, or why it is not known */
    void (*done)(struct kvi_store_read *r);
} kvi_store_read;

typedef struct kvi_store_put {
    kvi_slice key, value;
    bool remove; /* the key goes; value is empty */
} kvi_store_put;

/** Writes that take effect together. */
typedef struct kvi_store_write {
    kvi_list link;
    const kvi_store_put *puts;
    uint32_t count; /* at least 1 */
    int err;        /* out: KV_OK: readable; else nothing of it was written, but for KV_EIO, after
                       which the store takes no writes */
    uint64_t seq;   /* out: for a sync */
    void (*done)(struct kvi_store_write *w);
} kvi_store_write;

/** All writes up to seq are to be on the disk. Several share one sync. seq 0 waits for nothing,
 *  also in a store that has no log: a way to be called back that takes no memory. */
typedef struct kvi_store_sync {
    kvi_list link;
    uint64_t seq;
    int err;
    void (*done)(struct kvi_store_sync *s);
} kvi_store_sync;

/** A page of physical keys in order: from <= key < to. */
typedef struct kvi_store_scan {
    kvi_list link;
    kvi_slice from, to;
    uint32_t limit;   /* entries, at least 1 */
    size_t bytes_max; /* of keys and values; one entry is always given */
    kvi_buf
        *entries; /* replaced: for each entry varint key length, key, varint value length, value */
    uint32_t count; /* out: entries */
    bool more;      /* out: the page ended by a limit, not by the range */
    int err;
    void (*done)(struct kvi_store_scan *s);
} kvi_store_scan;

/* --- the port ----------------------------------------------------------------------------- */

typedef struct kvi_effects kvi_effects;

struct kvi_effects_ops {
    /** Sends m, which is encoded before it returns, to a member. It may get lost; so does all that
     *  is sent to a node whose address is unknown. */
    void (*send)(kvi_effects *e, uint64_t node, const kvi_wire_message *m);
    void (*read)(kvi_effects *e, kvi_store_read *r);
    void (*write)(kvi_effects *e, kvi_store_write *w);
    void (*sync)(kvi_effects *e, kvi_store_sync *s);
    void (*scan)(kvi_effects *e, kvi_store_scan *s);
    /** A line for the host's log, a level of KV_LOG_…. */
    void (*log)(kvi_effects *e, int level, const char *message);
};

struct kvi_effects {
    const struct kvi_effects_ops *ops;
};

/* --- what is known ------------------------------------------------------------------------ */

/* Tokens share a floor of births by their hash: each rise gives all of their keys another actor. */
#define KVI_BIRTH_FLOORS 1024u

/** What a step knows of the world. The node keeps it current before it calls anybody; fixed during
 *  a call. */
typedef struct kvi_cluster {
    const kvi_ring *ring; /* the newest document; NULL: not a member yet */
    uint64_t self;        /* this node's identity … */
    uint64_t open_id;     /* … and that of this opening of its store */
    uint64_t now_ns;      /* monotonic */
    int64_t wall_ms;
    bool logged;                 /* writes can be synced; false: KV_MEMORY, the best there is */
    uint8_t durability;          /* of requests that name none */
    size_t value_max, batch_max; /* bytes */
    const char *why; /* while there is no ring, or it does not serve: for a person; never NULL */
    kvi_rng rng;
    /* Births of actors (vclock/object.h): the last one given, and the floors; an object that this
       node drops raises its token's to the next birth. */
    uint64_t next_birth, birth_floors[KVI_BIRTH_FLOORS];
    void *user;
    /** A member is believed to answer: alive, by gossip and by what the transport told. True for
     *  self. */
    bool (*reachable)(void *user, uint64_t node);
    /** The open-id that a member last told; 0: none yet. What is sent goes to that opening and no
     *  other. */
    uint64_t (*open_id_of)(void *user, uint64_t node);
    /** A write waits for the ring to serve: the node asks the authority, and calls
     *  kvi_coordinator_ring_changed() when it does. */
    void (*want_serving)(void *user);
} kvi_cluster;

static inline uint64_t *kvi_cluster_birth_floor(kvi_cluster *c, uint64_t token)
{
    return &c->birth_floors[kvi_mix64(token) % KVI_BIRTH_FLOORS];
}

/** The durability that is reached where `asked` (0: the default) was. */
static inline uint8_t kvi_cluster_durability(const kvi_cluster *c, uint8_t asked)
{
    if (!c->logged)
        return KV_MEMORY;
    return asked ? asked : c->durability;
}

#endif
