/*
 * Coming to a ring, and asking for what only the authority can change; see the header for the
 * contract. Adopting: adopt.c. Deciding: authority.c.
 */
#include "node/membership.h"

#include <stdio.h>
#include <string.h>

#include "base/check.h"
#include "base/error.h"
#include "node/impl.h"

#define RING_BITS_DEFAULT 10u

/* --- asking for spaces -------------------------------------------------------------------- */

static void ask_end(kvi_space_ask *ask, int err)
{
    kvi_list_remove(&ask->link);
    ask->err = kvi_error_code(err);
    (void)snprintf(ask->detail, sizeof ask->detail, "%s", err ? kvi_error_detail() : "");
    ask->done(ask);
}

static bool same_policy(const kvi_ring_policy *a, const kvi_ring_policy *b)
{
    return a->n == b->n && a->r == b->r && a->w == b->w && a->mode == b->mode &&
           a->conflict == b->conflict && a->ttl_ms == b->ttl_ms;
}

/** Ends the ask if the ring has its answer. */
static bool ask_look(kvi_membership *m, kvi_space_ask *ask)
{
    const kvi_ring *ring = m->node->ring;
    const kvi_ring_space *space = ring ? kvi_ring_space_named(ring, ask->name) : NULL;

    if (!space)
        return false;
    ask->id = space->id;
    ask->found = space->policy;
    if (ask->policy && !same_policy(ask->policy, &space->policy))
        ask_end(ask, kvi_error_set(KV_ECONFLICT, "space \"%s\" was created with another policy",
                                   ask->name));
    else
        ask_end(ask, KV_OK);
    return true;
}

static kvi_wire_policy wire_policy(const kvi_ring_policy *p)
{
    return (kvi_wire_policy){p->n, p->r, p->w, p->mode, p->conflict, p->ttl_ms};
}

/** To the authority, which may be this node. */
static int change_send(kvi_membership *m, const kvi_wire_change *change)
{
    kvi_wire_message msg = {.kind = KVI_WIRE_CHANGE, .u.change = *change};

    if (kvi_authority_is_self(m))
        return kvi_authority_change(m, 0, change);
    kvi_node_send(m->node, kvi_authority_of(m->node->ring), &msg);
    return KV_OK;
}

/** Asks the authority (again). The ask may be over when it returns. */
static void ask_send(kvi_membership *m, kvi_space_ask *ask)
{
    const kvi_ring_space *space = kvi_ring_space_of(m->node->ring, KVI_RING_SPACE_DEFAULT);
    const kvi_ring_policy *policy = ask->policy ? ask->policy : &space->policy;
    kvi_wire_change change = {.id = ask->change_id,
                              .what = KVI_WIRE_CHANGE_ADD_SPACE,
                              .name = {ask->name, strlen(ask->name)},
                              .policy = wire_policy(policy)};
    int err;

    ask->resend_at = m->node->cluster.now_ns + KVI_CHANGE_RESEND_NS;
    err = change_send(m, &change);
    if (err)
        ask_end(ask, err);
}

void kvi_membership_ask_space(kvi_membership *m, kvi_space_ask *ask)
{
    uint64_t now = m->node->cluster.now_ns;

    KVI_ASSERT(ask->timeout_ns > 0);
    kvi_list_push_back(&m->asks, &ask->link);
    ask->deadline = ask->timeout_ns > UINT64_MAX - now ? UINT64_MAX : now + ask->timeout_ns;
    ask->change_id = ++m->next_change_id;
    ask->resend_at = now;
    if (!ask_look(m, ask) && m->node->ring)
        ask_send(m, ask);
}

static void ask_tick(kvi_membership *m, kvi_space_ask *ask)
{
    uint64_t now = m->node->cluster.now_ns;

    if (ask_look(m, ask))
        return;
    if (now >= ask->deadline)
        ask_end(ask, kvi_error_set(KV_EUNAVAILABLE,
                                   m->node->ring ? "the cluster's authority did not answer in time"
                                                 : "not a member of a cluster: %s",
                                   m->why));
    else if (m->node->ring && now >= ask->resend_at)
        ask_send(m, ask);
}

void kvi_membership_answer(kvi_membership *m, const kvi_wire_change_answer *answer)
{
    if (answer->document.len > 0)
        kvi_adopt_bytes(m, answer->document);
    if (answer->err == 0)
        return; /* what was asked for is in the document */
    KVI_LIST_EACH(l, &m->asks) {
        kvi_space_ask *ask = KVI_CONTAINER_OF(l, kvi_space_ask, link);

        if (ask->change_id == answer->id) {
            ask_end(ask, kvi_error_set(answer->err, "%.*s", (int)answer->detail.len,
                                       (const char *)answer->detail.data));
            return;
        }
    }
    if (m->want_serving && answer->id == m->serve_id)
        (void)snprintf(m->serve_why, sizeof m->serve_why, "%.*s", (int)answer->detail.len,
                       (const char *)answer->detail.data);
}

/* --- serving ------------------------------------------------------------------------------ */

static void serve_send(kvi_membership *m)
{
    kvi_wire_change change = {.id = m->serve_id, .what = KVI_WIRE_CHANGE_SERVE};

    m->serve_at = m->node->cluster.now_ns + KVI_CHANGE_RESEND_NS;
    if (change_send(m, &change))
        kvi_node_log(m->node, KV_LOG_WARN, "the ring could not be asked to serve: %s",
                     kvi_error_detail());
}

void kvi_membership_want_serving(kvi_membership *m)
{
    const kvi_ring *ring = m->node->ring;

    if (m->want_serving || (ring && kvi_ring_stage(ring) == KVI_RING_SERVING))
        return;
    m->want_serving = true;
    m->serve_id = ++m->next_change_id;
    m->serve_at = m->node->cluster.now_ns; /* from the next tick: not from inside of who wants it */
}

void kvi_membership_ring_changed(kvi_membership *m)
{
    kvi_list *l = m->asks.next;

    while (l != &m->asks) {
        kvi_space_ask *ask = KVI_CONTAINER_OF(l, kvi_space_ask, link);

        l = l->next;
        (void)ask_look(m, ask);
    }
    if (kvi_ring_stage(m->node->ring) == KVI_RING_SERVING)
        m->want_serving = false;
}

/* --- joining ------------------------------------------------------------------------------ */

static void join_send(kvi_membership *m)
{
    kvi_node *n = m->node;
    const char *seed = m->seeds[m->seed_next];
    kvi_wire_message msg = {.kind = KVI_WIRE_JOIN};

    KVI_ASSERT(!n->ring && m->seed_count > 0);
    msg.u.join =
        (kvi_wire_join){n->identity.node_id, m->weight, kvi_slice_of(m->zone, strlen(m->zone)),
                        kvi_slice_of(n->advertise, strlen(n->advertise))};
    kvi_peers_send_urgent(&n->peers, seed, 0, &msg);
    m->seed_next = (m->seed_next + 1) % m->seed_count;
    if (m->seed_next == 0)
        kvi_peers_forget_strangers(&n->peers); /* room for those that answer now */
    m->join_at = n->cluster.now_ns + m->join_pause;
    m->join_pause = kvi_min_u64(m->join_pause + m->join_pause / 2, KVI_JOIN_PAUSE_MAX_NS);
}

static void join_answered(kvi_membership *m, const kvi_wire_join_answer *answer)
{
    if (m->node->ring)
        return;
    if (answer->err == 0) {
        kvi_adopt_bytes(m, answer->document);
        return;
    }
    (void)snprintf(m->why, sizeof m->why, "%.*s (%s)", (int)answer->detail.len,
                   (const char *)answer->detail.data, kvi_error_name(answer->err));
    kvi_node_log(m->node, KV_LOG_WARN, "not let in: %s", m->why);
}

/** A node asks to be let in: of the authority, or to be passed on to it. */
static void join_asked(kvi_membership *m, uint64_t from, const kvi_wire_join *join,
                       const kvi_wire_message *msg)
{
    kvi_node *n = m->node;

    if (!n->ring || join->node_id == n->identity.node_id)
        return;
    if (!kvi_authority_is_self(m)) {
        if (from == join->node_id) /* passed on once, not in circles */
            kvi_node_send(n, kvi_authority_of(n->ring), msg);
        return;
    }
    if (kvi_authority_join(m, from, join))
        kvi_node_log(n, KV_LOG_WARN, "a node that wants to join is refused: %s",
                     kvi_error_detail());
}

/* --- epochs ------------------------------------------------------------------------------- */

void kvi_membership_tell_ring(kvi_membership *m, uint64_t node)
{
    kvi_wire_message msg = {.kind = KVI_WIRE_RING};
    kvi_buf document;

    kvi_buf_init(&document, m->node->env->mem);
    if (!kvi_ring_encode(m->node->ring, &document)) {
        msg.u.ring.document = kvi_buf_slice(&document);
        kvi_node_send(m->node, node, &msg);
    }
    kvi_buf_deinit(&document);
}

void kvi_membership_epoch(kvi_membership *m, uint64_t from, uint64_t epoch)
{
    kvi_node *n = m->node;
    uint64_t mine = kvi_ring_epoch(n->ring);
    kvi_peer *peer = kvi_peers_find(&n->peers, from);
    kvi_wire_message msg = {.kind = KVI_WIRE_RING_ASK, .u.ring_ask = {mine}};

    if (!peer || epoch == mine)
        return;
    if (epoch > mine && n->cluster.now_ns >= peer->ask_at) {
        peer->ask_at = n->cluster.now_ns + KVI_RING_TELL_NS;
        kvi_node_send(n, from, &msg);
    } else if (epoch < mine && n->cluster.now_ns >= peer->ring_at) {
        peer->ring_at = n->cluster.now_ns + KVI_RING_TELL_NS;
        kvi_membership_tell_ring(m, from);
    }
}

void kvi_membership_receive(kvi_membership *m, uint64_t from, const kvi_wire_message *msg)
{
    switch ((int)msg->kind) {
    case KVI_WIRE_JOIN:
        join_asked(m, from, &msg->u.join, msg);
        break;
    case KVI_WIRE_JOIN_ANSWER:
        join_answered(m, &msg->u.join_answer);
        break;
    case KVI_WIRE_RING_ASK:
        if (m->node->ring && kvi_ring_epoch(m->node->ring) > msg->u.ring_ask.epoch_have)
            kvi_membership_tell_ring(m, from);
        break;
    case KVI_WIRE_RING:
        kvi_adopt_bytes(m, msg->u.ring.document);
        break;
    case KVI_WIRE_CHANGE:
        if (kvi_authority_is_self(m) && kvi_authority_change(m, from, &msg->u.change))
            kvi_node_log(m->node, KV_LOG_WARN, "a change of the ring is refused: %s",
                         kvi_error_detail());
        break;
    case KVI_WIRE_CHANGE_ANSWER:
        kvi_membership_answer(m, &msg->u.change_answer);
        break;
    default:
        KVI_ASSERT(false);
    }
}

/* --- time --------------------------------------------------------------------------------- */

void kvi_membership_tick(kvi_membership *m)
{
    kvi_list *l = m->asks.next;

    kvi_adopt_retry(m);
    if (!m->node->ring && m->node->cluster.now_ns >= m->join_at)
        join_send(m);
    while (l != &m->asks) {
        kvi_space_ask *ask = KVI_CONTAINER_OF(l, kvi_space_ask, link);

        l = l->next;
        ask_tick(m, ask);
    }
    if (m->want_serving && m->node->ring && m->node->cluster.now_ns >= m->serve_at)
        serve_send(m);
}

uint64_t kvi_membership_deadline(const kvi_membership *m)
{
    uint64_t first = m->node->ring ? m->tell_at : m->join_at;

    KVI_LIST_EACH(l, &m->asks) {
        const kvi_space_ask *ask = KVI_CONTAINER_OF(l, kvi_space_ask, link);

        first = kvi_min_u64(first, ask->deadline);
        if (m->node->ring)
            first = kvi_min_u64(first, ask->resend_at);
    }
    if (m->want_serving && m->node->ring)
        first = kvi_min_u64(first, m->serve_at);
    return first;
}

/* --- opening ------------------------------------------------------------------------------ */

static char *copy_string(const kvi_mem *mem, const char *s)
{
    return kvi_mem_dup(mem, s ? s : "", s ? strlen(s) + 1 : 1);
}

static int copy_settings(kvi_membership *m, const kvi_node_config *config)
{
    const kvi_mem *mem = m->node->env->mem;

    m->weight = config->weight;
    m->zone = copy_string(mem, config->zone);
    m->record = kvi_mem_zalloc(mem, 1, sizeof *m->record);
    m->seeds = kvi_mem_zalloc(mem, config->seed_count + 1, sizeof *m->seeds);
    if (!m->zone || !m->record || !m->seeds)
        return kvi_error_set(KV_ENOMEM, "cannot allocate a node's settings");
    kvi_buf_init(&m->record->bytes, mem);
    for (size_t i = 0; i < config->seed_count; i++) {
        m->seeds[i] = copy_string(mem, config->seeds[i]);
        if (!m->seeds[i])
            return kvi_error_set(KV_ENOMEM, "cannot allocate a node's settings");
        m->seed_count++;
    }
    return KV_OK;
}

static int create_ring(kvi_membership *m, const kvi_node_config *config, kvi_ring **out)
{
    kvi_node *n = m->node;
    kvi_os_rand *rand = n->env->rand;
    kvi_ring_params p = {.bits = config->ring_bits ? config->ring_bits : RING_BITS_DEFAULT,
                         .policy = config->policy};
    int err = rand->fill(rand, p.uuid, sizeof p.uuid);

    if (!err)
        err = rand->fill(rand, &p.token_seed, sizeof p.token_seed);
    if (!err)
        err = rand->fill(rand, p.secret, sizeof p.secret);
    if (err)
        return err;
    p.first = (kvi_ring_member){n->identity.node_id, m->weight, m->zone, n->advertise};
    return kvi_ring_create(n->env->mem, &p, out);
}

static int read_ring(const kvi_membership *m, kvi_lsm *lsm, kvi_ring **out)
{
    kvi_ring *ring;
    kvi_buf bytes;
    int err;

    kvi_buf_init(&bytes, m->node->env->mem);
    err = kvi_record_read(lsm, KVI_RECORD_RING, &bytes);
    if (!err)
        err = kvi_ring_decode(m->node->env->mem, kvi_buf_slice(&bytes), &ring);
    kvi_buf_deinit(&bytes);
    if (err)
        return err;
    if (!kvi_ring_member_of(ring, m->node->identity.node_id)) {
        kvi_ring_free(ring);
        return kvi_error_set(KV_ECORRUPT, "the ring record does not name this node as a member");
    }
    *out = ring;
    return KV_OK;
}

int kvi_membership_open(kvi_membership *m, kvi_node *n, const kvi_node_config *config)
{
    kvi_ring *ring;
    int err;

    *m = (kvi_membership){
        .node = n, .join_at = UINT64_MAX, .join_pause = KVI_JOIN_PAUSE_NS, .tell_at = UINT64_MAX};
    kvi_list_init(&m->changes);
    kvi_list_init(&m->asks);
    (void)snprintf(m->why, sizeof m->why, "no seed has answered yet");
    (void)snprintf(m->serve_why, sizeof m->serve_why,
                   "the node that created it has not answered yet");
    n->cluster.why = m->why;
    err = copy_settings(m, config);
    if (err)
        return err;
    err = read_ring(m, config->lsm, &ring);
    if (!err) {
        n->ring = ring;
        n->cluster.ring = ring;
        n->cluster.why = m->serve_why;
        return kvi_adopt_tell(m);
    }
    if (err != KV_ENOTFOUND)
        return err;
    if (!config->create) {
        if (m->seed_count == 0)
            return kvi_error_set(KV_EINVAL, "the store belongs to no cluster yet, and there is no "
                                            "seed to join through");
        m->join_at = 0;
        return KV_OK;
    }
    err = create_ring(m, config, &ring);
    if (err)
        return err;
    if (!kvi_adopt_begin(m, ring)) { /* the first step brings it into force */
        kvi_ring_free(ring);
        return kvi_error_set(KV_ENOMEM, "cannot encode a ring document");
    }
    (void)snprintf(m->why, sizeof m->why, "the cluster is being created");
    return KV_OK;
}

void kvi_membership_close(kvi_membership *m)
{
    const kvi_mem *mem = m->node->env->mem;

    KVI_ASSERT(!m->next);
    while (!kvi_list_empty(&m->asks))
        ask_end(KVI_LIST_FIRST(&m->asks, kvi_space_ask, link),
                kvi_error_set(KV_ECANCELED, "the store is closed"));
    kvi_authority_close(m);
    for (uint32_t i = 0; i < m->seed_count; i++)
        kvi_mem_free(mem, m->seeds[i]);
    kvi_mem_free(mem, m->seeds);
    kvi_mem_free(mem, m->zone);
    if (m->record)
        kvi_buf_deinit(&m->record->bytes);
    kvi_mem_free(mem, m->record);
}
