/* lib/sim/sim_env.c */
#include "sim/sim_env.h"

#include "unit/sim/disk.h"

Test(sim_env, the_bundle_is_whole)
{
    kvi_sim_env e;
    uint8_t bytes[4];
    void *p;

    OK(kvi_sim_env_init(&e, plain_mem(), 1));
    cr_assert(e.os.fs && e.os.clock && e.os.exec && e.os.rand && e.os.log && !e.os.jitter);
    p = kvi_mem_alloc(e.os.mem, 5);
    cr_assert_eq(e.alloc.blocks, 1);
    kvi_mem_free(e.os.mem, p);
    OK(e.os.rand->fill(e.os.rand, bytes, sizeof bytes));
    cr_assert_eq(kvi_os_wall_ms(e.os.clock), KVI_SIM_EPOCH_MS);
    e.os.log(e.os.log_user, KV_LOG_WARN, "hot");
    cr_assert_eq(e.log_counts[KV_LOG_WARN], 1);
    cr_assert_str_eq(e.log_last, "hot");
    kvi_sim_env_deinit(&e);
}

/* The disk is not charged to the code under test. */
Test(sim_env, the_disk_has_memory_of_its_own)
{
    kvi_sim_env e;
    kvi_os_dir *d;

    OK(kvi_sim_env_init(&e, plain_mem(), 1));
    kvi_sim_alloc_reset(&e.alloc, 0, true);
    d = dir_open(e.fs);
    file_put(d, "a", "x");
    dir_close(d);
    cr_assert_eq(e.alloc.calls, 0);
    kvi_sim_env_deinit(&e);
}

Test(sim_env, the_disk_outlives_the_process_and_the_power)
{
    kvi_sim_env e;
    kvi_os_dir *d;

    OK(kvi_sim_env_init(&e, plain_mem(), 1));
    d = dir_open(e.fs);
    file_put(d, "a", "x");
    dir_sync(d);
    file_put(d, "b", "y");
    dir_close(d);
    kvi_sim_alloc_reset(&e.alloc, 0, true);
    e.os.exec->ops->stop(e.os.exec);

    kvi_sim_env_restart(&e);
    cr_assert(!e.exec.stopped);
    cr_assert_eq(e.alloc.fail_at, KVI_SIM_ALLOC_NEVER);
    cr_assert(file_is(e.fs, "b", "y"));

    kvi_sim_clock_advance(&e.clock, 7);
    d = dir_open(e.fs);
    OK(kvi_sim_fs_power_off(e.fs));
    cr_assert_eq(d->ops->close(d), KV_EIO);
    OK(kvi_sim_env_crash(&e, KVI_SIM_DROP, 1));
    cr_assert_eq(kvi_os_mono_ns(e.os.clock), 7);
    cr_assert(file_is(e.fs, "a", "x"));
    cr_assert(!file_is_there(e.fs, "b"));
    d = dir_open(e.fs); /* the power is on */
    dir_close(d);
    kvi_sim_env_deinit(&e);
}

Test(sim_env, a_crash_copy_is_a_machine_of_its_own)
{
    kvi_sim_env e, f;
    kvi_os_dir *d;

    OK(kvi_sim_env_init(&e, plain_mem(), 1));
    d = dir_open(e.fs);
    file_put(d, "a", "x");
    kvi_sim_env_init_on(&f, plain_mem(), 2, crash(e.fs, KVI_SIM_KEEP, 1));
    dir_close(d);
    kvi_sim_env_deinit(&e);
    cr_assert(file_is(f.fs, "a", "x"));
    kvi_sim_env_deinit(&f);
}
