/* lib/wire/fragment.c: long envelopes over a transport that loses, doubles and reorders. */
#include "wire/fragment.h"

#include <criterion/criterion.h>

#include "base/error.h"
#include "support/failmem.h"
#include "support/rng.h"

#define OK(call)  cr_assert_eq((call), KV_OK, "%s: %s", #call, kvi_error_detail())
#define MESSAGE   1024u
#define RESEND_NS 1000u
#define AGE_NS    1000000u
#define MANY      (1u << 20)

static const kvi_wire_header header = {{7}, 1, 2, 3, 4};
static const kvi_wire_gather_limits roomy = {MANY, KVI_WIRE_GATHERING_MAX, AGE_NS};

static kvi_mem plain;
static kvt_rng rng;

static void setup(void)
{
    kvi_mem_init(&plain, NULL);
    kvt_rng_init(&rng, 4);
}

#define WIRE_TEST(name) Test(wire_fragment, name, .init = setup)

/* Random bytes: what is cut need not be an envelope. */
static void random_bytes(kvi_buf *b, size_t len)
{
    kvi_buf_clear(b);
    OK(kvi_buf_reserve(b, len));
    for (b->len = 0; b->len < len; b->len++)
        b->data[b->len] = (uint8_t)kvt_rng_next(&rng);
}

/* A split of len random bytes, a copy of which goes to copy. */
static void split_of(kvi_wire_split *s, uint64_t id, size_t len, kvi_buf *copy)
{
    kvi_buf b;

    kvi_buf_init(&b, &plain);
    random_bytes(&b, len);
    OK(kvi_buf_set(copy, b.data, b.len));
    OK(kvi_wire_split_init(s, id, &b, MESSAGE, RESEND_NS));
    cr_assert(!b.data && b.len == 0, "the bytes changed hands");
}

/* The fragment in a fragment's envelope. */
static kvi_wire_fragment fragment_of(const kvi_buf *b)
{
    kvi_wire_message m = {.kind = KVI_WIRE_GOSSIP};
    kvi_wire_header h;
    kvi_wire_reader r;

    cr_assert_leq(b->len, MESSAGE);
    OK(kvi_wire_open(kvi_buf_slice(b), &h, &r));
    cr_assert(h.from_node == header.from_node && h.epoch == header.epoch);
    OK(kvi_wire_next(&r, &m));
    cr_assert_eq(m.kind, KVI_WIRE_FRAGMENT);
    return m.u.fragment;
}

WIRE_TEST(places_cover_the_whole_once)
{
    for (int round = 0; round < 500; round++) {
        uint32_t most = 1 + (uint32_t)kvt_rng_below(&rng, 300), at, len, end = 0;
        uint32_t total = most + 1 + (uint32_t)kvt_rng_below(&rng, 20000);
        uint32_t count = (total + most - 1) / most;

        for (uint32_t i = 0; i < count; i++) {
            cr_assert(kvi_wire_fragment_place(i, count, total, &at, &len), "%u/%u of %u", i, count,
                      total);
            cr_assert(at == end && len > 0 && len <= most);
            end = at + len;
        }
        cr_assert_eq(end, total);
        cr_assert_not(kvi_wire_fragment_place(count, count, total, &at, &len));
    }
}

WIRE_TEST(places_that_cannot_be)
{
    uint32_t at, len;

    cr_assert_not(kvi_wire_fragment_place(0, 0, 100, &at, &len));
    cr_assert_not(kvi_wire_fragment_place(0, 1, 100, &at, &len));
    cr_assert_not(kvi_wire_fragment_place(0, 101, 100, &at, &len));
    cr_assert_not(kvi_wire_fragment_place(0, 4, 5, &at, &len), "the last would be empty");
    cr_assert_not(kvi_wire_fragment_place(0, 2, KVI_WIRE_ENVELOPE_MAX + 1u, &at, &len));
    cr_assert_not(kvi_wire_fragment_place(UINT32_MAX, UINT32_MAX, UINT32_MAX, &at, &len));
    cr_assert(kvi_wire_fragment_place(1, 2, KVI_WIRE_ENVELOPE_MAX, &at, &len));
}

WIRE_TEST(only_what_is_too_long_is_cut)
{
    kvi_wire_split s;
    kvi_buf b;

    kvi_buf_init(&b, &plain);
    random_bytes(&b, MESSAGE);
    cr_assert_eq(kvi_wire_split_init(&s, 1, &b, MESSAGE, RESEND_NS), KV_EINVAL);
    cr_assert_eq(kvi_wire_split_init(&s, 1, &b, KVI_WIRE_MAX_MESSAGE_MIN - 1, RESEND_NS),
                 KV_EINVAL);
    cr_assert_eq(b.len, MESSAGE);
    kvi_buf_deinit(&b);
}

/* Both ends, and a bad line between them. */
typedef struct line {
    kvi_wire_split split;
    kvi_wire_gather gather;
    kvi_buf sent, whole;
    kvi_buf wire[KVI_WIRE_WINDOW]; /* envelopes on their way */
    uint32_t on_wire;
    uint64_t loss; /* per cent, of fragments and of acknowledgements */
    uint32_t wholes;
} line;

static void line_init(line *l, uint64_t id, size_t len, uint64_t loss)
{
    memset(l, 0, sizeof *l);
    l->loss = loss;
    kvi_buf_init(&l->sent, &plain);
    kvi_buf_init(&l->whole, &plain);
    for (uint32_t i = 0; i < KVI_WIRE_WINDOW; i++)
        kvi_buf_init(&l->wire[i], &plain);
    split_of(&l->split, id, len, &l->sent);
    kvi_wire_gather_init(&l->gather, &plain, &roomy);
}

static void line_deinit(line *l)
{
    for (uint32_t i = 0; i < KVI_WIRE_WINDOW; i++)
        kvi_buf_deinit(&l->wire[i]);
    kvi_wire_gather_deinit(&l->gather);
    kvi_wire_split_deinit(&l->split);
    kvi_buf_deinit(&l->whole);
    kvi_buf_deinit(&l->sent);
}

/* All that is due goes onto the wire. */
static void line_send(line *l, uint64_t now_ns)
{
    int err = KV_OK;

    while (!err && l->on_wire < KVI_WIRE_WINDOW) {
        err = kvi_wire_split_next(&l->split, &header, now_ns, &l->wire[l->on_wire]);
        if (!err)
            l->on_wire++;
    }
    cr_assert(err == KV_OK || err == KV_ENOTFOUND, "%s", kvi_error_detail());
}

/* All that is on the wire arrives, in any order, some of it twice, some never. */
static void line_deliver(line *l, uint64_t now_ns)
{
    while (l->on_wire > 0) {
        kvi_buf *b = &l->wire[kvt_rng_below(&rng, l->on_wire)];
        kvi_wire_fragment f = fragment_of(b);

        if (kvt_rng_below(&rng, 100) >= l->loss) {
            int err = kvi_wire_gather_add(&l->gather, &f, now_ns, &l->whole);

            cr_assert(err == KV_OK || err == KVI_PENDING, "%d: %s", err, kvi_error_detail());
            if (err == KV_OK) {
                l->wholes++;
                cr_assert(kvi_slice_eq(kvi_buf_slice(&l->whole), kvi_buf_slice(&l->sent)));
            }
            if (kvt_rng_below(&rng, 100) >= l->loss)
                kvi_wire_split_ack(&l->split, f.index);
        }
        if (kvt_rng_below(&rng, 5)) { /* else it comes again */
            kvi_buf last = l->wire[--l->on_wire];

            l->wire[l->on_wire] = *b;
            *b = last;
        }
    }
}

WIRE_TEST(envelopes_arrive_whole_once_over_a_bad_line)
{
    for (int round = 0; round < 60; round++) {
        size_t len = MESSAGE + 1 + (size_t)kvt_rng_below(&rng, round % 10 ? 9000 : 90000);
        uint64_t now_ns = kvt_rng_next(&rng) >> 20;
        line l;

        line_init(&l, kvt_rng_next(&rng), len, (uint64_t)(round % 4) * 10);
        while (kvi_wire_split_state(&l.split) == KVI_WIRE_SPLIT_GOING) {
            line_send(&l, now_ns);
            line_deliver(&l, now_ns);
            if (kvi_wire_split_due(&l.split) != UINT64_MAX)
                now_ns = kvi_max_u64(now_ns, kvi_wire_split_due(&l.split));
        }
        cr_assert_eq(kvi_wire_split_state(&l.split), KVI_WIRE_SPLIT_DONE);
        cr_assert_eq(kvi_wire_split_due(&l.split), UINT64_MAX);
        cr_assert_eq(l.wholes, 1);
        cr_assert_eq(l.gather.held, 0);
        line_deinit(&l);
    }
}

WIRE_TEST(a_window_is_on_its_way_and_waits_longer_each_time)
{
    uint64_t now_ns = 5, wait = RESEND_NS;
    uint32_t sent = 0, resent = 0;
    kvi_wire_split s;
    kvi_buf copy, b;

    kvi_buf_init(&copy, &plain);
    kvi_buf_init(&b, &plain);
    split_of(&s, 1, 100000, &copy);
    cr_assert_eq(kvi_wire_split_due(&s), 0);
    while (kvi_wire_split_next(&s, &header, now_ns, &b) == KV_OK)
        cr_assert_eq(fragment_of(&b).index, sent++);
    cr_assert_eq(sent, KVI_WIRE_WINDOW);
    kvi_wire_split_ack(&s, KVI_WIRE_WINDOW); /* never sent */
    kvi_wire_split_ack(&s, 3);
    OK(kvi_wire_split_next(&s, &header, now_ns, &b));
    cr_assert_eq(fragment_of(&b).index, KVI_WIRE_WINDOW);
    kvi_wire_split_ack(&s, 3); /* again */
    cr_assert_eq(kvi_wire_split_next(&s, &header, now_ns, &b), KV_ENOTFOUND);
    for (uint32_t i = 0; i < KVI_WIRE_RESENDS_MAX; i++) {
        cr_assert_eq(kvi_wire_split_due(&s), now_ns + wait);
        cr_assert_eq(kvi_wire_split_next(&s, &header, now_ns + wait - 1, &b), KV_ENOTFOUND);
        now_ns += wait;
        for (resent = 0; kvi_wire_split_next(&s, &header, now_ns, &b) == KV_OK; resent++)
            cr_assert_leq(fragment_of(&b).index, KVI_WIRE_WINDOW);
        cr_assert_eq(resent, KVI_WIRE_WINDOW);
        wait = kvi_min_u64(wait * 2, RESEND_NS << KVI_WIRE_RESEND_SHIFT);
    }
    cr_assert_eq(kvi_wire_split_state(&s), KVI_WIRE_SPLIT_GOING);
    cr_assert_eq(kvi_wire_split_next(&s, &header, now_ns + wait, &b), KV_ENOTFOUND);
    cr_assert_eq(kvi_wire_split_state(&s), KVI_WIRE_SPLIT_FAILED);
    cr_assert_eq(kvi_wire_split_due(&s), UINT64_MAX);
    cr_assert_eq(kvi_wire_split_next(&s, &header, UINT64_MAX, &b), KV_ENOTFOUND);
    kvi_wire_split_deinit(&s);
    kvi_buf_deinit(&copy);
    kvi_buf_deinit(&b);
}

WIRE_TEST(without_memory_nothing_is_sent)
{
    kvi_wire_split s;
    kvt_failmem fm;
    kvi_mem mem;
    kvi_buf copy, b;

    kvt_failmem_init(&fm, &mem);
    kvi_buf_init(&copy, &plain);
    kvi_buf_init(&b, &mem);
    split_of(&s, 1, 5000, &copy);
    for (size_t n = 0; n < 2; n++) {
        kvt_failmem_arm(&fm, n, false);
        cr_assert_eq(kvi_wire_split_next(&s, &header, 1, &b), KV_ENOMEM);
        cr_assert(kvt_failmem_disarm(&fm));
    }
    OK(kvi_wire_split_next(&s, &header, 1, &b));
    cr_assert_eq(fragment_of(&b).index, 0);
    kvi_wire_split_deinit(&s);
    kvi_buf_deinit(&copy);
    kvi_buf_deinit(&b);
    cr_assert_eq(kvt_failmem_live(&fm), 0);
}

/* A fragment of an envelope of zeros. */
static kvi_wire_fragment piece(uint64_t id, uint32_t index, uint32_t count, uint32_t total_len)
{
    static const uint8_t zeros[4096];
    kvi_wire_fragment f = {id, index, count, total_len, {zeros, 0}};
    uint32_t at, len;

    cr_assert(kvi_wire_fragment_place(index, count, total_len, &at, &len) && len <= sizeof zeros);
    f.bytes.len = len;
    return f;
}

WIRE_TEST(what_a_peer_makes_us_hold_is_bounded)
{
    kvi_wire_gather_limits limits = {3000, 2, AGE_NS};
    kvi_wire_fragment a = piece(1, 0, 2, 2000), big = piece(2, 0, 2, 3000),
                      medium = piece(3, 1, 2, 1500), small = piece(4, 0, 2, 10),
                      third = piece(5, 0, 2, 10), rest = piece(1, 1, 2, 2000);
    kvi_wire_gather g;
    kvi_buf whole;

    kvi_buf_init(&whole, &plain);
    kvi_wire_gather_init(&g, &plain, &limits);
    cr_assert_eq(kvi_wire_gather_due(&g), UINT64_MAX);
    cr_assert_eq(kvi_wire_gather_add(&g, &big, 1, &whole), KV_ETOOBIG);
    cr_assert_eq(kvi_wire_gather_add(&g, &a, 1, &whole), KVI_PENDING);
    cr_assert_eq(g.held, 2001);
    cr_assert_eq(kvi_wire_gather_add(&g, &medium, 2, &whole), KV_EBUSY);
    cr_assert_eq(kvi_wire_gather_add(&g, &small, 2, &whole), KVI_PENDING);
    cr_assert_eq(kvi_wire_gather_add(&g, &third, 2, &whole), KV_EBUSY);
    cr_assert_eq(kvi_wire_gather_due(&g), 1 + AGE_NS);
    OK(kvi_wire_gather_add(&g, &rest, 3, &whole));
    cr_assert_eq(whole.len, 2000);
    cr_assert_eq(g.held, 11);
    cr_assert_eq(kvi_wire_gather_add(&g, &medium, 4, &whole), KVI_PENDING);
    cr_assert_eq(whole.len, 2000, "what is not whole is not touched");
    kvi_wire_gather_deinit(&g);
    kvi_buf_deinit(&whole);
}

WIRE_TEST(what_is_too_old_is_dropped)
{
    kvi_wire_fragment a = piece(1, 0, 3, 300), b = piece(1, 1, 3, 300), c = piece(1, 2, 3, 300);
    kvi_wire_gather g;
    kvi_buf whole;

    kvi_buf_init(&whole, &plain);
    kvi_wire_gather_init(&g, &plain, &roomy);
    cr_assert_eq(kvi_wire_gather_add(&g, &a, 10, &whole), KVI_PENDING);
    cr_assert_eq(kvi_wire_gather_add(&g, &b, 20, &whole), KVI_PENDING);
    cr_assert_eq(kvi_wire_gather_add(&g, &a, 30, &whole), KVI_PENDING);
    cr_assert_eq(kvi_wire_gather_due(&g), 20 + AGE_NS, "a known fragment keeps nothing alive");
    cr_assert_eq(kvi_wire_gather_expire(&g, 19 + AGE_NS), 0);
    cr_assert_eq(kvi_wire_gather_add(&g, &c, 20 + AGE_NS, &whole), KVI_PENDING);
    cr_assert_eq(g.slot[0].have, 1);
    cr_assert_eq(kvi_wire_gather_expire(&g, UINT64_MAX), 1);
    cr_assert(g.held == 0 && g.slots_used == 0);
    kvi_wire_gather_deinit(&g);
    kvi_buf_deinit(&whole);
}

WIRE_TEST(contradictions_are_corrupt)
{
    kvi_wire_fragment a = piece(1, 0, 3, 300), other_len = piece(1, 1, 3, 303),
                      other_count = piece(1, 1, 2, 300), short_one = piece(1, 1, 3, 300);
    kvi_wire_gather g;
    kvi_buf whole;

    kvi_buf_init(&whole, &plain);
    kvi_wire_gather_init(&g, &plain, &roomy);
    cr_assert_eq(kvi_wire_gather_add(&g, &a, 1, &whole), KVI_PENDING);
    cr_assert_eq(kvi_wire_gather_add(&g, &other_len, 1, &whole), KV_ECORRUPT);
    cr_assert_eq(kvi_wire_gather_add(&g, &other_count, 1, &whole), KV_ECORRUPT);
    short_one.bytes.len--;
    cr_assert_eq(kvi_wire_gather_add(&g, &short_one, 1, &whole), KV_ECORRUPT);
    short_one.count = 1;
    cr_assert_eq(kvi_wire_gather_add(&g, &short_one, 1, &whole), KV_ECORRUPT);
    cr_assert_eq(g.slot[0].have, 1);
    kvi_wire_gather_deinit(&g);
    kvi_buf_deinit(&whole);
}

WIRE_TEST(what_came_out_lately_is_known)
{
    kvi_wire_gather g;
    kvi_buf whole;

    kvi_buf_init(&whole, &plain);
    kvi_wire_gather_init(&g, &plain, &roomy);
    for (uint64_t id = 0; id <= KVI_WIRE_GATHERED_MAX; id++) {
        kvi_wire_fragment a = piece(id, 0, 2, 20), b = piece(id, 1, 2, 20);

        cr_assert_eq(kvi_wire_gather_add(&g, &a, 1, &whole), KVI_PENDING);
        OK(kvi_wire_gather_add(&g, &b, 1, &whole));
        cr_assert_eq(kvi_wire_gather_add(&g, &a, 1, &whole), KVI_PENDING);
        cr_assert_eq(g.held, 0);
    }
    for (uint64_t id = 0; id <= KVI_WIRE_GATHERED_MAX; id++) {
        kvi_wire_fragment a = piece(id, 0, 2, 20);

        cr_assert_eq(kvi_wire_gather_add(&g, &a, 1, &whole), KVI_PENDING);
        cr_assert_eq(g.slots_used, 1, "only 0 is forgotten, and begins again");
    }
    kvi_wire_gather_reset(&g);
    cr_assert(g.held == 0 && g.slots_used == 0 && g.done_count == 0);
    kvi_wire_gather_deinit(&g);
    kvi_buf_deinit(&whole);
}

WIRE_TEST(without_memory_nothing_is_taken)
{
    kvi_wire_fragment a = piece(1, 0, 2, 20), b = piece(1, 1, 2, 20);
    kvi_wire_gather g;
    kvt_failmem fm;
    kvi_mem mem;
    kvi_buf whole;

    kvt_failmem_init(&fm, &mem);
    kvi_buf_init(&whole, &mem);
    kvi_wire_gather_init(&g, &mem, &roomy);
    kvt_failmem_arm(&fm, 0, false);
    cr_assert_eq(kvi_wire_gather_add(&g, &a, 1, &whole), KV_ENOMEM);
    cr_assert(kvt_failmem_disarm(&fm) && g.held == 0 && g.slots_used == 0);
    cr_assert_eq(kvi_wire_gather_add(&g, &a, 1, &whole), KVI_PENDING);
    OK(kvi_wire_gather_add(&g, &b, 1, &whole));
    OK(kvi_buf_append(&whole, "more", 4));
    kvi_wire_gather_deinit(&g);
    kvi_buf_deinit(&whole);
    cr_assert_eq(kvt_failmem_live(&fm), 0);
}
