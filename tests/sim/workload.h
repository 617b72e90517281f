/*
 * A run of drawn operations on one store, with everything that makes the disk change: puts, deletes,
 * batches, expiry, conditions, both durabilities, syncs, flushes, snapshots and iterators that are
 * held, background work in drawn portions, and now and then the end of the process or of the power.
 * Each operation is noted in a history, so that what the disk holds can be judged at any moment.
 *
 * 1. Same settings, same seed: the same calls, and trace comes out the same.
 * 2. written and synced are states of the history: all up to there is acknowledged at KV_OS, at
 *    KV_DISK.
 * One thread.
 */
#ifndef KVT_SIM_WORKLOAD_H
#define KVT_SIM_WORKLOAD_H

#include "sim/history.h"
#include "sim/machine.h"
#include "sim/power.h"

#define KVT_HELD_MAX 4

/** A snapshot or an iterator, and the state it shows. */
typedef struct kvt_held {
    kv_snap *snap;
    kv_iter *iter;
    uint64_t state;
} kvt_held;

typedef struct kvt_workload {
    /* Settings. After init: the tiny plan, and nothing watches. */
    kvt_plan plan;
    bool cutting; /* cuts power before each mutation, and judges what is left */
    bool tracing;
    bool changing; /* each life draws another plan: sizes, durability, how the log is written */
    uint32_t life; /* operations, about, from one opening to the next */
    /* State. */
    uint64_t seed;
    kvt_machine m;
    kvt_history h;
    kvt_power power;
    kvt_rng rng;
    uint64_t written, synced;
    uint64_t mutations, op_mutations; /* of all lives; since the operation began */
    uint64_t trace;
    kvt_held held[KVT_HELD_MAX];
    uint64_t lives, crashes, flushes, compactions, renames, deepest; /* figures */
    char why[1024];
} kvt_workload;

void kvt_workload_init(kvt_workload *w, uint64_t seed);
void kvt_workload_deinit(kvt_workload *w);

/** Opens the store, does so many operations and closes it; false: why says what went wrong. */
bool kvt_workload_run(kvt_workload *w, uint32_t ops);

#endif
