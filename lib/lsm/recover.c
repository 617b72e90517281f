/*
 * Recovery; see recover.h.
 *
 * The order on the disk: log segments rewritten and synced -> those behind a gap deleted -> a new
 * manifest, with the tables that replay wrote -> orphans deleted -> a new segment. A crash between
 * any two of these leaves a directory from which the same state is recovered.
 */
#include "lsm/recover.h"

#include <stdio.h>

#include "base/hash.h"
#include "lsm/names.h"
#include "lsm/replay.h"

#define REWRITE_BYTES (64u << 10) /* of a log at a time */

/* --- creation ----------------------------------------------------------------------------- */

static void find_remains(void *user, const char *name)
{
    uint64_t number;
    enum kvi_lsm_name_kind kind = kvi_lsm_name_parse(name, &number);

    if (kind == KVI_LSM_NAME_IS_LOG || kind == KVI_LSM_NAME_IS_TABLE)
        *(bool *)user = true;
}

static int draw_identity(kvi_lsm *l, uint8_t layout)
{
    struct {
        uint8_t id[16];
        uint64_t filter_seed, context_seed;
    } drawn;
    int r = l->env.rand->fill(l->env.rand, &drawn, sizeof drawn);

    if (r < 0)
        return r;
    memcpy(l->store.id, drawn.id, sizeof drawn.id);
    l->store.filter_seed = drawn.filter_seed;
    l->store.context_seed = drawn.context_seed;
    l->store.layout = layout;
    return KV_OK;
}

int kvi_lsm_create(kvi_lsm *l, uint8_t layout)
{
    kvi_lsm_state state = {.next_file = 2};
    bool remains = false;
    int r = l->dir->ops->list(l->dir, find_remains, &remains);

    if (r < 0)
        return r;
    if (remains)
        return kvi_error_set(
            KV_ECORRUPT, "the directory holds tables or logs of a store, but CURRENT is missing");
    r = draw_identity(l, layout);
    if (r < 0)
        return r;
    r = kvi_lsm_version_new(l->mem, &state.version);
    if (r < 0)
        return r;
    state.store = l->store;
    r = kvi_lsm_manifest_roll(&l->manifest, &state, 1);
    kvi_lsm_version_unref(state.version);
    return r;
}

/* --- recovery ----------------------------------------------------------------------------- */

static void highest_number(void *user, const char *name)
{
    uint64_t number = 0, *highest = user;

    (void)kvi_lsm_name_parse(name, &number);
    *highest = kvi_max_u64(*highest, number);
}

/** Writes once more what stands behind the watermark. Where a sync had failed in the life before,
 *  the system may hold pages that are not on the disk and are not to be written any more: they read
 *  well, another sync says that all is well, and with the power they are gone. */
static int rewrite(const kvi_lsm *l, const kvi_lsm_segment *s)
{
    size_t room = (size_t)kvi_min_u64(s->used - s->synced, REWRITE_BYTES), got = 0;
    uint8_t *bytes = kvi_mem_alloc(l->mem, room);
    kvi_os_file *file = s->journal.file;
    int r = KV_OK;

    if (!bytes)
        return kvi_error_set(KV_ENOMEM, "no memory to open the store");
    for (uint64_t at = s->synced; r == KV_OK && at < s->used; at += got) {
        r = file->ops->read(file, at, bytes, (size_t)kvi_min_u64(s->used - at, room), &got);
        if (r == KV_OK && got == 0)
            r = kvi_error_set(KV_EIO, "log %llu ends at %llu while it is read",
                              (unsigned long long)s->journal.file_no, (unsigned long long)at);
        if (r == KV_OK)
            r = file->ops->write(file, at, bytes, got);
    }
    kvi_mem_free(l->mem, bytes);
    return r;
}

/** What was replayed is durable from here on: what readers see now is there after the next crash as
 *  well. */
static int sync_segments(const kvi_lsm *l, kvi_lsm_replay *replay)
{
    KVI_LIST_EACH(n, &replay->segments) {
        kvi_lsm_segment *s = KVI_CONTAINER_OF(n, kvi_lsm_segment, link);
        int r = KV_OK;

        if (s->synced == s->used)
            continue;
        r = rewrite(l, s);
        if (r == KV_OK)
            r = kvi_lsm_journal_sync(&s->journal);
        if (r == KV_OK)
            r = kvi_lsm_journal_watermark(&s->journal, s->used);
        if (r < 0)
            return r;
        s->synced = s->used;
    }
    return KV_OK;
}

static bool kept(const kvi_lsm_replay *replay, uint64_t number)
{
    KVI_LIST_EACH(n, &replay->segments)
        if (KVI_CONTAINER_OF(n, kvi_lsm_segment, link)->journal.file_no == number)
            return true;
    return false;
}

/** Deletes the logs that replay did not keep: empty ones, and those behind a gap, which must be
 *  gone before a new record takes a sequence of theirs. The roll that follows syncs the directory. */
static int delete_dropped(kvi_lsm *l, const kvi_lsm_replay *replay)
{
    for (size_t i = 0; i < replay->numbers.len / sizeof(uint64_t); i++) {
        kvi_lsm_name name;
        uint64_t number;
        int r;

        memcpy(&number, replay->numbers.data + i * sizeof number, sizeof number);
        if (kept(replay, number))
            continue;
        kvi_lsm_name_log(name, number);
        r = l->dir->ops->unlink(l->dir, name);
        if (r < 0)
            return r;
    }
    return KV_OK;
}

/** Writes the state to a new manifest: an append to the old one would stand on a tail that may be
 *  torn. */
static int roll(kvi_lsm *l, const kvi_lsm_replay *replay)
{
    kvi_lsm_state state = {
        .store = l->store, .flushed_seq = replay->flushed, .version = replay->version};
    uint64_t no = kvi_lsm_new_file_no(l);
    int r;

    state.next_file = atomic_load(&l->next_file);
    state.log_floor =
        kvi_list_empty(&replay->segments)
            ? no
            : KVI_LIST_FIRST(&replay->segments, kvi_lsm_segment, link)->journal.file_no;
    r = kvi_lsm_manifest_roll(&l->manifest, &state, no);
    if (r < 0 && l->manifest.broken == KV_OK)
        return r;
    /* The new manifest is in force, or may be: the tables that replay wrote stay. */
    for (uint32_t i = 0; i < replay->version->level[0].count; i++)
        atomic_store(&replay->version->level[0].files[i]->doomed, false);
    return r;
}

/** The engine takes over what replay has made. */
static int adopt(kvi_lsm *l, kvi_lsm_replay *replay)
{
    kvi_lsm_view *view = kvi_lsm_view_new(l->mem);

    if (!view)
        return kvi_error_set(KV_ENOMEM, "no memory to open the store");
    kvi_lsm_view_fill(view, replay->memtable, NULL, 0, replay->version);
    atomic_store(&l->view, view);
    l->active = replay->memtable;
    l->next_seq = replay->last_seq + 1;
    atomic_store(&l->published, replay->last_seq);
    atomic_store(&l->synced_seq, replay->last_seq);
    atomic_store(&l->flushed_seq, replay->flushed);
    atomic_store(&l->level0_count, replay->version->level[0].count);
    kvi_lsm_waiters_take(&replay->segments, &l->segments);
    return KV_OK;
}

static int recover_state(kvi_lsm *l, kvi_lsm_state *state)
{
    kvi_lsm_replay replay;
    uint64_t highest = 0;
    int r = l->dir->ops->list(l->dir, highest_number, &highest);

    if (r < 0)
        return r;
    atomic_store(&l->next_file, kvi_max_u64(state->next_file, highest + 1));
    r = kvi_lsm_replay_init(&replay, l, state->version, state->flushed_seq, state->log_floor);
    if (r == KV_OK)
        r = kvi_lsm_replay_run(&replay);
    if (r == KV_OK)
        r = sync_segments(l, &replay);
    if (r == KV_OK)
        r = delete_dropped(l, &replay);
    if (r == KV_OK)
        r = roll(l, &replay);
    if (r == KV_OK)
        r = adopt(l, &replay);
    kvi_lsm_replay_deinit(&replay);
    return r;
}

static int check_layout(const kvi_lsm_store *store, uint8_t wanted)
{
    if (store->layout != KV_ORDERED && store->layout != KV_PLACED)
        return kvi_error_set(KV_ELAYOUT, "the store has layout %u, which this libkv does not know",
                             store->layout);
    if (wanted != KV_LAYOUT_DEFAULT && wanted != store->layout)
        return kvi_error_set(KV_ELAYOUT, "the store was created with layout %u, not %u",
                             store->layout, wanted);
    return KV_OK;
}

int kvi_lsm_recover(kvi_lsm *l, uint8_t layout)
{
    kvi_lsm_state state;
    int r = kvi_lsm_manifest_load(l->mem, l->dir, kvi_lsm_file_obsolete, l, &state);

    if (r < 0)
        return r;
    r = check_layout(&state.store, layout);
    if (r < 0) {
        kvi_lsm_version_unref(state.version);
        return r;
    }
    l->store = state.store;
    l->sst.store_seed = kvi_hash64(l->store.id, sizeof l->store.id, 0);
    l->sst.filter_seed = l->store.filter_seed;
    r = recover_state(l, &state);
    kvi_lsm_version_unref(state.version);
    return r;
}

/* --- orphans ------------------------------------------------------------------------------ */

typedef struct orphan_finder {
    kvi_lsm *lsm;
    kvi_buf names; /* kvi_lsm_name each */
} orphan_finder;

static bool is_table(const kvi_lsm *l, uint64_t number)
{
    const kvi_lsm_version *v = atomic_load(&l->view)->version;

    for (uint32_t level = 0; level < KVI_LSM_LEVELS; level++)
        for (uint32_t i = 0; i < v->level[level].count; i++)
            if (v->level[level].files[i]->number == number)
                return true;
    return false;
}

static bool is_segment(const kvi_lsm *l, uint64_t number)
{
    KVI_LIST_EACH(n, &l->segments)
        if (KVI_CONTAINER_OF(n, kvi_lsm_segment, link)->journal.file_no == number)
            return true;
    return false;
}

static void find_orphan(void *user, const char *name)
{
    orphan_finder *f = user;
    kvi_lsm_name copy;
    uint64_t number;
    bool orphan = false;

    switch (kvi_lsm_name_parse(name, &number)) {
    case KVI_LSM_NAME_IS_TMP:
        orphan = true;
        break;
    case KVI_LSM_NAME_IS_MANIFEST:
        orphan = number != f->lsm->manifest.journal.file_no;
        break;
    case KVI_LSM_NAME_IS_LOG:
        orphan = !is_segment(f->lsm, number);
        break;
    case KVI_LSM_NAME_IS_TABLE:
        orphan = !is_table(f->lsm, number);
        break;
    case KVI_LSM_NAME_OTHER:
    case KVI_LSM_NAME_IS_LOCK:
    case KVI_LSM_NAME_IS_CURRENT:
        break;
    }
    if (!orphan)
        return;
    (void)snprintf(copy, sizeof copy, "%s", name);
    (void)!kvi_buf_append(&f->names, copy,
                          sizeof copy); /* without memory: the next open deletes it */
}

void kvi_lsm_delete_orphans(kvi_lsm *l)
{
    orphan_finder f = {.lsm = l};

    kvi_buf_init(&f.names, l->mem);
    (void)l->dir->ops->list(l->dir, find_orphan, &f);
    for (size_t i = 0; i < f.names.len; i += sizeof(kvi_lsm_name))
        if (l->dir->ops->unlink(l->dir, (const char *)f.names.data + i) < 0)
            kvi_os_log(&l->env, KV_LOG_WARN, "an orphan could not be deleted: %s",
                       kvi_error_detail());
    kvi_buf_deinit(&f.names);
}
