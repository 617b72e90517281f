/*
 * Contexts; see the header for the contract.
 *
 * Bytes, little-endian: u8 version, u32 keyspace, u64 sequence, u64 hash that binds them.
 */
#include "api/context.h"

#include "base/bytes.h"

enum { VERSION = 1, SPACE_AT = 1, SEQ_AT = 5, MAC_AT = 13 };

/** The physical key, which begins with the keyspace, hashed by a seed of this store and seq. */
static uint64_t mac_of(const kv *db, kvi_slice key, uint64_t seq)
{
    return kvi_hash64(key.data, key.len, kvi_mix64(db->store->context_seed ^ kvi_mix64(seq)));
}

void kvi_api_context_seal(const kv *db, kvi_slice key, uint64_t seq,
                          uint8_t out[KVI_API_CONTEXT_LEN])
{
    out[0] = VERSION;
    kvi_put_u32(out + SPACE_AT, db->space);
    kvi_put_u64(out + SEQ_AT, seq);
    kvi_put_u64(out + MAC_AT, mac_of(db, key, seq));
}

int kvi_api_context_open(const kv *db, kvi_slice key, kvi_slice context, uint64_t *seq)
{
    const uint8_t *p = context.data;

    if (context.len != KVI_API_CONTEXT_LEN)
        return kvi_error_set(KV_EINVAL, "kv_op.context of %zu bytes is none that libkv made",
                             context.len);
    if (p[0] != VERSION)
        return kvi_error_set(KV_EINVAL, "kv_op.context has version %u, this libkv knows %d", p[0],
                             VERSION);
    if (kvi_get_u32(p + SPACE_AT) != db->space ||
        kvi_get_u64(p + MAC_AT) != mac_of(db, key, kvi_get_u64(p + SEQ_AT)))
        return kvi_error_set(KV_EINVAL, "kv_op.context is not of this key");
    *seq = kvi_get_u64(p + SEQ_AT);
    return KV_OK;
}
