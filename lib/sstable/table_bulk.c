/*
 * Large reads past the cache; see the header for the contract.
 */
#include "sstable/table_bulk.h"

#include "base/check.h"
#include "sstable/codec.h"

void kvi_sst_bulk_init(kvi_sst_bulk *b, const kvi_sst_table *t)
{
    *b = (kvi_sst_bulk){.t = t};
    kvi_buf_init(&b->window, t->ctx->mem);
    kvi_buf_init(&b->unpacked, t->ctx->mem);
}

void kvi_sst_bulk_deinit(kvi_sst_bulk *b)
{
    kvi_buf_deinit(&b->window);
    kvi_buf_deinit(&b->unpacked);
    kvi_budget_release(b->t->ctx->budget, KVI_BUDGET_WORK, b->charged);
    b->charged = 0;
}

/* Empties the buffer and makes it hold len bytes, which the caller fills. */
static int make_room(kvi_sst_bulk *b, kvi_buf *buf, size_t len)
{
    size_t before = buf->cap;
    int err;

    kvi_buf_clear(buf);
    err = kvi_buf_reserve(buf, len);
    if (err)
        return err;
    kvi_budget_charge(b->t->ctx->budget, KVI_BUDGET_WORK, buf->cap - before);
    b->charged += buf->cap - before;
    return KV_OK;
}

/* Turns the window to where the block is: from the block on, or up to its end where the walk goes
 * backwards. */
static int fill_window(kvi_sst_bulk *b, kvi_sst_handle at)
{
    const kvi_sst_table *t = b->t;
    uint64_t wanted = kvi_max_u64(at.len, KVI_SST_READAHEAD);
    uint64_t block_end = at.offset + at.len;
    bool backwards = b->window.len > 0 && at.offset < b->window_at;
    uint64_t end = backwards ? block_end : at.offset + kvi_min_u64(wanted, t->data_end - at.offset);
    uint64_t start = backwards ? block_end - kvi_min_u64(wanted, block_end) : at.offset;
    size_t len = (size_t)(end - start), got = 0;
    int err = make_room(b, &b->window, len);

    KVI_ASSERT(start <= at.offset && end >= block_end && end <= t->data_end);
    if (!err)
        err = t->file->ops->read(t->file, start, b->window.data, len, &got);
    if (err)
        return err;
    if (got < len)
        return kvi_sst_block_corrupt(t->file_no, at.offset, KVI_SST_DATA,
                                     "the file ends within it, or soon after");
    b->window.len = len;
    b->window_at = start;
    return KV_OK;
}

static bool in_window(const kvi_sst_bulk *b, kvi_sst_handle at)
{
    return at.offset >= b->window_at && at.offset - b->window_at <= b->window.len &&
           at.len <= b->window.len - (at.offset - b->window_at);
}

/* The payload of the block at `at` in the window. */
static int unpack(kvi_sst_bulk *b, kvi_sst_handle at, kvi_slice *raw)
{
    const kvi_sst_table *t = b->t;
    const uint8_t *bytes = b->window.data + (size_t)(at.offset - b->window_at);
    kvi_sst_stored stored;
    int err = kvi_sst_block_check(t->ctx, t->file_no, at.offset, KVI_SST_DATA,
                                  kvi_slice_of(bytes, (size_t)at.len), &stored);

    if (err)
        return err;
    if (stored.compression == KVI_SST_PLAIN) {
        *raw = stored.payload;
        return KV_OK;
    }
    err = make_room(b, &b->unpacked, stored.raw_len);
    if (!err)
        err = kvi_sst_decompress(t->ctx->codec, stored.payload, b->unpacked.data, stored.raw_len);
    if (err == KV_ECORRUPT)
        return kvi_sst_block_corrupt(t->file_no, at.offset, KVI_SST_DATA, "it does not decompress");
    if (err)
        return err;
    b->unpacked.len = stored.raw_len;
    *raw = kvi_buf_slice(&b->unpacked);
    return KV_OK;
}

int kvi_sst_bulk_block(kvi_sst_bulk *b, kvi_sst_handle at, kvi_slice *raw)
{
    int err = KV_OK;

    if (at.len > (uint64_t)KVI_SST_BLOCK_MAX + KVI_SST_TRAILER_LEN)
        return kvi_sst_table_bad_index(b->t);
    if (!in_window(b, at))
        err = fill_window(b, at);
    if (!err)
        err = unpack(b, at, raw);
    if (err)
        kvi_buf_clear(&b->window); /* who tries again reads again */
    return err;
}
