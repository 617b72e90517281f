/*
 * The bytes of a manifest record's payload and of the file CURRENT. Format 1. All numbers
 * little-endian.
 *
 * payload = fields…, in any order, each: id u8, then
 *   1 STORE       layout u8, filter seed u64, context seed u64
 *   2 FLUSHED     sequence u64, not 0
 *   3 LOG_FLOOR   file number u64, not 0
 *   4 NEXT_FILE   file number u64, not 0
 *   5 ADD         level u8, number, size, entries, deletes, lowest sequence, highest sequence
 *                 (varints), smallest key's length varint, its bytes, largest key's length varint,
 *                 its bytes
 *   6 REMOVE      level u8, number varint
 * An unknown id is KV_EFORMAT: a manifest cannot be half understood. A record's count is the number
 * of its fields. 1 to 4 come at most once in a record.
 * The first record of a manifest is the whole state, and the only one with STORE; each further one
 * is one edit. Removes come before adds, whatever their order. What is numbered only grows: of
 * FLUSHED, LOG_FLOOR and NEXT_FILE the greatest counts.
 *
 * CURRENT (48 bytes) = magic u32, format u32, store id [16], manifest number u64, zero u64,
 *                      checksum u64 (XXH3-64 of all bytes before, seed 0)
 * format here is the format of the whole directory: the first thing that is read. Every later
 * format begins with magic and format, ends with the checksum of all before it, and is at least as
 * long as this one and at most 4096 bytes.
 */
#ifndef KVI_LSM_MANIFEST_FORMAT_H
#define KVI_LSM_MANIFEST_FORMAT_H

#include "base/base.h"

#define KVI_CURRENT_MAGIC   UINT32_C(0x7276766b) /* "kvvr" */
#define KVI_CURRENT_FORMAT  1u
#define KVI_CURRENT_LEN     48u
#define KVI_CURRENT_LEN_MAX 4096u

/* Where things are in CURRENT. The checksum is the last 8 bytes. */
enum {
    KVI_CURRENT_AT_MAGIC = 0,
    KVI_CURRENT_AT_FORMAT = 4,
    KVI_CURRENT_AT_STORE = 8,
    KVI_CURRENT_AT_NUMBER = 24,
    KVI_CURRENT_AT_ZERO = 32,
    KVI_CURRENT_AT_CHECKSUM = 40
};

enum kvi_manifest_field {
    KVI_MANIFEST_STORE = 1,
    KVI_MANIFEST_FLUSHED = 2,
    KVI_MANIFEST_LOG_FLOOR = 3,
    KVI_MANIFEST_NEXT_FILE = 4,
    KVI_MANIFEST_ADD = 5,
    KVI_MANIFEST_REMOVE = 6
};

#endif
