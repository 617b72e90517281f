/*
 * An executor without threads: a job waits until somebody asks for one to run, and which one runs
 * is drawn from the seed. So one seed is one schedule, and many seeds are many.
 *
 * 1. A job runs on the thread that calls help, run_all or (see eager_ppm) submit, to its end.
 * 2. help runs a job whenever one waits: who waits for a job to be done always gets there.
 * 3. Any waiting job may be drawn, an ordinary one before an urgent one too: the treaty's order is
 *    a wish about time, and who relied on it for correctness would be wrong with two threads as
 *    well. urgent_first makes it strict.
 * One thread.
 */
#ifndef KVI_SIM_EXEC_H
#define KVI_SIM_EXEC_H

#include "os/exec.h"
#include "sim/sim_rand.h"

/** Jobs that wait inside jobs that wait …: more is taken for an endless recursion. */
#define KVI_SIM_EXEC_DEPTH_MAX 16

typedef struct kvi_sim_exec {
    kvi_os_exec base;
    kvi_list waiting; /* in the order of submission */
    size_t waiting_count;
    kvi_sim_rng rng;
    uint64_t ran;
    unsigned depth; /* jobs that are running, one inside the other */
    bool stopped;
    /* Knobs. */
    bool urgent_first;
    uint32_t eager_ppm; /* chance that a submit outside of any job runs a waiting one at once; 0 as
                           submitters may hold locks */
} kvi_sim_exec;

void kvi_sim_exec_init(kvi_sim_exec *e, uint64_t seed);

/** Runs waiting jobs, also those that they submit, until none is left or limit were run; returns
 * how many were. */
size_t kvi_sim_exec_run_all(kvi_sim_exec *e, size_t limit);

#endif
