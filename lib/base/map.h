/*
 * A hash map from u64 to pointers that are not NULL. The entries lie side by side in an array; a
 * table of slots (open addressing, linear probing, no tombstones) says where the entry of a key is.
 * The owner guards it; the map owns none of what its values point to.
 *
 * 1. Entries are numbered 0 to count - 1. The numbers depend on the history of inserts and removes
 *    alone, never on an address, a hash or the machine: an insert appends, a remove moves the last
 *    entry into the gap. Walks go by number.
 * 2. During KVI_MAP_EACH the map does not change. During KVI_MAP_EACH_BACK the body may remove the
 *    entry that it stands at, and no other; what it inserts is not visited.
 * 3. A failed insert or reserve leaves the map as it was. The map never shrinks before deinit.
 * 4. Numbers that an outsider can choose are hashed with a secret seed before they become keys:
 *    the map's own hash is known to all.
 */
#ifndef KVI_BASE_MAP_H
#define KVI_BASE_MAP_H

#include "base/mem.h"

#define KVI_MAP_COUNT_MAX (UINT32_C(1) << 30)

typedef struct kvi_map_entry {
    uint64_t key;
    void *value;
} kvi_map_entry;

typedef struct kvi_map {
    const kvi_mem *mem;     /* borrowed, outlives the map */
    kvi_map_entry *entries; /* NULL before the first insert */
    uint32_t *slots;        /* an entry's number + 1; 0: free */
    uint32_t count;
    uint32_t slot_count; /* 0 or a power of two */
} kvi_map;

/** Allocates nothing. */
void kvi_map_init(kvi_map *m, const kvi_mem *mem);

/** The values are the caller's to free before. */
void kvi_map_deinit(kvi_map *m);

/** Room for extra more entries, so that as many inserts cannot fail: KV_OK or KV_ENOMEM. */
int kvi_map_reserve(kvi_map *m, uint32_t extra) KVI_NODISCARD;

/** KV_OK or KV_ENOMEM. The key is not there yet; value is not NULL. */
int kvi_map_insert(kvi_map *m, uint64_t key, void *value) KVI_NODISCARD;

/** The value, or NULL where the key is not there. */
void *kvi_map_find(const kvi_map *m, uint64_t key);

/** Takes the key out and returns what it stood for; NULL where it is not there. */
void *kvi_map_remove(kvi_map *m, uint64_t key);

static inline uint32_t kvi_map_count(const kvi_map *m)
{
    return m->count;
}

/** The entry with number i < count; good until the map changes. */
const kvi_map_entry *kvi_map_at(const kvi_map *m, uint32_t i);

/** Each entry's number, from the first. */
/* NOLINTNEXTLINE(bugprone-macro-parentheses): i is declared here. */
#define KVI_MAP_EACH(i, m) for (uint32_t i = 0; i < (m)->count; i++)

/** Each entry's number, from the last. */
/* NOLINTNEXTLINE(bugprone-macro-parentheses): i is declared here. */
#define KVI_MAP_EACH_BACK(i, m) for (uint32_t i = (m)->count; i-- > 0;)

#endif
