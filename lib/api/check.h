/*
 * What every call asks of its arguments, before anything else is done. Each refusal has its own
 * detail, which names the argument or the field. Nothing here allocates or changes anything. Any
 * thread.
 */
#ifndef KVI_API_CHECK_H
#define KVI_API_CHECK_H

#include "api/store.h"

#define KVI_API_KEY_MAX   65535u
#define KVI_API_VALUE_MAX (64u << 20) /* and an eighth of the budget */
#define KVI_API_NAME_MAX  255u

/** What of kv_op a call knows; some of it only in an ordered or only in a placed store. */
enum {
    KVI_API_OP_DURABILITY = 1u << 0,
    KVI_API_OP_CONDITION = 1u << 1, /* and context */
    KVI_API_OP_TTL = 1u << 2,
    KVI_API_OP_SNAPSHOT = 1u << 3,
    KVI_API_OP_R = 1u << 4,
    KVI_API_OP_W = 1u << 5,
    KVI_API_OP_TIMEOUT = 1u << 6, /* and KV_PRIMARIES_ONLY */
    KVI_API_OP_OVERWRITE = 1u << 7
};

#define KVI_API_OP_OF_GET (KVI_API_OP_SNAPSHOT | KVI_API_OP_R | KVI_API_OP_TIMEOUT)
#define KVI_API_OP_OF_BATCH \
    (KVI_API_OP_DURABILITY | KVI_API_OP_W | KVI_API_OP_TIMEOUT | KVI_API_OP_OVERWRITE)
#define KVI_API_OP_OF_PUT (KVI_API_OP_OF_BATCH | KVI_API_OP_CONDITION | KVI_API_OP_TTL)
#define KVI_API_OP_OF_DELETE                                                      \
    (KVI_API_OP_DURABILITY | KVI_API_OP_CONDITION | KVI_API_OP_R | KVI_API_OP_W | \
     KVI_API_OP_TIMEOUT)

/** The store, or the handle's, was opened by this process. KV_EFORK; a handle may be missing. */
int kvi_api_check_store(const kvi_api_store *s) KVI_NODISCARD;
int kvi_api_check_handle(const kv *db) KVI_NODISCARD;

/** The caller is not inside a callback of this store. KV_EDEADLK. (callback.c) */
int kvi_api_check_outside(const kvi_api_store *s) KVI_NODISCARD;

/** Both, for a call that may wait. */
int kvi_api_check_waits(const kv *db) KVI_NODISCARD;

/** The public struct called name has the known size and no unknown flag. */
int kvi_api_check_struct(const char *name, uint32_t size, size_t known_size, uint32_t flags,
                         uint32_t known_flags) KVI_NODISCARD;

/** The argument called name is not NULL. */
int kvi_api_check_given(const void *p, const char *name) KVI_NODISCARD;

int kvi_api_check_key(kvi_slice key) KVI_NODISCARD;
int kvi_api_check_value(const kvi_api_store *s, kvi_slice value) KVI_NODISCARD;

/** A key that bounds or seeks: may be empty. */
int kvi_api_check_bound(kvi_slice bound, const char *name) KVI_NODISCARD;

/** op, which may be NULL, for a call on db that knows these fields. */
int kvi_api_check_op(const kv *db, const kv_op *op, unsigned known) KVI_NODISCARD;

/** snap, which may be NULL, is of this store; name says where it was given. */
int kvi_api_check_snapshot(const kvi_api_store *s, const kv_snap *snap, const char *name)
    KVI_NODISCARD;

/** A time to live: 0, up to KV_TTL_MAX, or KV_TTL_NONE. */
int kvi_api_check_ttl(uint64_t ttl_ms, const char *name) KVI_NODISCARD;

/** How many replicas: up to KV_REPLICAS_MAX, KV_QUORUM or KV_ALL. */
int kvi_api_check_replicas(uint8_t count, const char *name) KVI_NODISCARD;

/** None of these bytes is used yet. */
int kvi_api_check_reserved(const uint8_t *reserved, size_t len, const char *name) KVI_NODISCARD;

#endif
