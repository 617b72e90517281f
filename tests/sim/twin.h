/*
 * A store and a sorted array, driven by the same drawn operations: whatever a call answers must be
 * what the array says.
 *
 * 1. Every write is followed by a get of its key; a whole scan comes now and then.
 * 2. Snapshots, iterators, lent values and contexts are held over any number of writes, flushes and
 *    compactions, and compared with the state that they were taken at.
 * 3. Time passes only where an operation says so; often to the last millisecond of a value, then to
 *    the first without it.
 * One thread.
 */
#ifndef KVT_SIM_TWIN_H
#define KVT_SIM_TWIN_H

#include "sim/history.h"
#include "sim/machine.h"

#define KVT_SPACES       3u
#define KVT_SPACE_TTL    2u /* the one whose puts expire unless they say otherwise … */
#define KVT_SPACE_TTL_MS 4000u
#define KVT_SNAPS        4u
#define KVT_WALKS        6u
#define KVT_CONTEXTS     32u
#define KVT_LENT         4u
#define KVT_CONTEXT_MAX  64u

/** An iterator, and where it must be. */
typedef struct kvt_walk {
    kv_iter *it; /* NULL: none */
    unsigned space;
    uint64_t state;
    bool on_snap;                                 /* reads a snapshot, of state */
    size_t low, high;                             /* keys within its bounds: low <= k < high */
    enum { KVT_FRESH, KVT_AT, KVT_BEFORE } where; /* fresh: at both ends; at or before key `key` */
    size_t key;
} kvt_walk;

/** What a call said of a key's version: 0, there was none. */
typedef struct kvt_context {
    size_t slot, len;
    uint64_t write;
    uint8_t bytes[KVT_CONTEXT_MAX];
} kvt_context;

typedef struct kvt_snap_held {
    kv_snap *snap; /* NULL: none */
    uint64_t state;
} kvt_snap_held;

typedef struct kvt_lent {
    kv_result result; /* count 0: none */
    kvt_version version;
    size_t slot;
} kvt_lent;

typedef struct kvt_twin {
    kvt_plan plan;  /* settings */
    bool in_memory; /* no path */
    uint64_t seed;
    kvt_machine m;
    kv *spaces[KVT_SPACES]; /* the first is the store's */
    kvt_history h;
    kvt_rng rng;
    kvt_snap_held snaps[KVT_SNAPS];
    kvt_walk walks[KVT_WALKS];
    kvt_context contexts[KVT_CONTEXTS];
    kvt_lent lent[KVT_LENT];
    uint8_t *value; /* room for the largest */
    kv_result result;
    uint64_t ops, checks, reopened, scans, flushes, compactions, deepest; /* figures */
    char why[768];
} kvt_twin;

/** A plan drawn from the seed. */
void kvt_twin_init(kvt_twin *m, uint64_t seed);
void kvt_twin_deinit(kvt_twin *m);

/** So many operations on a new store; false: why says what differs. */
bool kvt_twin_run(kvt_twin *m, uint64_t ops);

/* --- shared by the files of the twins ------------------------------------------------------- */

/** Sets why; returns false. */
bool kvt_twin_fail(kvt_twin *m, const char *format, ...);
bool kvt_twin_expect(kvt_twin *m, const char *call, int result, int expected);

static inline uint64_t kvt_twin_draw(kvt_twin *m, uint64_t n)
{
    return kvt_rng_below(&m->rng, n);
}

/** A key that is there, or one beside it: cut, extended or drawn; sometimes empty where allowed. In
 *  buf, which has room for any. */
kvi_slice kvt_twin_draw_bound(kvt_twin *m, uint8_t *buf, bool may_be_empty);

/** One operation on iterators: opens, moves, seeks, renews, closes. */
bool kvt_walk_step(kvt_twin *m);
void kvt_walk_close(kvt_walk *w);

#endif
