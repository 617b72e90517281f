/*
 * The inside of a store and of its handles, shared by the files of this folder and by nobody else.
 *
 * 1. A store is what kvi_api_open_over() makes: the engine, what it stands on and, where the store
 *    is placed, the node above it. Fixed after open, but for `live`, `counters`, `calls` and
 *    `runner`.
 * 2. A handle (struct kv) is a store and one keyspace of it. The store's own is `root`, the default
 *    keyspace; the others are made by kv_space().
 * 3. live counts what borrows from the store. kv_close() refuses as long as any of it is not 0, so
 *    nothing outlives the store.
 * 4. Snapshots are counted by their owner and by the iterators that read them.
 */
#ifndef KVI_API_STORE_H
#define KVI_API_STORE_H

#include <stdatomic.h>

#include "api/calls.h"
#include "api/counters.h"
#include "api/keyspace_format.h"
#include "lsm/lsm.h"
#include "os/fork.h"

typedef struct kvi_api_store kvi_api_store;
typedef struct kvi_node kvi_node;

struct kv {
    kvi_api_store *store;
    uint64_t ttl_ms; /* ordered: of puts that name none; 0: no expiry */
    uint32_t space;
    uint8_t prefix_len; /* ordered: of the space's physical keys. Placed: 0 */
    uint8_t prefix[KVI_KEYSPACE_PREFIX_MAX];
};

enum kvi_api_live {
    KVI_API_LIVE_SPACES, /* handles */
    KVI_API_LIVE_ITERATORS,
    KVI_API_LIVE_SNAPSHOTS,
    KVI_API_LIVE_BATCHES,
    KVI_API_LIVE_LENT, /* values that results hold pinned */
    KVI_API_LIVE_KINDS
};

/** What kv_open() builds below a store; NULL where a test or the simulator brought its own. */
struct kvi_api_home;

struct kvi_api_store {
    kvi_api_counters counters;
    _Atomic uint32_t live[KVI_API_LIVE_KINDS];
    kvi_os_env env;
    kvi_budget budget;
    kvi_lsm *lsm;
    kvi_os_forkmark fork;
    uint64_t context_seed;
    size_t value_max, batch_max; /* bytes */
    uint8_t durability;          /* of requests that name none; KV_MEMORY: there is no log */
    bool placed;
    bool listens;           /* placed: others can reach it */
    bool stepped;           /* the host runs it, by kv_step() */
    bool callbacks_in_step; /* kv_step() runs the callbacks */
    bool helps;             /* kv_step(), and who waits for the node, run the executor's jobs */
    bool host_works;        /* … and the executor, that of kv_open(), has no threads for them */
    kvi_os_fs_mem memory_files; /* where the store has no path */
    struct kvi_api_home *home;
    struct kv root;

    /* Placed. */
    kvi_node *node; /* NULL again once kv_close() has ended it */
    kv_merge_fn *merge;
    void *user;
    void (*idle)(void *user, uint64_t wait_ns); /* kvi_api_seams.idle */
    void *idle_user;

    /* Submitted requests. */
    kvi_api_calls calls;
    kvi_api_runner runner; /* ordered */
};

struct kv_snap {
    kvi_api_store *store;
    kvi_lsm_snapshot view;
    _Atomic uint32_t refs;
};

/** One more reference to a snapshot, and one less: the last one ends it. */
void kvi_api_snap_ref(kv_snap *snap);
void kvi_api_snap_unref(kv_snap *snap);

static inline bool kvi_api_logged(const kvi_api_store *s)
{
    return s->durability != KV_MEMORY;
}

static inline void kvi_api_borrow(kvi_api_store *s, enum kvi_api_live what)
{
    atomic_fetch_add(&s->live[what], 1);
}

static inline void kvi_api_give_back(kvi_api_store *s, enum kvi_api_live what)
{
    atomic_fetch_sub(&s->live[what], 1);
}

#endif
