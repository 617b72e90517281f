/*
 * The inside of a kv_sim (kv_sim.h): a world, a network, and machines with a store each. For the
 * simulator's own files and for tests that look inside.
 *
 * 1. A machine is stepped as an event: when something has come for it, when a job is done, when its
 *    next deadline has come. A job of its executor is an event too, a random while after it was
 *    submitted.
 * 2. A machine's monotonic clock is the world's time at a rate of its own, from its own origin.
 * 3. A machine that is paused runs none of its events; they come when it goes on.
 */
#ifndef KVI_SIM_CLUSTER_H
#define KVI_SIM_CLUSTER_H

#include <kv_sim.h>

#include "api/open.h"
#include "sim/sim_env.h"
#include "sim/sim_net.h"

#define KVI_SIM_JOB_MIN_NS 20000u /* how long a job of the disk takes, at least … */
#define KVI_SIM_JOB_MAX_NS 400000u
#define KVI_SIM_STEP_NS    1000u /* a step that is due again at once comes after this */

typedef struct kvi_sim_machine {
    kv_sim *sim;
    unsigned index;
    kvi_sim_env env;
    kvi_os_clock clock; /* of env.os: the world's time, skewed */
    uint64_t clock_base_ns, world_base_ns;
    int64_t drift_ppm;
    int64_t wall_offset_ms;
    kvi_sim_endpoint *endpoint;
    kvi_sim_event step, job;
    kv *db;
    bool paused, stepping, lived;
    bool step_due, job_due; /* came while it was paused, or was stepping */
} kvi_sim_machine;

struct kv_sim {
    kvi_mem mem;
    kvi_sim_world world;
    kvi_sim_net net;
    unsigned count;
    kvi_sim_machine *machines;
    uint8_t ring_bits;
    kv_log_fn *log;
    void *log_user;
};

/** As kv_sim_open(), with sizes of the engine; NULL: the simulator's own small ones. */
int kvi_sim_open_shaped(kv_sim *sim, unsigned machine, const kv_options *options,
                        const kvi_lsm_shape *shape, kv **out) KVI_NODISCARD;

/* sim_machine.c */

int kvi_sim_machine_init(kvi_sim_machine *m, kv_sim *sim, unsigned index) KVI_NODISCARD;
void kvi_sim_machine_deinit(kvi_sim_machine *m);
/** Where its store was closed by kv_close(), notes that. */
void kvi_sim_machine_settle(kvi_sim_machine *m);
/** Its store is stepped soon. */
void kvi_sim_machine_poke(kvi_sim_machine *m);
/** A host's call may have left something to do. */
void kvi_sim_machine_rearm(kvi_sim_machine *m);
void kvi_sim_machine_pause(kvi_sim_machine *m, bool paused);
/** Its monotonic clock goes faster by so many parts per million from now on, slower where
 *  negative. */
void kvi_sim_machine_drift(kvi_sim_machine *m, int64_t ppm);
/** Lets the world go on until something has happened for it, or for so long. */
void kvi_sim_machine_idle(void *machine, uint64_t wait_ns);

#endif
