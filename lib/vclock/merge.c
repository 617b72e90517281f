/*
 * Two objects become one that knows what both know; see object.h for the contract.
 *
 * A sibling survives if both have it, or if one has it and the other has not seen its dot. One that
 * the other has seen and does not have was replaced there. The result and both bits follow from one
 * walk over the siblings of both, before anything is changed.
 */
#include "base/check.h"
#include "base/error.h"
#include "vclock/object.h"
#include "vclock/object_impl.h"

/* One dot that came up in the walk. */
typedef struct step {
    int side;                /* <0: only into has it, 0: both, >0: only from */
    const kvi_sibling *s;    /* of into where both have it */
    const kvi_sibling *twin; /* of from where both have it, else s */
} step;

static bool next_step(const kvi_object *into, const kvi_object *from, uint32_t *i, uint32_t *j,
                      step *out)
{
    if (*i == into->count && *j == from->count)
        return false;
    if (*i == into->count)
        out->side = 1;
    else if (*j == from->count)
        out->side = -1;
    else
        out->side = kvi_dot_cmp(&into->siblings[*i].dot, &from->siblings[*j].dot);
    out->s = out->side > 0 ? &from->siblings[*j] : &into->siblings[*i];
    out->twin = out->side == 0 ? &from->siblings[*j] : out->s;
    *i += out->side <= 0;
    *j += out->side >= 0;
    return true;
}

/* Whether the sibling of t survives, and what that says about the two objects. */
static bool survives(const kvi_object *into, const kvi_object *from, const step *t,
                     unsigned *merged)
{
    bool ours = t->side < 0, replaced;

    if (t->side == 0)
        return true;
    replaced = kvi_clock_covers(ours ? &from->seen : &into->seen, &t->s->dot);
    *merged |= ours == replaced ? KVI_MERGE_GAINED : KVI_MERGE_AHEAD;
    return !replaced;
}

/* A dot names one write: with two contents it was minted twice, or one of them is damaged. Neither
 * may be dropped silently. */
static int check_same(const kvi_sibling *a, const kvi_sibling *b)
{
    if (a->flags == b->flags && a->expires_ms == b->expires_ms && a->written_ms == b->written_ms &&
        kvi_slice_eq(a->value, b->value))
        return KV_OK;
    return kvi_error_set(KV_ECORRUPT, "two replicas have different contents of one version");
}

static unsigned compare_seen(const kvi_object *into, const kvi_object *from)
{
    switch (kvi_clock_compare(&into->seen, &from->seen)) {
    case KVI_CLOCK_BEFORE:
        return KVI_MERGE_GAINED;
    case KVI_CLOCK_AFTER:
        return KVI_MERGE_AHEAD;
    case KVI_CLOCK_CONCURRENT:
        return KVI_MERGE_GAINED | KVI_MERGE_AHEAD;
    case KVI_CLOCK_EQUAL:
    default:
        return 0;
    }
}

/* out, which is empty and has room, gets the survivors, in order. */
static void collect(const kvi_object *into, const kvi_object *from, kvi_object *out)
{
    unsigned merged = 0;
    uint32_t i = 0, j = 0;
    step t;

    while (next_step(into, from, &i, &j, &t))
        if (survives(into, from, &t, &merged)) {
            KVI_ASSERT(out->count < out->cap);
            out->siblings[out->count++] = *t.s;
        }
}

static int merge_siblings(kvi_object *into, const kvi_object *from, unsigned *out)
{
    unsigned merged = compare_seen(into, from);
    uint32_t i = 0, j = 0, count = 0;
    kvi_object result;
    step t;
    int err;

    while (next_step(into, from, &i, &j, &t)) {
        err = t.side == 0 ? check_same(t.s, t.twin) : KV_OK;
        if (err)
            return err;
        count += survives(into, from, &t, &merged);
    }
    if (merged & KVI_MERGE_GAINED) {
        kvi_object_init(&result, into->mem);
        err = kvi_object_reserve(&result, count);
        if (!err) {
            collect(into, from, &result);
            err = kvi_clock_merge(&into->seen, &from->seen);
        }
        if (err) {
            kvi_object_deinit(&result);
            return err;
        }
        kvi_mem_free(into->mem, into->siblings);
        into->siblings = result.siblings;
        into->count = result.count;
        into->cap = result.cap;
    }
    *out = merged;
    return KV_OK;
}

static int merge_stamped(kvi_object *into, const kvi_object *from, unsigned *out)
{
    int c, err;

    KVI_ASSERT(into->count == 1 && from->count == 1);
    c = kvi_object_stamp_cmp(&into->siblings[0].dot, &from->siblings[0].dot);
    if (c == 0) {
        err = check_same(&into->siblings[0], &from->siblings[0]);
        if (err)
            return err;
    }
    if (c < 0)
        into->siblings[0] = from->siblings[0];
    *out = 0;
    if (c != 0)
        *out = c < 0 ? KVI_MERGE_GAINED : KVI_MERGE_AHEAD;
    return KV_OK;
}

/* into, which is empty, becomes from. */
static int copy(kvi_object *into, const kvi_object *from)
{
    int err = kvi_object_reserve(into, from->count);

    if (!err)
        err = kvi_clock_copy(&into->seen, &from->seen);
    if (err)
        return err;
    for (uint32_t i = 0; i < from->count; i++)
        into->siblings[i] = from->siblings[i];
    into->count = from->count;
    into->lww = from->lww;
    return KV_OK;
}

int kvi_object_merge(kvi_object *into, const kvi_object *from, unsigned *out)
{
    int err;

    if (kvi_object_empty(from)) {
        *out = kvi_object_empty(into) ? 0 : KVI_MERGE_AHEAD;
        return KV_OK;
    }
    if (kvi_object_empty(into)) {
        err = copy(into, from);
        if (!err)
            *out = KVI_MERGE_GAINED;
        return err;
    }
    if (into->lww != from->lww)
        return kvi_error_set(KV_ECORRUPT, "one replica has this key with stamps, another with "
                                          "version vectors: the space has two policies");
    return into->lww ? merge_stamped(into, from, out) : merge_siblings(into, from, out);
}

int kvi_object_merge_encoded(kvi_object *into, kvi_slice from, unsigned *out)
{
    kvi_object decoded;
    int err;

    kvi_object_init(&decoded, into->mem);
    err = kvi_object_decode(&decoded, from);
    if (!err)
        err = kvi_object_merge(into, &decoded, out);
    kvi_object_deinit(&decoded);
    return err;
}
