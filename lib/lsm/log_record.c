/*
 * The payload of log records; see the header for the contract.
 */
#include "lsm/log_record.h"

#include <inttypes.h>

#include "base/check.h"
#include "base/error.h"

/* The shortest op: kind, both lengths, a key of one byte. */
#define OP_LEN_MIN 4u

static uint8_t *put_bytes(uint8_t *p, kvi_slice s)
{
    if (s.len > 0)
        memcpy(p, s.data, s.len);
    return p + s.len;
}

uint8_t *kvi_lsm_op_encode(uint8_t *p, enum kvi_kind kind, kvi_slice key, int64_t expires_ms,
                           kvi_slice value)
{
    size_t expiry_len = kind == KVI_KIND_PUT_EXPIRING ? KVI_EXPIRES_LEN : 0;

    KVI_ASSERT(key.len > 0 && key.len <= KVI_LSM_KEY_MAX);
    KVI_ASSERT(kind != KVI_KIND_DELETE || value.len == 0);
    *p++ = (uint8_t)kind;
    p = kvi_put_varint(p, key.len);
    p = kvi_put_varint(p, (uint64_t)value.len + expiry_len);
    p = put_bytes(p, key);
    if (expiry_len > 0) {
        kvi_put_u64(p, (uint64_t)expires_ms);
        p += expiry_len;
    }
    return put_bytes(p, value);
}

static int corrupt(uint64_t seq, const char *why)
{
    return kvi_error_set(KV_ECORRUPT, "log record, op %" PRIu64 ": %s", seq, why);
}

int kvi_lsm_op_reader_init(kvi_lsm_op_reader *r, kvi_slice payload, uint32_t count)
{
    const uint8_t *p = kvi_slice_bytes(payload);
    uint64_t seq;

    if (payload.len < KVI_LSM_LOG_PAYLOAD_HEADER)
        return corrupt(0, "the payload is too short for a sequence");
    seq = kvi_get_u64(p);
    if (seq == 0 || seq > KVI_SEQ_MAX || count > KVI_SEQ_MAX - seq + 1)
        return corrupt(seq, "the sequence is out of range");
    if (count == 0 || count > (payload.len - KVI_LSM_LOG_PAYLOAD_HEADER) / OP_LEN_MIN)
        return corrupt(seq, "the payload does not have room for the ops it counts");
    r->p = p + KVI_LSM_LOG_PAYLOAD_HEADER;
    r->end = p + payload.len;
    r->seq = seq;
    r->left = count;
    return KV_OK;
}

int kvi_lsm_op_reader_next(kvi_lsm_op_reader *r, uint64_t *tag, kvi_slice *key, kvi_slice *value)
{
    const uint8_t *p = r->p, *end = r->end;
    uint32_t key_len, value_len;
    unsigned kind;

    KVI_ASSERT(p <= end);
    if (r->left == 0)
        return p == end ? KV_ENOTFOUND : corrupt(r->seq, "bytes are left behind the last op");
    if (p == end)
        return corrupt(r->seq, "the payload ends before it");
    kind = *p++;
    if (!kvi_kind_known(kind))
        return corrupt(r->seq, "its kind is unknown");
    p = kvi_get_varint32(p, end, &key_len);
    p = p ? kvi_get_varint32(p, end, &value_len) : NULL;
    if (!p)
        return corrupt(r->seq, "its lengths are malformed");
    if (key_len == 0 || key_len > KVI_LSM_KEY_MAX || key_len > (size_t)(end - p))
        return corrupt(r->seq, "its key's length is out of range");
    if (value_len > (size_t)(end - p) - key_len)
        return corrupt(r->seq, "its value passes the end of the payload");
    if ((kind == KVI_KIND_DELETE && value_len > 0) ||
        (kind == KVI_KIND_PUT_EXPIRING && value_len < KVI_EXPIRES_LEN))
        return corrupt(r->seq, "its value's length does not fit its kind");

    *tag = kvi_tag(r->seq, (enum kvi_kind)kind);
    *key = kvi_slice_of(p, key_len);
    *value = kvi_slice_of(p + key_len, value_len);
    r->p = p + key_len + value_len;
    r->seq++;
    r->left--;
    return KV_OK;
}
