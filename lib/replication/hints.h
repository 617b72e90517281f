/*
 * How many hints this node keeps, for whom, and how many bytes of objects they stand for. The hints
 * themselves are in the store (key.h); here they are counted.
 *
 * 1. What is about to be written is counted before (kvi_hints_admit), what was deleted after it is
 *    gone (kvi_hints_forget): the counts are never below what is in the store, so that no cap is
 *    passed, and an owner without a count has no hints.
 * 2. At the start the counts are unknown until a walk over all hints has ended. Until then nothing
 *    is admitted or forgotten: updates that would are parked (kvi_hints_park), and go on or fail
 *    with it.
 * 3. An owner that was met stays; only members of the ring get hints, so they are few.
 *
 * For lib/replication alone; the node's owner thread.
 */
#ifndef KVI_REPLICATION_HINTS_H
#define KVI_REPLICATION_HINTS_H

#include "base/map.h"
#include "replication/replication.h"

/** A node that hints are kept for. */
typedef struct kvi_hint_owner {
    uint64_t node;
    uint64_t count, bytes;
    int64_t oldest_ms; /* none was made before this */

    /* The rest is handoff.c's: the walk over this owner's hints. */
    kvi_replication *replication;
    kvi_buf from, to, entries;
    kvi_store_scan scan;
    bool scanning;         /* scan is under way */
    bool walking;          /* between the first and the last page of a walk */
    bool judged;           /* what came of the last walk was looked at */
    bool was_reachable;    /* at the last tick */
    uint32_t active;       /* replays and removals under way … */
    uint64_t active_bytes; /* … and of what size */
    uint32_t walk_ended;   /* hints that this walk brought to an end */
    int64_t walk_began_ms, walk_oldest_ms;
    uint64_t pause_ns, resume_ns;
} kvi_hint_owner;

typedef struct kvi_hints {
    const kvi_mem *mem;
    kvi_effects *effects;
    kvi_cluster *cluster;
    uint64_t count_max, bytes_max;
    int64_t age_max_ms;
    kvi_replication *replication; /* whose owners they become */
    kvi_replication_stats *stats;

    kvi_map owners; /* node -> kvi_hint_owner */
    uint64_t count, bytes;

    /* The walk at the start. */
    bool counted, counting;
    uint64_t retry_ns; /* when to begin it again, where it failed */
    kvi_list parked;   /* kvi_update.parked */
    kvi_buf from, to, entries;
    kvi_store_scan scan;
    void (*on_counted)(kvi_replication *r);
} kvi_hints;

/** Sets what is not in h yet; the caller has set mem to on_counted. Allocates nothing. */
void kvi_hints_init(kvi_hints *h);
void kvi_hints_deinit(kvi_hints *h);

/** Begins to count, unless that is done or under way. */
void kvi_hints_count(kvi_hints *h);

/** KVI_PENDING: u waits until they are counted, and goes on by kvi_update_unpark. Else why not. */
int kvi_hints_park(kvi_hints *h, kvi_update *u) KVI_NODISCARD;

/** Whether so much more passes no cap. */
bool kvi_hints_room(const kvi_hints *h, int64_t count, int64_t bytes);

/** Counts so much more (less, where it is negative) for owner. KV_ENOSPC: it would pass a cap.
 *  KV_ENOMEM. */
int kvi_hints_admit(kvi_hints *h, uint64_t owner, int64_t count, int64_t bytes) KVI_NODISCARD;

/** So much is gone, or was not written after all (negative: has come back). Cannot fail: owner is
 *  known. */
void kvi_hints_forget(kvi_hints *h, uint64_t owner, int64_t count, int64_t bytes);

/** NULL: none was ever kept for it. */
kvi_hint_owner *kvi_hints_owner(const kvi_hints *h, uint64_t node);

/* --- update.c, marks.c ----------------------------------------------------------------------- */

struct kvi_updates {
    const kvi_mem *mem;
    kvi_effects *effects;
    kvi_cluster *cluster;
    kvi_hints *hints; /* NULL: hints are not counted */
    kvi_map holders;  /* token -> the kvi_update that has its lock */
    uint64_t last_seq;
    uint64_t under_way;
};

/** u goes on with err, from where it was parked. */
void kvi_update_unpark(kvi_update *u, int err);

/** Reads the hints that u would change; KVI_PENDING: goes on by kvi_update_marked. KV_OK: it
 *  changes none. */
int kvi_marks_begin(kvi_update *u) KVI_NODISCARD;
/** Having been parked. */
int kvi_marks_read(kvi_update *u) KVI_NODISCARD;
void kvi_update_marked(kvi_update *u, int err);

/** How many puts they come to at most. */
uint32_t kvi_marks_puts_max(const kvi_update *u);
/** Counts what is noted, and appends the puts. KV_ENOSPC, KV_ENOMEM. */
int kvi_marks_put(kvi_update *u, kvi_store_put *puts, uint32_t *count) KVI_NODISCARD;
/** The write has ended so. */
void kvi_marks_written(kvi_update *u, int err);
void kvi_marks_release(kvi_update *u, const kvi_mem *mem);

#endif
