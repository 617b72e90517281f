/*
 * Contexts; see the header for the contract.
 *
 * Bytes, little-endian: u8 version, u32 keyspace, u64 sequence, u64 digest, u64 hash that binds
 * them.
 */
#include "api/context.h"

#include "base/bytes.h"

enum { VERSION = 1, SPACE_AT = 1, SEQ_AT = 5, DIGEST_AT = 13, MAC_AT = 21 };

/** The physical key, which begins with the keyspace, hashed by a seed of this store and the
 *  version. */
static uint64_t mac_of(const kv *db, kvi_slice key, kvi_api_version v)
{
    uint64_t seed = kvi_mix64(kvi_mix64(db->store->context_seed ^ kvi_mix64(v.seq)) + v.digest);

    return kvi_hash64(key.data, key.len, seed);
}

void kvi_api_context_seal(const kv *db, kvi_slice key, kvi_api_version version,
                          uint8_t out[KVI_API_CONTEXT_LEN])
{
    out[0] = VERSION;
    kvi_put_u32(out + SPACE_AT, db->space);
    kvi_put_u64(out + SEQ_AT, version.seq);
    kvi_put_u64(out + DIGEST_AT, version.digest);
    kvi_put_u64(out + MAC_AT, mac_of(db, key, version));
}

int kvi_api_context_open(const kv *db, kvi_slice key, kvi_slice context, kvi_api_version *version)
{
    const uint8_t *p = context.data;
    kvi_api_version v;

    if (context.len != KVI_API_CONTEXT_LEN)
        return kvi_error_set(KV_EINVAL, "kv_op.context of %zu bytes is none that libkv made",
                             context.len);
    if (p[0] != VERSION)
        return kvi_error_set(KV_EINVAL, "kv_op.context has version %u, this libkv knows %d", p[0],
                             VERSION);
    v = (kvi_api_version){kvi_get_u64(p + SEQ_AT), kvi_get_u64(p + DIGEST_AT)};
    if (kvi_get_u32(p + SPACE_AT) != db->space || kvi_get_u64(p + MAC_AT) != mac_of(db, key, v))
        return kvi_error_set(KV_EINVAL, "kv_op.context is not of this key");
    *version = v;
    return KV_OK;
}
