/*
 * The judge of power losses; see the header for the contract.
 */
#include "sim/power.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "base/hash.h"

/* One in so many copies is read in more ways than one, and has its background work done. */
#define THOROUGH_EVERY 8

static const char *const variant_names[KVI_SIM_CRASHES] = {
    [KVI_SIM_DROP] = "drop",
    [KVI_SIM_KEEP] = "keep",
    [KVI_SIM_RANDOM] = "random",
    [KVI_SIM_TORN_1] = "torn at 1",
    [KVI_SIM_TORN_512] = "torn at 512",
    [KVI_SIM_TORN_4096] = "torn at 4096",
};

static void *grow(void *old, size_t count, size_t size)
{
    void *p = realloc(old, count * size);

    KVI_ASSERT(p);
    return p;
}

void kvt_power_init(kvt_power *p, const kvt_plan *plan, const kvt_history *history, uint64_t seed)
{
    memset(p, 0, sizeof *p);
    p->plan = plan;
    p->history = history;
    p->seed = seed;
    p->nested_every = UINT64_MAX;
    p->known_cap = 1024;
    p->known = grow(NULL, p->known_cap, sizeof *p->known);
    kvt_power_forget(p);
}

void kvt_power_deinit(kvt_power *p)
{
    for (size_t i = 0; i < p->cut_count; i++)
        kvi_sim_fs_free(p->cuts[i].disk);
    free(p->cuts);
    free(p->known);
}

/* --- what is known ------------------------------------------------------------------------ */

void kvt_power_forget(kvt_power *p)
{
    memset(p->known, 0, p->known_cap * sizeof *p->known);
    p->known_count = 0;
}

/** The place of a hash: its verdict, or a free one. */
static kvt_verdict *place(kvt_verdict *known, size_t cap, uint64_t hash)
{
    size_t i = (size_t)hash & (cap - 1);

    while (known[i].state != 0 && known[i].hash != hash)
        i = (i + 1) & (cap - 1);
    return &known[i];
}

static void learn(kvt_power *p, uint64_t hash, uint64_t state)
{
    if (2 * p->known_count >= p->known_cap) {
        size_t cap = 2 * p->known_cap;
        kvt_verdict *bigger = grow(NULL, cap, sizeof *bigger);

        memset(bigger, 0, cap * sizeof *bigger);
        for (size_t i = 0; i < p->known_cap; i++)
            if (p->known[i].state != 0)
                *place(bigger, cap, p->known[i].hash) = p->known[i];
        free(p->known);
        p->known = bigger;
        p->known_cap = cap;
    }
    *place(p->known, p->known_cap, hash) = (kvt_verdict){hash, state + 1};
    p->known_count++;
}

/* --- cutting ------------------------------------------------------------------------------ */

static void add_cut(kvt_power *p, kvi_sim_fs *disk, const kvt_cut *like)
{
    kvt_cut cut = *like;
    uint64_t seed = kvi_mix64(p->seed + p->copies * KVI_SIM_CRASHES);
    int err = kvi_sim_fs_crash_copy(disk, cut.variant, seed, &cut.disk);

    KVI_ASSERT(err == KV_OK);
    if (p->cut_count == p->cut_cap) {
        p->cut_cap = p->cut_cap ? 2 * p->cut_cap : 64;
        p->cuts = grow(p->cuts, p->cut_cap, sizeof *p->cuts);
    }
    p->cuts[p->cut_count++] = cut;
    p->copies++;
}

void kvt_power_cut(kvt_power *p, kvi_sim_fs *disk, uint64_t mutation, uint64_t now_ns,
                   uint64_t low_synced, uint64_t low_written, uint64_t high)
{
    kvt_cut cut = {NULL, KVI_SIM_DROP, mutation, now_ns, low_synced, high};

    p->points++;
    for (int v = 0; v < KVI_SIM_CRASHES; v++) {
        cut.variant = (enum kvi_sim_crash)v;
        cut.low = v == KVI_SIM_KEEP ? low_written : low_synced;
        add_cut(p, disk, &cut);
    }
}

/* --- judging ------------------------------------------------------------------------------ */

static bool fail(kvt_power *p, const kvt_cut *cut, const char *format, ...)
{
    char what[512];
    va_list args;

    va_start(args, format);
    (void)vsnprintf(what, sizeof what, format, args);
    va_end(args);
    (void)snprintf(p->why, sizeof p->why, "power lost before mutation %llu (%s): %s",
                   (unsigned long long)cut->mutation, variant_names[cut->variant], what);
    return false;
}

/** Opens the machine's store and finds out the state it holds, which must be within the bounds. */
static bool open_and_compare(kvt_power *p, const kvt_cut *cut, const char *which, kvt_machine *m,
                             bool thorough, uint64_t *state)
{
    const char *wrong;
    char why[384];
    int err = kvt_machine_open(m);
    uint64_t seq;

    if (err < 0)
        return fail(p, cut, "%s does not open: %d: %s", which, err, kv_error_detail());
    p->opened++;
    seq = kvt_machine_last_seq(m);
    if (!kvt_history_find_seq(p->history, seq, state))
        return fail(p, cut, "%s ends within a write, at sequence %llu", which,
                    (unsigned long long)seq);
    if (*state < cut->low || *state > cut->high)
        return fail(p, cut, "%s lost acknowledged writes: it holds state %llu, not %llu to %llu",
                    which, (unsigned long long)*state, (unsigned long long)cut->low,
                    (unsigned long long)cut->high);
    wrong = kvt_history_compare(p->history, 0, *state, kvt_machine_now_ms(m), m->db, NULL,
                                thorough ? KVT_SCAN_BACK | KVT_SCAN_GETS : 0, why, sizeof why);
    if (wrong)
        return fail(p, cut, "%s does not hold a prefix of the history: %s", which, wrong);
    if (!kvt_machine_is_tidy(m, why, sizeof why))
        return fail(p, cut, "%s: %s", which, why);
    return true;
}

static void close_machine(kvt_machine *m)
{
    if (m->db)
        (void)kvt_machine_close(m);
    kvt_machine_deinit(m);
}

/** Another machine with this disk, which it takes over: it must hold exactly this state. */
static bool judge_again(kvt_power *p, const kvt_cut *cut, const char *which, kvi_sim_fs *disk,
                        uint64_t state)
{
    kvt_cut same = *cut;
    kvt_machine m;
    uint64_t found;
    bool good;

    same.low = same.high = state;
    kvt_machine_init_on(&m, p->plan, p->seed + p->opened, disk, cut->now_ns);
    good = open_and_compare(p, &same, which, &m, false, &found);
    close_machine(&m);
    return good;
}

/** Jobs run to the end: nothing changes for readers, and nothing is left over. */
static bool judge_settled(kvt_power *p, const kvt_cut *cut, kvt_machine *m, uint64_t state)
{
    const char *wrong;
    char why[384];

    (void)kvi_sim_exec_run_all(&m->env.exec, SIZE_MAX);
    wrong = kvt_history_compare(p->history, 0, state, kvt_machine_now_ms(m), m->db, NULL, 0, why,
                                sizeof why);
    if (wrong)
        return fail(p, cut, "after its background work: %s", wrong);
    if (!kvt_machine_is_tidy(m, why, sizeof why))
        return fail(p, cut, "after its background work: %s", why);
    return true;
}

/** While it is open: what would be left if power went off again now. */
static bool judge_dropped(kvt_power *p, const kvt_cut *cut, kvt_machine *m, uint64_t state)
{
    kvi_sim_fs *left;
    int err = kvi_sim_fs_crash_copy(m->env.fs, KVI_SIM_DROP, p->seed, &left);

    KVI_ASSERT(err == KV_OK);
    return judge_again(p, cut, "power lost right after it was opened, it", left, state);
}

static bool judge_reopened(kvt_power *p, const kvt_cut *cut, kvt_machine *m, uint64_t state)
{
    kvt_cut same = *cut;
    uint64_t found;
    int err = kvt_machine_close(m);

    if (err < 0)
        return fail(p, cut, "what was recovered does not close: %d: %s", err, kv_error_detail());
    kvi_sim_env_restart(&m->env);
    same.low = same.high = state;
    return open_and_compare(p, &same, "closed and opened again, it", m, false, &found);
}

/* --- recovery cut short ------------------------------------------------------------------- */

typedef struct nested {
    kvt_power inner;
    uint64_t now_ns;
} nested;

/* Bounds are set when the outcome of the undisturbed recovery is known. */
static void cut_recovery(void *user, kvi_sim_fs *disk, uint64_t mutation)
{
    nested *n = user;

    kvt_power_cut(&n->inner, disk, mutation, n->now_ns, 0, 0, UINT64_MAX);
}

static bool judge_nested(kvt_power *p, const kvt_cut *cut, nested *n, uint64_t state)
{
    bool good = true;

    p->nested++;
    p->nested_copies += n->inner.copies;
    for (size_t i = 0; i < n->inner.cut_count; i++) {
        kvt_cut *inner = &n->inner.cuts[i];

        inner->low = inner->high = state;
    }
    good = kvt_power_judge(&n->inner);
    if (!good)
        (void)fail(p, cut, "while it was recovered: %s", n->inner.why);
    p->opened += n->inner.opened;
    return good;
}

/* --- one copy ----------------------------------------------------------------------------- */

/** Takes over the cut's disk. */
static bool judge_copy(kvt_power *p, const kvt_cut *cut, uint64_t *state)
{
    bool thorough = p->distinct % THOROUGH_EVERY == 0;
    bool with_nested = p->distinct % p->nested_every == p->nested_every / 2;
    kvt_machine m;
    nested n;
    bool good;

    p->distinct++;
    kvt_machine_init_on(&m, p->plan, p->seed + p->opened, cut->disk, cut->now_ns);
    if (with_nested) {
        kvt_power_init(&n.inner, p->plan, p->history, p->seed ^ p->copies);
        n.inner.shallow = true;
        n.now_ns = cut->now_ns;
        kvi_sim_fs_set_hook(m.env.fs, cut_recovery, &n);
    }
    good = open_and_compare(p, cut, "it", &m, thorough, state);
    if (good && thorough)
        good = judge_settled(p, cut, &m, *state);
    kvi_sim_fs_set_hook(m.env.fs, NULL, NULL);
    if (good && (thorough || !p->shallow))
        good = judge_dropped(p, cut, &m, *state);
    if (good && thorough)
        good = judge_reopened(p, cut, &m, *state);
    close_machine(&m);
    if (with_nested) {
        if (good)
            good = judge_nested(p, cut, &n, *state);
        kvt_power_deinit(&n.inner);
    }
    return good;
}

static bool judge_cut(kvt_power *p, kvt_cut *cut)
{
    kvi_sim_fs *disk = cut->disk;
    kvt_verdict *v;
    uint64_t hash, state;
    int err = kvi_sim_fs_hash(disk, &hash);

    KVI_ASSERT(err == KV_OK);
    cut->disk = NULL;
    v = place(p->known, p->known_cap, hash);
    if (v->state != 0) {
        kvi_sim_fs_free(disk);
        state = v->state - 1;
        if (state >= cut->low && state <= cut->high)
            return true;
        return fail(p, cut, "it lost acknowledged writes: it holds state %llu, not %llu to %llu",
                    (unsigned long long)state, (unsigned long long)cut->low,
                    (unsigned long long)cut->high);
    }
    cut->disk = disk;
    if (!judge_copy(p, cut, &state)) {
        cut->disk = NULL;
        return false;
    }
    cut->disk = NULL;
    learn(p, hash, state);
    return true;
}

bool kvt_power_judge(kvt_power *p)
{
    bool good = true;

    for (size_t i = 0; i < p->cut_count; i++) {
        if (good)
            good = judge_cut(p, &p->cuts[i]);
        else
            kvi_sim_fs_free(p->cuts[i].disk);
    }
    p->cut_count = 0;
    return good;
}
