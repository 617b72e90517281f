/*
 * A get, put or delete as it was asked, with its arguments checked: what the blocking calls and the
 * submitted ones have in common, and where the ways of ordered and placed stores part.
 *
 *   op.c         kv_get(), kv_put(), kv_delete(): check, then one of
 *   ordered_op.c   straight into the engine, in the caller's thread
 *   placed_op.c    a request to the node's coordinator
 */
#ifndef KVI_API_ASK_H
#define KVI_API_ASK_H

#include "api/store.h"

/** Borrowed from the caller of the public function, or from a kvi_api_call. */
typedef struct kvi_api_ask {
    uint8_t call; /* KV_REQUEST_… */
    kvi_slice key, value;
    const kv_op *op; /* NULL: all defaults */
} kvi_api_ask;

/** The arguments make sense for a call on db. */
int kvi_api_check_ask(const kv *db, const kvi_api_ask *ask) KVI_NODISCARD;

/* ordered_op.c: db's store is ordered, the ask was checked. result may be NULL; after a failure
 * other than KV_ENOTFOUND it is for the caller to clear. */

int kvi_api_ordered_get(kv *db, const kvi_api_ask *ask, kv_result *result) KVI_NODISCARD;

/** A put or delete. KV_OK: it is readable, and result is filled; *sync_seq is what must be synced
 *  before it may be acknowledged, 0: nothing. */
int kvi_api_ordered_write(kv *db, const kvi_api_ask *ask, kv_result *result, uint64_t *sync_seq)
    KVI_NODISCARD;

/** The context, if it has one, is of this key: told before anything begins. */
int kvi_api_ordered_check_context(const kv *db, const kvi_api_ask *ask) KVI_NODISCARD;

/** Counts a put or delete that was acknowledged, in any store. */
void kvi_api_count_write(kvi_api_store *s, const kvi_api_ask *ask);

#endif
