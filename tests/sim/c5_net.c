/*
 * The network of gossips; see the header for the contract.
 */
#include "sim/c5_net.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/hash.h"

/* For so long after a node was away may the word of its death still go round. */
#define EXCUSED_NS (30 * C5_ROUND_NS)

typedef struct event {
    kvi_heap_node heap; /* when */
    uint32_t to;
    uint64_t open_id;     /* persisted: of that open alone */
    uint64_t from;        /* a message: its sender */
    uint32_t incarnation; /* persisted: this; 0: it is a message */
    size_t len;
    uint8_t body[];
} event;

static c5_node *node_at(const c5_net *net, const char *address)
{
    unsigned long i = strtoul(address + 1, NULL, 10);

    cr_assert(address[0] == 'n' && i < net->count, "an address of no node: %s", address);
    return &net->nodes[i];
}

static void push_event(c5_net *net, event *e, uint64_t when_ns)
{
    cr_assert_eq(kvi_heap_push(&net->events, &e->heap, when_ns), KV_OK);
}

static void port_send(void *user, uint64_t node, const char *address, kvi_slice body)
{
    c5_node *from = user;
    c5_net *net = from->net;
    c5_node *to = node_at(net, address);
    event *e;

    cr_assert(body.len <= KVI_GOSSIP_MESSAGE_DEFAULT, "a message of %zu bytes", body.len);
    cr_assert(node == 0 || node == to->id, "a message to another's address");
    from->bytes += body.len;
    net->messages++;
    if (kvi_rng_chance_ppm(&net->rng, C5_LOSS_PPM) || from->side != to->side)
        return;
    e = calloc(1, sizeof *e + body.len);
    cr_assert(e != NULL);
    e->to = (uint32_t)(to - net->nodes);
    e->from = from->id;
    e->len = body.len;
    memcpy(e->body, body.data, body.len);
    push_event(net, e,
               net->now_ns + C5_DELAY_MIN + kvi_rng_below(&net->rng, C5_DELAY_MAX - C5_DELAY_MIN));
}

static c5_node *node_of(c5_net *net, uint64_t id)
{
    for (uint32_t i = 0; i < net->count; i++) {
        if (net->nodes[i].id == id)
            return &net->nodes[i];
    }
    return NULL;
}

static void port_changed(void *user, uint64_t node, enum kvi_gossip_state state)
{
    c5_node *judge = user;
    c5_net *net = judge->net;
    c5_node *accused;

    if (state != KVI_GOSSIP_DEAD)
        return;
    accused = node_of(net, node);
    if (!accused->g || accused->side != judge->side || accused->excused_ns > net->now_ns)
        return;
    net->false_verdicts++;
    net->unjust_at_ns = net->now_ns;
    net->unjust_by = (uint32_t)(judge - net->nodes);
    net->unjust_to = (uint32_t)(accused - net->nodes);
}

static void port_persist(void *user, uint32_t incarnation)
{
    c5_node *node = user;
    event *e = calloc(1, sizeof *e);

    cr_assert(e != NULL);
    e->to = (uint32_t)(node - node->net->nodes);
    e->open_id = node->open_id;
    e->incarnation = incarnation;
    push_event(node->net, e, node->net->now_ns + C5_PERSIST_NS);
}

kvi_gossip_port c5_net_port(c5_node *node)
{
    kvi_gossip_port port = {node, port_send, port_changed, port_persist};

    return port;
}

/* The node's timer is its deadline; while it sleeps, the moment it wakes. */
static void set_timer(c5_net *net, c5_node *node)
{
    uint64_t due = kvi_gossip_deadline(node->g);

    if (node->wakes_ns > due)
        due = node->wakes_ns;
    if (due < net->now_ns)
        due = net->now_ns;
    if (kvi_heap_queued(&node->timer))
        kvi_heap_change(&net->timers, &node->timer, due);
    else
        cr_assert_eq(kvi_heap_push(&net->timers, &node->timer, due), KV_OK);
}

static void start(c5_net *net, uint32_t i)
{
    c5_node *node = &net->nodes[i];
    kvi_gossip_port port = c5_net_port(node);
    const char *seed = net->nodes[0].address;
    kvi_gossip_peer *peers;

    node->open_id = kvi_rng_next(&net->rng) | 1;
    kvi_gossip_config config = {
        .node_id = node->id,
        .open_id = node->open_id,
        .incarnation = ++node->incarnation,
        .address = node->address,
        .seed = kvi_rng_next(&net->rng),
    };
    cr_assert_eq(kvi_gossip_new(&node->g, &net->mem, &config, net->now_ns), KV_OK);
    if (net->by_seed) {
        cr_assert_eq(kvi_gossip_set_seeds(node->g, &seed, 1), KV_OK);
    } else {
        peers = calloc(net->count, sizeof *peers);
        cr_assert(peers != NULL);
        for (uint32_t j = 0; j < net->count; j++) {
            peers[j].node = net->nodes[j].id;
            peers[j].address = net->nodes[j].address;
        }
        cr_assert_eq(kvi_gossip_set_members(node->g, peers, net->count, &port), KV_OK);
        free(peers);
    }
    set_timer(net, node);
}

void c5_net_init(c5_net *net, uint32_t count, bool by_seed, uint64_t seed)
{
    memset(net, 0, sizeof *net);
    kvi_mem_init(&net->mem, NULL);
    kvi_rng_init(&net->rng, seed);
    kvi_heap_init(&net->timers, &net->mem);
    kvi_heap_init(&net->events, &net->mem);
    net->nodes = calloc(count, sizeof *net->nodes);
    cr_assert(net->nodes != NULL);
    net->count = count;
    net->by_seed = by_seed;
    net->now_ns = C5_ROUND_NS;
    net->round_ends_ns = net->now_ns + C5_ROUND_NS;
    for (uint32_t i = 0; i < count; i++) {
        net->nodes[i].net = net;
        net->nodes[i].id = kvi_mix64(i + 1);
        (void)snprintf(net->nodes[i].address, sizeof net->nodes[i].address, "n%u", i);
    }
    for (uint32_t i = 0; i < count; i++)
        start(net, i);
}

void c5_net_deinit(c5_net *net)
{
    kvi_heap_node *n;

    while ((n = kvi_heap_pop(&net->events)) != NULL)
        free(KVI_CONTAINER_OF(n, event, heap));
    for (uint32_t i = 0; i < net->count; i++)
        kvi_gossip_free(net->nodes[i].g);
    kvi_heap_deinit(&net->events);
    kvi_heap_deinit(&net->timers);
    free(net->nodes);
}

static void excuse(c5_net *net, c5_node *node, uint64_t until_ns)
{
    (void)net;
    if (node->excused_ns < until_ns)
        node->excused_ns = until_ns;
}

void c5_net_kill(c5_net *net, uint32_t i)
{
    c5_node *node = &net->nodes[i];

    kvi_heap_remove(&net->timers, &node->timer);
    kvi_gossip_free(node->g);
    node->g = NULL;
    node->wakes_ns = 0;
}

void c5_net_return(c5_net *net, uint32_t i)
{
    excuse(net, &net->nodes[i], net->now_ns + EXCUSED_NS);
    start(net, i);
}

void c5_net_sleep(c5_net *net, uint32_t i, uint64_t ns)
{
    c5_node *node = &net->nodes[i];

    node->wakes_ns = net->now_ns + ns;
    excuse(net, node, node->wakes_ns + EXCUSED_NS);
    set_timer(net, node);
}

void c5_net_cut(c5_net *net, uint32_t i, uint32_t side)
{
    excuse(net, &net->nodes[i], net->now_ns + EXCUSED_NS);
    net->nodes[i].side = side;
}

static void run_timer(c5_net *net)
{
    c5_node *node = KVI_CONTAINER_OF(kvi_heap_pop(&net->timers), c5_node, timer);
    kvi_gossip_port port = c5_net_port(node);

    node->wakes_ns = 0;
    kvi_gossip_tick(node->g, net->now_ns, &port);
    set_timer(net, node);
}

static void run_event(c5_net *net)
{
    event *e = KVI_CONTAINER_OF(kvi_heap_pop(&net->events), event, heap);
    c5_node *node = &net->nodes[e->to];
    kvi_gossip_port port = c5_net_port(node);

    if (node->wakes_ns > 0) {
        /* Behind the tick of its waking. */
        push_event(net, e, node->wakes_ns + 1);
        return;
    }
    if (node->g && e->incarnation > 0) {
        if (node->open_id == e->open_id) {
            node->incarnation = e->incarnation;
            kvi_gossip_persisted(node->g, e->incarnation);
        }
        set_timer(net, node);
    } else if (node->g) {
        cr_assert_eq(
            kvi_gossip_receive(node->g, net->now_ns, e->from, kvi_slice_of(e->body, e->len), &port),
            KV_OK);
        set_timer(net, node);
    }
    free(e);
}

static void end_round(c5_net *net)
{
    net->bytes = 0;
    for (uint32_t i = 0; i < net->count; i++) {
        c5_node *node = &net->nodes[i];

        cr_assert(node->bytes <= C5_ROUND_BYTES_MAX, "node %u sent %llu bytes in a round", i,
                  (unsigned long long)node->bytes);
        net->bytes += node->bytes;
        net->bytes_most = kvi_max_u64(net->bytes_most, node->bytes);
        node->bytes = 0;
    }
    net->round_ends_ns += C5_ROUND_NS;
}

void c5_net_round(c5_net *net)
{
    for (;;) {
        const kvi_heap_node *timer = kvi_heap_peek(&net->timers);
        const kvi_heap_node *event_node = kvi_heap_peek(&net->events);
        uint64_t timer_ns = timer ? timer->key : UINT64_MAX;
        uint64_t event_ns = event_node ? event_node->key : UINT64_MAX;

        if (kvi_min_u64(timer_ns, event_ns) >= net->round_ends_ns)
            break;
        net->now_ns = kvi_min_u64(timer_ns, event_ns);
        if (timer_ns <= event_ns)
            run_timer(net);
        else
            run_event(net);
    }
    net->now_ns = net->round_ends_ns;
    end_round(net);
}

static bool agrees_on(const c5_net *net, uint32_t a, uint32_t b)
{
    const c5_node *one = &net->nodes[a], *other = &net->nodes[b];
    enum kvi_gossip_state state = kvi_gossip_state(one->g, other->id);

    if (!other->g)
        return state == KVI_GOSSIP_DEAD || (net->by_seed && state == KVI_GOSSIP_UNKNOWN);
    /* A suspicion is a question, which loss raises all the time; the verdict is what counts. */
    return (state == KVI_GOSSIP_ALIVE || state == KVI_GOSSIP_SUSPECT) &&
           kvi_gossip_open_id(one->g, other->id) == other->open_id;
}

bool c5_net_agrees(c5_net *net)
{
    /* The pair that disagreed last is asked first: it mostly still does. */
    uint32_t first_a = net->disagree_a, first_b = net->disagree_b;

    if (net->nodes[first_a].g && first_a != first_b && !agrees_on(net, first_a, first_b))
        return false;
    for (uint32_t a = 0; a < net->count; a++) {
        for (uint32_t b = 0; net->nodes[a].g && b < net->count; b++) {
            if (a != b && !agrees_on(net, a, b)) {
                net->disagree_a = a;
                net->disagree_b = b;
                return false;
            }
        }
    }
    return true;
}

uint32_t c5_net_rounds_to_agree(c5_net *net, uint32_t limit)
{
    uint32_t rounds = 0;

    while (rounds <= limit) {
        c5_net_round(net);
        rounds++;
        if (c5_net_agrees(net))
            return rounds;
    }
    return limit + 1;
}
