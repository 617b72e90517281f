/*
 * A client's get: a read whose result is the request's. See read.h for how it reads, request.h for
 * what is answered.
 */
#include "base/error.h"
#include "coordinator/impl.h"

typedef struct get {
    kvi_coordinator *c;
    kvi_request *request;
} get;

static void told(void *user, const kvi_read_result *result)
{
    get g = *(get *)user;
    int err = result->err;

    kvi_mem_free(g.c->mem, user);
    if (!err && !kvi_object_empty(result->merged))
        err = kvi_object_encode(result->merged, &g.request->object);
    if (!err)
        err = kvi_seal_object(g.c, g.request->space, g.request->key, result->merged,
                              &g.request->sealed);
    if (err)
        kvi_buf_clear(&g.request->object);
    else if (kvi_object_values(result->merged, g.c->cluster->wall_ms) == 0)
        err = KV_ENOTFOUND;
    if (!result->err) {
        g.request->acks = result->answered;
        g.request->primaries = result->primaries;
        g.request->fallbacks = (uint8_t)(result->answered - result->primaries);
    }
    kvi_request_finish(g.c, g.request, err);
}

int kvi_get_begin(kvi_coordinator *c, kvi_request *request)
{
    kvi_read_ask ask = {0};
    kvi_job *job = NULL;
    get *g = kvi_mem_alloc(c->mem, sizeof *g);
    int err;

    if (!g)
        return kvi_error_set(KV_ENOMEM, "no memory for a get");
    g->c = c;
    g->request = request;
    ask.space = request->space;
    ask.key = request->key;
    ask.r = request->r;
    ask.flags = request->flags;
    ask.deadline_ns = c->cluster->now_ns + kvi_min_u64(request->timeout_ns, KVI_NEVER / 2);
    ask.counted = true;
    ask.told = told;
    ask.user = g;
    err = kvi_reader_begin(c, &ask, &job);
    if (err)
        kvi_mem_free(c->mem, g);
    else
        request->state = job;
    return err;
}
