/*
 * Puts right checksums under wrong bytes: what a table's reader does with nonsense is seen only
 * where the checksums let it pass. Serves the fuzzers as well: no Criterion in here.
 */
#ifndef KVT_SUPPORT_RESEAL_H
#define KVT_SUPPORT_RESEAL_H

#include "sstable/block.h"

/** What is resealed. */
enum {
    KVT_RESEAL_FOOTER = 1,
    KVT_RESEAL_PARTS = 2, /* index, filter and meta block, where the footer says that they are */
    KVT_RESEAL_DATA = 4,  /* data blocks, where the index says that they are */
    KVT_RESEAL_ALL = 7
};

/** Reseals a whole table file in place, as far as its handles lie within it. */
void kvt_reseal(const kvi_sst_context *ctx, uint64_t file_no, uint8_t *file, size_t len,
                unsigned what);

#endif
