/* Outboxes and fragments, over a transport that notes what it is given. */
#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "node/peers.h"
#include "support/failmem.h"
#include "support/rng.h"

#define OK(call) cr_assert_eq((call), KV_OK, "%s: %s", #call, kvi_error_detail())

#define MAX_MESSAGE 1200u
#define GATHER      (8u << 20)
#define SENT_MAX    8192
#define MS          UINT64_C(1000000)

typedef struct sent {
    char address[16];
    uint8_t *bytes;
    size_t len;
    int urgency;
    bool flushed;
} sent;

typedef struct end {
    kvi_peers p;
    kv_transport t;
    sent sent[SENT_MAX];
    unsigned count, flushes;
    int answer; /* of send */
} end;

typedef struct scene {
    kvt_failmem fail;
    kvi_mem mem;
    end a, b;
} scene;

static int note(void *self, const char *address, const kv_slice *parts, size_t count, int urgency)
{
    end *e = self;
    sent *s = &e->sent[e->count];

    cr_assert_eq(count, 1);
    cr_assert_leq(parts[0].len, MAX_MESSAGE);
    if (e->answer)
        return e->answer;
    cr_assert_lt(e->count, SENT_MAX);
    (void)snprintf(s->address, sizeof s->address, "%s", address);
    s->bytes = malloc(parts[0].len);
    cr_assert_not_null(s->bytes);
    memcpy(s->bytes, parts[0].data, parts[0].len);
    s->len = parts[0].len;
    s->urgency = urgency;
    s->flushed = false;
    e->count++;
    return KV_OK;
}

static void flushed(void *self)
{
    end *e = self;

    e->flushes++;
    for (unsigned i = 0; i < e->count; i++)
        e->sent[i].flushed = true;
}

static void end_begin(end *e, const kvi_mem *mem, uint64_t node)
{
    kvi_peers_init(&e->p, mem, GATHER);
    e->t = (kv_transport)KV_TRANSPORT_INIT;
    e->t.max_message = MAX_MESSAGE;
    e->t.self = e;
    e->t.send = note;
    e->t.flush = flushed;
    e->p.transport = &e->t;
    memset(e->p.header.uuid, 7, sizeof e->p.header.uuid);
    e->p.header.from_node = node;
    e->p.header.from_open = node * 100;
    e->p.header.epoch = 3;
}

static void forget(end *e)
{
    for (unsigned i = 0; i < e->count; i++)
        free(e->sent[i].bytes);
    e->count = 0;
}

/* Node 1 at "a" and node 2 at "b". */
static scene *begin(void)
{
    scene *s = calloc(1, sizeof *s);

    cr_assert_not_null(s);
    kvt_failmem_init(&s->fail, &s->mem);
    end_begin(&s->a, &s->mem, 1);
    end_begin(&s->b, &s->mem, 2);
    return s;
}

static void finish(scene *s)
{
    forget(&s->a);
    forget(&s->b);
    kvi_peers_deinit(&s->a.p);
    kvi_peers_deinit(&s->b.p);
    cr_assert_eq(kvt_failmem_live(&s->fail), 0);
    free(s);
}

static kvi_peer *peer(end *e, uint64_t node, const char *address)
{
    kvi_peer *p;

    OK(kvi_peers_add(&e->p, node, address, true, &p));
    return p;
}

static void say(end *e, kvi_peer *p, const void *bytes, size_t len)
{
    kvi_wire_message m = {.kind = KVI_WIRE_GOSSIP, .u.gossip = {{bytes, len}}};

    kvi_peers_send(&e->p, p, &m);
}

/* Opens a message of the transport. */
static kvi_wire_header open_sent(const sent *s, kvi_wire_reader *reader)
{
    kvi_wire_header h;

    OK(kvi_wire_open(kvi_slice_of(s->bytes, s->len), &h, reader));
    return h;
}

static unsigned count_in(const sent *s)
{
    kvi_wire_reader reader;
    kvi_wire_message m;
    unsigned count = 0;

    (void)open_sent(s, &reader);
    while (kvi_wire_next(&reader, &m) == KV_OK)
        count++;
    return count;
}

Test(node_peers, what_one_step_says_is_one_message_for_each_peer)
{
    kvi_wire_header h;
    kvi_wire_reader reader;
    scene *s = begin();
    kvi_peer *b = peer(&s->a, 2, "b"), *c = peer(&s->a, 3, "c");

    b->open_id = 200;
    for (unsigned i = 0; i < 10; i++) {
        say(&s->a, b, "to b", 4);
        say(&s->a, c, "to c", 4);
    }
    cr_assert_eq(s->a.count, 0, "it leaves at the end of the step");
    kvi_peers_flush(&s->a.p, 0);
    cr_assert_eq(s->a.count, 2);
    cr_assert_eq(s->a.flushes, 1);
    for (unsigned i = 0; i < 2; i++) {
        h = open_sent(&s->a.sent[i], &reader);
        cr_assert_eq(count_in(&s->a.sent[i]), 10);
        cr_assert_str_eq(s->a.sent[i].address, i ? "c" : "b");
        cr_assert_eq(h.to_open, i ? 0 : 200);
        cr_assert_eq(h.from_node, 1);
        cr_assert_eq(h.from_open, 100);
        cr_assert_eq(h.epoch, 3);
    }
    kvi_peers_flush(&s->a.p, 0);
    cr_assert_eq(s->a.count, 2);
    cr_assert_eq(s->a.flushes, 1, "nothing was said");
    finish(s);
}

Test(node_peers, the_urgent_leaves_at_once_and_is_flushed)
{
    kvi_wire_message m = {.kind = KVI_WIRE_GOSSIP, .u.gossip = {{"ping", 4}}};
    static const uint8_t LONG[2 * MAX_MESSAGE];
    kvi_wire_reader reader;
    scene *s = begin();
    kvi_peer *b = peer(&s->a, 2, "b");

    b->open_id = 200;
    say(&s->a, b, "later", 5);
    kvi_peers_send_urgent(&s->a.p, "b", 2, &m);
    cr_assert_eq(s->a.count, 1);
    cr_assert_eq(s->a.sent[0].urgency, KV_SEND_URGENT);
    cr_assert_eq(open_sent(&s->a.sent[0], &reader).to_open, 0, "whatever opening");
    kvi_peers_flush(&s->a.p, 0);
    cr_assert_eq(s->a.count, 2);
    kvi_peers_send_urgent(&s->a.p, "b", 2, NULL);
    cr_assert_eq(count_in(&s->a.sent[2]), 0);
    kvi_peers_flush(&s->a.p, 0);
    cr_assert(s->a.sent[2].flushed, "though it was the only one of its step");
    m.u.gossip.body = kvi_slice_of(LONG, sizeof LONG);
    kvi_peers_send_urgent(&s->a.p, "b", 2, &m);
    cr_assert_eq(s->a.count, 3, "it has no room in a message");
    cr_assert_eq(s->a.p.dropped, 1);
    finish(s);
}

Test(node_peers, an_urgent_one_may_fill_a_message)
{
    static const uint8_t LONG[2 * MAX_MESSAGE];
    kvi_wire_message m = {.kind = KVI_WIRE_GOSSIP};
    scene *s = begin();
    size_t len = MAX_MESSAGE;

    do {
        m.u.gossip.body = kvi_slice_of(LONG, --len);
    } while (KVI_WIRE_HEADER_LEN + kvi_wire_message_len(&m) > MAX_MESSAGE);
    kvi_peers_send_urgent(&s->a.p, "b", 2, &m);
    cr_assert_eq(s->a.count, 1);
    cr_assert_eq(s->a.sent[0].len, MAX_MESSAGE);
    finish(s);
}

Test(node_peers, a_full_outbox_leaves_earlier)
{
    static const uint8_t BYTES[500];
    unsigned total = 0;
    scene *s = begin();
    kvi_peer *b = peer(&s->a, 2, "b");

    for (unsigned i = 0; i < 20; i++)
        say(&s->a, b, BYTES, sizeof BYTES);
    kvi_peers_flush(&s->a.p, 0);
    cr_assert_eq(s->a.count, 10);
    for (unsigned i = 0; i < s->a.count; i++)
        total += count_in(&s->a.sent[i]);
    cr_assert_eq(total, 20);
    cr_assert_eq(s->a.p.dropped, 0);
    finish(s);
}

Test(node_peers, more_messages_than_an_envelope_takes)
{
    scene *s = begin();
    kvi_peer *b = peer(&s->a, 2, "b");

    s->a.p.transport = NULL; /* no bound but that of envelopes */
    for (unsigned i = 0; i < KVI_WIRE_MESSAGES_MAX; i++)
        say(&s->a, b, "x", 1);
    cr_assert_eq(s->a.p.dropped, 0);
    cr_assert_eq(kvi_wire_count(&b->outbox), KVI_WIRE_MESSAGES_MAX);
    say(&s->a, b, "x", 1);
    cr_assert_eq(kvi_wire_count(&b->outbox), 1, "the full one has left");
    finish(s);
}

Test(node_peers, what_the_transport_says_is_counted_and_told)
{
    scene *s = begin();
    kvi_peer *b = peer(&s->a, 2, "b");

    s->a.answer = KV_EBUSY;
    say(&s->a, b, "x", 1);
    kvi_peers_flush(&s->a.p, 0);
    cr_assert_eq(s->a.p.dropped, 1);
    cr_assert_eq(s->a.p.failed, KV_OK);
    cr_assert_eq(kvi_peers_take_refused(&s->a.p), 0);
    s->a.answer = KV_EIO;
    say(&s->a, b, "x", 1);
    kvi_peers_flush(&s->a.p, 0);
    cr_assert_eq(s->a.p.failed, KV_EIO);
    s->a.answer = KV_EUNAVAILABLE;
    say(&s->a, b, "x", 1);
    kvi_peers_flush(&s->a.p, 0);
    kvi_peers_send_urgent(&s->a.p, "b", 2, NULL);
    kvi_peers_send_urgent(&s->a.p, "seed", 0, NULL);
    cr_assert_eq(s->a.p.refused, 1);
    cr_assert_eq(kvi_peers_take_refused(&s->a.p), 2);
    cr_assert_eq(kvi_peers_take_refused(&s->a.p), 0);
    cr_assert_eq(s->a.p.dropped, 5);
    kvi_peer_set_address(b, NULL);
    s->a.answer = KV_OK;
    say(&s->a, b, "x", 1);
    kvi_peers_flush(&s->a.p, 0);
    cr_assert_eq(s->a.count, 0);
    cr_assert_eq(s->a.p.dropped, 6);
    finish(s);
}

Test(node_peers, strangers_are_few_and_forgotten)
{
    scene *s = begin();
    kvi_peer *p;

    for (unsigned i = 0; i < KVI_PEERS_STRANGERS_MAX; i++)
        OK(kvi_peers_add(&s->a.p, 10 + i, "x", false, &p));
    cr_assert_eq(kvi_peers_add(&s->a.p, 99, "x", false, &p), KV_EBUSY);
    OK(kvi_peers_add(&s->a.p, 10, "ignored", true, &p));
    cr_assert_str_eq(p->address, "x");
    OK(kvi_peers_add(&s->a.p, 99, "x", false, &p));
    say(&s->a, p, "y", 1);
    kvi_peers_forget_strangers(&s->a.p);
    cr_assert_null(kvi_peers_find(&s->a.p, 99));
    cr_assert_not_null(kvi_peers_find(&s->a.p, 10));
    cr_assert_eq(s->a.p.map.count, 1);
    kvi_peers_flush(&s->a.p, 0);
    cr_assert_eq(s->a.count, 0);
    finish(s);
}

/* --- fragments ---------------------------------------------------------------------------- */

/* Takes what one end has sent to the other, losing and doubling some; what came out whole is
   handed to whole, and counted. */
static unsigned carry(end *from, end *to, kvi_peer *back, uint64_t now, kvt_rng *rng, unsigned loss,
                      kvi_buf *whole)
{
    unsigned out = 0, count = from->count;

    for (unsigned i = 0; i < count; i++) {
        for (unsigned times = 0; times < 2; times++) {
            kvi_wire_reader reader;
            kvi_wire_message m;

            if (kvt_rng_below(rng, 100) < loss || (times && kvt_rng_below(rng, 4)))
                continue;
            (void)open_sent(&from->sent[i], &reader);
            while (kvi_wire_next(&reader, &m) == KV_OK) {
                if (m.kind == KVI_WIRE_FRAGMENT_ACK)
                    kvi_peers_fragment_ack(back, &m.u.fragment_ack);
                else if (m.kind == KVI_WIRE_FRAGMENT)
                    out += kvi_peers_fragment(&to->p, back, &m.u.fragment, now, whole) == KV_OK;
            }
        }
    }
    forget(from);
    return out;
}

static void fragments(unsigned loss, uint64_t seed)
{
    scene *s = begin();
    kvi_peer *b = peer(&s->a, 2, "b"), *a = peer(&s->b, 1, "a");
    size_t len = 300000;
    uint8_t *bytes = malloc(len);
    unsigned out = 0, back = 0;
    kvi_buf whole, ignored;
    kvt_rng rng;

    cr_assert_not_null(bytes);
    kvt_rng_init(&rng, seed);
    for (size_t i = 0; i < len; i++)
        bytes[i] = (uint8_t)kvt_rng_next(&rng);
    kvi_buf_init(&whole, &s->mem);
    kvi_buf_init(&ignored, &s->mem);
    say(&s->a, b, "small", 5);
    say(&s->a, b, bytes, len); /* both ways */
    say(&s->b, a, bytes, 5000);
    for (uint64_t now = 0;
         now < 60000 * MS && (out == 0 || back == 0 || s->a.p.splits > 0 || s->b.p.splits > 0);
         now += 20 * MS) {
        kvi_peers_flush(&s->a.p, now);
        kvi_peers_flush(&s->b.p, now);
        out += carry(&s->a, &s->b, a, now, &rng, loss, out ? &ignored : &whole);
        back += carry(&s->b, &s->a, b, now, &rng, loss, &ignored);
    }
    cr_assert_eq(out, 1, "once, though fragments were doubled");
    cr_assert_eq(back, 1);
    cr_assert_eq(s->a.p.splits, 0);
    cr_assert_eq(kvi_peers_deadline(&s->a.p), UINT64_MAX);
    {
        kvi_wire_header h;
        kvi_wire_reader reader;
        kvi_wire_message m;

        OK(kvi_wire_open(kvi_buf_slice(&whole), &h, &reader));
        OK(kvi_wire_next(&reader, &m));
        cr_assert_eq(m.u.gossip.body.len, len);
        cr_assert_arr_eq(m.u.gossip.body.data, bytes, len);
    }
    kvi_buf_deinit(&whole);
    kvi_buf_deinit(&ignored);
    free(bytes);
    finish(s);
}

Test(node_peers, a_long_one_goes_in_fragments)
{
    fragments(0, 1);
}

Test(node_peers, fragments_are_sent_until_they_have_come)
{
    fragments(25, 2);
    fragments(40, 3);
}

Test(node_peers, reopening_drops_what_was_meant_for_the_opening_before)
{
    static const uint8_t LONG[5000];
    scene *s = begin();
    kvi_peer *b = peer(&s->a, 2, "b");

    say(&s->a, b, "x", 1);
    kvi_peer_set_open(&s->a.p, b, 200);
    kvi_peers_flush(&s->a.p, 0);
    cr_assert_eq(s->a.count, 1, "it was meant for whatever opening");
    forget(&s->a);
    say(&s->a, b, LONG, sizeof LONG);
    kvi_peers_flush(&s->a.p, 0);
    cr_assert_eq(s->a.p.splits, 1);
    cr_assert_eq(kvi_peers_deadline(&s->a.p), KVI_PEERS_RESEND_NS);
    forget(&s->a);
    say(&s->a, b, "y", 1);
    kvi_peer_set_open(&s->a.p, b, 200);
    cr_assert_eq(s->a.p.splits, 1, "the same");
    kvi_peer_set_open(&s->a.p, b, 201);
    cr_assert_eq(s->a.p.splits, 0);
    kvi_peers_flush(&s->a.p, 1000 * MS);
    cr_assert_eq(s->a.count, 0);
    say(&s->a, b, "z", 1);
    kvi_peers_flush(&s->a.p, 1000 * MS);
    cr_assert_eq(s->a.count, 1);
    finish(s);
}

Test(node_peers, a_peer_that_never_answers_is_given_up)
{
    static const uint8_t LONG[5000];
    unsigned rounds = 0;
    scene *s = begin();
    kvi_peer *b = peer(&s->a, 2, "b");

    for (unsigned i = 0; i < KVI_PEERS_SPLITS_MAX + 3; i++)
        say(&s->a, b, LONG, sizeof LONG);
    kvi_peers_flush(&s->a.p, 0);
    cr_assert_eq(s->a.p.splits, KVI_PEERS_SPLITS_MAX);
    cr_assert_eq(s->a.p.dropped, 3);
    for (uint64_t due; (due = kvi_peers_deadline(&s->a.p)) != UINT64_MAX;) {
        kvi_peers_flush(&s->a.p, due);
        forget(&s->a);
        cr_assert_lt(++rounds, 10000);
    }
    cr_assert_eq(s->a.p.splits, 0);
    finish(s);
}

Test(node_peers, without_memory_messages_are_lost_and_nothing_else)
{
    static const uint8_t LONG[5000];

    for (size_t n = 0;; n++) {
        scene *s = begin();
        kvi_peer *p;

        kvt_failmem_arm(&s->fail, n, false);
        if (!kvi_peers_add(&s->a.p, 2, "b", true, &p)) {
            say(&s->a, p, "x", 1);
            say(&s->a, p, LONG, sizeof LONG);
            kvi_peers_send_urgent(&s->a.p, "b", 2, NULL);
            kvi_peers_flush(&s->a.p, 0);
            kvi_peers_flush(&s->a.p, 1000 * MS);
        }
        if (!kvt_failmem_disarm(&s->fail)) {
            finish(s);
            break;
        }
        finish(s);
        cr_assert_lt(n, 100);
    }
}
