/*
 * The replay of one hint; see handoff.c for the contract.
 *
 *   read -> send, repeat -> acked -> settle (an update of its token) -> end
 *
 * One that is to be dropped begins at settle.
 */
#include "base/check.h"
#include "base/error.h"
#include "replication/key.h"
#include "replication/replication_impl.h"

typedef struct replay {
    kvi_replication *replication;
    kvi_hint_owner *owner;
    uint32_t space;
    uint64_t token;
    uint64_t weight; /* bytes, against PACE_BYTES */
    bool drop;       /* taken back unsent, if it was made no later than … */
    int64_t made_ms; /* … this */
    kvi_buf key, physical;
    kvi_buf sent; /* the object */
    kvi_store_read read;
    uint64_t id; /* in r->replays; 0: waits for no answer */
    unsigned sends;
    kvi_heap_node timer;
    kvi_update update;
} replay;

/* --- the end of one -------------------------------------------------------------------------- */

static void stop_waiting(replay *p)
{
    kvi_replication *r = p->replication;

    if (p->id)
        kvi_map_remove(&r->replays, p->id);
    p->id = 0;
    kvi_heap_remove(&r->timers, &p->timer);
}

static void free_replay(replay *p)
{
    const kvi_mem *mem = p->replication->mem;

    stop_waiting(p);
    p->owner->active--;
    p->owner->active_bytes -= p->weight;
    kvi_update_release(&p->update, mem);
    kvi_buf_deinit(&p->key);
    kvi_buf_deinit(&p->physical);
    kvi_buf_deinit(&p->sent);
    kvi_mem_free(mem, p);
}

static void end(replay *p)
{
    kvi_replication *r = p->replication;
    kvi_hint_owner *o = p->owner;

    free_replay(p);
    kvi_handoff_pump(r, o);
}

/* Without success; the hint stays. */
static void give_up(replay *p, int err)
{
    if (err == KV_ECANCELED)
        p->replication->closing = true;
    kvi_handoff_pause(p->replication, p->owner);
    end(p);
}

/* --- taking a hint back ---------------------------------------------------------------------- */

/* Whether the object stays here without a hint. What is not known is not dropped. */
static bool keeps_object(const kvi_replication *r, uint32_t space_id, uint64_t token)
{
    const kvi_ring *ring = r->cluster->ring;
    const kvi_ring_space *space = ring ? kvi_ring_space_of(ring, space_id) : NULL;

    return !space || kvi_ring_is_primary(ring, kvi_ring_partition(ring, token), space->policy.n,
                                         r->cluster->self);
}

static int settle_decide(kvi_update *u)
{
    replay *p = u->user;
    kvi_update_item *item = &u->items[0];

    if (!p->drop && !kvi_slice_eq(kvi_buf_slice(&item->found), kvi_buf_slice(&p->sent)))
        return KV_OK; /* it has changed since: the owner lacks what is new */
    u->unhint_for = p->owner->node;
    if (p->drop)
        u->unhint_made_ms = p->made_ms;
    else
        item->drop = item->found.len > 0 && !keeps_object(p->replication, p->space, p->token);
    return KV_OK;
}

static void settle_done(kvi_update *u, int err)
{
    replay *p = u->user;
    kvi_replication_stats *stats = &p->replication->stats;

    if (err) {
        give_up(p, err);
        return;
    }
    if (u->unhinted > 0) {
        p->owner->walk_ended++;
        p->owner->pause_ns = 0;
        stats->objects_dropped += u->items[0].drop;
        if (p->drop)
            stats->hints_dropped++;
        else
            stats->hints_settled++;
    }
    end(p);
}

/* The removal itself need not be durable: what comes back by a crash is replayed again. */
static void settle(replay *p)
{
    kvi_replication *r = p->replication;
    int err = kvi_update_init(&p->update, r->mem, 1);

    if (err) {
        give_up(p, err);
        return;
    }
    p->update.token = p->token;
    p->update.durability = KV_MEMORY;
    p->update.items[0].space = p->space;
    p->update.items[0].key = kvi_buf_slice(&p->key);
    p->update.decide = settle_decide;
    p->update.done = settle_done;
    p->update.user = p;
    kvi_update_begin(r->updates, &p->update);
}

/* --- sending --------------------------------------------------------------------------------- */

static int send_object(replay *p)
{
    kvi_replication *r = p->replication;
    kvi_wire_object object = {p->space, kvi_buf_slice(&p->key), kvi_buf_slice(&p->sent)};
    kvi_wire_message m;
    kvi_buf items;
    int err;

    kvi_buf_init(&items, r->mem);
    err = kvi_wire_objects_put(&items, &object);
    if (err)
        goto out;
    memset(&m, 0, sizeof m);
    m.kind = KVI_WIRE_APPLY;
    m.u.apply.id = p->id;
    m.u.apply.space = p->space;
    m.u.apply.token = p->token;
    m.u.apply.durability = KV_DISK;
    m.u.apply.flags = KVI_WIRE_APPLY_HANDOFF;
    m.u.apply.items.count = 1;
    m.u.apply.items.bytes = kvi_buf_slice(&items);
    r->effects->ops->send(r->effects, p->owner->node, &m);
    r->stats.replays++;
    p->sends++;
out:
    kvi_buf_deinit(&items);
    return err;
}

/* When what was just sent is repeated. */
static uint64_t resend_ns(const replay *p)
{
    return p->replication->cluster->now_ns + (KVI_HINTS_RESEND_NS << (p->sends - 1));
}

static uint64_t new_id(kvi_replication *r)
{
    return KVI_REPLICATION_ID | (r->next_id++ & ~KVI_REPLICATION_ID);
}

static void begin_sending(replay *p)
{
    kvi_replication *r = p->replication;
    uint64_t id = new_id(r);
    int err = kvi_map_insert(&r->replays, id, p);

    if (!err) {
        p->id = id;
        err = send_object(p);
    }
    if (!err)
        err = kvi_heap_push(&r->timers, &p->timer, resend_ns(p));
    if (err)
        give_up(p, err);
}

static void object_read(kvi_store_read *read)
{
    replay *p = KVI_CONTAINER_OF(read, replay, read);

    if (read->err && read->err != KV_ENOTFOUND) {
        give_up(p, read->err);
    } else if (read->err == KV_ENOTFOUND) {
        kvi_buf_clear(&p->sent);
        settle(p); /* a hint at nothing, unless something has come meanwhile */
    } else if (p->sent.len == 0) {
        give_up(p, KV_ECORRUPT);
    } else {
        begin_sending(p);
    }
}

void kvi_hint_replay_acked(kvi_replication *r, uint64_t from, const kvi_wire_apply_ack *m)
{
    replay *p = kvi_map_find(&r->replays, m->id);

    if (!p || p->owner->node != from)
        return;
    stop_waiting(p);
    /* A store without a log answers with the best it has. What the owner calls its error says
     * nothing about this node. */
    if (m->err || (m->durability != KV_DISK && m->durability != KV_MEMORY))
        give_up(p, KV_EUNAVAILABLE);
    else
        settle(p);
}

/* Due, and no answer yet. */
static void repeat(replay *p)
{
    kvi_replication *r = p->replication;

    if (!kvi_handoff_reachable(r, p->owner)) {
        stop_waiting(p);
        end(p);
        return;
    }
    if (p->sends > KVI_HINTS_RESENDS || send_object(p)) {
        give_up(p, KV_EUNAVAILABLE);
        return;
    }
    kvi_heap_change(&r->timers, &p->timer, resend_ns(p));
}

/* --- the beginning ---------------------------------------------------------------------------- */

/* NULL: *err says why. */
static replay *new_replay(kvi_replication *r, kvi_hint_owner *o, kvi_slice physical,
                          uint64_t weight, int *err)
{
    replay *p = kvi_mem_zalloc(r->mem, 1, sizeof *p);
    uint64_t node = 0;
    kvi_slice key = {NULL, 0};

    if (!p) {
        *err = kvi_error_set(KV_ENOMEM, "cannot allocate what the replay of a hint needs");
        return NULL;
    }
    p->replication = r;
    p->owner = o;
    p->weight = weight;
    o->active++;
    o->active_bytes += weight;
    kvi_buf_init(&p->key, r->mem);
    kvi_buf_init(&p->physical, r->mem);
    kvi_buf_init(&p->sent, r->mem);
    kvi_heap_node_init(&p->timer);
    *err = kvi_key_parse_hint(physical, &node, &p->space, &p->token, &key);
    if (!*err)
        *err = kvi_buf_set(&p->key, key.data, key.len);
    if (!*err)
        *err = kvi_key_data(&p->physical, p->space, p->token, key);
    if (!*err)
        return p;
    free_replay(p);
    return NULL;
}

/* A key that cannot be read was told of when it was counted: it does not hold up the others. */
static int or_skip(int err)
{
    return err == KV_ECORRUPT ? KV_OK : err;
}

int kvi_hint_replay_begin(kvi_replication *r, kvi_hint_owner *o, kvi_slice physical, uint64_t bytes)
{
    int err = KV_OK;
    replay *p = new_replay(r, o, physical, bytes, &err);

    if (!p)
        return or_skip(err);
    p->read.key = kvi_buf_slice(&p->physical);
    p->read.value = &p->sent;
    p->read.done = object_read;
    r->effects->ops->read(r->effects, &p->read);
    return KV_OK;
}

int kvi_hint_replay_begin_drop(kvi_replication *r, kvi_hint_owner *o, kvi_slice physical,
                               int64_t made_ms)
{
    int err = KV_OK;
    replay *p = new_replay(r, o, physical, 0, &err);

    if (!p)
        return or_skip(err);
    p->drop = true;
    p->made_ms = made_ms;
    settle(p);
    return KV_OK;
}

/* --- for handoff.c ---------------------------------------------------------------------------- */

void kvi_hint_replay_init(kvi_replication *r)
{
    kvi_map_init(&r->replays, r->mem);
    kvi_heap_init(&r->timers, r->mem);
    r->next_id = kvi_rng_next(&r->cluster->rng);
}

void kvi_hint_replay_deinit(kvi_replication *r)
{
    while (kvi_heap_count(&r->timers) > 0)
        free_replay(KVI_CONTAINER_OF(kvi_heap_peek(&r->timers), replay, timer));
    KVI_ASSERT(kvi_map_count(&r->replays) == 0);
    kvi_map_deinit(&r->replays);
    kvi_heap_deinit(&r->timers);
}

void kvi_hint_replay_tick(kvi_replication *r)
{
    kvi_heap_node *first;

    while ((first = kvi_heap_peek(&r->timers)) != NULL && first->key <= r->cluster->now_ns)
        repeat(KVI_CONTAINER_OF(first, replay, timer));
}
