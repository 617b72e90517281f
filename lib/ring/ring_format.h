/*
 * The bytes of a ring document: on disk and in messages. Format 1. All numbers little-endian.
 *
 *   head (72 bytes)
 *   voter_count times   node id u64                          ascending, each one's that is a member
 *   member_count times  node id u64, weight u16, zone length u8, address length u8, zone, address
 *                                                            by node id, ascending
 *   space_count times   id u32, n u8, r u8, w u8, mode u8, conflict u8, name length u8, ttl_ms u64,
 *                       name                                 by id, ascending; 1 and "" come first
 *   2^bits times        owner: the place of a member in the list above, u8 where there are at most
 *                       256 members, else u16
 *   checksum u64        XXH3-64 of all bytes before, seed 0
 *
 * Texts hold no 0 byte. A member has weight if and only if it owns a partition. A document has
 * these bytes and no others. Every later format begins with magic and format and ends with the
 * checksum.
 */
#ifndef KVI_RING_RING_FORMAT_H
#define KVI_RING_RING_FORMAT_H

#include "base/base.h"

#define KVI_RING_MAGIC  UINT32_C(0x6772766b) /* "kvrg" */
#define KVI_RING_FORMAT 1u

/* Where things are in the head. */
enum {
    KVI_RING_AT_MAGIC = 0,
    KVI_RING_AT_FORMAT = 4,
    KVI_RING_AT_UUID = 8,
    KVI_RING_AT_EPOCH = 24,
    KVI_RING_AT_TOKEN_SEED = 32,
    KVI_RING_AT_SECRET = 40,
    KVI_RING_AT_STAGE = 56,
    KVI_RING_AT_BITS = 57,
    KVI_RING_AT_VOTER_COUNT = 58,
    KVI_RING_AT_ZERO = 59,
    KVI_RING_AT_NEXT_SPACE = 60,
    KVI_RING_AT_MEMBER_COUNT = 64,
    KVI_RING_AT_SPACE_COUNT = 68,
    KVI_RING_HEAD_LEN = 72
};

#define KVI_RING_VOTER_LEN    8u
#define KVI_RING_MEMBER_LEN   12u /* without its texts */
#define KVI_RING_SPACE_LEN    18u
#define KVI_RING_CHECKSUM_LEN 8u

/* The greatest epoch: far from where adding one would wrap. */
#define KVI_RING_EPOCH_MAX (UINT64_MAX / 2)

/** Bytes of an owner. */
static inline size_t kvi_ring_owner_len(uint32_t member_count)
{
    return member_count <= 256 ? 1 : 2;
}

#endif
