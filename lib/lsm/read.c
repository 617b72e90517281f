/*
 * A point read: from the newest place to the oldest, and the first entry that is found is the
 * answer, since what lies further up is newer for each key (view.h, version.h).
 *
 * 1. All of it runs within one epoch: what the view leads to stays while it is looked at. What
 *    outlives the call (a pinned value) is referenced within it.
 * 2. No lock, and where memory answers no allocation but the growth of the caller's buffer.
 */
#include "base/check.h"
#include "base/hash.h"
#include "lsm/engine.h"
#include "lsm/entry.h"

/* What is looked for, and how that went. */
typedef struct lookup {
    kvi_lsm *l;
    kvi_slice key;
    uint64_t hash; /* by the tables' seed */
    uint64_t max_tag;
    bool memory_only;
    uint64_t filters_asked, filters_no, filters_wrong;
} lookup;

/* The newest entry that the reader may see. */
typedef struct hit {
    bool found;
    uint64_t tag;
    kvi_slice value;
    kvi_lsm_memtable *memtable; /* what the value lies in: not referenced, */
    kvi_sst_block *block;       /* or referenced */
} hit;

/* --- looking ------------------------------------------------------------------------------ */

static bool look_in_memtable(const lookup *k, kvi_lsm_memtable *m, uint64_t hash, hit *out)
{
    out->found = kvi_lsm_memtable_get(m, k->key, hash, k->max_tag, &out->tag, &out->value);
    out->memtable = m;
    return out->found;
}

static bool look_in_memtables(const lookup *k, const kvi_lsm_view *v, hit *out)
{
    uint64_t hash = kvi_lsm_memtable_hash(k->key);

    if (look_in_memtable(k, v->mem, hash, out))
        return true;
    for (uint32_t i = 0; i < v->imm_count; i++)
        if (look_in_memtable(k, v->imm[i], hash, out))
            return true;
    out->memtable = NULL;
    return false;
}

static int look_in_file(lookup *k, kvi_lsm_file *f, hit *out)
{
    kvi_sst_get_info info = {false, false};
    kvi_lsm_table *table;
    kvi_sst_found found;
    int r = kvi_lsm_tables_get(&k->l->tables, f, k->memory_only, &table);

    if (r == KV_OK)
        r = kvi_sst_table_get(table->table, k->key, k->hash, k->max_tag, k->memory_only, &found,
                              &info);
    if (r != KV_OK)
        return r;
    k->filters_asked += info.filter_asked;
    k->filters_no += info.filter_no;
    k->filters_wrong += info.filter_asked && !info.filter_no && !found.found;
    if (found.found)
        *out = (hit){true, found.tag, found.value, NULL, found.block};
    return KV_OK;
}

static bool may_hold(const kvi_lsm_file *f, kvi_slice key)
{
    return kvi_slice_cmp(f->smallest, key) <= 0 && kvi_slice_cmp(key, f->largest) <= 0;
}

static int look_in_level0(lookup *k, const kvi_lsm_version *v, hit *out)
{
    int r = KV_OK;

    for (uint32_t i = 0; r == KV_OK && !out->found && i < v->level[0].count; i++)
        if (may_hold(v->level[0].files[i], k->key))
            r = look_in_file(k, v->level[0].files[i], out);
    return r;
}

static int look_in_version(lookup *k, const kvi_lsm_version *v, hit *out)
{
    int r = look_in_level0(k, v, out);

    for (uint32_t level = 1; r == KV_OK && !out->found && level < KVI_LSM_LEVELS; level++) {
        uint32_t at, count = v->level[level].count;

        if (count == 0)
            continue;
        at = kvi_lsm_version_find(v, level, k->key);
        if (at < count && kvi_slice_cmp(v->level[level].files[at]->smallest, k->key) <= 0)
            r = look_in_file(k, v->level[level].files[at], out);
    }
    return r;
}

static void count_filters(const lookup *k)
{
    if (k->filters_asked > 0)
        kvi_lsm_count(&k->l->stats.bloom_checked, k->filters_asked);
    if (k->filters_no > 0)
        kvi_lsm_count(&k->l->stats.bloom_skipped, k->filters_no);
    if (k->filters_wrong > 0)
        kvi_lsm_count(&k->l->stats.bloom_false, k->filters_wrong);
}

static int look(lookup *k, const kvi_lsm_view *v, hit *out)
{
    int r;

    if (look_in_memtables(k, v, out))
        return KV_OK;
    k->hash = kvi_hash64(k->key.data, k->key.len, k->l->sst.filter_seed);
    r = look_in_version(k, v->version, out);
    count_filters(k);
    return r;
}

/* --- handing over ------------------------------------------------------------------------- */

static void unpin_memtable(void *pin)
{
    kvi_lsm_memtable_unref(pin);
}

static void unpin_block(void *pin)
{
    kvi_sst_block_unref(pin);
}

/* Copies a small value, pins a large one. Takes over the hit's reference, except on failure. */
static int lend(const hit *h, kvi_slice data, kvi_buf *copy, kvi_lsm_value *out)
{
    if (data.len <= KVI_LSM_COPY_MAX) {
        int err = kvi_buf_set(copy, data.data, data.len);

        if (err)
            return err;
        kvi_sst_block_unref(h->block);
        out->data = kvi_buf_slice(copy);
        return KV_OK;
    }
    out->data = data;
    if (h->memtable) {
        kvi_lsm_memtable_ref(h->memtable);
        out->unpin = unpin_memtable;
        out->pin = h->memtable;
    } else {
        out->unpin = unpin_block;
        out->pin = h->block;
    }
    return KV_OK;
}

/* Makes the answer of what was found, whose reference is given up or goes with it. */
static int answer(const hit *h, int64_t now_ms, kvi_buf *copy, kvi_lsm_value *out)
{
    kvi_lsm_content content;
    kvi_lsm_value result = {.seq = kvi_tag_seq(h->tag)};
    int r = kvi_lsm_entry_open(h->tag, h->value, now_ms, &content);

    if (r == KV_OK) {
        result.expires_ms = content.expires_ms;
        r = lend(h, content.value, copy, &result);
    }
    if (r != KV_OK)
        kvi_sst_block_unref(h->block);
    if (r == KV_OK || r == KV_ENOTFOUND)
        *out = result;
    return r;
}

int kvi_lsm_get_value(kvi_lsm *l, const kvi_lsm_get *g, kvi_buf *copy, kvi_lsm_value *out)
{
    kvi_epoch_guard guard = kvi_epoch_enter(l->epoch);
    const kvi_lsm_view *view = atomic_load(&l->view);
    /* After the view: see view.h. */
    uint64_t seq = g->seq == KVI_LSM_SEQ_LATEST ? atomic_load(&l->published) : g->seq;
    lookup k = {
        .l = l,
        .key = g->key,
        .max_tag = KVI_TAG_SEEK(seq),
        .memory_only = g->memory_only,
    };
    hit h = {.found = false};
    int r;

    KVI_ASSERT(g->key.len > 0 && seq <= KVI_SEQ_MAX);
    r = look(&k, view, &h);
    if (r == KV_OK && h.found) {
        r = answer(&h, g->now_ms, copy, out);
    } else if (r == KV_OK) {
        *out = (kvi_lsm_value){.seq = 0};
        r = KV_ENOTFOUND;
    }
    kvi_epoch_leave(l->epoch, guard);
    return r;
}

void kvi_lsm_value_release(kvi_lsm_value *v)
{
    if (v->unpin)
        v->unpin(v->pin);
    v->unpin = NULL;
    v->pin = NULL;
    v->data = kvi_slice_of(NULL, 0);
}
