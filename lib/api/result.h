/*
 * The private side of a kv_result: the buffer that small values are copied into, the pin of a large
 * one, the context's bytes.
 *
 * 1. Made at the result's first use, by the allocator of that store, and kept until
 *    kv_result_free().
 * 2. What the last call left is released only when the next one has its answer: a key, value or
 *    context may lie in it.
 * 3. While a value is lent (pinned), its store is borrowed from: kv_close() refuses. Not so that of
 *    a submitted request, which kv_close() ends by itself.
 * 4. What a placed store answers lies in the result's own memory, whatever its size: the object and
 *    the context that the coordinator made are taken over from the request, not copied, and stay
 *    until the next answer. The memory budget does not know of them; nothing keeps the store open.
 *
 * One thread at a time, the caller's.
 */
#ifndef KVI_API_RESULT_H
#define KVI_API_RESULT_H

#include "api/context.h"

struct kv_result_private {
    kvi_mem mem;
    kvi_buf copy;
    kvi_lsm_value value;   /* data lies in copy, or is pinned */
    kvi_api_store *lender; /* of the pin; NULL: none */
    kv_value shown;
    uint8_t context[KVI_API_CONTEXT_LEN];
    bool submitted; /* of a kvi_api_call */
    /* Of a placed store. */
    kvi_buf object; /* encoded; values point into it, or, merged, into copy */
    kvi_buf sealed; /* the context */
    kvi_buf values; /* kv_value, as many as are shown */
};

/** result, which may be NULL, is set up. KV_EINVAL: then it cannot be filled either. */
int kvi_api_result_check(const kv_result *result) KVI_NODISCARD;

/** Makes sure that an answer can be filled in, before anything is done that has one. result may be
 *  NULL. KV_ENOMEM. */
int kvi_api_result_prepare(kv_result *result, const kvi_api_store *s) KVI_NODISCARD;

/** Releases what it holds and fills it with nothing; keeps the buffer. result may be NULL. */
void kvi_api_result_clear(kv_result *result);

/** Fills in a value, taking over its pin. After a clear. */
void kvi_api_result_set_value(kv_result *result, kvi_api_store *s, const kvi_lsm_value *value);

/** Fills in the context of a physical key's version. After a clear. */
void kvi_api_result_set_context(kv_result *result, const kv *db, kvi_slice key,
                                kvi_api_version version);

#endif
