/* lib/wire/envelope.c: what is said arrives, and what was not said is refused. */
#include "wire/envelope.h"

#include <criterion/criterion.h>

#include <stdlib.h>

#include "base/bytes.h"
#include "base/error.h"
#include "support/failmem.h"
#include "unit/wire/messages.h"

#define OK(call) cr_assert_eq((call), KV_OK, "%s: %s", #call, kvi_error_detail())

static kvi_mem plain;
static kvt_messages draw;
static kvi_buf b;

static void setup(void)
{
    kvi_mem_init(&plain, NULL);
    kvt_messages_init(&draw, &plain, 1);
    kvi_buf_init(&b, &plain);
}

static void teardown(void)
{
    kvi_buf_deinit(&b);
    kvt_messages_deinit(&draw);
}

#define WIRE_TEST(name) Test(wire_envelope, name, .init = setup, .fini = teardown)

static enum kvi_wire_kind any_kind(void)
{
    return (enum kvi_wire_kind)(1 + kvt_rng_below(&draw.rng, KVI_WIRE_KINDS - 1));
}

/* Opens bytes and reads the first message: of the two the first that fails. */
static int first(kvi_slice bytes, kvi_wire_message *m)
{
    kvi_wire_header header;
    kvi_wire_reader r;
    int err = kvi_wire_open(bytes, &header, &r);

    return err ? err : kvi_wire_next(&r, m);
}

/* An envelope of body as it stands, with count as its count. */
static void enclose(kvi_buf *out, kvi_slice body, uint32_t count)
{
    kvi_wire_header h = {{9}, 1, 2, 3, 4};

    OK(kvi_wire_begin(out, &h));
    OK(kvi_buf_append(out, body.data, body.len));
    kvi_put_u32(out->data + KVI_WIRE_AT_COUNT, count);
    kvi_wire_finish(out);
}

WIRE_TEST(every_kind_comes_back)
{
    kvi_buf again;

    kvi_buf_init(&again, &plain);
    for (int round = 0; round < 200; round++) {
        for (unsigned kind = 1; kind < KVI_WIRE_KINDS; kind++) {
            kvi_wire_message m = kvt_message(&draw, (enum kvi_wire_kind)kind), got;

            kvt_envelope_of(&b, &m);
            cr_assert_eq(b.len, KVI_WIRE_HEADER_LEN + kvi_wire_message_len(&m));
            OK(first(kvi_buf_slice(&b), &got));
            cr_assert(kvt_message_same(&m, &got), "%s", kvi_wire_kind_name(m.kind));
            kvt_envelope_of(&again, &got);
            cr_assert(kvi_slice_eq(kvi_buf_slice(&b), kvi_buf_slice(&again)));
        }
    }
    kvi_buf_deinit(&again);
}

WIRE_TEST(many_messages_share_an_envelope)
{
    for (int round = 0; round < 50; round++) {
        kvi_wire_header h = kvt_header(&draw.rng), got_h;
        enum kvi_wire_kind kinds[40];
        uint32_t count = (uint32_t)kvt_rng_below(&draw.rng, 41);
        kvi_wire_message m;
        kvi_wire_reader r;

        OK(kvi_wire_begin(&b, &h));
        for (uint32_t i = 0; i < count; i++) {
            m = kvt_message(&draw, kinds[i] = any_kind());
            OK(kvi_wire_add(&b, &m));
        }
        cr_assert_eq(kvi_wire_count(&b), count);
        kvi_wire_finish(&b);
        OK(kvi_wire_open(kvi_buf_slice(&b), &got_h, &r));
        cr_assert_arr_eq(got_h.uuid, h.uuid, sizeof h.uuid);
        cr_assert(got_h.from_node == h.from_node && got_h.from_open == h.from_open);
        cr_assert(got_h.to_open == h.to_open && got_h.epoch == h.epoch);
        for (uint32_t i = 0; i < count; i++) {
            OK(kvi_wire_next(&r, &m));
            cr_assert_eq(m.kind, kinds[i]);
        }
        for (int i = 0; i < 2; i++)
            cr_assert_eq(kvi_wire_next(&r, &m), KV_ENOTFOUND);
    }
}

WIRE_TEST(an_envelope_is_finished_again_after_more_was_added)
{
    kvi_wire_message m = kvt_message(&draw, KVI_WIRE_RING_ASK), got;

    kvt_envelope_of(&b, &m);
    OK(kvi_wire_add(&b, &m));
    cr_assert_eq(first(kvi_buf_slice(&b), &got), KV_ECORRUPT);
    kvi_wire_finish(&b);
    OK(first(kvi_buf_slice(&b), &got));
    cr_assert_eq(kvi_wire_count(&b), 2);
}

WIRE_TEST(a_cut_envelope_is_corrupt)
{
    kvi_wire_message m = kvt_message(&draw, KVI_WIRE_FORWARD), got;

    kvt_envelope_of(&b, &m);
    for (size_t len = 0; len < b.len; len++) {
        void *cut = malloc(len + !len); /* no byte to spare */

        memcpy(cut, b.data, len);
        cr_assert_eq(first(kvi_slice_of(cut, len), &got), KV_ECORRUPT, "%zu bytes", len);
        free(cut);
    }
    OK(kvi_buf_append(&b, "", 1));
    cr_assert_eq(first(kvi_buf_slice(&b), &got), KV_ECORRUPT);
}

WIRE_TEST(a_changed_bit_is_found)
{
    kvi_wire_message m = kvt_message(&draw, KVI_WIRE_APPLY), got;

    kvt_envelope_of(&b, &m);
    for (size_t bit = 0; bit < b.len * 8; bit++) {
        bool format = bit / 8 >= KVI_WIRE_AT_FORMAT && bit / 8 < KVI_WIRE_AT_CHECKSUM;

        b.data[bit / 8] = (uint8_t)(b.data[bit / 8] ^ 1u << bit % 8);
        cr_assert_eq(first(kvi_buf_slice(&b), &got), format ? KV_EFORMAT : KV_ECORRUPT, "bit %zu",
                     bit);
        b.data[bit / 8] = (uint8_t)(b.data[bit / 8] ^ 1u << bit % 8);
    }
    OK(first(kvi_buf_slice(&b), &got));
}

WIRE_TEST(another_format_may_be_of_any_length)
{
    uint8_t newer[8];
    kvi_wire_message m;

    kvi_put_u32(newer, KVI_WIRE_MAGIC);
    kvi_put_u32(newer + 4, KVI_WIRE_FORMAT + 1);
    cr_assert_eq(first(kvi_slice_of(newer, sizeof newer), &m), KV_EFORMAT);
    cr_assert_eq(first(kvi_slice_of(newer, sizeof newer - 1), &m), KV_ECORRUPT);
    cr_assert_eq(first(kvi_slice_of(NULL, 0), &m), KV_ECORRUPT);
}

/* The checksum is right, and the message is cut: at each byte, and lengthened by one. */
WIRE_TEST(a_cut_message_is_corrupt)
{
    for (unsigned kind = 1; kind < KVI_WIRE_KINDS; kind++) {
        for (int round = 0; round < 3; round++) {
            kvi_wire_message m = kvt_message(&draw, (enum kvi_wire_kind)kind), got;
            size_t prefix;
            kvi_buf whole, cut, bad;

            kvi_buf_init(&whole, &plain);
            kvi_buf_init(&cut, &plain);
            kvi_buf_init(&bad, &plain);
            kvt_envelope_of(&whole, &m);
            prefix = kvi_wire_message_len(&m);
            prefix -= whole.len > KVI_WIRE_HEADER_LEN + 128 ? 2 : 1;
            OK(kvi_buf_set(&cut, whole.data + whole.len - prefix, prefix));
            OK(kvi_buf_append(&cut, "", 1));
            for (size_t len = 1; len <= cut.len; len++) {
                uint8_t length[KVI_VARINT64_MAX];

                if (len == cut.len - 1)
                    continue; /* this is all of it */
                kvi_buf_clear(&bad);
                OK(kvi_buf_append(&bad, length, (size_t)(kvi_put_varint(length, len) - length)));
                OK(kvi_buf_append(&bad, cut.data, len));
                enclose(&b, kvi_buf_slice(&bad), 1);
                cr_assert_eq(first(kvi_buf_slice(&b), &got), KV_ECORRUPT, "%s, %zu of %zu bytes",
                             kvi_wire_kind_name(m.kind), len, cut.len - 1);
            }
            kvi_buf_deinit(&bad);
            kvi_buf_deinit(&cut);
            kvi_buf_deinit(&whole);
        }
    }
}

/* What is changed under a right checksum is refused, or is another message said in its one way. */
WIRE_TEST(what_is_taken_is_canonical)
{
    size_t taken = 0, refused = 0;
    kvi_buf again;

    kvi_buf_init(&again, &plain);
    for (int round = 0; round < 20000; round++) {
        kvi_wire_message m = kvt_message(&draw, any_kind()), got;
        size_t at;
        int err;

        kvt_envelope_of(&b, &m);
        at = KVI_WIRE_HEADER_LEN +
             (size_t)kvt_rng_below(&draw.rng, kvi_min_size(b.len - KVI_WIRE_HEADER_LEN, 60));
        b.data[at] = (uint8_t)(b.data[at] ^ 1u << kvt_rng_below(&draw.rng, 8));
        kvi_wire_finish(&b);
        err = first(kvi_buf_slice(&b), &got);
        cr_assert(err == KV_OK || err == KV_ECORRUPT || err == KV_ENOTFOUND);
        refused += err == KV_ECORRUPT;
        if (err)
            continue;
        taken++;
        kvt_envelope_of(&again, &got);
        cr_assert(kvi_slice_eq(kvi_buf_slice(&b), kvi_buf_slice(&again)), "%s",
                  kvi_wire_kind_name(got.kind));
    }
    cr_assert(taken > 1000 && refused > 1000, "%zu taken, %zu refused", taken, refused);
    kvi_buf_deinit(&again);
}

WIRE_TEST(unknown_kinds_are_skipped)
{
    /* RING_ASK 5, kind 18 with three bytes, kind 0 with none, kind 255, RING_ASK 6 */
    static const uint8_t body[] = {2, 3, 5, 4, 18, 1, 2, 3, 1, 0, 2, 255, 7, 2, 3, 6};
    kvi_wire_header h;
    kvi_wire_reader r;
    kvi_wire_message m;

    enclose(&b, kvi_slice_of(body, sizeof body), 5);
    OK(kvi_wire_open(kvi_buf_slice(&b), &h, &r));
    OK(kvi_wire_next(&r, &m));
    cr_assert(m.kind == KVI_WIRE_RING_ASK && m.u.ring_ask.epoch_have == 5);
    OK(kvi_wire_next(&r, &m));
    cr_assert(m.kind == KVI_WIRE_RING_ASK && m.u.ring_ask.epoch_have == 6);
    cr_assert_eq(kvi_wire_next(&r, &m), KV_ENOTFOUND);
    cr_assert_str_eq(kvi_wire_kind_name((enum kvi_wire_kind)18), "?");
    cr_assert_str_eq(kvi_wire_kind_name(KVI_WIRE_SCAN_ANSWER), "SCAN_ANSWER");
}

WIRE_TEST(malformed_messages_end_the_walk)
{
    static const struct {
        uint8_t body[8];
        size_t len;
        uint32_t count;
    } bad[] = {
        {{2, 3, 5}, 3, 0},             /* more bytes than messages */
        {{2, 3, 5, 0}, 4, 2},          /* a message of nothing */
        {{2, 3, 5, 2, 3, 5, 1}, 7, 2}, /* bytes behind the last */
        {{3, 3, 5}, 3, 1},             /* a length behind the end */
        {{0x82, 0, 3, 5}, 4, 1},       /* a padded length */
        {{3, 3, 0x85, 0}, 4, 1},       /* a padded number */
        {{3, 3, 5, 0}, 4, 1},          /* a byte left over in it */
    };
    kvi_wire_header h;
    kvi_wire_reader r;
    kvi_wire_message m;

    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        int err = KV_OK;

        enclose(&b, kvi_slice_of(bad[i].body, bad[i].len), bad[i].count);
        OK(kvi_wire_open(kvi_buf_slice(&b), &h, &r));
        for (uint32_t n = 0; !err && n <= bad[i].count; n++)
            err = kvi_wire_next(&r, &m);
        cr_assert_eq(err, KV_ECORRUPT, "body %zu", i);
        cr_assert_eq(kvi_wire_next(&r, &m), KV_ECORRUPT, "body %zu, again", i);
    }
    enclose(&b, kvi_slice_of("\x02\x03\x05", 3), 2);
    cr_assert_eq(kvi_wire_open(kvi_buf_slice(&b), &h, &r), KV_ECORRUPT, "no room for two");
    enclose(&b, kvi_slice_of("\x02\x03\x05\x05", 4), 2);
    OK(kvi_wire_open(kvi_buf_slice(&b), &h, &r));
    OK(kvi_wire_next(&r, &m));
    cr_assert_eq(kvi_wire_next(&r, &m), KV_ECORRUPT);
}

WIRE_TEST(what_no_reader_takes_is_not_written)
{
    kvi_slice none = {NULL, 0}, x = {"x", 1};
    kvi_wire_items junk = {1, {"junk", 4}};
    const kvi_wire_message bad[] = {
        {.kind = (enum kvi_wire_kind)0},
        {.kind = (enum kvi_wire_kind)KVI_WIRE_KINDS},
        {.kind = KVI_WIRE_JOIN_ANSWER, .u.join_answer = {.err = KVI_PENDING}},
        {.kind = KVI_WIRE_CHANGE, .u.change = {.what = 0}},
        {.kind = KVI_WIRE_CHANGE, .u.change = {.what = KVI_WIRE_CHANGE_ADD_SPACE}},
        {.kind = KVI_WIRE_CHANGE, .u.change = {.what = KVI_WIRE_CHANGE_SERVE, .name = x}},
        {.kind = KVI_WIRE_CHANGE, .u.change = {.what = KVI_WIRE_CHANGE_SERVE, .policy.n = 1}},
        {.kind = KVI_WIRE_FORWARD, .u.forward = {.op = 0, .key = x}},
        {.kind = KVI_WIRE_FORWARD, .u.forward = {.op = 4, .key = x}},
        {.kind = KVI_WIRE_FORWARD, .u.forward = {.op = KVI_WIRE_PUT, .key = none}},
        {.kind = KVI_WIRE_FORWARD, .u.forward = {.op = KVI_WIRE_DELETE, .key = x, .value = x}},
        {.kind = KVI_WIRE_FORWARD, .u.forward = {.op = KVI_WIRE_PUT, .key = x, .items = junk}},
        {.kind = KVI_WIRE_FORWARD, .u.forward = {.op = KVI_WIRE_BATCH}},
        {.kind = KVI_WIRE_FORWARD, .u.forward = {.op = KVI_WIRE_BATCH, .items = junk}},
        {.kind = KVI_WIRE_FORWARD, .u.forward = {.op = KVI_WIRE_BATCH, .key = x, .items = junk}},
        {.kind = KVI_WIRE_APPLY, .u.apply = {.id = 1}},
        {.kind = KVI_WIRE_APPLY, .u.apply = {.items = junk}},
        {.kind = KVI_WIRE_APPLY, .u.apply = {.flags = 4, .items = junk}},
        {.kind = KVI_WIRE_READ, .u.read = {.key = none}},
        {.kind = KVI_WIRE_READ, .u.read = {.flags = 2, .key = x}},
        {.kind = KVI_WIRE_READ_ANSWER, .u.read_answer = {.holds = 3}},
        {.kind = KVI_WIRE_READ_ANSWER, .u.read_answer = {.holds = KVI_WIRE_HOLDS_OBJECT}},
        {.kind = KVI_WIRE_READ_ANSWER, .u.read_answer = {.object = x}},
        {.kind = KVI_WIRE_READ_ANSWER, .u.read_answer = {.digest = 1}},
        {.kind = KVI_WIRE_READ_ANSWER,
         .u.read_answer = {.err = KV_EIO, .holds = KVI_WIRE_HOLDS_DIGEST}},
        {.kind = KVI_WIRE_SCAN, .u.scan = {.token_from = 2, .token_to = 1}},
        {.kind = KVI_WIRE_SCAN_ANSWER, .u.scan_answer = {.items = junk}},
        {.kind = KVI_WIRE_FRAGMENT, .u.fragment = {.count = 1, .total_len = 1, .bytes = x}},
        {.kind = KVI_WIRE_FRAGMENT, .u.fragment = {.count = 2, .total_len = 4, .bytes = x}},
    };
    kvi_wire_header h = {{0}, 1, 2, 3, 4};

    OK(kvi_wire_begin(&b, &h));
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        cr_assert_eq(kvi_wire_add(&b, &bad[i]), KV_EINVAL, "message %zu", i);
        cr_assert_eq(kvi_wire_message_len(&bad[i]), 0);
    }
    cr_assert_eq(b.len, KVI_WIRE_HEADER_LEN);
    cr_assert_eq(kvi_wire_count(&b), 0);
}

WIRE_TEST(fields_over_their_limits_are_too_big)
{
    kvi_slice big = {draw.bytes, KVI_WIRE_ENVELOPE_MAX - 50u}; /* counted, never read */
    kvi_wire_message long_key = {.kind = KVI_WIRE_READ,
                                 .u.read.key = {draw.bytes, KVI_WIRE_KEY_MAX + 1u}};
    kvi_wire_message ack = {.kind = KVI_WIRE_APPLY_ACK, .u.apply_ack.newer = big};

    OK(kvi_wire_begin(&b, &(kvi_wire_header){.epoch = 1}));
    cr_assert_eq(kvi_wire_add(&b, &long_key), KV_ETOOBIG);
    cr_assert_eq(kvi_wire_add(&b, &ack), KV_ETOOBIG);
    cr_assert_eq(kvi_wire_message_len(&ack), 0);
    cr_assert_eq(b.len, KVI_WIRE_HEADER_LEN);
}

WIRE_TEST(a_full_envelope_takes_no_more)
{
    size_t half = KVI_WIRE_ENVELOPE_MAX / 2;
    void *zeros = calloc(1, half);
    kvi_wire_message ack = {.kind = KVI_WIRE_APPLY_ACK, .u.apply_ack.newer = {zeros, half}};
    kvi_wire_message small = {.kind = KVI_WIRE_RING_ASK};

    cr_assert_not_null(zeros);
    OK(kvi_wire_begin(&b, &(kvi_wire_header){.epoch = 1}));
    OK(kvi_wire_add(&b, &ack));
    cr_assert_eq(kvi_wire_add(&b, &ack), KV_ETOOBIG);
    cr_assert_eq(kvi_wire_count(&b), 1);
    OK(kvi_wire_add(&b, &small));
    free(zeros);
}

WIRE_TEST(messages_are_counted_and_bounded)
{
    kvi_wire_message m = {.kind = KVI_WIRE_RING_ASK};

    OK(kvi_wire_begin(&b, &(kvi_wire_header){.epoch = 1}));
    for (uint32_t i = 0; i < KVI_WIRE_MESSAGES_MAX; i++)
        OK(kvi_wire_add(&b, &m));
    cr_assert_eq(kvi_wire_add(&b, &m), KV_ETOOBIG);
    kvi_wire_finish(&b);
    OK(first(kvi_buf_slice(&b), &m));
}

WIRE_TEST(without_memory_nothing_changes)
{
    kvi_wire_message m = kvt_message(&draw, KVI_WIRE_JOIN);
    kvi_wire_header h = {{0}, 1, 2, 3, 4};
    kvt_failmem fm;
    kvi_mem mem;
    kvi_buf scarce;

    kvt_failmem_init(&fm, &mem);
    kvi_buf_init(&scarce, &mem);
    kvt_failmem_arm(&fm, 0, false);
    cr_assert_eq(kvi_wire_begin(&scarce, &h), KV_ENOMEM);
    cr_assert_eq(scarce.len, 0);
    OK(kvi_wire_begin(&scarce, &h));
    m.u.join.address = kvi_slice_of(draw.bytes, KVI_WIRE_ADDRESS_MAX);
    kvt_failmem_arm(&fm, 0, false);
    cr_assert_eq(kvi_wire_add(&scarce, &m), KV_ENOMEM);
    cr_assert(kvt_failmem_disarm(&fm) && scarce.len == KVI_WIRE_HEADER_LEN);
    cr_assert_eq(kvi_wire_count(&scarce), 0);
    OK(kvi_wire_add(&scarce, &m));
    kvi_buf_deinit(&scarce);
    cr_assert_eq(kvt_failmem_live(&fm), 0);
}

/* Formats are the same on every machine: these bytes may never change under format 1. */
WIRE_TEST(the_bytes_are_these)
{
    static const uint8_t expect[] = {/* magic, format, checksum */
                                     'k', 'v', 'w', 'n', 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0,
                                     /* uuid */
                                     0x10, 0x11, 0x12, 0x13, 0x14, 0x15, 0x16, 0x17, 0x18, 0x19,
                                     0x1a, 0x1b, 0x1c, 0x1d, 0x1e, 0x1f,
                                     /* from_node, from_open, to_open, epoch */
                                     1, 0, 0, 0, 0, 0, 0, 0, 2, 0, 0, 0, 0, 0, 0, 0, 3, 0, 0, 0, 0,
                                     0, 0, 0, 4, 0, 0, 0, 0, 0, 0, 0,
                                     /* body length, count */
                                     20, 0, 0, 0, 1, 0, 0, 0,
                                     /* length, READ, id, space, token, flags, key */
                                     19, 12, 0xac, 2, 5, 8, 7, 6, 5, 4, 3, 2, 1, 1, 5, 'h', 'e',
                                     'l', 'l', 'o'};
    kvi_wire_message m = {.kind = KVI_WIRE_READ,
                          .u.read = {300, 5, UINT64_C(0x0102030405060708), 1, {"hello", 5}}};
    kvi_wire_header h = {{0}, 1, 2, 3, 4};
    uint8_t got[sizeof expect];

    for (size_t i = 0; i < sizeof h.uuid; i++)
        h.uuid[i] = (uint8_t)(0x10 + i);
    OK(kvi_wire_begin(&b, &h));
    OK(kvi_wire_add(&b, &m));
    kvi_wire_finish(&b);
    cr_assert_eq(b.len, sizeof expect);
    memcpy(got, b.data, b.len);
    memset(got + KVI_WIRE_AT_CHECKSUM, 0, 8);
    cr_assert_arr_eq(got, expect, sizeof expect);
    cr_assert_eq(kvi_get_u64(b.data + KVI_WIRE_AT_CHECKSUM), UINT64_C(0xd6e7fa78d1f564b1));
}
