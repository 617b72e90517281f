/*
 * The table of jobs, their timers and ids, and the colleagues they talk to; see impl.h.
 */
#include "base/error.h"
#include "coordinator/impl.h"

int kvi_job_begin(kvi_coordinator *c, kvi_job *job, const kvi_job_ops *ops, bool counted)
{
    int err;

    if (counted && c->counted >= KVI_REQUESTS_MAX)
        return kvi_error_set(KV_EBUSY, "%u requests are under way", KVI_REQUESTS_MAX);
    job->c = c;
    job->ops = ops;
    job->id = c->last_id + 1;
    job->counted = counted;
    job->canceled = false;
    kvi_heap_node_init(&job->timer);
    err = kvi_map_insert(&c->by_id, job->id, job);
    if (err)
        return err;
    err = kvi_heap_push(&c->timers, &job->timer, c->cluster->now_ns);
    if (err) {
        (void)kvi_map_remove(&c->by_id, job->id);
        return err;
    }
    c->last_id++;
    KVI_ASSERT(!(c->last_id & KVI_REPLICATION_ID));
    kvi_list_push_back(&c->jobs, &job->link);
    c->counted += counted;
    return KV_OK;
}

void kvi_job_end(kvi_job *job)
{
    kvi_coordinator *c = job->c;

    KVI_ASSERT(kvi_heap_queued(&job->timer));
    kvi_heap_remove(&c->timers, &job->timer);
    (void)kvi_map_remove(&c->by_id, job->id);
    kvi_list_remove(&job->link);
    c->counted -= job->counted;
}

void kvi_job_wake(kvi_job *job, uint64_t at_ns)
{
    if (at_ns < job->timer.key)
        kvi_heap_change(&job->c->timers, &job->timer, at_ns);
}

void kvi_job_count(kvi_job *job)
{
    job->c->counted += !job->counted;
    job->counted = true;
}

int kvi_job_renew_id(kvi_job *job)
{
    kvi_coordinator *c = job->c;
    int err = kvi_map_insert(&c->by_id, c->last_id + 1, job);

    if (err)
        return err;
    (void)kvi_map_remove(&c->by_id, job->id);
    job->id = ++c->last_id;
    return KV_OK;
}

void kvi_jobs_wake_all(kvi_coordinator *c)
{
    KVI_LIST_EACH(n, &c->jobs)
        kvi_job_wake(KVI_CONTAINER_OF(n, kvi_job, link), c->cluster->now_ns);
}

void kvi_request_finish(kvi_coordinator *c, kvi_request *request, int err)
{
    request->err = err;
    request->state = NULL;
    if (err && err != KV_ENOTFOUND) {
        const char *detail = kvi_error_detail();
        size_t len = kvi_min_size(strlen(detail), sizeof request->detail - 1);

        memcpy(request->detail, detail, len);
        request->detail[len] = 0;
    }
    kvi_list_push_back(&c->finished, &request->link);
}

kvi_colleague *kvi_colleague_of(kvi_coordinator *c, uint64_t node)
{
    kvi_colleague *p = kvi_map_find(&c->colleagues, node);

    if (p)
        return p;
    p = kvi_mem_zalloc(c->mem, 1, sizeof *p);
    if (!p)
        return NULL;
    if (kvi_map_insert(&c->colleagues, node, p)) {
        kvi_mem_free(c->mem, p);
        return NULL;
    }
    kvi_latency_init(&p->latency);
    p->next_seq = p->least_seq = (kvi_rng_next(&c->cluster->rng) >> 2) + 1; /* as ids */
    kvi_map_init(&p->forwards, c->mem);
    return p;
}

void kvi_colleague_took(kvi_coordinator *c, uint64_t node, uint64_t ns)
{
    kvi_colleague *p = kvi_colleague_of(c, node);

    if (p)
        kvi_latency_took(&p->latency, ns);
}
