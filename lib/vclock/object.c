/*
 * The stored object: its life, puts, and what readers see; see the header for the contract.
 */
#include "vclock/object.h"

#include <string.h>

#include "base/check.h"
#include "base/error.h"
#include "vclock/object_impl.h"

void kvi_object_init(kvi_object *o, const kvi_mem *mem)
{
    o->mem = mem;
    o->lww = false;
    kvi_clock_init(&o->seen, mem);
    o->siblings = NULL;
    o->count = o->cap = 0;
}

void kvi_object_deinit(kvi_object *o)
{
    kvi_clock_deinit(&o->seen);
    kvi_mem_free(o->mem, o->siblings);
    o->siblings = NULL;
    o->count = o->cap = 0;
}

void kvi_object_clear(kvi_object *o)
{
    kvi_clock_clear(&o->seen);
    o->lww = false;
    o->count = 0;
}

int kvi_object_reserve(kvi_object *o, size_t count)
{
    kvi_sibling *siblings;

    if (count > KVI_OBJECT_SIBLINGS_MAX)
        return kvi_error_set(KV_ETOOBIG,
                             "an object of %zu siblings; it may have %u: write the key with a "
                             "context that has seen them",
                             count, KVI_OBJECT_SIBLINGS_MAX);
    if (count <= o->cap)
        return KV_OK;
    siblings = kvi_mem_resize(o->mem, o->siblings, count * sizeof *siblings);
    if (!siblings)
        return kvi_error_set(KV_ENOMEM, "no memory for an object of %zu siblings", count);
    o->siblings = siblings;
    o->cap = (uint32_t)count;
    return KV_OK;
}

/* --- writing ---------------------------------------------------------------------------------- */

/* The youngest actor of open_id in c that was born at floor or later. */
static bool own_actor(const kvi_clock *c, uint64_t open_id, uint64_t floor, kvi_actor *actor)
{
    for (uint32_t i = c->count; i > 0; i--) {
        const kvi_actor *a = &c->entries[i - 1].actor;

        if (a->open_id == open_id) {
            *actor = *a;
            return a->birth >= floor;
        }
    }
    return false;
}

static uint64_t greatest(const kvi_clock *seen, const kvi_clock *context, const kvi_actor *actor)
{
    uint64_t counter = kvi_clock_get(seen, actor);

    return context ? kvi_max_u64(counter, kvi_clock_get(context, actor)) : counter;
}

kvi_dot kvi_object_mint_from(const kvi_object *o, const kvi_clock *context, uint64_t open_id,
                             uint64_t birth_floor, uint64_t *next_birth)
{
    kvi_dot dot = {{open_id, 0}, UINT64_MAX};

    KVI_ASSERT(!o->lww || kvi_object_empty(o));
    if (own_actor(&o->seen, open_id, birth_floor, &dot.actor))
        dot.counter = greatest(&o->seen, context, &dot.actor);
    while (dot.counter == UINT64_MAX) { /* none, or one that has counted to the end */
        KVI_ASSERT(*next_birth < UINT64_MAX);
        dot.actor.birth = ++*next_birth;
        dot.counter = greatest(&o->seen, context, &dot.actor);
    }
    dot.counter++;
    return dot;
}

uint64_t kvi_object_stamp(const kvi_object *o, const kvi_clock *context)
{
    uint64_t stamp = 0;

    KVI_ASSERT(o->lww || kvi_object_empty(o));
    for (uint32_t i = 0; i < o->count; i++)
        stamp = kvi_max_u64(stamp, o->siblings[i].dot.counter);
    for (uint32_t i = 0; context && i < context->count; i++)
        stamp = kvi_max_u64(stamp, context->entries[i].counter);
    return stamp;
}

static int put_stamped(kvi_object *o, const kvi_sibling *s)
{
    kvi_sibling fresh = *s; /* s may be o's own */
    int err;

    KVI_ASSERT(o->count == 0 || kvi_object_stamp_cmp(&o->siblings[0].dot, &s->dot) < 0);
    err = kvi_object_reserve(o, 1);
    if (err)
        return err;
    o->siblings[0] = fresh;
    o->count = 1;
    return KV_OK;
}

/* clock, which is empty: what o has seen after the put. */
static int seen_after(const kvi_object *o, const kvi_clock *context, const kvi_dot *dot,
                      kvi_clock *clock)
{
    int err = kvi_clock_copy(clock, &o->seen);

    if (!err && context)
        err = kvi_clock_merge(clock, context);
    return err ? err : kvi_clock_raise(clock, dot);
}

/* Drops the siblings that context covers; s takes its place among the others. There is room. */
static void replace(kvi_object *o, const kvi_clock *context, const kvi_sibling *s)
{
    uint32_t kept = 0, at;

    for (uint32_t i = 0; i < o->count; i++)
        if (!context || !kvi_clock_covers(context, &o->siblings[i].dot))
            o->siblings[kept++] = o->siblings[i];
    for (at = kept; at > 0 && kvi_dot_cmp(&o->siblings[at - 1].dot, &s->dot) > 0; at--)
        o->siblings[at] = o->siblings[at - 1];
    o->siblings[at] = *s;
    o->count = kept + 1;
}

static uint32_t count_covered(const kvi_object *o, const kvi_clock *context)
{
    uint32_t covered = 0;

    for (uint32_t i = 0; context && i < o->count; i++)
        covered += kvi_clock_covers(context, &o->siblings[i].dot);
    return covered;
}

int kvi_object_put(kvi_object *o, const kvi_clock *context, const kvi_sibling *s)
{
    kvi_clock seen;
    int err;

    KVI_ASSERT(s->dot.counter > 0 && s->expires_ms >= 0);
    KVI_ASSERT((s->flags & ~(unsigned)KVI_SIBLING_TOMBSTONE) == 0);
    KVI_ASSERT(s->flags == 0 || (s->value.len == 0 && s->expires_ms == 0));
    if (o->lww)
        return put_stamped(o, s);
    KVI_ASSERT(!kvi_clock_covers(&o->seen, &s->dot));
    KVI_ASSERT(!context || !kvi_clock_covers(context, &s->dot));
    kvi_clock_init(&seen, o->mem);
    err = seen_after(o, context, &s->dot, &seen);
    if (!err)
        err = kvi_object_reserve(o, (size_t)o->count - count_covered(o, context) + 1);
    if (err) {
        kvi_clock_deinit(&seen);
        return err;
    }
    replace(o, context, s);
    kvi_clock_deinit(&o->seen);
    o->seen = seen;
    return KV_OK;
}

int kvi_object_context(const kvi_object *o, kvi_clock *context)
{
    kvi_clock clock;
    int err;

    if (!o->lww || o->count == 0)
        return kvi_clock_copy(context, &o->seen);
    kvi_clock_init(&clock, context->mem);
    err = kvi_clock_raise(&clock, &o->siblings[0].dot);
    if (err)
        return err;
    kvi_clock_deinit(context);
    *context = clock;
    return KV_OK;
}

/* --- reading ---------------------------------------------------------------------------------- */

uint32_t kvi_object_values(const kvi_object *o, int64_t now_ms)
{
    uint32_t values = 0;

    for (uint32_t i = 0; i < o->count; i++)
        values += kvi_sibling_live(&o->siblings[i], now_ms);
    return values;
}

const kvi_sibling *kvi_object_next_value(const kvi_object *o, int64_t now_ms, uint32_t *at)
{
    while (*at < o->count) {
        const kvi_sibling *s = &o->siblings[(*at)++];

        if (kvi_sibling_live(s, now_ms))
            return s;
    }
    return NULL;
}

const kvi_sibling *kvi_object_find(const kvi_object *o, const kvi_dot *dot)
{
    uint32_t lo = 0, hi = o->count;

    while (lo < hi) {
        uint32_t mid = lo + (hi - lo) / 2;
        int c = kvi_dot_cmp(&o->siblings[mid].dot, dot);

        if (c == 0)
            return &o->siblings[mid];
        if (c < 0)
            lo = mid + 1;
        else
            hi = mid;
    }
    return NULL;
}
