/*
 * A hash map from u64 to pointers; see the header for the contract.
 *
 * 1. Every entry's number + 1 is in one slot: the first that was free from the key's home on. So
 *    between a key's home and its slot no slot is free.
 * 2. At most three quarters of the slots are taken: a probe ends.
 */
#include "base/map.h"

#include "base/check.h"
#include "base/error.h"
#include "base/hash.h"

#define MAP_SLOTS_MIN 16

/* How many entries so many slots serve. */
static uint32_t room(uint32_t slot_count)
{
    return slot_count / 4 * 3;
}

void kvi_map_init(kvi_map *m, const kvi_mem *mem)
{
    m->mem = mem;
    m->entries = NULL;
    m->slots = NULL;
    m->count = 0;
    m->slot_count = 0;
}

void kvi_map_deinit(kvi_map *m)
{
    kvi_mem_free(m->mem, m->entries);
    kvi_mem_free(m->mem, m->slots);
    kvi_map_init(m, m->mem);
}

static uint32_t home(const kvi_map *m, uint64_t key)
{
    return (uint32_t)kvi_mix64(key) & (m->slot_count - 1);
}

static uint32_t next_slot(const kvi_map *m, uint32_t slot)
{
    return (slot + 1) & (m->slot_count - 1);
}

/* The key's slot, or the free one where its probe ends. There are slots. */
static uint32_t probe(const kvi_map *m, uint64_t key)
{
    uint32_t slot = home(m, key);

    while (m->slots[slot] != 0 && m->entries[m->slots[slot] - 1].key != key)
        slot = next_slot(m, slot);
    return slot;
}

/* Gives the map so many slots, in a table that is all free, and enters what is there. */
static void rehash(kvi_map *m, uint32_t *slots, uint32_t slot_count)
{
    kvi_mem_free(m->mem, m->slots);
    m->slots = slots;
    m->slot_count = slot_count;
    for (uint32_t i = 0; i < m->count; i++)
        m->slots[probe(m, m->entries[i].key)] = i + 1;
}

/* The entries' array grows first: should there be no slots then, it is merely larger than it need
 * be. */
static int grow(kvi_map *m, uint32_t slot_count)
{
    size_t bytes = (size_t)room(slot_count) * sizeof(kvi_map_entry);
    kvi_map_entry *entries = NULL;
    uint32_t *slots;

    if (bytes / sizeof(kvi_map_entry) == room(slot_count))
        entries = kvi_mem_resize(m->mem, m->entries, bytes);
    if (!entries)
        return kvi_error_set(KV_ENOMEM, "cannot allocate a map of %u entries",
                             (unsigned)room(slot_count));
    m->entries = entries;
    slots = kvi_mem_zalloc(m->mem, slot_count, sizeof *slots);
    if (!slots)
        return kvi_error_set(KV_ENOMEM, "cannot allocate a map of %u slots", (unsigned)slot_count);
    rehash(m, slots, slot_count);
    return KV_OK;
}

int kvi_map_reserve(kvi_map *m, uint32_t extra)
{
    uint32_t slot_count = m->slot_count > 0 ? m->slot_count : MAP_SLOTS_MIN;

    if (extra > KVI_MAP_COUNT_MAX - m->count)
        return kvi_error_set(KV_ENOMEM, "a map of %u entries cannot grow by %u", (unsigned)m->count,
                             (unsigned)extra);
    while (room(slot_count) < m->count + extra)
        slot_count *= 2;
    return extra == 0 || slot_count == m->slot_count ? KV_OK : grow(m, slot_count);
}

int kvi_map_insert(kvi_map *m, uint64_t key, void *value)
{
    int err = kvi_map_reserve(m, 1);
    uint32_t slot;

    KVI_ASSERT(value);
    if (err)
        return err;
    slot = probe(m, key);
    KVI_ASSERT(m->slots[slot] == 0);
    m->entries[m->count].key = key;
    m->entries[m->count].value = value;
    m->slots[slot] = ++m->count;
    return KV_OK;
}

void *kvi_map_find(const kvi_map *m, uint64_t key)
{
    uint32_t slot;

    if (m->count == 0)
        return NULL;
    slot = probe(m, key);
    return m->slots[slot] != 0 ? m->entries[m->slots[slot] - 1].value : NULL;
}

/* Whether a key whose home is `from` may lie at `gap`, coming from the slot `at` behind it: unless
 * its home is in (gap, at], on the ring of slots. */
static bool may_move(uint32_t from, uint32_t gap, uint32_t at)
{
    return gap <= at ? from <= gap || from > at : from <= gap && from > at;
}

/* Frees a slot and moves up those behind it whose probes would now end too early. */
static void free_slot(kvi_map *m, uint32_t gap)
{
    uint32_t at = next_slot(m, gap);

    for (; m->slots[at] != 0; at = next_slot(m, at)) {
        uint64_t key = m->entries[m->slots[at] - 1].key;

        if (may_move(home(m, key), gap, at)) {
            m->slots[gap] = m->slots[at];
            gap = at;
        }
    }
    m->slots[gap] = 0;
}

void *kvi_map_remove(kvi_map *m, uint64_t key)
{
    uint32_t slot, entry, last;
    void *value;

    if (m->count == 0)
        return NULL;
    slot = probe(m, key);
    if (m->slots[slot] == 0)
        return NULL;
    entry = m->slots[slot] - 1;
    value = m->entries[entry].value;
    last = m->count - 1;
    free_slot(m, slot);
    if (entry != last) {
        m->slots[probe(m, m->entries[last].key)] = entry + 1;
        m->entries[entry] = m->entries[last];
    }
    m->count = last;
    return value;
}

const kvi_map_entry *kvi_map_at(const kvi_map *m, uint32_t i)
{
    KVI_ASSERT(i < m->count);
    return &m->entries[i];
}
