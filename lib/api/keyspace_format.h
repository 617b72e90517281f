/*
 * How keyspaces share one ordered store: the bytes before a user's key, and the store's own
 * records.
 *
 * 1. A physical key is the keyspace's prefix and the user's key. No prefix begins another, and
 *    prefixes are ordered as the numbers are, so each keyspace is one contiguous range. None
 *    begins with 0xff, so each range has an upper bound.
 * 2. Prefix of keyspace id: 0 to 239: that byte. Above: 0xf0 + (n - 1) and the n bytes of id,
 *    big-endian, the first not zero.
 * 3. Keyspace 0 holds the store's own records, 1 is the default one, the named ones follow in the
 *    order of their creation. A number is never used again.
 * 4. A keyspace's record: key 'n' and the name (none for the default one); value, little-endian:
 *    u8 version, u32 id, u64 default time to live in ms (0: none).
 * 5. The counter: key 'c'; value: u8 version, u32 the next id. Missing: 2.
 */
#ifndef KVI_API_KEYSPACE_FORMAT_H
#define KVI_API_KEYSPACE_FORMAT_H

#include <stddef.h>
#include <stdint.h>

#define KVI_KEYSPACE_OWN     0u
#define KVI_KEYSPACE_DEFAULT 1u
#define KVI_KEYSPACE_NAMED   2u

#define KVI_KEYSPACE_BYTE_MAX   239u  /* the last id that is its own prefix */
#define KVI_KEYSPACE_LONG       0xf0u /* the prefixes of n bytes begin with this + (n - 1) */
#define KVI_KEYSPACE_PREFIX_MAX 5u

#define KVI_KEYSPACE_RECORD_KEY  'n'
#define KVI_KEYSPACE_COUNTER_KEY 'c'

#define KVI_KEYSPACE_VERSION     1u
#define KVI_KEYSPACE_VERSION_AT  0u
#define KVI_KEYSPACE_ID_AT       1u
#define KVI_KEYSPACE_TTL_AT      5u
#define KVI_KEYSPACE_RECORD_LEN  13u
#define KVI_KEYSPACE_COUNTER_LEN 5u

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
