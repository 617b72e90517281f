/*
 * A machine of a simulated cluster: when its store is stepped, when its disk's jobs run, and what
 * its clocks show; see sim_cluster.h for the contract.
 */
#include "api/store.h"
#include "base/check.h"
#include "node/node.h"
#include "sim/sim_cluster.h"

/* --- clocks ------------------------------------------------------------------------------- */

#define NS_PER_MS  INT64_C(1000000)
#define PPM        INT64_C(1000000)
#define DRIFT_UNIT 1000u /* ns are skewed by the microsecond, which keeps the products small */

static uint64_t skewed(const kvi_sim_machine *m, uint64_t ns)
{
    uint64_t us = ns / DRIFT_UNIT;

    return ns + (uint64_t)((int64_t)us * m->drift_ppm / (PPM / DRIFT_UNIT));
}

static uint64_t mono_ns(kvi_os_clock *clock)
{
    const kvi_sim_machine *m = KVI_CONTAINER_OF(clock, kvi_sim_machine, clock);

    return m->clock_base_ns + skewed(m, m->sim->world.now_ns - m->world_base_ns);
}

static int64_t wall_ms(kvi_os_clock *clock)
{
    const kvi_sim_machine *m = KVI_CONTAINER_OF(clock, kvi_sim_machine, clock);

    return m->wall_offset_ms + (int64_t)mono_ns(clock) / NS_PER_MS;
}

void kvi_sim_machine_drift(kvi_sim_machine *m, int64_t ppm)
{
    KVI_ASSERT(ppm > -PPM / 2 && ppm < PPM / 2);
    m->clock_base_ns = mono_ns(&m->clock);
    m->world_base_ns = m->sim->world.now_ns;
    m->drift_ppm = ppm;
}

/* --- events ------------------------------------------------------------------------------- */

static void rearm_jobs(kvi_sim_machine *m)
{
    kvi_sim_world *w = &m->sim->world;

    if (m->env.exec.waiting_count > 0 && !kvi_heap_queued(&m->job.node) && !m->job_due)
        kvi_sim_schedule(w, &m->job,
                         w->now_ns + KVI_SIM_JOB_MIN_NS +
                             kvi_sim_rng_below(&w->rng, KVI_SIM_JOB_MAX_NS - KVI_SIM_JOB_MIN_NS));
}

void kvi_sim_machine_settle(kvi_sim_machine *m)
{
    if (m->db && atomic_load(&m->env.alloc.blocks) == 0)
        m->db = NULL; /* a store that is open holds memory */
}

void kvi_sim_machine_poke(kvi_sim_machine *m)
{
    kvi_sim_schedule(&m->sim->world, &m->step, m->sim->world.now_ns);
}

void kvi_sim_machine_rearm(kvi_sim_machine *m)
{
    kvi_sim_world *w = &m->sim->world;
    int64_t left;

    kvi_sim_machine_settle(m);
    rearm_jobs(m);
    if (!m->db || m->stepping)
        return;
    left = kv_next_deadline(m->db);
    if (left >= 0)
        kvi_sim_schedule(w, &m->step, w->now_ns + kvi_max_u64((uint64_t)left, KVI_SIM_STEP_NS));
}

static void step(kvi_sim_event *event)
{
    kvi_sim_machine *m = KVI_CONTAINER_OF(event, kvi_sim_machine, step);

    if (m->paused || m->stepping) {
        m->step_due = true;
        return;
    }
    kvi_sim_machine_settle(m);
    if (!m->db)
        return;
    m->stepping = true;
    (void)kv_step(m->db, 1); /* in virtual time it takes none: all that is ready */
    m->stepping = false;
    kvi_sim_trace_add(&m->sim->world, m->index);
    kvi_sim_machine_rearm(m);
}

static void job(kvi_sim_event *event)
{
    kvi_sim_machine *m = KVI_CONTAINER_OF(event, kvi_sim_machine, job);

    if (m->paused) {
        m->job_due = true;
        return;
    }
    (void)kvi_sim_exec_run_all(&m->env.exec, 1);
    m->step_due |= m->stepping; /* a call that waits for it looks */
    kvi_sim_trace_add(&m->sim->world, ~(uint64_t)m->index);
    kvi_sim_machine_rearm(m);
}

void kvi_sim_machine_pause(kvi_sim_machine *m, bool paused)
{
    m->paused = paused;
    m->endpoint->paused = paused;
    if (paused)
        return;
    m->step_due = m->job_due = false;
    rearm_jobs(m);
    kvi_sim_machine_poke(m);
}

/* --- waiting ------------------------------------------------------------------------------ */

static void notify(void *user)
{
    kvi_sim_machine_poke(user);
}

static bool something(void *machine)
{
    const kvi_sim_machine *m = machine;

    return m->step_due || kvi_sim_endpoint_ready(m->endpoint);
}

/** How long a call may wait until its store has something to do by time. What the store has for
 *  kv_step() alone is no reason. */
static uint64_t patience(const kvi_sim_machine *m, uint64_t wait_ns)
{
    int64_t left = m->db ? kvi_node_deadline(m->db->store->node) : -1;

    return left < 0 ? wait_ns : kvi_min_u64(wait_ns, kvi_max_u64((uint64_t)left, KVI_SIM_STEP_NS));
}

void kvi_sim_machine_idle(void *machine, uint64_t wait_ns)
{
    kvi_sim_machine *m = machine;
    kvi_sim_world *w = &m->sim->world;
    uint64_t wait = patience(m, wait_ns);
    uint64_t end = wait > UINT64_MAX - w->now_ns ? UINT64_MAX : w->now_ns + wait;
    bool outer = m->stepping;

    KVI_ASSERT(w->now_ns < UINT64_MAX); /* nothing will ever happen: the wait has no end */
    m->stepping = true;                 /* the call that waits steps the store itself */
    m->step_due = false;
    rearm_jobs(m);
    kvi_sim_schedule(w, &m->step, end);
    kvi_sim_world_run(w, end, something, m);
    m->step_due = false;
    m->stepping = outer;
}

/* --- its life ----------------------------------------------------------------------------- */

int kvi_sim_machine_init(kvi_sim_machine *m, kv_sim *sim, unsigned index)
{
    int err = kvi_sim_env_init(&m->env, &sim->mem, kvi_sim_rng_next(&sim->world.rng));

    if (err)
        return err;
    m->sim = sim;
    m->index = index;
    m->clock = (kvi_os_clock){mono_ns, wall_ms};
    m->clock_base_ns = kvi_sim_rng_below(&sim->world.rng, UINT64_C(1) << 40);
    m->wall_offset_ms = KVI_SIM_EPOCH_MS - (int64_t)m->clock_base_ns / NS_PER_MS;
    m->env.os.clock = &m->clock;
    if (sim->log) {
        m->env.os.log = sim->log;
        m->env.os.log_user = sim->log_user;
    }
    m->step.fn = step;
    m->job.fn = job;
    m->endpoint = &sim->net.endpoints[index];
    m->endpoint->notify = notify;
    m->endpoint->user = m;
    return KV_OK;
}

void kvi_sim_machine_deinit(kvi_sim_machine *m)
{
    kvi_sim_machine_settle(m);
    KVI_ASSERT(!m->db);
    kvi_sim_cancel(&m->sim->world, &m->step);
    kvi_sim_cancel(&m->sim->world, &m->job);
    kvi_sim_env_deinit(&m->env);
}
