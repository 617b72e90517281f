/*
 * A slice is borrowed bytes: a pointer and a length, owned by someone else. Passed by value. data
 * may be NULL where len is 0. The type is the public one, so that nothing is converted at the
 * border.
 */
#ifndef KVI_BASE_SLICE_H
#define KVI_BASE_SLICE_H

#include <string.h>

#include "base/base.h"

typedef kv_slice kvi_slice;

static inline kvi_slice kvi_slice_of(const void *data, size_t len)
{
    kvi_slice s = {data, len};
    return s;
}

static inline const uint8_t *kvi_slice_bytes(kvi_slice s)
{
    return s.data;
}

/** Byte order, shorter first where one is the other's prefix: <0, 0, >0. */
static inline int kvi_slice_cmp(kvi_slice a, kvi_slice b)
{
    size_t n = a.len < b.len ? a.len : b.len;
    int c = n ? memcmp(a.data, b.data, n) : 0;

    if (c)
        return c;
    return (a.len > b.len) - (a.len < b.len);
}

static inline bool kvi_slice_eq(kvi_slice a, kvi_slice b)
{
    return a.len == b.len && (a.len == 0 || memcmp(a.data, b.data, a.len) == 0);
}

static inline bool kvi_slice_has_prefix(kvi_slice s, kvi_slice prefix)
{
    return s.len >= prefix.len && (prefix.len == 0 || memcmp(s.data, prefix.data, prefix.len) == 0);
}

#endif
