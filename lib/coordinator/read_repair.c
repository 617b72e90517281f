/*
 * Read repair: replicas whose answers were not what all of them came to are sent that, behind the
 * read's answer; see read.h. As far as it gets: anti-entropy does the rest.
 */
#include "base/error.h"
#include "coordinator/read.h"

/* Primaries that are not what `merged` is. A stand-in's copy is its owner's business, by its
 * hint. */
static bool mark_stale(kvi_reader *r)
{
    uint64_t digest = kvi_object_digest(kvi_buf_slice(&r->merged));
    bool any = false;

    for (unsigned i = 0; i < r->plan.n; i++) {
        kvi_replica *p = &r->replicas[i];

        p->stale = p->state == KVI_REPLICA_NOTHING ||
                   ((p->state == KVI_REPLICA_DIGEST || p->state == KVI_REPLICA_OBJECT) &&
                    p->digest != digest);
        any = any || p->stale;
    }
    return any;
}

/* Whether the answers differ at all, which is cheaper to see. */
static bool differ(const kvi_reader *r)
{
    const kvi_replica *first = NULL;
    bool nothing = false;

    for (unsigned i = 0; i < r->plan.count; i++) {
        const kvi_replica *p = &r->replicas[i];

        nothing = nothing || p->state == KVI_REPLICA_NOTHING;
        if (p->state != KVI_REPLICA_DIGEST && p->state != KVI_REPLICA_OBJECT)
            continue;
        if (first && first->digest != p->digest)
            return true;
        first = p;
    }
    return first && nothing;
}

static int decide(kvi_update *u)
{
    kvi_reader *r = u->user;
    unsigned merged;
    int err = kvi_object_merge(&u->items[0].object, &r->fresh, &merged);

    u->items[0].changed = !err && (merged & KVI_MERGE_GAINED);
    return err;
}

static void updated(kvi_update *u, int err)
{
    kvi_reader *r = u->user;

    (void)err;
    r->updating = false;
    kvi_reader_step(r);
}

static void repair_own(kvi_reader *r)
{
    kvi_coordinator *c = r->job.c;
    kvi_update *u = &r->update;

    if (kvi_object_decode(&r->fresh, kvi_buf_slice(&r->merged)) || kvi_update_init(u, c->mem, 1))
        return;
    u->items[0].space = r->space;
    u->items[0].key = kvi_buf_slice(&r->key);
    u->token = r->plan.token;
    u->durability = kvi_cluster_durability(c->cluster, 0);
    u->decide = decide;
    u->done = updated;
    u->user = r;
    r->updating = true;
    kvi_update_begin(kvi_replication_updates(c->config.replication), u);
}

bool kvi_reader_repair_begin(kvi_reader *r, const kvi_object *merged)
{
    kvi_coordinator *c = r->job.c;
    kvi_wire_object object;

    if (kvi_object_empty(merged) || c->closing || c->repairs >= KVI_READER_REPAIRS_MAX ||
        !differ(r) || kvi_object_encode(merged, &r->merged) || !mark_stale(r))
        return false;
    object.space = r->space;
    object.key = kvi_buf_slice(&r->key);
    object.object = kvi_buf_slice(&r->merged);
    if (kvi_wire_objects_put(&r->objects, &object))
        return false;
    r->repairing = true;
    c->repairs++;
    r->repair_ns = c->cluster->now_ns;
    for (unsigned i = 0; i < r->plan.n; i++) {
        if (!r->replicas[i].stale || r->replicas[i].node != c->cluster->self)
            continue;
        r->replicas[i].stale = false;
        repair_own(r);
    }
    return true;
}

static void send(kvi_reader *r, kvi_replica *p)
{
    kvi_coordinator *c = r->job.c;
    kvi_wire_message m = {0};

    m.kind = KVI_WIRE_APPLY;
    m.u.apply.id = r->job.id;
    m.u.apply.space = r->space;
    m.u.apply.token = r->plan.token;
    m.u.apply.durability = kvi_cluster_durability(c->cluster, 0);
    m.u.apply.flags = KVI_WIRE_APPLY_REPAIR;
    m.u.apply.items.count = 1;
    m.u.apply.items.bytes = kvi_buf_slice(&r->objects);
    p->repairs++;
    c->effects->ops->send(c->effects, p->node, &m);
}

bool kvi_reader_repair(kvi_reader *r)
{
    kvi_coordinator *c = r->job.c;
    uint64_t now_ns = c->cluster->now_ns;
    bool due = now_ns >= r->repair_ns, waits = false;

    for (unsigned i = 0; i < r->plan.n; i++) {
        kvi_replica *p = &r->replicas[i];

        if (p->stale && due) {
            if (p->repairs >= KVI_READER_REPAIR_SENDS)
                p->stale = false;
            else
                send(r, p);
        }
        waits = waits || p->stale;
    }
    if (due) {
        r->repair_pause_ns = r->repair_pause_ns ? r->repair_pause_ns * 2 : KVI_REQUEST_RESEND_NS;
        r->repair_ns = now_ns + r->repair_pause_ns;
    }
    if (waits)
        kvi_job_wake(&r->job, r->repair_ns);
    return !waits;
}

void kvi_reader_repaired(kvi_reader *r, uint64_t from, const kvi_wire_apply_ack *ack)
{
    for (unsigned i = 0; i < r->plan.n; i++)
        if (r->replicas[i].node == from && !kvi_error_passes(ack->err))
            r->replicas[i].stale = false;
}
