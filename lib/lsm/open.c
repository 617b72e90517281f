/*
 * Opening and closing the engine.
 *
 * The order of opening: look (what is there, and whether we understand it) -> lock -> create or
 * recover -> log segment -> background. Until the lock is ours nothing in the directory is
 * touched, and until recovery has checked everything nothing but the lock.
 */
#include "base/check.h"
#include "lsm/engine.h"
#include "lsm/names.h"
#include "lsm/recover.h"

#define MEMTABLE_MAX  ((size_t)512 << 20)   /* a record of one write must fit a journal */
#define FIRST_SEGMENT ((uint64_t)256 << 10) /* small, so that opening is quick */

static void derive_shape(kvi_lsm_shape *s, size_t memory)
{
    if (!s->memtable_bytes)
        s->memtable_bytes = kvi_min_size(memory / 8, MEMTABLE_MAX);
    if (!s->segment_bytes)
        s->segment_bytes = s->memtable_bytes / 2;
    if (!s->block_bytes)
        s->block_bytes = 4096;
    if (!s->table_bytes)
        s->table_bytes = s->memtable_bytes;
    if (!s->level1_bytes)
        s->level1_bytes = 4 * (uint64_t)s->memtable_bytes;
    if (!s->level_ratio)
        s->level_ratio = 10;
    if (!s->level0_compact)
        s->level0_compact = 4;
    if (!s->level0_stall)
        s->level0_stall = 12;
    KVI_ASSERT(s->level0_stall >= s->level0_compact && s->level_ratio > 1);
}

static void init_state(kvi_lsm *l)
{
    kvi_os_jitter *jitter = l->env.jitter;

    kvi_os_mutex_init(&l->manifest_lock, KVI_RANK_MANIFEST, jitter);
    kvi_os_mutex_init(&l->sync_lock, KVI_RANK_SYNC, jitter);
    kvi_os_mutex_init(&l->write_lock, KVI_RANK_WRITE, jitter);
    kvi_os_mutex_init(&l->snapshot_lock, KVI_RANK_SNAPSHOT, jitter);
    kvi_list_init(&l->sync_waiters);
    kvi_list_init(&l->order);
    kvi_list_init(&l->stalled);
    kvi_list_init(&l->flush_waiters);
    kvi_list_init(&l->segments);
    kvi_list_init(&l->spare);
    kvi_list_init(&l->snapshots);
    kvi_lsm_crew_init(&l->crew, l->env.exec, kvi_lsm_unstall_idle, l);
    kvi_lsm_task_init(&l->flush_task, &l->crew, true, kvi_lsm_flush_run, l);
    kvi_lsm_task_init(&l->segment_task, &l->crew, true, kvi_lsm_segment_run, l);
    kvi_lsm_task_init(&l->compact_task, &l->crew, false, kvi_lsm_compact_run, l);
    kvi_lsm_task_init(&l->clean_task, &l->crew, false, kvi_lsm_clean_run, l);
}

static void deinit_state(kvi_lsm *l)
{
    kvi_os_mutex_deinit(&l->manifest_lock);
    kvi_os_mutex_deinit(&l->sync_lock);
    kvi_os_mutex_deinit(&l->write_lock);
    kvi_os_mutex_deinit(&l->snapshot_lock);
}

/** What the tables need: cache, codec, epochs. */
static int init_parts(kvi_lsm *l)
{
    int r = kvi_sst_codec_new(l->mem, l->env.jitter, &l->codec);

    if (r == KV_OK)
        r = kvi_sst_cache_new(l->mem, l->budget, l->env.jitter, &l->cache);
    if (r < 0)
        return r;
    kvi_budget_set_reclaim(l->budget, kvi_sst_cache_reclaim, l->cache);
    l->epoch = kvi_epoch_new(l->mem);
    if (!l->epoch)
        return kvi_error_set(KV_ENOMEM, "no memory to open the store");
    l->sst = (kvi_sst_context){l->mem, l->budget, l->cache, l->codec, 0, 0};
    return KV_OK;
}

static kvi_lsm *engine_new(const kvi_lsm_options *o)
{
    kvi_lsm *l = kvi_mem_zalloc_aligned(o->env->mem, sizeof *l);

    if (!l)
        return NULL;
    l->env = *o->env;
    l->mem = o->env->mem;
    l->budget = o->budget;
    l->shape = o->shape;
    l->compression = o->compression;
    l->log = o->log;
    l->ephemeral = o->ephemeral;
    derive_shape(&l->shape, o->budget->limit);
    init_state(l);
    return l;
}

static void free_segments(kvi_lsm *l, kvi_list *list, bool delete_files)
{
    while (!kvi_list_empty(list)) {
        kvi_lsm_segment *s = KVI_LIST_FIRST(list, kvi_lsm_segment, link);
        kvi_lsm_name name;

        kvi_list_remove(&s->link);
        kvi_lsm_name_log(name, s->journal.file_no);
        kvi_lsm_segment_free(l, s);
        if (delete_files)
            (void)l->dir->ops->unlink(l->dir, name); /* else the next open does it */
    }
}

/** Frees everything, however far opening got. Nothing runs any more. */
static void engine_free(kvi_lsm *l)
{
    kvi_lsm_view *view = atomic_load(&l->view);

    kvi_lsm_compact_abandon(l);
    if (l->ready)
        kvi_list_push_back(&l->spare, &l->ready->link);
    free_segments(l, &l->segments, false);
    free_segments(l, &l->spare, true);
    if (view)
        kvi_lsm_view_unref(view);
    kvi_epoch_free(l->epoch);
    l->epoch = NULL;
    kvi_lsm_clean_run(l);
    if (l->tables.env)
        kvi_lsm_tables_deinit(&l->tables);
    kvi_budget_set_reclaim(l->budget, NULL, NULL);
    if (l->cache)
        kvi_sst_cache_free(l->cache);
    kvi_sst_codec_free(l->codec);
    kvi_lsm_manifest_close(&l->manifest);
    kvi_lsm_guards_free(l);
    if (l->dir)
        (void)l->dir->ops->close(l->dir);
    deinit_state(l);
    kvi_mem_free_aligned(l->mem, l);
}

/** Whether there is a store, and whether we may open it; changes nothing. */
static int look(kvi_lsm *l, const kvi_lsm_options *o, bool *exists)
{
    uint8_t id[16];
    uint64_t manifest_no;
    int r = kvi_lsm_current_read(l->dir, id, &manifest_no);

    if (r < 0 && r != KV_ENOENT)
        return r;
    *exists = r == KV_OK;
    if (!*exists && !o->may_create)
        return kvi_error_set(KV_ENOENT, "%s holds no store", o->path);
    if (*exists && o->must_create)
        return kvi_error_set(KV_EEXIST, "%s holds a store already", o->path);
    return KV_OK;
}

static int lock_dir(kvi_lsm *l, const kvi_lsm_options *o)
{
    enum kvi_os_locked who = KVI_OS_LOCKED_BY_OTHER;
    int r = l->dir->ops->lock(l->dir, KVI_LSM_NAME_LOCK, &who);

    if (r != KV_EINUSE)
        return r;
    if (who == KVI_OS_LOCKED_BY_US)
        return kvi_error_set(KV_EOPEN, "%s is open in this process already", o->path);
    return kvi_error_set(KV_EINUSE, "%s is open in another process", o->path);
}

static int load(kvi_lsm *l, const kvi_lsm_options *o, bool exists)
{
    int r = KV_OK;

    if (!exists)
        r = kvi_lsm_create(l, o->layout ? o->layout : KV_ORDERED);
    return r < 0 ? r : kvi_lsm_recover(l, o->layout);
}

static int first_segment(kvi_lsm *l)
{
    kvi_lsm_segment *s;
    int r;

    if (!l->log)
        return KV_OK;
    l->mapped = true;
    r = kvi_lsm_segment_prepare(l, kvi_min_u64(FIRST_SEGMENT, l->shape.segment_bytes), &s);
    if (r < 0)
        return r;
    l->mapped = s->journal.map != NULL;
    kvi_list_push_back(&l->segments, &s->link);
    return KV_OK;
}

static int open_dir(kvi_lsm *l, const kvi_lsm_options *o, bool *exists)
{
    bool made;
    int r = l->env.fs->ops->open_dir(l->env.fs, o->path, o->may_create, &made, &l->dir);

    if (r == KV_OK)
        r = look(l, o, exists);
    if (r == KV_OK)
        r = lock_dir(l, o);
    if (r == KV_OK)
        r = look(l, o, exists); /* another process may have been faster */
    return r;
}

int kvi_lsm_open(const kvi_lsm_options *o, kvi_lsm **out, bool *created)
{
    kvi_lsm *l = engine_new(o);
    bool exists = false;
    int r;

    if (!l)
        return kvi_error_set(KV_ENOMEM, "no memory to open the store");
    r = init_parts(l);
    if (r == KV_OK)
        r = open_dir(l, o, &exists);
    if (r < 0)
        goto fail;
    kvi_lsm_manifest_init(&l->manifest, l->mem, l->dir);
    kvi_lsm_tables_init(&l->tables, &l->env, &l->sst, l->dir, l->epoch);
    r = load(l, o, exists);
    if (r < 0)
        goto fail;
    kvi_lsm_delete_orphans(l);
    r = first_segment(l);
    if (r < 0)
        goto fail;
    if (l->log)
        kvi_lsm_task_request(&l->segment_task);
    kvi_lsm_task_request(&l->compact_task);
    *out = l;
    *created = !exists;
    return KV_OK;
fail:
    kvi_lsm_crew_stop(&l->crew);
    engine_free(l);
    return r;
}

/** No task runs any more. */
static int flush_full(kvi_lsm *l)
{
    int r = KV_OK;

    while (r == KV_OK && l->imm_count > 0)
        r = kvi_lsm_flush_oldest(l);
    return r;
}

/** Without a log, what is in memory goes to tables; with one, the log to the disk. */
static int settle(kvi_lsm *l)
{
    kvi_lsm_waiter unused = {.wake = NULL};
    int r;

    if (l->ephemeral)
        return KV_OK;
    if (l->log)
        return kvi_lsm_sync(l, atomic_load(&l->published), &unused);
    r = flush_full(l); /* the view may have no room for another */
    if (r < 0)
        return r;
    kvi_os_mutex_lock(&l->write_lock);
    if (kvi_lsm_memtable_count(l->active) > 0)
        r = kvi_lsm_rotate(l, 0);
    kvi_os_mutex_unlock(&l->write_lock);
    return r < 0 ? r : flush_full(l);
}

int kvi_lsm_close(kvi_lsm *l)
{
    int r;

    KVI_ASSERT(kvi_list_empty(&l->order) && kvi_list_empty(&l->snapshots));
    kvi_lsm_crew_stop(&l->crew);
    r = settle(l);
    engine_free(l);
    return r;
}

const uint8_t *kvi_lsm_store_id(const kvi_lsm *l)
{
    return l->store.id;
}

uint8_t kvi_lsm_layout(const kvi_lsm *l)
{
    return l->store.layout;
}

uint64_t kvi_lsm_context_seed(const kvi_lsm *l)
{
    return l->store.context_seed;
}
