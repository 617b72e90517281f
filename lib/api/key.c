/*
 * Physical keys; see the header for the contract.
 */
#include "api/key.h"

#include "base/check.h"

int kvi_api_key_init(kvi_api_key *k, const kv *db, kvi_slice user)
{
    size_t len = db->prefix_len + user.len;
    uint8_t *data = k->on_stack;

    if (len > sizeof k->on_stack) {
        data = kvi_mem_alloc(db->store->env.mem, len);
        if (!data)
            return kvi_error_set(KV_ENOMEM, "cannot allocate %zu bytes for a key", len);
    }
    memcpy(data, db->prefix, db->prefix_len);
    if (user.len > 0)
        memcpy(data + db->prefix_len, user.data, user.len);
    k->data = data;
    k->len = len;
    return KV_OK;
}

void kvi_api_key_deinit(kvi_api_key *k, const kv *db)
{
    if (k->data != k->on_stack)
        kvi_mem_free(db->store->env.mem, k->data);
}

void kvi_api_key_to_successor(kvi_api_key *k)
{
    while (k->len > 0 && k->data[k->len - 1] == UINT8_MAX)
        k->len--;
    KVI_ASSERT(k->len > 0);
    k->data[k->len - 1]++;
}
