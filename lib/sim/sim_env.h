/*
 * One simulated machine: a disk, a clock, an executor, an allocator and randomness, all from one
 * seed, bundled as the env that a store is opened with. The disk outlives stores and crashes;
 * executor and allocator are new with each life of the process.
 *
 *     kvi_sim_env_init; open a store on &env.os, use it, close it
 *     kvi_sim_env_restart; open, use, close as often as you like
 *     kvi_sim_fs_power_off while one is in use; close it, which fails; kvi_sim_env_crash; open …
 *
 * 1. The env does not move: its parts point to each other.
 * 2. restart and crash assert that the life before has left nothing: no memory, no job, no open
 *    file.
 * One thread.
 */
#ifndef KVI_SIM_ENV_H
#define KVI_SIM_ENV_H

#include "os/env.h"
#include "sim/sim_alloc.h"
#include "sim/sim_clock.h"
#include "sim/sim_exec.h"
#include "sim/sim_fs.h"
#include "sim/sim_rand.h"

/** What the wall clock shows at the start: some day in 2023. */
#define KVI_SIM_EPOCH_MS INT64_C(1700000000000)

#define KVI_SIM_LOG_MAX 255

typedef struct kvi_sim_env {
    kvi_os_env os;       /* hand this to the code under test */
    const kvi_mem *real; /* the simulator's own memory */
    kvi_sim_fs *fs;
    kvi_sim_clock clock;
    kvi_sim_exec exec;
    kvi_sim_alloc alloc;
    kvi_mem mem; /* over alloc: os.mem */
    kvi_sim_rand rand;
    kvi_sim_rng seeds;                     /* of what comes after a restart */
    uint64_t log_counts[KV_LOG_DEBUG + 1]; /* lines logged, by level */
    char log_last[KVI_SIM_LOG_MAX + 1];
} kvi_sim_env;

/** With an empty disk. mem is borrowed. KV_OK or KV_ENOMEM. */
int kvi_sim_env_init(kvi_sim_env *e, const kvi_mem *mem, uint64_t seed) KVI_NODISCARD;

/** With this disk, which it takes over. */
void kvi_sim_env_init_on(kvi_sim_env *e, const kvi_mem *mem, uint64_t seed, kvi_sim_fs *disk);

/** Asserts that nothing is left, and frees the disk. */
void kvi_sim_env_deinit(kvi_sim_env *e);

/** The process ends and another begins: disk, clock and randomness go on. Knobs of executor and
 * allocator are off again. */
void kvi_sim_env_restart(kvi_sim_env *e);

/** Power fails and comes back: as restart, on what the disk has left. Where it fails (KV_ENOMEM)
 * nothing happened. */
int kvi_sim_env_crash(kvi_sim_env *e, enum kvi_sim_crash variant, uint64_t seed) KVI_NODISCARD;

#endif
