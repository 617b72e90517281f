/*
 * The way to a key of a memtable without a search: a hash table of chains. Buckets are of a fixed
 * number; a bucket is one word, so that it changes in one step:
 *
 * offset of the chain's first entry (32 bits) | marks (28 bits) | length of the chain (4 bits)
 *
 * 1. A key is in at most one chain entry: the first that was added of it (or, where two were added
 *    at once, of either). That entry's `newest` leads to the one with the highest tag, and only
 *    goes up. Older ones follow that in the list.
 * 2. Each key of a chain sets one of the marks: a mark that is not set says, without a look at any
 *    entry, that the key is not there.
 * 3. A chain of CHAIN_MAX keys takes no more: its length becomes CHAIN_FULL, and who does not find
 *    a key there searches the list. So no set of keys makes it slower than the list, which is why
 *    the hash needs no secret seed.
 * 4. An entry is in the list before the index knows it.
 *
 * Why a get finds the newest visible one: an entry is published after its add is through, so
 * `newest` has its tag or a higher one. What is higher is later than the reader, who goes on along
 * the list.
 */
#include "lsm/memtable_node.h"

#include "base/check.h"

#define BLOCK_BYTES_PER_BUCKET 128
#define BUCKETS_MIN            16

#define CHAIN_MAX      14u
#define CHAIN_FULL     15u
#define CHAIN_LEN_BITS 4
#define MARKS          28u

/* How many versions of a key a get passes over before it searches the list. */
#define VERSIONS_PASSED_MAX 8

size_t kvi_lsm_index_buckets(size_t capacity)
{
    size_t buckets = BUCKETS_MIN;

    while (buckets <= capacity / BLOCK_BYTES_PER_BUCKET / 2)
        buckets *= 2;
    return buckets;
}

static kvi_lsm_bucket *bucket_of(const kvi_lsm_memtable *m, uint64_t hash)
{
    return &m->index[hash & m->index_mask];
}

void kvi_lsm_index_prefetch(const kvi_lsm_memtable *m, uint64_t hash)
{
    KVI_LSM_PREFETCH(bucket_of(m, hash));
}

static uint32_t chain_of(uint64_t word)
{
    return (uint32_t)(word >> 32);
}

static unsigned length_of(uint64_t word)
{
    return (unsigned)(word & CHAIN_FULL);
}

/* The key's mark, out of bits that do not choose the bucket. */
static uint64_t mark_of(uint64_t hash)
{
    return UINT64_C(1) << (CHAIN_LEN_BITS + (((hash >> 32) * MARKS) >> 32));
}

/* The chain's entry of key, or 0. */
static uint32_t find_in_chain(const kvi_lsm_memtable *m, uint64_t word, kvi_slice key,
                              uint64_t hash)
{
    uint32_t at = word & mark_of(hash) ? chain_of(word) : 0;

    while (at != 0) {
        const kvi_lsm_node *n = kvi_lsm_node_at(m, at);

        if (kvi_slice_eq(kvi_lsm_node_key(n), key))
            return at;
        at = atomic_load_explicit(&n->chain, memory_order_relaxed);
    }
    return 0;
}

/* --- adding ------------------------------------------------------------------------------- */

static void raise_newest(kvi_lsm_memtable *m, uint32_t first, uint32_t at, uint64_t tag)
{
    kvi_lsm_link *newest = &kvi_lsm_node_at(m, first)->newest;
    uint32_t seen = atomic_load_explicit(newest, memory_order_acquire);

    while (kvi_lsm_node_tag(kvi_lsm_node_at(m, seen)) < tag)
        if (atomic_compare_exchange_weak_explicit(newest, &seen, at, memory_order_acq_rel,
                                                  memory_order_acquire))
            break;
}

/* The bucket with one more key in front, or full. */
static uint64_t with_key(uint64_t word, uint32_t at, uint64_t hash)
{
    uint64_t low = (uint32_t)word;

    if (length_of(word) >= CHAIN_MAX)
        return word | CHAIN_FULL;
    return (uint64_t)at << 32 | ((low + 1) | mark_of(hash));
}

void kvi_lsm_index_add(kvi_lsm_memtable *m, uint32_t at, kvi_slice key, uint64_t hash, uint64_t tag)
{
    kvi_lsm_bucket *bucket = bucket_of(m, hash);
    uint64_t word = atomic_load_explicit(bucket, memory_order_acquire);

    for (;;) {
        uint32_t first = find_in_chain(m, word, key, hash);
        uint64_t after = with_key(word, at, hash);

        if (first != 0) {
            raise_newest(m, first, at, tag);
            return;
        }
        if (after == word)
            return;
        atomic_store_explicit(&kvi_lsm_node_at(m, at)->chain, chain_of(word), memory_order_relaxed);
        if (atomic_compare_exchange_weak_explicit(bucket, &word, after, memory_order_acq_rel,
                                                  memory_order_acquire))
            return;
    }
}

/* --- getting ------------------------------------------------------------------------------ */

static uint32_t search(const kvi_lsm_memtable *m, kvi_slice key, uint64_t max_tag)
{
    uint32_t at = kvi_lsm_list_ceiling(m, key, max_tag);

    return at && kvi_slice_eq(kvi_lsm_node_key(kvi_lsm_node_at(m, at)), key) ? at : 0;
}

uint32_t kvi_lsm_index_get(const kvi_lsm_memtable *m, kvi_slice key, uint64_t hash,
                           uint64_t max_tag)
{
    uint64_t word = atomic_load_explicit(bucket_of(m, hash), memory_order_acquire);
    uint32_t at = find_in_chain(m, word, key, hash);

    if (at == 0)
        return length_of(word) == CHAIN_FULL ? search(m, key, max_tag) : 0;
    at = atomic_load_explicit(&kvi_lsm_node_at(m, at)->newest, memory_order_acquire);
    for (unsigned passed = 0; kvi_lsm_node_tag(kvi_lsm_node_at(m, at)) > max_tag; passed++) {
        at = kvi_lsm_link_next(m, at, 0);
        if (at == 0 || passed == VERSIONS_PASSED_MAX ||
            !kvi_slice_eq(kvi_lsm_node_key(kvi_lsm_node_at(m, at)), key))
            return at ? search(m, key, max_tag) : 0;
    }
    return at;
}
