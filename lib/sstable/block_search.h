/*
 * Finding an entry in a raw payload, without a cursor and without an allocation. Pure; any thread.
 *
 * 1. The result is that of comparing each entry in turn: what a cursor's seek and a get find is
 *    the same by construction, also in a payload whose entries are out of order.
 * 2. Malformed bytes are KV_ECORRUPT, never a read outside and never a loop without end. The
 *    detail is the caller's to set, who knows the file.
 */
#ifndef KVI_SSTABLE_BLOCK_SEARCH_H
#define KVI_SSTABLE_BLOCK_SEARCH_H

#include "sstable/block_entry.h"
#include "sstable/tag.h"

typedef struct kvi_sst_position {
    bool found;
    bool same_key; /* its key is the one sought */
    uint32_t at;   /* offset of the entry */
    /* Its key is the first `shared` bytes of the sought one, then its suffix. */
    kvi_sst_entry entry;
} kvi_sst_position;

/** The first entry at or after (key, tag) in the order of entries. */
int kvi_sst_layout_search(const kvi_sst_layout *l, kvi_slice key, uint64_t tag,
                          kvi_sst_position *out) KVI_NODISCARD;

/** As kvi_sst_layout_search() on a whole payload: in an index block, the entry of the one data
 * block that may hold (key, tag). value points into raw. */
int kvi_sst_block_ceiling(kvi_slice raw, kvi_slice key, uint64_t tag, bool *found, kvi_slice *value)
    KVI_NODISCARD;

/** The first entry of key with tag <= max_tag. *found says whether; tag and value are set only
 * then; value points into raw. */
int kvi_sst_block_get(kvi_slice raw, kvi_slice key, uint64_t max_tag, bool *found, uint64_t *tag,
                      kvi_slice *value) KVI_NODISCARD;

#endif
