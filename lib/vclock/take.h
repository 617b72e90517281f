/*
 * Takes numbers from the front of borrowed bytes. False, and nothing taken, where they are
 * truncated or, of a varint, longer than they need to be: what is read here has one encoding only.
 *
 * Pure. Private to this folder.
 */
#ifndef KVI_VCLOCK_TAKE_H
#define KVI_VCLOCK_TAKE_H

#include "base/bytes.h"
#include "base/slice.h"

static inline void kvi_vclock_skip(kvi_slice *in, size_t len)
{
    *in = kvi_slice_of(kvi_slice_bytes(*in) + len, in->len - len);
}

static inline bool kvi_vclock_take_u8(kvi_slice *in, uint8_t *v)
{
    if (in->len < 1)
        return false;
    *v = *kvi_slice_bytes(*in);
    kvi_vclock_skip(in, 1);
    return true;
}

static inline bool kvi_vclock_take_u64(kvi_slice *in, uint64_t *v)
{
    if (in->len < 8)
        return false;
    *v = kvi_get_u64(in->data);
    kvi_vclock_skip(in, 8);
    return true;
}

static inline bool kvi_vclock_take_varint(kvi_slice *in, uint64_t *v)
{
    const uint8_t *p = in->data, *next;
    uint64_t value;

    if (in->len == 0)
        return false;
    next = kvi_get_varint64(p, p + in->len, &value);
    if (!next || (size_t)(next - p) != kvi_varint_len(value))
        return false;
    *v = value;
    kvi_vclock_skip(in, (size_t)(next - p));
    return true;
}

#endif
