/*
 * Records of the node's own, written by the owner while it runs (impl.h), and what is read and
 * drawn for an opening (identity.h).
 */
#include "base/bytes.h"
#include "base/check.h"
#include "base/error.h"
#include "node/impl.h"

/* --- while it runs ------------------------------------------------------------------------ */

static void synced(kvi_store_sync *s)
{
    kvi_record_write *w = KVI_CONTAINER_OF(s, kvi_record_write, sync);

    w->done(w, s->err);
}

static void written(kvi_store_write *s)
{
    kvi_record_write *w = KVI_CONTAINER_OF(s, kvi_record_write, write);

    if (s->err || !w->node->cluster.logged) {
        w->done(w, s->err);
        return;
    }
    w->sync.seq = s->seq;
    w->sync.done = synced;
    kvi_storage_sync(&w->node->storage, &w->sync);
}

void kvi_record_begin(kvi_node *n, char letter, kvi_record_write *w)
{
    KVI_ASSERT(w->bytes.len > 0);
    w->node = n;
    kvi_record_key(letter, w->key);
    w->put.key = kvi_slice_of(w->key, sizeof w->key);
    w->put.value = kvi_buf_slice(&w->bytes);
    w->put.remove = false;
    w->write.puts = &w->put;
    w->write.count = 1;
    w->write.done = written;
    kvi_storage_write(&n->storage, &w->write);
}

/* --- for opening -------------------------------------------------------------------------- */

void kvi_record_key(char letter, uint8_t out[KVI_RECORD_KEY_LEN])
{
    uint8_t prefix[KVI_KEYSPACE_PREFIX_MAX];
    size_t len = kvi_keyspace_put_prefix(prefix, KVI_KEYSPACE_OWN);

    KVI_ASSERT(len == KVI_RECORD_KEY_LEN - 1);
    out[0] = prefix[0];
    out[1] = (uint8_t)letter;
}

int kvi_record_read(kvi_lsm *lsm, char letter, kvi_buf *out)
{
    uint8_t key[KVI_RECORD_KEY_LEN];

    kvi_record_key(letter, key);
    return kvi_storage_get(lsm, kvi_slice_of(key, sizeof key), false, out);
}

void kvi_identity_encode(const kvi_node_identity *id, uint8_t out[KVI_RECORD_IDENTITY_LEN])
{
    out[0] = KVI_RECORD_VERSION;
    kvi_put_u64(out + 1, id->node_id);
    kvi_put_u32(out + 9, id->incarnation);
}

static int identity_decode(kvi_slice bytes, kvi_node_identity *out)
{
    const uint8_t *p = kvi_slice_bytes(bytes);

    if (bytes.len != KVI_RECORD_IDENTITY_LEN || p[0] != KVI_RECORD_VERSION ||
        kvi_get_u64(p + 1) == 0 || kvi_get_u32(p + 9) == 0)
        return kvi_error_set(KV_ECORRUPT, "the node's identity record is not what was written");
    out->node_id = kvi_get_u64(p + 1);
    out->incarnation = kvi_get_u32(p + 9);
    return KV_OK;
}

static int draw(const kvi_os_env *env, uint64_t *out)
{
    uint64_t x = 0;

    for (unsigned tries = 0; x == 0 && tries < 8; tries++) {
        int err = env->rand->fill(env->rand, &x, sizeof x);

        if (err)
            return err;
    }
    KVI_ASSERT(x != 0); /* eight times in a row: not with a source that works */
    *out = x;
    return KV_OK;
}

int kvi_identity_next(kvi_lsm *lsm, const kvi_os_env *env, kvi_node_identity *out)
{
    kvi_node_identity id = {0, 0, 0};
    kvi_buf bytes;
    int err;

    kvi_buf_init(&bytes, env->mem);
    err = kvi_record_read(lsm, KVI_RECORD_IDENTITY, &bytes);
    if (!err)
        err = identity_decode(kvi_buf_slice(&bytes), &id);
    else if (err == KV_ENOTFOUND)
        err = draw(env, &id.node_id);
    kvi_buf_deinit(&bytes);
    if (!err)
        err = draw(env, &id.open_id);
    if (!err && id.incarnation == UINT32_MAX)
        err = kvi_error_set(KV_ECORRUPT, "the node's incarnation has come to its end");
    if (err)
        return err;
    id.incarnation++;
    *out = id;
    return KV_OK;
}
