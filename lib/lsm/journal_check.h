/*
 * What binds the bytes of a journal to their place: the seed of a journal, the checksums of its
 * slots and records. For the writer, the reader and the tests that forge journals. Pure.
 *
 * Part of the format: none of this ever changes.
 */
#ifndef KVI_LSM_JOURNAL_CHECK_H
#define KVI_LSM_JOURNAL_CHECK_H

#include "base/bytes.h"
#include "base/hash.h"
#include "lsm/journal_format.h"

/** No two journals of a store have kind and number in common. */
static inline uint64_t kvi_lsm_journal_seed(enum kvi_journal_kind kind, const uint8_t store_id[16],
                                            uint64_t file_no)
{
    uint8_t place[28];

    memcpy(place, store_id, 16);
    kvi_put_u32(place + 16, (uint32_t)kind);
    kvi_put_u64(place + 20, file_no);
    return kvi_hash64(place, sizeof place, KVI_JOURNAL_MAGIC);
}

static inline uint64_t kvi_lsm_journal_header_sum(const uint8_t *header)
{
    return kvi_hash64(header, KVI_JOURNAL_AT_CHECKSUM, 0);
}

/** slot: the 16 bytes that stand at the file's offset at. */
static inline uint64_t kvi_lsm_journal_slot_sum(uint64_t seed, uint64_t at, const uint8_t *slot)
{
    return kvi_hash64(slot, KVI_JOURNAL_SLOT_AT_CHECKSUM, kvi_mix64(seed + at));
}

/** Of the record at the file's offset at. */
static inline uint64_t kvi_lsm_journal_record_sum(uint64_t seed, uint64_t at,
                                                  const uint8_t *payload, uint32_t payload_len,
                                                  uint32_t count)
{
    uint64_t shape = (uint64_t)count << 32 | payload_len;

    return kvi_hash64(payload, payload_len, kvi_mix64(kvi_mix64(seed + at) ^ shape));
}

#endif
