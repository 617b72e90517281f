/*
 * Outboxes; see the header for the contract. Fragments: peers_split.c.
 */
#include "node/peers.h"

#include <string.h>

#include "base/check.h"
#include "base/error.h"
#include "node/peers_impl.h"

void kvi_peers_init(kvi_peers *p, const kvi_mem *mem, size_t gather_bytes)
{
    *p = (kvi_peers){.mem = mem, .gather_bytes = gather_bytes, .next_split = 1};
    kvi_map_init(&p->map, mem);
    kvi_list_init(&p->dirty);
    kvi_buf_init(&p->urgent, mem);
}

static void peer_free(kvi_peers *p, kvi_peer *peer)
{
    p->refused -= peer->refused ? 1 : 0;
    kvi_list_remove(&peer->dirty);
    kvi_peer_drop_splits(p, peer);
    kvi_buf_deinit(&peer->outbox);
    if (peer->gather)
        kvi_wire_gather_deinit(peer->gather);
    kvi_mem_free(p->mem, peer->gather);
    kvi_mem_free(p->mem, peer);
}

void kvi_peers_deinit(kvi_peers *p)
{
    KVI_MAP_EACH(i, &p->map)
        peer_free(p, kvi_map_at(&p->map, i)->value);
    kvi_map_deinit(&p->map);
    kvi_buf_deinit(&p->urgent);
}

kvi_peer *kvi_peers_find(const kvi_peers *p, uint64_t node)
{
    return kvi_map_find(&p->map, node);
}

void kvi_peer_set_address(kvi_peer *peer, const char *address)
{
    size_t len = address ? strlen(address) : 0;

    KVI_ASSERT(len <= KVI_PEERS_ADDRESS_MAX);
    if (len > 0)
        memcpy(peer->address, address, len);
    peer->address[len] = '\0';
}

int kvi_peers_add(kvi_peers *p, uint64_t node, const char *address, bool member, kvi_peer **out)
{
    kvi_peer *peer = kvi_peers_find(p, node);
    int err;

    if (peer) {
        p->strangers -= member && !peer->member ? 1 : 0;
        peer->member |= member;
        *out = peer;
        return KV_OK;
    }
    if (!member && p->strangers >= KVI_PEERS_STRANGERS_MAX)
        return KV_EBUSY;
    peer = kvi_mem_zalloc(p->mem, 1, sizeof *peer);
    if (!peer)
        return kvi_error_set(KV_ENOMEM, "cannot allocate a peer");
    err = kvi_map_insert(&p->map, node, peer);
    if (err) {
        kvi_mem_free(p->mem, peer);
        return err;
    }
    peer->node = node;
    peer->member = member;
    p->strangers += member ? 0 : 1;
    kvi_list_init(&peer->dirty);
    kvi_list_init(&peer->splits);
    kvi_buf_init(&peer->outbox, p->mem);
    kvi_peer_set_address(peer, address);
    *out = peer;
    return KV_OK;
}

void kvi_peers_forget_strangers(kvi_peers *p)
{
    KVI_MAP_EACH_BACK(i, &p->map) {
        kvi_peer *peer = kvi_map_at(&p->map, i)->value;

        if (!peer->member) {
            kvi_map_remove(&p->map, peer->node);
            peer_free(p, peer);
        }
    }
    p->strangers = 0;
}

/* --- sending ------------------------------------------------------------------------------ */

static void mark_refused(kvi_peers *p, uint64_t node)
{
    kvi_peer *peer = node == 0 ? NULL : kvi_peers_find(p, node);

    if (peer && !peer->refused) {
        peer->refused = true;
        p->refused++;
    }
}

void kvi_peers_emit(kvi_peers *p, const char *address, uint64_t node, kvi_slice bytes, int urgency)
{
    int err;

    if (!p->transport || address[0] == '\0') {
        p->dropped++;
        return;
    }
    KVI_ASSERT(bytes.len > 0 && bytes.len <= p->transport->max_message);
    err = p->transport->send(p->transport->self, address, &bytes, 1, urgency);
    if (err) {
        p->dropped++;
    } else {
        p->sent++;
        p->sent_bytes += bytes.len;
        p->unflushed = true;
    }
    if (err == KV_EUNAVAILABLE)
        mark_refused(p, node);
    else if (err && err != KV_EBUSY)
        p->failed = err;
}

uint64_t kvi_peers_take_refused(kvi_peers *p)
{
    for (uint32_t i = 0; i < p->map.count && p->refused > 0; i++) {
        kvi_peer *peer = kvi_map_at(&p->map, i)->value;

        if (peer->refused) {
            peer->refused = false;
            p->refused--;
            return peer->node;
        }
    }
    return 0;
}

/** The outbox leaves: as a message of the transport, or in fragments. */
static void outbox_leave(kvi_peers *p, kvi_peer *peer)
{
    KVI_ASSERT(!kvi_list_empty(&peer->dirty));
    kvi_list_remove(&peer->dirty);
    kvi_wire_finish(&peer->outbox);
    if (p->transport && peer->outbox.len > p->transport->max_message)
        kvi_peer_split(p, peer, &peer->outbox);
    else
        kvi_peers_emit(p, peer->address, peer->node, kvi_buf_slice(&peer->outbox), KV_SEND_NORMAL);
    kvi_buf_clear(&peer->outbox);
}

void kvi_peer_set_open(kvi_peers *p, kvi_peer *peer, uint64_t open_id)
{
    if (peer->open_id == open_id)
        return;
    if (peer->open_id == 0 && !kvi_list_empty(&peer->dirty))
        outbox_leave(p, peer); /* as it was begun: for whatever opening */
    if (peer->open_id != 0) {  /* what waits was meant for the opening before */
        kvi_peer_drop_splits(p, peer);
        kvi_list_remove(&peer->dirty);
        kvi_buf_clear(&peer->outbox);
        if (peer->gather)
            kvi_wire_gather_reset(peer->gather);
    }
    peer->open_id = open_id;
}

static int outbox_begin(kvi_peers *p, kvi_peer *peer)
{
    kvi_wire_header header = p->header;
    int err;

    header.to_open = peer->open_id;
    err = kvi_wire_begin(&peer->outbox, &header);
    if (!err)
        kvi_list_push_back(&p->dirty, &peer->dirty);
    return err;
}

/** The outbox, in which there is something, takes no more, or not this one. */
static bool outbox_full(const kvi_peers *p, const kvi_peer *peer, const kvi_wire_message *m)
{
    size_t room = p->transport ? p->transport->max_message : KVI_WIRE_ENVELOPE_MAX;

    return kvi_wire_count(&peer->outbox) == KVI_WIRE_MESSAGES_MAX ||
           peer->outbox.len + kvi_wire_message_len(m) > kvi_min_size(room, KVI_WIRE_ENVELOPE_MAX);
}

void kvi_peers_send(kvi_peers *p, kvi_peer *peer, const kvi_wire_message *m)
{
    int err = KV_OK;

    if (!kvi_list_empty(&peer->dirty) && outbox_full(p, peer, m))
        outbox_leave(p, peer);
    if (kvi_list_empty(&peer->dirty))
        err = outbox_begin(p, peer);
    if (!err)
        err = kvi_wire_add(&peer->outbox, m);
    if (err)
        p->dropped++; /* as if it were lost: who sent it has a time-out */
}

void kvi_peers_send_urgent(kvi_peers *p, const char *address, uint64_t node,
                           const kvi_wire_message *m)
{
    kvi_wire_header header = p->header;
    int err;

    header.to_open = 0;
    err = kvi_wire_begin(&p->urgent, &header);
    if (!err && m)
        err = kvi_wire_add(&p->urgent, m);
    if (err || (p->transport && p->urgent.len > p->transport->max_message)) {
        p->dropped++;
        return;
    }
    kvi_wire_finish(&p->urgent);
    kvi_peers_emit(p, address, node, kvi_buf_slice(&p->urgent), KV_SEND_URGENT);
}

void kvi_peers_flush(kvi_peers *p, uint64_t now_ns)
{
    while (!kvi_list_empty(&p->dirty))
        outbox_leave(p, KVI_LIST_FIRST(&p->dirty, kvi_peer, dirty));
    kvi_peers_resend(p, now_ns);
    if (p->unflushed && p->transport->flush)
        p->transport->flush(p->transport->self);
    p->unflushed = false;
}
