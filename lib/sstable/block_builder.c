/*
 * Building a block's payload; see the header for the contract.
 */
#include "sstable/block_builder.h"

#include <string.h>

#include "base/bytes.h"
#include "base/check.h"
#include "base/error.h"
#include "sstable/block_entry.h"

#define ENTRY_HEAD_MAX ((size_t)3 * KVI_VARINT32_MAX + sizeof(uint64_t))

void kvi_sst_block_builder_init(kvi_sst_block_builder *b, const kvi_mem *mem, uint32_t interval)
{
    KVI_ASSERT(interval >= 1);
    kvi_buf_init(&b->payload, mem);
    kvi_buf_init(&b->restarts, mem);
    kvi_buf_init(&b->last_key, mem);
    b->interval = interval;
    b->since_restart = 0;
    b->count = 0;
}

void kvi_sst_block_builder_deinit(kvi_sst_block_builder *b)
{
    kvi_buf_deinit(&b->payload);
    kvi_buf_deinit(&b->restarts);
    kvi_buf_deinit(&b->last_key);
}

void kvi_sst_block_builder_reset(kvi_sst_block_builder *b)
{
    kvi_buf_clear(&b->payload);
    kvi_buf_clear(&b->restarts);
    kvi_buf_clear(&b->last_key);
    b->since_restart = 0;
    b->count = 0;
}

size_t kvi_sst_block_builder_len(const kvi_sst_block_builder *b)
{
    return b->payload.len + kvi_max_size(b->restarts.len, sizeof(uint32_t)) + sizeof(uint32_t);
}

size_t kvi_sst_block_builder_memory(const kvi_sst_block_builder *b)
{
    return b->payload.cap + b->restarts.cap + b->last_key.cap;
}

/* Room for one more entry in all three buffers, so that what follows cannot fail. */
static int make_room(kvi_sst_block_builder *b, kvi_slice key, kvi_slice value)
{
    int err;

    if (key.len > KVI_SST_BLOCK_MAX || value.len > KVI_SST_BLOCK_MAX ||
        (uint64_t)kvi_sst_block_builder_len(b) + key.len + value.len + ENTRY_HEAD_MAX +
                sizeof(uint32_t) >
            KVI_SST_BLOCK_MAX)
        return kvi_error_set(KV_ETOOBIG,
                             "a block of %zu bytes cannot take a key of %zu and a value of %zu",
                             b->payload.len, key.len, value.len);
    err = kvi_buf_reserve(&b->payload, ENTRY_HEAD_MAX + key.len + value.len);
    if (!err)
        err = kvi_buf_reserve(&b->restarts, sizeof(uint32_t));
    if (!err && key.len > b->last_key.len)
        err = kvi_buf_reserve(&b->last_key, key.len - b->last_key.len);
    return err;
}

/* Copies n bytes, of which there may be none at all. */
static uint8_t *put_bytes(uint8_t *p, const void *data, size_t n)
{
    if (n > 0)
        memcpy(p, data, n);
    return p + n;
}

int kvi_sst_block_builder_add(kvi_sst_block_builder *b, kvi_slice key, uint64_t tag,
                              kvi_slice value)
{
    const uint8_t *bytes = key.data;
    size_t shared = 0;
    uint8_t *p;
    int err = make_room(b, key, value);

    if (err)
        return err;
    if (b->count == 0 || b->since_restart == b->interval) {
        kvi_put_u32(b->restarts.data + b->restarts.len, (uint32_t)b->payload.len);
        b->restarts.len += sizeof(uint32_t);
        b->since_restart = 0;
    } else if (key.len > 0) {
        shared =
            kvi_sst_common_prefix(b->last_key.data, bytes, kvi_min_size(b->last_key.len, key.len));
    }
    p = b->payload.data + b->payload.len;
    p = kvi_put_varint(p, shared);
    p = kvi_put_varint(p, key.len - shared);
    p = kvi_put_varint(p, value.len);
    kvi_put_u64(p, tag);
    p += sizeof(uint64_t);
    if (key.len > shared) {
        p = put_bytes(p, bytes + shared, key.len - shared);
        put_bytes(b->last_key.data + shared, bytes + shared, key.len - shared);
    }
    p = put_bytes(p, value.data, value.len);
    b->last_key.len = key.len;
    b->payload.len = (size_t)(p - b->payload.data);
    b->since_restart++;
    b->count++;
    KVI_ASSERT(b->payload.len <= b->payload.cap);
    return KV_OK;
}

int kvi_sst_block_builder_finish(kvi_sst_block_builder *b, kvi_slice *raw)
{
    static const uint8_t first_restart[sizeof(uint32_t)];
    kvi_slice restarts = kvi_buf_slice(&b->restarts);
    size_t len = kvi_sst_block_builder_len(b);
    uint8_t count[sizeof(uint32_t)];
    int err;

    if (restarts.len == 0) /* no entry: one restart all the same */
        restarts = kvi_slice_of(first_restart, sizeof first_restart);
    kvi_put_u32(count, (uint32_t)(restarts.len / sizeof(uint32_t)));
    err = kvi_buf_reserve(&b->payload, restarts.len + sizeof count);
    if (!err)
        err = kvi_buf_append(&b->payload, restarts.data, restarts.len);
    if (!err)
        err = kvi_buf_append(&b->payload, count, sizeof count);
    if (err)
        return err;
    KVI_ASSERT(b->payload.len == len && len <= KVI_SST_BLOCK_MAX);
    *raw = kvi_buf_slice(&b->payload);
    return KV_OK;
}
