/*
 * What is believed: records are merged, suspicions begin, are confirmed and run out. See gossip.h
 * for the order of records and gossip_impl.h for who calls.
 */
#include "base/check.h"
#include "gossip/gossip_impl.h"

/* Confirmations bring a suspicion's time-out from its maximum to its minimum by this many
 * thousandths: log(c + 1) / log(k + 1) (Lifeguard, section IV-B). */
static const uint32_t shortened[KVI_GOSSIP_CONFIRMERS + 1] = {0, 500, 792, 1000};

static uint64_t suspicion_ns(const kvi_gossip *g, const kvi_gossip_slot *s)
{
    uint32_t members = g->table.count + 1;
    uint64_t least =
        g->period_ns * KVI_GOSSIP_SUSPICION_PERIODS + g->period_ns * kvi_gossip_log2(members) / 2;
    /* Beside the accused, who began, and nobody else: then there is none to wait for. */
    uint32_t others = members > 2 ? members - 2 : 0;
    uint32_t confirms = s->confirms > 0 ? s->confirms - 1u : 0;

    if (others < KVI_GOSSIP_CONFIRMERS + 1 && confirms + 1 >= others)
        confirms = KVI_GOSSIP_CONFIRMERS;
    KVI_ASSERT(confirms <= KVI_GOSSIP_CONFIRMERS);
    least *= 1 + g->health;
    return least + least * (1000 - shortened[confirms]) / 1000;
}

/* Adds a voice to the suspicion; false where it was counted, or enough were. */
static bool confirm(kvi_gossip_slot *s, uint64_t by)
{
    uint32_t folded = (uint32_t)(by ^ by >> 32);

    if (s->confirms > KVI_GOSSIP_CONFIRMERS)
        return false;
    for (uint32_t i = 0; i < s->confirms; i++) {
        if (s->confirmers[i] == folded)
            return false;
    }
    s->confirmers[s->confirms++] = folded;
    s->by = by;
    return true;
}

void kvi_gossip_tell_changed(const kvi_gossip_slot *s, const kvi_gossip_port *port)
{
    port->changed(port->user, s->node, (enum kvi_gossip_state)s->state);
}

/* Gives the slot a new state, and what begins with it. */
static void enter(kvi_gossip *g, kvi_gossip_slot *s, enum kvi_gossip_state state, uint64_t by)
{
    /* That somebody is there can wait; that it is doubted, or not any more, cannot. */
    uint8_t urgency = s->state == KVI_GOSSIP_UNKNOWN ? 1 : 0;

    kvi_gossip_table_set_state(&g->table, s, state);
    s->since_ns = g->now_ns;
    s->confirms = 0;
    s->by = 0;
    if (state == KVI_GOSSIP_SUSPECT) {
        (void)confirm(s, by);
        s->due_ns = g->now_ns + suspicion_ns(g, s);
    } else if (state == KVI_GOSSIP_DEAD) {
        s->due_ns = g->now_ns + g->period_ns;
        s->back_off = 0;
    }
    kvi_gossip_table_resum(&g->table, s);
    kvi_gossip_table_queue(&g->table, s, urgency);
}

/* Another's word about this node: what is not so is refuted, by a greater incarnation. */
static void hear_of_self(kvi_gossip *g, const kvi_gossip_record *r, const kvi_gossip_port *port)
{
    bool accused = r->incarnation > g->incarnation ||
                   (r->incarnation == g->incarnation &&
                    (r->state != KVI_GOSSIP_ALIVE || r->open_id > g->open_id));

    if (!accused || g->wanted > r->incarnation)
        return;
    if (r->incarnation - g->incarnation > KVI_GOSSIP_LEAP_MAX)
        return; /* nobody had so many openings meanwhile: a lie, which would use them all up */
    /* Who is suspected may well be slow itself. */
    if (g->health < KVI_GOSSIP_HEALTH_MAX)
        g->health++;
    g->wanted = r->incarnation + 1;
    port->persist(port->user, g->wanted);
}

static int compare(const kvi_gossip_record *r, enum kvi_gossip_state state,
                   const kvi_gossip_slot *s)
{
    if (r->incarnation != s->incarnation)
        return r->incarnation > s->incarnation ? 1 : -1;
    if (r->open_id != s->open_id)
        return r->open_id > s->open_id ? 1 : -1;
    return state == s->state ? 0 : state > s->state ? 1 : -1;
}

/* What is known of a node that begins another life is void. */
static void reborn(kvi_gossip_slot *s, const kvi_gossip_record *r)
{
    s->open_id = r->open_id;
    s->beat = s->told_beat = 0;
    s->heard_ns = 0;
    s->rtt_us = s->rtt_dev_us = 0;
    s->spared = false;
}

static kvi_gossip_slot *find_or_add(kvi_gossip *g, const kvi_gossip_record *r)
{
    kvi_gossip_slot *s = kvi_gossip_table_find(&g->table, r->node);

    /* A stranger who is dead is nobody's business. */
    if (s || r->state == KVI_GOSSIP_DEAD)
        return s;
    /* Where there is no memory or no room, it stays a stranger, and will be told of again. */
    if (kvi_gossip_table_add(&g->table, r->node, kvi_rng_next(&g->rng), &s) != KV_OK)
        return NULL;
    return s;
}

enum kvi_gossip_learnt kvi_gossip_learn(kvi_gossip *g, const kvi_gossip_record *r, bool second_hand,
                                        const kvi_gossip_port *port)
{
    enum kvi_gossip_state state = r->state;
    kvi_gossip_slot *s;
    bool moved;
    int order;

    if (r->node == g->node_id) {
        hear_of_self(g, r, port);
        return KVI_GOSSIP_UNFIT;
    }
    s = find_or_add(g, r);
    if (!s)
        return KVI_GOSSIP_UNFIT;
    if (state == KVI_GOSSIP_DEAD && second_hand &&
        (s->state == KVI_GOSSIP_ALIVE || s->state == KVI_GOSSIP_SUSPECT))
        state = KVI_GOSSIP_SUSPECT;
    order = compare(r, state, s);
    if (order < 0)
        return KVI_GOSSIP_OLD;
    if (order == 0) {
        if (state != KVI_GOSSIP_SUSPECT || r->by == 0 || !confirm(s, r->by))
            return KVI_GOSSIP_SAME;
        s->due_ns = kvi_min_u64(s->due_ns, s->since_ns + suspicion_ns(g, s));
        kvi_gossip_table_queue(&g->table, s, 0);
        return KVI_GOSSIP_NEWS;
    }
    if (kvi_gossip_table_set_address(&g->table, s, r->address, &moved) != KV_OK)
        return KVI_GOSSIP_UNFIT;
    if (r->open_id != s->open_id)
        reborn(s, r);
    s->incarnation = r->incarnation;
    enter(g, s, state, r->by);
    kvi_gossip_tell_changed(s, port);
    return KVI_GOSSIP_NEWS;
}

void kvi_gossip_accuse(kvi_gossip *g, kvi_gossip_slot *s, const kvi_gossip_port *port)
{
    if (s->state == KVI_GOSSIP_DEAD)
        return;
    if (s->state == KVI_GOSSIP_SUSPECT) {
        if (confirm(s, g->node_id)) {
            s->due_ns = kvi_min_u64(s->due_ns, s->since_ns + suspicion_ns(g, s));
            kvi_gossip_table_queue(&g->table, s, 0);
        }
        return;
    }
    enter(g, s, KVI_GOSSIP_SUSPECT, g->node_id);
    kvi_gossip_tell_changed(s, port);
    kvi_gossip_contact(g, s, port);
}

/* The time of a suspicion is over. */
static void condemn(kvi_gossip *g, kvi_gossip_slot *s, const kvi_gossip_port *port)
{
    /* It spoke to us meanwhile: it lives, and has only not heard of what is said. */
    if (s->heard_ns > s->since_ns) {
        s->since_ns = g->now_ns;
        s->due_ns = g->now_ns + suspicion_ns(g, s);
        kvi_gossip_contact(g, s, port);
        return;
    }
    enter(g, s, KVI_GOSSIP_DEAD, 0);
    kvi_gossip_tell_changed(s, port);
}

static void forget(kvi_gossip *g, kvi_gossip_slot *s, const kvi_gossip_port *port)
{
    uint64_t node = s->node;

    kvi_gossip_table_drop(&g->table, s);
    port->changed(port->user, node, KVI_GOSSIP_UNKNOWN);
}

void kvi_gossip_judge(kvi_gossip *g, const kvi_gossip_port *port)
{
    kvi_gossip_table *t = &g->table;
    uint32_t calls = 0;

    for (uint32_t i = t->suspects.first; i != KVI_GOSSIP_NONE;) {
        kvi_gossip_slot *s = &t->slots[i];

        i = s->next;
        if (g->now_ns >= s->due_ns) {
            condemn(g, s, port);
        } else if (g->now_ns + KVI_GOSSIP_LAST_PERIODS * g->period_ns >= s->due_ns &&
                   calls < KVI_GOSSIP_LAST_CALLS) {
            kvi_gossip_contact(g, s, port);
            calls++;
        }
    }
    for (uint32_t i = t->dead.first, n = 0; i != KVI_GOSSIP_NONE && n < KVI_GOSSIP_DEAD_SCAN; n++) {
        kvi_gossip_slot *s = &t->slots[i];

        i = s->next;
        if (!s->in_ring && g->now_ns - s->since_ns >= KVI_GOSSIP_FORGET_NS)
            forget(g, s, port);
    }
}

void kvi_gossip_grant(kvi_gossip *g)
{
    kvi_gossip_table *t = &g->table;

    for (uint32_t i = t->suspects.first; i != KVI_GOSSIP_NONE; i = t->slots[i].next) {
        kvi_gossip_slot *s = &t->slots[i];

        /* As if it had begun now: what refuted it meanwhile may have been lost. */
        s->since_ns = g->now_ns;
        s->due_ns = g->now_ns + suspicion_ns(g, s);
    }
}

uint32_t kvi_gossip_own_sum(const kvi_gossip *g, uint32_t part)
{
    uint32_t sum = g->table.sums[part];

    if (part == kvi_gossip_part_of(g->node_id))
        sum += kvi_gossip_sum_of(g->node_id, g->open_id, g->incarnation, KVI_GOSSIP_ALIVE);
    return sum;
}
