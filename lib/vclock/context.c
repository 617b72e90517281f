/*
 * Contexts; see the header for the contract.
 */
#include "vclock/context.h"

#include "base/bytes.h"
#include "base/check.h"
#include "base/error.h"
#include "base/hash.h"

/* Both hashes of body. Their seeds are bound to the key, so that neither is copied. */
static void seal_of(kvi_slice body, const uint64_t secret[2], kvi_slice key,
                    uint8_t out[KVI_CONTEXT_MAC_LEN])
{
    for (size_t i = 0; i < 2; i++) {
        uint64_t seed = kvi_hash64(key.data, key.len, secret[i]);

        kvi_put_u64(out + 8 * i, kvi_hash64(body.data, body.len, seed));
    }
}

int kvi_context_seal(const kvi_clock *seen, const uint64_t secret[2], kvi_slice key, kvi_buf *out)
{
    size_t start = out->len;
    int err = kvi_buf_reserve(out, 1 + kvi_clock_bytes(seen) + KVI_CONTEXT_MAC_LEN);

    if (err)
        return err;
    out->data[out->len++] = KVI_CONTEXT_VERSION;
    err = kvi_clock_encode(seen, out);
    KVI_ASSERT(!err && out->len - start <= KVI_CONTEXT_LEN_MAX - KVI_CONTEXT_MAC_LEN);
    seal_of(kvi_slice_of(out->data + start, out->len - start), secret, key, out->data + out->len);
    out->len += KVI_CONTEXT_MAC_LEN;
    return KV_OK;
}

/* Takes the same time wherever they differ. */
static bool same_seal(const uint8_t *a, const uint8_t *b)
{
    unsigned diff = 0;

    for (size_t i = 0; i < KVI_CONTEXT_MAC_LEN; i++)
        diff |= (unsigned)(a[i] ^ b[i]);
    return diff == 0;
}

/* A clock and nothing behind it. */
static int decode_whole(kvi_slice body, kvi_clock *clock)
{
    int err = kvi_clock_decode(clock, &body);

    if (err == KV_ECORRUPT || (!err && body.len > 0))
        err = kvi_error_set(KV_EINVAL, "kv_op.context is malformed, although its seal is right");
    return err;
}

int kvi_context_open(kvi_slice context, const uint64_t secret[2], kvi_slice key, kvi_clock *seen)
{
    const uint8_t *bytes = kvi_slice_bytes(context);
    uint8_t wanted[KVI_CONTEXT_MAC_LEN];
    kvi_clock clock;
    size_t body_len;
    int err;

    if (context.len < 2 + KVI_CONTEXT_MAC_LEN || context.len > KVI_CONTEXT_LEN_MAX)
        return kvi_error_set(KV_EINVAL, "kv_op.context of %zu bytes is none that libkv made",
                             context.len);
    if (bytes[0] != KVI_CONTEXT_VERSION)
        return kvi_error_set(KV_EINVAL, "kv_op.context has version %u, this libkv knows %u",
                             bytes[0], KVI_CONTEXT_VERSION);
    body_len = context.len - KVI_CONTEXT_MAC_LEN;
    seal_of(kvi_slice_of(bytes, body_len), secret, key, wanted);
    if (!same_seal(wanted, bytes + body_len))
        return kvi_error_set(KV_EINVAL,
                             "kv_op.context is damaged, of another key or of another cluster");
    kvi_clock_init(&clock, seen->mem);
    err = decode_whole(kvi_slice_of(bytes + 1, body_len - 1), &clock);
    if (err) {
        kvi_clock_deinit(&clock);
        return err;
    }
    kvi_clock_deinit(seen);
    *seen = clock;
    return KV_OK;
}
