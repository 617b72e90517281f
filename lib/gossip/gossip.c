/*
 * The life of a gossip, the ring document's members, and the questions. See gossip.h.
 */
#include "gossip/gossip.h"

#include "base/check.h"
#include "base/error.h"
#include "gossip/gossip_impl.h"

static int check_config(const kvi_gossip_config *c)
{
    size_t max = c->message_max;

    if (c->node_id == 0 || c->open_id == 0 || c->incarnation == 0)
        return kvi_error_set(KV_EINVAL, "gossip: node id, open-id and incarnation may not be 0");
    if (!c->address || c->address[0] == '\0' || strlen(c->address) > KVI_GOSSIP_ADDRESS_MAX)
        return kvi_error_set(KV_EINVAL, "gossip: the address must have 1 to %u bytes",
                             KVI_GOSSIP_ADDRESS_MAX);
    if (max != 0 && (max < KVI_GOSSIP_MESSAGE_MIN || max > KVI_GOSSIP_MESSAGE_MAX))
        return kvi_error_set(KV_EINVAL, "gossip: message_max must be %u to %u",
                             KVI_GOSSIP_MESSAGE_MIN, KVI_GOSSIP_MESSAGE_MAX);
    if (c->period_ns != 0 &&
        (c->period_ns < KVI_GOSSIP_PERIOD_MIN_NS || c->period_ns > KVI_GOSSIP_PERIOD_MAX_NS))
        return kvi_error_set(KV_EINVAL, "gossip: the period must be 1 ms to 10 minutes");
    return KV_OK;
}

int kvi_gossip_new(kvi_gossip **out, const kvi_mem *mem, const kvi_gossip_config *config,
                   uint64_t now_ns)
{
    kvi_gossip *g;
    int r = check_config(config);

    if (r != KV_OK)
        return r;
    g = kvi_mem_zalloc(mem, 1, sizeof *g);
    if (!g)
        return kvi_error_set(KV_ENOMEM, "no memory for gossip");
    g->mem = mem;
    kvi_rng_init(&g->rng, config->seed);
    kvi_gossip_table_init(&g->table, mem, kvi_rng_next(&g->rng));
    g->node_id = config->node_id;
    g->open_id = config->open_id;
    g->incarnation = g->wanted = config->incarnation;
    g->period_ns = config->period_ns ? config->period_ns : KVI_GOSSIP_PERIOD_NS;
    g->message_max = config->message_max ? config->message_max : KVI_GOSSIP_MESSAGE_DEFAULT;
    g->now_ns = now_ns;
    g->tick_ns = now_ns + kvi_rng_below(&g->rng, g->period_ns);
    g->period = 1;
    g->seq = (uint32_t)kvi_rng_next(&g->rng);
    g->address_len = strlen(config->address);
    g->address = kvi_mem_dup(mem, config->address, g->address_len + 1);
    g->out = kvi_mem_alloc(mem, g->message_max);
    if (!g->address || !g->out) {
        kvi_gossip_free(g);
        return kvi_error_set(KV_ENOMEM, "no memory for gossip");
    }
    *out = g;
    return KV_OK;
}

static void free_seeds(const kvi_mem *mem, char **seeds, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++)
        kvi_mem_free(mem, seeds[i]);
}

void kvi_gossip_free(kvi_gossip *g)
{
    if (!g)
        return;
    free_seeds(g->mem, g->seeds, g->seed_count);
    kvi_gossip_table_deinit(&g->table);
    kvi_mem_free(g->mem, g->address);
    kvi_mem_free(g->mem, g->out);
    kvi_mem_free(g->mem, g);
}

int kvi_gossip_set_seeds(kvi_gossip *g, const char *const *addresses, uint32_t count)
{
    char *copies[KVI_GOSSIP_SEEDS_MAX];

    if (count > KVI_GOSSIP_SEEDS_MAX)
        return kvi_error_set(KV_EINVAL, "gossip: %u seeds at most", KVI_GOSSIP_SEEDS_MAX);
    for (uint32_t i = 0; i < count; i++) {
        size_t len = strlen(addresses[i]);

        if (len == 0 || len > KVI_GOSSIP_ADDRESS_MAX) {
            free_seeds(g->mem, copies, i);
            return kvi_error_set(KV_EINVAL, "gossip: the address of a seed must have 1 to %u bytes",
                                 KVI_GOSSIP_ADDRESS_MAX);
        }
        copies[i] = kvi_mem_dup(g->mem, addresses[i], len + 1);
        if (!copies[i]) {
            free_seeds(g->mem, copies, i);
            return kvi_error_set(KV_ENOMEM, "no memory for the seeds of gossip");
        }
    }
    free_seeds(g->mem, g->seeds, g->seed_count);
    for (uint32_t i = 0; i < count; i++)
        g->seeds[i] = copies[i];
    g->seed_count = count;
    g->seed_cursor = 0;
    return KV_OK;
}

static int check_peers(const kvi_gossip_peer *peers, uint32_t count)
{
    if (count > KVI_GOSSIP_MEMBERS_MAX)
        return kvi_error_set(KV_EINVAL, "gossip: %u members at most", KVI_GOSSIP_MEMBERS_MAX);
    for (uint32_t i = 0; i < count; i++) {
        if (peers[i].node == 0 || strlen(peers[i].address) > KVI_GOSSIP_ADDRESS_MAX)
            return kvi_error_set(KV_EINVAL, "gossip: member %u has no id or too long an address",
                                 i);
    }
    return KV_OK;
}

/* Who is not known yet. */
static int add_peers(kvi_gossip *g, const kvi_gossip_peer *peers, uint32_t count,
                     const kvi_gossip_port *port)
{
    for (uint32_t i = 0; i < count; i++) {
        kvi_slice address = kvi_slice_of(peers[i].address, strlen(peers[i].address));
        kvi_gossip_slot *s = kvi_gossip_table_find(&g->table, peers[i].node);
        bool moved = false;
        int r = KV_OK;

        if (peers[i].node == g->node_id)
            continue;
        if (!s)
            r = kvi_gossip_table_add(&g->table, peers[i].node, kvi_rng_next(&g->rng), &s);
        /* What a node told of itself is newer than what the document says. */
        if (r == KV_OK && s->open_id == 0)
            r = kvi_gossip_table_set_address(&g->table, s, address, &moved);
        if (r != KV_OK)
            return r;
        if (moved)
            kvi_gossip_tell_changed(s, port);
    }
    return KV_OK;
}

int kvi_gossip_set_members(kvi_gossip *g, const kvi_gossip_peer *peers, uint32_t count,
                           const kvi_gossip_port *port)
{
    kvi_gossip_table *t = &g->table;
    int r = check_peers(peers, count);

    if (r == KV_OK)
        r = add_peers(g, peers, count, port);
    if (r != KV_OK)
        return r;
    for (uint32_t i = 0; i < t->count; i++)
        t->slots[t->by_id[i]].in_ring = false;
    for (uint32_t i = 0; i < count; i++) {
        kvi_gossip_slot *s = kvi_gossip_table_find(t, peers[i].node);

        if (s)
            s->in_ring = true;
    }
    for (uint32_t i = t->count; i-- > 0;) {
        kvi_gossip_slot *s = &t->slots[t->by_id[i]];

        kvi_gossip_table_resum(t, s);
        /* Named by an older document, and never seen. */
        if (!s->in_ring && s->state == KVI_GOSSIP_UNKNOWN)
            kvi_gossip_table_drop(t, s);
    }
    return KV_OK;
}

void kvi_gossip_persisted(kvi_gossip *g, uint32_t incarnation)
{
    if (incarnation <= g->incarnation || incarnation > g->wanted)
        return;
    g->incarnation = incarnation;
    g->urgent = true;
}

void kvi_gossip_unpersisted(kvi_gossip *g)
{
    g->wanted = g->incarnation;
}

enum kvi_gossip_state kvi_gossip_state(const kvi_gossip *g, uint64_t node)
{
    const kvi_gossip_slot *s = kvi_gossip_table_find(&g->table, node);

    if (node == g->node_id)
        return KVI_GOSSIP_ALIVE;
    return s ? (enum kvi_gossip_state)s->state : KVI_GOSSIP_UNKNOWN;
}

uint64_t kvi_gossip_open_id(const kvi_gossip *g, uint64_t node)
{
    const kvi_gossip_slot *s = kvi_gossip_table_find(&g->table, node);

    if (node == g->node_id)
        return g->open_id;
    return s ? s->open_id : 0;
}

const char *kvi_gossip_address(const kvi_gossip *g, uint64_t node)
{
    const kvi_gossip_slot *s = kvi_gossip_table_find(&g->table, node);

    if (node == g->node_id)
        return g->address;
    return s ? s->address : NULL;
}

uint32_t kvi_gossip_incarnation(const kvi_gossip *g)
{
    return g->incarnation;
}

uint32_t kvi_gossip_health(const kvi_gossip *g)
{
    return g->health;
}

uint32_t kvi_gossip_count(const kvi_gossip *g)
{
    return g->table.count;
}

static void describe(const kvi_gossip_slot *s, kvi_gossip_member *out)
{
    out->node = s->node;
    out->open_id = s->open_id;
    out->address = s->address ? s->address : "";
    out->heard_ns = s->heard_ns;
    out->incarnation = s->incarnation;
    out->rtt_us = s->rtt_us;
    out->state = (enum kvi_gossip_state)s->state;
    out->in_ring = s->in_ring;
}

void kvi_gossip_at(const kvi_gossip *g, uint32_t i, kvi_gossip_member *out)
{
    KVI_ASSERT(i < g->table.count);
    describe(&g->table.slots[g->table.by_id[i]], out);
}

bool kvi_gossip_find(const kvi_gossip *g, uint64_t node, kvi_gossip_member *out)
{
    const kvi_gossip_slot *s = kvi_gossip_table_find(&g->table, node);

    if (s)
        describe(s, out);
    return s != NULL;
}
