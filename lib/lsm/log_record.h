/*
 * The payload of a log record: ops in order of sequence (the bytes: journal_format.h). The write
 * path encodes into a mapped log or a buffer; recovery reads. Pure.
 */
#ifndef KVI_LSM_LOG_RECORD_H
#define KVI_LSM_LOG_RECORD_H

#include "base/bytes.h"
#include "lsm/lsm.h"

/* In front of the ops. */
#define KVI_LSM_LOG_PAYLOAD_HEADER 8u

/** Writes what is in front of the ops; returns where the first one goes. */
static inline uint8_t *kvi_lsm_log_payload_begin(uint8_t *p, uint64_t first_seq)
{
    kvi_put_u64(p, first_seq);
    return p + KVI_LSM_LOG_PAYLOAD_HEADER;
}

/** The bytes that kvi_lsm_op_encode writes. value_len as stored: with the expiry. */
static inline size_t kvi_lsm_op_len(size_t key_len, size_t value_len)
{
    return 1 + kvi_varint_len(key_len) + kvi_varint_len(value_len) + key_len + value_len;
}

/** Writes an op at p; returns its end. expires_ms counts for KVI_KIND_PUT_EXPIRING alone, value is
 *  empty for KVI_KIND_DELETE. */
uint8_t *kvi_lsm_op_encode(uint8_t *p, enum kvi_kind kind, kvi_slice key, int64_t expires_ms,
                           kvi_slice value);

typedef struct kvi_lsm_op_reader {
    const uint8_t *p, *end;
    uint64_t seq; /* of the next op */
    uint32_t left;
} kvi_lsm_op_reader;

/** Begins to read a payload, which outlives the reader. KV_ECORRUPT where it cannot be one of count
 *  ops; count is at least 1. */
int kvi_lsm_op_reader_init(kvi_lsm_op_reader *r, kvi_slice payload, uint32_t count) KVI_NODISCARD;

/** The next op: its tag, key and value (which has the expiry in front where the kind says so),
 *  borrowed from the payload. KV_ENOTFOUND behind the last; KV_ECORRUPT for malformed bytes, also
 *  for bytes left over. */
int kvi_lsm_op_reader_next(kvi_lsm_op_reader *r, uint64_t *tag, kvi_slice *key, kvi_slice *value)
    KVI_NODISCARD;

#endif
