/*
 * The storage effects (replication/effects.h) over the engine. What memory can answer is answered
 * at once; what needs the disk is a job of the executor; either way done comes from
 * kvi_storage_complete(), which the node's loop calls until it says that nothing is left.
 *
 * 1. Writes go to the engine one after the other, in the order in which they were asked. One that
 *    the engine holds up (a stall) holds up those behind it, nothing else.
 * 2. One sync runs at a time and serves all that were asked before it began; seq 0 waits for none.
 * 3. Jobs touch only what they carry, and hand themselves back under a lock; everything else is
 *    the owner's.
 * 4. Nothing is refused: what is asked is bounded by who asks. Where memory for a job is missing,
 *    the effect itself fails with KV_ENOMEM.
 */
#ifndef KVI_NODE_STORAGE_H
#define KVI_NODE_STORAGE_H

#include "lsm/lsm.h"
#include "replication/effects.h"

#define KVI_STORAGE_RETRIES_MAX 1000000u /* of one write that stalls: far more than it takes */

typedef struct kvi_storage {
    const kvi_os_env *env; /* borrowed, as lsm is */
    kvi_lsm *lsm;
    void (*wake)(void *user); /* a job was handed back; any thread */
    void *user;
    kvi_list reads, writes, syncs, scans; /* done is due */
    kvi_list write_queue;                 /* the first one is at the engine if writing */
    kvi_lsm_write write;
    kvi_lsm_op *ops;
    uint32_t ops_cap;
    unsigned write_tries;
    bool writing;
    kvi_lsm_waiter write_waiter;
    kvi_list sync_queue; /* for the next sync */
    kvi_list sync_now;   /* served by the one that runs */
    kvi_os_job sync_job;
    kvi_lsm_waiter sync_waiter;
    uint64_t sync_seq;
    bool syncing;
    uint32_t jobs; /* handed out and not back */
    bool closing;  /* reads and scans that are asked from now on are canceled */
    /* Handed back, under lock. */
    kvi_os_mutex lock;
    kvi_list back;
    bool write_back, sync_back;
    int write_result, sync_result;
} kvi_storage;

void kvi_storage_init(kvi_storage *s, const kvi_os_env *env, kvi_lsm *lsm, void (*wake)(void *),
                      void *user);
/** Idle. */
void kvi_storage_deinit(kvi_storage *s);

void kvi_storage_read(kvi_storage *s, kvi_store_read *r);
void kvi_storage_write(kvi_storage *s, kvi_store_write *w);
void kvi_storage_sync(kvi_storage *s, kvi_store_sync *y);
void kvi_storage_scan(kvi_storage *s, kvi_store_scan *c);

/** Reads a physical key into out, in this thread. KV_ENOTFOUND; KVI_AGAIN: memory_only, and it
 *  needs the disk. */
int kvi_storage_get(kvi_lsm *lsm, kvi_slice key, bool memory_only, kvi_buf *out) KVI_NODISCARD;

/** Calls done of what is complete, and of some of what that begins and completes at once; says
 *  whether there was any. To be called until there was none. */
bool kvi_storage_complete(kvi_storage *s);
/** kvi_storage_complete() has something to do. */
bool kvi_storage_ready(kvi_storage *s);
/** Nothing was asked that has not completed. */
bool kvi_storage_idle(const kvi_storage *s);

#endif
