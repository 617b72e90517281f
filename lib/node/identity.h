/*
 * Who this node is, and the records it keeps about itself in its own keyspace (lsm/keyspace.h,
 * KVI_KEYSPACE_OWN), each under a key of one letter; numbers little-endian:
 *
 *   'I'  u8 version, u64 node id, u32 incarnation     identity
 *   'R'  a ring document (ring/ring.h)                the newest that was adopted
 *   'H'  u8 version, u64 stamp                        the bound of the hybrid logical clock
 *
 * The identity is made once. Each opening draws an open-id and raises the incarnation, and has both
 * on the disk before the node says a word: a copy or an old backup of the directory never speaks as
 * the opening that it was copied from.
 */
#ifndef KVI_NODE_IDENTITY_H
#define KVI_NODE_IDENTITY_H

#include "lsm/keyspace.h"
#include "lsm/lsm.h"
#include "os/env.h"

#define KVI_RECORD_IDENTITY 'I'
#define KVI_RECORD_RING     'R'
#define KVI_RECORD_HLC      'H'

#define KVI_RECORD_KEY_LEN      2u /* prefix of keyspace 0, letter */
#define KVI_RECORD_VERSION      1u
#define KVI_RECORD_IDENTITY_LEN 13u
#define KVI_RECORD_HLC_LEN      9u

typedef struct kvi_node_identity {
    uint64_t node_id, open_id;
    uint32_t incarnation;
} kvi_node_identity;

/** Reads the identity, or draws one where there is none, and makes it that of a new opening. To be
 *  written (kvi_identity_encode, under kvi_record_key) and synced by the caller, who may wait,
 *  before a node is opened with it. KV_ECORRUPT, KV_EIO. */
int kvi_identity_next(kvi_lsm *lsm, const kvi_os_env *env, kvi_node_identity *out) KVI_NODISCARD;

void kvi_identity_encode(const kvi_node_identity *id, uint8_t out[KVI_RECORD_IDENTITY_LEN]);

void kvi_record_key(char letter, uint8_t out[KVI_RECORD_KEY_LEN]);

/** Reads a record, waiting for the disk: for opening. KV_ENOTFOUND. */
int kvi_record_read(kvi_lsm *lsm, char letter, kvi_buf *out) KVI_NODISCARD;

#endif
