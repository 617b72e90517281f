/*
 * The engine's figures.
 */
#include "base/check.h"
#include "lsm/engine.h"

static uint64_t now_of(const _Atomic uint64_t *counter)
{
    return atomic_load_explicit(counter, memory_order_relaxed);
}

static void fill_memory(kvi_lsm *l, kv_statistics *out)
{
    const kvi_budget *b = l->budget;

    out->memory_limit = b->limit;
    out->memory_used = atomic_load(&b->used);
    out->memory_memtables = kvi_budget_held(b, KVI_BUDGET_MEMTABLE);
    out->memory_cache = kvi_budget_held(b, KVI_BUDGET_CACHE);
    out->memory_tables = kvi_budget_held(b, KVI_BUDGET_TABLE);
    out->memory_other = kvi_budget_held(b, KVI_BUDGET_WORK) +
                        kvi_budget_held(b, KVI_BUDGET_RESULT) + kvi_budget_held(b, KVI_BUDGET_FILE);
}

static void fill_disk(kvi_lsm *l, kv_statistics *out)
{
    kvi_lsm_version *v = kvi_lsm_version_current(l);

    out->disk_bytes = 0;
    for (uint32_t level = 0; level < KVI_LSM_LEVELS; level++) {
        out->table_files[level] = v->level[level].count;
        out->table_bytes[level] = v->level[level].bytes;
        out->disk_bytes += v->level[level].bytes;
    }
    kvi_lsm_version_unref(v);

    kvi_os_mutex_lock(&l->write_lock);
    KVI_LIST_EACH(n, &l->segments)
        out->disk_bytes += KVI_CONTAINER_OF(n, kvi_lsm_segment, link)->capacity;
    KVI_LIST_EACH(n, &l->spare)
        out->disk_bytes += KVI_CONTAINER_OF(n, kvi_lsm_segment, link)->capacity;
    if (l->ready)
        out->disk_bytes += l->ready->capacity;
    kvi_os_mutex_unlock(&l->write_lock);
}

void kvi_lsm_stats(kvi_lsm *l, kv_statistics *out)
{
    KVI_ASSERT(out);
    kvi_sst_cache_counts(l->cache, &out->cache_hits, &out->cache_misses);
    out->bloom_checked = now_of(&l->stats.bloom_checked);
    out->bloom_skipped = now_of(&l->stats.bloom_skipped);
    out->bloom_false = now_of(&l->stats.bloom_false);
    out->log_bytes = now_of(&l->stats.log_bytes);
    out->log_syncs = now_of(&l->stats.log_syncs);
    out->log_synced_writes = now_of(&l->stats.log_synced_writes);
    out->flushes = now_of(&l->stats.flushes);
    out->flush_bytes = now_of(&l->stats.flush_bytes);
    out->compactions = now_of(&l->stats.compactions);
    out->compaction_read_bytes = now_of(&l->stats.compaction_read_bytes);
    out->compaction_write_bytes = now_of(&l->stats.compaction_write_bytes);
    out->trivial_moves = now_of(&l->stats.trivial_moves);
    out->stalls_memtable = now_of(&l->stats.stalls[KVI_LSM_STALL_MEMTABLE]);
    out->stalls_level0 = now_of(&l->stats.stalls[KVI_LSM_STALL_LEVEL0]);
    out->stalls_log = now_of(&l->stats.stalls[KVI_LSM_STALL_LOG]);
    out->last_sequence = atomic_load(&l->published);
    fill_memory(l, out);
    fill_disk(l, out);
}
