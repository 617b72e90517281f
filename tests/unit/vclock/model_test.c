/*
 * Objects against causality spelled out. The model has no clocks: of each write the set of writes
 * that it had seen, of each replica the set of writes that it knows. A write is a sibling where it
 * is known and nothing that is known had seen it. Random histories of puts and deletes with fresh,
 * stale, foreign and no contexts, of merges, of objects that are dropped and come back, of nodes
 * that are restored from an old disk; after each step the object must be what the model says, and
 * merging must be commutative, associative and idempotent.
 *
 * MERGES of them in all, or what OPS says; SEED takes another course.
 */
#include <criterion/criterion.h>

#include <inttypes.h>
#include <stdlib.h>

#include "base/error.h"
#include "sim/scale.h"
#include "support/rng.h"
#include "vclock/object.h"

#define MERGES KVT_SCALED(1000000)

/* Valgrind makes every step so many times as slow. */
#define WRAPPED_MERGES 20000

enum { REPLICAS_MIN = 3, REPLICAS_MAX = 5, EVENTS_MAX = 64, CONTEXTS = 3, STEPS_MAX = 160 };

typedef uint64_t set; /* of events, by their number */

typedef struct event {
    kvi_dot dot;
    bool tombstone;
    set past; /* what the writer had seen */
} event;

typedef struct replica {
    kvi_object o;
    kvi_buf bytes[2]; /* o borrows from bytes[at] */
    unsigned at;
    uint64_t open_id, births, floor;
    set known;
    kvi_buf disk; /* an old state */
    set on_disk;
} replica;

typedef struct history {
    kvt_rng rng;
    uint64_t seed;
    replica r[REPLICAS_MAX];
    unsigned count;
    event events[EVENTS_MAX];
    unsigned event_count;
    uint64_t next_open_id;
    kvi_clock contexts[CONTEXTS];
    set context_sets[CONTEXTS];
    kvi_buf left, right;
    uint64_t merges;
} history;

static kvi_mem mem;
static uint8_t values[EVENTS_MAX];

/* Criterion reports every assertion that holds, too: a million of them take long. */
#define MUST(cond)                                                                             \
    do {                                                                                       \
        if (!(cond))                                                                           \
            cr_assert(false, "SEED=%" PRIu64 ": %s (%s)", h->seed, #cond, kvi_error_detail()); \
    } while (0)

/* --- the model -------------------------------------------------------------------------------- */

static bool in(set s, unsigned e)
{
    return s >> e & 1;
}

static set siblings_of(const history *h, set known)
{
    set siblings = 0;

    for (unsigned e = 0; e < h->event_count; e++) {
        bool replaced = false;

        for (unsigned f = 0; f < h->event_count; f++)
            replaced = replaced || (in(known, f) && in(h->events[f].past, e));
        if (in(known, e) && !replaced)
            siblings |= UINT64_C(1) << e;
    }
    return siblings;
}

static unsigned event_of(const history *h, const kvi_dot *dot)
{
    unsigned e = 0;

    while (e < h->event_count && !kvi_dot_eq(&h->events[e].dot, dot))
        e++;
    return e;
}

/* o is what a replica that knows these events must have. */
static void check(const history *h, const kvi_object *o, set known)
{
    set wanted = siblings_of(h, known), got = 0;

    for (uint32_t i = 0; i < o->count; i++) {
        const kvi_sibling *s = &o->siblings[i];
        unsigned e = event_of(h, &s->dot);

        MUST(e < h->event_count);
        MUST((s->flags == KVI_SIBLING_TOMBSTONE) == h->events[e].tombstone);
        MUST(s->value.len == !h->events[e].tombstone);
        MUST(s->value.len == 0 || *kvi_slice_bytes(s->value) == e);
        MUST(i == 0 || kvi_dot_cmp(&s[-1].dot, &s->dot) < 0);
        got |= UINT64_C(1) << e;
    }
    MUST(got == wanted);
    for (unsigned e = 0; e < h->event_count; e++)
        MUST(kvi_clock_covers(&o->seen, &h->events[e].dot) == in(known, e));
}

/* --- what happens ----------------------------------------------------------------------------- */

static uint64_t below(history *h, uint64_t n)
{
    return kvt_rng_below(&h->rng, n);
}

/* The object goes to the disk and comes back, as it does between any two writes. */
static void store(history *h, replica *r)
{
    kvi_buf *fresh = &r->bytes[r->at ^ 1];

    kvi_buf_clear(fresh);
    MUST(kvi_object_encode(&r->o, fresh) == KV_OK);
    MUST(fresh->len == kvi_object_bytes(&r->o));
    MUST(kvi_object_decode(&r->o, kvi_buf_slice(fresh)) == KV_OK);
    r->at ^= 1;
    check(h, &r->o, r->known);
}

static void put(history *h, replica *r, const kvi_clock *context, set past)
{
    unsigned e = h->event_count;
    kvi_sibling s = {.flags = 0, .expires_ms = 0, .written_ms = (int64_t)below(h, 1000) - 500};

    if (e == EVENTS_MAX)
        return;
    if (below(h, 4) == 0)
        s.flags = KVI_SIBLING_TOMBSTONE;
    else
        s.value = kvi_slice_of(&values[e], 1);
    s.dot = kvi_object_mint_from(&r->o, context, r->open_id, r->floor, &r->births);
    MUST(event_of(h, &s.dot) == e); /* no dot is minted twice */
    h->events[e] = (event){s.dot, s.flags == KVI_SIBLING_TOMBSTONE, past};
    h->event_count++;
    MUST(kvi_object_put(&r->o, context, &s) == KV_OK);
    r->known |= past | UINT64_C(1) << e;
    store(h, r);
}

/* With what the client had seen: nothing, what is here, what another replica has, or something
 * old. */
static void put_any(history *h, replica *r)
{
    const replica *other = &h->r[below(h, h->count)];
    unsigned old = (unsigned)below(h, CONTEXTS);

    switch (below(h, 5)) {
    case 0:
        put(h, r, NULL, 0);
        break;
    case 1:
    case 2:
        put(h, r, &r->o.seen, r->known);
        break;
    case 3:
        put(h, r, &other->o.seen, other->known);
        break;
    default:
        put(h, r, &h->contexts[old], h->context_sets[old]);
        break;
    }
}

static void merge(history *h, replica *r, const replica *from)
{
    unsigned merged = ~0u;

    MUST(kvi_object_merge(&r->o, &from->o, &merged) == KV_OK);
    MUST(!!(merged & KVI_MERGE_GAINED) == ((from->known & ~r->known) != 0));
    MUST(!!(merged & KVI_MERGE_AHEAD) == ((r->known & ~from->known) != 0));
    h->merges++;
    r->known |= from->known;
    store(h, r);
}

/* As a fallback that has handed its object over. */
static void drop(replica *r)
{
    kvi_object_clear(&r->o);
    r->known = 0;
    r->floor = r->births + 1;
}

static void restore(history *h, replica *r)
{
    kvi_object_clear(&r->o);
    if (r->disk.len > 0) {
        kvi_buf *bytes = &r->bytes[r->at];

        MUST(kvi_buf_set(bytes, r->disk.data, r->disk.len) == KV_OK);
        MUST(kvi_object_decode(&r->o, kvi_buf_slice(bytes)) == KV_OK);
    }
    r->known = r->on_disk;
    r->open_id = h->next_open_id;
    h->next_open_id = h->next_open_id * UINT64_C(6364136223846793005) + 1;
    r->births = r->floor = 0;
}

static void keep(history *h, replica *r)
{
    unsigned c = (unsigned)below(h, CONTEXTS);

    if (below(h, 2)) {
        kvi_buf_clear(&r->disk);
        MUST(kvi_object_encode(&r->o, &r->disk) == KV_OK);
        r->on_disk = r->known;
    } else {
        MUST(kvi_object_context(&r->o, &h->contexts[c]) == KV_OK);
        h->context_sets[c] = r->known;
    }
}

/* --- the laws --------------------------------------------------------------------------------- */

/* out, which is empty, becomes a, then b, then c (NULL: none) merged. */
static void merged(history *h, kvi_object *out, const kvi_object *a, const kvi_object *b,
                   const kvi_object *c)
{
    unsigned bits;

    MUST(kvi_object_merge(out, a, &bits) == KV_OK);
    MUST(kvi_object_merge(out, b, &bits) == KV_OK);
    MUST(!c || kvi_object_merge(out, c, &bits) == KV_OK);
    h->merges += c ? 3 : 2;
}

static void same(history *h, const kvi_object *a, const kvi_object *b)
{
    kvi_buf_clear(&h->left);
    kvi_buf_clear(&h->right);
    MUST(kvi_object_encode(a, &h->left) == KV_OK);
    MUST(kvi_object_encode(b, &h->right) == KV_OK);
    MUST(kvi_slice_eq(kvi_buf_slice(&h->left), kvi_buf_slice(&h->right)));
    MUST(kvi_object_digest(kvi_buf_slice(&h->left)) == kvi_object_digest(kvi_buf_slice(&h->right)));
}

static void check_laws(history *h)
{
    const replica *x = &h->r[below(h, h->count)], *y = &h->r[below(h, h->count)];
    const replica *z = &h->r[below(h, h->count)];
    kvi_object o[5];
    unsigned bits = ~0u;

    for (unsigned i = 0; i < 5; i++)
        kvi_object_init(&o[i], &mem);
    merged(h, &o[0], &x->o, &y->o, NULL);
    merged(h, &o[1], &y->o, &x->o, NULL);
    same(h, &o[0], &o[1]); /* commutative */
    merged(h, &o[2], &o[0], &z->o, NULL);
    merged(h, &o[3], &y->o, &z->o, NULL);
    merged(h, &o[4], &x->o, &o[3], NULL);
    same(h, &o[2], &o[4]); /* associative */
    check(h, &o[2], x->known | y->known | z->known);
    MUST(kvi_object_merge(&o[2], &y->o, &bits) == KV_OK);
    MUST(!(bits & KVI_MERGE_GAINED)); /* idempotent, whatever came between */
    MUST(kvi_object_merge(&o[2], &o[4], &bits) == KV_OK && bits == 0);
    same(h, &o[2], &o[4]);
    h->merges += 2;
    for (unsigned i = 0; i < 5; i++)
        kvi_object_deinit(&o[i]);
}

/* --- histories -------------------------------------------------------------------------------- */

static void begin(history *h, uint64_t seed)
{
    kvt_rng_init(&h->rng, seed);
    h->seed = seed;
    h->count = REPLICAS_MIN + (unsigned)below(h, REPLICAS_MAX - REPLICAS_MIN + 1);
    h->event_count = 0;
    h->next_open_id = kvt_rng_next(&h->rng);
    for (unsigned i = 0; i < h->count; i++) {
        h->r[i].on_disk = 0;
        kvi_buf_clear(&h->r[i].disk);
        restore(h, &h->r[i]);
    }
    for (unsigned i = 0; i < CONTEXTS; i++) {
        kvi_clock_clear(&h->contexts[i]);
        h->context_sets[i] = 0;
    }
}

static void step(history *h)
{
    replica *r = &h->r[below(h, h->count)];
    uint64_t what = below(h, 100);

    if (what < 35)
        put_any(h, r);
    else if (what < 75)
        merge(h, r, &h->r[below(h, h->count)]);
    else if (what < 85)
        check_laws(h);
    else if (what < 95)
        keep(h, r);
    else if (what < 98)
        drop(r);
    else
        restore(h, r);
}

static void set_up(history *h)
{
    kvi_mem_init(&mem, NULL);
    for (unsigned i = 0; i < EVENTS_MAX; i++)
        values[i] = (uint8_t)i;
    for (unsigned i = 0; i < REPLICAS_MAX; i++) {
        kvi_object_init(&h->r[i].o, &mem);
        kvi_buf_init(&h->r[i].bytes[0], &mem);
        kvi_buf_init(&h->r[i].bytes[1], &mem);
        kvi_buf_init(&h->r[i].disk, &mem);
        h->r[i].at = 0;
    }
    for (unsigned i = 0; i < CONTEXTS; i++)
        kvi_clock_init(&h->contexts[i], &mem);
    kvi_buf_init(&h->left, &mem);
    kvi_buf_init(&h->right, &mem);
    h->merges = 0;
}

static void tear_down(history *h)
{
    for (unsigned i = 0; i < REPLICAS_MAX; i++) {
        kvi_object_deinit(&h->r[i].o);
        kvi_buf_deinit(&h->r[i].bytes[0]);
        kvi_buf_deinit(&h->r[i].bytes[1]);
        kvi_buf_deinit(&h->r[i].disk);
    }
    for (unsigned i = 0; i < CONTEXTS; i++)
        kvi_clock_deinit(&h->contexts[i]);
    kvi_buf_deinit(&h->left);
    kvi_buf_deinit(&h->right);
}

Test(vclock_model, histories)
{
    uint64_t wanted = kvt_env_u64("OPS", getenv("KVT_WRAPPER") ? WRAPPED_MERGES : MERGES);
    uint64_t seed = kvt_env_u64("SEED", 1);
    static history h;

    set_up(&h);
    for (; h.merges < wanted; seed++) {
        begin(&h, seed);
        for (uint64_t steps = 1 + below(&h, STEPS_MAX); steps > 0; steps--)
            step(&h);
        for (unsigned i = 1; i < h.count; i++) /* heal: all become one */
            merge(&h, &h.r[0], &h.r[i]);
        for (unsigned i = 1; i < h.count; i++) {
            merge(&h, &h.r[i], &h.r[0]);
            same(&h, &h.r[i].o, &h.r[0].o);
        }
    }
    tear_down(&h);
}
