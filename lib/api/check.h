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

/** The fields of kv_op that a call knows. */
enum {
    KVI_API_OP_DURABILITY = 1u << 0,
    KVI_API_OP_CONDITION = 1u << 1, /* and context */
    KVI_API_OP_TTL = 1u << 2,
    KVI_API_OP_SNAPSHOT = 1u << 3
};

/** The store, or the handle's, was opened by this process. KV_EFORK; a handle may be missing. */
int kvi_api_check_store(const kvi_api_store *s) KVI_NODISCARD;
int kvi_api_check_handle(const kv *db) KVI_NODISCARD;

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

int kvi_api_check_policy(const kv_policy *policy) KVI_NODISCARD;

/** None of these bytes is used yet. */
int kvi_api_check_reserved(const uint8_t *reserved, size_t len, const char *name) KVI_NODISCARD;

#endif
