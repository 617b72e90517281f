/* What is not from a member, or not meant for this opening, changes nothing but a counter. */
#include "support/rng.h"
#include "unit/node/nodes.h"

/* Who speaks and to whom; machine 0 listens. */
static kvi_wire_header header_of(const nodes *n, unsigned from)
{
    kvi_wire_header h = {.from_node = n->m[from].identity.node_id,
                         .from_open = n->m[from].identity.open_id,
                         .to_open = n->m[0].identity.open_id,
                         .epoch = nodes_epoch(n, 0)};

    memcpy(h.uuid, kvi_ring_uuid(kvi_node_ring(n->m[0].node)), sizeof h.uuid);
    return h;
}

static void envelope(kvi_buf *b, const nodes *n, const kvi_wire_header *h,
                     const kvi_wire_message *m)
{
    kvi_buf_init(b, &n->mem);
    OK(kvi_wire_begin(b, h));
    if (m)
        OK(kvi_wire_add(b, m));
    kvi_wire_finish(b);
}

/* Machine 0 gets these bytes from this address, and nothing else happens to it. */
static void give(nodes *n, const char *address, const void *bytes, size_t len)
{
    kv_peer from = KV_PEER_INIT;

    from.address = address;
    from.identity = kvi_slice_of(address, strlen(address));
    OK(kv_deliver(&n->m[0].node->mailbox.base, &from, bytes, len));
    kvi_node_step(n->m[0].node, 0, 1);
}

static void say(nodes *n, const char *address, const kvi_wire_header *h, const kvi_wire_message *m)
{
    kvi_buf b;

    envelope(&b, n, h, m);
    give(n, address, b.data, b.len);
    kvi_buf_deinit(&b);
}

/* All that may not change. */
typedef struct state {
    uint64_t digest, disk;
} state;

static state state_of(const nodes *n)
{
    state s = {.digest = kvi_node_digest(n->m[0].node)};

    OK(kvi_sim_fs_hash(n->m[0].env.fs, &s.disk));
    return s;
}

static void check_same(const nodes *n, const state *before)
{
    state now = state_of(n);

    cr_assert_eq(now.digest, before->digest);
    cr_assert_eq(now.disk, before->disk);
}

static const kvi_wire_message SERVE = {.kind = KVI_WIRE_CHANGE,
                                       .u.change = {.id = 1, .what = KVI_WIRE_CHANGE_SERVE}};

static bool serves(nodes *n)
{
    nodes_run(n, 100);
    return kvi_ring_stage(kvi_node_ring(n->m[0].node)) == KVI_RING_SERVING;
}

Test(node_receive, a_member_may_ask_for_changes)
{
    nodes *n = nodes_form(3);
    kvi_wire_header h = header_of(n, 1);

    say(n, "m1", &h, &SERVE);
    cr_assert(serves(n));
    nodes_end(n);
}

Test(node_receive, what_is_no_envelope_is_malformed)
{
    nodes *n = nodes_form(3);
    kvi_wire_header h = header_of(n, 1);
    uint64_t malformed = n->m[0].node->counters.malformed;
    state before = state_of(n);
    kvt_rng rng;
    kvi_buf b;

    envelope(&b, n, &h, &SERVE);
    kvt_rng_init(&rng, 1);
    for (size_t cut = 1; cut < b.len; cut++)
        give(n, "m1", b.data, cut);
    cr_assert_eq(n->m[0].node->counters.malformed, malformed + b.len - 1);
    for (unsigned i = 0; i < 500; i++) {
        size_t at = (size_t)kvt_rng_below(&rng, b.len);
        unsigned bit = (unsigned)kvt_rng_below(&rng, 8);

        b.data[at] ^= (uint8_t)(1u << bit);
        give(n, "m1", b.data, b.len);
        b.data[at] ^= (uint8_t)(1u << bit);
    }
    cr_assert_eq(n->m[0].node->counters.malformed, malformed + b.len - 1 + 500);
    check_same(n, &before);
    kvi_buf_deinit(&b);
    cr_assert_not(serves(n));
    nodes_end(n);
}

Test(node_receive, who_is_nobody_or_claims_to_be_us_is_malformed)
{
    nodes *n = nodes_form(3);
    kvi_wire_header h = header_of(n, 0);
    uint64_t malformed = n->m[0].node->counters.malformed;
    state before = state_of(n);

    say(n, "m0", &h, &SERVE);
    h = header_of(n, 1);
    h.from_node = 0;
    say(n, "m1", &h, &SERVE);
    h = header_of(n, 1);
    h.from_open = 0;
    say(n, "m1", &h, &SERVE);
    cr_assert_eq(n->m[0].node->counters.malformed, malformed + 3);
    check_same(n, &before);
    cr_assert_not(serves(n));
    nodes_end(n);
}

Test(node_receive, strangers_are_counted)
{
    nodes *n = nodes_form(3);
    uint64_t strangers = n->m[0].node->counters.strangers;
    state before = state_of(n);
    kvi_wire_header h = header_of(n, 1);

    h.uuid[3] ^= 1; /* of another cluster */
    say(n, "m1", &h, &SERVE);
    h = header_of(n, 1);
    h.from_node++; /* no member */
    say(n, "m1", &h, &SERVE);
    h = header_of(n, 1);
    say(n, "m2", &h, &SERVE); /* a member that speaks as another */
    h = header_of(n, 1);
    memset(h.uuid, 0, sizeof h.uuid); /* who is of no cluster may only ask to join */
    say(n, "m1", &h, &SERVE);
    cr_assert_eq(n->m[0].node->counters.strangers, strangers + 4);
    check_same(n, &before);
    cr_assert_not(serves(n));
    nodes_end(n);
}

Test(node_receive, without_a_proof_the_address_says_nothing)
{
    nodes *n = nodes_form(3);
    kvi_wire_header h = header_of(n, 1);
    kv_peer from = KV_PEER_INIT;
    kvi_buf b;

    n->m[0].node->mailbox.trusted = true;
    envelope(&b, n, &h, &SERVE);
    from.address = "behind a gateway";
    OK(kv_deliver(&n->m[0].node->mailbox.base, &from, b.data, b.len));
    kvi_buf_deinit(&b);
    cr_assert(serves(n));
    nodes_end(n);
}

Test(node_receive, what_was_meant_for_another_opening_is_not_heard)
{
    nodes *n = nodes_form(3);
    kvi_wire_header h = header_of(n, 1);
    uint64_t sent = n->net.sent;
    state before = state_of(n);

    h.to_open++;
    h.epoch = 1000; /* nor is what it says of the ring */
    h.from_open++;
    say(n, "m1", &h, &SERVE);
    cr_assert_eq(n->m[0].node->counters.misdirected, 1);
    check_same(n, &before);
    cr_assert_eq(n->net.sent, sent + 1, "who says it is told who is here");
    say(n, "m1", &h, &SERVE);
    cr_assert_eq(n->net.sent, sent + 1, "not each time");
    cr_assert_eq(n->m[0].node->counters.misdirected, 2);
    cr_assert_not(serves(n));
    nodes_run(n, 1000);
    say(n, "m1", &h, &SERVE);
    cr_assert_eq(n->m[0].node->counters.misdirected, 3);
    h = header_of(n, 1);
    h.to_open = 0; /* whoever is here */
    say(n, "m1", &h, &SERVE);
    cr_assert(serves(n));
    nodes_end(n);
}

Test(node_receive, a_member_that_lies_about_the_ring_is_not_believed)
{
    nodes *n = nodes_form(3);
    kvi_wire_header h = header_of(n, 1);
    kvi_wire_message m = {.kind = KVI_WIRE_RING, .u.ring = {{"nonsense", 8}}};
    uint64_t malformed;
    kvi_ring *newer;
    kvi_buf document;
    state before;

    OK(kvi_ring_serve(kvi_node_ring(n->m[0].node), &newer));
    kvi_buf_init(&document, &n->mem);
    OK(kvi_ring_encode(newer, &document));
    before = state_of(n);
    malformed = n->m[0].node->counters.malformed;
    say(n, "m1", &h, &m);
    m.u.ring.document = kvi_buf_slice(&document);
    say(n, "m1", &h, &m); /* nobody knows better than the authority */
    cr_assert_eq(n->m[0].node->counters.malformed, malformed);
    m = (kvi_wire_message){.kind = KVI_WIRE_JOIN_ANSWER,
                           .u.join_answer = {0, {NULL, 0}, kvi_buf_slice(&document)}};
    say(n, "m1", &h, &m);
    cr_assert_eq(n->m[0].node->counters.strangers, 1, "nothing a member says to a member");
    check_same(n, &before);
    cr_assert_not(serves(n));
    kvi_ring_free(newer);
    kvi_buf_deinit(&document);
    nodes_end(n);
}

Test(node_receive, a_fragment_in_a_fragment_is_malformed)
{
    static const uint8_t BYTES[2000];
    nodes *n = nodes_form(3);
    kvi_wire_header h = header_of(n, 1);
    kvi_wire_message m = {.kind = KVI_WIRE_FRAGMENT};
    uint64_t malformed = n->m[0].node->counters.malformed;
    kvi_buf inner;

    m.u.fragment = (kvi_wire_fragment){9, 0, 2, 4000, {BYTES, 2000}};
    envelope(&inner, n, &h, &m);
    for (unsigned i = 0; i < 2; i++) {
        uint32_t at, len;

        cr_assert(kvi_wire_fragment_place(i, 2, (uint32_t)inner.len, &at, &len));
        m.u.fragment = (kvi_wire_fragment){8, i, 2, (uint32_t)inner.len, {inner.data + at, len}};
        say(n, "m1", &h, &m);
    }
    cr_assert_eq(n->m[0].node->counters.malformed, malformed + 1);
    kvi_buf_deinit(&inner);
    nodes_end(n);
}

static kvi_wire_message join_of(uint64_t node, const char *address)
{
    kvi_wire_message m = {.kind = KVI_WIRE_JOIN};

    m.u.join = (kvi_wire_join){node, 100, {NULL, 0}, {address, strlen(address)}};
    return m;
}

Test(node_receive, who_wants_to_join_has_an_identity_and_an_address)
{
    nodes *n = nodes_form(2);
    kvi_wire_header h = header_of(n, 1);
    kvi_wire_message m;
    state before;
    char zone[KVI_RING_ZONE_MAX + 2];

    memset(h.uuid, 0, sizeof h.uuid);
    h.from_node = 77;
    h.to_open = 0;
    before = state_of(n);
    m = join_of(77, "");
    say(n, "x", &h, &m);
    m = join_of(0, "x");
    say(n, "x", &h, &m);
    m = join_of(77, "x");
    m.u.join.address = (kvi_slice){"a\0b", 3};
    say(n, "x", &h, &m);
    memset(zone, 'z', sizeof zone);
    m = join_of(77, "x");
    m.u.join.zone = kvi_slice_of(zone, sizeof zone);
    say(n, "x", &h, &m);
    m = join_of(n->m[1].identity.node_id, "x"); /* it is there, and elsewhere */
    say(n, "x", &h, &m);
    kvi_node_step(n->m[0].node, 0, 1);
    check_same(n, &before);
    nodes_run(n, 5);
    cr_assert_eq(nodes_epoch(n, 0), 2);
    m = join_of(77, "x");
    say(n, "x", &h, &m);
    nodes_run(n, 100);
    cr_assert_not_null(kvi_ring_member_of(kvi_node_ring(n->m[0].node), 77));
    nodes_end(n);
}

Test(node_receive, a_copy_of_a_member_learns_why_it_is_not_let_in)
{
    uint8_t bytes[KVI_RECORD_IDENTITY_LEN];
    kvi_node_config config;
    nodes *n = nodes_begin(3);

    nodes_open(n, 0);
    nodes_open(n, 1);
    nodes_run(n, 2000);
    nodes_open_engine(&n->m[2]);
    kvi_identity_encode(&n->m[1].identity, bytes);
    nodes_put_record(&n->m[2], KVI_RECORD_IDENTITY, bytes, sizeof bytes);
    nodes_identify(&n->m[2]);
    config = nodes_config(n, 2);
    OK(kvi_node_open(&config, &n->m[2].node));
    nodes_run(n, 2000);
    cr_assert_null(kvi_node_ring(n->m[2].node));
    cr_assert(strstr(kvi_node_joining_detail(n->m[2].node), "is a member already"), "%s",
              kvi_node_joining_detail(n->m[2].node));
    cr_assert_eq(nodes_epoch(n, 0), 2);
    nodes_end(n);
}

Test(node_receive, who_joins_listens_to_nobody_without_a_cluster)
{
    static const uint8_t BYTES[2000];
    nodes *n = nodes_begin(2);
    kvi_wire_message m = {.kind = KVI_WIRE_FRAGMENT};
    kvi_wire_header h = {.from_node = 5, .from_open = 6};
    kvi_node *node;
    kv_peer from = KV_PEER_INIT;
    kvi_buf b;

    nodes_open(n, 1);
    node = n->m[1].node;
    from.address = "m0";
    from.identity = kvi_slice_of("m0", 2);
    envelope(&b, n, &h, &SERVE);
    OK(kv_deliver(&node->mailbox.base, &from, b.data, b.len));
    kvi_buf_deinit(&b);
    nodes_run(n, 1);
    cr_assert_eq(node->counters.strangers, 1);
    h.uuid[0] = 1;
    envelope(&b, n, &h, &SERVE); /* nor to what a host does not say */
    OK(kv_deliver(&node->mailbox.base, &from, b.data, b.len));
    kvi_buf_deinit(&b);
    nodes_run(n, 1);
    cr_assert_eq(node->counters.strangers, 2);
    for (unsigned i = 0; i < KVI_PEERS_STRANGERS_MAX + 5; i++) {
        h.from_node = 100 + i;
        m.u.fragment = (kvi_wire_fragment){1, 0, 2, 4000, {BYTES, 2000}};
        envelope(&b, n, &h, &m);
        OK(kv_deliver(&node->mailbox.base, &from, b.data, b.len));
        kvi_buf_deinit(&b);
    }
    nodes_run(n, 1);
    cr_assert_eq(node->peers.strangers, KVI_PEERS_STRANGERS_MAX);
    nodes_open(n, 0);
    nodes_run(n, 10000);
    cr_assert_not_null(kvi_node_ring(node));
    cr_assert_eq(node->peers.strangers, 0, "they are forgotten");
    nodes_end(n);
}
