/*
 * The workload; see the header for the contract.
 */
#include "sim/workload.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/check.h"
#include "base/hash.h"

#define KEYS        500u
#define VALUE_SMALL 160u
#define VALUE_LARGE 6000u /* a log record of more than a segment of the tiny shape */
#define BATCH_MAX   8u

static const kvt_key_shape key_shape = {
    .count = KEYS, .len_max = 20, .long_len = 200, .letters = 5};

void kvt_workload_init(kvt_workload *w, uint64_t seed)
{
    memset(w, 0, sizeof *w);
    w->seed = seed;
    w->life = 300;
    kvt_plan_tiny(&w->plan);
    kvt_rng_init(&w->rng, seed);
    /* The store's own record of its default space has the first sequence. */
    kvt_history_init(&w->h, &w->rng, &key_shape, 1, 1);
    kvt_power_init(&w->power, &w->plan, &w->h, seed);
}

void kvt_workload_deinit(kvt_workload *w)
{
    kvt_power_deinit(&w->power);
    kvt_history_deinit(&w->h);
}

static bool fail(kvt_workload *w, const char *format, ...)
{
    char what[900];
    va_list args;

    va_start(args, format);
    (void)vsnprintf(what, sizeof what, format, args);
    va_end(args);
    (void)snprintf(w->why, sizeof w->why, "SEED=%llu, write %llu: %s", (unsigned long long)w->seed,
                   (unsigned long long)w->h.writes, what);
    return false;
}

static uint64_t draw(kvt_workload *w, uint64_t n)
{
    return kvt_rng_below(&w->rng, n);
}

static void note(kvt_workload *w, uint64_t what)
{
    if (w->tracing)
        w->trace = kvi_mix64(w->trace * UINT64_C(0x9e3779b97f4a7c15) + what);
}

/** Notes a result, which must be that one. */
static bool expect(kvt_workload *w, const char *call, int result, int expected)
{
    note(w, (uint64_t)(int64_t)result);
    if (result == expected)
        return true;
    return fail(w, "%s answered %d (%s), not %d", call, result, kv_error_detail(), expected);
}

/* --- watching the disk ---------------------------------------------------------------------- */

static void cut(kvt_workload *w, kvi_sim_fs *disk)
{
    kvt_power_cut(&w->power, disk, w->mutations, w->m.env.clock.now_ns, w->synced, w->written,
                  w->h.writes);
}

static void on_mutation(void *user, kvi_sim_fs *disk, uint64_t n)
{
    kvt_workload *w = user;
    uint64_t hash = n;

    if (w->cutting)
        cut(w, disk);
    if (w->tracing) {
        int err = kvi_sim_fs_hash(disk, &hash);

        KVI_ASSERT(err == KV_OK);
    }
    note(w, hash);
    w->mutations++;
    w->op_mutations++;
}

/** After an operation. What went into a mapped log alone is a moment of its own. */
static bool judge(kvt_workload *w)
{
    if (!w->cutting)
        return true;
    if (w->op_mutations == 0 && w->plan.mapped)
        cut(w, w->m.env.fs);
    w->op_mutations = 0;
    return kvt_power_judge(&w->power) ? true : fail(w, "%s", w->power.why);
}

/* --- writes ------------------------------------------------------------------------------- */

static uint32_t draw_len(kvt_workload *w)
{
    if (draw(w, 50) == 0)
        return (uint32_t)draw(w, VALUE_LARGE);
    return (uint32_t)draw(w, VALUE_SMALL);
}

static kvi_slice key_of(const kvt_workload *w, size_t key)
{
    return w->h.keys[key];
}

/** Some keys are hot, so that there are many versions of them. */
static size_t draw_key(kvt_workload *w)
{
    return (size_t)draw(w, draw(w, 3) == 0 ? 24 : w->h.key_count);
}

static uint8_t draw_durability(kvt_workload *w)
{
    static const uint8_t asked[] = {KV_OS, KV_OS, KV_OS, KV_DISK, KV_DISK, KV_DEFAULT};

    if (w->plan.options.durability == KV_MEMORY)
        return KV_DEFAULT;
    return asked[draw(w, sizeof asked)];
}

/** A write that asked for this durability is acknowledged. */
static void acknowledge(kvt_workload *w, uint8_t asked)
{
    uint8_t durability = asked == KV_DEFAULT ? w->plan.options.durability : asked;

    if (durability >= KV_OS)
        w->written = w->h.writes;
    if (durability == KV_DISK)
        w->synced = w->h.writes;
}

static bool do_put(kvt_workload *w, uint64_t ttl_ms, uint8_t condition)
{
    static uint8_t value[VALUE_LARGE];
    kv_op op = KV_OP_INIT;
    size_t key = draw_key(w);
    uint32_t len = draw_len(w);
    int64_t now_ms = kvt_machine_now_ms(&w->m);
    bool there = kvt_history_get(&w->h, 0, key, w->h.writes, now_ms) != NULL;
    kvi_slice k = key_of(w, key);

    op.durability = draw_durability(w);
    op.condition = condition;
    op.ttl_ms = ttl_ms;
    if ((condition == KV_IF_ABSENT && there) || (condition == KV_IF_PRESENT && !there))
        return expect(w, "a put whose condition does not hold",
                      kv_put(w->m.db, k.data, k.len, value, 0, &op, NULL), KV_ECONFLICT);
    kvt_history_begin(&w->h, 1);
    kvt_history_put(&w->h, 0, key, len, ttl_ms ? now_ms + (int64_t)ttl_ms : 0);
    kvt_value_fill(value, w->h.writes, key, len);
    if (!expect(w, "put", kv_put(w->m.db, k.data, k.len, value, len, &op, NULL), KV_OK))
        return false;
    acknowledge(w, op.durability);
    return true;
}

static bool do_delete(kvt_workload *w)
{
    kv_op op = KV_OP_INIT;
    size_t key = draw_key(w);
    kvi_slice k = key_of(w, key);

    op.durability = draw_durability(w);
    kvt_history_begin(&w->h, 1);
    kvt_history_delete(&w->h, 0, key);
    if (!expect(w, "delete", kv_delete(w->m.db, k.data, k.len, &op, NULL), KV_OK))
        return false;
    acknowledge(w, op.durability);
    return true;
}

static int fill_batch(kvt_workload *w, kv_batch *b, uint32_t ops)
{
    uint8_t value[VALUE_SMALL];
    int r = KV_OK;

    for (uint32_t i = 0; r == KV_OK && i < ops; i++) {
        size_t key = draw_key(w);
        uint32_t len = (uint32_t)draw(w, VALUE_SMALL);
        kvi_slice k = key_of(w, key);

        if (draw(w, 4) == 0) {
            kvt_history_delete(&w->h, 0, key);
            r = kv_batch_delete(b, k.data, k.len);
            continue;
        }
        kvt_history_put(&w->h, 0, key, len, 0);
        kvt_value_fill(value, w->h.writes, key, len);
        r = kv_batch_put(b, k.data, k.len, value, len, NULL);
    }
    return r;
}

static bool do_batch(kvt_workload *w)
{
    uint32_t ops = 2 + (uint32_t)draw(w, BATCH_MAX - 1);
    kv_op op = KV_OP_INIT;
    kv_batch *b;
    int r;

    if (!expect(w, "batch new", kv_batch_new(w->m.db, &b), KV_OK))
        return false;
    op.durability = draw_durability(w);
    kvt_history_begin(&w->h, ops);
    r = fill_batch(w, b, ops);
    if (r == KV_OK)
        r = kv_batch_commit(b, &op, NULL);
    kv_batch_free(b);
    if (!expect(w, "batch", r, KV_OK))
        return false;
    acknowledge(w, op.durability);
    return true;
}

/* --- what is held ------------------------------------------------------------------------- */

static bool release(kvt_workload *w, kvt_held *held, bool look)
{
    const char *wrong = NULL;
    char why[384];

    if (held->snap && look)
        wrong = kvt_history_compare(&w->h, 0, held->state, kvt_machine_now_ms(&w->m), w->m.db,
                                    held->snap, KVT_SCAN_GETS, why, sizeof why);
    kv_iter_close(held->iter);
    kv_snapshot_free(held->snap);
    *held = (kvt_held){0};
    return wrong ? fail(w, "a snapshot: %s", wrong) : true;
}

static bool do_hold(kvt_workload *w)
{
    kvt_held *held = &w->held[draw(w, KVT_HELD_MAX)];
    kv_entry e = KV_ENTRY_INIT;

    if (held->snap || held->iter)
        return release(w, held, true);
    held->state = w->h.writes;
    if (draw(w, 2) == 0)
        return expect(w, "snapshot", kv_snapshot(w->m.db, &held->snap), KV_OK);
    if (!expect(w, "iterator", kv_iter_open(w->m.db, NULL, &held->iter), KV_OK))
        return false;
    note(w, (uint64_t)(int64_t)kv_iter_next(held->iter, &e));
    return true;
}

static void release_all(kvt_workload *w)
{
    for (size_t i = 0; i < KVT_HELD_MAX; i++)
        (void)release(w, &w->held[i], false);
}

/* --- lives -------------------------------------------------------------------------------- */

static void count_life(kvt_workload *w)
{
    kv_statistics s = KV_STATISTICS_INIT;

    if (kv_stats(w->m.db, &s) < 0)
        return;
    w->renames += kvi_sim_fs_get_counts(w->m.env.fs)->calls[KVI_SIM_CALL_RENAME];
    kvi_sim_fs_reset_counts(w->m.env.fs);
    w->flushes += s.flushes;
    w->compactions += s.compactions;
    for (uint64_t level = 0; level < KV_LEVELS; level++)
        if (s.table_files[level] > 0 && level > w->deepest)
            w->deepest = level;
}

static void draw_plan(kvt_workload *w)
{
    static const uint8_t durabilities[] = {KV_MEMORY, KV_OS, KV_DISK};
    kvi_lsm_shape *s = &w->plan.shape;

    s->memtable_bytes = (size_t)(6 + draw(w, 12)) << 10;
    s->segment_bytes = (size_t)(8 + draw(w, 16)) << 10;
    s->block_bytes = (uint32_t)(200 + draw(w, 800));
    s->level0_compact = 2 + (uint32_t)draw(w, 3);
    w->plan.options.durability = durabilities[draw(w, sizeof durabilities)];
    w->plan.options.compression = draw(w, 2) ? 1 : KV_COMPRESS_NONE;
    w->plan.mapped = draw(w, 2) == 0;
    kvi_sim_fs_set_map(w->m.env.fs, w->plan.mapped);
}

/** Opens what is there, which must be a state from written on, and goes on from it. */
static bool begin_life(kvt_workload *w, uint64_t synced, uint64_t written)
{
    const char *wrong;
    char why[384];
    uint64_t state;

    if (w->changing)
        draw_plan(w);
    w->lives++;
    w->synced = synced;
    w->written = written;
    kvi_sim_fs_set_hook(w->m.env.fs, on_mutation, w);
    if (!expect(w, "open", kvt_machine_open(&w->m), KV_OK))
        return false;
    if (!kvt_history_find_seq(&w->h, kvt_machine_last_seq(&w->m), &state) || state < written)
        return fail(w, "opened at sequence %llu, which is no state from %llu on",
                    (unsigned long long)kvt_machine_last_seq(&w->m), (unsigned long long)written);
    note(w, state);
    wrong = kvt_history_compare(&w->h, 0, state, kvt_machine_now_ms(&w->m), w->m.db, NULL,
                                KVT_SCAN_BACK, why, sizeof why);
    if (wrong)
        return fail(w, "opened: %s", wrong);
    if (!judge(w)) /* while the history is whole */
        return false;
    kvt_history_cut(&w->h, state);
    kvt_power_forget(&w->power);
    w->written = w->synced = state;
    return true;
}

static bool end_life(kvt_workload *w)
{
    release_all(w);
    count_life(w);
    if (!expect(w, "close", kvt_machine_close(&w->m), KV_OK))
        return false;
    w->written = w->synced = w->h.writes;
    return judge(w);
}

static bool close_and_open(kvt_workload *w)
{
    if (!end_life(w))
        return false;
    kvi_sim_env_restart(&w->m.env);
    return begin_life(w, w->h.writes, w->h.writes);
}

/** What was not synced is still only in memory when the next process opens the store. */
static bool die_and_open(kvt_workload *w)
{
    release_all(w);
    count_life(w);
    kvt_machine_kill(&w->m);
    w->crashes++;
    return begin_life(w, w->synced, w->written);
}

static bool lose_power_and_open(kvt_workload *w)
{
    enum kvi_sim_crash variant = (enum kvi_sim_crash)draw(w, KVI_SIM_CRASHES);
    uint64_t low = variant == KVI_SIM_KEEP ? w->written : w->synced;
    int err;

    release_all(w);
    count_life(w);
    err = kvi_sim_fs_power_off(w->m.env.fs);
    KVI_ASSERT(err == KV_OK);
    note(w, (uint64_t)(int64_t)kvt_machine_close(&w->m));
    err = kvi_sim_env_crash(&w->m.env, variant, draw(w, UINT64_MAX));
    KVI_ASSERT(err == KV_OK);
    w->crashes++;
    return begin_life(w, low, low);
}

static bool do_reopen(kvt_workload *w)
{
    switch (draw(w, 3)) {
    case 0:
        return close_and_open(w);
    case 1:
        return die_and_open(w);
    default:
        return lose_power_and_open(w);
    }
}

/* --- operations --------------------------------------------------------------------------- */

static bool do_sync(kvt_workload *w)
{
    int expected = w->plan.options.durability == KV_MEMORY ? KV_ENOTSUP : KV_OK;

    if (!expect(w, "sync", kv_sync(w->m.db), expected))
        return false;
    if (expected == KV_OK)
        w->synced = w->h.writes;
    return true;
}

static bool do_flush(kvt_workload *w)
{
    if (!expect(w, "flush", kv_flush(w->m.db), KV_OK))
        return false;
    w->written = w->synced = w->h.writes;
    return true;
}

static bool do_get(kvt_workload *w)
{
    size_t key = draw_key(w);
    const kvt_version *v = kvt_history_get(&w->h, 0, key, w->h.writes, kvt_machine_now_ms(&w->m));
    kvi_slice k = key_of(w, key);
    kv_result r = KV_RESULT_INIT;
    int err = kv_get(w->m.db, k.data, k.len, NULL, &r);
    bool good = expect(w, "get", err, v ? KV_OK : KV_ENOTFOUND);

    if (good && v && !kvt_value_is(kvi_slice_of(r.values[0].data, r.values[0].len), v, key))
        good =
            fail(w, "get gave another value than that of write %llu", (unsigned long long)v->write);
    kv_result_free(&r);
    return good;
}

static bool step(kvt_workload *w)
{
    uint64_t dice = draw(w, 1000);

    if (draw(w, w->life) == 0)
        return do_reopen(w);
    if (dice < 450)
        return do_put(w, 0, KV_ALWAYS);
    if (dice < 530)
        return do_put(w, 1 + draw(w, 2000), KV_ALWAYS);
    if (dice < 600)
        return do_put(w, 0, (uint8_t)(KV_IF_ABSENT + draw(w, 2)));
    if (dice < 700)
        return do_delete(w);
    if (dice < 800)
        return do_batch(w);
    if (dice < 820)
        return do_sync(w);
    if (dice < 826)
        return do_flush(w);
    if (dice < 860)
        return do_hold(w);
    if (dice < 890) {
        kvi_sim_clock_advance(&w->m.env.clock, draw(w, 400) * 1000000);
        return true;
    }
    if (dice < 960) {
        note(w, kvi_sim_exec_run_all(&w->m.env.exec, 1 + (size_t)draw(w, 6)));
        return true;
    }
    return do_get(w);
}

bool kvt_workload_run(kvt_workload *w, uint32_t ops)
{
    bool good;

    kvt_machine_init(&w->m, &w->plan, w->seed);
    good = begin_life(w, 0, 0);
    for (uint32_t i = 0; good && i < ops; i++)
        good = step(w) && judge(w);
    if (good)
        good = end_life(w);
    release_all(w);
    if (w->m.db)
        (void)kvt_machine_close(&w->m);
    kvt_machine_deinit(&w->m);
    return good;
}
