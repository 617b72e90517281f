/*
 * A write on its way to all its replicas; see write.h. Everything is looked at anew in each step:
 * who has it, whom to send it again, who else can hold it for one that is away.
 */
#include "base/error.h"
#include "coordinator/write.h"

_Static_assert(KVI_RING_LIST_MAX <= 16, "the nodes of a plan are bits of stood_in");

static kvi_coordinator *coordinator_of(const kvi_writer *w)
{
    return w->job.c;
}

static bool reachable(const kvi_writer *w, uint64_t node)
{
    return kvi_node_reachable(coordinator_of(w)->cluster, node);
}

static bool has(const kvi_holder *h)
{
    return h->state == KVI_HOLDER_HELD || h->state == KVI_HOLDER_WEAK;
}

static bool slot_settled(const kvi_slot *s)
{
    return has(&s->primary) || has(&s->stand_in) || s->marker == KVI_MARKER_HELD ||
           s->marker == KVI_MARKER_FAILED;
}

/* --- who ------------------------------------------------------------------------------------- */

bool kvi_writer_possible(const kvi_writer *w)
{
    uint64_t self = coordinator_of(w)->cluster->self;
    unsigned own = kvi_plan_place(&w->plan, self);
    unsigned primaries = 0, others = own == w->plan.count;

    if ((w->ask.flags & KV_PRIMARIES_ONLY) && own >= w->plan.n)
        return false;
    for (unsigned i = 0; i < w->plan.count; i++) {
        if (!reachable(w, w->plan.nodes[i]))
            continue;
        if (i < w->plan.n)
            primaries++;
        else
            others++;
    }
    if (w->ask.flags & KV_PRIMARIES_ONLY)
        others = 0;
    return primaries + others >= w->plan.w && w->plan.w <= w->plan.n;
}

uint64_t kvi_writer_own_slot(kvi_writer *w)
{
    unsigned own = kvi_plan_place(&w->plan, coordinator_of(w)->cluster->self), i = 0;

    if (!w->own) {
        for (unsigned k = 0; k < w->plan.n; k++)
            w->slots[k].primary.node = w->plan.nodes[k];
        if (own < w->plan.n) {
            w->own = &w->slots[own].primary;
        } else {
            while (i < w->plan.n && reachable(w, w->plan.nodes[i]))
                i++;
            i = i < w->plan.n ? i : 0;
            w->own = &w->slots[i].stand_in;
            w->own->node = coordinator_of(w)->cluster->self;
            if (own < w->plan.count)
                w->stood_in |= (uint16_t)(1u << own);
        }
    }
    for (i = 0; i < w->plan.n; i++)
        if (w->own == &w->slots[i].stand_in)
            return w->slots[i].primary.node;
    return 0;
}

static void anew(kvi_holder *h)
{
    if (h->state == KVI_HOLDER_FAILED)
        return;
    h->state = KVI_HOLDER_NONE;
    h->sends = 0;
}

void kvi_writer_spread_begin(kvi_writer *w)
{
    w->applied = 0;
    kvi_buf_clear(&w->apply);
    for (uint32_t i = 0; i < w->count; i++) {
        const kvi_update_item *item = &w->update.items[i];
        kvi_wire_object object = {item->space, item->key, kvi_buf_slice(&item->bytes)};
        int err = kvi_wire_objects_put(&w->apply, &object);

        KVI_ASSERT(err == KV_OK); /* decide has made sure of room and size */
        w->applied++;
    }
    for (unsigned i = 0; i < w->plan.n; i++) {
        anew(&w->slots[i].primary);
        anew(&w->slots[i].stand_in);
    }
    w->own->state = KVI_HOLDER_SENT;
    w->own->resend_ns = KVI_NEVER;
}

/* --- sending --------------------------------------------------------------------------------- */

static void send(kvi_writer *w, kvi_holder *h, uint64_t hint_for)
{
    kvi_coordinator *c = coordinator_of(w);
    kvi_wire_message m = {0};

    m.kind = KVI_WIRE_APPLY;
    m.u.apply.id = w->job.id;
    m.u.apply.space = w->items[0].space;
    m.u.apply.token = w->plan.token;
    m.u.apply.durability = w->durability;
    m.u.apply.hint_for = hint_for;
    m.u.apply.items.count = w->applied;
    m.u.apply.items.bytes = kvi_buf_slice(&w->apply);
    h->pause_ns = h->sends == 0 ? KVI_REQUEST_RESEND_NS : h->pause_ns * 2;
    if (h->sends < KVI_REQUEST_RESENDS)
        h->sends++;
    else
        h->pause_ns /= 2; /* as often as the last time */
    h->state = KVI_HOLDER_SENT;
    h->resend_ns = c->cluster->now_ns + h->pause_ns;
    c->effects->ops->send(c->effects, h->node, &m);
}

static bool late(const kvi_writer *w, const kvi_holder *h)
{
    return h->state == KVI_HOLDER_SENT && coordinator_of(w)->cluster->now_ns >= h->resend_ns;
}

static void step_primary(kvi_writer *w, kvi_holder *h)
{
    if (h == w->own)
        return;
    if (h->state == KVI_HOLDER_NONE && reachable(w, h->node)) {
        send(w, h, 0);
    } else if (late(w, h)) {
        if (!w->told && h->sends >= KVI_REQUEST_RESENDS)
            h->state = KVI_HOLDER_FAILED;
        else if (reachable(w, h->node))
            send(w, h, 0);
        else
            h->resend_ns = coordinator_of(w)->cluster->now_ns + h->pause_ns;
    }
}

/* Whether somebody else should hold it for this primary. */
static bool is_away(const kvi_writer *w, const kvi_holder *h)
{
    return h->state == KVI_HOLDER_FAILED || !reachable(w, h->node) ||
           h->sends > KVI_WRITER_STAND_IN;
}

/* The next node that nobody has asked to stand in; false: there is none. */
static bool pick(kvi_writer *w, kvi_holder *h)
{
    uint64_t self = coordinator_of(w)->cluster->self;

    if (w->ask.flags & KV_PRIMARIES_ONLY)
        return false;
    for (unsigned i = w->plan.n; i < w->plan.count; i++) {
        uint64_t node = w->plan.nodes[i];

        if (node == self || (w->stood_in & 1u << i) || !reachable(w, node))
            continue;
        w->stood_in |= (uint16_t)(1u << i);
        h->node = node;
        h->state = KVI_HOLDER_NONE;
        h->sends = 0;
        return true;
    }
    return false;
}

/* Has the slot's stand-in asked; false: nobody is left who could. */
static bool step_stand_in(kvi_writer *w, kvi_slot *s)
{
    kvi_holder *h = &s->stand_in;

    if (h == w->own && h->state != KVI_HOLDER_FAILED)
        return true;
    if (h->state == KVI_HOLDER_SENT && reachable(w, h->node)) {
        if (!late(w, h))
            return true;
        if (h->sends < KVI_WRITER_STAND_IN_MAX) {
            send(w, h, s->primary.node);
            return true;
        }
    }
    if (h->state != KVI_HOLDER_NONE || h->node == 0 || !reachable(w, h->node)) {
        if (h == w->own) { /* this node's store failed; another takes its place in the slot */
            w->lost = *h;
            w->own = &w->lost;
        }
        if (!pick(w, h)) {
            h->state = KVI_HOLDER_FAILED;
            return false;
        }
    }
    send(w, h, s->primary.node);
    return true;
}

/* --- markers ---------------------------------------------------------------------------------- */

/* The own copy may be gone: a stand-in's goes with its hint, once that owner has it. */
static int keep_all(kvi_update *u)
{
    kvi_writer *w = u->user;
    kvi_wire_items items = {w->applied, kvi_buf_slice(&w->apply)};
    kvi_wire_items_iter it;
    kvi_wire_object from;
    int err = KV_OK;

    kvi_wire_items_begin(&it, items);
    for (uint32_t i = 0; !err && kvi_wire_objects_next(&it, &from); i++) {
        unsigned merged = 0;

        err = kvi_object_merge_encoded(&u->items[i].object, from.object, &merged);
        u->items[i].changed = merged & KVI_MERGE_GAINED;
    }
    return err;
}

static void marked(kvi_update *u, int err)
{
    kvi_writer *w = u->user;
    kvi_slot *s = w->marked;

    w->marking = false;
    w->marked = NULL;
    if (!err)
        s->marker = KVI_MARKER_HELD;
    else
        s->marker = err == KV_ENOMEM ? KVI_MARKER_NONE : KVI_MARKER_FAILED;
    kvi_writer_step(w);
}

/* This node keeps a hint beside its own copy. One at a time. */
static void mark(kvi_writer *w, kvi_slot *s)
{
    kvi_coordinator *c = coordinator_of(w);
    kvi_update *u = &w->marker;

    if (w->marking || s->marker != KVI_MARKER_NONE)
        return;
    if (s->marks++ >= KVI_WRITER_MARKS) {
        s->marker = KVI_MARKER_FAILED;
        return;
    }
    kvi_update_release(u, c->mem);
    if (kvi_update_init(u, c->mem, w->count))
        return; /* tried again when the job is due next */
    for (uint32_t i = 0; i < w->count; i++) {
        u->items[i].space = w->items[i].space;
        u->items[i].key = w->items[i].key;
    }
    u->token = w->plan.token;
    u->durability = w->durability;
    u->hint_for = s->primary.node;
    u->decide = keep_all;
    u->done = marked;
    u->user = w;
    w->marking = true;
    w->marked = s;
    s->marker = KVI_MARKER_BUSY;
    kvi_update_begin(kvi_replication_updates(c->config.replication), u);
}

void kvi_writer_mark_rest(kvi_writer *w)
{
    for (unsigned i = 0; i < w->plan.n; i++) {
        kvi_slot *s = &w->slots[i];
        bool own = w->own == &s->primary || w->own == &s->stand_in;

        if (slot_settled(s) || (own && w->updating))
            continue;
        if (own) /* this node's store failed: it keeps nothing for itself */
            s->marker = KVI_MARKER_FAILED;
        else
            mark(w, s);
    }
}

/* --- a step ----------------------------------------------------------------------------------- */

static uint64_t step_slot(kvi_writer *w, kvi_slot *s)
{
    uint64_t now_ns = coordinator_of(w)->cluster->now_ns, next = KVI_NEVER;

    if (has(&s->primary) || (!w->told && slot_settled(s)))
        return next;
    step_primary(w, &s->primary);
    if (s->primary.state == KVI_HOLDER_SENT)
        next = s->primary.resend_ns;
    if (is_away(w, &s->primary) && !has(&s->stand_in)) {
        if (!step_stand_in(w, s))
            mark(w, s);
        else
            next = kvi_min_u64(next, s->stand_in.resend_ns);
    }
    if (s->marker == KVI_MARKER_NONE && s->marks > 0)
        next = kvi_min_u64(next, now_ns + KVI_REQUEST_RESEND_NS);
    return next;
}

uint64_t kvi_writer_spread(kvi_writer *w)
{
    uint64_t next = KVI_NEVER;

    if (coordinator_of(w)->closing)
        return coordinator_of(w)->cluster->now_ns + KVI_REQUEST_RESEND_NS;
    for (unsigned i = 0; i < w->plan.n; i++)
        next = kvi_min_u64(next, step_slot(w, &w->slots[i]));
    return next;
}

void kvi_writer_count(const kvi_writer *w, uint8_t *acks, uint8_t *primaries, uint8_t *fallbacks)
{
    unsigned own = 0, others = 0;

    for (unsigned i = 0; i < w->plan.n; i++) {
        if (w->slots[i].primary.state == KVI_HOLDER_HELD)
            own++;
        else if (w->slots[i].stand_in.state == KVI_HOLDER_HELD)
            others++;
    }
    *primaries = (uint8_t)own;
    *fallbacks = (uint8_t)others;
    *acks = (uint8_t)(own + others);
}

bool kvi_writer_settled(const kvi_writer *w)
{
    if (w->marking)
        return false;
    for (unsigned i = 0; i < w->plan.n; i++)
        if (!slot_settled(&w->slots[i]))
            return false;
    return true;
}

bool kvi_writer_hopeless(const kvi_writer *w)
{
    if (w->updating || w->again)
        return false;
    for (unsigned i = 0; i < w->plan.n; i++) {
        const kvi_slot *s = &w->slots[i];

        if (s->primary.state == KVI_HOLDER_SENT || s->primary.state == KVI_HOLDER_NONE ||
            s->stand_in.state == KVI_HOLDER_SENT)
            return false;
    }
    return true;
}

/* --- acknowledgements ------------------------------------------------------------------------- */

/* A replica holds a newer stamp: this write is stamped again above it, while its client waits. One
 * that was acknowledged already has lost to a later one, as it should. */
static void is_newer(kvi_writer *w, kvi_slice encoded)
{
    kvi_coordinator *c = coordinator_of(w);
    kvi_object o;
    int err;

    if (!w->told || w->again || w->round >= KVI_WRITER_ROUNDS)
        return;
    kvi_object_init(&o, c->mem);
    err = kvi_object_decode(&o, encoded);
    if (!err && o.lww)
        err = kvi_hlc_observe(&c->hlc, kvi_object_stamp(&o, NULL), c->cluster->wall_ms);
    w->again = !err && o.lww;
    kvi_object_deinit(&o);
}

static void take_ack(kvi_writer *w, kvi_holder *h, const kvi_wire_apply_ack *ack)
{
    if (ack->newer.len > 0) {
        h->state = KVI_HOLDER_WEAK;
        is_newer(w, ack->newer);
    } else if (ack->err) {
        if (h->state == KVI_HOLDER_SENT && !kvi_error_passes(ack->err))
            h->state = KVI_HOLDER_FAILED;
    } else {
        h->state = ack->durability >= w->durability ? KVI_HOLDER_HELD : KVI_HOLDER_WEAK;
    }
}

void kvi_writer_receive(kvi_job *job, uint64_t from, const kvi_wire_message *m)
{
    kvi_writer *w = KVI_CONTAINER_OF(job, kvi_writer, job);

    if (m->kind != KVI_WIRE_APPLY_ACK || w->state != KVI_WRITER_SPREADING)
        return;
    for (unsigned i = 0; i < w->plan.n; i++) {
        kvi_holder *both[2] = {&w->slots[i].primary, &w->slots[i].stand_in};

        for (unsigned k = 0; k < 2; k++)
            if (both[k] != w->own && both[k]->node == from && both[k]->sends > 0 &&
                both[k]->state != KVI_HOLDER_HELD)
                take_ack(w, both[k], &m->u.apply_ack);
    }
    kvi_writer_step(w);
}
