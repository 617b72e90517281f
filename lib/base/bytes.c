/*
 * LEB128: seven bits a byte, the lowest first, the top bit set on all but the last.
 */
#include "base/bytes.h"

uint8_t *kvi_put_varint(uint8_t *p, uint64_t v)
{
    while (v >= 0x80) {
        *p++ = (uint8_t)(v | 0x80);
        v >>= 7;
    }
    *p++ = (uint8_t)v;
    return p;
}

const uint8_t *kvi_get_varint64(const uint8_t *p, const uint8_t *end, uint64_t *v)
{
    uint64_t result = 0;

    for (unsigned shift = 0; shift < 64 && p < end; shift += 7) {
        uint64_t byte = *p++;

        if (shift == 63 && byte > 1)
            return NULL;
        result |= (byte & 0x7f) << shift;
        if (byte < 0x80) {
            *v = result;
            return p;
        }
    }
    return NULL;
}

const uint8_t *kvi_get_varint32(const uint8_t *p, const uint8_t *end, uint32_t *v)
{
    uint64_t wide;
    const uint8_t *limit = end - p > KVI_VARINT32_MAX ? p + KVI_VARINT32_MAX : end;

    p = kvi_get_varint64(p, limit, &wide);
    if (!p || wide > UINT32_MAX)
        return NULL;
    *v = (uint32_t)wide;
    return p;
}

size_t kvi_varint_len(uint64_t v)
{
    size_t len = 1;

    for (; v >= 0x80; v >>= 7)
        len++;
    return len;
}
