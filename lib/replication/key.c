/*
 * Physical keys; see the header for the contract.
 */
#include "replication/key.h"

#include "base/bytes.h"
#include "base/check.h"
#include "base/error.h"
#include "ring/ring.h"

_Static_assert(KVI_RING_SPACE_DEFAULT == KVI_KEYSPACE_DEFAULT &&
                   KVI_RING_SPACE_NAMED == KVI_KEYSPACE_PLACED_NAMED,
               "a space of the ring is the keyspace of that number");

#define SPACE_LEN 4u
#define U64_LEN   8u

static uint8_t *put_be32(uint8_t *p, uint32_t v)
{
    for (unsigned i = 0; i < SPACE_LEN; i++)
        p[i] = (uint8_t)(v >> (8 * (SPACE_LEN - 1 - i)));
    return p + SPACE_LEN;
}

static uint32_t get_be32(const uint8_t *p)
{
    uint32_t v = 0;

    for (unsigned i = 0; i < SPACE_LEN; i++)
        v = v << 8 | p[i];
    return v;
}

/* Appends a head that was put together on the stack, and a key: both or nothing. */
static int append(kvi_buf *out, const uint8_t *head, size_t head_len, kvi_slice key)
{
    int err = KV_ENOMEM;

    if (key.len <= SIZE_MAX - head_len)
        err = kvi_buf_reserve(out, head_len + key.len);
    if (err)
        return err;
    memcpy(out->data + out->len, head, head_len);
    if (key.len > 0)
        memcpy(out->data + out->len + head_len, key.data, key.len);
    out->len += head_len + key.len;
    return KV_OK;
}

int kvi_key_data(kvi_buf *out, uint32_t space, uint64_t token, kvi_slice key)
{
    uint8_t head[KVI_KEYSPACE_PREFIX_MAX + U64_LEN];
    size_t len = kvi_keyspace_put_prefix(head, space);

    KVI_ASSERT(kvi_key_holds_data(space));
    kvi_put_be64(head + len, token);
    return append(out, head, len + U64_LEN, key);
}

int kvi_key_hint(kvi_buf *out, uint64_t owner, uint32_t space, uint64_t token, kvi_slice key)
{
    uint8_t head[KVI_KEYSPACE_PREFIX_MAX + U64_LEN + SPACE_LEN + U64_LEN];
    uint8_t *p = head + kvi_keyspace_put_prefix(head, KVI_KEYSPACE_HINTS);

    KVI_ASSERT(owner != 0 && kvi_key_holds_data(space));
    kvi_put_be64(p, owner);
    p = put_be32(p + U64_LEN, space);
    kvi_put_be64(p, token);
    return append(out, head, (size_t)(p + U64_LEN - head), key);
}

int kvi_key_hints_of(kvi_buf *out, uint64_t owner)
{
    uint8_t head[KVI_KEYSPACE_PREFIX_MAX + U64_LEN];
    size_t len = kvi_keyspace_put_prefix(head, KVI_KEYSPACE_HINTS);

    kvi_put_be64(head + len, owner);
    return append(out, head, len + U64_LEN, kvi_slice_of(NULL, 0));
}

void kvi_key_end(kvi_buf *bytes)
{
    while (bytes->len > 0 && bytes->data[bytes->len - 1] == UINT8_MAX)
        bytes->len--;
    KVI_ASSERT(bytes->len > 0); /* no prefix begins with 0xff */
    bytes->data[bytes->len - 1]++;
}

int kvi_key_range(kvi_buf *from, kvi_buf *to, uint32_t space, uint64_t token_from,
                  kvi_slice key_after, uint64_t token_to)
{
    static const uint8_t least[1] = {0};
    int err;

    kvi_buf_clear(from);
    kvi_buf_clear(to);
    err = kvi_key_data(from, space, token_from, key_after);
    if (!err && key_after.len > 0)
        err = kvi_buf_append(from, least, sizeof least);
    if (!err)
        err = kvi_key_data(to, space, token_to, kvi_slice_of(NULL, 0));
    if (!err)
        kvi_key_end(to);
    return err;
}

/* The number of a keyspace from the front of *in, which then begins behind it; false: there is
 * none, or it could be said shorter. */
static bool take_prefix(kvi_slice *in, uint32_t *id)
{
    const uint8_t *p = kvi_slice_bytes(*in);
    uint32_t v = 0;
    size_t n;

    if (in->len == 0)
        return false;
    if (p[0] <= KVI_KEYSPACE_BYTE_MAX) {
        *id = p[0];
        *in = kvi_slice_of(p + 1, in->len - 1);
        return true;
    }
    n = (size_t)(p[0] - KVI_KEYSPACE_LONG) + 1;
    if (n > sizeof v || in->len < 1 + n || p[1] == 0)
        return false;
    for (size_t i = 0; i < n; i++)
        v = v << 8 | p[1 + i];
    if (v <= KVI_KEYSPACE_BYTE_MAX)
        return false;
    *id = v;
    *in = kvi_slice_of(p + 1 + n, in->len - 1 - n);
    return true;
}

int kvi_key_parse_data(kvi_slice physical, uint32_t *space, uint64_t *token, kvi_slice *key)
{
    kvi_slice in = physical;
    uint32_t id = 0;

    if (!take_prefix(&in, &id) || !kvi_key_holds_data(id) || in.len <= U64_LEN)
        return kvi_error_set(KV_ECORRUPT, "a key of %zu bytes in the store is no key of an object",
                             physical.len);
    *space = id;
    *token = kvi_get_be64(in.data);
    *key = kvi_slice_of(kvi_slice_bytes(in) + U64_LEN, in.len - U64_LEN);
    return KV_OK;
}

int kvi_key_parse_hint(kvi_slice physical, uint64_t *owner, uint32_t *space, uint64_t *token,
                       kvi_slice *key)
{
    const size_t fixed = U64_LEN + SPACE_LEN + U64_LEN;
    kvi_slice in = physical;
    const uint8_t *p;
    uint32_t id = 0;

    if (!take_prefix(&in, &id) || id != KVI_KEYSPACE_HINTS || in.len <= fixed)
        goto refuse;
    p = in.data;
    if (kvi_get_be64(p) == 0 || !kvi_key_holds_data(get_be32(p + U64_LEN)))
        goto refuse;
    *owner = kvi_get_be64(p);
    *space = get_be32(p + U64_LEN);
    *token = kvi_get_be64(p + U64_LEN + SPACE_LEN);
    *key = kvi_slice_of(p + fixed, in.len - fixed);
    return KV_OK;

refuse:
    return kvi_error_set(KV_ECORRUPT, "a key of %zu bytes in the store is no key of a hint",
                         physical.len);
}

void kvi_key_hint_value(uint8_t value[KVI_KEY_HINT_VALUE_LEN], int64_t made_ms, uint64_t bytes)
{
    kvi_put_u64(value, (uint64_t)made_ms);
    kvi_put_u64(value + U64_LEN, bytes);
}

int kvi_key_parse_hint_value(kvi_slice value, int64_t *made_ms, uint64_t *bytes)
{
    if (value.len != KVI_KEY_HINT_VALUE_LEN)
        return kvi_error_set(KV_ECORRUPT, "a hint's value has %zu bytes, not %u", value.len,
                             KVI_KEY_HINT_VALUE_LEN);
    if (kvi_get_u64(kvi_slice_bytes(value) + U64_LEN) > KVI_KEY_HINT_BYTES_MAX)
        return kvi_error_set(KV_ECORRUPT, "a hint's value stands for too many bytes");
    *made_ms = (int64_t)kvi_get_u64(value.data);
    *bytes = kvi_get_u64(kvi_slice_bytes(value) + U64_LEN);
    return KV_OK;
}
