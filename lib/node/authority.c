/*
 * The authority decides: changes of the ring one after the other, each durable before anybody hears
 * of it (membership.h). It is the one voter of the document.
 */
#include <string.h>

#include "base/check.h"
#include "base/error.h"
#include "node/impl.h"

enum change_kind { CHANGE_JOIN, CHANGE_SERVE, CHANGE_SPACE };

struct kvi_change {
    kvi_list link;
    enum change_kind kind;
    uint64_t from; /* who is answered; 0: this node */
    uint64_t id;
    uint64_t node_id; /* JOIN … */
    uint16_t weight;
    char zone[KVI_RING_ZONE_MAX + 1];
    char address[KVI_RING_ADDRESS_MAX + 1]; /* … */
    char name[KVI_RING_NAME_MAX + 1];       /* SPACE … */
    kvi_ring_policy policy;                 /* … */
};

uint64_t kvi_authority_of(const kvi_ring *ring)
{
    uint32_t count;
    const uint64_t *voters = kvi_ring_voters(ring, &count);

    KVI_ASSERT(count > 0);
    return voters[0];
}

bool kvi_authority_is_self(const kvi_membership *m)
{
    return m->node->ring && kvi_authority_of(m->node->ring) == m->node->identity.node_id;
}

/* --- answering ---------------------------------------------------------------------------- */

static void answer_join(kvi_membership *m, const kvi_change *c, int err, kvi_slice document)
{
    kvi_node *n = m->node;
    const char *detail = err ? kvi_error_detail() : "";
    kvi_wire_message msg = {
        .kind = KVI_WIRE_JOIN_ANSWER,
        .u.join_answer = {kvi_error_code(err), kvi_slice_of(detail, strlen(detail)), document}};
    kvi_peer *peer = err ? NULL : kvi_peers_find(&n->peers, c->node_id);

    /* Who is refused hears of it where it is, though it says to be a member that is elsewhere.
     * Nobody there is no reason to suspect that member. */
    if (peer)
        kvi_peers_send(&n->peers, peer, &msg); /* the document may need fragments */
    else
        kvi_peers_send_urgent(&n->peers, c->address, 0, &msg);
}

static void answer_change(kvi_membership *m, const kvi_change *c, int err, kvi_slice document)
{
    const char *detail = err ? kvi_error_detail() : "";
    kvi_wire_change_answer answer = {c->id, kvi_error_code(err),
                                     kvi_slice_of(detail, strlen(detail)), document};
    kvi_wire_message msg = {.kind = KVI_WIRE_CHANGE_ANSWER, .u.change_answer = answer};

    if (c->from == 0)
        kvi_membership_answer(m, &answer);
    else
        kvi_node_send(m->node, c->from, &msg);
}

/** Answers the first change and forgets it. */
static void change_end(kvi_membership *m, int err)
{
    kvi_change *c = KVI_LIST_FIRST(&m->changes, kvi_change, link);
    kvi_buf document;

    kvi_list_remove(&c->link);
    m->change_count--;
    kvi_buf_init(&document, m->node->env->mem);
    if (!err)
        err = kvi_ring_encode(m->node->ring, &document);
    if (c->kind == CHANGE_JOIN)
        answer_join(m, c, err, kvi_buf_slice(&document));
    else
        answer_change(m, c, err, kvi_buf_slice(&document));
    kvi_buf_deinit(&document);
    kvi_mem_free(m->node->env->mem, c);
}

/* --- deciding ----------------------------------------------------------------------------- */

static int decide_join(const kvi_ring *ring, const kvi_change *c, kvi_ring **out)
{
    kvi_ring_member member = {c->node_id, c->weight, c->zone, c->address};
    const kvi_ring_member *there = kvi_ring_member_of(ring, c->node_id);

    if (!there && kvi_ring_stage(ring) != KVI_RING_FORMING)
        return kvi_error_set(KV_ENOTSUP, "the cluster holds data, and this version takes new nodes "
                                         "only before the first request");
    if (there && strcmp(there->address, c->address) == 0) {
        *out = NULL; /* it is in: it asks again because it lost our answer */
        return KV_OK;
    }
    return kvi_ring_join(ring, &member, out);
}

static int decide_serve(const kvi_membership *m, const kvi_ring *ring, kvi_ring **out)
{
    const kvi_ring_space *space = kvi_ring_space_of(ring, KVI_RING_SPACE_DEFAULT);

    KVI_ASSERT(space != NULL);
    if (m->node->has_transport && kvi_ring_stage(ring) == KVI_RING_FORMING &&
        kvi_ring_weighted(ring) < space->policy.n)
        return kvi_error_set(KV_EUNAVAILABLE,
                             "the cluster is forming: %u of the %u nodes that the default space's "
                             "replicas need are there",
                             (unsigned)kvi_ring_weighted(ring), (unsigned)space->policy.n);
    return kvi_ring_serve(ring, out);
}

static int decide_space(const kvi_ring *ring, const kvi_change *c, kvi_ring **out)
{
    if (c->name[0] != '\0' && kvi_ring_space_named(ring, c->name)) {
        *out = NULL; /* who asks sees by the document whether it is what was meant */
        return KV_OK;
    }
    return kvi_ring_add_space(ring, c->name, &c->policy, out);
}

static int decide(const kvi_membership *m, const kvi_change *c, kvi_ring **out)
{
    const kvi_ring *ring = m->node->ring;

    switch (c->kind) {
    case CHANGE_JOIN:
        return decide_join(ring, c, out);
    case CHANGE_SERVE:
        return decide_serve(m, ring, out);
    case CHANGE_SPACE:
    default:
        return decide_space(ring, c, out);
    }
}

static void decide_next(kvi_membership *m)
{
    while (!m->deciding && !m->next && !kvi_list_empty(&m->changes)) {
        kvi_ring *ring = NULL;
        int err = decide(m, KVI_LIST_FIRST(&m->changes, kvi_change, link), &ring);

        if (err || !ring) {
            change_end(m, err);
            continue;
        }
        m->deciding = true;
        if (!kvi_adopt_begin(m, ring)) {
            m->deciding = false;
            kvi_ring_free(ring);
            change_end(m, kvi_error_set(KV_ENOMEM, "cannot encode a ring document"));
        }
    }
}

void kvi_authority_decided(kvi_membership *m, int err)
{
    KVI_ASSERT(m->deciding && m->change_count > 0);
    m->deciding = false;
    change_end(m, err);
    for (uint32_t i = 0; !err && i < m->node->peers.map.count; i++) {
        const kvi_peer *peer = kvi_map_at(&m->node->peers.map, i)->value;

        if (peer->member)
            kvi_membership_tell_ring(m, peer->node);
    }
    decide_next(m);
}

/* --- being asked -------------------------------------------------------------------------- */

static int change_new(kvi_membership *m, enum change_kind kind, uint64_t from, kvi_change **out)
{
    kvi_change *c;

    if (m->change_count >= KVI_CHANGES_MAX)
        return kvi_error_set(KV_EBUSY, "%u changes of the ring wait already",
                             (unsigned)m->change_count);
    c = kvi_mem_zalloc(m->node->env->mem, 1, sizeof *c);
    if (!c)
        return kvi_error_set(KV_ENOMEM, "cannot allocate a change of the ring");
    c->kind = kind;
    c->from = from;
    *out = c;
    return KV_OK;
}

static void change_begin(kvi_membership *m, kvi_change *c)
{
    kvi_list_push_back(&m->changes, &c->link);
    m->change_count++;
    decide_next(m);
}

/** Copies text, which the decoder has bounded, unless it has a NUL in it. */
static int copy_text(char *out, size_t cap, kvi_slice text, const char *what)
{
    if (text.len >= cap || (text.len > 0 && memchr(text.data, '\0', text.len)))
        return kvi_error_set(KV_EINVAL, "the %s is malformed", what);
    if (text.len > 0)
        memcpy(out, text.data, text.len);
    out[text.len] = '\0';
    return KV_OK;
}

/** The same question is in the queue already: it was repeated. */
static bool asked_before(const kvi_membership *m, const kvi_change *c)
{
    KVI_LIST_EACH(l, &m->changes) {
        const kvi_change *other = KVI_CONTAINER_OF(l, kvi_change, link);

        if (other->kind == c->kind && other->from == c->from && other->node_id == c->node_id &&
            other->id == c->id)
            return true;
    }
    return false;
}

int kvi_authority_join(kvi_membership *m, uint64_t from, const kvi_wire_join *join)
{
    kvi_change *c;
    int err = change_new(m, CHANGE_JOIN, from, &c);

    if (err)
        return err;
    c->node_id = join->node_id;
    c->weight = join->weight;
    err = copy_text(c->zone, sizeof c->zone, join->zone, "zone");
    if (!err)
        err = copy_text(c->address, sizeof c->address, join->address, "address");
    if (!err && (c->node_id == 0 || c->address[0] == '\0'))
        err = kvi_error_set(KV_EINVAL, "a node without identity or address cannot join");
    if (err || asked_before(m, c)) {
        kvi_mem_free(m->node->env->mem, c);
        return err;
    }
    change_begin(m, c);
    return KV_OK;
}

int kvi_authority_change(kvi_membership *m, uint64_t from, const kvi_wire_change *change)
{
    enum change_kind kind = change->what == KVI_WIRE_CHANGE_SERVE ? CHANGE_SERVE : CHANGE_SPACE;
    kvi_change *c;
    int err = change_new(m, kind, from, &c);

    if (err)
        return err;
    c->id = change->id;
    c->policy =
        (kvi_ring_policy){change->policy.n,    change->policy.r,        change->policy.w,
                          change->policy.mode, change->policy.conflict, change->policy.ttl_ms};
    err = copy_text(c->name, sizeof c->name, change->name, "name of the space");
    if (err || asked_before(m, c)) {
        kvi_mem_free(m->node->env->mem, c);
        return err;
    }
    change_begin(m, c);
    return KV_OK;
}

void kvi_authority_close(kvi_membership *m)
{
    while (!kvi_list_empty(&m->changes)) {
        kvi_change *c = KVI_LIST_FIRST(&m->changes, kvi_change, link);

        kvi_list_remove(&c->link);
        kvi_mem_free(m->node->env->mem, c);
    }
    m->change_count = 0;
}
