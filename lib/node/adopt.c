/*
 * A newer ring document comes into force: durable first, then the node's, then told to the modules
 * (membership.h).
 */
#include <stdio.h>
#include <string.h>

#include "base/check.h"
#include "base/error.h"
#include "node/impl.h"

/** The one record write of a membership. */
typedef struct kvi_record_write ring_record;

int kvi_adopt_tell(kvi_membership *m)
{
    kvi_node *n = m->node;
    uint32_t count;
    const kvi_ring_member *members = kvi_ring_members(n->ring, &count);
    kvi_gossip_peer *peers = kvi_mem_alloc(n->env->mem, count * sizeof *peers);
    int err =
        peers ? KV_OK
              : kvi_error_set(KV_ENOMEM, "cannot allocate a list of %u members", (unsigned)count);

    memcpy(n->peers.header.uuid, kvi_ring_uuid(n->ring), KVI_WIRE_UUID_LEN);
    n->peers.header.epoch = kvi_ring_epoch(n->ring);
    for (uint32_t i = 0; i < count && !err; i++) {
        kvi_peer *peer;

        peers[i] = (kvi_gossip_peer){members[i].node_id, members[i].address};
        if (members[i].node_id == n->identity.node_id)
            continue;
        err = kvi_peers_add(&n->peers, members[i].node_id, members[i].address, true, &peer);
    }
    if (!err)
        err = kvi_gossip_set_members(n->gossip, peers, count, &n->gossip_port);
    kvi_mem_free(n->env->mem, peers);
    return err;
}

static void tell(kvi_membership *m)
{
    m->tell_at = UINT64_MAX;
    if (!kvi_adopt_tell(m))
        return;
    kvi_node_log(m->node, KV_LOG_ERROR, "not all members of the ring could be taken in yet: %s",
                 kvi_error_detail());
    m->tell_at = m->node->cluster.now_ns + KVI_ADOPT_RETRY_NS;
}

void kvi_adopt_retry(kvi_membership *m)
{
    if (m->node->cluster.now_ns >= m->tell_at)
        tell(m);
}

/** ring is durable: it is the node's now. */
static void come_into_force(kvi_membership *m, kvi_ring *ring)
{
    kvi_node *n = m->node;
    kvi_ring *old = n->ring;

    n->ring = ring;
    n->cluster.ring = ring;
    n->cluster.why = m->serve_why;
    kvi_ring_free(old);
    if (!old)
        kvi_peers_forget_strangers(&n->peers);
    m->join_at = UINT64_MAX;
    kvi_node_log(n, KV_LOG_INFO, "ring epoch %llu, %u members",
                 (unsigned long long)kvi_ring_epoch(ring), (unsigned)kvi_ring_weighted(ring));
    tell(m);
    kvi_membership_ring_changed(m);
    kvi_coordinator_ring_changed(n->coordinator);
    kvi_replication_tick(n->replication);
}

static void record_done(ring_record *w, int err)
{
    kvi_membership *m = w->user;
    kvi_ring *ring = m->next;

    KVI_ASSERT(ring != NULL);
    m->next = NULL;
    if (err) {
        err =
            kvi_error_set(err, "the ring document could not be written (%s)", kvi_error_name(err));
        kvi_node_log(m->node, KV_LOG_ERROR, "%s", kvi_error_detail());
        if (!m->node->ring)
            (void)snprintf(m->why, sizeof m->why, "%s", kvi_error_detail());
        kvi_ring_free(ring);
    } else {
        come_into_force(m, ring);
    }
    if (m->deciding)
        kvi_authority_decided(m, err);
}

bool kvi_adopt_begin(kvi_membership *m, kvi_ring *ring)
{
    if (m->next)
        return false;
    kvi_buf_clear(&m->record->bytes);
    if (kvi_ring_encode(ring, &m->record->bytes))
        return false;
    m->next = ring;
    m->record->done = record_done;
    m->record->user = m;
    kvi_record_begin(m->node, KVI_RECORD_RING, m->record);
    return true;
}

/** Whether a document may become this node's. */
static bool acceptable(const kvi_membership *m, const kvi_ring *ring)
{
    const kvi_node *n = m->node;

    if (!kvi_ring_member_of(ring, n->identity.node_id))
        return false;
    if (!n->ring)
        return true;
    return memcmp(kvi_ring_uuid(ring), kvi_ring_uuid(n->ring), KVI_WIRE_UUID_LEN) == 0 &&
           kvi_ring_epoch(ring) > kvi_ring_epoch(n->ring);
}

void kvi_adopt_bytes(kvi_membership *m, kvi_slice document)
{
    kvi_ring *ring;

    if (m->next || kvi_authority_is_self(m))
        return; /* nobody knows better than the authority */
    if (kvi_ring_decode(m->node->env->mem, document, &ring)) {
        m->node->counters.malformed++;
        return;
    }
    if (!acceptable(m, ring) || !kvi_adopt_begin(m, ring))
        kvi_ring_free(ring);
}
