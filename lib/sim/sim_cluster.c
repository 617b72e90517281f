/*
 * The public calls of the simulator (kv_sim.h).
 */
#include "sim/sim_cluster.h"

#include "base/check.h"
#include "base/error.h"
#include "ring/ring.h"

#define DELAY_MIN_NS 200000u
#define DELAY_MAX_NS 1000000u
#define DELAY_LIMIT  (UINT64_C(3600) * 1000000000)
#define PPM          1000000u
#define MEMORY       ((size_t)4 << 20)
#define PATH         "store"

/** Sizes of the engine for stores that are opened by the thousand. */
static const kvi_lsm_shape SMALL = {
    .memtable_bytes = 64 << 10,
    .segment_bytes = 64 << 10,
    .block_bytes = 1024,
    .table_bytes = 64 << 10,
    .level1_bytes = 256 << 10,
    .level_ratio = 4,
    .level0_compact = 4,
    .level0_stall = 12,
};

/* --- the network -------------------------------------------------------------------------- */

int kv_sim_set_network(kv_sim *sim, const kv_sim_network *network)
{
    kvi_sim_net_knobs k = {.delay_min_ns = DELAY_MIN_NS, .delay_max_ns = DELAY_MAX_NS};

    if (!sim)
        return kvi_error_set(KV_EINVAL, "sim is NULL");
    if (network) {
        if (network->size != sizeof *network || network->flags != 0)
            return kvi_error_set(KV_EINVAL, "kv_sim_network: not set up by its initializer");
        if (network->delay_min_ns > network->delay_max_ns || network->delay_max_ns > DELAY_LIMIT ||
            network->slow_ns > DELAY_LIMIT)
            return kvi_error_set(KV_EINVAL, "kv_sim_network: a delay is over an hour, or the least "
                                            "one over the longest");
        if (network->loss_ppm > PPM || network->duplicate_ppm > PPM || network->slow_ppm > PPM)
            return kvi_error_set(KV_EINVAL, "kv_sim_network: a chance is over a million ppm");
        if (network->delay_max_ns > 0) {
            k.delay_min_ns = network->delay_min_ns;
            k.delay_max_ns = network->delay_max_ns;
        }
        k.slow_ns = network->slow_ns;
        k.loss_ppm = network->loss_ppm;
        k.duplicate_ppm = network->duplicate_ppm;
        k.slow_ppm = network->slow_ppm;
    }
    sim->net.knobs = k;
    return KV_OK;
}

void kv_sim_cut(kv_sim *sim, unsigned from, unsigned to, int cut)
{
    KVI_ASSERT(from < sim->count && to < sim->count);
    sim->net.cuts[(size_t)from * sim->count + to] = cut != 0;
}

void kv_sim_heal(kv_sim *sim)
{
    for (size_t i = 0; i < (size_t)sim->count * sim->count; i++)
        sim->net.cuts[i] = false;
}

/* --- its life ----------------------------------------------------------------------------- */

static int check_options(const kv_sim_options *o)
{
    if (o->size != sizeof *o || o->flags != 0)
        return kvi_error_set(KV_EINVAL, "kv_sim_options: not set up by its initializer");
    if (o->machines == 0 || o->machines > KV_SIM_MACHINES_MAX)
        return kvi_error_set(KV_EINVAL, "kv_sim_options.machines is %u, not 1 to %u",
                             (unsigned)o->machines, KV_SIM_MACHINES_MAX);
    if (o->partitions_log2 > KVI_RING_BITS_MAX)
        return kvi_error_set(KV_EINVAL, "kv_sim_options.partitions_log2 is %u, over %u",
                             (unsigned)o->partitions_log2, KVI_RING_BITS_MAX);
    for (size_t i = 0; i < sizeof o->reserved; i++)
        if (o->reserved[i] != 0)
            return kvi_error_set(KV_EINVAL, "kv_sim_options.reserved is not 0");
    return KV_OK;
}

static void sim_free(kv_sim *sim)
{
    kvi_mem mem = sim->mem;

    for (unsigned i = 0; i < sim->count; i++)
        kvi_sim_machine_deinit(&sim->machines[i]);
    kvi_sim_net_deinit(&sim->net);
    kvi_sim_world_deinit(&sim->world);
    kvi_mem_free(&mem, sim->machines);
    kvi_mem_free(&mem, sim);
}

int kv_sim_new(const kv_sim_options *options, kv_sim **out)
{
    kv_sim *sim;
    kvi_mem mem;
    int err = options && out ? check_options(options)
                             : kvi_error_set(KV_EINVAL, "%s is NULL", options ? "out" : "options");

    if (err)
        return err;
    kvi_mem_init(&mem, NULL);
    sim = kvi_mem_zalloc(&mem, 1, sizeof *sim);
    if (!sim)
        return kvi_error_set(KV_ENOMEM, "cannot allocate a simulation");
    sim->mem = mem;
    sim->ring_bits = options->partitions_log2;
    sim->log = options->log;
    sim->log_user = options->user;
    kvi_sim_world_init(&sim->world, &sim->mem, options->seed);
    err = kvi_sim_net_init(&sim->net, &sim->world, &sim->mem, options->machines);
    if (err) {
        kvi_sim_world_deinit(&sim->world);
        kvi_mem_free(&mem, sim);
        return err;
    }
    sim->machines = kvi_mem_zalloc(&sim->mem, options->machines, sizeof *sim->machines);
    if (!sim->machines)
        err = kvi_error_set(KV_ENOMEM, "cannot allocate %u machines", (unsigned)options->machines);
    if (!err)
        err = kv_sim_set_network(sim, options->network);
    for (unsigned i = 0; i < options->machines && !err; i++) {
        err = kvi_sim_machine_init(&sim->machines[i], sim, i);
        sim->count += err ? 0 : 1;
    }
    if (err) {
        sim_free(sim);
        return err;
    }
    *out = sim;
    return KV_OK;
}

void kv_sim_free(kv_sim *sim)
{
    if (sim)
        sim_free(sim);
}

/* --- time --------------------------------------------------------------------------------- */

void kv_sim_run(kv_sim *sim, uint64_t ns)
{
    uint64_t end = ns > UINT64_MAX - sim->world.now_ns ? UINT64_MAX : sim->world.now_ns + ns;

    for (unsigned i = 0; i < sim->count; i++)
        kvi_sim_machine_rearm(&sim->machines[i]);
    kvi_sim_world_run(&sim->world, end, NULL, NULL);
}

uint64_t kv_sim_now(const kv_sim *sim)
{
    return sim->world.now_ns;
}

uint64_t kv_sim_trace(const kv_sim *sim)
{
    return sim->world.trace;
}

uint64_t kv_sim_events(const kv_sim *sim)
{
    return sim->world.ran;
}

/* --- machines ----------------------------------------------------------------------------- */

static int check_machine(const kv_sim *sim, unsigned machine)
{
    if (!sim)
        return kvi_error_set(KV_EINVAL, "sim is NULL");
    if (machine >= sim->count)
        return kvi_error_set(KV_EINVAL, "there is no machine %u, only %u of them", machine,
                             sim->count);
    return KV_OK;
}

/** For calls that have no way to say that there is none. */
static kvi_sim_machine *machine_of(kv_sim *sim, unsigned machine)
{
    KVI_ASSERT(sim && machine < sim->count);
    return &sim->machines[machine];
}

int kvi_sim_open_shaped(kv_sim *sim, unsigned machine, const kv_options *options,
                        const kvi_lsm_shape *shape, kv **out)
{
    kvi_sim_machine *m = machine_of(sim, machine);
    kv_options o = options ? *options : (kv_options)KV_OPTIONS_INIT;
    kvi_api_seams seams = {.env = &m->env.os,
                           .shape = shape ? shape : &SMALL,
                           .ring_bits = sim->ring_bits,
                           .external_exec = true,
                           .idle = kvi_sim_machine_idle,
                           .idle_user = m};
    kv_transport transport;
    int err;

    kvi_sim_machine_settle(m);
    if (m->db)
        return kvi_error_set(KV_EOPEN, "machine %u has a store open", machine);
    if (m->lived)
        kvi_sim_env_restart(&m->env);
    m->lived = true;
    o.mode = KV_STEPPED;
    o.workers = 0;
    o.memory = o.memory ? o.memory : MEMORY;
    o.transport = NULL;
    o.allocator = NULL;
    if (o.listen) {
        kvi_sim_net_transport(m->endpoint, &transport);
        o.listen = m->endpoint->address;
        o.transport = &transport;
    }
    m->stepping = true;
    err = kvi_api_open_over(PATH, &o, &seams, out);
    m->stepping = false;
    if (err)
        return err;
    m->db = *out;
    kvi_sim_machine_rearm(m);
    return KV_OK;
}

int kv_sim_open(kv_sim *sim, unsigned machine, const kv_options *options, kv **out)
{
    int err = check_machine(sim, machine);

    if (!err && !out)
        err = kvi_error_set(KV_EINVAL, "out is NULL");
    if (err)
        return err;
    return kvi_sim_open_shaped(sim, machine, options, NULL, out);
}

int kv_sim_crash(kv_sim *sim, unsigned machine, int how)
{
    enum kvi_sim_crash variant = KVI_SIM_KEEP;
    kvi_sim_machine *m;
    uint64_t seed;
    int err = check_machine(sim, machine);

    if (!err && how != KV_SIM_POWER_LOSS && how != KV_SIM_PROCESS_END)
        err = kvi_error_set(KV_EINVAL, "how is %d: no way to crash", how);
    if (err)
        return err;
    m = machine_of(sim, machine);
    err = kvi_sim_fs_power_off(m->env.fs);
    if (err)
        return err;
    seed = kvi_sim_rng_next(&sim->world.rng);
    if (how == KV_SIM_POWER_LOSS)
        variant = (enum kvi_sim_crash)kvi_sim_rng_below(&sim->world.rng, KVI_SIM_CRASHES);
    kvi_sim_machine_settle(m);
    if (m->db) {
        m->stepping = true;
        err = kv_close(m->db); /* it fails: the disk is gone. But not for what it lent */
        m->stepping = false;
        KVI_ASSERT(err != KV_EBUSY && err != KV_EDEADLK);
        m->db = NULL;
    }
    kvi_sim_cancel(&sim->world, &m->step);
    kvi_sim_cancel(&sim->world, &m->job);
    m->step_due = m->job_due = false;
    kvi_sim_machine_pause(m, false);
    kvi_sim_trace_add(&sim->world, seed);
    m->lived = false;
    return kvi_sim_env_crash(&m->env, variant, seed);
}

int kv_sim_wipe(kv_sim *sim, unsigned machine)
{
    kvi_sim_machine *m;
    kvi_sim_fs *disk;
    int err = check_machine(sim, machine);

    if (err)
        return err;
    m = machine_of(sim, machine);
    kvi_sim_machine_settle(m);
    if (m->db)
        return kvi_error_set(KV_EOPEN, "machine %u has a store open", machine);
    err = kvi_sim_fs_new(&sim->mem, kvi_sim_rng_next(&sim->world.rng), &disk);
    if (err)
        return err;
    kvi_sim_fs_free(m->env.fs);
    m->env.fs = disk;
    kvi_sim_env_restart(&m->env);
    m->lived = false;
    return KV_OK;
}

void kv_sim_pause(kv_sim *sim, unsigned machine, int paused)
{
    kvi_sim_machine_pause(machine_of(sim, machine), paused != 0);
}

void kv_sim_clock_jump(kv_sim *sim, unsigned machine, int64_t delta_ms)
{
    machine_of(sim, machine)->wall_offset_ms += delta_ms;
}

void kv_sim_clock_drift(kv_sim *sim, unsigned machine, int32_t ppm)
{
    kvi_sim_machine_drift(machine_of(sim, machine), ppm);
}

void kv_sim_disk_errors(kv_sim *sim, unsigned machine, uint32_t ppm)
{
    kvi_sim_fs_faults faults = {.error_ppm = {[KVI_SIM_CALL_ANY] = ppm}};

    kvi_sim_fs_set_faults(machine_of(sim, machine)->env.fs, &faults);
}
