/*
 * Requests of a placed store on their way to the coordinator; see placed.h for the contract.
 */
#include "api/check.h"
#include "api/placed.h"
#include "api/result.h"
#include "base/check.h"
#include "base/error.h"

#define NS_PER_MS UINT64_C(1000000)

/* --- a request -------------------------------------------------------------------------------- */

void kvi_api_request_init_empty(kvi_request *q, const kv *db, enum kvi_request_call call,
                                const kv_op *op, const kvi_mem *mem)
{
    static const kv_op all_defaults = KV_OP_INIT;
    uint32_t timeout_ms;

    if (!op)
        op = &all_defaults;
    timeout_ms = op->timeout_ms ? op->timeout_ms : KV_TIMEOUT_DEFAULT_MS;
    memset(q, 0, sizeof *q);
    q->call = call;
    q->space = db->space;
    q->flags = op->flags;
    q->r = op->r;
    q->w = op->w;
    q->durability = op->durability;
    q->timeout_ns = timeout_ms * NS_PER_MS;
    q->ttl_ms = op->ttl_ms;
    q->context = op->context;
    kvi_buf_init(&q->object, mem);
    kvi_buf_init(&q->sealed, mem);
    kvi_buf_init(&q->entries, mem);
    kvi_buf_init(&q->resume, mem);
    kvi_list_init(&q->link);
}

void kvi_api_request_init(kvi_request *q, const kv *db, const kvi_api_ask *ask,
                          const kv_result *result)
{
    static const enum kvi_request_call calls[] = {
        [KV_REQUEST_GET] = KVI_REQUEST_GET,
        [KV_REQUEST_PUT] = KVI_REQUEST_PUT,
        [KV_REQUEST_DELETE] = KVI_REQUEST_DELETE,
    };
    /* By the result's allocator, which takes the answer over. */
    const kvi_mem *mem = result ? &result->held->mem : db->store->env.mem;

    kvi_api_request_init_empty(q, db, calls[ask->call], ask->op, mem);
    q->key = ask->key;
    q->value = ask->value;
}

void kvi_api_request_deinit(kvi_request *q)
{
    kvi_buf_deinit(&q->object);
    kvi_buf_deinit(&q->sealed);
    kvi_buf_deinit(&q->entries);
    kvi_buf_deinit(&q->resume);
}

/* --- one that is waited for ------------------------------------------------------------------- */

typedef struct waited {
    kvi_api_turn turn;
    kvi_request *request;
} waited;

static void waited_done(kvi_request *q)
{
    waited *w = q->user;

    kvi_api_turn_end(&w->turn);
}

static void waited_begin(kvi_post *post, kvi_node *n)
{
    kvi_api_turn *turn = KVI_CONTAINER_OF(post, kvi_api_turn, post);

    kvi_coordinator_begin(kvi_node_coordinator(n), KVI_CONTAINER_OF(turn, waited, turn)->request);
}

void kvi_api_request_run(kvi_api_store *s, kvi_request *q)
{
    waited w;

    w.request = q;
    q->done = waited_done;
    q->user = &w;
    kvi_api_turn_take(s, &w.turn, waited_begin);
}

static int run_into(kv *db, const kvi_api_ask *ask, kv_result *result)
{
    kvi_request q;
    int err = kvi_api_result_prepare(result, db->store);

    if (err) {
        kvi_api_result_clear(result);
        return err;
    }
    kvi_api_request_init(&q, db, ask, result);
    kvi_api_request_run(db->store, &q);
    err = kvi_api_answer(db, ask, &q, result);
    kvi_api_request_deinit(&q);
    return err;
}

int kvi_api_placed_run(kv *db, const kvi_api_ask *ask, kv_result *result)
{
    kv_result own = KV_RESULT_INIT;
    int err;

    if (result)
        return run_into(db, ask, result);
    err = run_into(db, ask, &own); /* what the code is may take all that a result does */
    kv_result_free(&own);
    return err;
}

/* --- one that was submitted ------------------------------------------------------------------- */

static void submitted_done(kvi_request *q)
{
    kvi_api_call_end(q->user);
}

static void submitted_begin(kvi_post *post, kvi_node *n)
{
    kvi_api_call *call = KVI_CONTAINER_OF(post, kvi_api_call, placed.begin);

    call->placed.begun = true;
    if (!call->placed.canceled) {
        kvi_coordinator_begin(kvi_node_coordinator(n), &call->placed.request);
        return;
    }
    call->placed.request.err = KV_ECANCELED;
    kvi_api_call_end(call);
}

void kvi_api_placed_begin(kvi_api_call *call)
{
    call->placed.request.done = submitted_done;
    call->placed.request.user = call;
    kvi_list_init(&call->placed.begin.link);
    call->placed.begin.run = submitted_begin;
    kvi_node_post(call->space.store->node, &call->placed.begin);
}

/* Only the owner ends a call, so one that has not ended stays while this runs. */
static void cancel_arrived(kvi_post *post, kvi_node *n)
{
    kvi_api_call *call = KVI_CONTAINER_OF(post, kvi_api_call, placed.cancel);
    kvi_api_calls *c = &call->space.store->calls;
    bool orphan, ended;

    kvi_os_mutex_lock(&c->lock);
    call->cancel_posted = false;
    orphan = call->orphan;
    ended = call->state == KVI_API_CALL_ENDED;
    kvi_os_mutex_unlock(&c->lock);
    if (orphan)
        kvi_api_call_free(call);
    else if (!ended && call->placed.begun)
        kvi_coordinator_cancel(kvi_node_coordinator(n), &call->placed.request);
    else if (!ended)
        call->placed.canceled = true;
}

void kvi_api_placed_cancel(kvi_api_call *call)
{
    kvi_list_init(&call->placed.cancel.link);
    call->placed.cancel.run = cancel_arrived;
    kvi_node_post(call->space.store->node, &call->placed.cancel);
}
