/*
 * The period: what the last probe came to, who is probed next, and the rest that time brings. See
 * gossip_impl.h.
 */
#include "base/check.h"
#include "gossip/gossip_impl.h"

/* A node that does badly takes more time for everything (Lifeguard's probes aware of local
 * health). */
static uint64_t scaled(const kvi_gossip *g, uint64_t ns)
{
    return ns + ns * g->health / 2;
}

static void be_worse(kvi_gossip *g, uint32_t by)
{
    g->health = g->health + by > KVI_GOSSIP_HEALTH_MAX ? KVI_GOSSIP_HEALTH_MAX : g->health + by;
}

void kvi_gossip_observe(kvi_gossip *g, uint64_t now_ns)
{
    if (now_ns <= g->now_ns)
        return;
    g->now_ns = now_ns;
    if (now_ns <= g->tick_ns + KVI_GOSSIP_SLEPT_PERIODS * g->period_ns)
        return;
    /* Whatever was waited for may have come and gone. */
    kvi_gossip_grant(g);
    g->probe.node = 0;
    memset(g->relays, 0, sizeof g->relays);
    g->tick_ns = now_ns;
    be_worse(g, 1);
}

uint32_t kvi_gossip_next_seq(kvi_gossip *g)
{
    if (++g->seq == 0)
        g->seq = 1;
    return g->seq;
}

uint64_t kvi_gossip_timeout_ns(const kvi_gossip *g, const kvi_gossip_slot *s)
{
    uint64_t ns = KVI_GOSSIP_TIMEOUT_FIRST(g->period_ns);

    if (s->rtt_us > 0)
        ns = UINT64_C(1000) * ((uint64_t)s->rtt_us + UINT64_C(4) * s->rtt_dev_us);
    ns = kvi_max_u64(ns, KVI_GOSSIP_TIMEOUT_MIN(g->period_ns));
    return scaled(g, kvi_min_u64(ns, KVI_GOSSIP_TIMEOUT_MAX(g->period_ns)));
}

/* No pong by now: it is asked again, in case a message was lost, and others are asked to ping it,
 * in case only our way to it is bad. */
static void probe_again(kvi_gossip *g, const kvi_gossip_port *port)
{
    kvi_gossip_letter request = {.kind = KVI_GOSSIP_PING_REQUEST};
    kvi_gossip_letter ping = {.kind = KVI_GOSSIP_PING};
    kvi_gossip_slot *target = kvi_gossip_table_find(&g->table, g->probe.node);
    uint64_t asked[KVI_GOSSIP_RELAYS] = {0};

    g->probe.indirect = true;
    request.seq = g->probe.seq;
    request.subject = g->probe.node;
    ping.seq = g->probe.seq;
    ping.subject = g->probe.node;
    if (target)
        kvi_gossip_send(g, target, target->node, target->address, &ping, port);
    for (uint32_t i = 0; i < KVI_GOSSIP_RELAYS; i++) {
        kvi_gossip_slot *s = kvi_gossip_pick(g, g->probe.node);

        if (!s || s->node == asked[0] || s->node == asked[1])
            continue;
        asked[i] = s->node;
        g->probe.asked++;
        kvi_gossip_send(g, s, s->node, s->address, &request, port);
    }
}

/* What the probe of the period that ends came to. */
static void conclude_probe(kvi_gossip *g, const kvi_gossip_port *port)
{
    kvi_gossip_probe *p = &g->probe;
    kvi_gossip_slot *s = p->node ? kvi_gossip_table_find(&g->table, p->node) : NULL;

    p->node = 0;
    if (!s)
        return;
    if (p->answered || s->heard_ns > p->start_ns) {
        g->health -= g->health > 0;
        s->spared = false;
        return;
    }
    /* Relays that are silent too say more about us than about the member. */
    if (p->asked == 0)
        be_worse(g, s->state == KVI_GOSSIP_ALIVE);
    else if (p->nacks < p->asked)
        be_worse(g, 1);
    /* Others have heard of it since: not now, but the next time whatever they say. */
    if (s->told_beat > p->told_beat && !s->spared) {
        s->spared = true;
        return;
    }
    s->spared = false;
    kvi_gossip_accuse(g, s, port);
}

static void shuffle(kvi_gossip *g)
{
    kvi_gossip_table *t = &g->table;

    for (uint32_t i = t->count; i > 1; i--) {
        uint32_t other = (uint32_t)kvi_rng_below(&g->rng, i), kept = t->order[i - 1];

        t->order[i - 1] = t->order[other];
        t->order[other] = kept;
    }
    t->cursor = 0;
}

/* Round-robin over a shuffled order: each is probed within two rounds at most. */
static kvi_gossip_slot *next_target(kvi_gossip *g)
{
    kvi_gossip_table *t = &g->table;

    for (uint32_t n = 0; n < t->count; n++) {
        kvi_gossip_slot *s;

        if (t->cursor >= t->count)
            shuffle(g);
        s = &t->slots[t->order[t->cursor++]];
        if (s->state != KVI_GOSSIP_DEAD && s->address)
            return s;
    }
    return NULL;
}

static void begin_probe(kvi_gossip *g, const kvi_gossip_port *port)
{
    kvi_gossip_slot *s = next_target(g);
    kvi_gossip_letter ping = {.kind = KVI_GOSSIP_PING};

    if (!s)
        return;
    memset(&g->probe, 0, sizeof g->probe);
    g->probe.node = s->node;
    g->probe.seq = kvi_gossip_next_seq(g);
    g->probe.start_ns = g->now_ns;
    g->probe.indirect_ns = g->now_ns + kvi_gossip_timeout_ns(g, s);
    g->probe.told_beat = kvi_max_u64(s->beat, s->told_beat);
    ping.seq = g->probe.seq;
    ping.subject = s->node;
    kvi_gossip_send(g, s, s->node, s->address, &ping, port);
}

/* One of the dead that are due. */
static void probe_dead(kvi_gossip *g, const kvi_gossip_port *port)
{
    kvi_gossip_table *t = &g->table;

    for (uint32_t n = 0; n < KVI_GOSSIP_DEAD_SCAN && t->dead.first != KVI_GOSSIP_NONE; n++) {
        kvi_gossip_slot *s = &t->slots[t->dead.first];
        uint64_t wait = g->period_ns << s->back_off;

        kvi_gossip_table_to_back(t, s);
        if (g->now_ns < s->due_ns)
            continue;
        if (wait < KVI_GOSSIP_DEAD_PROBE_NS)
            s->back_off++;
        s->due_ns = g->now_ns + kvi_min_u64(wait, KVI_GOSSIP_DEAD_PROBE_NS);
        kvi_gossip_contact(g, s, port);
        return;
    }
}

static void compare_with_one(kvi_gossip *g, const kvi_gossip_port *port)
{
    kvi_gossip_letter sync = {.kind = KVI_GOSSIP_SYNC};
    kvi_gossip_slot *s = kvi_gossip_pick(g, 0);

    if (s)
        kvi_gossip_send(g, s, s->node, s->address, &sync, port);
}

static void knock_at_seed(kvi_gossip *g, const kvi_gossip_port *port)
{
    kvi_gossip_letter ping = {.kind = KVI_GOSSIP_PING};

    if (g->seed_count == 0 || (g->table.alive > 0 && g->period % KVI_GOSSIP_SEED_PERIODS != 0))
        return;
    kvi_gossip_send(g, NULL, 0, g->seeds[g->seed_cursor++ % g->seed_count], &ping, port);
}

static void begin_period(kvi_gossip *g, const kvi_gossip_port *port)
{
    uint64_t length;

    g->period++;
    g->sent = 0;
    conclude_probe(g, port);
    kvi_gossip_judge(g, port);
    begin_probe(g, port);
    probe_dead(g, port);
    compare_with_one(g, port);
    knock_at_seed(g, port);
    length = scaled(g, g->period_ns);
    g->tick_ns += length;
    if (g->tick_ns <= g->now_ns)
        g->tick_ns = g->now_ns + length;
}

/* What a relay was to find out and has not: says so, once. */
static void give_up_relays(kvi_gossip *g, const kvi_gossip_port *port)
{
    for (uint32_t i = 0; i < KVI_GOSSIP_RELAYS_MAX; i++) {
        kvi_gossip_relay *relay = &g->relays[i];
        kvi_gossip_slot *s;

        if (relay->for_node == 0 || g->now_ns < relay->due_ns)
            continue;
        s = kvi_gossip_table_find(&g->table, relay->for_node);
        if (s) {
            kvi_gossip_letter nack = {.kind = KVI_GOSSIP_NACK, .answer = true};

            nack.seq = relay->for_seq;
            nack.subject = relay->target;
            kvi_gossip_send(g, s, s->node, s->address, &nack, port);
        }
        relay->for_node = 0;
    }
}

/* A refutation does not wait for the next period. */
static void spread_refutation(kvi_gossip *g, const kvi_gossip_port *port)
{
    kvi_gossip_letter tell = {.kind = KVI_GOSSIP_TELL};

    g->urgent = false;
    for (uint32_t i = 0; i < KVI_GOSSIP_RELAYS; i++) {
        kvi_gossip_slot *s = kvi_gossip_pick(g, 0);

        if (s)
            kvi_gossip_send(g, s, s->node, s->address, &tell, port);
    }
}

static bool indirect_pending(const kvi_gossip *g)
{
    return g->probe.node != 0 && !g->probe.answered && !g->probe.indirect;
}

void kvi_gossip_tick(kvi_gossip *g, uint64_t now_ns, const kvi_gossip_port *port)
{
    kvi_gossip_observe(g, now_ns);
    give_up_relays(g, port);
    if (indirect_pending(g) && g->now_ns >= g->probe.indirect_ns)
        probe_again(g, port);
    if (g->urgent)
        spread_refutation(g, port);
    if (g->now_ns >= g->tick_ns)
        begin_period(g, port);
}

uint64_t kvi_gossip_deadline(const kvi_gossip *g)
{
    uint64_t due = g->urgent ? g->now_ns : g->tick_ns;

    if (indirect_pending(g))
        due = kvi_min_u64(due, g->probe.indirect_ns);
    for (uint32_t i = 0; i < KVI_GOSSIP_RELAYS_MAX; i++) {
        if (g->relays[i].for_node != 0)
            due = kvi_min_u64(due, g->relays[i].due_ns);
    }
    return due;
}
