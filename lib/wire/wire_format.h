/*
 * The bytes between nodes. Format 1. Fixed-width numbers are little-endian, varints LEB128 in their
 * shortest form.
 *
 *   envelope = header (72 bytes), messages…: one message of the transport
 *   header   = magic u32, format u32, checksum u64 (XXH3-64 of all bytes behind it, seed 0),
 *              cluster uuid [16], sender's node id u64, sender's open-id u64, receiver's open-id
 *              u64 (0: whichever), ring epoch u64, body length u32 (of all behind the header),
 *              count of messages u32
 *   message  = length varint (of what follows it, at least 1), kind u8, body
 *
 * Every later format begins with magic and format as well.
 *
 * A kind that the reader does not know is skipped; inside a known one every byte has its meaning,
 * and none is left over.
 *
 *   bytes  = length varint, then as many bytes
 *   err    = varint: 0, or the code without its sign
 *   bool   = u8: 0 or 1
 *   policy = n u8, r u8, w u8, mode u8, conflict u8, ttl_ms varint
 *   items  = count varint, bytes (the items one behind the other)
 *
 *    1 JOIN            node id u64, weight varint, zone bytes, address bytes
 *    2 JOIN_ANSWER     err, detail bytes, document bytes
 *    3 RING_ASK        epoch varint
 *    4 RING            document bytes
 *    5 CHANGE          id varint, what u8, name bytes, policy
 *    6 CHANGE_ANSWER   id varint, err, detail bytes, document bytes
 *    7 GOSSIP          body bytes
 *    8 FORWARD         seq varint, op u8, flags varint, r u8, w u8, durability u8, condition u8,
 *                      timeout_ns varint, ttl_ms varint, space varint, key bytes, value bytes,
 *                      context bytes, items
 *    9 FORWARD_ANSWER  seq varint, err, definitive bool, acks u8, primaries u8, fallbacks u8,
 *                      durability u8, context bytes, object bytes, detail bytes
 *   10 APPLY           id varint, space varint, token u64, durability u8, flags u8,
 *                      hint_for varint, items
 *   11 APPLY_ACK       id varint, err, durability u8, newer bytes
 *   12 READ            id varint, space varint, token u64, flags u8, key bytes
 *   13 READ_ANSWER     id varint, err, holds u8, digest u64, object bytes
 *   14 SCAN            id varint, space varint, token_from u64, token_to u64, key_after bytes,
 *                      limit varint, bytes varint
 *   15 SCAN_ANSWER     id varint, err, more bool, items
 *   16 FRAGMENT        id varint, index varint, count varint, total length varint, bytes
 *   17 FRAGMENT_ACK    id varint, index varint
 *
 *   item of FORWARD     = op u8, space varint, ttl_ms varint, key bytes, value bytes
 *   item of APPLY       = space varint, key bytes, object bytes
 *   item of SCAN_ANSWER = token u64, key bytes, object bytes
 *
 * An envelope of total bytes goes in count fragments of ceil(total / count) bytes each, the last
 * one shorter: so index, count and total say where a fragment's bytes belong and how many they are.
 */
#ifndef KVI_WIRE_WIRE_FORMAT_H
#define KVI_WIRE_WIRE_FORMAT_H

#include "base/base.h"

#define KVI_WIRE_MAGIC      UINT32_C(0x6e77766b) /* "kvwn" */
#define KVI_WIRE_FORMAT     1u
#define KVI_WIRE_HEADER_LEN 72u
#define KVI_WIRE_UUID_LEN   16u

/* Where things are in a header. */
enum {
    KVI_WIRE_AT_MAGIC = 0,
    KVI_WIRE_AT_FORMAT = 4,
    KVI_WIRE_AT_CHECKSUM = 8,
    KVI_WIRE_AT_UUID = 16,
    KVI_WIRE_AT_FROM_NODE = 32,
    KVI_WIRE_AT_FROM_OPEN = 40,
    KVI_WIRE_AT_TO_OPEN = 48,
    KVI_WIRE_AT_EPOCH = 56,
    KVI_WIRE_AT_BODY_LEN = 64,
    KVI_WIRE_AT_COUNT = 68
};

enum kvi_wire_kind {
    KVI_WIRE_JOIN = 1,
    KVI_WIRE_JOIN_ANSWER = 2,
    KVI_WIRE_RING_ASK = 3,
    KVI_WIRE_RING = 4,
    KVI_WIRE_CHANGE = 5,
    KVI_WIRE_CHANGE_ANSWER = 6,
    KVI_WIRE_GOSSIP = 7,
    KVI_WIRE_FORWARD = 8,
    KVI_WIRE_FORWARD_ANSWER = 9,
    KVI_WIRE_APPLY = 10,
    KVI_WIRE_APPLY_ACK = 11,
    KVI_WIRE_READ = 12,
    KVI_WIRE_READ_ANSWER = 13,
    KVI_WIRE_SCAN = 14,
    KVI_WIRE_SCAN_ANSWER = 15,
    KVI_WIRE_FRAGMENT = 16,
    KVI_WIRE_FRAGMENT_ACK = 17
};

#define KVI_WIRE_KINDS 18u /* one more than the last */

/* What writers keep to and readers insist on. An object, and a batch, may fill an envelope. */
#define KVI_WIRE_ENVELOPE_MAX (UINT32_C(128) << 20)
#define KVI_WIRE_MESSAGES_MAX (UINT32_C(1) << 16) /* in one envelope */
#define KVI_WIRE_ITEMS_MAX    (UINT32_C(1) << 24) /* in one message */
#define KVI_WIRE_KEY_MAX      65535u
#define KVI_WIRE_VALUE_MAX    (UINT32_C(64) << 20)
#define KVI_WIRE_CONTEXT_MAX  (UINT32_C(1) << 20)
#define KVI_WIRE_DOCUMENT_MAX (UINT32_C(16) << 20)
#define KVI_WIRE_GOSSIP_MAX   (UINT32_C(1) << 20)
#define KVI_WIRE_NAME_MAX     255u /* of a space, of a zone */
#define KVI_WIRE_ADDRESS_MAX  512u
#define KVI_WIRE_DETAIL_MAX   512u

#endif
