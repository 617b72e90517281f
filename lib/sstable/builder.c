/*
 * Writing a table; see the header for the contract.
 *
 * The index entry of a data block is made when the next block's first key is known, since the key
 * in it lies between the two. (Its meaning: table.c.)
 */
#include "sstable/builder.h"

#include <string.h>

#include "base/bytes.h"
#include "base/check.h"
#include "base/error.h"
#include "base/hash.h"
#include "sstable/block_builder.h"
#include "sstable/block_entry.h"
#include "sstable/bloom.h"

struct kvi_sst_builder {
    const kvi_sst_context *ctx;
    kvi_sst_builder_options options;
    kvi_os_file *file;
    kvi_sst_block_builder data, index;
    kvi_buf out;     /* gathered, not written yet */
    kvi_buf scratch; /* a block compressed; the filter; the meta block */
    kvi_buf hashes;  /* u64s, of each key once */
    kvi_buf smallest;
    kvi_buf last_key;
    uint64_t last_tag;
    uint64_t written;      /* bytes of the file before out */
    kvi_sst_handle closed; /* the block whose index entry is due, where len > 0 */
    kvi_sst_built built;
    size_t charged;
    bool ended; /* finished or failed: only free may follow */
};

/* --- life --------------------------------------------------------------------------------- */

static size_t memory_of(const kvi_sst_builder *b)
{
    return sizeof *b + kvi_sst_block_builder_memory(&b->data) +
           kvi_sst_block_builder_memory(&b->index) + b->out.cap + b->scratch.cap + b->hashes.cap +
           b->smallest.cap + b->last_key.cap;
}

/* Buffers only grow. */
static void charge(kvi_sst_builder *b)
{
    size_t now = memory_of(b);

    KVI_ASSERT(now >= b->charged);
    kvi_budget_charge(b->ctx->budget, KVI_BUDGET_WORK, now - b->charged);
    b->charged = now;
}

int kvi_sst_builder_new(const kvi_sst_context *ctx, const kvi_sst_builder_options *o,
                        kvi_os_file *file, kvi_sst_builder **out)
{
    kvi_sst_builder *b = kvi_mem_zalloc(ctx->mem, 1, sizeof *b);

    KVI_ASSERT(o->block_size > 0 && o->block_size < KVI_SST_BLOCK_MAX);
    if (!b)
        return kvi_error_set(KV_ENOMEM, "cannot allocate %zu bytes for a table's builder",
                             sizeof *b);
    b->ctx = ctx;
    b->options = *o;
    b->file = file;
    kvi_sst_block_builder_init(&b->data, ctx->mem, KVI_SST_RESTART_INTERVAL);
    kvi_sst_block_builder_init(&b->index, ctx->mem, KVI_SST_INDEX_RESTART_INTERVAL);
    kvi_buf_init(&b->out, ctx->mem);
    kvi_buf_init(&b->scratch, ctx->mem);
    kvi_buf_init(&b->hashes, ctx->mem);
    kvi_buf_init(&b->smallest, ctx->mem);
    kvi_buf_init(&b->last_key, ctx->mem);
    charge(b);
    *out = b;
    return KV_OK;
}

void kvi_sst_builder_free(kvi_sst_builder *b)
{
    if (!b)
        return;
    kvi_sst_block_builder_deinit(&b->data);
    kvi_sst_block_builder_deinit(&b->index);
    kvi_buf_deinit(&b->out);
    kvi_buf_deinit(&b->scratch);
    kvi_buf_deinit(&b->hashes);
    kvi_buf_deinit(&b->smallest);
    kvi_buf_deinit(&b->last_key);
    kvi_budget_release(b->ctx->budget, KVI_BUDGET_WORK, b->charged);
    kvi_mem_free(b->ctx->mem, b);
}

uint64_t kvi_sst_builder_size(const kvi_sst_builder *b)
{
    return b->written + b->out.len + b->data.payload.len + b->index.payload.len;
}

uint64_t kvi_sst_builder_entries(const kvi_sst_builder *b)
{
    return b->built.entries;
}

/* --- blocks ------------------------------------------------------------------------------- */

static int write_out(kvi_sst_builder *b)
{
    int err = b->file->ops->write(b->file, b->written, b->out.data, b->out.len);

    if (err)
        return err;
    b->written += b->out.len;
    kvi_buf_clear(&b->out);
    return KV_OK;
}

/* Appends a block to the file; *at: where it is. raw may not lie in scratch where level
 * compresses. */
static int put_block(kvi_sst_builder *b, enum kvi_sst_block_kind kind, int level, kvi_slice raw,
                     kvi_sst_handle *at)
{
    uint64_t offset = b->written + b->out.len;
    int err = kvi_sst_block_seal(b->ctx, b->options.file_no, offset, kind, level, raw, &b->scratch,
                                 &b->out);

    if (err)
        return err;
    *at = (kvi_sst_handle){offset, b->written + b->out.len - offset};
    charge(b);
    return b->out.len >= KVI_SST_WRITE_CHUNK ? write_out(b) : KV_OK;
}

static int close_block(kvi_sst_builder *b)
{
    kvi_slice raw;
    int err = kvi_sst_block_builder_finish(&b->data, &raw);

    KVI_ASSERT(b->closed.len == 0);
    if (!err)
        err = put_block(b, KVI_SST_DATA, b->options.compression, raw, &b->closed);
    if (err)
        return err;
    kvi_sst_block_builder_reset(&b->data);
    return KV_OK;
}

/* --- the index ---------------------------------------------------------------------------- */

/* Makes key, the last of a block, a shorter one that is above it and below next, the first key of
 * the next block; false where there is none, and it stays as it is. */
static bool shorten(kvi_buf *key, kvi_slice next)
{
    const uint8_t *above = next.data;
    size_t n = kvi_min_size(key->len, next.len);
    size_t differ = n > 0 ? kvi_sst_common_prefix(key->data, above, n) : 0;

    if (differ == n)
        return false; /* one begins with the other */
    KVI_ASSERT(key->data[differ] < above[differ]);
    for (size_t i = differ; i + 1 < key->len; i++) {
        /* One more at `differ` stays below next, or makes a beginning of it; behind that any byte
         * may rise. */
        bool can_rise = i == differ ? key->data[i] + 1 < above[i] || i + 1 < next.len
                                    : key->data[i] < UINT8_MAX;

        if (can_rise) {
            key->data[i]++;
            key->len = i + 1;
            return true;
        }
    }
    return false;
}

/* The index entry of the closed block; next: the first key behind it, or NULL. Leaves last_key
 * changed. */
static int put_index_entry(kvi_sst_builder *b, const kvi_slice *next)
{
    uint8_t value[2 * KVI_VARINT64_MAX];
    uint8_t *end = kvi_put_varint(kvi_put_varint(value, b->closed.offset), b->closed.len);
    bool other_key = next && shorten(&b->last_key, *next);

    KVI_ASSERT(b->closed.len > 0);
    b->closed = (kvi_sst_handle){0, 0};
    return kvi_sst_block_builder_add(&b->index, kvi_buf_slice(&b->last_key),
                                     other_key ? 0 : b->last_tag,
                                     kvi_slice_of(value, (size_t)(end - value)));
}

/* --- entries ------------------------------------------------------------------------------ */

/* Takes note of a key that comes for the first time. */
static int begin_key(kvi_sst_builder *b, kvi_slice key)
{
    uint64_t hash = kvi_hash64(key.data, key.len, b->ctx->filter_seed);
    int err = kvi_buf_append(&b->hashes, &hash, sizeof hash);

    if (!err && b->built.entries == 0)
        err = kvi_buf_set(&b->smallest, key.data, key.len);
    if (!err)
        err = kvi_buf_set(&b->last_key, key.data, key.len);
    return err;
}

static void count_entry(kvi_sst_builder *b, uint64_t tag, size_t bytes)
{
    kvi_sst_built *s = &b->built;
    uint64_t seq = kvi_tag_seq(tag);

    s->seq_min = s->entries == 0 ? seq : kvi_min_u64(s->seq_min, seq);
    s->seq_max = kvi_max_u64(s->seq_max, seq);
    s->deletes += kvi_tag_kind(tag) == KVI_KIND_DELETE;
    s->raw_bytes += bytes;
    s->entries++;
}

int kvi_sst_builder_add(kvi_sst_builder *b, kvi_slice key, uint64_t tag, kvi_slice value)
{
    bool first = b->built.entries == 0;
    int order = first ? -1 : kvi_slice_cmp(kvi_buf_slice(&b->last_key), key);
    int err = KV_OK;

    KVI_ASSERT(!b->ended);
    KVI_ASSERT(kvi_kind_known(kvi_tag_kind(tag)));
    KVI_ASSERT(order < 0 || (order == 0 && tag < b->last_tag));
    if (b->closed.len > 0)
        err = put_index_entry(b, &key);
    if (!err && order < 0)
        err = begin_key(b, key);
    if (!err)
        err = kvi_sst_block_builder_add(&b->data, key, tag, value);
    if (!err) {
        b->last_tag = tag;
        count_entry(b, tag, key.len + value.len);
        if (kvi_sst_block_builder_len(&b->data) >= b->options.block_size)
            err = close_block(b);
    }
    b->ended = err != KV_OK;
    return err;
}

/* --- the end of the file ------------------------------------------------------------------ */

static int put_filter(kvi_sst_builder *b, kvi_sst_handle *at)
{
    const uint64_t *hashes = (const void *)b->hashes.data;
    int err = kvi_sst_bloom_build(hashes, b->hashes.len / sizeof *hashes, &b->scratch);

    if (err)
        return err;
    return put_block(b, KVI_SST_FILTER, KV_COMPRESS_NONE, kvi_buf_slice(&b->scratch), at);
}

static int put_property(kvi_buf *out, enum kvi_sst_meta_id id, const void *data, size_t len)
{
    uint8_t head[2 * KVI_VARINT64_MAX];
    uint8_t *end = kvi_put_varint(kvi_put_varint(head, (uint64_t)id), len);
    int err = kvi_buf_append(out, head, (size_t)(end - head));

    return err ? err : kvi_buf_append(out, data, len);
}

static int put_meta(kvi_sst_builder *b, kvi_sst_handle *at)
{
    const struct {
        enum kvi_sst_meta_id id;
        uint64_t number;
    } numbers[] = {
        {KVI_SST_META_ENTRIES, b->built.entries},     {KVI_SST_META_DELETES, b->built.deletes},
        {KVI_SST_META_SEQ_MIN, b->built.seq_min},     {KVI_SST_META_SEQ_MAX, b->built.seq_max},
        {KVI_SST_META_RAW_BYTES, b->built.raw_bytes},
    };
    int err = KV_OK;

    kvi_buf_clear(&b->scratch);
    for (size_t i = 0; !err && i < sizeof numbers / sizeof numbers[0]; i++) {
        uint8_t bytes[sizeof(uint64_t)];

        kvi_put_u64(bytes, numbers[i].number);
        err = put_property(&b->scratch, numbers[i].id, bytes, sizeof bytes);
    }
    if (!err)
        err = put_property(&b->scratch, KVI_SST_META_SMALLEST, b->smallest.data, b->smallest.len);
    if (!err)
        err = put_property(&b->scratch, KVI_SST_META_LARGEST, b->last_key.data, b->last_key.len);
    if (err)
        return err;
    return put_block(b, KVI_SST_META, KV_COMPRESS_NONE, kvi_buf_slice(&b->scratch), at);
}

static uint8_t *put_handle(uint8_t *p, kvi_sst_handle at)
{
    kvi_put_u64(p, at.offset);
    kvi_put_u64(p + sizeof(uint64_t), at.len);
    return p + 2 * sizeof(uint64_t);
}

static int put_footer(kvi_sst_builder *b, kvi_sst_handle index, kvi_sst_handle filter,
                      kvi_sst_handle meta)
{
    uint8_t footer[KVI_SST_FOOTER_LEN];
    uint8_t *p = put_handle(put_handle(put_handle(footer, index), filter), meta);
    uint64_t seed = kvi_sst_block_seed(b->ctx->store_seed, b->options.file_no,
                                       b->written + b->out.len, KVI_SST_FOOTER);

    kvi_put_u32(p, KVI_SST_FORMAT);
    kvi_put_u32(p + sizeof(uint32_t), KVI_SST_MAGIC);
    p += 2 * sizeof(uint32_t);
    kvi_put_u64(p, kvi_hash64(footer, (size_t)(p - footer), seed));
    KVI_ASSERT(p + sizeof(uint64_t) == footer + sizeof footer);
    return kvi_buf_append(&b->out, footer, sizeof footer);
}

int kvi_sst_builder_finish(kvi_sst_builder *b, kvi_sst_built *out)
{
    kvi_sst_handle index, filter, meta;
    kvi_slice raw;
    int err = KV_OK;

    KVI_ASSERT(!b->ended && b->built.entries > 0);
    b->ended = true;
    if (b->data.count > 0)
        err = close_block(b);
    if (!err)
        err = put_index_entry(b, NULL);
    if (!err)
        err = put_filter(b, &filter);
    if (!err)
        err = kvi_sst_block_builder_finish(&b->index, &raw);
    if (!err)
        err = put_block(b, KVI_SST_INDEX, b->options.compression, raw, &index);
    if (!err)
        err = put_meta(b, &meta);
    if (!err)
        err = put_footer(b, index, filter, meta);
    if (!err)
        err = write_out(b);
    if (err)
        return err;
    b->built.file_size = b->written;
    b->built.smallest = kvi_buf_slice(&b->smallest);
    b->built.largest = kvi_buf_slice(&b->last_key);
    *out = b->built;
    return KV_OK;
}
