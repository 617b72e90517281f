/*
 * Mutexes and condition variables with ranks: a thread takes locks only in ascending rank, so no
 * two can deadlock. Checked at every lock where the build defines KVI_CHECK_LOCKS (all test
 * builds); the check costs nothing elsewhere.
 *
 * jitter: a test's seam. Where it is not NULL it is called before each lock and after each unlock,
 * to yield by a seed and so widen the schedules that real threads run through.
 *
 * Spins briefly before it sleeps in the kernel.
 */
#ifndef KVI_OS_LOCK_H
#define KVI_OS_LOCK_H

#include <pthread.h>

#include "base/base.h"

/** Ascending: a thread that holds one takes only higher ones. */
enum kvi_os_rank {
    KVI_RANK_MANIFEST = 1, /* lsm: who appends to the manifest */
    KVI_RANK_SYNC,         /* lsm: group commit */
    KVI_RANK_WRITE,        /* lsm: order of writes */
    KVI_RANK_SNAPSHOT,     /* lsm: live snapshots */
    KVI_RANK_TABLES,       /* lsm: open tables */
    KVI_RANK_CACHE,        /* sstable: a shard */
    KVI_RANK_CODEC,        /* sstable: pooled contexts */
    KVI_RANK_EXEC,         /* os: the pool's queues */
    KVI_RANK_FS,           /* os: files in memory; sim */
    KVI_RANK_NODE,         /* node: what others hand to its owner */
    KVI_RANK_EVENT,        /* os: one waiter */
    KVI_RANK_LEAF          /* epochs, logs: calls nothing */
};

typedef struct kvi_os_jitter kvi_os_jitter;
struct kvi_os_jitter {
    void (*yield)(kvi_os_jitter *j);
};

typedef struct kvi_os_mutex {
    pthread_mutex_t m;
    kvi_os_jitter *jitter; /* borrowed, or NULL */
    enum kvi_os_rank rank;
} kvi_os_mutex;

void kvi_os_mutex_init(kvi_os_mutex *m, enum kvi_os_rank rank, kvi_os_jitter *jitter);
void kvi_os_mutex_deinit(kvi_os_mutex *m);
void kvi_os_mutex_lock(kvi_os_mutex *m);
void kvi_os_mutex_unlock(kvi_os_mutex *m);
/** Whether this thread holds it, for assertions. Always true where locks are not checked. */
bool kvi_os_mutex_held(const kvi_os_mutex *m);

typedef struct kvi_os_cond {
    pthread_cond_t c;
} kvi_os_cond;

void kvi_os_cond_init(kvi_os_cond *c);
void kvi_os_cond_deinit(kvi_os_cond *c);
void kvi_os_cond_wait(kvi_os_cond *c, kvi_os_mutex *m);
void kvi_os_cond_signal(kvi_os_cond *c);
void kvi_os_cond_broadcast(kvi_os_cond *c);

/** Lets another thread run, in a loop that waits for one. */
void kvi_os_yield(void);

#endif
