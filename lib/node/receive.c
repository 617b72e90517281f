/*
 * What has come from the transport: who may say what, and which module it is for.
 *
 * The order of the checks is the contract: an envelope that fails one has changed nothing but a
 * counter. In turn: whole and of our format; not our own; of our cluster, from a member, at the
 * address that the transport vouches for (or, of no cluster yet, only what a node says that wants
 * to join); meant for this opening.
 */
#include <string.h>

#include "base/check.h"
#include "base/error.h"
#include "node/impl.h"

/** What the sender of an envelope may say. */
enum standing {
    STRANGER,  /* nothing */
    APPLICANT, /* JOIN, FRAGMENT_ACK: it is of no cluster yet */
    HOST,      /* we are of no cluster yet: JOIN_ANSWER, RING, and fragments of them */
    MEMBER     /* everything but JOIN_ANSWER */
};

static bool uuid_is_zero(const uint8_t *uuid)
{
    static const uint8_t ZERO[KVI_WIRE_UUID_LEN];

    return memcmp(uuid, ZERO, sizeof ZERO) == 0;
}

/** The transport's word about an address fits what is known of a member. One that vouches for
 *  nothing is believed: the mailbox has asked whether the host does. */
static bool address_fits(const kvi_ring_member *member, const kvi_mail *mail)
{
    if (!mail->proved || mail->address[0] == '\0')
        return true;
    return strcmp(mail->address, member->address) == 0;
}

static enum standing standing_of(const kvi_node *n, const kvi_wire_header *h, const kvi_mail *mail)
{
    const kvi_ring *ring = n->cluster.ring;
    const kvi_ring_member *member;

    if (!ring)
        return uuid_is_zero(h->uuid) ? STRANGER : HOST;
    if (uuid_is_zero(h->uuid))
        return APPLICANT;
    if (memcmp(h->uuid, kvi_ring_uuid(ring), KVI_WIRE_UUID_LEN) != 0)
        return STRANGER;
    member = kvi_ring_member_of(ring, h->from_node);
    return member && address_fits(member, mail) ? MEMBER : STRANGER;
}

static bool may_say(enum standing standing, enum kvi_wire_kind kind)
{
    switch (standing) {
    case APPLICANT:
        return kind == KVI_WIRE_JOIN || kind == KVI_WIRE_FRAGMENT_ACK;
    case HOST:
        return kind == KVI_WIRE_JOIN_ANSWER || kind == KVI_WIRE_RING || kind == KVI_WIRE_FRAGMENT;
    case MEMBER:
        return kind != KVI_WIRE_JOIN_ANSWER;
    case STRANGER:
    default:
        return false;
    }
}

static void envelope(kvi_node *n, const kvi_mail *mail, kvi_slice bytes, bool whole);

static void fragment(kvi_node *n, const kvi_mail *mail, uint64_t from, const kvi_wire_fragment *f)
{
    kvi_peer *peer = kvi_peers_find(&n->peers, from);

    if (!peer && kvi_peers_add(&n->peers, from, mail->address, false, &peer))
        return; /* too many strangers while joining: they come again */
    if (kvi_peers_fragment(&n->peers, peer, f, n->cluster.now_ns, &n->whole) == KV_OK)
        envelope(n, mail, kvi_buf_slice(&n->whole), true);
}

static void dispatch(kvi_node *n, const kvi_mail *mail, const kvi_wire_header *h,
                     enum standing standing, const kvi_wire_message *m, bool whole)
{
    kvi_peer *peer;

    switch (m->kind) {
    case KVI_WIRE_JOIN:
    case KVI_WIRE_JOIN_ANSWER:
    case KVI_WIRE_RING_ASK:
    case KVI_WIRE_RING:
    case KVI_WIRE_CHANGE:
    case KVI_WIRE_CHANGE_ANSWER:
        kvi_membership_receive(&n->membership, h->from_node, m);
        break;
    case KVI_WIRE_GOSSIP:
        if (kvi_gossip_receive(n->gossip, n->cluster.now_ns, h->from_node, m->u.gossip.body,
                               &n->gossip_port))
            n->counters.malformed++;
        break;
    case KVI_WIRE_FORWARD:
    case KVI_WIRE_FORWARD_ANSWER:
    case KVI_WIRE_READ_ANSWER:
    case KVI_WIRE_SCAN_ANSWER:
        kvi_coordinator_receive(n->coordinator, h->from_node, h->from_open, m);
        break;
    case KVI_WIRE_APPLY:
    case KVI_WIRE_READ:
    case KVI_WIRE_SCAN:
        kvi_replication_receive(n->replication, h->from_node, m);
        break;
    case KVI_WIRE_APPLY_ACK:
        if (m->u.apply_ack.id & KVI_REPLICATION_ID)
            kvi_replication_receive(n->replication, h->from_node, m);
        else
            kvi_coordinator_receive(n->coordinator, h->from_node, h->from_open, m);
        break;
    case KVI_WIRE_FRAGMENT:
        if (whole)
            n->counters.malformed++; /* nothing a sender makes */
        else
            fragment(n, mail, h->from_node, &m->u.fragment);
        break;
    case KVI_WIRE_FRAGMENT_ACK:
        peer = kvi_peers_find(&n->peers, h->from_node);
        if (peer && (standing == MEMBER || peer->open_id == 0)) /* not in the name of a member */
            kvi_peers_fragment_ack(peer, &m->u.fragment_ack);
        break;
    default:
        break;
    }
}

/** A member speaks: a sign of life, of its opening and of its epoch. */
static void heard(kvi_node *n, const kvi_wire_header *h)
{
    kvi_peer *peer = kvi_peers_find(&n->peers, h->from_node);

    kvi_gossip_heard(n->gossip, n->cluster.now_ns, h->from_node, h->from_open, &n->gossip_port);
    if (peer && peer->open_id == 0)
        kvi_peer_set_open(&n->peers, peer, h->from_open);
    kvi_membership_epoch(&n->membership, h->from_node, h->epoch);
}

/** Meant for an opening of this store that has ended: the sender is told who is here now. */
static void misdirected(kvi_node *n, const kvi_wire_header *h)
{
    kvi_peer *peer = kvi_peers_find(&n->peers, h->from_node);

    n->counters.misdirected++;
    if (!peer || n->cluster.now_ns < peer->hello_at)
        return;
    peer->hello_at = n->cluster.now_ns + KVI_RING_TELL_NS;
    kvi_peers_send_urgent(&n->peers, peer->address, peer->node, NULL);
}

static void envelope(kvi_node *n, const kvi_mail *mail, kvi_slice bytes, bool whole)
{
    kvi_wire_header h;
    kvi_wire_reader reader;
    kvi_wire_message m;
    enum standing standing;
    int err = kvi_wire_open(bytes, &h, &reader);

    if (err || h.from_node == 0 || h.from_open == 0 || h.from_node == n->identity.node_id) {
        n->counters.malformed++;
        return;
    }
    standing = standing_of(n, &h, mail);
    if (standing == STRANGER) {
        n->counters.strangers++;
        return;
    }
    if (h.to_open != 0 && h.to_open != n->identity.open_id) {
        misdirected(n, &h);
        return;
    }
    if (standing == MEMBER && !whole)
        heard(n, &h);
    while (!(err = kvi_wire_next(&reader, &m))) {
        if (may_say(standing, m.kind))
            dispatch(n, mail, &h, standing, &m, whole);
        else
            n->counters.strangers++;
    }
    if (err != KV_ENOTFOUND)
        n->counters.malformed++;
}

void kvi_node_receive(kvi_node *n, const kvi_mail *mail)
{
    envelope(n, mail, mail->bytes, false);
}
