/*
 * One message of the transport: a header that says who speaks, to whom and at which ring epoch, and
 * any number of messages behind it. Bytes: wire_format.h.
 *
 *     kvi_wire_begin(&b, &header);                        kvi_wire_open(whole, &header, &r);
 *     kvi_wire_add(&b, &message);  any number of times    while (!(err = kvi_wire_next(&r, &m)))
 *     kvi_wire_finish(&b);         then b is sent             …
 *
 * 1. Everything that is read was covered by the checksum, and is within the limits of
 *    wire_format.h. Nothing is allocated while reading.
 * 2. A failed kvi_wire_add() leaves the envelope as it was: it may be finished and sent, and the
 *    message go into the next one.
 * 3. Encoding what was decoded gives the same bytes: there is one way to say a thing.
 *
 * The checksum finds accidents, not forgery. Pure: any thread, each buf and reader one at a time.
 */
#ifndef KVI_WIRE_ENVELOPE_H
#define KVI_WIRE_ENVELOPE_H

#include "base/buf.h"
#include "wire/message.h"

typedef struct kvi_wire_header {
    uint8_t uuid[KVI_WIRE_UUID_LEN]; /* all zero: not a member of a cluster yet */
    uint64_t from_node, from_open;
    uint64_t to_open; /* 0: any */
    uint64_t epoch;
} kvi_wire_header;

/** Empties b and puts the header there: KV_OK or KV_ENOMEM. */
int kvi_wire_begin(kvi_buf *b, const kvi_wire_header *header) KVI_NODISCARD;

/** Adds a copy of message to the envelope in b. KV_ETOOBIG: the envelope would pass
 *  KVI_WIRE_ENVELOPE_MAX or KVI_WIRE_MESSAGES_MAX, or a field passes its own limit; KV_EINVAL: a
 *  field has a value that no reader accepts; KV_ENOMEM. */
int kvi_wire_add(kvi_buf *b, const kvi_wire_message *message) KVI_NODISCARD;

/** How many bytes kvi_wire_add() would add; 0 where it would refuse the message by itself. */
size_t kvi_wire_message_len(const kvi_wire_message *message);

/** How many messages were added so far. */
uint32_t kvi_wire_count(const kvi_buf *b);

/** Fills in length and checksum. b is the envelope from now on; more may be added if it is finished
 *  again. */
void kvi_wire_finish(kvi_buf *b);

/** A walk over messages; the members are envelope.c's. */
typedef struct kvi_wire_reader {
    const uint8_t *p, *end;
    uint32_t left;
} kvi_wire_reader;

/** Checks an envelope as a whole. KV_EFORMAT: of another format than ours; KV_ECORRUPT: cut,
 *  changed on the way, or no envelope. reader points into envelope, which outlives it. */
int kvi_wire_open(kvi_slice envelope, kvi_wire_header *header, kvi_wire_reader *reader)
    KVI_NODISCARD;

/** The next message of a kind that we know. KV_ENOTFOUND: there are no more; KV_ECORRUPT: it is
 *  malformed, and so is every further answer of this reader. */
int kvi_wire_next(kvi_wire_reader *reader, kvi_wire_message *out) KVI_NODISCARD;

#endif
