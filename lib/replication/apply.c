/*
 * APPLY: objects that another node sends are merged with what is here.
 *
 * 1. All of a message is looked at before anything of it is used: one object that cannot be read
 *    refuses all.
 * 2. The message is copied: it is borrowed, and the update outlives it.
 * 3. Each is answered once, whatever becomes of it.
 */
#include "base/check.h"
#include "base/error.h"
#include "replication/key.h"
#include "replication/replication_impl.h"

#define NONE UINT32_MAX

typedef struct apply_job {
    kvi_replication *replication;
    uint64_t from, id;
    uint8_t flags;
    kvi_buf bytes; /* the items, copied */
    uint32_t count;
    kvi_object *incoming; /* of each item; values borrow from bytes */
    uint32_t newer;       /* the item of which there is a newer stamp here, the newest; NONE … */
    uint64_t newer_stamp; /* … it */
    kvi_map seen;         /* hashes of the keys, while they are compared */
    kvi_update update;
} apply_job;

static void answer(kvi_replication *r, uint64_t to, uint64_t id, int err, uint8_t durability,
                   kvi_slice newer)
{
    kvi_wire_message m;

    memset(&m, 0, sizeof m);
    m.kind = KVI_WIRE_APPLY_ACK;
    m.u.apply_ack.id = id;
    m.u.apply_ack.err = err;
    m.u.apply_ack.durability = durability;
    m.u.apply_ack.newer = newer;
    r->effects->ops->send(r->effects, to, &m);
}

static void free_job(apply_job *job)
{
    const kvi_mem *mem = job->replication->mem;

    kvi_update_release(&job->update, mem);
    for (uint32_t i = 0; job->incoming && i < job->count; i++)
        kvi_object_deinit(&job->incoming[i]);
    kvi_mem_free(mem, job->incoming);
    kvi_map_deinit(&job->seen);
    kvi_buf_deinit(&job->bytes);
    job->replication->jobs--;
    kvi_mem_free(mem, job);
}

/* --- the update ------------------------------------------------------------------------------ */

static int merge_one(apply_job *job, uint32_t i, bool *newer)
{
    kvi_update_item *item = &job->update.items[i];
    unsigned merged = 0;
    uint64_t stamp;
    int err = kvi_object_merge(&item->object, &job->incoming[i], &merged);

    if (err)
        return err;
    item->changed = (merged & KVI_MERGE_GAINED) != 0;
    *newer = item->object.lww && !item->changed && (merged & KVI_MERGE_AHEAD) &&
             !(job->flags & KVI_WIRE_APPLY_HANDOFF);
    if (!*newer)
        return KV_OK;
    stamp = kvi_object_stamp(&item->object, NULL);
    if (job->newer == NONE || stamp > job->newer_stamp) {
        job->newer = i;
        job->newer_stamp = stamp;
    }
    return KV_OK;
}

static int apply_decide(kvi_update *u)
{
    apply_job *job = u->user;
    uint32_t refused = 0;

    for (uint32_t i = 0; i < u->count; i++) {
        bool newer = false;
        int err = merge_one(job, i, &newer);

        if (err)
            return err;
        refused += newer;
    }
    if (refused == u->count) { /* nothing of it stays: nothing to hint at or to wait for */
        u->hint_for = 0;
        u->durability = KV_MEMORY;
    }
    return KV_OK;
}

static void apply_done(kvi_update *u, int err)
{
    apply_job *job = u->user;
    kvi_replication *r = job->replication;
    const kvi_cluster *c = r->cluster;
    uint8_t reached = u->durability == KV_DISK ? KV_DISK : KV_OS;
    kvi_slice newer = {NULL, 0};

    if (!err) {
        r->stats.applied += u->count;
        if (job->newer != NONE) {
            newer = kvi_buf_slice(&u->items[job->newer].bytes);
            err = kvi_error_set(KV_ECONFLICT, "there is a newer write of the key");
        }
    }
    answer(r, job->from, job->id, err, c->logged ? reached : KV_MEMORY, newer);
    free_job(job);
}

/* --- what comes ------------------------------------------------------------------------------ */

static int check_message(kvi_replication *r, const kvi_wire_apply *m)
{
    const kvi_cluster *c = r->cluster;

    if (!c->ring)
        return kvi_error_set(KV_EUNAVAILABLE, "this node has no ring yet");
    if (m->items.count > KVI_UPDATE_KEYS_MAX)
        return kvi_error_set(KV_ETOOBIG, "%u objects at once are more than %u",
                             (unsigned)m->items.count, KVI_UPDATE_KEYS_MAX);
    if (m->items.count == 0 || m->durability > KV_DISK ||
        (m->flags & ~(unsigned)(KVI_WIRE_APPLY_REPAIR | KVI_WIRE_APPLY_HANDOFF)))
        return kvi_error_set(KV_EINVAL, "an APPLY of no items, or of unknown flags or durability");
    /* One that this node would drop again, as its owner is no member by the ring that is known
     * here. */
    if (m->hint_for && m->hint_for != c->self && !kvi_ring_member_of(c->ring, m->hint_for))
        return kvi_error_set(KV_EBUSY, "a hint for a node that is not in the ring known here");
    if (r->jobs >= KVI_REPLICA_JOBS_MAX)
        return kvi_error_set(KV_EBUSY, "%u requests of other nodes are under way",
                             (unsigned)r->jobs);
    return KV_OK;
}

/* Keys of one update are distinct. Hashes that meet by chance are told apart, and moved on. */
static int check_distinct(apply_job *job, uint32_t i)
{
    kvi_update_item *item = &job->update.items[i];
    uint64_t hash = kvi_hash64(item->key.data, item->key.len, item->space);
    const kvi_update_item *other;

    if (job->count == 1)
        return KV_OK;
    while ((other = kvi_map_find(&job->seen, hash)) != NULL) {
        if (other->space == item->space && kvi_slice_eq(other->key, item->key))
            return kvi_error_set(KV_EINVAL, "an APPLY has one key twice");
        hash = kvi_mix64(hash + 1);
    }
    return kvi_map_insert(&job->seen, hash, item);
}

static int take_object(apply_job *job, uint32_t i, const kvi_wire_object *from, uint64_t token)
{
    kvi_replication *r = job->replication;
    kvi_object *o = &job->incoming[i];
    kvi_hlc clock;
    int err;

    if (!kvi_key_holds_data(from->space) || kvi_ring_token(r->cluster->ring, from->key) != token)
        return kvi_error_set(KV_EINVAL, "an object for no space of data, or of another token");
    err = kvi_object_decode(o, from->object);
    if (err)
        return err;
    if (kvi_object_empty(o))
        return kvi_error_set(KV_ECORRUPT, "an object that is empty");
    if (o->lww) {
        kvi_hlc_init(&clock, 0);
        err = kvi_hlc_observe(&clock, kvi_object_stamp(o, NULL), r->cluster->wall_ms);
        if (err) {
            r->stats.drift_refused++;
            return err;
        }
    }
    job->update.items[i].space = from->space;
    job->update.items[i].key = from->key;
    return check_distinct(job, i);
}

static int take_items(apply_job *job, const kvi_wire_apply *m)
{
    const kvi_mem *mem = job->replication->mem;
    kvi_wire_items items = {m->items.count, {NULL, 0}};
    kvi_wire_items_iter it;
    kvi_wire_object object;
    uint32_t i = 0;
    int err = kvi_buf_set(&job->bytes, m->items.bytes.data, m->items.bytes.len);

    if (!err)
        err = kvi_update_init(&job->update, mem, m->items.count);
    if (err)
        return err;
    job->incoming = kvi_mem_zalloc(mem, m->items.count, sizeof *job->incoming);
    if (!job->incoming)
        return kvi_error_set(KV_ENOMEM, "cannot allocate %u objects", (unsigned)m->items.count);
    job->count = m->items.count;
    for (uint32_t j = 0; j < job->count; j++)
        kvi_object_init(&job->incoming[j], mem);
    items.bytes = kvi_buf_slice(&job->bytes);
    kvi_wire_items_begin(&it, items);
    for (; !err && kvi_wire_objects_next(&it, &object); i++)
        err = take_object(job, i, &object, m->token);
    kvi_map_deinit(&job->seen);
    return err;
}

static int begin(kvi_replication *r, uint64_t from, const kvi_wire_apply *m)
{
    int err = check_message(r, m);
    apply_job *job;

    if (err)
        return err;
    job = kvi_mem_zalloc(r->mem, 1, sizeof *job);
    if (!job)
        return kvi_error_set(KV_ENOMEM, "cannot allocate what an APPLY needs");
    r->jobs++;
    job->replication = r;
    job->from = from;
    job->id = m->id;
    job->flags = m->flags;
    job->newer = NONE;
    kvi_buf_init(&job->bytes, r->mem);
    kvi_map_init(&job->seen, r->mem);
    err = take_items(job, m);
    if (err) {
        free_job(job);
        return err;
    }
    job->update.token = m->token;
    job->update.durability = kvi_cluster_durability(r->cluster, m->durability);
    job->update.hint_for = m->hint_for;
    job->update.decide = apply_decide;
    job->update.done = apply_done;
    job->update.user = job;
    kvi_update_begin(r->updates, &job->update);
    return KV_OK;
}

void kvi_apply_receive(kvi_replication *r, uint64_t from, const kvi_wire_apply *m)
{
    int err = begin(r, from, m);

    if (err)
        answer(r, from, m->id, err, 0, kvi_slice_of(NULL, 0));
}
