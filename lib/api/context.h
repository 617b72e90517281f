/*
 * Contexts: the version of a key that a call saw, as opaque bytes that a host may keep and hand
 * back (kv_op.context).
 *
 * 1. A version is the sequence number of the write that made the value, and a digest of the value:
 *    a write that was lost with the machine's power gives its sequence to a later one, and only the
 *    value tells them apart. Both are 0 where there is no value, whichever delete made it so (a
 *    delete leaves no trace for ever, nor does an expiry).
 * 2. Bound to the store, the keyspace and the key by a hash that is seeded with the store's secret:
 *    what was made up, damaged or taken for another key is KV_EINVAL, not a wrong answer.
 *
 * Any thread.
 */
#ifndef KVI_API_CONTEXT_H
#define KVI_API_CONTEXT_H

#include "api/store.h"
#include "base/hash.h"

#define KVI_API_CONTEXT_LEN 29u

typedef struct kvi_api_version {
    uint64_t seq, digest;
} kvi_api_version;

/** The version that a write of sequence seq makes. */
static inline kvi_api_version kvi_api_version_of(uint64_t seq, kvi_slice value, int64_t expires_ms)
{
    return (kvi_api_version){
        seq, kvi_hash64(value.data, value.len, kvi_mix64((uint64_t)expires_ms ^ seq))};
}

static inline bool kvi_api_version_eq(kvi_api_version a, kvi_api_version b)
{
    return a.seq == b.seq && a.digest == b.digest;
}

/** Writes the context of a version of the physical key to out. */
void kvi_api_context_seal(const kv *db, kvi_slice key, kvi_api_version version,
                          uint8_t out[KVI_API_CONTEXT_LEN]);

/** The version that context names. KV_EINVAL where it is not one of this physical key. */
int kvi_api_context_open(const kv *db, kvi_slice key, kvi_slice context, kvi_api_version *version)
    KVI_NODISCARD;

#endif
