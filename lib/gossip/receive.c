/*
 * What arrives: messages, and the signs of life that other traffic gives. See gossip_impl.h.
 */
#include "base/check.h"
#include "base/error.h"
#include "gossip/gossip_impl.h"

/* Where answers to a message go: to the sender as it is known, or as it names itself. */
typedef struct reply_to {
    kvi_gossip_slot *slot; /* NULL: there was no room to know it */
    uint64_t node;
    const char *address;
    char named[KVI_GOSSIP_ADDRESS_MAX + 1];
} reply_to;

static void reply(kvi_gossip *g, const reply_to *to, const kvi_gossip_letter *letter,
                  const kvi_gossip_port *port)
{
    kvi_gossip_send(g, to->slot, to->node, to->address, letter, port);
}

static void answer_ping(kvi_gossip *g, const kvi_gossip_message *m, const reply_to *to,
                        const kvi_gossip_port *port)
{
    kvi_gossip_letter pong = {.kind = KVI_GOSSIP_PONG, .seq = m->seq, .answer = true};

    pong.subject = g->node_id;
    reply(g, to, &pong, port);
}

/* Jacobson's estimator. */
static void measure(kvi_gossip_slot *s, uint64_t rtt_ns)
{
    uint32_t us = (uint32_t)kvi_min_u64(kvi_max_u64(rtt_ns / 1000, 1), UINT32_MAX / 8);
    uint32_t error = us > s->rtt_us ? us - s->rtt_us : s->rtt_us - us;

    if (s->rtt_us == 0) {
        s->rtt_us = us;
        s->rtt_dev_us = us / 2;
        return;
    }
    s->rtt_dev_us = (uint32_t)((UINT64_C(3) * s->rtt_dev_us + error) / 4);
    s->rtt_us = (uint32_t)kvi_max_u64((UINT64_C(7) * s->rtt_us + us) / 8, 1);
}

/* The pong that a relay waited for goes on to who asked. */
static void pass_on(kvi_gossip *g, const kvi_gossip_message *m, const kvi_gossip_port *port)
{
    for (uint32_t i = 0; i < KVI_GOSSIP_RELAYS_MAX; i++) {
        kvi_gossip_relay *relay = &g->relays[i];
        kvi_gossip_letter pong = {.kind = KVI_GOSSIP_PONG, .answer = true};
        kvi_gossip_slot *s;

        if (relay->for_node == 0 || relay->seq != m->seq || relay->target != m->sender.node)
            continue;
        s = kvi_gossip_table_find(&g->table, relay->for_node);
        pong.seq = relay->for_seq;
        pong.subject = relay->target;
        relay->for_node = 0;
        if (s)
            kvi_gossip_send(g, s, s->node, s->address, &pong, port);
        return;
    }
}

static void take_pong(kvi_gossip *g, const kvi_gossip_message *m, kvi_gossip_slot *from,
                      const kvi_gossip_port *port)
{
    bool direct = m->subject == m->sender.node;

    if (m->seq == 0)
        return;
    if (g->probe.node == m->subject && g->probe.seq == m->seq) {
        if (direct && from && !g->probe.answered)
            measure(from, g->now_ns - g->probe.start_ns);
        g->probe.answered = true;
    } else if (direct) {
        pass_on(g, m, port);
    }
}

static kvi_gossip_relay *free_relay(kvi_gossip *g)
{
    for (uint32_t i = 0; i < KVI_GOSSIP_RELAYS_MAX; i++) {
        if (g->relays[i].for_node == 0)
            return &g->relays[i];
    }
    return NULL;
}

static void ping_for(kvi_gossip *g, const kvi_gossip_message *m, const reply_to *to,
                     const kvi_gossip_port *port)
{
    kvi_gossip_slot *s = kvi_gossip_table_find(&g->table, m->subject);
    kvi_gossip_relay *relay = free_relay(g);
    kvi_gossip_letter nack = {.kind = KVI_GOSSIP_NACK, .seq = m->seq, .answer = true};
    kvi_gossip_letter ping = {.kind = KVI_GOSSIP_PING, .subject = m->subject, .answer = true};

    nack.subject = m->subject;
    if (!s || !s->address || !relay) {
        reply(g, to, &nack, port);
        return;
    }
    relay->for_node = to->node;
    relay->for_seq = m->seq;
    relay->target = s->node;
    relay->seq = ping.seq = kvi_gossip_next_seq(g);
    /* In time for the nack to be there before the asker's period ends. */
    relay->due_ns = g->now_ns + kvi_min_u64(kvi_gossip_timeout_ns(g, s),
                                            KVI_GOSSIP_TIMEOUT_RELAY(g->period_ns));
    kvi_gossip_send(g, s, s->node, s->address, &ping, port);
}

static void act(kvi_gossip *g, const kvi_gossip_message *m, const reply_to *to,
                const kvi_gossip_port *port)
{
    kvi_gossip_letter more = {.answer = true, .differ = m};

    switch (m->kind) {
    case KVI_GOSSIP_PING:
        answer_ping(g, m, to, port);
        break;
    case KVI_GOSSIP_PONG:
        take_pong(g, m, to->slot, port);
        break;
    case KVI_GOSSIP_PING_REQUEST:
        ping_for(g, m, to, port);
        break;
    case KVI_GOSSIP_NACK:
        if (g->probe.node == m->subject && g->probe.seq == m->seq && m->seq != 0)
            g->probe.nacks++;
        break;
    case KVI_GOSSIP_SYNC:
    case KVI_GOSSIP_SYNC_ANSWER:
        if (!kvi_gossip_differs(g, m))
            break;
        more.kind = m->kind == KVI_GOSSIP_SYNC ? KVI_GOSSIP_SYNC_ANSWER : KVI_GOSSIP_TELL;
        reply(g, to, &more, port);
        break;
    case KVI_GOSSIP_TELL:
    default:
        break;
    }
    /* It said what is out of date about itself, and got no answer that could have told it so. */
    if (to->slot && (to->slot->behind || to->slot->state != KVI_GOSSIP_ALIVE) &&
        m->kind != KVI_GOSSIP_PING)
        kvi_gossip_contact(g, to->slot, port);
}

static void learn_all(kvi_gossip *g, const kvi_gossip_message *m, const kvi_gossip_port *port)
{
    const uint8_t *at = m->records;
    bool second_hand = m->kind == KVI_GOSSIP_SYNC_ANSWER || m->kind == KVI_GOSSIP_TELL;
    kvi_gossip_record record;

    for (uint32_t i = 0; i < m->record_count; i++) {
        kvi_gossip_next_record(m, &at, &record);
        (void)kvi_gossip_learn(g, &record, second_hand, port);
    }
    at = m->beats;
    for (uint32_t i = 0; i < m->beat_count; i++) {
        kvi_gossip_slot *s;
        uint64_t node, beat;

        kvi_gossip_next_beat(m, &at, &node, &beat);
        s = kvi_gossip_table_find(&g->table, node);
        if (s)
            s->told_beat = kvi_max_u64(s->told_beat, beat);
    }
}

/* The sender's own word about itself; returns its slot. */
static kvi_gossip_slot *learn_sender(kvi_gossip *g, const kvi_gossip_message *m,
                                     const kvi_gossip_port *port)
{
    enum kvi_gossip_learnt learnt = kvi_gossip_learn(g, &m->sender, false, port);
    kvi_gossip_slot *s = kvi_gossip_table_find(&g->table, m->sender.node);

    if (!s)
        return NULL;
    /* What is repeated or overtaken is no sign of life, nor is another life's. */
    if (s->open_id == m->sender.open_id && m->heartbeat > s->beat) {
        s->beat = m->heartbeat;
        s->heard_ns = g->now_ns;
        s->behind = learnt == KVI_GOSSIP_OLD;
    } else if (s->open_id != m->sender.open_id) {
        s->behind = true;
    }
    return s;
}

int kvi_gossip_receive(kvi_gossip *g, uint64_t now_ns, uint64_t from, kvi_slice body,
                       const kvi_gossip_port *port)
{
    kvi_gossip_message m;
    reply_to to;
    int r = kvi_gossip_decode(body, &m);

    if (r != KV_OK)
        return r;
    if (m.sender.node != from)
        return kvi_error_set(KV_ECORRUPT, "gossip message: its sender is not who sent it");
    kvi_gossip_observe(g, now_ns);
    /* A ping for who lived at this address before, or one of our own that came back. */
    if (from == g->node_id ||
        (m.kind == KVI_GOSSIP_PING && m.subject != 0 && m.subject != g->node_id))
        return KV_OK;
    (void)learn_sender(g, &m, port);
    learn_all(g, &m, port);
    /* Only now: learning moves slots. */
    to.slot = kvi_gossip_table_find(&g->table, from);
    to.node = from;
    to.address = to.slot ? to.slot->address : to.named;
    if (!to.slot) {
        memcpy(to.named, m.sender.address.data, m.sender.address.len);
        to.named[m.sender.address.len] = '\0';
    }
    act(g, &m, &to, port);
    return KV_OK;
}

void kvi_gossip_heard(kvi_gossip *g, uint64_t now_ns, uint64_t node, uint64_t open_id,
                      const kvi_gossip_port *port)
{
    kvi_gossip_slot *s;

    kvi_gossip_observe(g, now_ns);
    s = kvi_gossip_table_find(&g->table, node);
    if (!s)
        return;
    if (s->open_id == open_id) {
        s->heard_ns = g->now_ns;
        if (s->state == KVI_GOSSIP_ALIVE)
            return;
    }
    /* It does not know that it is suspected, or we do not know that it began another life: a ping
     * settles either. */
    kvi_gossip_contact(g, s, port);
}

void kvi_gossip_suspect(kvi_gossip *g, uint64_t now_ns, uint64_t node, const kvi_gossip_port *port)
{
    kvi_gossip_slot *s;

    kvi_gossip_observe(g, now_ns);
    s = kvi_gossip_table_find(&g->table, node);
    if (s)
        kvi_gossip_accuse(g, s, port);
}
