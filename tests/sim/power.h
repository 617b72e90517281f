/*
 * What must hold after a power loss: a judge for copies of a disk that were taken at some moment of
 * a run.
 *
 *     in the hook:     kvt_power_cut(&p, disk, …)     copies the disk in every variant
 *     after the call:  kvt_power_judge(&p)            recovers the copies and judges them
 *
 * 1. Of each copy: it opens; what it holds is a state of the history (a prefix of the writes, each
 *    whole), none below low; no file is left that the store does not refer to. Opened again after
 *    its close, and after a power loss that drops all that its recovery did not sync, it holds the
 *    same (where recovery was cut short: of one in a few).
 * 2. Of every so many copies recovery itself is cut short, at each of its mutations, in every
 *    variant: the same state comes out.
 * 3. A copy that equals one that was judged is not opened again, only held against its bounds.
 * Copies are judged after the call that was under way: locks may be held inside of it. One thread.
 */
#ifndef KVT_SIM_POWER_H
#define KVT_SIM_POWER_H

#include "sim/history.h"
#include "sim/machine.h"

typedef struct kvt_cut {
    kvi_sim_fs *disk;
    enum kvi_sim_crash variant;
    uint64_t mutation; /* before which one of the run */
    uint64_t now_ns;
    uint64_t low, high; /* the states it may hold */
} kvt_cut;

typedef struct kvt_verdict {
    uint64_t hash, state; /* state: plus 1, 0 is a free place */
} kvt_verdict;

typedef struct kvt_power {
    const kvt_plan *plan;       /* borrowed, as is the history */
    const kvt_history *history; /* of one space */
    uint64_t seed;
    uint64_t nested_every; /* of so many distinct copies one has its recovery cut short as well */
    bool shallow;          /* most copies are opened once */
    kvt_cut *cuts;         /* not yet judged */
    size_t cut_count, cut_cap;
    kvt_verdict *known; /* open addressing by hash */
    size_t known_count, known_cap;
    uint64_t points, copies, distinct, opened, nested, nested_copies; /* figures */
    char why[768];                                                    /* of a failure */
} kvt_power;

void kvt_power_init(kvt_power *p, const kvt_plan *plan, const kvt_history *history, uint64_t seed);
void kvt_power_deinit(kvt_power *p);

/** Copies disk in all variants. A state below low_synced may not be seen after power loss, none
 *  below low_written after the end of the process alone. */
void kvt_power_cut(kvt_power *p, kvi_sim_fs *disk, uint64_t mutation, uint64_t now_ns,
                   uint64_t low_synced, uint64_t low_written, uint64_t high);

/** Judges what was cut; false: why says what is wrong. */
bool kvt_power_judge(kvt_power *p);

/** The history was cut: what is known of states may be wrong now. */
void kvt_power_forget(kvt_power *p);

#endif
