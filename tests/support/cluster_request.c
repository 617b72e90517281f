/* See cluster.h: requests, and what has come of them in the stores. */
#include "support/cluster.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <string.h>

#include "replication/key.h"
#include "vclock/context.h"

/* --- requests --------------------------------------------------------------------------------- */

static void cl_done(kvi_request *r)
{
    cl_request *q = r->user;

    q->dones++;
    q->lost = q->lost || q->cluster->nodes[q->node].dying;
    if (!q->lost && q->check)
        q->check(q);
}

void cl_request_init(kvt_cluster *cl, cl_request *q, enum kvi_request_call call, const char *key,
                     const char *value)
{
    memset(q, 0, sizeof *q);
    q->cluster = cl;
    snprintf(q->key, sizeof q->key, "%s", key);
    snprintf(q->value, sizeof q->value, "%s", value ? value : "");
    q->r.call = call;
    q->r.space = KVI_RING_SPACE_DEFAULT;
    q->r.timeout_ns = UINT64_C(3000000000);
    q->r.key = kvi_slice_of(q->key, strlen(q->key));
    q->r.value = kvi_slice_of(q->value, strlen(q->value));
    kvi_buf_init(&q->r.object, &cl->nodes[0].fx.mem);
    kvi_buf_init(&q->r.sealed, &cl->nodes[0].fx.mem);
    kvi_buf_init(&q->r.entries, &cl->nodes[0].fx.mem);
    kvi_buf_init(&q->r.resume, &cl->nodes[0].fx.mem);
    kvi_buf_init(&q->context, &cl->nodes[0].fx.mem);
    q->r.done = cl_done;
    q->r.user = q;
}

void cl_request_deinit(cl_request *q)
{
    kvi_buf_deinit(&q->r.object);
    kvi_buf_deinit(&q->r.sealed);
    kvi_buf_deinit(&q->r.entries);
    kvi_buf_deinit(&q->r.resume);
    kvi_buf_deinit(&q->context);
}

void kvt_cluster_begin(kvt_cluster *cl, unsigned node, cl_request *q)
{
    q->node = node;
    q->dones = 0;
    kvi_coordinator_begin(cl->nodes[node].c, &q->r);
    cl_post(cl, node);
}

int kvt_cluster_call(kvt_cluster *cl, unsigned node, cl_request *q)
{
    kvt_cluster_begin(cl, node, q);
    for (size_t i = 0; q->dones == 0; i++)
        cr_assert(kvt_cluster_step(cl) && i < 1000000, "the request never ends");
    return q->r.err;
}

void cl_empty_context(kvt_cluster *cl, cl_request *q)
{
    kvi_buf physical;
    kvi_clock none;

    kvi_buf_init(&physical, &cl->nodes[0].fx.mem);
    kvi_clock_init(&none, &cl->nodes[0].fx.mem);
    KVI_ASSERT(kvi_key_data(&physical, q->r.space, kvi_ring_token(cl->ring, q->r.key), q->r.key) ==
               KV_OK);
    kvi_buf_clear(&q->context);
    KVI_ASSERT(kvi_context_seal(&none, kvi_ring_secret(cl->ring), kvi_buf_slice(&physical),
                                &q->context) == KV_OK);
    q->r.context = kvi_buf_slice(&q->context);
    kvi_buf_deinit(&physical);
}

/* --- looking into stores ---------------------------------------------------------------------- */

bool cl_object(kvt_cluster *cl, unsigned node, uint32_t space, kvi_slice key, kvi_object *o)
{
    kvi_buf physical;
    kvi_slice value;
    bool found;

    kvi_buf_init(&physical, &cl->nodes[0].fx.mem);
    KVI_ASSERT(kvi_key_data(&physical, space, kvi_ring_token(cl->ring, key), key) == KV_OK);
    found = kvt_effects_get(&cl->nodes[node].fx, kvi_buf_slice(&physical), &value);
    kvi_buf_deinit(&physical);
    if (found)
        KVI_ASSERT(kvi_object_decode(o, value) == KV_OK);
    return found;
}

unsigned cl_copies(const kvi_object *o, const char *value)
{
    unsigned n = 0;

    for (uint32_t i = 0; i < o->count; i++)
        n += kvi_slice_eq(o->siblings[i].value, kvi_slice_of(value, strlen(value)));
    return n;
}

unsigned cl_holders(kvt_cluster *cl, uint32_t space, kvi_slice key, const char *value)
{
    unsigned holders = 0;

    for (unsigned i = 0; i < cl->count; i++) {
        kvi_object o;

        kvi_object_init(&o, &cl->nodes[0].fx.mem);
        if (cl_object(cl, i, space, key, &o))
            holders += cl_copies(&o, value) > 0;
        kvi_object_deinit(&o);
    }
    return holders;
}

unsigned cl_walk(const kvt_cluster *cl, const char *key, unsigned n, unsigned *nodes)
{
    uint64_t ids[KVI_RING_LIST_MAX];
    kvi_slice k = kvi_slice_of(key, strlen(key));
    unsigned count =
        kvi_ring_walk(cl->ring, kvi_ring_partition(cl->ring, kvi_ring_token(cl->ring, k)), n, ids,
                      KVI_RING_LIST_MAX);

    for (unsigned i = 0; i < count; i++)
        nodes[i] = (unsigned)ids[i] - 1;
    return count;
}
