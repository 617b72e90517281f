/*
 * The requests that the oracle knows, and what it demands when they end; see the header.
 */
#include "sim/c1_oracle.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/check.h"
#include "replication/key.h"
#include "vclock/context.h"

void c1_oracle_blame(c1_oracle *o, const char *format, ...)
{
    size_t at;
    va_list args;

    if (o->violations++ > 0)
        return;
    at = (size_t)snprintf(o->why, sizeof o->why,
                          "at %.3f s: ", (double)kv_sim_now(o->cluster->sim) / 1e9);
    va_start(args, format);
    (void)vsnprintf(o->why + at, sizeof o->why - at, format, args);
    va_end(args);
}

/* --- clocks ----------------------------------------------------------------------------------- */

bool c1_clock_within(const kvi_clock *a, const kvi_clock *b)
{
    for (uint32_t i = 0; i < a->count; i++)
        if (!kvi_clock_covers(b, &a->entries[i]))
            return false;
    return true;
}

/* Of last write wins: by (stamp, actor). */
static bool is_older(const kvi_dot *a, const kvi_dot *b)
{
    return a->counter != b->counter ? a->counter < b->counter
                                    : kvi_actor_cmp(&a->actor, &b->actor) < 0;
}

bool c1_object_has(const kvi_object *object, const kvi_clock *clock)
{
    if (!object->lww)
        return c1_clock_within(clock, &object->seen);
    for (uint32_t i = 0; i < clock->count; i++)
        if (object->count == 0 || is_older(&object->siblings[0].dot, &clock->entries[i]))
            return false;
    return true;
}

bool c1_oracle_covered(const c1_oracle *o, unsigned key, const kvi_dot *dot,
                       const kvi_clock *applied)
{
    for (unsigned i = 0; i < o->count; i++) {
        const c1_op *w = &o->ops[i];

        if (w->key != key || w->call == KV_REQUEST_GET || w->forbidden || !w->has_given ||
            !kvi_clock_covers(&w->given, dot))
            continue;
        if (!applied || w->call == KV_REQUEST_DELETE ||
            (w->dot_known && kvi_clock_covers(applied, &w->dot)))
            return true;
    }
    return false;
}

static void open_context(c1_oracle *o, unsigned key, kvi_slice context, kvi_clock *out)
{
    const kvi_ring *ring = c1_cluster_ring(o->cluster);
    kvi_slice name = c1_key_slice(key);
    kvi_buf physical;

    if (context.len == 0 || !ring)
        return;
    kvi_buf_init(&physical, &o->cluster->mem);
    if (kvi_key_data(&physical, KVI_RING_SPACE_DEFAULT, kvi_ring_token(ring, name), name) ||
        kvi_context_open(context, kvi_ring_secret(ring), kvi_buf_slice(&physical), out))
        c1_oracle_blame(o, "a context of %s does not open: %s", c1_key_name(key),
                        kv_error_detail());
    kvi_buf_deinit(&physical);
}

/* --- truth 1 ---------------------------------------------------------------------------------- */

typedef struct receipt {
    unsigned key;
    const kvi_clock *made;
    const kvi_dot *dot;
    unsigned acks, primaries, fallbacks;
    uint64_t since_ns; /* the request began */
} receipt;

static bool holds(c1_oracle *o, unsigned machine, const receipt *r)
{
    kvi_object object;
    bool has;

    o->looks++;
    if (c1_cluster_object(o->cluster, machine, c1_key_slice(r->key), &o->look))
        return false;
    (void)c1_oracle_learn(o, r->key, kvi_buf_slice(&o->look));
    kvi_object_init(&object, &o->cluster->mem);
    has = kvi_object_decode(&object, kvi_buf_slice(&o->look)) == KV_OK;
    if (has && r->made->count > 0)
        has = c1_object_has(&object, r->made);
    if (has && r->dot)
        has = object.lww ? object.count > 0 && !is_older(&object.siblings[0].dot, r->dot)
                         : kvi_clock_covers(&object.seen, r->dot);
    kvi_object_deinit(&object);
    return has;
}

static void check_receipt(c1_oracle *o, const receipt *r, const char *what)
{
    unsigned machines[C1_MACHINES_MAX], n, count, held[2] = {0, 0}, lost[2] = {0, 0};

    if (r->made->count == 0 && !r->dot)
        return; /* nothing was there to be deleted, and nothing was written */
    if (!c1_cluster_ring(o->cluster))
        return;
    count = c1_cluster_walk(o->cluster, c1_key_slice(r->key), machines, &n);
    for (unsigned i = 0; i < count; i++) {
        const c1_machine *m = &o->cluster->machines[machines[i]];

        if (m->db && !m->ailing && holds(o, machines[i], r))
            held[i >= n]++;
        else if (!m->db || m->ailing || (m->downs && m->down_at >= r->since_ns) ||
                 o->handed_ns[r->key][machines[i]] >= r->since_ns ||
                 (i >= n && o->cluster->plan->large)) /* it may have gone home in fragments */
            lost[i >= n]++;
    }
    if (r->acks != r->primaries + r->fallbacks || r->primaries > held[0] + lost[0] ||
        r->fallbacks > held[1] + lost[1])
        c1_oracle_blame(
            o,
            "truth 1: %s of %s was acknowledged by %u primaries and %u stand-ins; %u and "
            "%u have it, %u and %u may have lost it",
            what, c1_key_name(r->key), r->primaries, r->fallbacks, held[0], held[1], lost[0],
            lost[1]);
}

/* --- requests --------------------------------------------------------------------------------- */

static uint8_t resolve(uint8_t asked, unsigned n)
{
    return asked == 0 || asked == KV_QUORUM ? (uint8_t)(n / 2 + 1)
           : asked == KV_ALL                ? (uint8_t)n
                                            : asked;
}

c1_op *c1_oracle_begin(c1_oracle *o, uint8_t call, unsigned key, unsigned machine,
                       const kv_op *options)
{
    const c1_machine *m = &o->cluster->machines[machine];
    c1_op *op;

    if (o->count == C1_OPS_LIMIT)
        return NULL;
    op = &o->ops[o->count++];
    *op = (c1_op){.id = o->count, .call = call, .key = key, .machine = machine};
    kvi_clock_init(&op->given, &o->cluster->mem);
    kvi_clock_init(&op->made, &o->cluster->mem);
    op->r = resolve(options->r, o->cluster->plan->n);
    op->w = resolve(options->w, o->cluster->plan->n);
    op->primaries_only = options->flags & KV_PRIMARIES_ONLY;
    op->overwrite = options->flags & KV_OVERWRITE;
    op->timeout_ms = options->timeout_ms ? options->timeout_ms : KV_TIMEOUT_DEFAULT_MS;
    op->begin_ns = kv_sim_now(o->cluster->sim);
    op->idle_ns = c1_cluster_idle_ns(o->cluster, machine);
    op->downs = m->downs;
    op->has_given = options->context.len > 0;
    if (op->has_given)
        open_context(o, key, options->context, &op->given);
    o->open++;
    return op;
}

/* Nothing was done, and nothing will be. */
static bool is_refusal(const c1_op *op, int err)
{
    return op->call != KV_REQUEST_GET && err != KV_OK && err != KV_EUNCERTAIN;
}

static void ended(c1_oracle *o, c1_op *op, int err)
{
    KVI_ASSERT(op->end_ns == 0 && o->open > 0);
    op->err = err;
    op->end_ns = kv_sim_now(o->cluster->sim);
    o->open--;
    o->outcomes[-err < (int)C1_OUTCOMES ? -err : 0]++;
    o->digest = kvi_mix64(o->digest ^ (uint64_t)(int64_t)err) + op->end_ns;
    op->forbidden = is_refusal(op, err);
    if (op->forbidden && op->dot_known)
        c1_oracle_blame(o, "truth 2: request %u (put %s) ended as %s, and its value was seen",
                        op->id, c1_key_name(op->key), kv_strerror(err));
}

void c1_oracle_refused(c1_oracle *o, c1_op *op, int err)
{
    if (err != KV_EBUSY)
        c1_oracle_blame(o, "kv_submit: %s: %s", kv_strerror(err), kv_error_detail());
    ended(o, op, err);
}

static void check_time(c1_oracle *o, const c1_op *op)
{
    uint64_t spent = op->end_ns - op->begin_ns;
    uint64_t idle = c1_cluster_idle_ns(o->cluster, op->machine) - op->idle_ns;

    if (o->cluster->machines[op->machine].downs != op->downs)
        return;
    if (spent > idle + 2 * op->timeout_ms * C1_MS)
        c1_oracle_blame(
            o, "live: request %u at machine %u with %u ms took %.3f s, %.3f s of it idle", op->id,
            op->machine, op->timeout_ms, (double)spent / 1e9, (double)idle / 1e9);
}

/* --- gets ------------------------------------------------------------------------------------- */

typedef struct shown {
    const c1_op *ops[KVI_OBJECT_SIBLINGS_MAX];
    unsigned count;
} shown;

static bool shows(const shown *s, uint32_t id)
{
    for (unsigned i = 0; i < s->count; i++)
        if (s->ops[i]->id == id)
            return true;
    return false;
}

/* The dots of values that were read are looked up in the engines, if no message has had them. */
static void look_at_all(c1_oracle *o, unsigned key)
{
    for (unsigned i = 0; i < o->cluster->plan->machines; i++)
        if (o->cluster->machines[i].db && !o->cluster->machines[i].ailing) {
            o->looks++;
            if (c1_cluster_object(o->cluster, i, c1_key_slice(key), &o->look) == KV_OK)
                (void)c1_oracle_learn(o, key, kvi_buf_slice(&o->look));
        }
}

/* What the get has seen and does not show was replaced by somebody. */
static void check_vanished(c1_oracle *o, const c1_op *get, const shown *s)
{
    const c1_contents *k = &o->contents[get->key];

    for (unsigned i = 0; i < k->count; i++)
        if (k->items[i].id != 0 && kvi_clock_covers(&get->made, &k->items[i].dot) &&
            !shows(s, k->items[i].id) && !c1_oracle_covered(o, get->key, &k->items[i].dot, NULL))
            c1_oracle_blame(
                o,
                "truth 3: get %u of %s has seen the dot of request %u and does not show "
                "it, and nobody has replaced it",
                get->id, c1_key_name(get->key), k->items[i].id);
}

/* Whether later was begun after write was acknowledged, and their primaries overlap. */
static bool is_after(const c1_oracle *o, const c1_op *later, const c1_op *write)
{
    return write->key == later->key && write->call != KV_REQUEST_GET && write->end_ns != 0 &&
           write->err == KV_OK && write->end_ns <= later->begin_ns &&
           write->primaries + later->r > o->cluster->plan->n;
}

static bool is_blind_delete(const c1_op *op)
{
    return op->call == KV_REQUEST_DELETE && !op->has_given;
}

static bool has_seen(const c1_op *later, const c1_op *write)
{
    return c1_clock_within(&write->made, &later->made) &&
           !(write->dot_known && !kvi_clock_covers(&later->made, &write->dot));
}

/* is_after(), and the get is from primaries only. */
static void check_after(c1_oracle *o, const c1_op *get, const c1_op *write, const shown *s)
{
    bool contexts = c1_class_of(get->key) == C1_CONTEXTS;

    if (!has_seen(get, write))
        c1_oracle_blame(o, "seen: get %u of %s has not seen request %u, acknowledged before",
                        get->id, c1_key_name(get->key), write->id);
    for (unsigned i = 0; contexts && i < s->count; i++)
        if (s->ops[i]->dot_known && kvi_clock_covers(&write->given, &s->ops[i]->dot))
            c1_oracle_blame(o, "truth 5: get %u of %s shows request %u, which request %u replaced",
                            get->id, c1_key_name(get->key), s->ops[i]->id, write->id);
    /* made covers what it has read, and else only what its coordinator knew to be replaced. */
    for (unsigned i = 0; is_blind_delete(write) && i < s->count; i++)
        if (s->ops[i]->dot_known && kvi_clock_covers(&write->made, &s->ops[i]->dot))
            c1_oracle_blame(o, "deleted: get %u of %s shows request %u, which delete %u has seen",
                            get->id, c1_key_name(get->key), s->ops[i]->id, write->id);
}

static void check_get(c1_oracle *o, const c1_op *get, const kv_result *result)
{
    shown s = {.count = 0};

    for (uint32_t i = 0; i < result->count; i++) {
        const c1_op *op = c1_oracle_op_of(
            o, get->key, kvi_slice_of(result->values[i].data, result->values[i].len));

        if (op)
            s.ops[s.count++] = op;
    }
    if (o->cluster->plan->lww)
        return;
    look_at_all(o, get->key);
    if (c1_class_of(get->key) == C1_CONTEXTS)
        check_vanished(o, get, &s);
    for (unsigned i = 0; i < o->count; i++) {
        const c1_op *w = &o->ops[i];

        if (!is_after(o, get, w))
            continue;
        if (get->primaries_only)
            check_after(o, get, w, &s);
        if (result->count == 0 && c1_class_of(get->key) == C1_NEVER_DELETED && w->fallbacks == 0)
            c1_oracle_blame(o, "nothing: get %u of %s finds nothing after request %u", get->id,
                            c1_key_name(get->key), w->id);
    }
}

/* What the client may replace with the context of its own write is what it knew, and that write. */
static void check_made(c1_oracle *o, const c1_op *op)
{
    const c1_contents *k = &o->contents[op->key];

    if (c1_class_of(op->key) != C1_CONTEXTS || o->cluster->plan->lww)
        return;
    look_at_all(o, op->key);
    for (unsigned i = 0; i < k->count; i++) {
        const c1_content *c = &k->items[i];

        if (c->id != 0 && c->id != op->id && kvi_clock_covers(&op->made, &c->dot) &&
            !kvi_clock_covers(&op->given, &c->dot) && !c1_oracle_covered(o, op->key, &c->dot, NULL))
            c1_oracle_blame(o,
                            "truth 4: the context that write %u of %s was answered with replaces "
                            "request %u, which its client has never seen",
                            op->id, c1_key_name(op->key), c->id);
    }
}

/* A delete without a context has read r replicas. */
static void check_delete(c1_oracle *o, const c1_op *op)
{
    if (o->cluster->plan->lww || !is_blind_delete(op) || !op->primaries_only)
        return;
    for (unsigned i = 0; i < o->count; i++)
        if (is_after(o, op, &o->ops[i]) && !has_seen(op, &o->ops[i]))
            c1_oracle_blame(o,
                            "deleted: delete %u of %s has not seen request %u, acknowledged before",
                            op->id, c1_key_name(op->key), o->ops[i].id);
}

/* Whether the counts of such an answer say who holds what its context says. A last-write-wins
 * request that ends between two stamps counts those that hold the older one. */
static bool has_receipt(const c1_oracle *o, int err)
{
    return err == KV_OK || (err == KV_EUNCERTAIN && !o->cluster->plan->lww);
}

void c1_oracle_end(c1_oracle *o, c1_op *op, int err, const kv_result *result)
{
    ended(o, op, err);
    check_time(o, op);
    if (err == KV_OK || err == KV_ESIBLINGS || err == KV_ENOTFOUND || err == KV_EUNCERTAIN)
        open_context(o, op->key, result->context, &op->made);
    for (uint32_t i = 0; i < result->count; i++)
        o->digest = kvi_hash64(result->values[i].data, result->values[i].len, o->digest);
    if (op->call == KV_REQUEST_GET) {
        if (err == KV_OK || err == KV_ESIBLINGS || err == KV_ENOTFOUND)
            check_get(o, op, result);
        return;
    }
    op->acks = result->acks;
    op->primaries = result->primaries;
    op->fallbacks = result->fallbacks;
    if (op->primaries_only && op->fallbacks > 0)
        c1_oracle_blame(o,
                        "stand-in: request %u of %s is for primaries only, and %u others have it",
                        op->id, c1_key_name(op->key), op->fallbacks);
    if (err == KV_OK) {
        if (op->acks < op->w && op->made.count > 0)
            c1_oracle_blame(o, "truth 1: request %u of %s is KV_OK with %u of %u", op->id,
                            c1_key_name(op->key), op->acks, op->w);
        check_made(o, op);
        check_delete(o, op);
    }
    if (has_receipt(o, err) && !op->judged) {
        receipt r = {op->key,     &op->made,     op->dot_known ? &op->dot : NULL,
                     op->acks,    op->primaries, op->fallbacks,
                     op->begin_ns};

        check_receipt(o, &r, err ? "an uncertain write" : "a write");
    }
}

/* --- messages --------------------------------------------------------------------------------- */

static void saw_objects(c1_oracle *o, unsigned from, const kvi_wire_apply *apply)
{
    kvi_wire_items_iter it;
    kvi_wire_object object;

    kvi_wire_items_begin(&it, apply->items);
    while (kvi_wire_objects_next(&it, &object)) {
        unsigned key = c1_key_named(object.key);

        if (key == C1_KEYS)
            continue;
        (void)c1_oracle_learn(o, key, object.object);
        if (apply->flags & KVI_WIRE_APPLY_HANDOFF)
            o->handed_ns[key][from] = kv_sim_now(o->cluster->sim);
    }
}

/* Whether it may be this request that is forwarded; deletes are told by their contexts. */
static bool is_forward_of(c1_oracle *o, const c1_op *op, const kvi_wire_forward *f)
{
    kvi_clock given;
    bool same;

    if (f->op == KVI_WIRE_PUT)
        return op == c1_op_by_value(o, f->value);
    if (op->call != KV_REQUEST_DELETE || op->has_given != (f->context.len > 0))
        return false;
    kvi_clock_init(&given, &o->cluster->mem);
    open_context(o, op->key, f->context, &given);
    same = c1_clock_within(&given, &op->given) && c1_clock_within(&op->given, &given);
    kvi_clock_deinit(&given);
    return same;
}

static void saw_forward(c1_oracle *o, unsigned from, const kvi_wire_forward *f)
{
    unsigned key = c1_key_named(f->key);
    c1_op *found = NULL;

    if (key == C1_KEYS)
        return;
    for (unsigned i = o->count; i-- > 0;) {
        c1_op *op = &o->ops[i];

        if (op->end_ns || op->key != key || op->machine != from)
            continue;
        if (op->forwarded && op->seq == f->seq)
            return;
        if (is_forward_of(o, op, f) && (!found || !op->forwarded))
            found = op;
    }
    if (found) {
        found->forwarded = true;
        found->seq = f->seq;
    }
}

static void saw_answer(c1_oracle *o, unsigned to, const kvi_wire_forward_answer *a)
{
    if (!has_receipt(o, a->err))
        return;
    for (unsigned i = o->count; i-- > 0;) {
        c1_op *op = &o->ops[i];
        kvi_clock made;

        if (!op->forwarded || op->judged || op->end_ns || op->machine != to || op->seq != a->seq)
            continue;
        kvi_clock_init(&made, &o->cluster->mem);
        open_context(o, op->key, a->context, &made);
        receipt r = {op->key,     &made,        op->dot_known ? &op->dot : NULL,
                     a->acks,     a->primaries, a->fallbacks,
                     op->begin_ns};

        check_receipt(o, &r, a->err ? "a forwarded, uncertain write" : "a forwarded write");
        op->judged = true;
        kvi_clock_deinit(&made);
    }
}

void c1_oracle_tap(void *oracle, unsigned from, unsigned to, kvi_slice message)
{
    c1_oracle *o = oracle;
    kvi_wire_header header;
    kvi_wire_reader reader;
    kvi_wire_message m;

    o->messages++;
    if (kvi_wire_open(message, &header, &reader)) {
        c1_oracle_blame(o, "machine %u sends what is no envelope", from);
        return;
    }
    while (kvi_wire_next(&reader, &m) == KV_OK) {
        switch ((int)m.kind) {
        case KVI_WIRE_APPLY:
            saw_objects(o, from, &m.u.apply);
            break;
        case KVI_WIRE_FORWARD:
            saw_forward(o, from, &m.u.forward);
            break;
        case KVI_WIRE_FORWARD_ANSWER:
            saw_answer(o, to, &m.u.forward_answer);
            break;
        default:
            break;
        }
    }
}

void c1_oracle_walked(c1_oracle *o, kvi_slice key, const kv_value *value)
{
    unsigned k = c1_key_named(key);

    if (k == C1_KEYS)
        c1_oracle_blame(o, "read: a walk shows a key that nobody has written");
    else
        (void)c1_oracle_op_of(o, k, kvi_slice_of(value->data, value->len));
}

/* --- its life --------------------------------------------------------------------------------- */

void c1_oracle_init(c1_oracle *o, c1_cluster *c)
{
    memset(o, 0, sizeof *o);
    o->cluster = c;
    o->ops = calloc(C1_OPS_LIMIT, sizeof *o->ops);
    KVI_ASSERT(o->ops);
    kvi_buf_init(&o->look, &c->mem);
}

void c1_oracle_deinit(c1_oracle *o)
{
    for (unsigned i = 0; i < o->count; i++) {
        kvi_clock_deinit(&o->ops[i].given);
        kvi_clock_deinit(&o->ops[i].made);
    }
    for (unsigned i = 0; i < C1_KEYS; i++)
        free(o->contents[i].items);
    free(o->ops);
    kvi_buf_deinit(&o->look);
}
