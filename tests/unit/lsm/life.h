/*
 * An engine on a simulated machine, and short words for what the tests of its rooms do all the
 * time. Keys and values follow from small numbers: entry i of edition n. One thread; background
 * work runs when a test says so, or when somebody waits for it.
 */
#ifndef KVT_UNIT_LSM_LIFE_H
#define KVT_UNIT_LSM_LIFE_H

#include <criterion/criterion.h>

#include <stdio.h>
#include <string.h>

#include "lsm/engine.h"
#include "lsm/names.h"
#include "sim/sim_env.h"

#define OK(call) cr_assert_eq((call), KV_OK, "%s: %s", #call, kvi_error_detail())

/** The call fails with this code, and the detail has this text. */
#define FAILS(call, code, text)                                                                   \
    do {                                                                                          \
        int fails_with_ = (call);                                                                 \
        cr_assert_eq(fails_with_, (code), "%s: %d (%s)", #call, fails_with_, kvi_error_detail()); \
        cr_assert(strstr(kvi_error_detail(), (text)), "%s: the detail is \"%s\"", #call,          \
                  kvi_error_detail());                                                            \
    } while (0)

#define LIFE_PATH "store"

/** The simulator's own. */
static inline const kvi_mem *life_mem(void)
{
    static kvi_mem mem;

    kvi_mem_init(&mem, NULL);
    return &mem;
}

typedef struct life {
    kvi_sim_env env;
    kvi_budget budget;
    kvi_lsm_options options; /* for the next open; env and budget are filled in */
    size_t memory;           /* the same */
    kvi_lsm *l;              /* NULL: not open */
} life;

/** Background work off unless it is called for: no compaction by count. */
static const kvi_lsm_shape life_shape = {
    .memtable_bytes = 64 << 10,
    .segment_bytes = 8 << 10,
    .block_bytes = 512,
    .table_bytes = 8 << 10,
    .level1_bytes = 64 << 10,
    .level_ratio = 4,
    .level0_compact = 100,
    .level0_stall = 200,
};

static inline void life_set(life *t)
{
    t->options = (kvi_lsm_options){
        .path = LIFE_PATH, .may_create = true, .log = true, .compression = KV_COMPRESS_NONE};
    t->options.shape = life_shape;
    t->memory = 8 << 20;
    t->l = NULL;
}

static inline void life_begin(life *t)
{
    life_set(t);
    OK(kvi_sim_env_init(&t->env, life_mem(), 1));
}

/** On a copy of that disk. */
static inline void life_begin_on(life *t, kvi_sim_fs *disk, uint64_t seed)
{
    kvi_sim_fs *copy;

    life_set(t);
    OK(kvi_sim_fs_crash_copy(disk, KVI_SIM_KEEP, seed, &copy));
    kvi_sim_env_init_on(&t->env, life_mem(), seed, copy);
}

static inline int life_try_open(life *t)
{
    bool created;
    int r;

    kvi_budget_init(&t->budget, t->memory);
    t->options.env = &t->env.os;
    t->options.budget = &t->budget;
    r = kvi_lsm_open(&t->options, &t->l, &created);
    if (r < 0) {
        t->l = NULL;
        cr_assert_eq(kvi_sim_fs_open_count(t->env.fs), 0, "a failed open left something open");
    }
    return r;
}

static inline void life_open(life *t)
{
    OK(life_try_open(t));
}

static inline int life_close(life *t)
{
    int r = kvi_lsm_close(t->l);

    t->l = NULL;
    return r;
}

static inline void life_reopen(life *t)
{
    OK(life_close(t));
    kvi_sim_env_restart(&t->env);
    life_open(t);
}

/** Power fails; what is open ends. Not opened again. */
static inline void life_crash(life *t, enum kvi_sim_crash variant, uint64_t seed)
{
    kvi_sim_fs_set_faults(t->env.fs, NULL);
    OK(kvi_sim_fs_power_off(t->env.fs));
    if (t->l)
        (void)life_close(t);
    OK(kvi_sim_env_crash(&t->env, variant, seed));
}

static inline void life_end(life *t)
{
    if (t->l)
        OK(life_close(t));
    kvi_sim_env_deinit(&t->env);
}

/** Runs what waits in the background. */
static inline void life_run(life *t)
{
    (void)kvi_sim_exec_run_all(&t->env.exec, 100000);
}

/* --- waiting -------------------------------------------------------------------------------- */

typedef struct life_waiter {
    kvi_lsm_waiter waiter;
    int woken; /* how often */
    int result;
} life_waiter;

static inline void life_wake(kvi_lsm_waiter *w, int result)
{
    life_waiter *self = KVI_CONTAINER_OF(w, life_waiter, waiter);

    self->woken++;
    self->result = result;
}

static inline life_waiter life_waiter_new(void)
{
    return (life_waiter){.waiter = {.wake = life_wake}};
}

/** What a call that returned r came to in the end. */
static inline int life_await(life *t, life_waiter *w, int r)
{
    if (r != KVI_PENDING)
        return r;
    while (!w->woken)
        cr_assert_eq(kvi_sim_exec_run_all(&t->env.exec, 1), 1, "nobody wakes the waiter");
    cr_assert_eq(w->woken, 1);
    return w->result < 0 ? kvi_lsm_explain(t->l, w->result) : w->result;
}

/* --- entries -------------------------------------------------------------------------------- */

#define LIFE_VALUE_LEN 100u

static inline kvi_slice life_key(char out[16], unsigned i)
{
    int len = snprintf(out, 16, "key%06u", i);

    return kvi_slice_of(out, (size_t)len);
}

static inline kvi_slice life_value(char out[LIFE_VALUE_LEN], unsigned i, unsigned edition)
{
    memset(out, 'a' + (int)((i + edition) % 26), LIFE_VALUE_LEN);
    (void)snprintf(out, LIFE_VALUE_LEN, "%u of edition %u ", i, edition);
    return kvi_slice_of(out, LIFE_VALUE_LEN);
}

/** One op, tried again after each stall. */
static inline int life_write(life *t, const kvi_lsm_op *op)
{
    int r, tries = 0;

    do {
        life_waiter w = life_waiter_new();
        kvi_lsm_write write = {.ops = op, .count = 1, .waiter = &w.waiter};

        cr_assert_lt(tries++, 1000, "a write is stalled for ever");
        r = life_await(t, &w, kvi_lsm_write_ops(t->l, &write));
    } while (r == KVI_AGAIN);
    return r;
}

static inline int life_try_put(life *t, unsigned i, unsigned edition)
{
    char key[16], value[LIFE_VALUE_LEN];
    kvi_lsm_op op = {
        .kind = KVI_KIND_PUT, .key = life_key(key, i), .value = life_value(value, i, edition)};

    return life_write(t, &op);
}

static inline void life_put(life *t, unsigned i, unsigned edition)
{
    OK(life_try_put(t, i, edition));
}

static inline void life_put_all(life *t, unsigned from, unsigned to, unsigned edition)
{
    for (unsigned i = from; i < to; i++)
        life_put(t, i, edition);
}

static inline void life_delete(life *t, unsigned i)
{
    char key[16];
    kvi_lsm_op op = {.kind = KVI_KIND_DELETE, .key = life_key(key, i)};

    OK(life_write(t, &op));
}

static inline int life_sync(life *t)
{
    life_waiter w = life_waiter_new();

    return life_await(t, &w, kvi_lsm_sync(t->l, kvi_lsm_last_seq(t->l), &w.waiter));
}

static inline int life_flush(life *t)
{
    int r;

    do {
        life_waiter w = life_waiter_new();

        r = life_await(t, &w, kvi_lsm_flush(t->l, &w.waiter));
    } while (r == KVI_AGAIN);
    return r;
}

/** KV_OK and *edition, where the value is one of its editions; else what the engine said. */
static inline int life_get(life *t, unsigned i, uint64_t seq, unsigned *edition)
{
    char key[16], value[LIFE_VALUE_LEN];
    kvi_lsm_get g = {.key = life_key(key, i), .seq = seq};
    kvi_lsm_value found = {0};
    kvi_buf copy;
    int r;

    kvi_buf_init(&copy, life_mem());
    r = kvi_lsm_get_value(t->l, &g, &copy, &found);
    if (r == KV_OK) {
        unsigned n = 0;

        while (n < 100 && !kvi_slice_eq(found.data, life_value(value, i, n)))
            n++;
        cr_assert_lt(n, 100, "key %u has a value that nobody wrote", i);
        *edition = n;
        kvi_lsm_value_release(&found);
    }
    kvi_buf_deinit(&copy);
    return r;
}

/** All of [from, to) have this edition at seq. */
static inline void life_check_at(life *t, unsigned from, unsigned to, unsigned edition,
                                 uint64_t seq)
{
    for (unsigned i = from; i < to; i++) {
        unsigned n = 0;
        int r = life_get(t, i, seq, &n);

        cr_assert_eq(r, KV_OK, "key %u: %d", i, r);
        cr_assert_eq(n, edition, "key %u has edition %u, not %u", i, n, edition);
    }
}

static inline void life_check(life *t, unsigned from, unsigned to, unsigned edition)
{
    life_check_at(t, from, to, edition, KVI_LSM_SEQ_LATEST);
}

static inline void life_check_none(life *t, unsigned from, unsigned to)
{
    unsigned n;

    for (unsigned i = from; i < to; i++)
        cr_assert_eq(life_get(t, i, KVI_LSM_SEQ_LATEST, &n), KV_ENOTFOUND, "key %u is there", i);
}

/* --- the directory -------------------------------------------------------------------------- */

#define LIFE_FILES_MAX 256u

/** File numbers of one kind, ascending. */
typedef struct life_files {
    enum kvi_lsm_name_kind kind;
    unsigned count;
    uint64_t numbers[LIFE_FILES_MAX];
} life_files;

static inline void life_note_file(void *user, const char *name)
{
    life_files *f = user;
    uint64_t number = 0;

    if (kvi_lsm_name_parse(name, &number) != f->kind)
        return;
    cr_assert_lt(f->count, LIFE_FILES_MAX);
    f->numbers[f->count++] = number;
}

static inline life_files life_list(life *t, enum kvi_lsm_name_kind kind)
{
    life_files f = {.kind = kind};

    OK(kvi_sim_fs_each_file(t->env.fs, LIFE_PATH, life_note_file, &f));
    return f;
}

static inline unsigned life_count(life *t, enum kvi_lsm_name_kind kind)
{
    return life_list(t, kind).count;
}

static inline uint64_t life_hash(life *t)
{
    uint64_t hash;

    OK(kvi_sim_fs_hash(t->env.fs, &hash));
    return hash;
}

static inline unsigned life_list_len(const kvi_list *list)
{
    unsigned n = 0;

    KVI_LIST_EACH(node, list)
        n++;
    return n;
}

static inline const kvi_lsm_version *life_version(const life *t)
{
    return atomic_load(&t->l->view)->version;
}

/** With all jobs done: the directory holds what the engine refers to, and no more. */
static inline void life_check_tidy(life *t)
{
    unsigned tables = 0, logs = t->l->ready != NULL;

    for (uint32_t level = 0; level < KVI_LSM_LEVELS; level++)
        tables += life_version(t)->level[level].count;
    logs += life_list_len(&t->l->segments) + life_list_len(&t->l->spare);
    cr_assert_eq(life_count(t, KVI_LSM_NAME_IS_TABLE), tables, "a table too many or too few");
    cr_assert_eq(life_count(t, KVI_LSM_NAME_IS_LOG), logs, "a log too many or too few");
    cr_assert_eq(life_count(t, KVI_LSM_NAME_IS_MANIFEST), 1);
    cr_assert_eq(life_count(t, KVI_LSM_NAME_IS_TMP), 0);
}

/** Call number n of its kind from now on fails. */
static inline void life_fail(life *t, enum kvi_sim_call call, uint64_t n, int err)
{
    kvi_sim_fs_faults faults = {.fail_call = call, .fail_at = n, .fail_with = err};

    kvi_sim_fs_reset_counts(t->env.fs);
    kvi_sim_fs_set_faults(t->env.fs, &faults);
}

/** Ends that; whether it was reached. */
static inline bool life_failed(life *t)
{
    bool failed = kvi_sim_fs_get_counts(t->env.fs)->failed > 0;

    kvi_sim_fs_set_faults(t->env.fs, NULL);
    return failed;
}

#endif
