/*
 * The twins; see the header for the contract.
 */
#include "sim/twin.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/check.h"

#define KEY_COUNT  500u
#define LEN_SMALL  100u
#define LEN_MAX    8000u /* of values; more than the engine copies out */
#define BATCH_MAX  10u
#define TTL_MAX_MS 6000u
#define NS_PER_MS  UINT64_C(1000000)
#define TRIM_EVERY 20000u
#define BOUND_MAX  8192u

static const char *const space_names[KVT_SPACES] = {NULL, "plain", "expiring"};

/* --- setting up --------------------------------------------------------------------------- */

/** The kind of store follows from the seed, until it is opened again. */
static void draw_plan(kvt_twin *m)
{
    static const uint32_t blocks[] = {256, 512, 1024, 4096};
    static const size_t memtables[] = {8 << 10, 16 << 10, 64 << 10};
    kvi_lsm_shape *s = &m->plan.shape;

    kvt_plan_tiny(&m->plan);
    s->memtable_bytes = memtables[kvt_twin_draw(m, 3)];
    s->segment_bytes = (size_t)(8 << kvt_twin_draw(m, 3)) << 10;
    s->block_bytes = blocks[kvt_twin_draw(m, 4)];
    s->level0_compact = 2 + (uint32_t)kvt_twin_draw(m, 3);
    s->level_ratio = 2 + (uint32_t)kvt_twin_draw(m, 4);
    m->plan.options.compression = kvt_twin_draw(m, 2) ? 1 : KV_COMPRESS_NONE;
    m->plan.mapped = kvt_twin_draw(m, 2) == 0;
    m->plan.options.durability = KV_OS;
    if (m->reopened > 0 ? kvt_twin_draw(m, 4) == 0 : m->seed % 4 == 2)
        m->plan.options.durability = KV_MEMORY;
    m->in_memory = m->seed % 4 == 3;
    if (m->in_memory) {
        m->plan.options.durability = KV_MEMORY;
        m->plan.options.memory = 64 << 20; /* a file in memory takes 64 KiB at least */
    }
}

void kvt_twin_init(kvt_twin *m, uint64_t seed)
{
    kvt_key_shape keys = {.count = KEY_COUNT, .len_max = 12, .long_len = 0, .letters = 3};

    memset(m, 0, sizeof *m);
    m->seed = seed;
    kvt_rng_init(&m->rng, seed);
    m->result = (kv_result)KV_RESULT_INIT;
    for (size_t i = 0; i < KVT_LENT; i++)
        m->lent[i].result = (kv_result)KV_RESULT_INIT;
    draw_plan(m);
    if (kvt_twin_draw(m, 2) == 0)
        keys = (kvt_key_shape){.count = KEY_COUNT, .len_max = 40, .long_len = 3000, .letters = 7};
    /* The store's own records: one of the default space, two of each that is made. */
    kvt_history_init(&m->h, &m->rng, &keys, KVT_SPACES, 1 + 2 * (KVT_SPACES - 1));
    m->value = malloc(LEN_MAX);
    KVI_ASSERT(m->value);
}

void kvt_twin_deinit(kvt_twin *m)
{
    kvt_history_deinit(&m->h);
    free(m->value);
}

bool kvt_twin_fail(kvt_twin *m, const char *format, ...)
{
    char what[640];
    va_list args;

    va_start(args, format);
    (void)vsnprintf(what, sizeof what, format, args);
    va_end(args);
    (void)snprintf(m->why, sizeof m->why, "SEED=%llu, operation %llu, write %llu: %s",
                   (unsigned long long)m->seed, (unsigned long long)m->ops,
                   (unsigned long long)m->h.writes, what);
    return false;
}

bool kvt_twin_expect(kvt_twin *m, const char *call, int result, int expected)
{
    if (result == expected)
        return true;
    return kvt_twin_fail(m, "%s answered %d (%s), not %d", call, result, kv_error_detail(),
                         expected);
}

static int open_store(kvt_twin *m)
{
    kv_policy expiring = KV_POLICY_INIT;
    int r = kvi_api_open(m->in_memory ? NULL : KVT_STORE_PATH, &m->plan.options, &m->m.env.os,
                         &m->plan.shape, &m->m.db);

    expiring.ttl_ms = KVT_SPACE_TTL_MS;
    m->spaces[0] = m->m.db;
    for (unsigned s = 1; r == KV_OK && s < KVT_SPACES; s++)
        r = kv_space(m->m.db, space_names[s], s == KVT_SPACE_TTL ? &expiring : NULL, &m->spaces[s]);
    return r;
}

/** Lets go of all that keeps the store from closing. */
static void let_go(kvt_twin *m)
{
    for (size_t i = 0; i < KVT_WALKS; i++)
        kvt_walk_close(&m->walks[i]);
    for (size_t i = 0; i < KVT_SNAPS; i++) {
        kv_snapshot_free(m->snaps[i].snap);
        m->snaps[i].snap = NULL;
    }
    for (size_t i = 0; i < KVT_LENT; i++)
        kv_result_free(&m->lent[i].result);
    kv_result_free(&m->result);
    for (unsigned s = 1; s < KVT_SPACES; s++) {
        (void)kv_close(m->spaces[s]);
        m->spaces[s] = NULL;
    }
}

/* --- reading ------------------------------------------------------------------------------ */

/** A drawn place in the array: some keys are written far more often than others. */
static size_t draw_key(kvt_twin *m)
{
    return (size_t)kvt_twin_draw(m, kvt_twin_draw(m, 3) == 0 ? 20 : m->h.key_count);
}

static bool check_result(kvt_twin *m, const char *call, const kv_result *r, const kvt_version *v,
                         size_t slot)
{
    if (r->count != (v ? 1 : 0))
        return kvt_twin_fail(m, "%s gave %u values", call, r->count);
    if (!v)
        return true;
    if (!kvt_value_is(kvi_slice_of(r->values[0].data, r->values[0].len), v, slot))
        return kvt_twin_fail(m, "%s gave another value than that of write %llu", call,
                             (unsigned long long)v->write);
    if (r->values[0].expires_ms != v->expires_ms)
        return kvt_twin_fail(m, "%s gave another expiry than that of write %llu", call,
                             (unsigned long long)v->write);
    return true;
}

static void keep_context(kvt_twin *m, const kv_result *r, size_t slot, uint64_t write)
{
    kvt_context *c = &m->contexts[kvt_twin_draw(m, KVT_CONTEXTS)];

    if (kvt_twin_draw(m, 4) > 0)
        return;
    KVI_ASSERT(r->context.len > 0 && r->context.len <= KVT_CONTEXT_MAX);
    c->slot = slot;
    c->write = write;
    c->len = r->context.len;
    memcpy(c->bytes, r->context.data, c->len);
}

/** A get must say what the array says; snap NULL: of now. */
static bool check_get(kvt_twin *m, unsigned space, size_t key, const kvt_snap_held *snap,
                      kv_result *r)
{
    uint64_t state = snap ? snap->state : m->h.writes;
    const kvt_version *v = kvt_history_get(&m->h, space, key, state, kvt_machine_now_ms(&m->m));
    size_t slot = kvt_history_slot(&m->h, space, key);
    kvi_slice k = m->h.keys[key];
    kv_op op = KV_OP_INIT;
    int err;

    op.snapshot = snap ? snap->snap : NULL;
    err = kv_get(m->spaces[space], k.data, k.len, snap ? &op : NULL, r);
    m->checks++;
    if (err != (v ? KV_OK : KV_ENOTFOUND))
        return kvt_twin_fail(
            m,
            "a get of key %zu of space %u in state %llu answered %d (%s), and write "
            "%llu set it",
            key, space, (unsigned long long)state, err, kv_error_detail(),
            v ? (unsigned long long)v->write : 0);
    keep_context(m, r, slot, v ? v->write : 0);
    return check_result(m, "a get", r, v, slot);
}

static bool do_get(kvt_twin *m)
{
    const kvt_snap_held *s = &m->snaps[kvt_twin_draw(m, KVT_SNAPS)];
    unsigned space = (unsigned)kvt_twin_draw(m, KVT_SPACES);

    return check_get(m, space, draw_key(m), s->snap && kvt_twin_draw(m, 2) ? s : NULL, &m->result);
}

/** A value that was lent must not change while its result is kept. */
static bool do_lend(kvt_twin *m)
{
    kvt_lent *l = &m->lent[kvt_twin_draw(m, KVT_LENT)];
    unsigned space = (unsigned)kvt_twin_draw(m, KVT_SPACES);
    size_t key = draw_key(m);
    const kvt_version *v;

    if (l->result.count > 0 &&
        !check_result(m, "a result that was kept", &l->result, &l->version, l->slot))
        return false;
    v = kvt_history_get(&m->h, space, key, m->h.writes, kvt_machine_now_ms(&m->m));
    if (v)
        l->version = *v;
    l->slot = kvt_history_slot(&m->h, space, key);
    return check_get(m, space, key, NULL, &l->result);
}

static bool do_scan(kvt_twin *m, unsigned how)
{
    const kvt_snap_held *s = &m->snaps[kvt_twin_draw(m, KVT_SNAPS)];
    unsigned space = (unsigned)kvt_twin_draw(m, KVT_SPACES);
    char why[384];
    const char *wrong = kvt_history_compare(&m->h, space, s->snap ? s->state : m->h.writes,
                                            kvt_machine_now_ms(&m->m), m->spaces[space], s->snap,
                                            how, why, sizeof why);

    m->scans++;
    return wrong ? kvt_twin_fail(m, "a scan: %s", wrong) : true;
}

/* --- writing ------------------------------------------------------------------------------ */

static uint32_t draw_len(kvt_twin *m)
{
    uint64_t dice = kvt_twin_draw(m, 200);

    if (dice == 0)
        return (uint32_t)kvt_twin_draw(m, LEN_MAX);
    return dice < 4 ? 0 : (uint32_t)kvt_twin_draw(m, LEN_SMALL);
}

static uint64_t draw_ttl(kvt_twin *m)
{
    uint64_t dice = kvt_twin_draw(m, 8);

    if (dice == 0)
        return KV_TTL_NONE;
    return dice == 1 ? 1 + kvt_twin_draw(m, TTL_MAX_MS) : 0;
}

/** When a put to space that asks for ttl_ms expires. */
static int64_t expiry(const kvt_twin *m, unsigned space, uint64_t ttl_ms)
{
    if (ttl_ms == 0 && space == KVT_SPACE_TTL)
        ttl_ms = KVT_SPACE_TTL_MS;
    if (ttl_ms == 0 || ttl_ms == KV_TTL_NONE)
        return 0;
    return kvt_machine_now_ms(&m->m) + (int64_t)ttl_ms;
}

static uint8_t draw_durability(kvt_twin *m)
{
    if (m->plan.options.durability == KV_MEMORY)
        return KV_DEFAULT;
    return kvt_twin_draw(m, 20) == 0 ? KV_DISK : KV_DEFAULT;
}

/** Whether the array allows a write with these demands. */
static bool allowed(const kvt_twin *m, unsigned space, size_t key, uint8_t condition,
                    const kvt_context *context)
{
    const kvt_version *v =
        kvt_history_get(&m->h, space, key, m->h.writes, kvt_machine_now_ms(&m->m));

    if ((condition == KV_IF_ABSENT && v) || (condition == KV_IF_PRESENT && !v))
        return false;
    return !context || context->write == (v ? v->write : 0);
}

/** Puts (or deletes) one key, with a condition or context or none. */
static bool write_one(kvt_twin *m, unsigned space, size_t key, bool put, uint8_t condition,
                      const kvt_context *context)
{
    bool good = allowed(m, space, key, condition, context);
    uint32_t len = draw_len(m);
    kvi_slice k = m->h.keys[key];
    size_t slot = kvt_history_slot(&m->h, space, key);
    kv_op op = KV_OP_INIT;
    int r;

    op.durability = draw_durability(m);
    op.condition = condition;
    op.ttl_ms = put ? draw_ttl(m) : 0;
    if (context)
        op.context = (kv_slice){context->bytes, context->len};
    if (good) {
        kvt_history_begin(&m->h, 1);
        if (put)
            kvt_history_put(&m->h, space, key, len, expiry(m, space, op.ttl_ms));
        else
            kvt_history_delete(&m->h, space, key);
    }
    kvt_value_fill(m->value, m->h.writes, slot, len);
    r = put ? kv_put(m->spaces[space], k.data, k.len, m->value, len, &op, &m->result)
            : kv_delete(m->spaces[space], k.data, k.len, &op, &m->result);
    if (!kvt_twin_expect(m, put ? "kv_put" : "kv_delete", r, good ? KV_OK : KV_ECONFLICT))
        return false;
    if (good)
        keep_context(m, &m->result, slot, put ? m->h.writes : 0);
    return check_get(m, space, key, NULL, &m->result);
}

static bool do_conditional(kvt_twin *m)
{
    const kvt_context *c = &m->contexts[kvt_twin_draw(m, KVT_CONTEXTS)];
    uint8_t condition = (uint8_t)(KV_IF_ABSENT + kvt_twin_draw(m, 2));
    bool put = kvt_twin_draw(m, 4) > 0;
    unsigned space;

    if (c->len > 0 && kvt_twin_draw(m, 2) == 0) {
        if (kvt_twin_draw(m, 8) > 0)
            condition = KV_ALWAYS;
        return write_one(m, (unsigned)(c->slot / m->h.key_count), c->slot % m->h.key_count, put,
                         condition, c);
    }
    space = (unsigned)kvt_twin_draw(m, KVT_SPACES);
    return write_one(m, space, draw_key(m), put, condition, NULL);
}

static int fill_batch(kvt_twin *m, kv_batch *b, uint32_t ops, size_t *key, unsigned *space)
{
    int r = KV_OK;

    for (uint32_t i = 0; r == KV_OK && i < ops; i++) {
        uint32_t len = (uint32_t)kvt_twin_draw(m, LEN_SMALL);
        kv_op op = KV_OP_INIT;
        kvi_slice k;

        *key = draw_key(m);
        *space = (unsigned)kvt_twin_draw(m, KVT_SPACES);
        k = m->h.keys[*key];
        r = kv_batch_use(b, m->spaces[*space]);
        if (r < 0)
            break;
        if (kvt_twin_draw(m, 4) == 0) {
            kvt_history_delete(&m->h, *space, *key);
            r = kv_batch_delete(b, k.data, k.len);
            continue;
        }
        op.ttl_ms = draw_ttl(m);
        kvt_history_put(&m->h, *space, *key, len, expiry(m, *space, op.ttl_ms));
        kvt_value_fill(m->value, m->h.writes, kvt_history_slot(&m->h, *space, *key), len);
        r = kv_batch_put(b, k.data, k.len, m->value, len, &op);
    }
    return r;
}

static bool do_batch(kvt_twin *m)
{
    uint32_t ops = 1 + (uint32_t)kvt_twin_draw(m, BATCH_MAX);
    size_t key = 0;
    unsigned space = 0;
    kv_op op = KV_OP_INIT;
    kv_batch *b;
    int r;

    if (!kvt_twin_expect(m, "kv_batch_new", kv_batch_new(m->m.db, &b), KV_OK))
        return false;
    op.durability = draw_durability(m);
    kvt_history_begin(&m->h, ops);
    r = fill_batch(m, b, ops, &key, &space);
    if (r == KV_OK)
        r = kv_batch_commit(b, &op, NULL);
    kv_batch_free(b);
    return kvt_twin_expect(m, "a batch", r, KV_OK) && check_get(m, space, key, NULL, &m->result);
}

/* --- time, snapshots, lives --------------------------------------------------------------- */

static void pass_ms(kvt_twin *m, uint64_t ms)
{
    kvi_sim_clock_advance(&m->m.env.clock, ms * NS_PER_MS);
}

/** Waits for the last moment of some value, then for the one after it. */
static bool do_expire(kvt_twin *m)
{
    unsigned space = (unsigned)kvt_twin_draw(m, KVT_SPACES);
    int64_t now_ms = kvt_machine_now_ms(&m->m);

    for (unsigned tries = 0; tries < 20; tries++) {
        size_t key = draw_key(m);
        const kvt_version *v = kvt_history_get(&m->h, space, key, m->h.writes, now_ms);

        if (!v || v->expires_ms == 0)
            continue;
        pass_ms(m, (uint64_t)(v->expires_ms - now_ms - 1));
        if (!check_get(m, space, key, NULL, &m->result))
            return false;
        if (kvt_twin_draw(m, 4) == 0 && !do_scan(m, KVT_SCAN_BACK))
            return false;
        pass_ms(m, 1);
        return check_get(m, space, key, NULL, &m->result);
    }
    pass_ms(m, kvt_twin_draw(m, 50));
    return true;
}

static bool do_snapshot(kvt_twin *m)
{
    kvt_snap_held *s = &m->snaps[kvt_twin_draw(m, KVT_SNAPS)];

    if (s->snap) {
        kv_snapshot_free(s->snap);
        s->snap = NULL;
        return true;
    }
    s->state = m->h.writes;
    return kvt_twin_expect(m, "kv_snapshot", kv_snapshot(m->m.db, &s->snap), KV_OK);
}

static void count_life(kvt_twin *m)
{
    kv_statistics s = KV_STATISTICS_INIT;

    if (kv_stats(m->m.db, &s) < 0)
        return;
    m->flushes += s.flushes;
    m->compactions += s.compactions;
    for (uint64_t level = 0; level < KV_LEVELS; level++)
        if (s.table_files[level] > 0 && level > m->deepest)
            m->deepest = level;
}

static bool do_reopen(kvt_twin *m)
{
    if (m->in_memory)
        return true;
    let_go(m);
    count_life(m);
    if (!kvt_twin_expect(m, "kv_close", kvt_machine_close(&m->m), KV_OK))
        return false;
    kvi_sim_env_restart(&m->m.env);
    m->reopened++;
    draw_plan(m); /* what is there must be readable under any */
    kvi_sim_fs_set_map(m->m.env.fs, m->plan.mapped);
    if (!kvt_twin_expect(m, "kv_open", open_store(m), KV_OK))
        return false;
    if (kvt_machine_last_seq(&m->m) != m->h.last_seq[m->h.writes])
        return kvt_twin_fail(m, "opened at sequence %llu, not %llu",
                             (unsigned long long)kvt_machine_last_seq(&m->m),
                             (unsigned long long)m->h.last_seq[m->h.writes]);
    return do_scan(m, KVT_SCAN_BACK | KVT_SCAN_GETS);
}

/** Forgets what no snapshot and no iterator shows any more. */
static void trim(kvt_twin *m)
{
    uint64_t oldest = m->h.writes;

    for (size_t i = 0; i < KVT_SNAPS; i++)
        if (m->snaps[i].snap && m->snaps[i].state < oldest)
            oldest = m->snaps[i].state;
    for (size_t i = 0; i < KVT_WALKS; i++)
        if (m->walks[i].it && m->walks[i].state < oldest)
            oldest = m->walks[i].state;
    kvt_history_trim(&m->h, oldest);
}

/* --- operations --------------------------------------------------------------------------- */

/** What is done a few times in a thousand operations. */
static bool rare_step(kvt_twin *m, uint64_t dice)
{
    if (dice < 10)
        return do_snapshot(m);
    if (dice < 14)
        return do_expire(m);
    if (dice < 16) {
        pass_ms(m, kvt_twin_draw(m, 300));
        return true;
    }
    if (dice < 17)
        return kvt_twin_draw(m, 4) > 0 || kvt_twin_expect(m, "kv_flush", kv_flush(m->m.db), KV_OK);
    if (dice < 18)
        return do_scan(m, 0);
    if (dice < 19)
        return kvt_twin_draw(m, 8) > 0 || do_scan(m, KVT_SCAN_BACK | KVT_SCAN_GETS);
    if (m->plan.options.durability != KV_MEMORY && dice < 22)
        return kvt_twin_expect(m, "kv_sync", kv_sync(m->m.db), KV_OK);
    return kvt_twin_draw(m, 10) > 0 || do_reopen(m);
}

static bool step(kvt_twin *m)
{
    uint64_t dice = kvt_twin_draw(m, 1000);
    unsigned space = (unsigned)kvt_twin_draw(m, KVT_SPACES);

    if (dice < 25)
        return rare_step(m, dice);
    if (dice < 300)
        return write_one(m, space, draw_key(m), true, KV_ALWAYS, NULL);
    if (dice < 390)
        return write_one(m, space, draw_key(m), false, KV_ALWAYS, NULL);
    if (dice < 430)
        return do_batch(m);
    if (dice < 530)
        return do_conditional(m);
    if (dice < 560) {
        (void)kvi_sim_exec_run_all(&m->m.env.exec, 1 + (size_t)kvt_twin_draw(m, 4));
        return true;
    }
    if (dice < 580)
        return do_lend(m);
    return dice < 780 ? kvt_walk_step(m) : do_get(m);
}

bool kvt_twin_run(kvt_twin *m, uint64_t ops)
{
    bool good;

    kvt_machine_init(&m->m, &m->plan, m->seed);
    good = kvt_twin_expect(m, "kv_open", open_store(m), KV_OK);
    for (m->ops = 0; good && m->ops < ops; m->ops++) {
        good = step(m);
        if (m->ops % TRIM_EVERY == 0)
            trim(m);
    }
    if (m->m.db) {
        let_go(m);
        count_life(m);
        (void)kvt_machine_close(&m->m);
    }
    kvt_machine_deinit(&m->m);
    return good;
}
