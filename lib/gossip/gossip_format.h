/*
 * The bytes of a gossip message. Format 1. Fixed-width numbers little-endian.
 *
 *   message = format u8, kind u8, zero u16, sequence u32, subject u64, heartbeat u64,
 *             record (of the sender), sums count u16, sums (u32 each),
 *             beats count u16, beats, records count u16, records,
 *             checksum u64 (XXH3-64 of all before, seed KVI_GOSSIP_CHECK_SEED)
 *   record  = node u64, open-id u64, incarnation varint, state u8,
 *             if suspect: node that suspects u64, address length u8, address
 *   beat    = node u64, heartbeat varint
 *
 * The heartbeat counts the messages that the sender's open has sent. subject is the node that a
 * message is about: whom a ping is for (0: whoever gets it), whose pong it is, whom a relay shall
 * ping. The sequence of an answer is the one of what it answers.
 *
 * Sums are the digest: what a node knows, as sums of one hash a record over 2^k parts of the
 * members, part i having those with mix64(node) mod 2^k = i. Equal sums: nothing to tell.
 */
#ifndef KVI_GOSSIP_GOSSIP_FORMAT_H
#define KVI_GOSSIP_GOSSIP_FORMAT_H

#include "base/base.h"

#define KVI_GOSSIP_FORMAT     1u
#define KVI_GOSSIP_CHECK_SEED UINT64_C(0x706973736f67766b)
#define KVI_GOSSIP_SUMS_MAX   128u /* a power of two */
#define KVI_GOSSIP_BEATS_MAX  64u
#define KVI_GOSSIP_COUNT_LEN  2u
#define KVI_GOSSIP_CHECK_LEN  8u
#define KVI_GOSSIP_SUM_LEN    4u

enum kvi_gossip_kind {
    KVI_GOSSIP_PING = 1,
    KVI_GOSSIP_PONG = 2,
    KVI_GOSSIP_PING_REQUEST = 3, /* ping the subject for me */
    KVI_GOSSIP_NACK = 4,         /* I did, and wait still: it is not me who is cut off */
    KVI_GOSSIP_SYNC = 5,         /* here are my sums; where are yours different? */
    KVI_GOSSIP_SYNC_ANSWER = 6,  /* there, and here are mine */
    KVI_GOSSIP_TELL = 7          /* records, no answer is wanted */
};

enum {
    KVI_GOSSIP_AT_FORMAT = 0,
    KVI_GOSSIP_AT_KIND = 1,
    KVI_GOSSIP_AT_ZERO = 2,
    KVI_GOSSIP_AT_SEQ = 4,
    KVI_GOSSIP_AT_SUBJECT = 8,
    KVI_GOSSIP_AT_HEARTBEAT = 16,
    KVI_GOSSIP_HEADER_LEN = 24
};

/* The shortest record, and the longest with its address. */
#define KVI_GOSSIP_RECORD_MIN 19u
#define KVI_GOSSIP_RECORD_MAX (8u + 8u + 5u + 1u + 8u + 1u + 255u)
#define KVI_GOSSIP_BEAT_MIN   9u
#define KVI_GOSSIP_BEAT_MAX   18u

#endif
