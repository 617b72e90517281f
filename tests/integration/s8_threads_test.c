/*
 * S8: real threads on one store, with yields by seed at every lock, so that few operations run
 * through many schedules.
 *
 * Registers: each key has one writer, which writes versions 1, 2, 3 …, and any number of readers.
 * A read must give a version that was begun before it ended and is not older than what was
 * acknowledged before it began, nor than what the same reader saw before: that is linearizability
 * of a register with one writer (Lamport, "On interprocess communication", 1986). Counters: all
 * threads increment by get and put with the context; every success is counted, none may be lost.
 * Pairs: a batch writes one version to all keys of a group; a snapshot or an iterator must see the
 * group whole, and twice the same.
 *
 * Threads only note the first violation; the test's own thread asserts.
 */
#include <criterion/criterion.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>

#include "api/open.h"
#include "os/env.h"
#include "support/rng.h"
#include "support/tmpdir.h"

#define THREADS     4
#define OPS_DEFAULT 3400000 /* of each test, over all threads; three tests */
#define REGISTERS   64      /* a thread */
#define COUNTERS    8
#define GROUPS      16
#define GROUP_SIZE  4

/* --- the store, on real files and threads, with a jitter ------------------------------------ */

typedef struct jitter {
    kvi_os_jitter base;
    _Atomic uint64_t state;
} jitter;

static void maybe_yield(kvi_os_jitter *base)
{
    jitter *j = (jitter *)base;
    uint64_t x =
        atomic_fetch_add_explicit(&j->state, UINT64_C(0x9e3779b97f4a7c15), memory_order_relaxed);

    x ^= x >> 31;
    x *= UINT64_C(0xbf58476d1ce4e5b9);
    if ((x >> 40) % 512 == 0)
        sched_yield();
}

typedef struct scene {
    char dir[256], path[300];
    kvi_mem mem;
    kvi_os_fs_posix fs;
    jitter jitter;
    kvi_os_env env;
    kv *db;
    uint64_t seed, ops;
    _Atomic bool failed;
    char why[300]; /* written by whoever set failed */
    _Atomic uint64_t begun[THREADS][REGISTERS], acked[THREADS][REGISTERS];
    _Atomic uint64_t increments[COUNTERS];
} scene;

static void scene_init(scene *s)
{
    static const kvi_lsm_shape shape = {
        .memtable_bytes = 256u << 10, .level1_bytes = 1u << 20, .level_ratio = 4};
    kv_options o = KV_OPTIONS_INIT;

    memset(s, 0, sizeof *s);
    s->seed = kvt_env_u64("SEED", 1);
    s->ops = kvt_env_u64("OPS", OPS_DEFAULT) / THREADS;
    kvt_tmpdir(s->dir, sizeof s->dir);
    (void)snprintf(s->path, sizeof s->path, "%s/data", s->dir);
    kvi_mem_init(&s->mem, NULL);
    kvi_os_fs_posix_init(&s->fs, &s->mem);
    s->jitter.base.yield = maybe_yield;
    atomic_init(&s->jitter.state, s->seed);
    s->env = (kvi_os_env){.mem = &s->mem,
                          .fs = &s->fs.base,
                          .clock = kvi_os_clock_real(),
                          .rand = kvi_os_rand_real(),
                          .jitter = &s->jitter.base};
    cr_assert(kvi_os_pool_new(&s->mem, 2, &s->env.exec) == KV_OK);
    o.durability = KV_OS;
    o.memory = 8u << 20;
    cr_assert(kvi_api_open(s->path, &o, &s->env, &shape, &s->db) == KV_OK, "%s", kv_error_detail());
}

static void scene_deinit(scene *s)
{
    int err = kv_close(s->db);

    kvi_os_pool_free(s->env.exec);
    kvt_rmtree(s->dir);
    cr_assert(err == KV_OK, "%s", kv_strerror(err));
    cr_assert(!atomic_load(&s->failed), "seed %llu: %s", (unsigned long long)s->seed, s->why);
}

#define VIOLATION(s, ...)                                          \
    do {                                                           \
        if (!atomic_exchange(&(s)->failed, true))                  \
            (void)snprintf((s)->why, sizeof(s)->why, __VA_ARGS__); \
    } while (0)

/* --- threads ---------------------------------------------------------------------------------- */

typedef struct actor {
    scene *s;
    int number;
    kvt_rng rng;
    kv_result r;
    uint64_t seen[THREADS][REGISTERS]; /* by this reader */
    void (*step)(struct actor *a);
} actor;

static void *act(void *arg)
{
    actor *a = arg;

    for (uint64_t i = 0;
         i < a->s->ops && !atomic_load_explicit(&a->s->failed, memory_order_relaxed); i++)
        a->step(a);
    kv_result_free(&a->r);
    return NULL;
}

static void run(scene *s, void (*step)(actor *a))
{
    static const kv_result none = KV_RESULT_INIT;
    static actor actors[THREADS];
    pthread_t threads[THREADS];

    for (int t = 0; t < THREADS; t++) {
        memset(&actors[t], 0, sizeof actors[t]);
        actors[t].s = s;
        actors[t].number = t;
        actors[t].step = step;
        actors[t].r = none;
        kvt_rng_init(&actors[t].rng, s->seed * 100 + (uint64_t)t);
        cr_assert(pthread_create(&threads[t], NULL, act, &actors[t]) == 0);
    }
    for (int t = 0; t < THREADS; t++)
        pthread_join(threads[t], NULL);
}

/* --- registers -------------------------------------------------------------------------------- */

static size_t register_key(char *out, int thread, int number)
{
    return (size_t)snprintf(out, 32, "register-%d-%02d", thread, number);
}

/* A value that is its version over and over: a torn or freed one shows. */
static size_t register_value(uint64_t *out, uint64_t version)
{
    size_t n = 1 + version % 40;

    for (size_t i = 0; i < n; i++)
        out[i] = version;
    return n * sizeof *out;
}

/* The version that a result holds, 0: no value; UINT64_MAX: not one that was ever written. */
static uint64_t version_of(const kv_result *r)
{
    uint64_t first, next;
    size_t n = r->count ? r->values[0].len / sizeof first : 0;

    if (!r->count)
        return 0;
    memcpy(&first, r->values[0].data, sizeof first);
    for (size_t i = 1; i < n; i++) {
        memcpy(&next, (const char *)r->values[0].data + i * sizeof next, sizeof next);
        if (next != first)
            return UINT64_MAX;
    }
    return r->values[0].len == (1 + first % 40) * sizeof first ? first : UINT64_MAX;
}

static void write_register(actor *a, int number)
{
    scene *s = a->s;
    uint64_t value[40], version = atomic_load(&s->begun[a->number][number]) + 1;
    char key[32];
    int err;

    atomic_store(&s->begun[a->number][number], version);
    err = kv_put(s->db, key, register_key(key, a->number, number), value,
                 register_value(value, version), NULL, NULL);
    if (err)
        VIOLATION(s, "put of %s: %s: %s", key, kv_strerror(err), kv_error_detail());
    atomic_store(&s->acked[a->number][number], version);
}

static void read_register(actor *a, int owner, int number)
{
    scene *s = a->s;
    uint64_t low = atomic_load(&s->acked[owner][number]), high, version;
    char key[32];
    int err = kv_get(s->db, key, register_key(key, owner, number), NULL, &a->r);

    high = atomic_load(&s->begun[owner][number]);
    if (err && err != KV_ENOTFOUND)
        VIOLATION(s, "get of %s: %s: %s", key, kv_strerror(err), kv_error_detail());
    version = version_of(&a->r);
    if (low < a->seen[owner][number])
        low = a->seen[owner][number];
    if (version < low || version > high)
        VIOLATION(s, "%s: read version %llu, must be within %llu and %llu", key,
                  (unsigned long long)version, (unsigned long long)low, (unsigned long long)high);
    a->seen[owner][number] = version;
}

static void step_registers(actor *a)
{
    int number = (int)kvt_rng_below(&a->rng, REGISTERS);

    if (kvt_rng_below(&a->rng, 2))
        write_register(a, number);
    else
        read_register(a, (int)kvt_rng_below(&a->rng, THREADS), number);
}

Test(s8, registers_are_linearizable, .timeout = 600)
{
    scene *s = calloc(1, sizeof *s);

    scene_init(s);
    run(s, step_registers);
    scene_deinit(s);
    free(s);
}

/* --- counters --------------------------------------------------------------------------------- */

static void step_counters(actor *a)
{
    scene *s = a->s;
    int number = (int)kvt_rng_below(&a->rng, COUNTERS), err;
    uint64_t value = 0;
    kv_op op = KV_OP_INIT;
    char key[32];
    size_t key_len = (size_t)snprintf(key, sizeof key, "counter-%d", number);

    err = kv_get(s->db, key, key_len, NULL, &a->r);
    if (err && err != KV_ENOTFOUND)
        VIOLATION(s, "get of %s: %s", key, kv_strerror(err));
    if (a->r.count)
        memcpy(&value, a->r.values[0].data, sizeof value);
    value++;
    op.context = a->r.context;
    err = kv_put(s->db, key, key_len, &value, sizeof value, &op, NULL);
    if (!err)
        atomic_fetch_add(&s->increments[number], 1);
    else if (err != KV_ECONFLICT)
        VIOLATION(s, "put of %s: %s: %s", key, kv_strerror(err), kv_error_detail());
}

Test(s8, increments_by_context_are_never_lost, .timeout = 600)
{
    scene *s = calloc(1, sizeof *s);
    kv_result r = KV_RESULT_INIT;

    scene_init(s);
    run(s, step_counters);
    for (int i = 0; i < COUNTERS; i++) {
        uint64_t value = 0;
        char key[32];

        if (kv_get(s->db, key, (size_t)snprintf(key, sizeof key, "counter-%d", i), NULL, &r) ==
            KV_OK)
            memcpy(&value, r.values[0].data, sizeof value);
        if (value != atomic_load(&s->increments[i]))
            VIOLATION(s, "counter %d is %llu after %llu increments", i, (unsigned long long)value,
                      (unsigned long long)atomic_load(&s->increments[i]));
    }
    kv_result_free(&r);
    scene_deinit(s);
    free(s);
}

/* --- groups ----------------------------------------------------------------------------------- */

static size_t group_key(char *out, int group, int member)
{
    return (size_t)snprintf(out, 32, "group-%02d-%d", group, member);
}

static void write_group(actor *a, int group)
{
    scene *s = a->s;
    uint64_t value[40], version = kvt_rng_next(&a->rng) >> 1;
    size_t len = register_value(value, version);
    kv_batch *b;
    char key[32];
    int err = kv_batch_new(s->db, &b);

    for (int i = 0; !err && i < GROUP_SIZE; i++)
        err = kv_batch_put(b, key, group_key(key, group, i), value, len, NULL);
    if (!err)
        err = kv_batch_commit(b, NULL, NULL);
    if (err)
        VIOLATION(s, "batch: %s: %s", kv_strerror(err), kv_error_detail());
    kv_batch_free(b);
}

/* Reads a group through a snapshot: one version for all. */
static void read_group(actor *a, int group, kv_snap *snap, uint64_t *version)
{
    kv_op op = KV_OP_INIT;
    char key[32];

    op.snapshot = snap;
    for (int i = 0; i < GROUP_SIZE; i++) {
        uint64_t v;
        int err = kv_get(a->s->db, key, group_key(key, group, i), &op, &a->r);

        if (err && err != KV_ENOTFOUND)
            VIOLATION(a->s, "get of %s: %s", key, kv_strerror(err));
        v = version_of(&a->r);
        if (i == 0)
            *version = v;
        if (v != *version || v == UINT64_MAX)
            VIOLATION(a->s, "%s: version %llx beside %llx in one snapshot", key,
                      (unsigned long long)v, (unsigned long long)*version);
    }
}

/* Walks all groups with an iterator, which is a snapshot of its own. */
static void walk_groups(actor *a, kv_snap *snap)
{
    static const char prefix[] = "group-";
    kv_range range = KV_RANGE_INIT;
    kv_entry e = KV_ENTRY_INIT;
    kv_iter *it;
    int err, members = 0;
    uint64_t version = 0, v;

    range.prefix.data = prefix;
    range.prefix.len = sizeof prefix - 1;
    range.snapshot = snap;
    err = kv_iter_open(a->s->db, &range, &it);
    if (err) {
        VIOLATION(a->s, "iterator: %s: %s", kv_strerror(err), kv_error_detail());
        return;
    }
    while ((err = kv_iter_next(it, &e)) == KV_OK) {
        memcpy(&v, e.value.data, sizeof v);
        if (members++ % GROUP_SIZE == 0)
            version = v;
        if (v != version)
            VIOLATION(a->s, "%.*s: version %llx beside %llx in one iterator", (int)e.key.len,
                      (const char *)e.key.data, (unsigned long long)v, (unsigned long long)version);
    }
    if (err != KV_ENOTFOUND || members % GROUP_SIZE != 0)
        VIOLATION(a->s, "iterator ended with %s after %d members", kv_strerror(err), members);
    kv_iter_close(it);
}

static void step_groups(actor *a)
{
    int group = (int)kvt_rng_below(&a->rng, GROUPS);
    uint64_t first = 0, again = 0;
    kv_snap *snap;

    if (kvt_rng_below(&a->rng, 3) > 0) {
        write_group(a, group);
        return;
    }
    if (kv_snapshot(a->s->db, &snap)) {
        VIOLATION(a->s, "snapshot: %s", kv_error_detail());
        return;
    }
    read_group(a, group, snap, &first);
    if (kvt_rng_below(&a->rng, 16) == 0)
        walk_groups(a, kvt_rng_below(&a->rng, 2) ? snap : NULL);
    read_group(a, group, snap, &again);
    if (first != again)
        VIOLATION(a->s, "group %d changed within a snapshot", group);
    kv_snapshot_free(snap);
}

Test(s8, batches_are_whole_and_snapshots_stable, .timeout = 600)
{
    scene *s = calloc(1, sizeof *s);

    scene_init(s);
    s->ops /= 4; /* a step is many operations */
    run(s, step_groups);
    scene_deinit(s);
    free(s);
}
