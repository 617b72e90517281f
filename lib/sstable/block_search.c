/*
 * Search within a block; see the header for the contract.
 *
 * First by halves over the restarts, whose keys are whole, then entry by entry without putting
 * keys together. For the second, `matched` is how many first bytes the entry before has in common
 * with the sought key, and the invariant is that this entry lies before the sought one. The next
 * entry shares `shared` bytes with it:
 *
 *   shared > matched: they differ from the sought key at byte `matched` in the same way, so the
 *       next entry lies before it as well, with the same `matched`. (There is such a byte: an entry
 *       that ran on past the whole sought key would lie behind it.)
 *   shared <= matched: its first `shared` bytes are those of the sought key; only its suffix needs
 *       to be compared.
 */
#include "sstable/block_search.h"

#include "base/check.h"

/* The order of an entry whose first `shared` bytes are the sought key's: <0 before it, 0 at it,
 * >0 behind it. *matched: bytes in common. */
static int compare_suffix(const kvi_sst_entry *e, kvi_slice key, uint64_t tag, size_t *matched)
{
    const uint8_t *target = kvi_slice_bytes(key) + e->shared;
    size_t left = key.len - e->shared;
    size_t n = kvi_min_size(left, e->unshared);
    size_t common = kvi_sst_common_prefix(e->suffix, target, n);

    *matched = e->shared + common;
    if (common < n)
        return e->suffix[common] < target[common] ? -1 : 1;
    if (e->unshared != left)
        return e->unshared < left ? -1 : 1;
    return (e->tag < tag) - (e->tag > tag);
}

/* Reads the entry at restart i; false where there is none that is whole. */
static bool decode_restart(const kvi_sst_layout *l, uint32_t i, uint32_t *at, kvi_sst_entry *e)
{
    *at = kvi_sst_layout_restart(l, i);
    return *at < l->entries_len && kvi_sst_entry_decode(l, *at, e) && e->shared == 0;
}

/* The last restart that lies before (key, tag), or the first: no entry before it can be the
 * answer. */
static int find_restart(const kvi_sst_layout *l, kvi_slice key, uint64_t tag, uint32_t *at)
{
    uint32_t low = 0, high = l->restart_count; /* low: before it, or 0; high: not, or the count */

    *at = 0;
    while (high - low > 1) {
        uint32_t middle = low + (high - low) / 2;
        uint32_t middle_at;
        size_t matched;
        kvi_sst_entry e;

        if (!decode_restart(l, middle, &middle_at, &e))
            return KV_ECORRUPT;
        if (compare_suffix(&e, key, tag, &matched) < 0) {
            low = middle;
            *at = middle_at;
        } else {
            high = middle;
        }
    }
    return KV_OK;
}

int kvi_sst_layout_search(const kvi_sst_layout *l, kvi_slice key, uint64_t tag,
                          kvi_sst_position *out)
{
    kvi_sst_entry e;
    uint64_t before_len = 0; /* of the key of the entry before */
    size_t matched = 0;
    uint32_t at = 0;
    int err;

    if (key.len == 0)
        key.data = l->base; /* a NULL would not bear arithmetic */
    err = l->entries_len > 0 ? find_restart(l, key, tag, &at) : KV_OK;
    if (err)
        return err;
    for (; at < l->entries_len; at = e.end) {
        if (!kvi_sst_entry_decode(l, at, &e) || e.shared > before_len)
            return KV_ECORRUPT;
        before_len = (uint64_t)e.shared + e.unshared;
        if (e.shared <= matched) {
            int order = compare_suffix(&e, key, tag, &matched);

            if (order >= 0) {
                KVI_ASSERT(e.shared <= key.len);
                *out = (kvi_sst_position){
                    .found = true,
                    .same_key = matched == key.len && before_len == key.len,
                    .at = at,
                    .entry = e,
                };
                return KV_OK;
            }
        }
    }
    *out = (kvi_sst_position){.found = false};
    return KV_OK;
}

int kvi_sst_block_ceiling(kvi_slice raw, kvi_slice key, uint64_t tag, bool *found, kvi_slice *value)
{
    kvi_sst_layout l;
    kvi_sst_position p;
    int err;

    if (!kvi_sst_layout_open(raw, &l))
        return KV_ECORRUPT;
    err = kvi_sst_layout_search(&l, key, tag, &p);
    if (err)
        return err;
    *found = p.found;
    if (p.found)
        *value = kvi_sst_entry_value(&p.entry);
    return KV_OK;
}

int kvi_sst_block_get(kvi_slice raw, kvi_slice key, uint64_t max_tag, bool *found, uint64_t *tag,
                      kvi_slice *value)
{
    kvi_sst_layout l;
    kvi_sst_position p;
    int err;

    if (!kvi_sst_layout_open(raw, &l))
        return KV_ECORRUPT;
    err = kvi_sst_layout_search(&l, key, max_tag, &p);
    if (err)
        return err;
    *found = p.found && p.same_key;
    if (*found) {
        *tag = p.entry.tag;
        *value = kvi_sst_entry_value(&p.entry);
    }
    return KV_OK;
}
