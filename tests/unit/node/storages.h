/*
 * A node's storage over an engine on a simulated machine, and effects that note when they complete.
 * For the tests of storage.
 */
#ifndef KVT_UNIT_NODE_STORAGES_H
#define KVT_UNIT_NODE_STORAGES_H

#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/bytes.h"
#include "base/error.h"
#include "node/storage.h"
#include "os/wake.h"
#include "sim/sim_env.h"

#define OK(call) cr_assert_eq((call), KV_OK, "%s: %s", #call, kvi_error_detail())

#define ENDED_MAX 512

static const kvi_lsm_shape storages_shape = {
    .memtable_bytes = 64 << 10,
    .segment_bytes = 32 << 10,
    .block_bytes = 1 << 10,
    .table_bytes = 32 << 10,
    .level1_bytes = 64 << 10,
    .level_ratio = 4,
    .level0_compact = 2,
    .level0_stall = 4,
};

typedef struct scene {
    kvi_mem real;
    kvi_sim_env env;
    kvi_budget budget;
    kvi_lsm *lsm;
    kvi_storage s;
    kvi_os_wake wake;
    const void *ended[ENDED_MAX]; /* in order */
    unsigned count;
    bool log;
} scene;

typedef struct reading {
    kvi_store_read r;
    scene *s;
    kvi_buf value;
    struct reading *next; /* to be begun from done */
} reading;

typedef struct writing {
    kvi_store_write w;
    kvi_store_put put;
    scene *s;
    char key[16];
} writing;

typedef struct syncing {
    kvi_store_sync y;
    scene *s;
} syncing;

typedef struct scanning {
    kvi_store_scan c;
    scene *s;
    kvi_buf entries;
} scanning;

static inline void wake(void *user)
{
    scene *s = user;

    kvi_os_wake_set(&s->wake);
}

static inline void open_engine(scene *s)
{
    const kvi_lsm_options o = {
        .env = &s->env.os,
        .budget = &s->budget,
        .path = "store",
        .may_create = true,
        .log = s->log,
        .compression = KV_COMPRESS_NONE,
        .shape = storages_shape,
    };
    bool created;

    OK(kvi_lsm_open(&o, &s->lsm, &created));
    kvi_storage_init(&s->s, &s->env.os, s->lsm, wake, s);
}

static inline scene *begin(bool log)
{
    scene *s = calloc(1, sizeof *s);

    cr_assert_not_null(s);
    s->log = log;
    kvi_mem_init(&s->real, NULL);
    OK(kvi_sim_env_init(&s->env, &s->real, 1));
    kvi_budget_init(&s->budget, 16 << 20);
    kvi_os_wake_open(&s->wake);
    open_engine(s);
    return s;
}

static inline int close_engine(scene *s)
{
    int err;

    kvi_storage_deinit(&s->s);
    err = kvi_lsm_close(s->lsm);
    kvi_sim_env_restart(&s->env);
    return err;
}

static inline void end(scene *s)
{
    (void)close_engine(s);
    kvi_sim_env_deinit(&s->env);
    kvi_os_wake_close(&s->wake);
    free(s);
}

static inline void note(scene *s, const void *what)
{
    cr_assert_lt(s->count, ENDED_MAX);
    s->ended[s->count++] = what;
}

/* Until nothing is left. */
static inline void settle(scene *s)
{
    for (unsigned i = 0; !kvi_storage_idle(&s->s); i++) {
        cr_assert_lt(i, 100000);
        if (!kvi_storage_complete(&s->s))
            (void)kvi_sim_exec_run_all(&s->env.exec, 1);
    }
}

static inline void read_done(kvi_store_read *r)
{
    reading *x = KVI_CONTAINER_OF(r, reading, r);

    note(x->s, x);
    if (x->next)
        kvi_storage_read(&x->s->s, &x->next->r);
}

static inline void reading_init(scene *s, reading *x, const char *key)
{
    memset(x, 0, sizeof *x);
    x->s = s;
    kvi_buf_init(&x->value, &s->real);
    x->r.key = kvi_slice_of(key, strlen(key));
    x->r.value = &x->value;
    x->r.done = read_done;
}

static inline void write_done(kvi_store_write *w)
{
    writing *x = KVI_CONTAINER_OF(w, writing, w);

    note(x->s, x);
}

static inline void begin_write(scene *s, writing *x, const char *key, const void *value, size_t len)
{
    memset(x, 0, sizeof *x);
    x->s = s;
    (void)snprintf(x->key, sizeof x->key, "%s", key);
    x->put = (kvi_store_put){{x->key, strlen(x->key)}, {value, len}, false};
    x->w.puts = &x->put;
    x->w.count = 1;
    x->w.done = write_done;
    kvi_storage_write(&s->s, &x->w);
}

static inline void sync_done(kvi_store_sync *y)
{
    syncing *x = KVI_CONTAINER_OF(y, syncing, y);

    note(x->s, x);
}

static inline void begin_sync(scene *s, syncing *x, uint64_t seq)
{
    memset(x, 0, sizeof *x);
    x->s = s;
    x->y.seq = seq;
    x->y.err = -99;
    x->y.done = sync_done;
    kvi_storage_sync(&s->s, &x->y);
}

static inline void scan_done(kvi_store_scan *c)
{
    scanning *x = KVI_CONTAINER_OF(c, scanning, c);

    note(x->s, x);
}

static inline void begin_scan(scene *s, scanning *x, const char *from, const char *to,
                              uint32_t limit, size_t bytes_max)
{
    memset(x, 0, sizeof *x);
    x->s = s;
    kvi_buf_init(&x->entries, &s->real);
    x->c.from = kvi_slice_of(from, strlen(from));
    x->c.to = kvi_slice_of(to, strlen(to));
    x->c.limit = limit;
    x->c.bytes_max = bytes_max;
    x->c.entries = &x->entries;
    x->c.done = scan_done;
    kvi_storage_scan(&s->s, &x->c);
}

static inline void put(scene *s, const char *key, const char *value)
{
    writing w;

    begin_write(s, &w, key, value, strlen(value));
    settle(s);
    OK(w.w.err);
}

/* Everything is in tables, and only there. */
static inline void to_disk(scene *s)
{
    OK(close_engine(s));
    open_engine(s);
    s->count = 0;
}

static inline void expect(reading *x, const char *value)
{
    OK(x->r.err);
    cr_assert_eq(x->value.len, strlen(value));
    cr_assert_arr_eq(x->value.data, value, x->value.len);
    kvi_buf_deinit(&x->value);
}

#endif
