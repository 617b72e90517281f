/*
 * The bytes of a journal: a log segment or a manifest. Format 1. All numbers little-endian.
 *
 *   journal = header block (4096 bytes), records…
 *   header  = magic u32, format u32, kind u32, zero u32, store id [16], file number u64,
 *             zero u64, checksum u64 (XXH3-64 of the 48 bytes before, seed 0), zeros
 *   watermark slot (at 1024 and at 2048, 24 bytes)
 *           = generation u64 (from 1), synced offset u64, checksum u64 (of the 16 bytes before)
 *   record  = payload length u32 (never 0), count u32, checksum u64, payload,
 *             zeros up to a multiple of 8
 *
 * The checksums of slots and records are XXH3-64, seeded by store, kind, file number and offset; a
 * record's covers length, count and payload (journal_check.h). What an earlier life of a recycled
 * file left, or what belongs elsewhere, does not pass.
 *
 * The synced offset is a record's end, and says that all before it was on the disk once. A bad
 * record at or behind the newest valid one is a torn tail; before it, corruption. The two slots are
 * written in turn (odd generations to the first), so that one always survives.
 *
 * Payload of a log record (count = number of ops): sequence of the first op u64, ops…
 *   op = kind u8 (sstable/tag.h), key length varint, value length varint, key, value
 *        (an expiring put's value begins with the 8 bytes of its expiry, which are counted)
 * Payload of a manifest record: see manifest_format.h.
 */
#ifndef KVI_LSM_JOURNAL_FORMAT_H
#define KVI_LSM_JOURNAL_FORMAT_H

#include "base/base.h"

#define KVI_JOURNAL_MAGIC         UINT32_C(0x6c6a766b) /* "kvjl" */
#define KVI_JOURNAL_FORMAT        1u
#define KVI_JOURNAL_HEADER_LEN    4096u
#define KVI_JOURNAL_HEADER_USED   56u
#define KVI_JOURNAL_SLOT_A        1024u
#define KVI_JOURNAL_SLOT_B        2048u
#define KVI_JOURNAL_SLOT_LEN      24u
#define KVI_JOURNAL_RECORD_HEADER 16u
#define KVI_JOURNAL_ALIGN         8u
#define KVI_JOURNAL_PAYLOAD_MAX   (UINT32_C(1) << 30)

enum kvi_journal_kind { KVI_JOURNAL_LOG = 1, KVI_JOURNAL_MANIFEST = 2 };

/* Where things are in a header … */
enum {
    KVI_JOURNAL_AT_MAGIC = 0,
    KVI_JOURNAL_AT_FORMAT = 4,
    KVI_JOURNAL_AT_KIND = 8,
    KVI_JOURNAL_AT_ZERO = 12,
    KVI_JOURNAL_AT_STORE = 16,
    KVI_JOURNAL_AT_NUMBER = 32,
    KVI_JOURNAL_AT_ZERO_TOO = 40,
    KVI_JOURNAL_AT_CHECKSUM = 48
};

/* … in a watermark slot, and in front of a record. */
enum {
    KVI_JOURNAL_SLOT_AT_GENERATION = 0,
    KVI_JOURNAL_SLOT_AT_OFFSET = 8,
    KVI_JOURNAL_SLOT_AT_CHECKSUM = 16
};
enum {
    KVI_JOURNAL_RECORD_AT_LEN = 0,
    KVI_JOURNAL_RECORD_AT_COUNT = 4,
    KVI_JOURNAL_RECORD_AT_CHECKSUM = 8
};

#endif
