/*
 * One simulated machine; see the header for the contract.
 */
#include "sim/sim_env.h"

#include <string.h>

#include "base/check.h"

static void note_log(void *user, int level, const char *message)
{
    kvi_sim_env *e = user;
    size_t len = kvi_min_size(strlen(message), KVI_SIM_LOG_MAX);

    KVI_ASSERT(level >= KV_LOG_ERROR && level <= KV_LOG_DEBUG);
    e->log_counts[level]++;
    memcpy(e->log_last, message, len);
    e->log_last[len] = '\0';
}

static void check_nothing_left(const kvi_sim_env *e)
{
    KVI_ASSERT(e->exec.depth == 0 && kvi_list_empty(&e->exec.waiting));
    KVI_ASSERT(atomic_load_explicit(&e->alloc.blocks, memory_order_relaxed) == 0);
    KVI_ASSERT(kvi_sim_fs_open_count(e->fs) == 0);
}

/* What lives as long as a process does. */
static void begin_life(kvi_sim_env *e)
{
    kvi_sim_exec_init(&e->exec, kvi_sim_rng_next(&e->seeds));
    kvi_sim_alloc_init(&e->alloc, e->real);
    kvi_mem_init(&e->mem, &e->alloc.host);
    e->os.fs = kvi_sim_fs_os(e->fs);
}

void kvi_sim_env_init_on(kvi_sim_env *e, const kvi_mem *mem, uint64_t seed, kvi_sim_fs *disk)
{
    memset(e, 0, sizeof *e);
    e->real = mem;
    e->fs = disk;
    kvi_sim_rng_init(&e->seeds, seed);
    kvi_sim_clock_init(&e->clock, KVI_SIM_EPOCH_MS);
    kvi_sim_rand_init(&e->rand, kvi_sim_rng_next(&e->seeds));
    e->os.mem = &e->mem;
    e->os.clock = &e->clock.base;
    e->os.exec = &e->exec.base;
    e->os.rand = &e->rand.base;
    e->os.log = note_log;
    e->os.log_user = e;
    begin_life(e);
}

int kvi_sim_env_init(kvi_sim_env *e, const kvi_mem *mem, uint64_t seed)
{
    kvi_sim_fs *disk;
    int err = kvi_sim_fs_new(mem, seed, &disk);

    if (err == KV_OK)
        kvi_sim_env_init_on(e, mem, seed, disk);
    return err;
}

void kvi_sim_env_deinit(kvi_sim_env *e)
{
    check_nothing_left(e);
    kvi_sim_fs_free(e->fs);
    e->fs = NULL;
}

void kvi_sim_env_restart(kvi_sim_env *e)
{
    check_nothing_left(e);
    begin_life(e);
}

int kvi_sim_env_crash(kvi_sim_env *e, enum kvi_sim_crash variant, uint64_t seed)
{
    kvi_sim_fs *left;
    int err;

    check_nothing_left(e);
    err = kvi_sim_fs_crash_copy(e->fs, variant, seed, &left);
    if (err)
        return err;
    kvi_sim_fs_free(e->fs);
    e->fs = left;
    begin_life(e);
    return KV_OK;
}
