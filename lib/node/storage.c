/*
 * Reads, writes and syncs of a node; see the header for the contract. Scans: storage_scan.c.
 */
#include "node/storage.h"

#include "base/check.h"
#include "base/error.h"
#include "node/storage_job.h"

/* --- reading ------------------------------------------------------------------------------ */

/** Expiry is part of the objects: the engine judges none. */
#define NOTHING_EXPIRES INT64_MIN

int kvi_storage_get(kvi_lsm *lsm, kvi_slice key, bool memory_only, kvi_buf *out)
{
    kvi_lsm_get g = {key, KVI_LSM_SEQ_LATEST, NOTHING_EXPIRES, memory_only};
    kvi_lsm_value v;
    int err = kvi_lsm_get_value(lsm, &g, out, &v);

    if (err)
        return err;
    if (v.unpin)
        err = kvi_buf_set(out, v.data.data, v.data.len);
    kvi_lsm_value_release(&v);
    return err;
}

static int read_key(kvi_lsm *lsm, kvi_store_read *r, bool memory_only)
{
    int err = kvi_storage_get(lsm, r->key, memory_only, r->value);

    if (err == KV_ENOTFOUND)
        kvi_buf_clear(r->value);
    return err;
}

typedef struct read_job {
    kvi_storage_job base;
    kvi_store_read *read;
} read_job;

static void read_run(kvi_storage_job *job)
{
    read_job *j = KVI_CONTAINER_OF(job, read_job, base);

    j->read->err = read_key(job->storage->lsm, j->read, false);
    KVI_ASSERT(j->read->err != KVI_AGAIN);
}

static void read_back(kvi_storage_job *job)
{
    read_job *j = KVI_CONTAINER_OF(job, read_job, base);
    kvi_storage *s = job->storage;

    kvi_list_push_back(&s->reads, &j->read->link);
    kvi_mem_free(s->env->mem, j);
}

void kvi_storage_read(kvi_storage *s, kvi_store_read *r)
{
    read_job *j;

    r->err = s->closing ? KV_ECANCELED : read_key(s->lsm, r, true);
    if (r->err != KVI_AGAIN) {
        kvi_list_push_back(&s->reads, &r->link);
        return;
    }
    j = kvi_mem_alloc(s->env->mem, sizeof *j);
    if (!j) {
        r->err = KV_ENOMEM;
        kvi_list_push_back(&s->reads, &r->link);
        return;
    }
    j->read = r;
    kvi_storage_job_begin(s, &j->base, read_run, read_back);
}

/* --- jobs --------------------------------------------------------------------------------- */

static void job_run(void *user)
{
    kvi_storage_job *job = user;
    kvi_storage *s = job->storage;

    job->run(job);
    kvi_os_mutex_lock(&s->lock);
    kvi_list_push_back(&s->back, &job->link);
    s->wake(s->user); /* under the lock: once it is free the storage may go */
    kvi_os_mutex_unlock(&s->lock);
}

void kvi_storage_job_begin(kvi_storage *s, kvi_storage_job *job, void (*run)(kvi_storage_job *),
                           void (*back)(kvi_storage_job *))
{
    job->storage = s;
    job->run = run;
    job->back = back;
    kvi_list_init(&job->link);
    kvi_list_init(&job->job.link);
    job->job.fn = job_run;
    job->job.user = job;
    job->job.urgent = true; /* somebody waits for it */
    s->jobs++;
    s->env->exec->ops->submit(s->env->exec, &job->job);
}

/* --- writing ------------------------------------------------------------------------------ */

static int ops_fill(kvi_storage *s, const kvi_store_write *w)
{
    KVI_ASSERT(w->count > 0);
    if (w->count > s->ops_cap) {
        kvi_lsm_op *grown = kvi_mem_resize(s->env->mem, s->ops, w->count * sizeof *grown);

        if (!grown)
            return kvi_error_set(KV_ENOMEM, "cannot allocate %u operations of a write",
                                 (unsigned)w->count);
        s->ops = grown;
        s->ops_cap = w->count;
    }
    for (uint32_t i = 0; i < w->count; i++) {
        const kvi_store_put *p = &w->puts[i];
        enum kvi_kind kind = p->remove ? KVI_KIND_DELETE : KVI_KIND_PUT;

        s->ops[i] = (kvi_lsm_op){kind, p->key, p->value, 0};
    }
    return KV_OK;
}

static void write_end(kvi_storage *s, int err)
{
    kvi_store_write *w = KVI_LIST_FIRST(&s->write_queue, kvi_store_write, link);

    KVI_ASSERT(s->writing);
    kvi_list_remove(&w->link);
    w->err = err;
    w->seq = err ? 0 : s->write.last_seq;
    kvi_list_push_back(&s->writes, &w->link);
    s->writing = false;
}

static void write_wake(kvi_lsm_waiter *self, int result)
{
    kvi_storage *s = KVI_CONTAINER_OF(self, kvi_storage, write_waiter);

    kvi_os_mutex_lock(&s->lock);
    s->write_back = true;
    s->write_result = result;
    s->wake(s->user);
    kvi_os_mutex_unlock(&s->lock);
}

/** Offers the first write to the engine, until it is decided or the engine holds it up. */
static void write_try(kvi_storage *s)
{
    int r;

    do {
        kvi_list_init(&s->write_waiter.link);
        s->write_waiter.wake = write_wake;
        s->write.waiter = &s->write_waiter;
        r = kvi_lsm_write_ops(s->lsm, &s->write);
        KVI_ASSERT(r != KVI_STALE); /* it has no guard */
    } while (r == KVI_AGAIN && ++s->write_tries < KVI_STORAGE_RETRIES_MAX);
    if (r == KVI_PENDING)
        return;
    write_end(s, r == KVI_AGAIN ? KV_EBUSY : r);
}

static void write_next(kvi_storage *s)
{
    while (!s->writing && !kvi_list_empty(&s->write_queue)) {
        kvi_store_write *w = KVI_LIST_FIRST(&s->write_queue, kvi_store_write, link);
        int err = ops_fill(s, w);

        s->writing = true;
        s->write_tries = 0;
        s->write = (kvi_lsm_write){.ops = s->ops, .count = w->count};
        if (!err && kvi_lsm_is_broken(s->lsm)) /* so that nothing of it can be in the log */
            err = kvi_error_set(KV_EUNAVAILABLE, "this node's store takes no more writes");
        if (err)
            write_end(s, err);
        else
            write_try(s);
    }
}

void kvi_storage_write(kvi_storage *s, kvi_store_write *w)
{
    kvi_list_push_back(&s->write_queue, &w->link);
    write_next(s);
}

/** The engine has decided about the write that it held up. */
static void write_decided(kvi_storage *s, int result)
{
    KVI_ASSERT(s->writing);
    if (result == KVI_AGAIN)
        write_try(s);
    else
        write_end(s, result < 0 ? kvi_lsm_explain(s->lsm, result) : result);
    write_next(s);
}

/* --- syncing ------------------------------------------------------------------------------ */

static void sync_hand_back(kvi_storage *s, int result)
{
    kvi_os_mutex_lock(&s->lock);
    s->sync_back = true;
    s->sync_result = result;
    s->wake(s->user);
    kvi_os_mutex_unlock(&s->lock);
}

static void sync_wake(kvi_lsm_waiter *self, int result)
{
    sync_hand_back(KVI_CONTAINER_OF(self, kvi_storage, sync_waiter), result);
}

static void sync_run(void *user)
{
    kvi_storage *s = user;
    int r = kvi_lsm_sync(s->lsm, s->sync_seq, &s->sync_waiter);

    if (r != KVI_PENDING)
        sync_hand_back(s, r);
}

static void sync_submit(kvi_storage *s)
{
    kvi_list_init(&s->sync_waiter.link);
    s->sync_waiter.wake = sync_wake;
    kvi_list_init(&s->sync_job.link);
    s->sync_job.fn = sync_run;
    s->sync_job.user = s;
    s->sync_job.urgent = true;
    s->env->exec->ops->submit(s->env->exec, &s->sync_job);
}

static void sync_next(kvi_storage *s)
{
    if (s->syncing || kvi_list_empty(&s->sync_queue))
        return;
    s->sync_seq = 0;
    while (!kvi_list_empty(&s->sync_queue)) {
        kvi_store_sync *y = KVI_LIST_FIRST(&s->sync_queue, kvi_store_sync, link);

        s->sync_seq = y->seq > s->sync_seq ? y->seq : s->sync_seq;
        kvi_list_remove(&y->link);
        kvi_list_push_back(&s->sync_now, &y->link);
    }
    s->syncing = true;
    sync_submit(s);
}

void kvi_storage_sync(kvi_storage *s, kvi_store_sync *y)
{
    KVI_ASSERT(y->seq <= kvi_lsm_last_seq(s->lsm));
    y->err = KV_OK;
    kvi_list_push_back(y->seq == 0 ? &s->syncs : &s->sync_queue, &y->link);
}

static void sync_decided(kvi_storage *s, int result)
{
    KVI_ASSERT(s->syncing);
    if (result == KVI_LEAD) {
        sync_submit(s);
        return;
    }
    s->syncing = false;
    while (!kvi_list_empty(&s->sync_now)) {
        kvi_store_sync *y = KVI_LIST_FIRST(&s->sync_now, kvi_store_sync, link);

        kvi_list_remove(&y->link);
        y->err = result ? KV_EIO : KV_OK;
        kvi_list_push_back(&s->syncs, &y->link);
    }
}

/* --- completing --------------------------------------------------------------------------- */

static void collect_jobs(kvi_storage *s, kvi_list *back)
{
    while (!kvi_list_empty(back)) {
        kvi_storage_job *job = KVI_LIST_FIRST(back, kvi_storage_job, link);

        kvi_list_remove(&job->link);
        KVI_ASSERT(s->jobs > 0);
        s->jobs--;
        job->back(job);
    }
}

/** Takes over what other threads have handed back. */
static void collect(kvi_storage *s)
{
    bool write_back, sync_back;
    int write_result, sync_result;
    kvi_list back;

    kvi_list_init(&back);
    kvi_os_mutex_lock(&s->lock);
    kvi_list_move(&back, &s->back);
    write_back = s->write_back;
    sync_back = s->sync_back;
    write_result = s->write_result;
    sync_result = s->sync_result;
    s->write_back = s->sync_back = false;
    kvi_os_mutex_unlock(&s->lock);
    collect_jobs(s, &back);
    if (write_back)
        write_decided(s, write_result);
    if (sync_back)
        sync_decided(s, sync_result);
}

/** The first of a list that is due; NULL: none is. */
static kvi_list *take(kvi_list *list)
{
    kvi_list *first = list->next;

    if (first == list)
        return NULL;
    kvi_list_remove(first);
    return first;
}

bool kvi_storage_complete(kvi_storage *s)
{
    bool any = false;
    kvi_list *l;

    collect(s);
    for (; (l = take(&s->reads)) != NULL; any = true)
        KVI_CONTAINER_OF(l, kvi_store_read, link)->done(KVI_CONTAINER_OF(l, kvi_store_read, link));
    for (; (l = take(&s->writes)) != NULL; any = true)
        KVI_CONTAINER_OF(l, kvi_store_write, link)
            ->done(KVI_CONTAINER_OF(l, kvi_store_write, link));
    for (; (l = take(&s->scans)) != NULL; any = true)
        KVI_CONTAINER_OF(l, kvi_store_scan, link)->done(KVI_CONTAINER_OF(l, kvi_store_scan, link));
    sync_next(s); /* late: it serves all writes of this turn */
    for (; (l = take(&s->syncs)) != NULL; any = true)
        KVI_CONTAINER_OF(l, kvi_store_sync, link)->done(KVI_CONTAINER_OF(l, kvi_store_sync, link));
    return any;
}

bool kvi_storage_ready(kvi_storage *s)
{
    bool back;

    if (!kvi_list_empty(&s->reads) || !kvi_list_empty(&s->writes) || !kvi_list_empty(&s->syncs) ||
        !kvi_list_empty(&s->scans) || (!s->syncing && !kvi_list_empty(&s->sync_queue)))
        return true;
    kvi_os_mutex_lock(&s->lock);
    back = !kvi_list_empty(&s->back) || s->write_back || s->sync_back;
    kvi_os_mutex_unlock(&s->lock);
    return back;
}

bool kvi_storage_idle(const kvi_storage *s)
{
    return kvi_list_empty(&s->reads) && kvi_list_empty(&s->writes) && kvi_list_empty(&s->syncs) &&
           kvi_list_empty(&s->scans) && kvi_list_empty(&s->write_queue) && !s->writing &&
           kvi_list_empty(&s->sync_queue) && !s->syncing && s->jobs == 0;
}

void kvi_storage_init(kvi_storage *s, const kvi_os_env *env, kvi_lsm *lsm, void (*wake)(void *),
                      void *user)
{
    *s = (kvi_storage){.env = env, .lsm = lsm, .wake = wake, .user = user};
    kvi_list_init(&s->reads);
    kvi_list_init(&s->writes);
    kvi_list_init(&s->syncs);
    kvi_list_init(&s->scans);
    kvi_list_init(&s->write_queue);
    kvi_list_init(&s->sync_queue);
    kvi_list_init(&s->sync_now);
    kvi_list_init(&s->back);
    kvi_os_mutex_init(&s->lock, KVI_RANK_NODE, env->jitter);
}

void kvi_storage_deinit(kvi_storage *s)
{
    KVI_ASSERT(kvi_storage_idle(s));
    kvi_os_mutex_lock(&s->lock); /* whoever handed back last is out of it after this */
    kvi_os_mutex_unlock(&s->lock);
    kvi_os_mutex_deinit(&s->lock);
    kvi_mem_free(s->env->mem, s->ops);
}
