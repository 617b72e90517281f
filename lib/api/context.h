/*
 * Contexts: the version of a key that a call saw, as opaque bytes that a host may keep and hand
 * back (kv_op.context).
 *
 * 1. A version is the sequence number of the write that made the value; 0 where there is none,
 *    whichever delete made it so (a delete leaves no trace for ever, nor does an expiry).
 * 2. Bound to the store, the keyspace and the key by a hash that is seeded with the store's secret:
 *    what was made up, damaged or taken for another key is KV_EINVAL, not a wrong answer.
 *
 * Any thread.
 */
#ifndef KVI_API_CONTEXT_H
#define KVI_API_CONTEXT_H

#include "api/store.h"

#define KVI_API_CONTEXT_LEN 21u

/** Writes the context of version seq of the physical key to out. */
void kvi_api_context_seal(const kv *db, kvi_slice key, uint64_t seq,
                          uint8_t out[KVI_API_CONTEXT_LEN]);

/** The version that context names. KV_EINVAL where it is not one of this physical key. */
int kvi_api_context_open(const kv *db, kvi_slice key, kvi_slice context, uint64_t *seq)
    KVI_NODISCARD;

#endif
