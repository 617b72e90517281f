/*
 * The swarm's clients; see the header.
 */
#include "sim/c1_clients.h"

#include <stdlib.h>

#include "base/check.h"

#define TIMEOUT_MIN_MS 500u
#define TIMEOUT_MAX_MS 5000u
#define WARM_TRIES     10u
#define READ_TRIES     5u
#define READ_PAUSE_NS  (300 * C1_MS)
#define BATCH_MAX      3u

typedef struct pending {
    c1_clients *clients;
    c1_op *op;
} pending;

/* --- asking ----------------------------------------------------------------------------------- */

static void keep(c1_clients *c, unsigned key, kvi_slice context)
{
    kvi_buf *slot = &c->contexts[key][kvt_rng_below(&c->rng, C1_CONTEXTS_KEPT)];
    int err = kvi_buf_set(slot, context.data, context.len);

    KVI_ASSERT(err == KV_OK);
}

static void done(void *user, uint64_t ticket, int err, const kv_result *result)
{
    pending *p = user;

    (void)ticket;
    if (result->context.len > 0) /* of gets and of writes */
        keep(p->clients, p->op->key, result->context);
    c1_oracle_end(p->clients->oracle, p->op, err, result);
    free(p);
}

static c1_op *submit(c1_clients *c, uint8_t call, unsigned key, unsigned machine, const kv_op *o)
{
    uint8_t value[C1_VALUE_MAX];
    kv_request q = KV_REQUEST_INIT;
    c1_op *op = c1_oracle_begin(c->oracle, call, key, machine, o);
    pending *p;
    int err;

    if (!op)
        return NULL;
    p = malloc(sizeof *p);
    KVI_ASSERT(p);
    *p = (pending){c, op};
    q.call = call;
    q.key = c1_key_slice(key);
    if (call == KV_REQUEST_PUT)
        q.value = kvi_slice_of(value, c1_value_of(c->cluster->plan, op->id, value));
    q.op = o;
    err = kv_submit(c->cluster->machines[machine].db, &q, done, p, &op->ticket);
    if (err) {
        free(p);
        c1_oracle_refused(c->oracle, op, err);
        return NULL;
    }
    return op;
}

/* A machine that is up; false: there is none. A paused one takes requests too, and is slow. */
static bool pick_machine(c1_clients *c, unsigned *out)
{
    unsigned count = c->cluster->plan->machines, at = (unsigned)kvt_rng_below(&c->rng, count);

    for (unsigned i = 0; i < count; i++) {
        *out = (at + i) % count;
        if (c->cluster->machines[*out].db)
            return true;
    }
    return false;
}

static uint8_t draw_quorum(c1_clients *c)
{
    return c1_chance(&c->rng, 85) ? 0 : c1_chance(&c->rng, 50) ? 1 : KV_ALL;
}

static kv_op draw_op(c1_clients *c)
{
    kv_op o = KV_OP_INIT;

    o.timeout_ms = (uint32_t)c1_between(&c->rng, TIMEOUT_MIN_MS, TIMEOUT_MAX_MS);
    return o;
}

static void get(c1_clients *c, unsigned key, unsigned machine)
{
    kv_op o = draw_op(c);

    o.r = draw_quorum(c);
    if (c1_chance(&c->rng, 50))
        o.flags = KV_PRIMARIES_ONLY;
    (void)submit(c, KV_REQUEST_GET, key, machine, &o);
}

/* --- writing ---------------------------------------------------------------------------------- */

static void write_with_context(c1_clients *c, unsigned key, unsigned machine,
                               const kvi_buf *context)
{
    kv_op o = draw_op(c);

    o.w = draw_quorum(c);
    o.context = kvi_buf_slice(context);
    if (c1_chance(&c->rng, 15))
        o.flags = KV_PRIMARIES_ONLY;
    (void)submit(c, c1_chance(&c->rng, 80) ? KV_REQUEST_PUT : KV_REQUEST_DELETE, key, machine, &o);
}

/* Several at once, who have read the same, make siblings. */
static void write_known(c1_clients *c, unsigned key, unsigned machine)
{
    const kvi_buf *context = &c->contexts[key][kvt_rng_below(&c->rng, C1_CONTEXTS_KEPT)];
    unsigned writers = c1_chance(&c->rng, 10) ? 4 : 1;

    if (context->len == 0) {
        get(c, key, machine);
        return;
    }
    while (writers-- > 0 && pick_machine(c, &machine))
        write_with_context(c, key, machine, context);
}

static void write_blindly(c1_clients *c, unsigned key, unsigned machine)
{
    bool deletes = c1_class_of(key) == C1_BLIND;
    kv_op o = draw_op(c);

    o.w = draw_quorum(c);
    if (c1_chance(&c->rng, 30))
        o.flags |= KV_PRIMARIES_ONLY;
    if (deletes && c1_chance(&c->rng, 25)) {
        (void)submit(c, KV_REQUEST_DELETE, key, machine, &o);
        return;
    }
    if (c1_chance(&c->rng, 60))
        o.flags |= KV_OVERWRITE;
    (void)submit(c, KV_REQUEST_PUT, key, machine, &o);
}

/* --- calls that wait -------------------------------------------------------------------------- */

static void batch(c1_clients *c, unsigned machine)
{
    unsigned first = C1_PART_FIRST + (unsigned)kvt_rng_below(&c->rng, C1_PART_COUNT - 1);
    kv *db = c->cluster->machines[machine].db;
    uint8_t value[C1_VALUE_MAX];
    kv_result result = KV_RESULT_INIT;
    kv_op o = KV_OP_INIT;
    c1_op *ops[BATCH_MAX];
    unsigned count = 0;
    kv_batch *b;
    int err = kv_batch_new(db, &b);

    KVI_ASSERT(err == KV_OK);
    for (unsigned k = first; k < C1_PART_FIRST + C1_PART_COUNT && count < BATCH_MAX; k++) {
        c1_op *op = c1_oracle_begin(c->oracle, KV_REQUEST_PUT, k, machine, &o);

        if (!op)
            break;
        ops[count++] = op;
        err = kv_batch_put(b, c1_key_name(k), strlen(c1_key_name(k)), value,
                           c1_value_of(c->cluster->plan, op->id, value), NULL);
        KVI_ASSERT(err == KV_OK);
    }
    c1_cluster_blocking(c->cluster, machine, true);
    err = kv_batch_commit(b, NULL, &result);
    c1_cluster_blocking(c->cluster, machine, false);
    for (unsigned i = 0; i < count; i++)
        c1_oracle_end(c->oracle, ops[i], err, &result);
    kv_batch_free(b);
    kv_result_free(&result);
    c->batches++;
}

static void walk(c1_clients *c, unsigned machine)
{
    kv_range range = KV_RANGE_INIT;
    kv_entry e = KV_ENTRY_INIT;
    kv_iter *it;

    if (c1_chance(&c->rng, 70))
        range.prefix = kvi_slice_of(C1_PART, strlen(C1_PART));
    c1_cluster_blocking(c->cluster, machine, true);
    if (kv_iter_open(c->cluster->machines[machine].db, &range, &it) == KV_OK) {
        while (kv_iter_next(it, &e) == KV_OK)
            c1_oracle_walked(c->oracle, e.key, &e.value);
        kv_iter_close(it);
    }
    c1_cluster_blocking(c->cluster, machine, false);
    c->walks++;
}

/* --- a turn ----------------------------------------------------------------------------------- */

static void cancel_some(c1_clients *c)
{
    c1_oracle *o = c->oracle;
    unsigned at = o->count > 20 ? o->count - 20 : 0;

    for (; at < o->count; at++) {
        c1_op *op = &o->ops[at];
        kv *db = c->cluster->machines[op->machine].db;

        if (op->end_ns == 0 && op->ticket && db &&
            c->cluster->machines[op->machine].downs == op->downs && c1_chance(&c->rng, 30)) {
            op->canceled = true;
            (void)kv_cancel(db, op->ticket);
            return;
        }
    }
}

void c1_clients_turn(c1_clients *c)
{
    unsigned key = (unsigned)kvt_rng_below(&c->rng, C1_KEYS), machine;

    if (!pick_machine(c, &machine))
        return;
    if (c->cluster->plan->blocking && c1_chance(&c->rng, 4) &&
        !c->cluster->machines[machine].paused) {
        if (c1_chance(&c->rng, 70))
            batch(c, machine);
        else
            walk(c, machine);
        return;
    }
    if (c1_chance(&c->rng, 2))
        cancel_some(c);
    if (c1_chance(&c->rng, 40))
        get(c, key, machine);
    else if (c1_class_of(key) == C1_CONTEXTS)
        write_known(c, key, machine);
    else
        write_blindly(c, key, machine);
}

bool c1_clients_warm(c1_clients *c)
{
    kv_op o = KV_OP_INIT;

    for (unsigned i = 0; i < WARM_TRIES; i++) {
        c1_op *op = submit(c, KV_REQUEST_PUT, C1_KEYS - 1, 0, &o);

        for (unsigned k = 0; op && op->end_ns == 0 && k < 200; k++)
            kv_sim_run(c->cluster->sim, 50 * C1_MS);
        if (op && op->end_ns && op->err == KV_OK)
            return true;
    }
    return false;
}

/* --- the end ---------------------------------------------------------------------------------- */

static bool read_key(c1_clients *c, unsigned key, kv_result *result)
{
    unsigned machine;
    kv_op o = KV_OP_INIT;
    int err = KV_EUNAVAILABLE;

    o.r = KV_ALL;
    o.flags = KV_PRIMARIES_ONLY;
    for (unsigned i = 0; i < READ_TRIES && pick_machine(c, &machine); i++) {
        c1_op *op = c1_oracle_begin(c->oracle, KV_REQUEST_GET, key, machine, &o);

        err = kv_get(c->cluster->machines[machine].db, c1_key_name(key), strlen(c1_key_name(key)),
                     &o, result);
        if (op)
            c1_oracle_end(c->oracle, op, err, result);
        if (err == KV_OK || err == KV_ESIBLINGS || err == KV_ENOTFOUND)
            return true;
        kv_sim_run(c->cluster->sim, READ_PAUSE_NS);
    }
    c1_oracle_blame(c->oracle, "the end: %s cannot be read from all its replicas: %s",
                    c1_key_name(key), kv_strerror(err));
    return false;
}

/* What a walk shows of each key is what a get has: its first value, and whether there are more. */
static void compare_walk(c1_clients *c, const bool *present, const uint64_t *first,
                         const bool *many, const char *prefix)
{
    kv_range range = KV_RANGE_INIT;
    kv_entry e = KV_ENTRY_INIT;
    bool seen[C1_KEYS] = {false};
    unsigned machine, last = 0;
    kv_iter *it;

    range.prefix = kvi_slice_of(prefix, strlen(prefix));
    if (!pick_machine(c, &machine) ||
        kv_iter_open(c->cluster->machines[machine].db, &range, &it) != KV_OK) {
        c1_oracle_blame(c->oracle, "the end: a walk cannot be opened: %s", kv_error_detail());
        return;
    }
    while (kv_iter_next(it, &e) == KV_OK) {
        unsigned key = c1_key_named(e.key);

        if (key == C1_KEYS || !present[key] || seen[key] ||
            kvi_hash64(e.value.data, e.value.len, 0) != first[key] ||
            many[key] != ((e.flags & KV_ENTRY_SIBLINGS) != 0))
            c1_oracle_blame(c->oracle, "the end: a walk and a get of key %u (%s) differ", key,
                            key < C1_KEYS ? c1_key_name(key) : "?");
        if (prefix[0] && key < last)
            c1_oracle_blame(c->oracle, "the end: a walk within a part is not in order");
        last = key;
        if (key < C1_KEYS)
            seen[key] = true;
    }
    kv_iter_close(it);
    for (unsigned key = 0; key < C1_KEYS; key++)
        if (present[key] && !seen[key] && strncmp(c1_key_name(key), prefix, strlen(prefix)) == 0)
            c1_oracle_blame(c->oracle, "the end: a walk does not show %s", c1_key_name(key));
}

void c1_clients_read_all(c1_clients *c, bool check)
{
    uint64_t first[C1_KEYS] = {0};
    bool present[C1_KEYS] = {false}, many[C1_KEYS] = {false};
    kv_result result = KV_RESULT_INIT;

    for (unsigned key = 0; key < C1_KEYS; key++) {
        if (!read_key(c, key, &result) || result.count == 0)
            continue;
        present[key] = true;
        many[key] = result.count > 1;
        first[key] = kvi_hash64(result.values[0].data, result.values[0].len, 0);
    }
    kv_result_free(&result);
    if (!check)
        return;
    compare_walk(c, present, first, many, C1_PART);
    if (c->cluster->plan->blocking)
        compare_walk(c, present, first, many, "");
}

void c1_clients_init(c1_clients *c, c1_cluster *cluster, c1_oracle *oracle, uint64_t seed)
{
    memset(c, 0, sizeof *c);
    c->cluster = cluster;
    c->oracle = oracle;
    kvt_rng_init(&c->rng, seed ^ UINT64_C(0xc11e4715));
    for (unsigned k = 0; k < C1_KEYS; k++)
        for (unsigned i = 0; i < C1_CONTEXTS_KEPT; i++)
            kvi_buf_init(&c->contexts[k][i], &cluster->mem);
}

void c1_clients_deinit(c1_clients *c)
{
    for (unsigned k = 0; k < C1_KEYS; k++)
        for (unsigned i = 0; i < C1_CONTEXTS_KEPT; i++)
            kvi_buf_deinit(&c->contexts[k][i]);
}
