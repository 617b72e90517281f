/*
 * What a stored entry says to a reader. Pure.
 */
#ifndef KVI_LSM_ENTRY_H
#define KVI_LSM_ENTRY_H

#include <inttypes.h>

#include "base/bytes.h"
#include "base/error.h"
#include "sstable/tag.h"

typedef struct kvi_lsm_content {
    kvi_slice value;    /* in the stored one */
    int64_t expires_ms; /* 0: never */
} kvi_lsm_content;

/** KV_OK; KV_ENOTFOUND (without a detail) for a delete and for what has expired by now_ms, which
 *  counts for KVI_KIND_PUT_EXPIRING alone; KV_ECORRUPT for what no writer wrote. */
static inline int kvi_lsm_entry_open(uint64_t tag, kvi_slice stored, int64_t now_ms,
                                     kvi_lsm_content *out)
{
    kvi_lsm_content c = {stored, 0};

    switch (kvi_tag_kind(tag)) {
    case KVI_KIND_PUT:
        break;
    case KVI_KIND_DELETE:
        return KV_ENOTFOUND;
    case KVI_KIND_PUT_EXPIRING:
        if (stored.len < KVI_EXPIRES_LEN)
            return kvi_error_set(KV_ECORRUPT, "the value of sequence %" PRIu64 " lacks its expiry",
                                 kvi_tag_seq(tag));
        c.expires_ms = (int64_t)kvi_get_u64(stored.data);
        if (c.expires_ms <= now_ms)
            return KV_ENOTFOUND;
        c.value =
            kvi_slice_of(kvi_slice_bytes(stored) + KVI_EXPIRES_LEN, stored.len - KVI_EXPIRES_LEN);
        break;
    default:
        return kvi_error_set(KV_ECORRUPT, "the entry of sequence %" PRIu64 " is of unknown kind %u",
                             kvi_tag_seq(tag), kvi_tag_kind(tag));
    }
    *out = c;
    return KV_OK;
}

#endif
