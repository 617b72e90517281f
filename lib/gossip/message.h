/*
 * Gossip messages, written and read. Pure.
 *
 * 1. Reading checks all of a message before anything of it is handed out: the checksum, every
 *    count against the bytes that are left, every field's range, and that nothing is left over.
 *    The walks that follow cannot fail.
 * 2. What was read points into the message; nothing is allocated on either side.
 * 3. A writer never exceeds the room it was given; what does not fit is not written, wholly.
 */
#ifndef KVI_GOSSIP_MESSAGE_H
#define KVI_GOSSIP_MESSAGE_H

#include "base/bytes.h"
#include "base/slice.h"
#include "gossip/gossip.h"
#include "gossip/gossip_format.h"

/** What is said of a node. */
typedef struct kvi_gossip_record {
    uint64_t node, open_id;
    uint64_t by; /* SUSPECT: who suspects it; else 0 */
    uint32_t incarnation;
    enum kvi_gossip_state state; /* not UNKNOWN */
    kvi_slice address;
} kvi_gossip_record;

typedef struct kvi_gossip_message {
    enum kvi_gossip_kind kind;
    uint32_t seq;
    uint64_t subject, heartbeat;
    kvi_gossip_record sender; /* ALIVE */
    uint32_t sum_count, beat_count, record_count;
    const uint8_t *sums, *beats, *records;
    const uint8_t *end;
} kvi_gossip_message;

/** KV_OK or KV_ECORRUPT with a detail. body is borrowed as long as m is used. */
int kvi_gossip_decode(kvi_slice body, kvi_gossip_message *m) KVI_NODISCARD;

/** The walks: *at begins as m->records or m->beats, and moves to the next one. As many calls as
 *  the message counts. */
void kvi_gossip_next_record(const kvi_gossip_message *m, const uint8_t **at,
                            kvi_gossip_record *out);
void kvi_gossip_next_beat(const kvi_gossip_message *m, const uint8_t **at, uint64_t *node,
                          uint64_t *heartbeat);

static inline uint32_t kvi_gossip_sum(const kvi_gossip_message *m, uint32_t i)
{
    return kvi_get_u32(m->sums + (size_t)i * KVI_GOSSIP_SUM_LEN);
}

/** Writes one message. Sections in their order: begin, sums, beats, records, finish. */
typedef struct kvi_gossip_writer {
    uint8_t *start, *at;
    uint8_t *end;   /* of the room for sections: the checksum has its own behind it */
    uint8_t *count; /* where the open section's count goes */
} kvi_gossip_writer;

/** buf has cap bytes, KVI_GOSSIP_MESSAGE_MIN or more: header and sender always fit. */
void kvi_gossip_write_begin(kvi_gossip_writer *w, uint8_t *buf, size_t cap,
                            const kvi_gossip_message *header);

/** All of them, or none where they do not fit. count is 0 or a power of two. */
void kvi_gossip_write_sums(kvi_gossip_writer *w, const uint32_t *sums, uint32_t count);

void kvi_gossip_write_beats(kvi_gossip_writer *w);
bool kvi_gossip_write_beat(kvi_gossip_writer *w, uint64_t node, uint64_t heartbeat);

void kvi_gossip_write_records(kvi_gossip_writer *w);
bool kvi_gossip_write_record(kvi_gossip_writer *w, const kvi_gossip_record *r);

/** The whole message, with its checksum. */
kvi_slice kvi_gossip_write_finish(kvi_gossip_writer *w);

#endif
