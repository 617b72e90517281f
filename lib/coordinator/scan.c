/*
 * Where a walk stands, whom it asks, and when its page ends; see scan.h for the contract.
 */
#include "coordinator/scan.h"

#include "base/bytes.h"
#include "base/error.h"
#include "replication/key.h"
#include "replication/page.h"

/* --- the end ---------------------------------------------------------------------------------- */

static void finish(kvi_scanner *s, int err)
{
    kvi_request *r = s->request;

    s->request = NULL;
    s->asking = false;
    if (err) {
        kvi_buf_clear(&r->entries);
        r->entry_count = 0;
    }
    kvi_request_finish(s->job.c, r, err);
}

/* The page ends where the walk stands. */
static void finish_here(kvi_scanner *s)
{
    kvi_buf *resume = &s->request->resume;
    int err = kvi_buf_reserve(resume, KVI_SCANNER_CURSOR_LEN + s->after.len);

    if (!err) {
        kvi_put_be64(resume->data, s->token);
        resume->len = KVI_SCANNER_CURSOR_LEN;
        err = kvi_buf_append(resume, s->after.data, s->after.len);
    }
    s->request->more = err == KV_OK;
    finish(s, err);
}

static void end(kvi_scanner *s)
{
    const kvi_mem *mem = s->job.c->mem;

    kvi_job_end(&s->job);
    for (unsigned i = 0; i < KVI_RING_N_MAX; i++)
        kvi_buf_deinit(&s->pages[i].items);
    kvi_buf_deinit(&s->after);
    kvi_buf_deinit(&s->from);
    kvi_buf_deinit(&s->to);
    kvi_buf_deinit(&s->found);
    kvi_mem_free(mem, s);
}

/* --- places ----------------------------------------------------------------------------------- */

static uint64_t partition_end(const kvi_ring *ring, uint64_t token)
{
    unsigned bits = kvi_ring_bits(ring);

    return bits == 0 ? UINT64_MAX : token | UINT64_MAX >> bits;
}

/* Where the request says that it goes on. */
static int start(kvi_scanner *s)
{
    const kvi_request *r = s->request;
    kvi_slice after = r->scan.has_after ? r->scan.after : kvi_slice_of(NULL, 0);

    s->token = 0;
    if (r->scan.has_after && r->scan.after_resume) {
        if (after.len < KVI_SCANNER_CURSOR_LEN ||
            after.len > KVI_SCANNER_CURSOR_LEN + KVI_WIRE_KEY_MAX)
            return kvi_error_set(KV_EINVAL, "where the walk is to go on is not what a page said");
        s->token = kvi_get_be64(after.data);
        after = kvi_slice_of(kvi_slice_bytes(after) + KVI_SCANNER_CURSOR_LEN,
                             after.len - KVI_SCANNER_CURSOR_LEN);
    } else if (r->scan.has_after) {
        s->token = kvi_ring_token(s->job.c->cluster->ring, after);
    }
    return kvi_buf_set(&s->after, after.data, after.len);
}

/* A walk within a part begins at its token, and just before the prefix: behind the prefix without
 * its last byte. */
static int start_in_part(kvi_scanner *s)
{
    kvi_slice prefix = s->request->scan.prefix;
    kvi_slice before = kvi_slice_of(prefix.data, prefix.len - 1);
    uint64_t token = kvi_ring_token(s->job.c->cluster->ring, prefix);

    if (s->token > token)
        return KV_ENOTFOUND;
    if (s->token < token || kvi_slice_cmp(kvi_buf_slice(&s->after), before) < 0) {
        s->token = token;
        return kvi_buf_set(&s->after, before.data, before.len);
    }
    return KV_OK;
}

static bool has_part(kvi_slice prefix)
{
    return kvi_ring_part(prefix).len != prefix.len;
}

/* --- asking ----------------------------------------------------------------------------------- */

/* Where much of what is there may not be of the prefix, as much as a page can have is asked for. */
static bool filters(const kvi_scanner *s)
{
    return s->request->scan.prefix.len > 0 && !s->one_part;
}

static uint32_t entries_left(const kvi_scanner *s)
{
    const kvi_request *r = s->request;

    if (filters(s))
        return KVI_SCAN_LIMIT_MAX;
    return (uint32_t)kvi_min_size(r->scan.limit - r->entry_count, KVI_SCAN_LIMIT_MAX);
}

static uint32_t bytes_left(const kvi_scanner *s)
{
    const kvi_request *r = s->request;
    size_t left = r->scan.bytes > r->entries.len ? r->scan.bytes - r->entries.len : 1;

    return (uint32_t)(filters(s) ? KVI_SCAN_BYTES_MAX : kvi_min_size(left, KVI_SCAN_BYTES_MAX));
}

static void send(kvi_scanner *s, kvi_replica_page *p)
{
    kvi_coordinator *c = s->job.c;
    kvi_wire_message m = {0};

    m.kind = KVI_WIRE_SCAN;
    m.u.scan.id = s->job.id;
    m.u.scan.space = s->request->space;
    m.u.scan.token_from = s->token;
    m.u.scan.token_to = s->token_to;
    m.u.scan.key_after = kvi_buf_slice(&s->after);
    m.u.scan.limit = entries_left(s);
    m.u.scan.bytes = bytes_left(s);
    p->sends++;
    p->pause_ns = p->sends == 1 ? KVI_REQUEST_RESEND_NS : p->pause_ns * 2;
    p->resend_ns = c->cluster->now_ns + p->pause_ns;
    c->effects->ops->send(c->effects, p->node, &m);
}

static void step(kvi_scanner *s);

static int take_own(kvi_scanner *s, kvi_replica_page *p)
{
    int err = s->scan.err;

    if (!err)
        err = kvi_page_entries(&s->found, s->scan.count, s->request->space, &p->items);
    p->count = s->scan.count;
    p->more = s->scan.more;
    return err;
}

static void own_scanned(kvi_store_scan *scan)
{
    kvi_scanner *s = KVI_CONTAINER_OF(scan, kvi_scanner, scan);

    s->scanning = false;
    for (unsigned i = 0; s->asking && i < s->plan.n; i++) {
        kvi_replica_page *p = &s->pages[i];
        int err;

        if (p->node != s->job.c->cluster->self || p->state != KVI_PAGE_ASKED ||
            s->scan_id != s->job.id)
            continue;
        err = take_own(s, p);
        p->state = err ? KVI_PAGE_FAILED : KVI_PAGE_ANSWERED;
        s->failure = err ? err : s->failure;
    }
    step(s);
}

static void scan_own(kvi_scanner *s, kvi_replica_page *p)
{
    kvi_coordinator *c = s->job.c;
    int err = KV_EBUSY; /* one of a round before, which was slow, is still under way */

    if (!s->scanning)
        err = kvi_key_range(&s->from, &s->to, s->request->space, s->token, kvi_buf_slice(&s->after),
                            s->token_to);
    if (err) {
        p->state = KVI_PAGE_FAILED;
        s->failure = err;
        return;
    }
    p->resend_ns = KVI_NEVER;
    s->scanning = true;
    s->scan_id = s->job.id;
    s->scan.from = kvi_buf_slice(&s->from);
    s->scan.to = kvi_buf_slice(&s->to);
    s->scan.limit = entries_left(s);
    s->scan.bytes_max = bytes_left(s);
    s->scan.entries = &s->found;
    s->scan.done = own_scanned;
    c->effects->ops->scan(c->effects, &s->scan);
}

static void ask(kvi_scanner *s, kvi_replica_page *p)
{
    kvi_coordinator *c = s->job.c;
    kvi_colleague *colleague = kvi_colleague_of(c, p->node);
    uint64_t p95_ns = colleague ? colleague->latency.p95_ns : KVI_LATENCY_START_NS;

    p->state = KVI_PAGE_ASKED;
    p->slow = false;
    p->sends = 0;
    /* A page takes longer than the one key of which the figure is. */
    p->slow_ns = c->cluster->now_ns + 4 * kvi_max_u64(p95_ns, KVI_REQUEST_HEDGE_MIN_NS);
    if (p->node == c->cluster->self)
        scan_own(s, p);
    else
        send(s, p);
}

static kvi_replica_page *pick(kvi_scanner *s)
{
    const kvi_cluster *cluster = s->job.c->cluster;
    unsigned own = kvi_plan_place(&s->plan, cluster->self);

    if (own < s->plan.n && s->pages[own].state == KVI_PAGE_UNASKED)
        return &s->pages[own];
    for (unsigned i = 0; i < s->plan.n; i++)
        if (s->pages[i].state == KVI_PAGE_UNASKED && kvi_node_reachable(cluster, s->pages[i].node))
            return &s->pages[i];
    return NULL;
}

static void take_answer(kvi_scanner *s, kvi_replica_page *p, const kvi_wire_scan_answer *a)
{
    int err = a->err;

    if (kvi_error_passes(err)) {
        p->slow = true;
        return;
    }
    if (!err && a->more && a->items.count == 0)
        err = kvi_error_set(KV_ECORRUPT, "a replica's page ends before it begins");
    if (!err)
        err = kvi_buf_set(&p->items, a->items.bytes.data, a->items.bytes.len);
    p->count = a->items.count;
    p->more = a->more;
    p->state = err ? KVI_PAGE_FAILED : KVI_PAGE_ANSWERED;
    s->failure = err ? err : s->failure;
}

static void receive(kvi_job *job, uint64_t from, const kvi_wire_message *m)
{
    kvi_scanner *s = KVI_CONTAINER_OF(job, kvi_scanner, job);

    if (m->kind != KVI_WIRE_SCAN_ANSWER || !s->asking)
        return;
    for (unsigned i = 0; i < s->plan.n; i++)
        if (s->pages[i].node == from && s->pages[i].state == KVI_PAGE_ASKED)
            take_answer(s, &s->pages[i], &m->u.scan_answer);
    step(s);
}

static uint64_t step_page(kvi_scanner *s, kvi_replica_page *p)
{
    uint64_t now_ns = s->job.c->cluster->now_ns;

    if (p->state != KVI_PAGE_ASKED)
        return KVI_NEVER;
    if (now_ns >= p->slow_ns || !kvi_node_reachable(s->job.c->cluster, p->node))
        p->slow = true;
    if (now_ns >= p->resend_ns) {
        if (p->sends >= KVI_SCANNER_SENDS)
            p->resend_ns = KVI_NEVER;
        else
            send(s, p);
    }
    return p->slow ? p->resend_ns : kvi_min_u64(p->slow_ns, p->resend_ns);
}

/* --- rounds ----------------------------------------------------------------------------------- */

static void begin_round(kvi_scanner *s)
{
    const kvi_cluster *cluster = s->job.c->cluster;
    const kvi_request *r = s->request;
    int err = kvi_plan_space(cluster, r->space, r->r, 0, &s->plan);

    if (!err)
        err = kvi_job_renew_id(&s->job);
    if (err) {
        finish(s, err);
        return;
    }
    kvi_plan_walk(cluster, s->token, &s->plan);
    s->token_to = s->one_part ? s->token : partition_end(cluster->ring, s->token);
    for (unsigned i = 0; i < s->plan.n; i++) {
        s->pages[i].node = s->plan.nodes[i];
        s->pages[i].state = KVI_PAGE_UNASKED;
        kvi_buf_clear(&s->pages[i].items);
        s->pages[i].count = 0;
        s->pages[i].more = false;
    }
    s->failure = KV_OK;
    s->asking = true;
}

/* r replicas have answered. */
static void end_round(kvi_scanner *s)
{
    enum kvi_scanner_end how = KVI_SCANNER_THROUGH;
    int err = kvi_scanner_merge(s, &how);
    bool last = s->one_part || s->token_to == UINT64_MAX;

    s->asking = false;
    s->rounds++;
    if (err || how == KVI_SCANNER_PAST || (how == KVI_SCANNER_THROUGH && last)) {
        finish(s, err);
        return;
    }
    if (how == KVI_SCANNER_THROUGH) {
        s->token = s->token_to + 1;
        kvi_buf_clear(&s->after);
        s->partitions++;
    }
    if (how == KVI_SCANNER_FULL || kvi_scanner_page_full(s->request) ||
        s->partitions >= KVI_SCANNER_PARTITIONS)
        finish_here(s);
}

static void run_round(kvi_scanner *s)
{
    unsigned done = 0, hoped = 0, open = 0;
    uint64_t next = KVI_NEVER;
    kvi_replica_page *p;

    for (unsigned i = 0; i < s->plan.n; i++) {
        p = &s->pages[i];
        next = kvi_min_u64(next, step_page(s, p));
        done += p->state == KVI_PAGE_ANSWERED;
        hoped += p->state == KVI_PAGE_ASKED && !p->slow;
        open += p->state == KVI_PAGE_ASKED;
    }
    if (done >= s->plan.r) {
        end_round(s);
        return;
    }
    while (done + hoped < s->plan.r && (p = pick(s))) {
        ask(s, p);
        if (p->state != KVI_PAGE_ASKED)
            continue;
        hoped++;
        open++;
        next = kvi_min_u64(next, kvi_min_u64(p->slow_ns, p->resend_ns));
    }
    if (open > 0)
        kvi_job_wake(&s->job, next);
    else if (s->failure)
        finish(s, kvi_error_set(s->failure, "replicas could not read their part of the walk: %s",
                                kvi_error_name(s->failure)));
    else /* until one of them comes back, or the time is over */
        kvi_job_wake(&s->job, s->job.c->cluster->now_ns + KVI_REQUEST_LOOK_NS);
}

static void begin_walk(kvi_scanner *s)
{
    int err = start(s);

    s->one_part = has_part(s->request->scan.prefix);
    if (!err && s->one_part)
        err = start_in_part(s);
    s->begun = true;
    if (err)
        finish(s, err == KV_ENOTFOUND ? KV_OK : err);
}

static void give_up(kvi_scanner *s)
{
    if (s->job.canceled)
        finish(s, kvi_error_set(KV_ECANCELED, "the walk was given up"));
    else if (s->rounds > 0)
        finish_here(s); /* what has come so far is whole */
    else if (!s->job.c->cluster->ring)
        finish(s, kvi_error_set(KV_EUNAVAILABLE, "not a member of a cluster: %s",
                                s->job.c->cluster->why));
    else
        finish(s, kvi_error_set(KV_EUNAVAILABLE, "too few replicas have answered in time"));
}

static void step(kvi_scanner *s)
{
    kvi_coordinator *c = s->job.c;

    if (s->request && (s->job.canceled || c->cluster->now_ns >= s->deadline_ns))
        give_up(s);
    if (s->request && !s->begun) {
        if (c->cluster->ring && kvi_ring_stage(c->cluster->ring) == KVI_RING_SERVING)
            begin_walk(s);
        else
            c->cluster->want_serving(c->cluster->user);
    }
    while (s->request && s->begun) {
        if (!s->asking)
            begin_round(s);
        if (s->asking)
            run_round(s);
        if (s->asking)
            break;
    }
    if (s->request)
        kvi_job_wake(&s->job, s->deadline_ns);
    else if (!s->scanning)
        end(s);
}

static void due(kvi_job *job)
{
    step(KVI_CONTAINER_OF(job, kvi_scanner, job));
}

static const kvi_job_ops scanner_ops = {due, receive};

int kvi_scanner_begin(kvi_coordinator *c, kvi_request *request)
{
    kvi_scanner *s = kvi_mem_zalloc(c->mem, 1, sizeof *s);
    int err;

    if (!s)
        return kvi_error_set(KV_ENOMEM, "no memory for a page of a walk");
    KVI_ASSERT(request->scan.limit > 0);
    s->request = request;
    s->deadline_ns = c->cluster->now_ns + kvi_min_u64(request->timeout_ns, KVI_NEVER / 2);
    for (unsigned i = 0; i < KVI_RING_N_MAX; i++)
        kvi_buf_init(&s->pages[i].items, c->mem);
    kvi_buf_init(&s->after, c->mem);
    kvi_buf_init(&s->from, c->mem);
    kvi_buf_init(&s->to, c->mem);
    kvi_buf_init(&s->found, c->mem);
    err = kvi_job_begin(c, &s->job, &scanner_ops, true);
    if (err) {
        kvi_mem_free(c->mem, s);
        return err;
    }
    request->state = &s->job;
    return KV_OK;
}
