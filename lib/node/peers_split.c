/*
 * Envelopes that are longer than the transport's messages (wire/fragment.h), by peer.
 */
#include "base/check.h"
#include "base/error.h"
#include "node/peers_impl.h"

static void split_free(kvi_peers *p, kvi_peer *peer, kvi_split_link *s)
{
    kvi_list_remove(&s->link);
    KVI_ASSERT(peer->split_count > 0);
    peer->split_count--;
    p->splits--;
    kvi_wire_split_deinit(&s->split);
    kvi_mem_free(p->mem, s);
}

void kvi_peer_drop_splits(kvi_peers *p, kvi_peer *peer)
{
    while (!kvi_list_empty(&peer->splits))
        split_free(p, peer, KVI_LIST_FIRST(&peer->splits, kvi_split_link, link));
}

void kvi_peer_split(kvi_peers *p, kvi_peer *peer, kvi_buf *envelope)
{
    kvi_split_link *s = NULL;

    if (peer->split_count < KVI_PEERS_SPLITS_MAX)
        s = kvi_mem_zalloc(p->mem, 1, sizeof *s);
    if (!s) {
        p->dropped++;
        return;
    }
    if (kvi_wire_split_init(&s->split, p->next_split++, envelope, p->transport->max_message,
                            KVI_PEERS_RESEND_NS)) {
        kvi_mem_free(p->mem, s);
        p->dropped++;
        return;
    }
    kvi_list_push_back(&peer->splits, &s->link);
    peer->split_count++;
    p->splits++;
}

/** Sends what is due of one; it may be gone afterwards. */
static void split_send(kvi_peers *p, kvi_peer *peer, kvi_split_link *s, uint64_t now_ns)
{
    kvi_wire_header header = p->header;

    header.to_open = peer->open_id;
    while (kvi_wire_split_next(&s->split, &header, now_ns, &p->urgent) == KV_OK)
        kvi_peers_emit(p, peer->address, peer->node, kvi_buf_slice(&p->urgent), KV_SEND_NORMAL);
    if (kvi_wire_split_state(&s->split) != KVI_WIRE_SPLIT_GOING)
        split_free(p, peer, s);
}

void kvi_peers_resend(kvi_peers *p, uint64_t now_ns)
{
    if (p->splits == 0)
        return;
    KVI_MAP_EACH(i, &p->map) {
        kvi_peer *peer = kvi_map_at(&p->map, i)->value;
        kvi_list *n = peer->splits.next;

        while (n != &peer->splits) {
            kvi_split_link *s = KVI_CONTAINER_OF(n, kvi_split_link, link);

            n = n->next;
            split_send(p, peer, s, now_ns);
        }
    }
}

uint64_t kvi_peers_deadline(const kvi_peers *p)
{
    uint64_t first = UINT64_MAX;

    if (p->splits == 0)
        return first;
    KVI_MAP_EACH(i, &p->map) {
        const kvi_peer *peer = kvi_map_at(&p->map, i)->value;

        KVI_LIST_EACH(n, &peer->splits) {
            const kvi_split_link *s = KVI_CONTAINER_OF(n, kvi_split_link, link);

            first = kvi_min_u64(first, kvi_wire_split_due(&s->split));
        }
    }
    return first;
}

int kvi_peers_fragment(kvi_peers *p, kvi_peer *peer, const kvi_wire_fragment *f, uint64_t now_ns,
                       kvi_buf *whole)
{
    kvi_wire_gather_limits limits = {p->gather_bytes, KVI_WIRE_GATHERING_MAX,
                                     KVI_PEERS_GATHER_AGE_NS};
    int err;

    if (!peer->gather) {
        peer->gather = kvi_mem_zalloc(p->mem, 1, sizeof *peer->gather);
        if (!peer->gather)
            return kvi_error_set(KV_ENOMEM, "cannot allocate for fragments of a message");
        kvi_wire_gather_init(peer->gather, p->mem, &limits);
    }
    err = kvi_wire_gather_add(peer->gather, f, now_ns, whole);
    if (err >= 0) {
        kvi_wire_message m = {.kind = KVI_WIRE_FRAGMENT_ACK, .u.fragment_ack = {f->id, f->index}};

        kvi_peers_send(p, peer, &m);
    }
    return err;
}

void kvi_peers_fragment_ack(kvi_peer *peer, const kvi_wire_fragment_ack *ack)
{
    KVI_LIST_EACH(n, &peer->splits) {
        kvi_split_link *s = KVI_CONTAINER_OF(n, kvi_split_link, link);

        if (s->split.id == ack->id)
            kvi_wire_split_ack(&s->split, ack->index);
    }
}
