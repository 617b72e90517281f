/*
 * Whom a read asks, and what it makes of the answers; see read.h for the contract.
 */
#include "coordinator/read.h"

#include "base/error.h"
#include "replication/key.h"

static const uint8_t legal[] = {
    [KVI_READER_WAITING] = 1u << KVI_READER_ASKING | 1u << KVI_READER_ENDING,
    [KVI_READER_ASKING] = 1u << KVI_READER_REPAIRING | 1u << KVI_READER_ENDING,
    [KVI_READER_REPAIRING] = 1u << KVI_READER_ENDING,
    [KVI_READER_ENDING] = 0,
};

void kvi_reader_go(kvi_reader *r, enum kvi_reader_state to)
{
    KVI_ASSERT(legal[r->state] & 1u << to);
    r->state = to;
}

static bool reachable(const kvi_reader *r, const kvi_replica *p)
{
    return kvi_node_reachable(r->job.c->cluster, p->node);
}

/* --- the result ------------------------------------------------------------------------------- */

static void tell(kvi_reader *r, int err, kvi_object *merged, uint8_t answered, uint8_t primaries)
{
    kvi_read_fn *told = r->told;
    kvi_read_result result = {err, merged, answered, primaries};

    if (!told)
        return;
    r->told = NULL;
    kvi_job_count(&r->job);
    told(r->user, &result);
}

static void fail(kvi_reader *r, int err)
{
    tell(r, err, NULL, 0, 0);
    kvi_reader_go(r, KVI_READER_ENDING);
}

/* A digest that no object at hand explains leaves open what the replica holds. */
static bool explained(const kvi_reader *r, uint64_t digest)
{
    for (unsigned i = 0; i < r->plan.count; i++)
        if (r->replicas[i].state == KVI_REPLICA_OBJECT && r->replicas[i].digest == digest)
            return true;
    return false;
}

static bool settled(const kvi_reader *r, const kvi_replica *p)
{
    return p->state == KVI_REPLICA_NOTHING || p->state == KVI_REPLICA_OBJECT ||
           (p->state == KVI_REPLICA_DIGEST && explained(r, p->digest));
}

static bool counts(const kvi_replica *p)
{
    return p->primary || p->state != KVI_REPLICA_NOTHING;
}

/* All objects that came, in one. What does not decode was no answer. */
static int merge_all(const kvi_reader *r, kvi_object *into)
{
    int err = KV_OK;

    for (unsigned i = 0; i < r->plan.count && !err; i++) {
        const kvi_replica *p = &r->replicas[i];
        unsigned merged;

        if (p->state == KVI_REPLICA_OBJECT)
            err = kvi_object_merge_encoded(into, kvi_buf_slice(&p->object), &merged);
    }
    return err;
}

static void end_well(kvi_reader *r)
{
    uint8_t answered = 0, primaries = 0;
    kvi_object merged;
    bool repair = false;
    int err;

    for (unsigned i = 0; i < r->plan.count; i++) {
        const kvi_replica *p = &r->replicas[i];

        if (settled(r, p) && counts(p)) {
            answered++;
            primaries += p->primary;
        }
    }
    kvi_object_init(&merged, r->job.c->mem);
    err = merge_all(r, &merged);
    if (!err)
        repair = kvi_reader_repair_begin(r, &merged);
    tell(r, err, err ? NULL : &merged, answered, primaries);
    kvi_object_deinit(&merged);
    kvi_reader_go(r, repair ? KVI_READER_REPAIRING : KVI_READER_ENDING);
}

/* --- answers ---------------------------------------------------------------------------------- */

static void take_failure(kvi_reader *r, kvi_replica *p, int err)
{
    p->state = KVI_REPLICA_FAILED;
    r->failure = err;
}

/* p->object is the whole encoded object. One that does not decode is a failure of the replica. */
static void take_object(kvi_reader *r, kvi_replica *p)
{
    kvi_object o;
    int err;

    kvi_object_init(&o, r->job.c->mem);
    err = kvi_object_decode(&o, kvi_buf_slice(&p->object));
    kvi_object_deinit(&o);
    if (err) {
        take_failure(r, p, err);
        return;
    }
    p->state = KVI_REPLICA_OBJECT;
    p->digest = kvi_object_digest(kvi_buf_slice(&p->object));
}

static void own_read(kvi_store_read *read)
{
    kvi_reader *r = KVI_CONTAINER_OF(read, kvi_reader, read);
    kvi_replica *p = r->own;

    r->reading = false;
    if (p->state == KVI_REPLICA_ASKED) {
        kvi_colleague_took(r->job.c, p->node, r->job.c->cluster->now_ns - p->asked_ns);
        if (read->err == KV_ENOTFOUND)
            p->state = KVI_REPLICA_NOTHING;
        else if (read->err)
            take_failure(r, p, read->err);
        else
            take_object(r, p);
    }
    kvi_reader_step(r);
}

static void take_answer(kvi_reader *r, kvi_replica *p, const kvi_wire_read_answer *a)
{
    if (p->sends == 1)
        kvi_colleague_took(r->job.c, p->node, r->job.c->cluster->now_ns - p->asked_ns);
    if (kvi_error_passes(a->err)) {
        p->slow = true; /* asked again when that is due */
    } else if (a->err) {
        take_failure(r, p, a->err);
    } else if (a->holds == KVI_WIRE_HOLDS_NONE) {
        p->state = KVI_REPLICA_NOTHING;
    } else if (a->holds == KVI_WIRE_HOLDS_OBJECT) {
        int err = kvi_buf_set(&p->object, a->object.data, a->object.len);

        if (err)
            take_failure(r, p, err);
        else
            take_object(r, p);
    } else if (!p->full) {
        p->state = KVI_REPLICA_DIGEST;
        p->digest = a->digest;
    } /* else: a late one, to the question before */
}

static void receive(kvi_job *job, uint64_t from, const kvi_wire_message *m)
{
    kvi_reader *r = KVI_CONTAINER_OF(job, kvi_reader, job);

    if (m->kind == KVI_WIRE_APPLY_ACK && r->state == KVI_READER_REPAIRING)
        kvi_reader_repaired(r, from, &m->u.apply_ack);
    if (m->kind == KVI_WIRE_READ_ANSWER && r->state == KVI_READER_ASKING)
        for (unsigned i = 0; i < r->plan.count; i++)
            if (r->replicas[i].node == from && r->replicas[i].state == KVI_REPLICA_ASKED)
                take_answer(r, &r->replicas[i], &m->u.read_answer);
    kvi_reader_step(r);
}

/* --- questions -------------------------------------------------------------------------------- */

static void send(kvi_reader *r, kvi_replica *p)
{
    kvi_coordinator *c = r->job.c;
    kvi_wire_message m = {0};

    m.kind = KVI_WIRE_READ;
    m.u.read.id = r->job.id;
    m.u.read.space = r->space;
    m.u.read.token = r->plan.token;
    m.u.read.flags = p->full ? 0 : KVI_WIRE_READ_DIGEST;
    m.u.read.key = kvi_buf_slice(&r->key);
    p->sends++;
    p->pause_ns = p->sends == 1 ? KVI_REQUEST_RESEND_NS : p->pause_ns * 2;
    p->resend_ns = c->cluster->now_ns + p->pause_ns;
    c->effects->ops->send(c->effects, p->node, &m);
}

static void read_own(kvi_reader *r, kvi_replica *p)
{
    kvi_coordinator *c = r->job.c;

    if (r->reading)
        return;
    r->own = p;
    r->reading = true;
    r->read.key = kvi_buf_slice(&r->physical);
    r->read.value = &p->object;
    r->read.done = own_read;
    p->resend_ns = KVI_NEVER;
    c->effects->ops->read(c->effects, &r->read);
}

static void ask(kvi_reader *r, kvi_replica *p, bool full)
{
    kvi_coordinator *c = r->job.c;
    kvi_colleague *colleague = kvi_colleague_of(c, p->node);
    uint64_t p95_ns = colleague ? colleague->latency.p95_ns : KVI_LATENCY_START_NS;

    p->state = KVI_REPLICA_ASKED;
    p->full = full || p->node == c->cluster->self;
    p->slow = false;
    p->sends = 0;
    p->asked_ns = c->cluster->now_ns;
    p->slow_ns = p->asked_ns + kvi_max_u64(p95_ns, KVI_REQUEST_HEDGE_MIN_NS);
    r->asked_full = r->asked_full || p->full;
    if (p->node == c->cluster->self)
        read_own(r, p);
    else
        send(r, p);
}

/* The next to be asked: this node's replica, a primary, and where there are not r of those a
 * stand-in. NULL: nobody is left. */
static kvi_replica *pick(kvi_reader *r)
{
    bool primaries_only = r->flags & KV_PRIMARIES_ONLY;
    unsigned own = kvi_plan_place(&r->plan, r->job.c->cluster->self);

    if (own < r->plan.n && r->replicas[own].state == KVI_REPLICA_UNASKED)
        return &r->replicas[own];
    for (unsigned i = 0; i < (primaries_only ? r->plan.n : r->plan.count); i++)
        if (r->replicas[i].state == KVI_REPLICA_UNASKED && reachable(r, &r->replicas[i]))
            return &r->replicas[i];
    return NULL;
}

/* Whether an object is at hand, or on its way from one who is not late. */
static bool has_full(const kvi_reader *r)
{
    for (unsigned i = 0; i < r->plan.count; i++) {
        const kvi_replica *p = &r->replicas[i];

        if (p->state == KVI_REPLICA_OBJECT || p->state == KVI_REPLICA_NOTHING ||
            (p->state == KVI_REPLICA_ASKED && p->full && !p->slow))
            return true;
    }
    return false;
}

/* Once nobody who was asked for an object is waited for, digests that are not explained are asked
 * about. */
static void ask_digests(kvi_reader *r)
{
    for (unsigned i = 0; i < r->plan.count; i++)
        if (r->replicas[i].state == KVI_REPLICA_ASKED && !r->replicas[i].slow)
            return;
    for (unsigned i = 0; i < r->plan.count; i++) {
        kvi_replica *p = &r->replicas[i];

        if (p->state == KVI_REPLICA_DIGEST && !explained(r, p->digest))
            ask(r, p, true);
    }
}

/* When a replica is due again. */
static uint64_t next_look(const kvi_replica *p)
{
    if (p->state != KVI_REPLICA_ASKED)
        return KVI_NEVER;
    return p->slow ? p->resend_ns : kvi_min_u64(p->slow_ns, p->resend_ns);
}

/* Repetitions, and who is not waited for any longer. */
static void step_replica(kvi_reader *r, kvi_replica *p)
{
    uint64_t now_ns = r->job.c->cluster->now_ns;

    if (p->state != KVI_REPLICA_ASKED)
        return;
    if (now_ns >= p->slow_ns || !reachable(r, p))
        p->slow = true;
    if (now_ns >= p->resend_ns) {
        if (p->sends >= KVI_READER_SENDS)
            p->resend_ns = KVI_NEVER;
        else
            send(r, p);
    }
}

static void run_asking(kvi_reader *r)
{
    unsigned done = 0, hoped = 0, open = 0;
    uint64_t next = KVI_NEVER;
    kvi_replica *p;

    for (unsigned i = 0; i < r->plan.count; i++)
        step_replica(r, &r->replicas[i]);
    ask_digests(r);
    for (unsigned i = 0; i < r->plan.count; i++) {
        p = &r->replicas[i];
        next = kvi_min_u64(next, next_look(p));
        if (settled(r, p))
            done += counts(p);
        else if (p->state == KVI_REPLICA_DIGEST || (p->state == KVI_REPLICA_ASKED && !p->slow))
            hoped++;
        open += p->state == KVI_REPLICA_ASKED;
    }
    if (done >= r->r) {
        end_well(r);
        return;
    }
    while (done + hoped < r->r && (p = pick(r))) {
        ask(r, p, !p->primary || !has_full(r));
        hoped++;
        open++;
        next = kvi_min_u64(next, next_look(p));
    }
    if (open == 0 && r->failure)
        fail(r, kvi_error_set(r->failure, "replicas of the key could not read it: %s",
                              kvi_error_name(r->failure)));
    else if (open == 0) /* until one of them comes back, or the time is over */
        kvi_job_wake(&r->job, r->job.c->cluster->now_ns + KVI_REQUEST_LOOK_NS);
    else
        kvi_job_wake(&r->job, next);
}

/* --- the job ---------------------------------------------------------------------------------- */

static void run_waiting(kvi_reader *r)
{
    const kvi_cluster *cluster = r->job.c->cluster;
    kvi_slice key = kvi_buf_slice(&r->key);
    int err;

    /* An older document names others: whoever serves has the last one that moves partitions. */
    if (!cluster->ring || kvi_ring_stage(cluster->ring) != KVI_RING_SERVING) {
        cluster->want_serving(cluster->user);
        return;
    }
    err = kvi_plan_space(cluster, r->space, r->r, 0, &r->plan);
    if (!err) {
        kvi_plan_walk(cluster, kvi_ring_token(cluster->ring, key), &r->plan);
        err = kvi_key_data(&r->physical, r->space, r->plan.token, key);
    }
    if (err) {
        r->plan.count = 0;
        fail(r, err);
        return;
    }
    r->r = r->plan.r;
    for (unsigned i = 0; i < r->plan.count; i++) {
        r->replicas[i].node = r->plan.nodes[i];
        r->replicas[i].primary = i < r->plan.n;
        kvi_buf_init(&r->replicas[i].object, r->job.c->mem);
    }
    kvi_reader_go(r, KVI_READER_ASKING);
}

static void end(kvi_reader *r)
{
    kvi_coordinator *c = r->job.c;

    KVI_ASSERT(!r->told);
    c->repairs -= r->repairing;
    kvi_job_end(&r->job);
    for (unsigned i = 0; i < r->plan.count; i++)
        kvi_buf_deinit(&r->replicas[i].object);
    kvi_update_release(&r->update, c->mem);
    kvi_object_deinit(&r->fresh);
    kvi_buf_deinit(&r->key);
    kvi_buf_deinit(&r->physical);
    kvi_buf_deinit(&r->merged);
    kvi_buf_deinit(&r->objects);
    kvi_mem_free(c->mem, r);
}

static void give_up(kvi_reader *r)
{
    if (r->job.canceled)
        fail(r, kvi_error_set(KV_ECANCELED, "the read was given up"));
    else if (!r->job.c->cluster->ring)
        fail(r, kvi_error_set(KV_EUNAVAILABLE, "not a member of a cluster: %s",
                              r->job.c->cluster->why));
    else
        fail(r,
             kvi_error_set(KV_EUNAVAILABLE, "fewer than %u replicas have answered in time", r->r));
}

void kvi_reader_step(kvi_reader *r)
{
    if (r->told && (r->job.canceled || r->job.c->cluster->now_ns >= r->deadline_ns))
        give_up(r);
    if (r->state == KVI_READER_WAITING)
        run_waiting(r);
    if (r->state == KVI_READER_ASKING)
        run_asking(r);
    if (r->state == KVI_READER_REPAIRING && (r->job.canceled || kvi_reader_repair(r)))
        kvi_reader_go(r, KVI_READER_ENDING);
    if (r->told)
        kvi_job_wake(&r->job, r->deadline_ns);
    if (r->state == KVI_READER_ENDING && !r->reading && !r->updating)
        end(r);
}

static void due(kvi_job *job)
{
    kvi_reader_step(KVI_CONTAINER_OF(job, kvi_reader, job));
}

static const kvi_job_ops reader_ops = {due, receive};

int kvi_reader_begin(kvi_coordinator *c, const kvi_read_ask *ask, kvi_job **out)
{
    kvi_reader *r = kvi_mem_zalloc(c->mem, 1, sizeof *r);
    int err;

    if (!r)
        return kvi_error_set(KV_ENOMEM, "no memory for a read");
    kvi_buf_init(&r->key, c->mem);
    kvi_buf_init(&r->physical, c->mem);
    kvi_buf_init(&r->merged, c->mem);
    kvi_buf_init(&r->objects, c->mem);
    kvi_object_init(&r->fresh, c->mem);
    r->told = ask->told;
    r->user = ask->user;
    r->space = ask->space;
    r->flags = ask->flags;
    r->r = ask->r;
    r->deadline_ns = ask->deadline_ns;
    err = kvi_buf_set(&r->key, ask->key.data, ask->key.len);
    if (!err)
        err = kvi_job_begin(c, &r->job, &reader_ops, ask->counted);
    if (err) {
        kvi_buf_deinit(&r->key);
        kvi_mem_free(c->mem, r);
        return err;
    }
    *out = &r->job;
    return KV_OK;
}
