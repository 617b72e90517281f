/*
 * A physical key: the keyspace's prefix and the user's key, on the stack where it is short. The
 * caller's, from init to deinit.
 */
#ifndef KVI_API_KEY_H
#define KVI_API_KEY_H

#include "api/store.h"

#define KVI_API_KEY_SHORT 256u /* a user's key up to this needs no allocation */

typedef struct kvi_api_key {
    uint8_t *data; /* on_stack, or allocated */
    size_t len;
    uint8_t on_stack[KVI_API_KEY_SHORT + KVI_KEYSPACE_PREFIX_MAX];
} kvi_api_key;

/** The key of user in db's keyspace. KV_ENOMEM. */
int kvi_api_key_init(kvi_api_key *k, const kv *db, kvi_slice user) KVI_NODISCARD;
void kvi_api_key_deinit(kvi_api_key *k, const kv *db);

/** Makes k the least key above all that begin with k. k is not all 0xff, which no prefix lets it
 *  be. */
void kvi_api_key_to_successor(kvi_api_key *k);

static inline kvi_slice kvi_api_key_slice(const kvi_api_key *k)
{
    return kvi_slice_of(k->data, k->len);
}

#endif
