/*
 * A placed store (api/placed.h), over a cluster of one node, for the tests of its calls.
 *
 * Stepped on a simulated machine, so that a test moves the clock; what needs threads opens by
 * kv_open(). Each test file has a store, with what it was opened and is called with, of its own: no
 * other file than such a test includes this.
 */
#ifndef KVT_UNIT_API_PLACED_FIXTURE_H
#define KVT_UNIT_API_PLACED_FIXTURE_H

#include "unit/api/fixture.h"

static kvt_store t;
static kv_options options;
static kv_policy policy;
static kv_result r;
static kv_op op;
static unsigned warnings;

static inline void on_log(void *user, int level, const char *message)
{
    (void)user, (void)message;
    warnings += level == KV_LOG_WARN;
}

static inline int reopen(void)
{
    kvi_api_seams seams = {.env = &t.env.os};

    if (t.db) {
        kv_result_free(&r);
        OK(kv_close(t.db));
        t.db = NULL;
        kvi_sim_env_restart(&t.env);
        t.env.os.log = on_log;
    }
    return kvi_api_open_over("store", &options, &seams, &t.db);
}

static inline void begin_machine(void)
{
    options = (kv_options)KV_OPTIONS_INIT;
    options.layout = KV_PLACED;
    options.mode = KV_STEPPED;
    policy = (kv_policy)KV_POLICY_INIT;
    r = (kv_result)KV_RESULT_INIT;
    op = (kv_op)KV_OP_INIT;
    warnings = 0;
    kvt_machine_start(&t);
    t.env.os.log = on_log;
}

static inline void begin(void)
{
    begin_machine();
    OK(reopen());
}

static inline void end(void)
{
    kv_result_free(&r);
    kvt_store_end(&t);
}

static inline bool value_is(uint32_t i, const char *text)
{
    return i < r.count && r.values[i].len == strlen(text) &&
           memcmp(r.values[i].data, text, r.values[i].len) == 0;
}

static inline int put(const char *key, const char *value)
{
    return kv_put(t.db, key, strlen(key), value, strlen(value), &op, &r);
}

static inline int get(const char *key)
{
    return kv_get(t.db, key, strlen(key), NULL, &r);
}

/** What a get has seen, for a put that others overtake. */
static inline kv_slice keep_context(uint8_t *out, size_t room)
{
    cr_assert_leq(r.context.len, room);
    memcpy(out, r.context.data, r.context.len);
    return kvi_slice_of(out, r.context.len);
}

/** Leaves "one" and "two" beside each other. */
static inline void concur(const char *key, uint64_t ttl_ms)
{
    uint8_t context[256];

    OK(put(key, "zero"));
    op.context = keep_context(context, sizeof context);
    op.ttl_ms = ttl_ms;
    OK(put(key, "one"));
    op.ttl_ms = 0;
    OK(put(key, "two"));
    op.context = kvi_slice_of(NULL, 0);
}

#endif
