/*
 * The end of a run of the swarm: what must hold of the final state; see c1_oracle.h.
 */
#include <stdlib.h>

#include "sim/c1_oracle.h"

/* A write that did not end before this one began may have replaced it, seen or unseen. */
static bool has_rival(const c1_oracle *o, const c1_op *op)
{
    for (unsigned i = 0; i < o->count; i++) {
        const c1_op *w = &o->ops[i];

        if (w != op && w->key == op->key && w->call != KV_REQUEST_GET && !w->forbidden &&
            (w->end_ns == 0 || w->err != KV_OK || w->end_ns >= op->begin_ns))
            return true;
    }
    return false;
}

static bool is_sibling(const kvi_object *object, const kvi_dot *dot)
{
    for (uint32_t i = 0; i < object->count; i++)
        if (kvi_dot_eq(&object->siblings[i].dot, dot))
            return true;
    return false;
}

/* --- truths 3 and 5 --------------------------------------------------------------------------- */

static void check_acknowledged(c1_oracle *o, const c1_op *op, const kvi_object *object)
{
    bool contexts = c1_class_of(op->key) == C1_CONTEXTS;
    const char *name = c1_key_name(op->key);

    if (!c1_object_has(object, &op->made)) {
        c1_oracle_blame(o,
                        "truth 3: request %u of %s was acknowledged (%u primaries, %u stand-ins), "
                        "and its replicas know nothing of it",
                        op->id, name, op->primaries, op->fallbacks);
        return;
    }
    if (object->lww)
        return;
    if (op->call == KV_REQUEST_PUT) {
        /* The next write may have replaced it before anybody saw it. */
        if (op->dot_known ? !kvi_clock_covers(&object->seen, &op->dot) : !has_rival(o, op))
            c1_oracle_blame(o,
                            "truth 3: request %u (put %s) was acknowledged (%u primaries, %u "
                            "stand-ins) and is lost",
                            op->id, name, op->primaries, op->fallbacks);
        else if (!contexts && !has_rival(o, op) && !is_sibling(object, &op->dot))
            c1_oracle_blame(o,
                            "truth 3: request %u (put %s) is gone, and nobody can have replaced it",
                            op->id, name);
    }
    for (uint32_t i = 0; contexts && i < object->count; i++)
        if (kvi_clock_covers(&op->given, &object->siblings[i].dot))
            c1_oracle_blame(o,
                            "truth 5: request %u replaced a sibling of %s, and it is there in the "
                            "end",
                            op->id, name);
}

/* Of all that the final object has seen. */
static void check_contents(c1_oracle *o, unsigned key, const kvi_object *object)
{
    const c1_contents *k = &o->contents[key];

    for (unsigned i = 0; i < k->count; i++) {
        const c1_content *c = &k->items[i];
        const c1_op *op = c->id ? &o->ops[c->id - 1] : NULL;

        if (!kvi_clock_covers(&object->seen, &c->dot))
            continue;
        if (op && !is_sibling(object, &c->dot) &&
            !c1_oracle_covered(o, key, &c->dot, &object->seen))
            c1_oracle_blame(o,
                            "truth 3: request %u (put %s) has vanished, and nothing that is there "
                            "has replaced it",
                            op->id, c1_key_name(key));
        for (uint32_t s = 0; op && op->has_given && s < object->count; s++)
            if (kvi_clock_covers(&op->given, &object->siblings[s].dot))
                c1_oracle_blame(o, "truth 5: %s has request %u, and a sibling that it replaced",
                                c1_key_name(key), op->id);
    }
}

static void check_state(c1_oracle *o, unsigned key, const kvi_object *object)
{
    bool any = false;

    for (unsigned i = 0; i < o->count; i++) {
        const c1_op *op = &o->ops[i];

        if (op->key != key || op->call == KV_REQUEST_GET || op->err != KV_OK || op->end_ns == 0)
            continue;
        any = any || op->call == KV_REQUEST_PUT;
        check_acknowledged(o, op, object);
    }
    if (c1_class_of(key) == C1_CONTEXTS && !object->lww)
        check_contents(o, key, object);
    if (any && c1_class_of(key) == C1_NEVER_DELETED && object->count == 0)
        c1_oracle_blame(o, "truth 3: %s, which nobody deletes, has no value", c1_key_name(key));
}

/* --- the replicas ----------------------------------------------------------------------------- */

static void check_key(c1_oracle *o, unsigned key, bool state)
{
    unsigned machines[C1_MACHINES_MAX], n;
    kvi_object object;
    kvi_buf first;

    (void)c1_cluster_walk(o->cluster, c1_key_slice(key), machines, &n);
    kvi_buf_init(&first, &o->cluster->mem);
    kvi_object_init(&object, &o->cluster->mem);
    for (unsigned i = 0; i < n; i++) {
        kvi_buf_clear(&o->look);
        (void)c1_cluster_object(o->cluster, machines[i], c1_key_slice(key), &o->look);
        if (o->look.len > 0)
            (void)c1_oracle_learn(o, key, kvi_buf_slice(&o->look));
        if (i == 0)
            (void)!kvi_buf_set(&first, o->look.data, o->look.len);
        else if (!kvi_slice_eq(kvi_buf_slice(&first), kvi_buf_slice(&o->look)))
            c1_oracle_blame(o, "%s: the primaries of %s, machines %u and %u, differ",
                            state ? "the end" : "spread", c1_key_name(key), machines[0],
                            machines[i]);
    }
    if (state && (first.len == 0 || kvi_object_decode(&object, kvi_buf_slice(&first)) == KV_OK))
        check_state(o, key, &object);
    o->digest = kvi_hash64(first.data, first.len, o->digest);
    kvi_object_deinit(&object);
    kvi_buf_deinit(&first);
}

void c1_oracle_final(c1_oracle *o)
{
    uint64_t hints;

    o->final = true;
    if (!c1_cluster_quiet(o->cluster, &hints))
        c1_oracle_blame(o, "the end: not everybody takes everybody for alive");
    if (hints > 0)
        c1_oracle_blame(o, "the end: %llu hints are left", (unsigned long long)hints);
    for (unsigned i = 0; i < o->count; i++)
        if (o->ops[i].end_ns == 0)
            c1_oracle_blame(o, "live: request %u at machine %u has not ended", i + 1,
                            o->ops[i].machine);
    for (unsigned key = 0; key < C1_KEYS; key++)
        check_key(o, key, true);
}

void c1_oracle_spread(c1_oracle *o)
{
    for (unsigned key = 0; key < C1_KEYS; key++)
        check_key(o, key, false);
}
