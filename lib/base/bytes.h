/*
 * Numbers as bytes, the same on every platform: fixed-width little-endian for formats, big-endian
 * where byte order must be number order, and LEB128 varints. Readers never read past `end` and
 * answer NULL for what is truncated or overlong.
 */
#ifndef KVI_BASE_BYTES_H
#define KVI_BASE_BYTES_H

#include <string.h>

#include "base/base.h"

#define KVI_VARINT32_MAX 5
#define KVI_VARINT64_MAX 10

#if defined(__BYTE_ORDER__) && __BYTE_ORDER__ == __ORDER_BIG_ENDIAN__
#define KVI_LE16(x) __builtin_bswap16(x)
#define KVI_LE32(x) __builtin_bswap32(x)
#define KVI_LE64(x) __builtin_bswap64(x)
#define KVI_BE64(x) (x)
#else
#define KVI_LE16(x) (x)
#define KVI_LE32(x) (x)
#define KVI_LE64(x) (x)
#define KVI_BE64(x) __builtin_bswap64(x)
#endif

static inline void kvi_put_u16(uint8_t *p, uint16_t v)
{
    v = KVI_LE16(v);
    memcpy(p, &v, sizeof v);
}

static inline void kvi_put_u32(uint8_t *p, uint32_t v)
{
    v = KVI_LE32(v);
    memcpy(p, &v, sizeof v);
}

static inline void kvi_put_u64(uint8_t *p, uint64_t v)
{
    v = KVI_LE64(v);
    memcpy(p, &v, sizeof v);
}

static inline uint16_t kvi_get_u16(const uint8_t *p)
{
    uint16_t v;

    memcpy(&v, p, sizeof v);
    return KVI_LE16(v);
}

static inline uint32_t kvi_get_u32(const uint8_t *p)
{
    uint32_t v;

    memcpy(&v, p, sizeof v);
    return KVI_LE32(v);
}

static inline uint64_t kvi_get_u64(const uint8_t *p)
{
    uint64_t v;

    memcpy(&v, p, sizeof v);
    return KVI_LE64(v);
}

/** Big-endian, so that memcmp orders as the numbers do. */
static inline void kvi_put_be64(uint8_t *p, uint64_t v)
{
    v = KVI_BE64(v);
    memcpy(p, &v, sizeof v);
}

static inline uint64_t kvi_get_be64(const uint8_t *p)
{
    uint64_t v;

    memcpy(&v, p, sizeof v);
    return KVI_BE64(v);
}

/** Writes v at p, which has KVI_VARINT64_MAX bytes of room; returns the end. */
uint8_t *kvi_put_varint(uint8_t *p, uint64_t v);

/** Reads a varint of [p, end); NULL where it is truncated or does not fit. Not canonical forms are
 *  accepted. */
const uint8_t *kvi_get_varint64(const uint8_t *p, const uint8_t *end, uint64_t *v);
const uint8_t *kvi_get_varint32(const uint8_t *p, const uint8_t *end, uint32_t *v);

/** How many bytes kvi_put_varint writes. */
size_t kvi_varint_len(uint64_t v);

#endif
