/*
 * From a time to live to the moment of expiry. Pure.
 */
#ifndef KVI_API_EXPIRY_H
#define KVI_API_EXPIRY_H

#include "api/store.h"
#include "base/check.h"

/** How long a put to db with op, which may be NULL and was checked, is to live; 0: no expiry. */
static inline uint64_t kvi_api_ttl(const kv *db, const kv_op *op)
{
    uint64_t ttl_ms = op && op->ttl_ms ? op->ttl_ms : db->ttl_ms;

    return ttl_ms == KV_TTL_NONE ? 0 : ttl_ms;
}

/** Has a put end ttl_ms after now_ms, the wall clock's. */
static inline void kvi_api_expire(kvi_lsm_op *put, uint64_t ttl_ms, int64_t now_ms)
{
    const int64_t latest = INT64_MAX - (int64_t)KV_TTL_MAX;

    KVI_ASSERT(ttl_ms > 0 && ttl_ms <= KV_TTL_MAX);
    put->kind = KVI_KIND_PUT_EXPIRING;
    put->expires_ms = (now_ms < latest ? now_ms : latest) + (int64_t)ttl_ms;
    if (put->expires_ms <= 0)
        put->expires_ms = 1; /* 0 is never, and before 1970 is long ago */
}

#endif
