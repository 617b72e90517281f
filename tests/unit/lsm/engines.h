/*
 * A whole engine on a simulated machine, for the tests of its rooms: calls that must succeed, and a
 * hook at every lock.
 *
 * The machine has one thread: nothing runs in the background until engine_idle(), or until somebody
 * here waits. The hook runs where another thread could: between the steps of a call.
 */
#ifndef KVT_UNIT_LSM_ENGINES_H
#define KVT_UNIT_LSM_ENGINES_H

#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/bytes.h"
#include "lsm/engine.h"
#include "lsm/names.h"
#include "sim/sim_env.h"

#define ENGINE_PATH     "store"
#define ENGINE_RUNS_MAX 100000u

#define OK(call) cr_assert_eq((call), KV_OK, "%s: %s", #call, kvi_error_detail())

typedef struct engine {
    kvi_os_jitter jitter;
    kvi_mem real;
    kvi_sim_env env;
    kvi_budget budget;
    kvi_lsm *l;
    /* Called once, when next a write is reserved, not published, and no lock is held. */
    void (*in_between)(struct engine *e);
} engine;

static const kvi_lsm_shape small_shape = {
    .memtable_bytes = 64 << 10,
    .segment_bytes = 32 << 10,
    .block_bytes = 1 << 10,
    .table_bytes = 32 << 10,
    .level1_bytes = 64 << 10,
    .level_ratio = 4,
    .level0_compact = 2,
    .level0_stall = 6,
};

static inline void engine_yield(kvi_os_jitter *j)
{
    engine *e = KVI_CONTAINER_OF(j, engine, jitter);
    void (*hook)(engine *) = e->in_between;

    if (!hook || kvi_os_mutex_held(&e->l->write_lock) || kvi_list_empty(&e->l->order))
        return;
    e->in_between = NULL;
    hook(e);
}

static inline void engine_idle(engine *e)
{
    cr_assert_lt(kvi_sim_exec_run_all(&e->env.exec, ENGINE_RUNS_MAX), ENGINE_RUNS_MAX);
}

static inline void engine_open(engine *e, kvi_lsm_shape shape)
{
    const kvi_lsm_options o = {
        .env = &e->env.os,
        .budget = &e->budget,
        .path = ENGINE_PATH,
        .may_create = true,
        .log = true,
        .compression = KV_COMPRESS_NONE,
        .shape = shape,
    };
    bool created;

    e->env.os.jitter = &e->jitter;
    OK(kvi_lsm_open(&o, &e->l, &created));
    engine_idle(e);
}

static inline void engine_start(engine *e, size_t budget, kvi_lsm_shape shape, bool map)
{
    memset(e, 0, sizeof *e);
    e->jitter.yield = engine_yield;
    kvi_mem_init(&e->real, NULL);
    OK(kvi_sim_env_init(&e->env, &e->real, 1));
    kvi_sim_fs_set_map(e->env.fs, map);
    kvi_budget_init(&e->budget, budget);
    engine_open(e, shape);
}

/* Closes, whatever that says; all must be given back. */
static inline int engine_close(engine *e)
{
    int r = kvi_lsm_close(e->l);

    e->l = NULL;
    cr_assert_eq(atomic_load(&e->budget.used), 0);
    kvi_sim_env_restart(&e->env);
    return r;
}

static inline void engine_end(engine *e)
{
    OK(engine_close(e));
    kvi_sim_env_deinit(&e->env);
}

/* --- waiting and writing ------------------------------------------------------------------ */

typedef struct told {
    kvi_lsm_waiter base;
    unsigned times;
    int result;
} told;

static inline void told_wake(kvi_lsm_waiter *self, int result)
{
    told *t = KVI_CONTAINER_OF(self, told, base);

    t->times++;
    t->result = result;
}

static inline void told_init(told *t)
{
    memset(t, 0, sizeof *t);
    kvi_list_init(&t->base.link);
    t->base.wake = told_wake;
}

/* Runs what waits until t was told; what it was told. */
static inline int told_wait(engine *e, told *t)
{
    while (t->times == 0)
        cr_assert(e->env.exec.base.ops->help(&e->env.exec.base), "nobody will wake the waiter");
    cr_assert_eq(t->times, 1);
    return t->result;
}

static inline kvi_slice text(const char *s)
{
    return kvi_slice_of(s, strlen(s));
}

static inline kvi_lsm_op put_of(kvi_slice key, kvi_slice value)
{
    return (kvi_lsm_op){KVI_KIND_PUT, key, value, 0};
}

/* Writes w, however long it has to wait. */
static inline int engine_write(engine *e, kvi_lsm_write *w)
{
    for (unsigned tries = 0; tries < 1000; tries++) {
        told t;
        int r;

        told_init(&t);
        w->waiter = &t.base;
        r = kvi_lsm_write_ops(e->l, w);
        if (r == KVI_PENDING)
            r = told_wait(e, &t);
        if (r != KVI_AGAIN)
            return r;
    }
    cr_assert_fail("a write stalls for ever");
    return KV_EBUSY;
}

static inline int engine_put(engine *e, kvi_slice key, kvi_slice value)
{
    kvi_lsm_op op = put_of(key, value);
    kvi_lsm_write w = {.ops = &op, .count = 1};

    return engine_write(e, &w);
}

static inline void engine_flush(engine *e)
{
    int r;

    do {
        told t;

        told_init(&t);
        r = kvi_lsm_flush(e->l, &t.base);
        if (r == KVI_PENDING)
            r = told_wait(e, &t);
    } while (r == KVI_AGAIN);
    OK(r);
}

/* Whether a reader of seq finds this value; NULL: none. */
static inline bool engine_has(engine *e, kvi_slice key, uint64_t seq, const char *value)
{
    const kvi_lsm_get g = {key, seq, kvi_os_wall_ms(e->env.os.clock), false};
    kvi_lsm_value v;
    kvi_buf copy;
    bool has;
    int r;

    kvi_buf_init(&copy, &e->env.mem);
    r = kvi_lsm_get_value(e->l, &g, &copy, &v);
    cr_assert(r == KV_OK || r == KV_ENOTFOUND, "%s", kvi_error_detail());
    has = value ? r == KV_OK && kvi_slice_eq(v.data, text(value)) : r == KV_ENOTFOUND;
    if (r == KV_OK)
        kvi_lsm_value_release(&v);
    kvi_buf_deinit(&copy);
    return has;
}

/* --- tables on the disk ------------------------------------------------------------------- */

typedef struct table_count {
    size_t tables;
    uint64_t wanted; /* a number */
    bool found;
} table_count;

static inline void count_table(void *user, const char *name)
{
    table_count *c = user;
    uint64_t number;

    if (kvi_lsm_name_parse(name, &number) != KVI_LSM_NAME_IS_TABLE)
        return;
    c->tables++;
    c->found |= number == c->wanted;
}

static inline size_t engine_tables(engine *e)
{
    table_count c = {0};

    OK(kvi_sim_fs_each_file(e->env.fs, ENGINE_PATH, count_table, &c));
    return c.tables;
}

static inline bool engine_has_table(engine *e, uint64_t number)
{
    table_count c = {.wanted = number};

    OK(kvi_sim_fs_each_file(e->env.fs, ENGINE_PATH, count_table, &c));
    return c.found;
}

#endif
