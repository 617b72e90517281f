/*
 * The inside of a memtable, shared by the files memtable*.c and by nobody else: memtable.c (life,
 * room, adding and getting), memtable_list.c (the order: a skip list), memtable_index.c (the way to
 * a key without a search), memtable_cursor.c.
 *
 * An entry lies in the block as: links (one a level, the lowest last), header, key, tag u64, value
 * length u32, value. Its offset is that of the header. So what a search looks at (a link, the first
 * bytes of the key) mostly lies on one cache line. The height is stored nowhere: who came along a
 * link of a level knows that the entry has that level.
 *
 * 1. Offset 0 is no entry: the first one has links before it.
 * 2. Keys are aligned to KVI_LSM_NODE_ALIGN, and at least that many bytes follow each header: the
 *    first bytes of a key can be loaded as a number.
 * 3. A link changes to an entry that lies before the one it led to, never back.
 * 4. The index knows each key by the first entry that was added of it; that one knows the newest.
 */
#ifndef KVI_LSM_MEMTABLE_NODE_H
#define KVI_LSM_MEMTABLE_NODE_H

#include "base/bytes.h"
#include "lsm/memtable.h"

#define KVI_LSM_NODE_ALIGN 8u

/** One entry in two is on the next level too. Measured against one in four: as fast on 60,000
 *  entries, a quarter faster on a million, since what a search looks at next on the level below can
 *  be asked for early. */
#define KVI_LSM_HEIGHT_MAX 20u

typedef _Atomic uint32_t kvi_lsm_link; /* offset of an entry; 0: none */

typedef struct kvi_lsm_node {
    /* The index's, in the first entry of a key that was added: */
    kvi_lsm_link newest; /* the entry of that key with the highest tag */
    kvi_lsm_link chain;  /* the next key of the bucket */
    uint32_t key_len;
    uint8_t bytes[]; /* key, tag, value length, value */
} kvi_lsm_node;

#define KVI_LSM_NODE_TAIL (sizeof(uint64_t) + sizeof(uint32_t)) /* tag and value length */

typedef _Atomic uint64_t kvi_lsm_bucket; /* see memtable_index.c */

struct kvi_lsm_memtable {
    _Atomic uint32_t refs;
    const kvi_mem *mem;
    kvi_budget *budget;
    size_t capacity;
    size_t charged;
    uint8_t *block;
    kvi_lsm_bucket *index;
    uint64_t index_mask;
    kvi_lsm_link head[KVI_LSM_HEIGHT_MAX]; /* where each level begins, laid out as an entry's */
    /* What writers change, apart from what readers only read. Both figures in one word, so that an
       insertion takes its place and gives back what it does not need in one step: claimed << 32 |
       used. */
    _Alignas(KVI_CACHE_LINE) _Atomic uint64_t room;
    _Atomic uint64_t count;
};

/** Asks for the cache line at p, which is likely to be read soon. Any address will do. */
#define KVI_LSM_PREFETCH(p) __builtin_prefetch(p)

/* --- entries ------------------------------------------------------------------------------ */

static inline kvi_lsm_node *kvi_lsm_node_at(const kvi_lsm_memtable *m, uint32_t at)
{
    return (kvi_lsm_node *)(void *)(m->block + at);
}

static inline kvi_slice kvi_lsm_node_key(const kvi_lsm_node *n)
{
    return kvi_slice_of(n->bytes, n->key_len);
}

static inline uint64_t kvi_lsm_node_tag(const kvi_lsm_node *n)
{
    return kvi_get_u64(n->bytes + n->key_len);
}

static inline kvi_slice kvi_lsm_node_value(const kvi_lsm_node *n)
{
    const uint8_t *tail = n->bytes + n->key_len;

    return kvi_slice_of(tail + KVI_LSM_NODE_TAIL, kvi_get_u32(tail + sizeof(uint64_t)));
}

/* --- the list: memtable_list.c ------------------------------------------------------------ */

/** The link of an entry (0: the head) on a level. */
static inline kvi_lsm_link *kvi_lsm_link_of(kvi_lsm_memtable *m, uint32_t at, unsigned level)
{
    kvi_lsm_link *end = at ? (kvi_lsm_link *)(void *)(m->block + at) : m->head + KVI_LSM_HEIGHT_MAX;

    return end - 1 - level;
}

/** The entry behind one (0: the first) on a level; the lowest one has all. */
static inline uint32_t kvi_lsm_link_next(const kvi_lsm_memtable *m, uint32_t at, unsigned level)
{
    const kvi_lsm_link *end =
        at ? (const kvi_lsm_link *)(const void *)(m->block + at) : m->head + KVI_LSM_HEIGHT_MAX;

    return atomic_load_explicit(end - 1 - level, memory_order_acquire);
}

/** The height of an entry: the same wherever it is inserted. */
unsigned kvi_lsm_list_height(uint64_t tag);

/** What links take, so that the key behind links and header is aligned. */
static inline size_t kvi_lsm_links_len(unsigned height)
{
    size_t bytes = height * sizeof(kvi_lsm_link) + sizeof(kvi_lsm_node);

    return (size_t)kvi_align_up(bytes, KVI_LSM_NODE_ALIGN) - sizeof(kvi_lsm_node);
}

/** Links in an entry that is written and has room for its links. */
void kvi_lsm_list_add(kvi_lsm_memtable *m, uint32_t at, unsigned height, kvi_slice key,
                      uint64_t tag);

/** The first entry at or after (key, tag): its offset, or 0. */
uint32_t kvi_lsm_list_ceiling(const kvi_lsm_memtable *m, kvi_slice key, uint64_t tag);

/** The last entry before (key, tag). */
uint32_t kvi_lsm_list_below(const kvi_lsm_memtable *m, kvi_slice key, uint64_t tag);

uint32_t kvi_lsm_list_last(const kvi_lsm_memtable *m);

/* --- the index: memtable_index.c ---------------------------------------------------------- */

/** How many buckets suit a block of capacity bytes: a power of two. */
size_t kvi_lsm_index_buckets(size_t capacity);

/** Asks for the memory that add or get will look at first. */
void kvi_lsm_index_prefetch(const kvi_lsm_memtable *m, uint64_t hash);

/** Makes an entry known that is in the list already. */
void kvi_lsm_index_add(kvi_lsm_memtable *m, uint32_t at, kvi_slice key, uint64_t hash,
                       uint64_t tag);

/** The newest entry of key with tag <= max_tag: its offset, or 0. */
uint32_t kvi_lsm_index_get(const kvi_lsm_memtable *m, kvi_slice key, uint64_t hash,
                           uint64_t max_tag);

#endif
