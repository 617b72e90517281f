/*
 * What is sent: the budget of a period, and which records ride on a message. See gossip_impl.h.
 *
 * A record that changed is told before those that were told more often, and no more once it was
 * told often enough; so each message costs what it carries, however many members there are.
 */
#include "base/check.h"
#include "gossip/gossip_impl.h"

static kvi_gossip_record record_of(const kvi_gossip_slot *s)
{
    kvi_gossip_record r = {
        .node = s->node,
        .open_id = s->open_id,
        .by = s->by,
        .incarnation = s->incarnation,
        .state = (enum kvi_gossip_state)s->state,
        .address = kvi_slice_of(s->address, s->address_len),
    };

    return r;
}

/* How many parts the digest is told in: about eight members each. */
static uint32_t parts_told(const kvi_gossip *g)
{
    uint32_t n = 4;

    while (n < KVI_GOSSIP_SUMS_MAX && n < g->table.count / 8)
        n *= 2;
    return n;
}

/* Our sums, over count parts. */
static void fold(const kvi_gossip *g, uint32_t count, uint32_t *sums)
{
    KVI_ASSERT(count > 0 && (count & (count - 1)) == 0);
    memset(sums, 0, count * sizeof *sums);
    for (uint32_t i = 0; i < KVI_GOSSIP_SUMS_MAX; i++)
        sums[i & (count - 1)] += kvi_gossip_own_sum(g, i);
}

bool kvi_gossip_differs(const kvi_gossip *g, const kvi_gossip_message *m)
{
    uint32_t sums[KVI_GOSSIP_SUMS_MAX];

    if (m->sum_count == 0)
        return false;
    fold(g, m->sum_count, sums);
    for (uint32_t i = 0; i < m->sum_count; i++) {
        if (sums[i] != kvi_gossip_sum(m, i))
            return true;
    }
    return false;
}

static void write_beats(kvi_gossip *g, kvi_gossip_writer *w)
{
    kvi_gossip_table *t = &g->table;
    uint32_t told = 0;

    if (t->count > KVI_GOSSIP_BEATS_MEMBERS)
        return;
    for (uint32_t i = 0; i < t->count && told < KVI_GOSSIP_BEATS_TOLD; i++) {
        const kvi_gossip_slot *s = &t->slots[t->by_id[g->beat_cursor++ % t->count]];
        uint64_t beat = kvi_max_u64(s->beat, s->told_beat);

        if (s->state != KVI_GOSSIP_ALIVE || beat == 0)
            continue;
        if (!kvi_gossip_write_beat(w, s->node, beat))
            return;
        told++;
    }
}

/* Records of the parts where the other's sums differ, from a random part on. */
static void write_differing(kvi_gossip *g, kvi_gossip_writer *w, const kvi_gossip_message *m)
{
    uint32_t sums[KVI_GOSSIP_SUMS_MAX];
    uint32_t start = (uint32_t)kvi_rng_below(&g->rng, KVI_GOSSIP_SUMS_MAX);

    fold(g, m->sum_count, sums);
    for (uint32_t n = 0; n < KVI_GOSSIP_SUMS_MAX; n++) {
        uint32_t part = (start + n) % KVI_GOSSIP_SUMS_MAX, at = part & (m->sum_count - 1);

        if (sums[at] == kvi_gossip_sum(m, at))
            continue;
        for (uint32_t i = g->table.parts[part].first; i != KVI_GOSSIP_NONE;) {
            const kvi_gossip_slot *s = &g->table.slots[i];
            kvi_gossip_record r = record_of(s);

            if (s->sum != 0 && !kvi_gossip_write_record(w, &r))
                return;
            i = s->part_next;
        }
    }
}

static void write_queued(kvi_gossip *g, kvi_gossip_writer *w)
{
    kvi_gossip_table *t = &g->table;
    kvi_gossip_slot *told[KVI_GOSSIP_TOLD_MAX], *s;
    uint32_t limit = KVI_GOSSIP_TELLS_LEAST + (kvi_gossip_log2(t->count) + 1) / 2;
    uint32_t n = 0;

    while (n < KVI_GOSSIP_TOLD_MAX && (s = kvi_gossip_table_unqueue(t)) != NULL) {
        kvi_gossip_record r = record_of(s);

        if (!kvi_gossip_write_record(w, &r)) {
            kvi_gossip_table_requeue(t, s, limit);
            break;
        }
        s->tells++;
        told[n++] = s;
    }
    /* Only now, so that nothing is told twice in a message. */
    for (uint32_t i = 0; i < n; i++)
        kvi_gossip_table_requeue(t, told[i], limit);
}

static void write_records(kvi_gossip *g, kvi_gossip_writer *w, kvi_gossip_slot *s,
                          const kvi_gossip_letter *letter)
{
    /* First what is said of the receiver itself: only it can refute that. */
    if (s && s->state != KVI_GOSSIP_UNKNOWN && (s->state != KVI_GOSSIP_ALIVE || s->behind)) {
        kvi_gossip_record r = record_of(s);

        s->behind = !kvi_gossip_write_record(w, &r);
    }
    if (letter->differ)
        write_differing(g, w, letter->differ);
    write_queued(g, w);
}

void kvi_gossip_send(kvi_gossip *g, kvi_gossip_slot *s, uint64_t node, const char *address,
                     const kvi_gossip_letter *letter, const kvi_gossip_port *port)
{
    const uint32_t for_answers = KVI_GOSSIP_PERIOD_MESSAGES - KVI_GOSSIP_PERIOD_OWN;
    bool lean = letter->answer && g->sent >= for_answers / 2;
    bool sums = letter->kind == KVI_GOSSIP_SYNC || letter->kind == KVI_GOSSIP_SYNC_ANSWER;
    uint32_t ours[KVI_GOSSIP_SUMS_MAX];
    uint32_t sum_count = sums ? parts_told(g) : 0;
    kvi_gossip_message header = {.kind = letter->kind, .seq = letter->seq};
    kvi_gossip_writer w;

    if (!address || g->sent >= (letter->answer ? for_answers : KVI_GOSSIP_PERIOD_MESSAGES))
        return;
    g->sent++;
    header.subject = letter->subject;
    header.heartbeat = ++g->beat;
    header.sender.node = g->node_id;
    header.sender.open_id = g->open_id;
    header.sender.incarnation = g->incarnation;
    header.sender.state = KVI_GOSSIP_ALIVE;
    header.sender.address = kvi_slice_of(g->address, g->address_len);
    kvi_gossip_write_begin(&w, g->out, g->message_max, &header);
    if (sums)
        fold(g, sum_count, ours);
    kvi_gossip_write_sums(&w, ours, sum_count);
    kvi_gossip_write_beats(&w);
    if (!lean && (letter->kind == KVI_GOSSIP_PING || letter->kind == KVI_GOSSIP_PONG))
        write_beats(g, &w);
    kvi_gossip_write_records(&w);
    if (!lean)
        write_records(g, &w, s, letter);
    port->send(port->user, node, address, kvi_gossip_write_finish(&w));
}

void kvi_gossip_contact(kvi_gossip *g, kvi_gossip_slot *s, const kvi_gossip_port *port)
{
    kvi_gossip_letter ping = {.kind = KVI_GOSSIP_PING, .subject = s->node};

    if (s->contacted == g->period)
        return;
    s->contacted = g->period;
    kvi_gossip_send(g, s, s->node, s->address, &ping, port);
}

kvi_gossip_slot *kvi_gossip_pick(kvi_gossip *g, uint64_t except)
{
    kvi_gossip_table *t = &g->table;

    if (t->alive == 0)
        return NULL;
    for (uint32_t i = 0; i < KVI_GOSSIP_PICK_DRAWS; i++) {
        kvi_gossip_slot *s = &t->slots[t->by_id[kvi_rng_below(&g->rng, t->count)]];

        if (s->state == KVI_GOSSIP_ALIVE && s->node != except && s->address)
            return s;
    }
    return NULL;
}
