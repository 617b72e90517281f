/*
 * The memtable: entries in memory, in order, in one block of memory whose size is fixed at birth. A
 * skip list gives the order, a hash index the way to one key: a get looks at the index first, which
 * answers for most absent keys with one cache miss.
 *
 * 1. Entries are only added; nothing moves or is freed before the whole goes. So readers take no
 *    lock.
 * 2. Room is claimed before a write gets its sequence: an insertion cannot fail.
 * 3. An entry is complete before the link that makes it reachable is set. Who may see it is decided
 *    by its sequence, not by its presence.
 * 4. Counted by references: views and pinned values hold them.
 */
#ifndef KVI_LSM_MEMTABLE_H
#define KVI_LSM_MEMTABLE_H

#include <stdatomic.h>

#include "base/budget.h"
#include "base/hash.h"
#include "base/mem.h"
#include "sstable/cursor.h"

#define KVI_LSM_MEMTABLE_MAX UINT32_C(0xfffffff8) /* bytes of capacity */

typedef struct kvi_lsm_memtable kvi_lsm_memtable;

/** capacity bytes for entries, reserved of the budget (KVI_BUDGET_MEMTABLE) with those of the
 *  index (a sixteenth or less, but for tiny ones). One reference is the caller's. KV_ENOMEM. */
int kvi_lsm_memtable_new(const kvi_mem *mem, kvi_budget *budget, size_t capacity,
                         kvi_lsm_memtable **out) KVI_NODISCARD;
void kvi_lsm_memtable_ref(kvi_lsm_memtable *m);
void kvi_lsm_memtable_unref(kvi_lsm_memtable *m); /* NULL is allowed */

/** What an entry may take at most. value_len with the expiry. */
size_t kvi_lsm_memtable_need(size_t key_len, size_t value_len);

/** Claims bytes for entries that will be added; false where there is no room. Any thread. */
bool kvi_lsm_memtable_claim(kvi_lsm_memtable *m, size_t bytes);

/** Adds an entry within what was claimed. value is prefixed by expires_ms where the tag's kind says
 *  so. (key, tag) is not in it. Any thread. Copies. */
void kvi_lsm_memtable_add(kvi_lsm_memtable *m, kvi_slice key, uint64_t tag, int64_t expires_ms,
                          kvi_slice value);

/** Bytes claimed so far; entries so far. */
size_t kvi_lsm_memtable_claimed(const kvi_lsm_memtable *m);
uint64_t kvi_lsm_memtable_count(const kvi_lsm_memtable *m);

/** The hash that get wants, the same for all memtables. */
static inline uint64_t kvi_lsm_memtable_hash(kvi_slice key)
{
    return kvi_hash64(key.data, key.len, 0);
}

/** The newest entry of key with tag <= max_tag; the value lies in the memtable. hash:
 *  kvi_lsm_memtable_hash() of key. Any thread. */
bool kvi_lsm_memtable_get(const kvi_lsm_memtable *m, kvi_slice key, uint64_t hash, uint64_t max_tag,
                          uint64_t *tag, kvi_slice *value);

/** A cursor, which holds a reference. */
int kvi_lsm_memtable_cursor(kvi_lsm_memtable *m, const kvi_mem *mem, kvi_cursor **out)
    KVI_NODISCARD;

#endif
