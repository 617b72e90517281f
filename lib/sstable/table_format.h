/*
 * The bytes of an SSTable, format 1. All numbers little-endian.
 *
 *   table  = data block…, filter block, index block, meta block, footer
 *   block  = payload, trailer
 *   trailer (16 bytes) = compression u8, kind u8, zero u16, raw length u32, checksum u64
 *
 * The checksum is XXH3-64 over payload and the trailer's first 8 bytes, seeded by
 * kvi_sst_block_seed(): bound to the store, the file and the offset of the block, so that a block
 * in a wrong place is as bad as a wrong byte. The kind is under it.
 *
 * Data and index blocks (raw payload):
 *   entry = shared varint, unshared varint, value length varint, tag u64,
 *           key bytes from shared on, value bytes
 *   then restart offsets u32…, restart count u32 (at least 1; the first is 0; an entry at a
 *   restart shares nothing)
 *
 * Index block: one entry for each data block, at or behind every entry of it and before every
 * entry of the next, in the order of entries. Its key is the block's last one, with the tag of the
 * last entry; or it lies between the last key and the next block's first one, with tag 0.
 *   value = offset varint, stored length (trailer included) varint
 *
 * Filter block: lines of 64 bytes (512 bits), then line count u32, probes u8, zero[3]. See bloom.h.
 *
 * Meta block: the table's properties as (id varint, length varint, bytes) with ids ascending;
 * unknown ids are skipped.
 *
 * Footer (64 bytes, at the end of the file):
 *   index offset u64, index length u64, filter offset u64, filter length u64 (0 and 0: no filter),
 *   meta offset u64, meta length u64, format u32, magic u32,
 *   checksum u64 (XXH3-64 of the first 56 bytes, seeded as a block of kind FOOTER at its offset)
 */
#ifndef KVI_SSTABLE_TABLE_FORMAT_H
#define KVI_SSTABLE_TABLE_FORMAT_H

#include "base/base.h"

#define KVI_SST_MAGIC       UINT32_C(0x74736b76) /* "vkst" */
#define KVI_SST_FORMAT      1u
#define KVI_SST_TRAILER_LEN 16u
#define KVI_SST_FOOTER_LEN  64u
#define KVI_SST_FILTER_LINE 64u

/* Bytes of a raw payload: a value of 64 MiB with its key fits. */
#define KVI_SST_BLOCK_MAX (UINT32_C(80) << 20)

enum kvi_sst_block_kind {
    KVI_SST_DATA = 1,
    KVI_SST_INDEX = 2,
    KVI_SST_FILTER = 3,
    KVI_SST_META = 4,
    KVI_SST_FOOTER = 5
};

enum kvi_sst_compression { KVI_SST_PLAIN = 0, KVI_SST_ZSTD = 1 };

enum kvi_sst_meta_id {
    KVI_SST_META_ENTRIES = 1,   /* u64 */
    KVI_SST_META_DELETES = 2,   /* u64: entries that delete */
    KVI_SST_META_SEQ_MIN = 3,   /* u64 */
    KVI_SST_META_SEQ_MAX = 4,   /* u64 */
    KVI_SST_META_RAW_BYTES = 5, /* u64: keys and values */
    KVI_SST_META_SMALLEST = 6,  /* key */
    KVI_SST_META_LARGEST = 7    /* key */
};

#endif
