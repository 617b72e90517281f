/*
 * Random schedules: clients at all nodes, a network that loses, doubles and reorders, nodes that
 * are cut off and crash, allocations that fail. What was promised is looked up in the stores.
 *
 * SEED=n runs one schedule again; SCHEDULES=n how many there are.
 */
#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "replication/key.h"
#include "support/cluster.h"
#include "support/failmem.h"
#include "vclock/context.h"

#define WRITES    48u
#define SCHEDULES 150u

/* What a key is for. Concurrent writes pile up at PILE keys, where nothing replaces anything; at
 * CHAIN keys each write replaces what an earlier write made; STAMPED ones are last-write-wins. */
enum kind { PILE, CHAIN, STAMPED };

typedef struct attempt {
    cl_request q;
    enum kind kind;
    bool used;
} attempt;

typedef struct world {
    kvt_cluster *cl;
    uint64_t seed;
    attempt writes[WRITES];
    unsigned count;
    kvt_failmem fm;
    bool fails;
} world;

#define MUST(x, ...) cr_assert(x, "SEED=%llu: " __VA_ARGS__)
#define SEED(w)      (unsigned long long)(w)->seed

static kvi_clock clock_of(world *w, const cl_request *q, kvi_slice sealed)
{
    kvi_buf physical;
    kvi_clock seen;

    kvi_buf_init(&physical, &w->cl->nodes[0].fx.mem);
    kvi_clock_init(&seen, &w->cl->nodes[0].fx.mem);
    KVI_ASSERT(kvi_key_data(&physical, q->r.space, kvi_ring_token(w->cl->ring, q->r.key),
                            q->r.key) == KV_OK);
    KVI_ASSERT(kvi_context_open(sealed, kvi_ring_secret(w->cl->ring), kvi_buf_slice(&physical),
                                &seen) == KV_OK);
    kvi_buf_deinit(&physical);
    return seen;
}

/* Whether o is as new as what was made. */
static bool holds(const kvi_object *o, const kvi_clock *made)
{
    if (!o->lww) {
        enum kvi_clock_order order = kvi_clock_compare(&o->seen, made);

        return order == KVI_CLOCK_EQUAL || order == KVI_CLOCK_AFTER;
    }
    return o->count == 1 && made->count == 1 &&
           o->siblings[0].dot.counter >= made->entries[0].counter;
}

/* An acknowledgement is true when it is given. */
static void check_acks(cl_request *q)
{
    world *w = q->user;
    unsigned holders = 0;
    kvi_clock made;

    if (q->r.err && q->r.err != KV_EUNCERTAIN) {
        MUST(q->r.acks == 0, "%s: refused with %d and held by %u", SEED(w), q->value, q->r.err,
             q->r.acks);
        return;
    }
    if (q->r.err == KV_OK && q->r.call == KVI_REQUEST_PUT) /* a delete may find nothing to do */
        MUST(q->r.acks >= (q->r.w ? q->r.w : 2), "%s: acknowledged by %u", SEED(w), q->value,
             q->r.acks);
    MUST(q->r.acks == q->r.primaries + q->r.fallbacks && q->r.acks <= 3, "%s: counts", SEED(w),
         q->value);
    if (q->r.acks == 0 || (q->r.err && q->r.sealed.len == 0))
        return;
    made = clock_of(w, q, kvi_buf_slice(&q->r.sealed));
    for (unsigned i = 0; i < w->cl->count; i++) {
        kvi_object o;

        kvi_object_init(&o, &w->cl->nodes[0].fx.mem);
        holders += cl_object(w->cl, i, q->r.space, q->r.key, &o) && holds(&o, &made);
        kvi_object_deinit(&o);
    }
    if (made.count == 0) /* there was nothing to delete */
        holders = q->r.acks;
    kvi_clock_deinit(&made);
    MUST(holders >= q->r.acks, "%s: %u are said to hold it, %u do", SEED(w), q->value, q->r.acks,
         holders);
}

static void begin_write(world *w)
{
    static const char *const keys[] = {"pile0", "pile1", "chain0", "chain1", "stamped0"};
    kvt_cluster *cl = w->cl;
    unsigned node = (unsigned)kvt_rng_below(&cl->rng, cl->count);
    unsigned k = (unsigned)kvt_rng_below(&cl->rng, 5);
    attempt *wr = &w->writes[w->count];
    char value[32];

    if (!cl->nodes[node].up)
        return;
    snprintf(value, sizeof value, "<%u>", w->count);
    cl_request_init(cl, &wr->q, KVI_REQUEST_PUT, keys[k], value);
    wr->kind = k < 2 ? PILE : k < 4 ? CHAIN : STAMPED;
    wr->q.user = w;
    wr->q.check = check_acks;
    wr->q.r.timeout_ns = 500000000 + kvt_rng_below(&cl->rng, UINT64_C(4000000000));
    wr->q.r.w = (uint8_t)kvt_rng_below(&cl->rng, 4);
    if (kvt_rng_below(&cl->rng, 8) == 0)
        wr->q.r.flags |= KV_PRIMARIES_ONLY;
    if (wr->kind == STAMPED)
        wr->q.r.space = CL_LWW;
    if (wr->kind == PILE)
        cl_empty_context(cl, &wr->q);
    if (wr->kind == CHAIN) { /* the context of the last of this key that has one */
        for (unsigned i = w->count; i-- > 0;) {
            attempt *before = &w->writes[i];

            if (before->kind != CHAIN || strcmp(before->q.key, wr->q.key) != 0 ||
                before->q.dones == 0 || before->q.r.err || before->q.r.sealed.len == 0)
                continue;
            cr_assert_eq(
                kvi_buf_set(&wr->q.context, before->q.r.sealed.data, before->q.r.sealed.len),
                KV_OK);
            wr->q.r.context = kvi_buf_slice(&wr->q.context);
            break;
        }
        if (kvt_rng_below(&cl->rng, 4) == 0)
            wr->q.r.call = KVI_REQUEST_DELETE;
    }
    wr->used = true;
    w->count++;
    kvt_cluster_begin(cl, node, &wr->q);
}

static void trouble(world *w)
{
    kvt_cluster *cl = w->cl;
    unsigned a = (unsigned)kvt_rng_below(&cl->rng, cl->count);
    unsigned b = (unsigned)kvt_rng_below(&cl->rng, cl->count);

    switch (kvt_rng_below(&cl->rng, 8)) {
    case 0:
        cl->cut[a][b] = a != b;
        break;
    case 1:
        cl_isolate(cl, a, kvt_rng_below(&cl->rng, 2));
        break;
    case 2:
        if (cl->nodes[a].up && kvt_rng_below(&cl->rng, 2))
            kvt_cluster_crash(cl, a);
        break;
    case 3:
        (void)kvt_failmem_disarm(&w->fm);
        if (!cl->nodes[a].up)
            kvt_cluster_reopen(cl, a);
        break;
    case 4:
        cl_know(&cl->nodes[a], b, a == b || kvt_rng_below(&cl->rng, 2), cl->nodes[a].knows_open[b]);
        break;
    case 5:
        if (w->fails)
            kvt_failmem_arm(&w->fm, kvt_rng_below(&cl->rng, 60), false);
        break;
    case 6:
        if (w->count > 0) {
            cl_request *q = &w->writes[kvt_rng_below(&cl->rng, w->count)].q;

            if (q->dones == 0 && kvt_rng_below(&cl->rng, 4) == 0)
                kvi_coordinator_cancel(cl->nodes[q->node].c, &q->r);
        }
        break;
    default:
        kvt_cluster_notice(cl, a);
        break;
    }
    for (unsigned i = 0; i < cl->count; i++)
        cl_post(cl, i);
}

static void heal(world *w)
{
    kvt_cluster *cl = w->cl;

    (void)kvt_failmem_disarm(&w->fm);
    cl->loss_ppm = 0;
    memset(cl->cut, 0, sizeof cl->cut);
    for (unsigned i = 0; i < cl->count; i++)
        if (!cl->nodes[i].up)
            kvt_cluster_reopen(cl, i);
    for (unsigned i = 0; i < cl->count; i++)
        kvt_cluster_notice(cl, i);
    kvt_cluster_run_ns(cl, UINT64_C(120000000000));
}

/* All that any node has of a key, in one object that borrows from the stores. */
static void merge_all(world *w, const cl_request *q, kvi_object *all)
{
    for (unsigned i = 0; i < w->cl->count; i++) {
        kvi_object o;
        unsigned merged;

        kvi_object_init(&o, &w->cl->nodes[0].fx.mem);
        if (cl_object(w->cl, i, q->r.space, q->r.key, &o))
            MUST(kvi_object_merge(all, &o, &merged) == KV_OK, "a dot has two contents: %s", SEED(w),
                 kvi_error_detail());
        kvi_object_deinit(&o);
    }
}

static void check_end(world *w, attempt *wr)
{
    kvi_object all;
    kvi_clock made;
    cl_request *q = &wr->q;
    unsigned copies;

    MUST(q->dones == 1, "%s: done %u times", SEED(w), q->value, q->dones);
    kvi_object_init(&all, &w->cl->nodes[0].fx.mem);
    merge_all(w, q, &all);
    copies = q->r.call == KVI_REQUEST_PUT ? cl_copies(&all, q->value) : 0;
    MUST(copies <= 1, "%s: executed %u times", SEED(w), q->value, copies);
    if (!q->lost && q->r.err && q->r.err != KV_EUNCERTAIN)
        MUST(copies == 0, "%s: refused with %d, and there", SEED(w), q->value, q->r.err);
    if (!q->lost && q->r.err == KV_OK && q->r.acks > 0 && q->r.sealed.len > 0) {
        made = clock_of(w, q, kvi_buf_slice(&q->r.sealed));
        if (all.count > 0 || q->r.call == KVI_REQUEST_PUT)
            MUST(holds(&all, &made), "%s: acknowledged and lost", SEED(w), q->value);
        if (wr->kind == PILE)
            MUST(copies == 1, "%s: acknowledged and lost", SEED(w), q->value);
        kvi_clock_deinit(&made);
    }
    /* What an acknowledged write had seen is gone for good. */
    if (!q->lost && q->r.err == KV_OK && wr->kind == CHAIN && q->context.len > 0) {
        made = clock_of(w, q, kvi_buf_slice(&q->context));
        for (uint32_t i = 0; i < all.count; i++)
            MUST(!kvi_clock_covers(&made, &all.siblings[i].dot), "%s: what it replaced is back",
                 SEED(w), q->value);
        kvi_clock_deinit(&made);
    }
    kvi_object_deinit(&all);
}

static void schedule(uint64_t seed)
{
    world *w = calloc(1, sizeof *w);
    kvi_mem mem;
    kvt_cluster *cl;

    w->seed = seed;
    kvt_failmem_init(&w->fm, &mem);
    cl = w->cl = kvt_cluster_new(seed, 3 + seed % 3, 3, &mem);
    cl->loss_ppm = (unsigned)kvt_rng_below(&cl->rng, 4) * 60000;
    cl->double_ppm = (unsigned)kvt_rng_below(&cl->rng, 4) * 150000;
    cl->delay_max_ns = 1000 + kvt_rng_below(&cl->rng, 20000000);
    w->fails = seed % 4 == 0;
    for (unsigned i = 0; i < 4000 && w->count < WRITES; i++) {
        if (kvt_rng_below(&cl->rng, 12) == 0)
            begin_write(w);
        if (kvt_rng_below(&cl->rng, 40) == 0)
            trouble(w);
        (void)cl_step(cl, cl->now_ns + 20000000);
    }
    heal(w);
    for (unsigned i = 0; i < w->count; i++)
        check_end(w, &w->writes[i]);
    for (unsigned i = 0; i < cl->count; i++) {
        MUST(kvi_coordinator_idle(cl->nodes[i].c), "node %u is not idle", SEED(w), i);
        MUST(kvi_replication_hints(cl->nodes[i].r, 0) == 0, "node %u has hints", SEED(w), i);
    }
    for (unsigned i = 0; i < w->count; i++) {
        cl_request_deinit(&w->writes[i].q);
    }
    kvt_cluster_free(cl);
    MUST(kvt_failmem_live(&w->fm) == 0, "memory leaked", SEED(w));
    free(w);
}

Test(coordinator_schedule, promises_are_kept)
{
    uint64_t one = kvt_env_u64("SEED", 0), count = kvt_env_u64("SCHEDULES", SCHEDULES);

    if (one) {
        schedule(one);
        return;
    }
    for (uint64_t seed = 1; seed <= count; seed++)
        schedule(seed);
}
