/*
 * A change of the tables comes into force: first in the manifest, on the disk, then in the view,
 * for readers.
 *
 * 1. All memory that the change needs is taken before the manifest is touched: from there on
 *    nothing can fail but the disk.
 * 2. Only afterwards are removed files doomed, and deleted when the last version that holds them
 *    goes.
 * 3. The manifest is rolled when it has grown; a failed roll is no harm, the old one goes on.
 */
#include "base/check.h"
#include "lsm/engine.h"
#include "lsm/names.h"

kvi_lsm_version *kvi_lsm_version_current(kvi_lsm *l)
{
    kvi_lsm_version *v;

    kvi_os_mutex_lock(&l->write_lock);
    v = atomic_load(&l->view)->version;
    kvi_lsm_version_ref(v);
    kvi_os_mutex_unlock(&l->write_lock);
    return v;
}

/** The edit may or may not be on the disk: its files must stay for the next open to decide. */
static void spare_files(const kvi_lsm_edit *edit)
{
    for (uint32_t i = 0; i < edit->add_count; i++)
        atomic_store(&edit->adds[i].file->doomed, false);
}

/** Files come into force undoomed; those that go are doomed. A file that only moves to another
 *  level stays. */
static void settle_files(const kvi_lsm_edit *edit, const kvi_lsm_version *before)
{
    spare_files(edit);
    for (uint32_t i = 0; i < edit->remove_count; i++) {
        uint32_t level = edit->removes[i].level;
        bool moved = false;

        for (uint32_t k = 0; k < edit->add_count && !moved; k++)
            moved = edit->adds[k].file->number == edit->removes[i].number;
        for (uint32_t k = 0; k < before->level[level].count && !moved; k++) {
            kvi_lsm_file *f = before->level[level].files[k];

            if (f->number == edit->removes[i].number)
                atomic_store(&f->doomed, true);
        }
    }
}

/** Under `manifest_lock` and `write_lock`: the view with the new version; the oldest full memtable
 *  leaves it where flushed. */
static void replace_view(kvi_lsm *l, kvi_lsm_view *next, kvi_lsm_version *version, bool flushed)
{
    kvi_lsm_view *old;

    KVI_ASSERT(kvi_os_mutex_held(&l->write_lock));
    old = atomic_load(&l->view);
    KVI_ASSERT(!flushed || old->imm_count > 0);
    kvi_lsm_view_fill(next, old->mem, old->imm, old->imm_count - (flushed ? 1 : 0), version);
    atomic_store(&l->view, next);
    if (flushed)
        l->imm_count--;
    atomic_store(&l->level0_count, version->level[0].count);
    kvi_lsm_view_retire(l->epoch, old);
}

/** Wakes those who waited for a flush up to where it is now. */
static void wake_flushed(kvi_lsm *l)
{
    uint64_t flushed = atomic_load(&l->flushed_seq);
    kvi_list woken;

    kvi_list_init(&woken);
    kvi_os_mutex_lock(&l->write_lock);
    for (kvi_list *n = l->flush_waiters.next, *after; n != &l->flush_waiters; n = after) {
        after = n->next;
        if (KVI_CONTAINER_OF(n, kvi_lsm_waiter, link)->seq > flushed)
            continue;
        kvi_list_remove(n);
        kvi_list_push_back(&woken, n);
    }
    kvi_os_mutex_unlock(&l->write_lock);
    kvi_lsm_waiters_wake(&woken, KV_OK);
}

/** Under `manifest_lock`: a fresh manifest with the state as it is now. */
static void roll_if_long(kvi_lsm *l, kvi_lsm_version *version, uint64_t log_floor)
{
    kvi_lsm_state state = {l->store, atomic_load(&l->flushed_seq), log_floor, 0, version};
    uint64_t old_no = l->manifest.journal.file_no, no;
    kvi_lsm_name name;

    if (!kvi_lsm_manifest_is_long(&l->manifest))
        return;
    no = kvi_lsm_new_file_no(l);
    state.next_file = atomic_load(&l->next_file);
    if (kvi_lsm_manifest_roll(&l->manifest, &state, no) < 0) {
        kvi_os_log(&l->env, KV_LOG_WARN, "the manifest could not be rolled: %s",
                   kvi_error_detail());
        return;
    }
    kvi_lsm_name_manifest(name, old_no);
    (void)l->dir->ops->unlink(l->dir, name); /* else the next open does it */
}

int kvi_lsm_install(kvi_lsm *l, kvi_lsm_edit *edit, bool flushed)
{
    kvi_lsm_version *base, *version = NULL;
    kvi_lsm_view *next = kvi_lsm_view_new(l->mem);
    int broken = KV_OK, r;

    if (!next)
        return kvi_error_set(KV_ENOMEM, "no memory for a new version");
    kvi_os_mutex_lock(&l->manifest_lock);
    base = kvi_lsm_version_current(l);
    edit->log_floor =
        kvi_lsm_segments_floor(l, kvi_max_u64(edit->flushed_seq, atomic_load(&l->flushed_seq)));
    edit->next_file = atomic_load(&l->next_file);
    r = kvi_lsm_version_apply(base, edit, &version);
    if (r == KV_OK) {
        r = kvi_lsm_manifest_append(&l->manifest, edit);
        broken = l->manifest.broken;
    }
    if (r < 0) {
        kvi_os_mutex_unlock(&l->manifest_lock);
        if (broken < 0) {
            spare_files(edit);
            kvi_lsm_break(l, broken);
        }
        kvi_lsm_version_unref(base);
        kvi_lsm_version_unref(version);
        kvi_lsm_view_unref(next);
        return r;
    }

    settle_files(edit, base);
    kvi_os_mutex_lock(&l->write_lock);
    if (edit->flushed_seq)
        atomic_store(&l->flushed_seq, edit->flushed_seq);
    replace_view(l, next, version, flushed);
    kvi_lsm_segments_retire(l);
    kvi_os_mutex_unlock(&l->write_lock);
    roll_if_long(l, version, edit->log_floor);
    kvi_os_mutex_unlock(&l->manifest_lock);
    kvi_lsm_version_unref(base);
    kvi_lsm_version_unref(version); /* the view has it */
    wake_flushed(l);
    kvi_lsm_unstall(l);
    return KV_OK;
}
