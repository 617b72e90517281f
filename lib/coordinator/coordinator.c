/*
 * The coordinator as others see it: takes requests and messages, hands them to their jobs, and
 * calls done; see the header for the contract.
 */
#include "coordinator/coordinator.h"

#include "base/error.h"
#include "coordinator/impl.h"

int kvi_coordinator_new(const kvi_coordinator_config *config, kvi_coordinator **out)
{
    kvi_coordinator *c = kvi_mem_zalloc(config->mem, 1, sizeof *c);
    int err;

    if (!c)
        return kvi_error_set(KV_ENOMEM, "no memory for the coordinator");
    err = kvi_replay_new(config->mem, &c->replay);
    if (err) {
        kvi_mem_free(config->mem, c);
        return err;
    }
    c->config = *config;
    c->mem = config->mem;
    c->effects = config->effects;
    c->cluster = config->cluster;
    kvi_list_init(&c->jobs);
    kvi_list_init(&c->finished);
    kvi_heap_init(&c->timers, c->mem);
    kvi_map_init(&c->by_id, c->mem);
    kvi_map_init(&c->colleagues, c->mem);
    /* What is on its way to an earlier opening of this node may be answered to this one: ids begin
     * where none of those was. */
    c->last_id = kvi_rng_next(&c->cluster->rng) >> 2;
    kvi_hlc_init(&c->hlc, config->hlc_bound);
    *out = c;
    return KV_OK;
}

void kvi_coordinator_free(kvi_coordinator *c)
{
    KVI_ASSERT(kvi_coordinator_idle(c));
    KVI_MAP_EACH(i, &c->colleagues) {
        kvi_colleague *p = kvi_map_at(&c->colleagues, i)->value;

        kvi_map_deinit(&p->forwards);
        kvi_mem_free(c->mem, p);
    }
    kvi_map_deinit(&c->colleagues);
    kvi_map_deinit(&c->by_id);
    kvi_heap_deinit(&c->timers);
    kvi_replay_free(c->replay);
    kvi_mem_free(c->mem, c);
}

/* What a request has before anything is known. */
static void no_answer(kvi_request *r)
{
    r->err = KV_OK;
    r->acks = r->primaries = r->fallbacks = r->reached = 0;
    kvi_buf_clear(&r->object);
    kvi_buf_clear(&r->sealed);
    kvi_buf_clear(&r->entries);
    kvi_buf_clear(&r->resume);
    r->entry_count = 0;
    r->more = false;
    r->detail[0] = 0;
    r->state = NULL;
}

static int begin(kvi_coordinator *c, kvi_request *request)
{
    KVI_ASSERT(request->timeout_ns > 0);
    if (c->closing)
        return kvi_error_set(KV_ECANCELED, "the store is being closed");
    switch (request->call) {
    case KVI_REQUEST_GET:
        return kvi_get_begin(c, request);
    case KVI_REQUEST_SCAN:
        return kvi_scanner_begin(c, request);
    case KVI_REQUEST_PUT:
    case KVI_REQUEST_DELETE:
    case KVI_REQUEST_BATCH:
        break;
    }
    return kvi_origin_begin(c, request);
}

void kvi_coordinator_begin(kvi_coordinator *c, kvi_request *request)
{
    int err;

    no_answer(request);
    err = begin(c, request);
    if (err)
        kvi_request_finish(c, request, err);
}

static void cancel(kvi_job *job)
{
    job->canceled = true;
    kvi_job_wake(job, job->c->cluster->now_ns);
}

void kvi_coordinator_cancel(kvi_coordinator *c, kvi_request *request)
{
    (void)c;
    if (request->state)
        cancel(request->state);
}

void kvi_coordinator_cancel_all(kvi_coordinator *c)
{
    c->closing = true;
    KVI_LIST_EACH(n, &c->jobs)
        cancel(KVI_CONTAINER_OF(n, kvi_job, link));
}

bool kvi_coordinator_idle(const kvi_coordinator *c)
{
    return kvi_list_empty(&c->jobs) && kvi_list_empty(&c->finished);
}

/* The id that m answers; false: it answers nothing of ours. */
static bool answered_id(const kvi_wire_message *m, uint64_t *id)
{
    if (m->kind == KVI_WIRE_APPLY_ACK)
        *id = m->u.apply_ack.id;
    else if (m->kind == KVI_WIRE_READ_ANSWER)
        *id = m->u.read_answer.id;
    else if (m->kind == KVI_WIRE_SCAN_ANSWER)
        *id = m->u.scan_answer.id;
    else
        return false;
    return true;
}

static void receive_forward_answer(kvi_coordinator *c, uint64_t from, uint64_t from_open,
                                   const kvi_wire_forward_answer *answer)
{
    kvi_colleague *p = kvi_map_find(&c->colleagues, from);
    kvi_job *job = p ? kvi_map_find(&p->forwards, answer->seq) : NULL;

    if (job)
        kvi_origin_receive(job, from_open, answer);
}

void kvi_coordinator_receive(kvi_coordinator *c, uint64_t from, uint64_t from_open,
                             const kvi_wire_message *m)
{
    kvi_job *job;
    uint64_t id;

    if (m->kind == KVI_WIRE_FORWARD) {
        kvi_serve(c, from, from_open, &m->u.forward);
        return;
    }
    if (m->kind == KVI_WIRE_FORWARD_ANSWER) {
        receive_forward_answer(c, from, from_open, &m->u.forward_answer);
        return;
    }
    job = answered_id(m, &id) ? kvi_map_find(&c->by_id, id) : NULL;
    if (job && job->ops->receive)
        job->ops->receive(job, from, m);
}

/* Those that are there now; what their ends bring is for the next call. */
static void call_done(kvi_coordinator *c)
{
    kvi_list now;

    if (kvi_list_empty(&c->finished))
        return;
    now = c->finished;
    now.next->prev = now.prev->next = &now;
    kvi_list_init(&c->finished);
    while (!kvi_list_empty(&now)) {
        kvi_request *request = KVI_LIST_FIRST(&now, kvi_request, link);

        kvi_list_remove(&request->link);
        request->done(request);
    }
}

void kvi_coordinator_tick(kvi_coordinator *c)
{
    kvi_heap_node *first;

    while ((first = kvi_heap_peek(&c->timers)) && first->key <= c->cluster->now_ns) {
        kvi_job *job = KVI_CONTAINER_OF(first, kvi_job, timer);

        kvi_heap_change(&c->timers, first, KVI_NEVER);
        job->ops->due(job);
    }
    call_done(c);
}

uint64_t kvi_coordinator_deadline(const kvi_coordinator *c)
{
    const kvi_heap_node *first = kvi_heap_peek(&c->timers);

    if (!kvi_list_empty(&c->finished))
        return 0;
    return first ? first->key : KVI_NEVER;
}

void kvi_coordinator_ring_changed(kvi_coordinator *c)
{
    kvi_jobs_wake_all(c);
}

void kvi_coordinator_peer_changed(kvi_coordinator *c, uint64_t node)
{
    (void)node;
    kvi_jobs_wake_all(c);
}

void kvi_coordinator_hlc_bounded(kvi_coordinator *c, uint64_t bound)
{
    if (bound > c->hlc.bound)
        kvi_hlc_bounded(&c->hlc, bound);
    c->hlc_asked = 0;
    kvi_jobs_wake_all(c);
}
