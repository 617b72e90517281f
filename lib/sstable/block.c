/*
 * Blocks in memory and their stored form; see the header for the contract.
 */
#include "sstable/block.h"

#include <inttypes.h>
#include <string.h>

#include "base/bytes.h"
#include "base/check.h"
#include "base/error.h"
#include "base/hash.h"
#include "sstable/codec.h"

/* Where things are in a trailer. The checksum is over all before it. */
enum { TRAILER_COMPRESSION = 0, TRAILER_KIND = 1, TRAILER_ZERO = 2, TRAILER_RAW_LEN = 4 };
#define TRAILER_CHECKSUM 8u

_Static_assert(TRAILER_CHECKSUM + sizeof(uint64_t) == KVI_SST_TRAILER_LEN, "the trailer's bytes");

uint64_t kvi_sst_block_seed(uint64_t store_seed, uint64_t file_no, uint64_t offset,
                            enum kvi_sst_block_kind kind)
{
    uint8_t place[3 * sizeof(uint64_t)];

    kvi_put_u64(place, file_no);
    kvi_put_u64(place + 8, offset);
    kvi_put_u64(place + 16, (uint64_t)kind);
    return kvi_hash64(place, sizeof place, store_seed);
}

static const char *kind_name(enum kvi_sst_block_kind kind)
{
    static const char *const names[] = {
        [KVI_SST_DATA] = "data", [KVI_SST_INDEX] = "index",   [KVI_SST_FILTER] = "filter",
        [KVI_SST_META] = "meta", [KVI_SST_FOOTER] = "footer",
    };

    KVI_ASSERT(kind >= KVI_SST_DATA && kind <= KVI_SST_FOOTER);
    return names[kind];
}

int kvi_sst_block_corrupt(uint64_t file_no, uint64_t offset, enum kvi_sst_block_kind kind,
                          const char *why)
{
    return kvi_error_set(KV_ECORRUPT,
                         "table %06" PRIu64 ".sst: block at offset %" PRIu64 " (%s): %s", file_no,
                         offset, kind_name(kind), why);
}

/* --- in memory ---------------------------------------------------------------------------- */

/* Room for cap bytes of payload, charged, with one reference; NULL with a detail. */
static kvi_sst_block *block_new(const kvi_sst_context *ctx, size_t cap, enum kvi_budget_who who)
{
    size_t bytes = sizeof(kvi_sst_block) + cap;
    kvi_sst_block *b = kvi_mem_alloc(ctx->mem, bytes);

    if (!b) {
        (void)kvi_error_set(KV_ENOMEM, "cannot allocate %zu bytes for a block of a table", bytes);
        return NULL;
    }
    memset(b, 0, sizeof *b);
    atomic_init(&b->refs, 1);
    b->charged = bytes;
    b->who = who;
    b->ctx = ctx;
    kvi_list_init(&b->node.queue);
    kvi_budget_charge(ctx->budget, who, bytes);
    return b;
}

void kvi_sst_block_ref(kvi_sst_block *b)
{
    uint32_t before = atomic_fetch_add_explicit(&b->refs, 1, memory_order_relaxed);

    KVI_ASSERT(before > 0 && before < UINT32_MAX);
}

void kvi_sst_block_unref(kvi_sst_block *b)
{
    uint32_t before;

    if (!b)
        return;
    before = atomic_fetch_sub_explicit(&b->refs, 1, memory_order_acq_rel);
    KVI_ASSERT(before > 0);
    if (before > 1)
        return;
    KVI_ASSERT(kvi_list_empty(&b->node.queue));
    kvi_budget_release(b->ctx->budget, b->who, b->charged);
    kvi_mem_free(b->ctx->mem, b);
}

/* The stored bytes of a block, in memory as the payload of one; KV_ECORRUPT where the file ends
 * before. */
static int read_stored(const kvi_sst_context *ctx, kvi_os_file *file, uint64_t file_no,
                       kvi_sst_handle at, enum kvi_sst_block_kind kind, enum kvi_budget_who who,
                       kvi_sst_block **out)
{
    size_t len = (size_t)at.len, got = 0;
    kvi_sst_block *b;
    int err;

    if (at.len < KVI_SST_TRAILER_LEN || at.len > (uint64_t)KVI_SST_BLOCK_MAX + KVI_SST_TRAILER_LEN)
        return kvi_sst_block_corrupt(file_no, at.offset, kind, "its length makes no sense");
    b = block_new(ctx, len, who);
    if (!b)
        return KV_ENOMEM;
    err = file->ops->read(file, at.offset, b->data, len, &got);
    if (!err && got < len)
        err = kvi_sst_block_corrupt(file_no, at.offset, kind, "the file ends within it");
    if (err) {
        kvi_sst_block_unref(b);
        return err;
    }
    *out = b;
    return KV_OK;
}

int kvi_sst_block_read(const kvi_sst_context *ctx, kvi_os_file *file, uint64_t file_no,
                       kvi_sst_handle at, enum kvi_sst_block_kind kind, enum kvi_budget_who who,
                       kvi_sst_block **out)
{
    kvi_sst_block *raw = NULL;
    kvi_sst_block *stored = NULL;
    kvi_sst_stored form;
    int err = read_stored(ctx, file, file_no, at, kind, who, &stored);

    if (err)
        return err;
    err = kvi_sst_block_check(ctx, file_no, at.offset, kind,
                              kvi_slice_of(stored->data, (size_t)at.len), &form);
    if (err)
        goto done;
    if (form.compression == KVI_SST_PLAIN) {
        raw = stored;
        stored = NULL;
    } else {
        raw = block_new(ctx, form.raw_len, who);
        err =
            raw ? kvi_sst_decompress(ctx->codec, form.payload, raw->data, form.raw_len) : KV_ENOMEM;
        if (err == KV_ECORRUPT)
            err = kvi_sst_block_corrupt(file_no, at.offset, kind, "it does not decompress");
    }
done:
    kvi_sst_block_unref(stored);
    if (err) {
        kvi_sst_block_unref(raw);
        return err;
    }
    raw->len = form.raw_len;
    *out = raw;
    return KV_OK;
}

/* --- stored form -------------------------------------------------------------------------- */

int kvi_sst_block_check(const kvi_sst_context *ctx, uint64_t file_no, uint64_t offset,
                        enum kvi_sst_block_kind kind, kvi_slice bytes, kvi_sst_stored *out)
{
    const uint8_t *data = bytes.data;
    const uint8_t *trailer;
    size_t payload_len;
    uint32_t raw_len;

    KVI_ASSERT(bytes.len >= KVI_SST_TRAILER_LEN);
    payload_len = bytes.len - KVI_SST_TRAILER_LEN;
    trailer = data + payload_len;
    if (kvi_get_u64(trailer + TRAILER_CHECKSUM) !=
        kvi_hash64(data, payload_len + TRAILER_CHECKSUM,
                   kvi_sst_block_seed(ctx->store_seed, file_no, offset, kind)))
        return kvi_sst_block_corrupt(file_no, offset, kind, "checksum does not match");
    raw_len = kvi_get_u32(trailer + TRAILER_RAW_LEN);
    if (trailer[TRAILER_KIND] != (uint8_t)kind)
        return kvi_sst_block_corrupt(file_no, offset, kind, "it is of another kind");
    if (trailer[TRAILER_COMPRESSION] > KVI_SST_ZSTD || kvi_get_u16(trailer + TRAILER_ZERO) != 0)
        return kvi_sst_block_corrupt(file_no, offset, kind, "its trailer is malformed");
    if (raw_len == 0 || raw_len > KVI_SST_BLOCK_MAX ||
        (trailer[TRAILER_COMPRESSION] == KVI_SST_PLAIN && raw_len != payload_len))
        return kvi_sst_block_corrupt(file_no, offset, kind, "its raw length makes no sense");
    out->payload = kvi_slice_of(data, payload_len);
    out->compression = (enum kvi_sst_compression)trailer[TRAILER_COMPRESSION];
    out->raw_len = raw_len;
    return KV_OK;
}

int kvi_sst_block_seal(const kvi_sst_context *ctx, uint64_t file_no, uint64_t offset,
                       enum kvi_sst_block_kind kind, int level, kvi_slice raw, kvi_buf *scratch,
                       kvi_buf *out)
{
    kvi_slice payload = raw;
    bool packed = false;
    uint8_t *start, *trailer;
    int err = KV_OK;

    KVI_ASSERT(raw.len > 0 && raw.len <= KVI_SST_BLOCK_MAX);
    if (level != KV_COMPRESS_NONE)
        err = kvi_sst_compress(ctx->codec, level, raw, scratch, &packed);
    if (err)
        return err;
    if (packed)
        payload = kvi_buf_slice(scratch);
    err = kvi_buf_reserve(out, payload.len + KVI_SST_TRAILER_LEN);
    if (err)
        return err;
    start = out->data + out->len;
    memcpy(start, payload.data, payload.len);
    trailer = start + payload.len;
    memset(trailer, 0, KVI_SST_TRAILER_LEN);
    trailer[TRAILER_COMPRESSION] = packed ? KVI_SST_ZSTD : KVI_SST_PLAIN;
    trailer[TRAILER_KIND] = (uint8_t)kind;
    kvi_put_u32(trailer + TRAILER_RAW_LEN, (uint32_t)raw.len);
    kvi_put_u64(trailer + TRAILER_CHECKSUM,
                kvi_hash64(start, payload.len + TRAILER_CHECKSUM,
                           kvi_sst_block_seed(ctx->store_seed, file_no, offset, kind)));
    out->len += payload.len + KVI_SST_TRAILER_LEN;
    return KV_OK;
}
