/*
 * Messages for the tests of wire: any message of any kind, drawn from a seed, and whether two say
 * the same.
 */
#ifndef KVT_UNIT_WIRE_MESSAGES_H
#define KVT_UNIT_WIRE_MESSAGES_H

#include "base/buf.h"
#include "support/rng.h"
#include "wire/fragment.h"

/* Bytes that slices of drawn messages point to, and a buf for their items. */
typedef struct kvt_messages {
    kvt_rng rng;
    kvi_buf items;
    uint8_t bytes[4096];
} kvt_messages;

/** mem is borrowed. */
void kvt_messages_init(kvt_messages *d, const kvi_mem *mem, uint64_t seed);
void kvt_messages_deinit(kvt_messages *d);

/** A message that encoders take. Good until the next draw. The order of the draws inside of one is
 *  the compiler's: another one may draw other messages from the same seed. */
kvi_wire_message kvt_message(kvt_messages *d, enum kvi_wire_kind kind);

bool kvt_message_same(const kvi_wire_message *a, const kvi_wire_message *b);

kvi_wire_header kvt_header(kvt_rng *rng);

/** A finished envelope with only this message; fails the test where that cannot be. */
void kvt_envelope_of(kvi_buf *b, const kvi_wire_message *m);

#endif
