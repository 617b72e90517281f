/*
 * Physical keys of a placed store (lsm/keyspace.h), made and taken apart.
 *
 * 1. Data: prefix of the space, token big-endian, the user's key: a partition, and whatever is
 *    placed together, is one contiguous range. The value is an object (vclock/object.h).
 * 2. Hints: prefix of KVI_KEYSPACE_HINTS, identity of the node that the hint is for, big-endian,
 *    space big-endian (4 bytes), token, the user's key. What it hints at is the object under 1 of
 *    this node. The value is the time it was made or last renewed, wall ms, and how many bytes that
 *    object then had, key included: 8 bytes little-endian each.
 * 3. What is appended with an empty key is where a range begins; with kvi_key_end, where it ends.
 */
#ifndef KVI_REPLICATION_KEY_H
#define KVI_REPLICATION_KEY_H

#include "base/buf.h"
#include "lsm/keyspace.h"

#define KVI_KEY_HINT_VALUE_LEN 16u
#define KVI_KEY_HINT_BYTES_MAX (UINT64_C(1) << 40) /* of an object: more is no hint of ours */

/** A space of users' data: keys are made of no other. */
static inline bool kvi_key_holds_data(uint32_t space)
{
    return space == KVI_KEYSPACE_DEFAULT || space >= KVI_KEYSPACE_PLACED_NAMED;
}

/** Append to out, which is the caller's. KV_ENOMEM, out as it was. */
int kvi_key_data(kvi_buf *out, uint32_t space, uint64_t token, kvi_slice key) KVI_NODISCARD;
int kvi_key_hint(kvi_buf *out, uint64_t owner, uint32_t space, uint64_t token, kvi_slice key)
    KVI_NODISCARD;

/** All hints for owner begin with this. Appends to out. KV_ENOMEM. */
int kvi_key_hints_of(kvi_buf *out, uint64_t owner) KVI_NODISCARD;

/** Has bytes, which begin with a keyspace's prefix, become the least that is above all that begin
 *  with them: the end of their range. Allocates nothing. */
void kvi_key_end(kvi_buf *bytes);

/** [from, to) becomes the range of the data behind (token_from, key_after), up to the last of
 *  token_to; key_after empty: from the first key of token_from on. KV_ENOMEM. */
int kvi_key_range(kvi_buf *from, kvi_buf *to, uint32_t space, uint64_t token_from,
                  kvi_slice key_after, uint64_t token_to) KVI_NODISCARD;

/** Takes a physical key apart; *key borrows from it. KV_ECORRUPT: it is no such key. */
int kvi_key_parse_data(kvi_slice physical, uint32_t *space, uint64_t *token, kvi_slice *key)
    KVI_NODISCARD;
int kvi_key_parse_hint(kvi_slice physical, uint64_t *owner, uint32_t *space, uint64_t *token,
                       kvi_slice *key) KVI_NODISCARD;

/** Writes, reads the value of a hint. KV_ECORRUPT: it is none. */
void kvi_key_hint_value(uint8_t value[KVI_KEY_HINT_VALUE_LEN], int64_t made_ms, uint64_t bytes);
int kvi_key_parse_hint_value(kvi_slice value, int64_t *made_ms, uint64_t *bytes) KVI_NODISCARD;

#endif
