/*
 * Gossip messages: what is written is read back; what is damaged is refused, wholly.
 */
#include <criterion/criterion.h>

#include "base/hash.h"
#include "gossip/message.h"

static kvi_gossip_record alive(uint64_t node)
{
    kvi_gossip_record r = {.node = node,
                           .open_id = UINT64_MAX - node,
                           .incarnation = 300,
                           .state = KVI_GOSSIP_ALIVE,
                           .address = kvi_slice_of("127.0.0.1:7000", 14)};

    return r;
}

static kvi_slice sample(uint8_t *buf, size_t cap)
{
    static const uint32_t sums[4] = {1, 2, UINT32_MAX, 4};
    kvi_gossip_message header = {.kind = KVI_GOSSIP_SYNC,
                                 .seq = 0xdeadbeef,
                                 .subject = 9,
                                 .heartbeat = UINT64_MAX,
                                 .sender = alive(1)};
    kvi_gossip_record suspect = alive(2), unseen = alive(3);
    kvi_gossip_writer w;

    suspect.state = KVI_GOSSIP_SUSPECT;
    suspect.by = 77;
    unseen.state = KVI_GOSSIP_DEAD;
    unseen.open_id = 0;
    unseen.incarnation = 0;
    unseen.address.len = 0;
    kvi_gossip_write_begin(&w, buf, cap, &header);
    kvi_gossip_write_sums(&w, sums, 4);
    kvi_gossip_write_beats(&w);
    cr_assert(kvi_gossip_write_beat(&w, 5, 1));
    cr_assert(kvi_gossip_write_beat(&w, 6, UINT64_MAX));
    kvi_gossip_write_records(&w);
    cr_assert(kvi_gossip_write_record(&w, &suspect));
    cr_assert(kvi_gossip_write_record(&w, &unseen));
    return kvi_gossip_write_finish(&w);
}

Test(gossip_message, is_read_as_written)
{
    uint8_t buf[KVI_GOSSIP_MESSAGE_MIN];
    kvi_slice body = sample(buf, sizeof buf);
    kvi_gossip_message m;
    kvi_gossip_record r;
    const uint8_t *at;
    uint64_t node, beat;

    cr_assert_eq(kvi_gossip_decode(body, &m), KV_OK);
    cr_assert(m.kind == KVI_GOSSIP_SYNC && m.seq == 0xdeadbeef && m.subject == 9);
    cr_assert_eq(m.heartbeat, UINT64_MAX);
    cr_assert(m.sender.node == 1 && m.sender.open_id == UINT64_MAX - 1);
    cr_assert(m.sum_count == 4 && kvi_gossip_sum(&m, 2) == UINT32_MAX);
    cr_assert(m.beat_count == 2 && m.record_count == 2);
    at = m.beats;
    kvi_gossip_next_beat(&m, &at, &node, &beat);
    kvi_gossip_next_beat(&m, &at, &node, &beat);
    cr_assert(node == 6 && beat == UINT64_MAX);
    at = m.records;
    kvi_gossip_next_record(&m, &at, &r);
    cr_assert(r.node == 2 && r.state == KVI_GOSSIP_SUSPECT && r.by == 77 && r.incarnation == 300);
    cr_assert(kvi_slice_eq(r.address, kvi_slice_of("127.0.0.1:7000", 14)));
    kvi_gossip_next_record(&m, &at, &r);
    cr_assert(r.node == 3 && r.state == KVI_GOSSIP_DEAD && r.address.len == 0);
}

Test(gossip_message, any_flipped_bit_or_lost_byte_is_seen)
{
    uint8_t buf[KVI_GOSSIP_MESSAGE_MIN];
    kvi_slice body = sample(buf, sizeof buf);
    kvi_gossip_message m;

    for (size_t bit = 0; bit < body.len * 8; bit++) {
        buf[bit / 8] ^= (uint8_t)(1u << bit % 8);
        cr_assert_eq(kvi_gossip_decode(body, &m), KV_ECORRUPT, "bit %zu", bit);
        buf[bit / 8] ^= (uint8_t)(1u << bit % 8);
    }
    for (size_t len = 0; len < body.len; len++)
        cr_assert_eq(kvi_gossip_decode(kvi_slice_of(buf, len), &m), KV_ECORRUPT, "len %zu", len);
}

/* With the checksum put right: no change of a byte, and no cut, reads beyond the message. */
Test(gossip_message, lies_with_a_checksum_are_bounded)
{
    uint8_t buf[KVI_GOSSIP_MESSAGE_MIN];
    size_t whole = sample(buf, sizeof buf).len;

    for (size_t i = 0; i < whole - KVI_GOSSIP_CHECK_LEN; i++) {
        for (unsigned value = 0; value < 256; value += 15) {
            for (size_t cut = 0; cut < 3; cut++) {
                size_t len = whole - KVI_GOSSIP_CHECK_LEN - cut;
                uint8_t *copy = malloc(len + KVI_GOSSIP_CHECK_LEN);
                kvi_gossip_message m;

                cr_assert(copy != NULL);
                memcpy(copy, buf, len);
                if (i < len)
                    copy[i] = (uint8_t)value;
                kvi_put_u64(copy + len, kvi_hash64(copy, len, KVI_GOSSIP_CHECK_SEED));
                if (kvi_gossip_decode(kvi_slice_of(copy, len + KVI_GOSSIP_CHECK_LEN), &m) ==
                    KV_OK) {
                    const uint8_t *at = m.records;
                    kvi_gossip_record r;

                    cr_assert_eq(cut, 0);
                    for (uint32_t n = 0; n < m.record_count; n++)
                        kvi_gossip_next_record(&m, &at, &r);
                    cr_assert_eq(at, m.end);
                }
                free(copy);
            }
        }
    }
}

Test(gossip_message, records_that_cannot_be_are_refused)
{
    for (int which = 0; which < 4; which++) {
        uint8_t buf[KVI_GOSSIP_MESSAGE_MIN];
        kvi_gossip_message header = {.kind = KVI_GOSSIP_TELL, .sender = alive(1)}, m;
        kvi_gossip_record r = alive(2);
        kvi_gossip_writer w;

        if (which == 0)
            r.node = 0;
        else if (which == 1)
            r.open_id = 0;
        else if (which == 2)
            r.incarnation = 0;
        else
            r.address = kvi_slice_of("a\0b", 3);
        kvi_gossip_write_begin(&w, buf, sizeof buf, &header);
        kvi_gossip_write_sums(&w, NULL, 0);
        kvi_gossip_write_beats(&w);
        kvi_gossip_write_records(&w);
        cr_assert(kvi_gossip_write_record(&w, &r));
        cr_assert_eq(kvi_gossip_decode(kvi_gossip_write_finish(&w), &m), KV_ECORRUPT, "%d", which);
    }
}

Test(gossip_message, never_exceeds_its_room)
{
    uint8_t buf[KVI_GOSSIP_MESSAGE_MIN + 16];
    uint32_t sums[KVI_GOSSIP_SUMS_MAX] = {0};
    kvi_gossip_message header = {.kind = KVI_GOSSIP_TELL, .sender = alive(1)}, m;
    kvi_gossip_record r = alive(2);
    kvi_gossip_writer w;
    uint32_t n = 0;

    memset(buf, 0xee, sizeof buf);
    kvi_gossip_write_begin(&w, buf, KVI_GOSSIP_MESSAGE_MIN, &header);
    kvi_gossip_write_sums(&w, sums, KVI_GOSSIP_SUMS_MAX);
    kvi_gossip_write_beats(&w);
    while (kvi_gossip_write_beat(&w, 3, 3))
        ;
    kvi_gossip_write_records(&w);
    while (kvi_gossip_write_record(&w, &r))
        n++;
    cr_assert_eq(kvi_gossip_decode(kvi_gossip_write_finish(&w), &m), KV_OK);
    cr_assert(m.record_count == n && m.beat_count <= KVI_GOSSIP_BEATS_MAX);
    for (size_t i = KVI_GOSSIP_MESSAGE_MIN; i < sizeof buf; i++)
        cr_assert_eq(buf[i], 0xee);
}
