/*
 * The memtable; see the header for the contract and memtable_node.h for how its entries lie.
 *
 * Why room never runs out: claimed counts, for each entry that was added, what it takes, and for
 * each that will be, the most it can take. An insertion moves its entry from the second sum to the
 * first in one step. So used <= claimed <= capacity always, and claimed is used when none is under
 * way.
 */
#include "base/check.h"
#include "base/error.h"
#include "lsm/memtable_node.h"

#define ROOM_CLAIMED_SHIFT 32

int kvi_lsm_memtable_new(const kvi_mem *mem, kvi_budget *budget, size_t capacity,
                         kvi_lsm_memtable **out)
{
    size_t buckets = kvi_lsm_index_buckets(capacity);
    size_t bytes = capacity + buckets * sizeof(kvi_lsm_bucket);
    kvi_lsm_memtable *m = NULL;
    int err;

    KVI_ASSERT(capacity > 0 && capacity <= KVI_LSM_MEMTABLE_MAX);
    err = kvi_budget_reserve(budget, KVI_BUDGET_MEMTABLE, bytes);
    if (err)
        return err;
    m = kvi_mem_zalloc_aligned(mem, sizeof *m);
    if (!m)
        goto no_memory;
    m->block = kvi_mem_alloc(mem, capacity);
    m->index = kvi_mem_zalloc(mem, buckets, sizeof(kvi_lsm_bucket));
    if (!m->block || !m->index)
        goto no_memory;
    KVI_ASSERT((uintptr_t)m->block % KVI_LSM_NODE_ALIGN == 0);
    m->index_mask = buckets - 1;
    m->mem = mem;
    m->budget = budget;
    m->capacity = capacity;
    m->charged = bytes;
    for (unsigned level = 0; level < KVI_LSM_HEIGHT_MAX; level++)
        atomic_init(&m->head[level], 0);
    atomic_init(&m->room, 0);
    atomic_init(&m->count, 0);
    atomic_init(&m->refs, 1);
    *out = m;
    return KV_OK;

no_memory:
    if (m) {
        kvi_mem_free(mem, m->index);
        kvi_mem_free(mem, m->block);
    }
    kvi_mem_free_aligned(mem, m);
    kvi_budget_release(budget, KVI_BUDGET_MEMTABLE, bytes);
    return kvi_error_set(KV_ENOMEM, "cannot allocate a memtable of %zu bytes", bytes);
}

void kvi_lsm_memtable_ref(kvi_lsm_memtable *m)
{
    uint32_t before = atomic_fetch_add_explicit(&m->refs, 1, memory_order_relaxed);

    KVI_ASSERT(before > 0);
}

void kvi_lsm_memtable_unref(kvi_lsm_memtable *m)
{
    uint32_t before;

    if (!m)
        return;
    before = atomic_fetch_sub_explicit(&m->refs, 1, memory_order_acq_rel);
    KVI_ASSERT(before > 0);
    if (before > 1)
        return;
    kvi_mem_free(m->mem, m->index);
    kvi_mem_free(m->mem, m->block);
    kvi_budget_release(m->budget, KVI_BUDGET_MEMTABLE, m->charged);
    kvi_mem_free_aligned(m->mem, m);
}

/* --- room --------------------------------------------------------------------------------- */

static size_t claimed_of(uint64_t room)
{
    return (size_t)(room >> ROOM_CLAIMED_SHIFT);
}

static size_t entry_len(unsigned height, size_t key_len, size_t value_len)
{
    size_t rest = sizeof(kvi_lsm_node) + key_len + KVI_LSM_NODE_TAIL + value_len;

    return (size_t)kvi_align_up(kvi_lsm_links_len(height) + rest, KVI_LSM_NODE_ALIGN);
}

size_t kvi_lsm_memtable_need(size_t key_len, size_t value_len)
{
    return entry_len(KVI_LSM_HEIGHT_MAX, key_len, value_len);
}

bool kvi_lsm_memtable_claim(kvi_lsm_memtable *m, size_t bytes)
{
    uint64_t room = atomic_load_explicit(&m->room, memory_order_relaxed);
    uint64_t after;

    do {
        if (bytes > m->capacity - claimed_of(room))
            return false;
        after = room + ((uint64_t)bytes << ROOM_CLAIMED_SHIFT);
    } while (!atomic_compare_exchange_weak_explicit(&m->room, &room, after, memory_order_relaxed,
                                                    memory_order_relaxed));
    return true;
}

size_t kvi_lsm_memtable_claimed(const kvi_lsm_memtable *m)
{
    return claimed_of(atomic_load_explicit(&m->room, memory_order_relaxed));
}

uint64_t kvi_lsm_memtable_count(const kvi_lsm_memtable *m)
{
    return atomic_load_explicit(&m->count, memory_order_relaxed);
}

/* Takes the room of an entry out of what was claimed; returns where it begins. */
static size_t take_room(kvi_lsm_memtable *m, unsigned height, size_t key_len, size_t value_len)
{
    uint64_t bytes = entry_len(height, key_len, value_len);
    uint64_t slack = kvi_lsm_memtable_need(key_len, value_len) - bytes;
    uint64_t change = bytes - (slack << ROOM_CLAIMED_SHIFT);
    uint64_t before = atomic_fetch_add_explicit(&m->room, change, memory_order_relaxed);
    uint64_t after = before + change;

    KVI_ASSERT((uint32_t)after <= claimed_of(after) && claimed_of(after) <= m->capacity);
    return (uint32_t)before;
}

/* --- entries ------------------------------------------------------------------------------ */

/* Writes all of an entry but its links. */
static void write_entry(kvi_lsm_memtable *m, uint32_t at, kvi_slice key, uint64_t tag,
                        kvi_slice expiry, kvi_slice value)
{
    kvi_lsm_node *n = kvi_lsm_node_at(m, at);
    uint8_t *p = n->bytes;

    atomic_init(&n->newest, at);
    atomic_init(&n->chain, 0);
    n->key_len = (uint32_t)key.len;
    memcpy(p, key.data, key.len);
    p += key.len;
    kvi_put_u64(p, tag);
    kvi_put_u32(p + sizeof(uint64_t), (uint32_t)(expiry.len + value.len));
    p += KVI_LSM_NODE_TAIL;
    memcpy(p, expiry.data, expiry.len);
    if (value.len > 0)
        memcpy(p + expiry.len, value.data, value.len);
}

void kvi_lsm_memtable_add(kvi_lsm_memtable *m, kvi_slice key, uint64_t tag, int64_t expires_ms,
                          kvi_slice value)
{
    bool expiring = kvi_tag_kind(tag) == KVI_KIND_PUT_EXPIRING;
    uint64_t hash = kvi_lsm_memtable_hash(key);
    unsigned height = kvi_lsm_list_height(tag);
    uint8_t bytes[KVI_EXPIRES_LEN];
    kvi_slice expiry = kvi_slice_of(bytes, expiring ? sizeof bytes : 0);
    size_t begin;
    uint32_t at;

    KVI_ASSERT(key.len > 0 && kvi_kind_known(kvi_tag_kind(tag)));
    kvi_lsm_index_prefetch(m, hash);
    begin = take_room(m, height, key.len, expiry.len + value.len);
    at = (uint32_t)(begin + kvi_lsm_links_len(height));
    kvi_put_u64(bytes, (uint64_t)expires_ms);
    write_entry(m, at, key, tag, expiry, value);
    kvi_lsm_list_add(m, at, height, key, tag);
    kvi_lsm_index_add(m, at, key, hash, tag);
    atomic_fetch_add_explicit(&m->count, 1, memory_order_relaxed);
}

bool kvi_lsm_memtable_get(const kvi_lsm_memtable *m, kvi_slice key, uint64_t hash, uint64_t max_tag,
                          uint64_t *tag, kvi_slice *value)
{
    uint32_t at = kvi_lsm_index_get(m, key, hash, max_tag);
    const kvi_lsm_node *n;

    if (at == 0)
        return false;
    n = kvi_lsm_node_at(m, at);
    *tag = kvi_lsm_node_tag(n);
    *value = kvi_lsm_node_value(n);
    return true;
}
