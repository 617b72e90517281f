/*
 * A client's write at the node where it arrived: finds who coordinates it, and brings the answer
 * home.
 *
 *   PARKED -> CHOOSING -> LOCAL -> CHOOSING (it refused)
 *                      -> QUEUED -> FORWARDED -> CHOOSING (it refused)
 *   any of them -> ended
 *
 * 1. At any time at most one node has it, and nobody gets it after one that may have begun: only a
 *    definitive refusal leads on.
 * 2. A FORWARD goes to one opening of one node. When that node is opened again, what became of it
 *    is unknown: KV_EUNCERTAIN.
 * 3. Less than KVI_REPLAY_WINDOW sequences are open to one node; what comes on top is QUEUED.
 * 4. A refusal that is a verdict on the write itself is the client's; one that says only that this
 *    node cannot now leads to the next node, and after the last one, where it was that too few can
 *    be reached, to all of them again a while later.
 */
#include "base/error.h"
#include "coordinator/impl.h"

#define ORIGIN_QUEUE_NS UINT64_C(1000000) /* how often it is looked whether there is room */
#define ORIGIN_MARGIN_NS \
    UINT64_C(100000000) /* for the answer of a coordinator whose time is over */

enum state { PARKED, CHOOSING, LOCAL, QUEUED, FORWARDED };

static const uint8_t legal[] = {
    [PARKED] = 1u << CHOOSING,    [CHOOSING] = 1u << LOCAL | 1u << QUEUED,
    [LOCAL] = 1u << CHOOSING,     [QUEUED] = 1u << FORWARDED | 1u << CHOOSING,
    [FORWARDED] = 1u << CHOOSING,
};

typedef struct origin {
    kvi_job job;
    kvi_request *request;
    enum state state;
    uint64_t deadline_ns;
    uint64_t tried[KVI_RING_LIST_MAX]; /* nodes that refused */
    unsigned tried_count;
    int refusal;     /* the last one; its detail is in the request */
    kvi_job *writer; /* LOCAL */

    /* QUEUED and FORWARDED */
    uint64_t node, open_id, seq;
    kvi_colleague *colleague;
    unsigned sends;
    uint64_t resend_ns, pause_ns;
} origin;

static void go(origin *o, enum state to)
{
    KVI_ASSERT(legal[o->state] & 1u << to);
    o->state = to;
}

static void forget_forward(origin *o)
{
    if (o->state == FORWARDED)
        (void)kvi_map_remove(&o->colleague->forwards, o->seq);
}

static void finish(origin *o, int err)
{
    kvi_coordinator *c = o->job.c;

    forget_forward(o);
    kvi_job_end(&o->job);
    kvi_request_finish(c, o->request, err);
    kvi_mem_free(c->mem, o);
}

/* --- answers ---------------------------------------------------------------------------------- */

static bool is_verdict(int err)
{
    return err == KV_EINVAL || err == KV_ETOOBIG || err == KV_ENOTSUP || err == KV_ESIBLINGS ||
           err == KV_ECONFLICT;
}

static void take_detail(origin *o, kvi_slice detail)
{
    size_t len = kvi_min_size(detail.len, sizeof o->request->detail - 1);

    if (len > 0)
        memcpy(o->request->detail, detail.data, len);
    o->request->detail[len] = 0;
}

/* Whoever had it has done nothing: the next one. */
static void refused(origin *o, const kvi_outcome *outcome)
{
    uint64_t node = o->state == LOCAL ? o->job.c->cluster->self : o->node;

    forget_forward(o);
    o->tried[o->tried_count++] = node;
    o->refusal = outcome->err;
    take_detail(o, outcome->detail);
    o->writer = NULL;
    go(o, CHOOSING);
    kvi_job_wake(&o->job, o->job.c->cluster->now_ns);
}

static void ended(origin *o, const kvi_outcome *outcome)
{
    kvi_request *r = o->request;
    int err = outcome->err;

    r->acks = outcome->acks;
    r->primaries = outcome->primaries;
    r->fallbacks = outcome->fallbacks;
    r->reached = outcome->durability;
    take_detail(o, outcome->detail);
    if (kvi_buf_set(&r->sealed, outcome->context.data, outcome->context.len) ||
        kvi_buf_set(&r->object, outcome->object.data, outcome->object.len)) {
        kvi_buf_clear(&r->object);
        kvi_buf_clear(&r->sealed);
        if (!outcome->definitive)
            err = kvi_error_set(KV_EUNCERTAIN, "no memory for the answer, which was: %s",
                                kvi_error_name(err));
        else
            err = kvi_error_set(KV_ENOMEM, "no memory for the refusal of a write");
    } else if (err) {
        kvi_error_note("%s", r->detail);
    }
    finish(o, err);
}

static bool is_over(const origin *o)
{
    return o->job.canceled || o->job.c->cluster->now_ns >= o->deadline_ns;
}

static void take(origin *o, const kvi_outcome *answer)
{
    kvi_outcome mine = *answer;
    const kvi_outcome *outcome = &mine;

    if (mine.err == KV_ECANCELED && !o->job.canceled) /* by the coordinator, who is being closed */
        mine.err = KV_EUNAVAILABLE;
    if (outcome->err && outcome->definitive && !is_verdict(outcome->err) && !is_over(o) &&
        o->tried_count < KVI_RING_LIST_MAX)
        refused(o, outcome);
    else
        ended(o, outcome);
}

static void told(void *user, const kvi_outcome *outcome)
{
    take(user, outcome);
}

void kvi_origin_receive(kvi_job *job, uint64_t from_open, const kvi_wire_forward_answer *answer)
{
    origin *o = KVI_CONTAINER_OF(job, origin, job);

    KVI_ASSERT(o->state == FORWARDED && o->seq == answer->seq);
    if (from_open == o->open_id)
        take(o, answer);
}

/* --- sending ---------------------------------------------------------------------------------- */

static void describe(const origin *o, kvi_wire_forward *f)
{
    const kvi_request *r = o->request;
    uint64_t left = o->deadline_ns - o->job.c->cluster->now_ns;

    memset(f, 0, sizeof *f);
    f->seq = o->seq;
    f->op = r->call == KVI_REQUEST_PUT      ? KVI_WIRE_PUT
            : r->call == KVI_REQUEST_DELETE ? KVI_WIRE_DELETE
                                            : KVI_WIRE_BATCH;
    f->flags = r->flags;
    f->r = r->r;
    f->w = r->w;
    f->durability = kvi_cluster_durability(o->job.c->cluster, r->durability);
    f->timeout_ns = left;
    f->ttl_ms = r->call == KVI_REQUEST_PUT ? r->ttl_ms : 0;
    f->space = r->space;
    if (r->call == KVI_REQUEST_BATCH) {
        f->items = r->items;
        return;
    }
    f->key = r->key;
    if (r->call == KVI_REQUEST_PUT)
        f->value = r->value;
    f->context = r->context;
}

static void send(origin *o)
{
    kvi_coordinator *c = o->job.c;
    kvi_wire_message m = {0};

    m.kind = KVI_WIRE_FORWARD;
    describe(o, &m.u.forward);
    m.u.forward.timeout_ns -= kvi_min_u64(m.u.forward.timeout_ns / 8, ORIGIN_MARGIN_NS);
    o->pause_ns = o->sends == 0 ? KVI_REQUEST_RESEND_NS : o->pause_ns * 2;
    o->sends++;
    o->resend_ns = c->cluster->now_ns + o->pause_ns;
    c->effects->ops->send(c->effects, o->node, &m);
}

/* The node that it goes to has room for one more sequence. */
static bool has_room(kvi_colleague *p)
{
    while (p->least_seq < p->next_seq && !kvi_map_find(&p->forwards, p->least_seq))
        p->least_seq++;
    return p->next_seq - p->least_seq < KVI_REPLAY_WINDOW;
}

static void refused_here(origin *o, int err)
{
    kvi_outcome outcome = {0};

    outcome.err = err;
    outcome.definitive = true;
    outcome.detail = kvi_slice_of(kvi_error_detail(), strlen(kvi_error_detail()));
    take(o, &outcome);
}

static void run_queued(origin *o)
{
    kvi_coordinator *c = o->job.c;
    int err;

    o->open_id = c->cluster->open_id_of(c->cluster->user, o->node);
    if (o->open_id == 0 ||
        !kvi_node_reachable(c->cluster, o->node)) { /* nothing was sent: not a refusal either */
        go(o, CHOOSING);
        kvi_job_wake(&o->job, c->cluster->now_ns);
        return;
    }
    if (!has_room(o->colleague)) {
        kvi_job_wake(&o->job, c->cluster->now_ns + ORIGIN_QUEUE_NS);
        return;
    }
    err = kvi_map_insert(&o->colleague->forwards, o->colleague->next_seq, &o->job);
    if (err) {
        refused_here(o, err);
        return;
    }
    o->seq = o->colleague->next_seq++;
    o->sends = 0;
    go(o, FORWARDED);
    send(o);
    kvi_job_wake(&o->job, o->resend_ns);
}

static void run_forwarded(origin *o)
{
    kvi_coordinator *c = o->job.c;

    if (c->cluster->open_id_of(c->cluster->user, o->node) != o->open_id) {
        finish(o, kvi_error_set(KV_EUNCERTAIN,
                                "the node that coordinated the write was opened again meanwhile"));
        return;
    }
    if (c->cluster->now_ns >= o->resend_ns) {
        if (o->sends > KVI_REQUEST_RESENDS)
            o->resend_ns = KVI_NEVER;
        else if (kvi_node_reachable(c->cluster, o->node))
            send(o);
        else
            o->resend_ns = c->cluster->now_ns + o->pause_ns;
    }
    kvi_job_wake(&o->job, o->resend_ns);
}

/* --- choosing --------------------------------------------------------------------------------- */

static bool was_tried(const origin *o, uint64_t node)
{
    for (unsigned i = 0; i < o->tried_count; i++)
        if (o->tried[i] == node)
            return true;
    return false;
}

/* Where the write belongs: that of a batch where its first key does. */
static int place(const origin *o, kvi_plan *plan)
{
    const kvi_cluster *cluster = o->job.c->cluster;
    const kvi_request *r = o->request;
    uint32_t space = r->space;
    kvi_slice key = r->key;
    int err;

    if (r->call == KVI_REQUEST_BATCH) {
        kvi_wire_items_iter it;
        kvi_wire_op op = {0};

        kvi_wire_items_begin(&it, r->items);
        if (!kvi_wire_ops_next(&it, &op))
            return kvi_error_set(KV_EINVAL, "a batch without writes");
        space = op.space;
        key = op.key;
    }
    err = kvi_plan_space(cluster, space, r->r, r->w, plan);
    if (!err)
        kvi_plan_walk(cluster, kvi_ring_token(cluster->ring, key), plan);
    return err;
}

/* The first that may coordinate; 0: nobody is left. A node whose opening is not known cannot be
 * told which opening is meant, so it is as good as unreachable. */
static uint64_t choose(const origin *o, const kvi_plan *plan)
{
    const kvi_cluster *cluster = o->job.c->cluster;
    bool primaries_only = o->request->flags & KV_PRIMARIES_ONLY;
    unsigned count = primaries_only ? plan->n : plan->count;

    for (unsigned i = kvi_plan_reachable(cluster, plan, 0); i < count;
         i = kvi_plan_reachable(cluster, plan, i + 1)) {
        uint64_t node = plan->nodes[i];

        if (was_tried(o, node))
            continue;
        if (node == cluster->self || cluster->open_id_of(cluster->user, node) != 0)
            return node;
    }
    return 0;
}

static void begin_local(origin *o)
{
    kvi_wire_forward ask;
    int err;

    go(o, LOCAL);
    describe(o, &ask);
    err = kvi_writer_begin(o->job.c, &ask, false, told, o, &o->writer);
    if (err)
        refused_here(o, err);
}

static void run_choosing(origin *o)
{
    kvi_plan plan;
    uint64_t node;
    int err = place(o, &plan);

    if (err) {
        finish(o, err);
        return;
    }
    node = choose(o, &plan);
    if (node == 0 && o->refusal && o->refusal != KV_EUNAVAILABLE) {
        finish(o, kvi_error_set(o->refusal, "%s", o->request->detail));
    } else if (node == 0) { /* all of them anew, until enough can be reached or the time is over */
        o->tried_count = 0;
        kvi_job_wake(&o->job, o->job.c->cluster->now_ns + KVI_REQUEST_LOOK_NS);
    } else if (node == o->job.c->cluster->self) {
        begin_local(o);
    } else {
        o->node = node;
        o->colleague = kvi_colleague_of(o->job.c, node);
        if (!o->colleague) {
            finish(o, kvi_error_set(KV_ENOMEM, "no memory for what is known of a node"));
            return;
        }
        go(o, QUEUED);
        run_queued(o);
    }
}

/* --- the job ---------------------------------------------------------------------------------- */

static bool run_parked(origin *o)
{
    const kvi_cluster *cluster = o->job.c->cluster;

    if (!cluster->ring || kvi_ring_stage(cluster->ring) != KVI_RING_SERVING) {
        cluster->want_serving(cluster->user);
        return false;
    }
    go(o, CHOOSING);
    return true;
}

/* Nobody waits any longer, or the time is over. */
static void give_up(origin *o)
{
    int err = o->job.canceled ? KV_ECANCELED : KV_EUNAVAILABLE;

    if (o->state == FORWARDED)
        finish(o,
               kvi_error_set(KV_EUNCERTAIN, "the write was sent to the node that coordinates it, "
                                            "and no answer has come"));
    else if (o->state == PARKED && !o->job.canceled)
        finish(o, kvi_error_set(err, "the cluster does not serve yet: %s", o->job.c->cluster->why));
    else if (o->state != LOCAL && o->refusal && !o->job.canceled)
        finish(o, kvi_error_set(o->refusal, "%s", o->request->detail));
    else if (o->state != LOCAL)
        finish(o, kvi_error_set(err, "no node that may coordinate the write could be reached"));
    else if (o->job.canceled) { /* where only its time is over, the writer knows that itself */
        o->writer->canceled = true;
        kvi_job_wake(o->writer, o->job.c->cluster->now_ns);
    }
}

static void due(kvi_job *job)
{
    origin *o = KVI_CONTAINER_OF(job, origin, job);

    if (is_over(o)) {
        give_up(o);
        return;
    }
    kvi_job_wake(job, o->deadline_ns);
    if (o->state == PARKED && !run_parked(o))
        return;
    if (o->state == CHOOSING)
        run_choosing(o);
    else if (o->state == QUEUED)
        run_queued(o);
    else if (o->state == FORWARDED)
        run_forwarded(o);
}

static const kvi_job_ops origin_ops = {due, NULL};

int kvi_origin_begin(kvi_coordinator *c, kvi_request *request)
{
    origin *o = kvi_mem_zalloc(c->mem, 1, sizeof *o);
    int err;

    if (!o)
        return kvi_error_set(KV_ENOMEM, "no memory for a write");
    o->request = request;
    o->deadline_ns = c->cluster->now_ns + kvi_min_u64(request->timeout_ns, KVI_NEVER / 2);
    err = kvi_job_begin(c, &o->job, &origin_ops, true);
    if (err) {
        kvi_mem_free(c->mem, o);
        return err;
    }
    request->state = &o->job;
    return KV_OK;
}
