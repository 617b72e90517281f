/*
 * Opening a table: from the footer inwards, each part checked before the next is believed.
 * (table.h, table_read.h)
 */
#include <inttypes.h>

#include "base/bytes.h"
#include "base/check.h"
#include "base/error.h"
#include "base/hash.h"
#include "sstable/table_read.h"

/* Where things are in a footer. */
enum {
    FOOTER_INDEX = 0,
    FOOTER_FILTER = 16,
    FOOTER_META = 32,
    FOOTER_FORMAT = 48,
    FOOTER_MAGIC = 52,
    FOOTER_CHECKSUM = 56
};

typedef struct footer {
    uint64_t at; /* its own offset */
    kvi_sst_handle index, filter, meta;
} footer;

static kvi_sst_handle get_handle(const uint8_t *p)
{
    return (kvi_sst_handle){kvi_get_u64(p), kvi_get_u64(p + sizeof(uint64_t))};
}

/* Whether a block takes up [at.offset, end) exactly. */
static bool ends_at(kvi_sst_handle at, uint64_t end)
{
    return at.len >= KVI_SST_TRAILER_LEN && at.len <= end && at.offset == end - at.len;
}

/* The footer's parts follow one another up to the footer itself, data blocks first. */
static bool footer_fits(const footer *f)
{
    if (!ends_at(f->meta, f->at) || !ends_at(f->index, f->meta.offset))
        return false;
    if (f->filter.len == 0)
        return f->filter.offset == 0;
    return ends_at(f->filter, f->index.offset);
}

static int read_footer(const kvi_sst_table *t, footer *out)
{
    uint8_t bytes[KVI_SST_FOOTER_LEN];
    size_t got = 0;
    uint64_t size;
    footer f;
    int err = t->file->ops->size(t->file, &size);

    if (err)
        return err;
    if (size < sizeof bytes)
        return kvi_error_set(KV_ECORRUPT,
                             "table %06" PRIu64 ".sst: %" PRIu64 " bytes are too few for a table",
                             t->file_no, size);
    f.at = size - sizeof bytes;
    err = t->file->ops->read(t->file, f.at, bytes, sizeof bytes, &got);
    if (err)
        return err;
    if (got < sizeof bytes || kvi_get_u32(bytes + FOOTER_MAGIC) != KVI_SST_MAGIC)
        return kvi_sst_block_corrupt(t->file_no, f.at, KVI_SST_FOOTER, "not the end of a table");
    if (kvi_get_u64(bytes + FOOTER_CHECKSUM) !=
        kvi_hash64(bytes, FOOTER_CHECKSUM,
                   kvi_sst_block_seed(t->ctx->store_seed, t->file_no, f.at, KVI_SST_FOOTER)))
        return kvi_sst_block_corrupt(t->file_no, f.at, KVI_SST_FOOTER, "checksum does not match");
    if (kvi_get_u32(bytes + FOOTER_FORMAT) != KVI_SST_FORMAT)
        return kvi_error_set(KV_EFORMAT,
                             "table %06" PRIu64 ".sst: format %" PRIu32 ", this library knows %u",
                             t->file_no, kvi_get_u32(bytes + FOOTER_FORMAT), KVI_SST_FORMAT);
    f.index = get_handle(bytes + FOOTER_INDEX);
    f.filter = get_handle(bytes + FOOTER_FILTER);
    f.meta = get_handle(bytes + FOOTER_META);
    if (!footer_fits(&f))
        return kvi_sst_block_corrupt(t->file_no, f.at, KVI_SST_FOOTER, "its parts do not fit");
    *out = f;
    return KV_OK;
}

/* --- the meta block ----------------------------------------------------------------------- */

/* Where a number of the meta block goes; NULL for what is not a number. */
static uint64_t *meta_number(kvi_sst_meta *m, uint32_t id)
{
    switch (id) {
    case KVI_SST_META_ENTRIES:
        return &m->entries;
    case KVI_SST_META_DELETES:
        return &m->deletes;
    case KVI_SST_META_SEQ_MIN:
        return &m->seq_min;
    case KVI_SST_META_SEQ_MAX:
        return &m->seq_max;
    case KVI_SST_META_RAW_BYTES:
        return &m->raw_bytes;
    default:
        return NULL;
    }
}

/* One property; false where a number is not one. */
static bool meta_take(kvi_sst_meta *m, uint32_t id, kvi_slice bytes)
{
    uint64_t *number = meta_number(m, id);

    if (number) {
        if (bytes.len != sizeof *number)
            return false;
        *number = kvi_get_u64(bytes.data);
    } else if (id == KVI_SST_META_SMALLEST) {
        m->smallest = bytes;
    } else if (id == KVI_SST_META_LARGEST) {
        m->largest = bytes;
    }
    return true;
}

/* Reads all properties; false where they are malformed or one of ours is missing. */
static bool meta_parse(kvi_slice raw, kvi_sst_meta *m)
{
    const uint8_t *p = raw.data;
    const uint8_t *end = p + raw.len;
    uint32_t last_id = 0;
    unsigned ours = 0; /* of the ids 1 to KVI_SST_META_LARGEST */

    while (p < end) {
        uint32_t id, len;

        p = kvi_get_varint32(p, end, &id);
        if (p)
            p = kvi_get_varint32(p, end, &len);
        if (!p || len > (size_t)(end - p) || id <= last_id ||
            !meta_take(m, id, kvi_slice_of(p, len)))
            return false;
        if (id <= KVI_SST_META_LARGEST)
            ours++;
        last_id = id;
        p += len;
    }
    return ours == KVI_SST_META_LARGEST;
}

static bool meta_makes_sense(const kvi_sst_meta *m)
{
    return m->entries > 0 && m->deletes <= m->entries && m->seq_min <= m->seq_max &&
           m->seq_max <= KVI_SEQ_MAX && kvi_slice_cmp(m->smallest, m->largest) <= 0;
}

/* --- the table ---------------------------------------------------------------------------- */

static int read_part(const kvi_sst_table *t, kvi_sst_handle at, enum kvi_sst_block_kind kind,
                     kvi_sst_block **out)
{
    return kvi_sst_block_read(t->ctx, t->file, t->file_no, at, kind, KVI_BUDGET_TABLE, out);
}

static int read_parts(kvi_sst_table *t, const footer *f)
{
    int err = read_part(t, f->meta, KVI_SST_META, &t->meta_block);

    if (err)
        return err;
    if (!meta_parse(kvi_sst_block_raw(t->meta_block), &t->meta) || !meta_makes_sense(&t->meta))
        return kvi_sst_block_corrupt(t->file_no, f->meta.offset, KVI_SST_META,
                                     "its properties make no sense");
    err = read_part(t, f->index, KVI_SST_INDEX, &t->index);
    if (err || f->filter.len == 0)
        return err;
    err = read_part(t, f->filter, KVI_SST_FILTER, &t->filter);
    if (err)
        return err;
    if (kvi_sst_bloom_open(kvi_sst_block_raw(t->filter), &t->bloom) != KV_OK)
        return kvi_sst_block_corrupt(t->file_no, f->filter.offset, KVI_SST_FILTER,
                                     "it is no filter");
    return KV_OK;
}

/* All but the file. */
static void release(kvi_sst_table *t)
{
    kvi_sst_block_unref(t->index);
    kvi_sst_block_unref(t->filter);
    kvi_sst_block_unref(t->meta_block);
    kvi_budget_release(t->ctx->budget, KVI_BUDGET_TABLE, sizeof *t);
    kvi_mem_free(t->ctx->mem, t);
}

int kvi_sst_table_open(const kvi_sst_context *ctx, kvi_os_file *file, uint64_t file_no,
                       kvi_sst_table **out)
{
    kvi_sst_table *t = kvi_mem_zalloc(ctx->mem, 1, sizeof *t);
    footer f = {0};
    int err;

    if (!t)
        return kvi_error_set(KV_ENOMEM, "cannot allocate %zu bytes for a table", sizeof *t);
    kvi_budget_charge(ctx->budget, KVI_BUDGET_TABLE, sizeof *t);
    t->ctx = ctx;
    t->file = file;
    t->file_no = file_no;
    err = read_footer(t, &f);
    if (!err)
        err = read_parts(t, &f);
    if (err) {
        release(t);
        return err;
    }
    t->index_at = f.index;
    t->data_end = f.filter.len > 0 ? f.filter.offset : f.index.offset;
    KVI_ASSERT(t->index && t->meta_block && t->data_end < f.at);
    *out = t;
    return KV_OK;
}

void kvi_sst_table_close(kvi_sst_table *t)
{
    kvi_os_file *file;

    if (!t)
        return;
    file = t->file;
    release(t);
    (void)file->ops->close(file); /* it was only read */
}
