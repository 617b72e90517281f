/*
 * The border to xxHash.
 */
#include "base/hash.h"

#include <xxhash.h>

uint64_t kvi_hash64(const void *data, size_t len, uint64_t seed)
{
    return XXH3_64bits_withSeed(data, len, seed);
}
