/*
 * How keyspaces share one ordered engine: the bytes before a key. Whatever is kept, be it users'
 * data or the store's own records, is in one of them, so that one write is atomic across all.
 *
 * 1. A physical key is the keyspace's prefix and a key of that keyspace. No prefix begins another,
 *    and prefixes are ordered as the numbers are, so each keyspace is one contiguous range. None
 *    begins with 0xff, so each range has an upper bound.
 * 2. Prefix of keyspace id: 0 to 239: that byte. Above: 0xf0 + (n - 1) and the n bytes of id,
 *    big-endian, the first not zero.
 * 3. Keyspace 0 holds the store's own records, 1 is the default one. In an ordered store the named
 *    ones follow from 2. In a placed store 2 holds hints, 3 to 15 are kept for what replication
 *    will need, and the named ones follow from 16. A number is never used again.
 */
#ifndef KVI_LSM_KEYSPACE_H
#define KVI_LSM_KEYSPACE_H

#include <stddef.h>
#include <stdint.h>

#define KVI_KEYSPACE_OWN          0u
#define KVI_KEYSPACE_DEFAULT      1u
#define KVI_KEYSPACE_NAMED        2u /* the first, in an ordered store */
#define KVI_KEYSPACE_HINTS        2u /* in a placed store */
#define KVI_KEYSPACE_PLACED_NAMED 16u

#define KVI_KEYSPACE_BYTE_MAX   239u  /* the last id that is its own prefix */
#define KVI_KEYSPACE_LONG       0xf0u /* the prefixes of n bytes begin with this + (n - 1) */
#define KVI_KEYSPACE_PREFIX_MAX 5u

/** Writes the prefix of id to p, which has KVI_KEYSPACE_PREFIX_MAX bytes; returns its length. */
static inline size_t kvi_keyspace_put_prefix(uint8_t *p, uint32_t id)
{
    size_t n = 1;

    if (id <= KVI_KEYSPACE_BYTE_MAX) {
        p[0] = (uint8_t)id;
        return 1;
    }
    while (n < sizeof id && id >> (8 * n) != 0)
        n++;
    p[0] = (uint8_t)(KVI_KEYSPACE_LONG + (n - 1));
    for (size_t i = 0; i < n; i++)
        p[1 + i] = (uint8_t)(id >> (8 * (n - 1 - i)));
    return 1 + n;
}

#endif
