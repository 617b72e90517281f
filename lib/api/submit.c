/*
 * kv_submit() and kv_cancel(), and the life of a call (call.h).
 */
#include "api/call.h"
#include "api/check.h"
#include "api/placed.h"
#include "api/result.h"
#include "base/check.h"
#include "base/error.h"

/* --- a call's memory ---------------------------------------------------------------------- */

/** Appends bytes to what lies behind a call, and has s name them there. */
static void keep(uint8_t **at, kvi_slice *s)
{
    if (s->len > 0)
        memcpy(*at, s->data, s->len);
    s->data = *at;
    *at += s->len;
}

static void copy_ask(kvi_api_call *call, const kv_request *request)
{
    static const kv_op all_defaults = KV_OP_INIT;
    uint8_t *at = (uint8_t *)(call + 1);

    call->op = request->op ? *request->op : all_defaults;
    call->ask = (kvi_api_ask){request->call, request->key, request->value, &call->op};
    keep(&at, &call->ask.key);
    keep(&at, &call->ask.value);
    keep(&at, &call->op.context);
}

static int call_new(const kv *db, const kv_request *request, kvi_api_call **out)
{
    kvi_api_store *s = db->store;
    size_t context_len = request->op ? request->op->context.len : 0;
    size_t cost = sizeof(kvi_api_call) + request->key.len + request->value.len + context_len;
    kvi_api_call *call = kvi_mem_alloc(s->env.mem, cost);
    int err;

    if (!call)
        return kvi_error_set(KV_ENOMEM, "cannot allocate %zu bytes for a request", cost);
    memset(call, 0, sizeof *call);
    kvi_list_init(&call->link);
    call->space = *db;
    call->cost = cost;
    call->state = KVI_API_CALL_WAITING;
    call->result = (kv_result)KV_RESULT_INIT;
    err = kvi_api_result_prepare(&call->result, s);
    if (err) {
        kvi_mem_free(s->env.mem, call);
        return err;
    }
    call->result.held->submitted = true;
    copy_ask(call, request);
    if (s->placed)
        kvi_api_request_init(&call->placed.request, &call->space, &call->ask, &call->result);
    if (kvi_budget_reserve(&s->budget, KVI_BUDGET_WORK, cost) != KV_OK)
        kvi_budget_charge(&s->budget, KVI_BUDGET_WORK, cost); /* it is bounded by itself */
    *out = call;
    return KV_OK;
}

void kvi_api_call_free(kvi_api_call *call)
{
    kvi_api_store *s = call->space.store;

    if (s->placed)
        kvi_api_request_deinit(&call->placed.request);
    kv_result_free(&call->result);
    kvi_budget_release(&s->budget, KVI_BUDGET_WORK, call->cost);
    kvi_mem_free(s->env.mem, call);
}

/* --- the table of calls ------------------------------------------------------------------- */

void kvi_api_calls_init(kvi_api_store *s)
{
    kvi_api_calls *c = &s->calls;

    kvi_os_mutex_init(&c->lock, KVI_RANK_NODE, s->env.jitter);
    kvi_map_init(&c->by_ticket, s->env.mem);
    kvi_list_init(&c->ended);
    atomic_init(&c->inside, 0);
    kvi_os_wake_open(&c->wake);
    kvi_list_init(&s->runner.waiting);
    kvi_os_wake_open(&s->runner.work);
}

void kvi_api_calls_deinit(kvi_api_store *s)
{
    kvi_api_calls *c = &s->calls;

    KVI_ASSERT(kvi_map_count(&c->by_ticket) == 0 && kvi_list_empty(&c->ended));
    kvi_os_wake_close(&s->runner.work);
    kvi_os_wake_close(&c->wake);
    kvi_map_deinit(&c->by_ticket);
    kvi_os_mutex_deinit(&c->lock);
}

/** Under the lock. */
static int check_room(const kvi_api_store *s, const kvi_api_call *call)
{
    const kvi_api_calls *c = &s->calls;
    size_t most = s->budget.limit / KVI_API_CALLS_SHARE;

    if (c->closing)
        return kvi_error_set(KV_ECANCELED, "the store is being closed");
    if (kvi_map_count(&c->by_ticket) >= KVI_API_CALLS_MAX)
        return kvi_error_set(KV_EBUSY, "%u submitted requests are under way, which is the limit",
                             KVI_API_CALLS_MAX);
    if (call->cost > most || c->bytes > most - call->cost)
        return kvi_error_set(KV_EBUSY,
                             "submitted requests take %zu bytes, and %zu more are over the limit "
                             "of %zu",
                             c->bytes, call->cost, most);
    return KV_OK;
}

static int admit(kvi_api_store *s, kvi_api_call *call)
{
    kvi_api_calls *c = &s->calls;
    int err;

    kvi_os_mutex_lock(&c->lock);
    err = check_room(s, call);
    if (!err) {
        call->ticket = c->last_ticket + 1;
        err = kvi_map_insert(&c->by_ticket, call->ticket, call);
    }
    if (!err) {
        c->last_ticket = call->ticket;
        c->bytes += call->cost;
    }
    kvi_os_mutex_unlock(&c->lock);
    return err;
}

void kvi_api_call_end(kvi_api_call *call)
{
    kvi_api_store *s = call->space.store;

    kvi_os_mutex_lock(&s->calls.lock);
    KVI_ASSERT(call->state != KVI_API_CALL_ENDED);
    call->state = KVI_API_CALL_ENDED;
    kvi_list_push_back(&s->calls.ended, &call->link);
    kvi_os_mutex_unlock(&s->calls.lock);
    if (s->callbacks_in_step && !s->stepped)
        kvi_api_poke(s);
}

/* --- submitting --------------------------------------------------------------------------- */

static int check_request(const kv *db, const kv_request *request)
{
    kvi_api_ask ask;
    int err = kvi_api_check_given(request, "request");

    if (!err)
        err = kvi_api_check_struct("kv_request", request->size, sizeof *request, request->flags, 0);
    if (err)
        return err;
    if (request->call < KV_REQUEST_GET || request->call > KV_REQUEST_DELETE)
        return kvi_error_set(KV_EINVAL, "kv_request.call is %u, which is not defined",
                             request->call);
    ask = (kvi_api_ask){request->call, request->key, request->value, request->op};
    err = kvi_api_check_ask(db, &ask);
    if (!err && !db->store->placed)
        err = kvi_api_ordered_check_context(db, &ask);
    return err;
}

int kv_submit(kv *db, const kv_request *request, kv_done_fn *done, void *user, uint64_t *ticket)
{
    kvi_api_call *call;
    kvi_api_store *s;
    int err = kvi_api_check_handle(db);

    if (!err)
        err = check_request(db, request);
    if (!err)
        err = kvi_api_check_given((const void *)(uintptr_t)done, "done");
    if (err)
        return err;
    s = db->store;
    if (!s->placed)
        err = kvi_api_runner_start(s);
    if (!err)
        err = call_new(db, request, &call);
    if (err)
        return err;
    call->done = done;
    call->user = user;
    err = admit(s, call);
    if (err) {
        kvi_api_call_free(call);
        return err;
    }
    if (ticket)
        *ticket = call->ticket;
    if (s->placed)
        kvi_api_placed_begin(call);
    else
        kvi_api_runner_add(s, call);
    return KV_OK;
}

/* --- canceling ---------------------------------------------------------------------------- */

/** Under the lock: what has to be done about call without it. */
enum cancel { CANCEL_NOTHING, CANCEL_END, CANCEL_POST };

static enum cancel cancel_locked(kvi_api_call *call)
{
    if (call->space.store->placed) {
        if (call->cancel_posted)
            return CANCEL_NOTHING; /* it was canceled before */
        call->cancel_posted = true;
        return CANCEL_POST;
    }
    kvi_list_remove(&call->link);
    call->state = KVI_API_CALL_RUNNING;
    return CANCEL_END;
}

/** One that the runner has begun cannot be given up any more: its end is on the way. */
static bool cancelable(const kvi_api_call *call)
{
    return call && call->state == KVI_API_CALL_WAITING;
}

int kv_cancel(kv *db, uint64_t ticket)
{
    enum cancel what = CANCEL_NOTHING;
    kvi_api_call *call;
    kvi_api_store *s;
    bool found;
    int err = kvi_api_check_handle(db);

    if (err)
        return err;
    s = db->store;
    kvi_os_mutex_lock(&s->calls.lock);
    call = kvi_map_find(&s->calls.by_ticket, ticket);
    found = cancelable(call);
    if (found)
        what = cancel_locked(call);
    kvi_os_mutex_unlock(&s->calls.lock);
    if (!found)
        return kvi_error_set(KV_ENOTFOUND, "no request of ticket %llu is under way",
                             (unsigned long long)ticket);
    if (what == CANCEL_POST) {
        kvi_api_placed_cancel(call);
    } else if (what == CANCEL_END) {
        kvi_api_call_end_ordered(call, kvi_error_set(KV_ECANCELED, "given up by kv_cancel()"));
        kvi_api_runner_wake(s);
    }
    return KV_OK;
}
