/* See reseal.h. */
#include "support/reseal.h"

#include "base/bytes.h"
#include "base/hash.h"
#include "sstable/block_cursor.h"

#define CHECKSUM_LEN 8u

typedef struct subject {
    const kvi_sst_context *ctx;
    uint64_t file_no;
    uint8_t *file;
    size_t len;
} subject;

static bool lies_within(const subject *s, kvi_sst_handle at)
{
    return at.offset <= s->len && at.len >= KVI_SST_TRAILER_LEN && at.len <= s->len - at.offset;
}

static void reseal_block(const subject *s, kvi_sst_handle at, enum kvi_sst_block_kind kind)
{
    uint64_t seed = kvi_sst_block_seed(s->ctx->store_seed, s->file_no, at.offset, kind);
    uint8_t *block;
    size_t len;

    if (!lies_within(s, at))
        return;
    block = s->file + at.offset;
    len = (size_t)at.len - CHECKSUM_LEN;
    block[at.len - KVI_SST_TRAILER_LEN + 1] = (uint8_t)kind;
    kvi_put_u64(block + len, kvi_hash64(block, len, seed));
}

/* Handles as a plain index has them; of another one they are not found. */
static void reseal_data(const subject *s, kvi_sst_handle index)
{
    kvi_sst_block_cursor c;
    int err;

    if (!lies_within(s, index))
        return;
    kvi_sst_block_cursor_init(&c, s->ctx->mem);
    err = kvi_sst_block_cursor_set(
        &c, kvi_slice_of(s->file + index.offset, (size_t)index.len - KVI_SST_TRAILER_LEN));
    if (!err)
        err = kvi_sst_block_cursor_first(&c);
    while (!err && c.c.valid) {
        const uint8_t *p = c.c.value.data;
        const uint8_t *end = p + c.c.value.len;
        kvi_sst_handle at;

        p = kvi_get_varint64(p, end, &at.offset);
        if (p)
            p = kvi_get_varint64(p, end, &at.len);
        /* Not into the index itself, which is being read. */
        if (p && at.offset <= index.offset && at.len <= index.offset - at.offset)
            reseal_block(s, at, KVI_SST_DATA);
        err = kvi_sst_block_cursor_next(&c);
    }
    kvi_sst_block_cursor_deinit(&c);
}

void kvt_reseal(const kvi_sst_context *ctx, uint64_t file_no, uint8_t *file, size_t len,
                unsigned what)
{
    static const enum kvi_sst_block_kind kinds[] = {KVI_SST_INDEX, KVI_SST_FILTER, KVI_SST_META};
    subject s = {ctx, file_no, file, len};
    uint64_t footer_at;
    uint8_t *footer;

    if (len < KVI_SST_FOOTER_LEN)
        return;
    footer_at = len - KVI_SST_FOOTER_LEN;
    footer = file + footer_at;
    for (size_t i = 0; i < 3; i++) {
        kvi_sst_handle at = {kvi_get_u64(footer + i * 16), kvi_get_u64(footer + i * 16 + 8)};

        if (i == 0 && (what & KVT_RESEAL_DATA))
            reseal_data(&s, at);
        if (what & KVT_RESEAL_PARTS)
            reseal_block(&s, at, kinds[i]);
    }
    if (what & KVT_RESEAL_FOOTER) {
        size_t sealed = KVI_SST_FOOTER_LEN - CHECKSUM_LEN;

        kvi_put_u64(footer + sealed, kvi_hash64(footer, sealed,
                                                kvi_sst_block_seed(ctx->store_seed, file_no,
                                                                   footer_at, KVI_SST_FOOTER)));
    }
}
