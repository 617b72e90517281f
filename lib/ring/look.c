/*
 * Where a key lies, and the index that answers it; see the headers for the contract.
 *
 * The index holds, by partition, the first `near` owners met clockwise from it, and where there are
 * several zones the first `zoned` owners met of different zones. Both are found going backwards:
 * the list of a partition is its owner, then what the next partition's list has of others.
 */
#include <string.h>

#include "base/check.h"
#include "base/error.h"
#include "base/hash.h"
#include "ring/ring_impl.h"

/* --- keys ------------------------------------------------------------------------------------ */

kvi_slice kvi_ring_part(kvi_slice key)
{
    const uint8_t *bytes = kvi_slice_bytes(key);
    const uint8_t *open = key.len > 0 ? memchr(bytes, '{', key.len) : NULL;
    const uint8_t *close;

    if (!open)
        return key;
    open++;
    close = memchr(open, '}', key.len - (size_t)(open - bytes));
    return close && close > open ? kvi_slice_of(open, (size_t)(close - open)) : key;
}

uint64_t kvi_ring_token(const kvi_ring *ring, kvi_slice key)
{
    kvi_slice part = kvi_ring_part(key);

    return kvi_hash64(part.data, part.len, ring->head.token_seed);
}

uint32_t kvi_ring_partition(const kvi_ring *ring, uint64_t token)
{
    unsigned bits = ring->head.bits;

    return bits > 0 ? (uint32_t)(token >> (64 - bits)) : 0;
}

/* --- the index ------------------------------------------------------------------------------- */

/* Whether two members count as one for a list: the same, or of the same zone. */
static bool alike(const kvi_ring *ring, uint16_t a, uint16_t b, bool by_zone)
{
    return a == b || (by_zone && ring->zone_of[a] == ring->zone_of[b]);
}

/* list = first, then what of next is not like it; both of size. */
static void prepend(const kvi_ring *ring, bool by_zone, uint16_t first, const uint16_t *next,
                    uint16_t *list, unsigned size)
{
    unsigned n = 0;

    list[n++] = first;
    for (unsigned i = 0; i < size && n < size; i++)
        if (!alike(ring, next[i], first, by_zone))
            list[n++] = next[i];
}

/* The first size members met clockwise from partition 0 that are not like each other. */
static void first_list(const kvi_ring *ring, bool by_zone, uint16_t *list, unsigned size)
{
    unsigned count = 0;

    for (uint32_t p = 0; p < ring->partitions && count < size; p++) {
        unsigned i = 0;

        while (i < count && !alike(ring, list[i], ring->owners[p], by_zone))
            i++;
        if (i == count)
            list[count++] = ring->owners[p];
    }
    KVI_ASSERT(count == size);
}

static void fill_lists(const kvi_ring *ring, bool by_zone, uint16_t *lists, unsigned size)
{
    first_list(ring, by_zone, lists, size);
    for (uint32_t p = ring->partitions; p-- > 1;) {
        uint32_t next = (p + 1) & (ring->partitions - 1);

        prepend(ring, by_zone, ring->owners[p], lists + (size_t)next * size,
                lists + (size_t)p * size, size);
    }
}

static int new_lists(const kvi_ring *ring, unsigned size, uint16_t **out)
{
    uint16_t *lists = kvi_mem_zalloc(ring->mem, (size_t)ring->partitions * size, sizeof *lists);

    if (!lists)
        return kvi_error_set(KV_ENOMEM, "no memory for the index of a ring");
    *out = lists;
    return KV_OK;
}

int kvi_ring_index(kvi_ring *ring)
{
    int err;

    KVI_ASSERT(ring->weighted > 0 && ring->near_list == NULL);
    ring->near = (unsigned)kvi_min_size(ring->weighted, KVI_RING_LIST_MAX);
    err = new_lists(ring, ring->near, &ring->near_list);
    if (err)
        return err;
    fill_lists(ring, false, ring->near_list, ring->near);
    if (ring->zone_count < 2)
        return KV_OK;
    ring->zoned = (unsigned)kvi_min_size(ring->zone_count, KVI_RING_N_MAX);
    err = new_lists(ring, ring->zoned, &ring->zoned_list);
    if (!err)
        fill_lists(ring, true, ring->zoned_list, ring->zoned);
    return err;
}

/* --- the walk -------------------------------------------------------------------------------- */

unsigned kvi_ring_effective_n(const kvi_ring *ring, unsigned n)
{
    return n < ring->weighted ? n : ring->weighted;
}

/* Members that were found, each once. */
typedef struct found {
    uint16_t member[KVI_RING_LIST_MAX];
    unsigned count;
} found;

/* Adds those of the list that are new, while there are less than max. */
static void add(found *f, const uint16_t *list, unsigned count, unsigned max)
{
    for (unsigned i = 0; i < count && f->count < max; i++) {
        unsigned seen = 0;

        while (seen < f->count && f->member[seen] != list[i])
            seen++;
        if (seen == f->count)
            f->member[f->count++] = list[i];
    }
}

unsigned kvi_ring_walk(const kvi_ring *ring, uint32_t partition, unsigned n, uint64_t *out_nodes,
                       unsigned max)
{
    found f = {{0}, 0};

    KVI_ASSERT(partition < ring->partitions && n >= 1 && n <= KVI_RING_N_MAX);
    max = (unsigned)kvi_min_size(max, KVI_RING_LIST_MAX);
    if (ring->zoned > 0)
        add(&f, ring->zoned_list + (size_t)partition * ring->zoned, ring->zoned, n < max ? n : max);
    add(&f, ring->near_list + (size_t)partition * ring->near, ring->near, max);
    for (unsigned i = 0; i < f.count; i++)
        out_nodes[i] = ring->members[f.member[i]].node_id;
    return f.count;
}

bool kvi_ring_is_primary(const kvi_ring *ring, uint32_t partition, unsigned n, uint64_t node)
{
    uint64_t primaries[KVI_RING_N_MAX];
    unsigned count = kvi_ring_walk(ring, partition, n, primaries, n);

    for (unsigned i = 0; i < count; i++)
        if (primaries[i] == node)
            return true;
    return false;
}
