/*
 * One entry of a raw payload, as its bytes say, and where the entries end: what the search in a
 * block and the walk over it share. Inline, since a scan spends its time here. Pure.
 *
 * Everything is checked against the payload's end: no input makes it read outside. What an entry
 * shares with the one before is for the caller to check, who knows that one.
 */
#ifndef KVI_SSTABLE_BLOCK_ENTRY_H
#define KVI_SSTABLE_BLOCK_ENTRY_H

#include "base/bytes.h"
#include "base/slice.h"
#include "sstable/table_format.h"

#define KVI_SST_ENTRY_MIN 11u /* three varints and the tag */

/** A raw payload taken apart: entries in [0, entries_len), the restarts behind them. Borrows it. */
typedef struct kvi_sst_layout {
    const uint8_t *base;
    uint32_t entries_len;
    uint32_t restart_count; /* at least 1 */
} kvi_sst_layout;

typedef struct kvi_sst_entry {
    const uint8_t *suffix; /* unshared bytes of the key, then value_len bytes of the value */
    uint64_t tag;
    uint32_t shared, unshared, value_len;
    uint32_t end; /* offset behind it: above the entry's own, at most entries_len */
} kvi_sst_entry;

/** false where the payload has no sensible restarts. */
static inline bool kvi_sst_layout_open(kvi_slice raw, kvi_sst_layout *out)
{
    const uint8_t *base = raw.data;
    size_t room;
    uint32_t count;

    if (raw.len < 2 * sizeof(uint32_t) || raw.len > KVI_SST_BLOCK_MAX)
        return false;
    room = raw.len - sizeof(uint32_t);
    count = kvi_get_u32(base + room);
    if (count == 0 || count > room / sizeof(uint32_t))
        return false;
    out->base = base;
    out->entries_len = (uint32_t)(room - count * sizeof(uint32_t));
    out->restart_count = count;
    return kvi_get_u32(base + out->entries_len) == 0;
}

/** Where restart i begins; unchecked. */
static inline uint32_t kvi_sst_layout_restart(const kvi_sst_layout *l, uint32_t i)
{
    return kvi_get_u32(l->base + l->entries_len + (size_t)i * sizeof(uint32_t));
}

/** The three lengths at p where one of them takes more than a byte; NULL where they are cut off. */
static inline const uint8_t *kvi_sst_entry_lengths(const uint8_t *p, const uint8_t *end,
                                                   kvi_sst_entry *e)
{
    p = kvi_get_varint32(p, end, &e->shared);
    if (p)
        p = kvi_get_varint32(p, end, &e->unshared);
    if (p)
        p = kvi_get_varint32(p, end, &e->value_len);
    return p && (size_t)(end - p) >= sizeof(uint64_t) ? p : NULL;
}

/** Reads the entry at offset at < entries_len; false where it does not fit. */
static inline bool kvi_sst_entry_decode(const kvi_sst_layout *l, uint32_t at, kvi_sst_entry *e)
{
    const uint8_t *p = l->base + at;
    const uint8_t *end = l->base + l->entries_len;

    if (l->entries_len - at < KVI_SST_ENTRY_MIN)
        return false;
    if (KVI_LIKELY((p[0] | p[1] | p[2]) < 0x80)) {
        e->shared = p[0];
        e->unshared = p[1];
        e->value_len = p[2];
        p += 3;
    } else {
        p = kvi_sst_entry_lengths(p, end, e);
        if (!p)
            return false;
    }
    e->tag = kvi_get_u64(p);
    p += sizeof(uint64_t);
    if ((uint64_t)e->unshared + e->value_len > (uint64_t)(end - p))
        return false;
    e->suffix = p;
    e->end = (uint32_t)(p - l->base) + e->unshared + e->value_len;
    return true;
}

static inline kvi_slice kvi_sst_entry_value(const kvi_sst_entry *e)
{
    return kvi_slice_of(e->suffix + e->unshared, e->value_len);
}

/** How many of the first n bytes are equal. */
static inline size_t kvi_sst_common_prefix(const uint8_t *a, const uint8_t *b, size_t n)
{
    size_t i = 0;

    for (uint64_t x, y; n - i >= sizeof x; i += sizeof x) {
        memcpy(&x, a + i, sizeof x);
        memcpy(&y, b + i, sizeof y);
        if (x != y)
            break;
    }
    while (i < n && a[i] == b[i])
        i++;
    return i;
}

#endif
