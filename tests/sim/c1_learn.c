/*
 * What the oracle learns from objects and messages that it sees: which dot stands for what.
 */
#include <stdio.h>
#include <stdlib.h>

#include "base/check.h"
#include "base/hash.h"
#include "sim/c1_oracle.h"

#define VALUE_HEAD 8u

size_t c1_value_of(const c1_plan *p, uint32_t id, uint8_t out[C1_VALUE_MAX])
{
    uint64_t h = kvi_mix64(id);
    size_t len = VALUE_HEAD + h % 100;
    char head[VALUE_HEAD + 1];

    if (id % 50 == 0) /* longer than what a result copies … */
        len = 5000;
    if (p->large && id % 20 == 7) /* … and than a message may be */
        len = C1_VALUE_MAX;
    (void)snprintf(head, sizeof head, "%08x", (unsigned)id);
    memcpy(out, head, VALUE_HEAD);
    memset(out + VALUE_HEAD, 'a' + (int)(h % 26), len - VALUE_HEAD);
    return len;
}

c1_op *c1_op_by_value(c1_oracle *o, kvi_slice value)
{
    char head[VALUE_HEAD + 1] = {0};
    unsigned long id;

    if (value.len >= VALUE_HEAD)
        memcpy(head, value.data, VALUE_HEAD);
    id = strtoul(head, NULL, 16);
    return id > 0 && id <= o->count ? &o->ops[id - 1] : NULL;
}

c1_op *c1_oracle_op_of(c1_oracle *o, unsigned key, kvi_slice value)
{
    uint8_t expected[C1_VALUE_MAX];
    c1_op *op = c1_op_by_value(o, value);

    if (!op) {
        c1_oracle_blame(o, "read: %s has a value that nobody has put", c1_key_name(key));
        return NULL;
    }
    if (op->key != key || op->call != KV_REQUEST_PUT ||
        c1_value_of(o->cluster->plan, op->id, expected) != value.len ||
        memcmp(expected, value.data, value.len) != 0) {
        c1_oracle_blame(o, "read: the value of request %u, to %s, is at %s, or is damaged", op->id,
                        c1_key_name(op->key), c1_key_name(key));
        return NULL;
    }
    if (op->forbidden)
        c1_oracle_blame(o, "truth 2: request %u (put %s) ended as %s, and its value is there",
                        op->id, c1_key_name(key), kv_strerror(op->err));
    return op;
}

static void note(c1_oracle *o, unsigned key, const kvi_dot *dot, c1_op *op)
{
    c1_contents *k = &o->contents[key];
    uint32_t id = op ? op->id : 0;

    for (unsigned i = 0; i < k->count; i++)
        if (kvi_dot_eq(&k->items[i].dot, dot)) {
            if (k->items[i].id != id)
                c1_oracle_blame(o,
                                "twice: a dot of %s stands for request %u and for %u (0: delete)",
                                c1_key_name(key), k->items[i].id, id);
            return;
        }
    if (k->count == k->cap) {
        k->cap = k->cap ? 2 * k->cap : 32;
        k->items = realloc(k->items, k->cap * sizeof *k->items);
        KVI_ASSERT(k->items);
    }
    k->items[k->count++] = (c1_content){*dot, id};
    if (!op)
        return;
    if (op->dot_known && !o->cluster->plan->lww)
        c1_oracle_blame(o, "twice: request %u (put %s) has two dots: it was applied twice", id,
                        c1_key_name(key));
    op->dot = *dot;
    op->dot_known = true;
}

/* Whether the same bytes were seen before. */
static bool is_known(c1_oracle *o, unsigned key, kvi_slice encoded)
{
    uint64_t digest = kvi_hash64(encoded.data, encoded.len, key + 1) | 1;
    uint64_t *slot = &o->known[digest / 2 % C1_KNOWN_LIMIT];

    if (*slot == digest)
        return true;
    *slot = digest;
    return false;
}

/* What the clock says, but for one dot of the last counter of its actor. */
static uint64_t state_of(unsigned key, const kvi_clock *seen, const kvi_dot *without)
{
    uint64_t h = key + 1;

    for (uint32_t i = 0; i < seen->count; i++) {
        const kvi_dot *e = &seen->entries[i];
        uint64_t counter = e->counter - (without && kvi_dot_eq(e, without));

        if (counter > 0)
            h = kvi_mix64(kvi_mix64(kvi_mix64(h + e->actor.open_id) + e->actor.birth) + counter);
    }
    return h | 1;
}

/* No write of these keys has a context that a client has put together: each replaces all that some
 * whole object had seen, so that objects which have seen the same have the same siblings. A sibling
 * that is alone has replaced, itself or by what it replaced, all that the object has seen beside
 * it; so all of that was there when it was put, and nothing more. */
static void check_unseen(c1_oracle *o, unsigned key, const kvi_object *object)
{
    const kvi_sibling *s = object->siblings;
    uint64_t state;
    const c1_op *op;

    if (object->lww || c1_class_of(key) == C1_CONTEXTS)
        return;
    if (kvi_object_values(object, 0) >= 2) {
        state = state_of(key, &object->seen, NULL);
        o->crowded[state / 2 % C1_CROWDED_MAX] = state;
    }
    if (object->count != 1 || (s->flags & KVI_SIBLING_TOMBSTONE) ||
        kvi_clock_get(&object->seen, &s->dot.actor) != s->dot.counter)
        return;
    op = c1_op_by_value(o, s->value);
    state = state_of(key, &object->seen, &s->dot);
    if (op && !op->overwrite && !op->has_given && o->crowded[state / 2 % C1_CROWDED_MAX] == state)
        c1_oracle_blame(o,
                        "unseen: request %u (put %s), without a context and KV_OVERWRITE, has "
                        "replaced several values",
                        op->id, c1_key_name(key));
}

bool c1_oracle_learn(c1_oracle *o, unsigned key, kvi_slice encoded)
{
    kvi_object object;
    bool good;

    if (!o->final && is_known(o, key, encoded))
        return true;
    kvi_object_init(&object, &o->cluster->mem);
    good = kvi_object_decode(&object, encoded) == KV_OK;
    if (!good)
        c1_oracle_blame(o, "read: an object of %s does not decode", c1_key_name(key));
    for (uint32_t i = 0; i < object.count; i++) {
        const kvi_sibling *s = &object.siblings[i];
        bool tombstone = s->flags & KVI_SIBLING_TOMBSTONE;
        c1_op *op = tombstone ? NULL : c1_oracle_op_of(o, key, s->value);

        if (tombstone || op)
            note(o, key, &s->dot, op);
    }
    if (good)
        check_unseen(o, key, &object);
    if (object.count > o->most_siblings)
        o->most_siblings = object.count;
    kvi_object_deinit(&object);
    return good;
}
