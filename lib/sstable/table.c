/*
 * Asking an open table; see the headers for the contract.
 *
 * An index entry (key, tag) of a data block lies at or behind every entry of that block and
 * before every entry of the next, in the order of entries: where the key is the block's last one
 * its tag is that entry's, else the key lies between two user keys and tag 0 sorts behind every
 * tag. So the first index entry at or behind (key, max_tag) is that of the only block which may
 * hold the answer, also where the versions of one key fill several blocks.
 */
#include "base/bytes.h"
#include "base/check.h"
#include "base/error.h"
#include "sstable/block_search.h"
#include "sstable/cache.h"
#include "sstable/table_read.h"

size_t kvi_sst_table_memory(const kvi_sst_table *t)
{
    return sizeof *t + t->index->charged + t->meta_block->charged +
           (t->filter ? t->filter->charged : 0);
}

const kvi_sst_meta *kvi_sst_table_meta(const kvi_sst_table *t)
{
    return &t->meta;
}

int kvi_sst_table_bad_index(const kvi_sst_table *t)
{
    return kvi_sst_block_corrupt(t->file_no, t->index_at.offset, KVI_SST_INDEX,
                                 "its entries are malformed");
}

int kvi_sst_table_bad_data(const kvi_sst_table *t, uint64_t offset)
{
    return kvi_sst_block_corrupt(t->file_no, offset, KVI_SST_DATA, "its entries are malformed");
}

int kvi_sst_table_handle(const kvi_sst_table *t, kvi_slice value, kvi_sst_handle *out)
{
    const uint8_t *p = value.data;
    const uint8_t *end = p + value.len;
    kvi_sst_handle at;

    p = kvi_get_varint64(p, end, &at.offset);
    if (p)
        p = kvi_get_varint64(p, end, &at.len);
    if (!p || p != end || at.offset > t->data_end || at.len > t->data_end - at.offset ||
        at.len < KVI_SST_TRAILER_LEN)
        return kvi_sst_table_bad_index(t);
    *out = at;
    return KV_OK;
}

int kvi_sst_table_block(const kvi_sst_table *t, kvi_sst_handle at, bool memory_only,
                        kvi_sst_block **out)
{
    kvi_sst_block *b = kvi_sst_cache_get(t->ctx->cache, t->file_no, at.offset);

    if (!b) {
        int err;

        if (memory_only)
            return KVI_AGAIN;
        err =
            kvi_sst_block_read(t->ctx, t->file, t->file_no, at, KVI_SST_DATA, KVI_BUDGET_CACHE, &b);
        if (err)
            return err;
        kvi_sst_cache_put(t->ctx->cache, t->file_no, at.offset, b);
    }
    *out = b;
    return KV_OK;
}

/* The data block that may hold (key, max_tag), if any. */
static int find_block(const kvi_sst_table *t, kvi_slice key, uint64_t max_tag, bool *found,
                      kvi_sst_handle *at)
{
    kvi_slice value;

    if (kvi_sst_block_ceiling(kvi_sst_block_raw(t->index), key, max_tag, found, &value) != KV_OK)
        return kvi_sst_table_bad_index(t);
    return *found ? kvi_sst_table_handle(t, value, at) : KV_OK;
}

int kvi_sst_table_get(kvi_sst_table *t, kvi_slice key, uint64_t hash, uint64_t max_tag,
                      bool memory_only, kvi_sst_found *out, kvi_sst_get_info *info)
{
    kvi_sst_found result = {.found = false};
    kvi_sst_block *b = NULL;
    kvi_sst_handle at = {0, 0};
    int err;

    info->filter_asked = t->filter != NULL;
    info->filter_no = t->filter && !kvi_sst_bloom_may_have(&t->bloom, hash);
    if (info->filter_no)
        goto answer;
    err = find_block(t, key, max_tag, &result.found, &at);
    if (err)
        return err;
    if (!result.found)
        goto answer;
    err = kvi_sst_table_block(t, at, memory_only, &b);
    if (err)
        return err;
    if (kvi_sst_block_get(kvi_sst_block_raw(b), key, max_tag, &result.found, &result.tag,
                          &result.value) != KV_OK) {
        kvi_sst_block_unref(b);
        return kvi_sst_table_bad_data(t, at.offset);
    }
    KVI_ASSERT(!result.found || result.tag <= max_tag);
    if (result.found)
        result.block = b;
    else
        kvi_sst_block_unref(b);
answer:
    *out = result;
    return KV_OK;
}
