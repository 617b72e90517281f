/*
 * A store on a simulated machine, and shorthands for calls that a test expects to work.
 *
 * The machine has one thread, a clock that only the test moves, and a disk that outlives the store
 * (path "store"); all runs are alike. What needs threads, processes or the real file system opens
 * by kv_open() instead.
 */
#ifndef KVT_UNIT_API_FIXTURE_H
#define KVT_UNIT_API_FIXTURE_H

#include <criterion/criterion.h>

#include <stdio.h>
#include <string.h>

#include "api/open.h"
#include "sim/sim_env.h"

#define OK(call) cr_assert_eq((call), KV_OK, "%s: %s", #call, kv_error_detail())

/** The call fails with this code, and the detail has this text. */
#define FAILS(call, code, text)                                                           \
    do {                                                                                  \
        int fails_with_ = (call);                                                         \
        cr_assert_eq(fails_with_, (code), "%s: %s (%s)", #call, kv_strerror(fails_with_), \
                     kv_error_detail());                                                  \
        cr_assert(strstr(kv_error_detail(), (text)), "%s: detail is \"%s\"", #call,       \
                  kv_error_detail());                                                     \
    } while (0)

typedef struct kvt_store {
    kvi_mem real;
    kvi_sim_env env;
    kv *db;
} kvt_store;

/** Small enough that a few hundred entries reach the tables. */
static const kvi_lsm_shape kvt_small = {
    .memtable_bytes = 64 << 10,
    .segment_bytes = 32 << 10,
    .block_bytes = 1 << 10,
    .table_bytes = 32 << 10,
    .level1_bytes = 64 << 10,
    .level_ratio = 4,
    .level0_compact = 2,
    .level0_stall = 6,
};

static inline void kvt_machine_start(kvt_store *t)
{
    memset(t, 0, sizeof *t);
    kvi_mem_init(&t->real, NULL);
    OK(kvi_sim_env_init(&t->env, &t->real, 1));
}

static inline void kvt_store_start(kvt_store *t, const kv_options *o)
{
    kvt_machine_start(t);
    OK(kvi_api_open("store", o, &t->env.os, NULL, &t->db));
}

/** Closes and opens again. */
static inline void kvt_store_reopen(kvt_store *t, const kv_options *o)
{
    OK(kv_close(t->db));
    t->db = NULL;
    kvi_sim_env_restart(&t->env);
    OK(kvi_api_open("store", o, &t->env.os, NULL, &t->db));
}

static inline void kvt_store_end(kvt_store *t)
{
    OK(kv_close(t->db));
    kvi_sim_env_deinit(&t->env);
}

static inline void kvt_pass_ms(kvt_store *t, uint64_t ms)
{
    kvi_sim_clock_advance(&t->env.clock, ms * 1000000);
}

static inline void kvt_put(kv *db, const char *key, const char *value)
{
    OK(kv_put(db, key, strlen(key), value, strlen(value), NULL, NULL));
}

static inline void kvt_delete(kv *db, const char *key)
{
    OK(kv_delete(db, key, strlen(key), NULL, NULL));
}

/** Whether key has this value; NULL: whether it has none. */
static inline bool kvt_has(kv *db, const char *key, const char *value)
{
    kv_result r = KV_RESULT_INIT;
    int err = kv_get(db, key, strlen(key), NULL, &r);
    bool has;

    if (value)
        has = err == KV_OK && r.count == 1 && r.values[0].len == strlen(value) &&
              memcmp(r.values[0].data, value, r.values[0].len) == 0;
    else
        has = err == KV_ENOTFOUND && r.count == 0 && r.values == NULL;
    kv_result_free(&r);
    return has;
}

static inline bool kvt_slice_is(kv_slice s, const char *text)
{
    return s.len == strlen(text) && memcmp(s.data, text, s.len) == 0;
}

#endif
