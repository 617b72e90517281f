/*
 * Flush: the oldest full memtable becomes a table of level 0, and its part of the log is not
 * needed any more.
 *
 * 1. A memtable is flushed once everything in it is readable: then no writer is at work in it.
 * 2. Memtables are flushed in order of age, one at a time, so `flushed_seq` has no gaps beneath
 *    it.
 * 3. A flush that fails leaves everything as it was; those who wait for room are told, and the
 *    next who needs room has it tried again.
 */
#include "base/check.h"
#include "lsm/engine.h"
#include "lsm/output.h"
#include "lsm/sift.h"

static bool in_any_level(void *user, kvi_slice key)
{
    const kvi_lsm_version *v = user;

    for (uint32_t level = 0; level < KVI_LSM_LEVELS; level++)
        if (kvi_lsm_version_overlaps(v, level, key, key))
            return true;
    return false;
}

/** Moves what the sift keeps from cursor to output, which is opened for the first entry. */
static int copy_kept(kvi_lsm *l, kvi_cursor *c, kvi_lsm_sift *sift, kvi_lsm_output *output)
{
    int r = c->ops->first(c);

    while (r == KV_OK && c->valid) {
        uint64_t tag = c->tag;
        kvi_slice value = c->value;
        bool keep;

        r = kvi_lsm_sift_next(sift, c->key, &tag, &value, &keep);
        if (r == KV_OK && keep && !output->lsm)
            r = kvi_lsm_output_open(output, l, 0);
        if (r == KV_OK && keep)
            r = kvi_sst_builder_add(output->builder, c->key, tag, value);
        if (r == KV_OK)
            r = c->ops->next(c);
    }
    return r;
}

int kvi_lsm_build_level0(kvi_lsm *l, kvi_lsm_memtable *m, kvi_lsm_version *beneath,
                         kvi_lsm_file **out)
{
    kvi_lsm_output output = {0};
    kvi_lsm_sift sift;
    kvi_cursor *c = NULL;
    kvi_lsm_file *f = NULL;
    int r;

    r = kvi_lsm_sift_init(&sift, l, in_any_level, beneath);
    if (r == KV_OK)
        r = kvi_lsm_memtable_cursor(m, l->mem, &c);
    if (r == KV_OK)
        r = copy_kept(l, c, &sift, &output);
    if (r == KV_OK && output.lsm)
        r = kvi_lsm_output_finish(&output, &f);
    if (r == KV_OK)
        *out = f;
    kvi_lsm_output_abandon(&output);
    if (c)
        c->ops->close(c);
    kvi_lsm_sift_deinit(&sift);
    return r;
}

/** The oldest full memtable that can be flushed, or NULL. The view holds it: only the flush takes
 *  it out. */
static kvi_lsm_memtable *oldest_full(kvi_lsm *l, uint64_t *last_seq, kvi_lsm_version **version)
{
    kvi_lsm_memtable *m = NULL;
    const kvi_lsm_view *v;

    kvi_os_mutex_lock(&l->write_lock);
    v = atomic_load(&l->view);
    if (l->imm_count > 0 && l->imm_last_seq[l->imm_count - 1] <= atomic_load(&l->published)) {
        m = v->imm[l->imm_count - 1];
        *last_seq = l->imm_last_seq[l->imm_count - 1];
        *version = v->version;
        kvi_lsm_version_ref(*version);
    }
    kvi_os_mutex_unlock(&l->write_lock);
    return m;
}

static int flush_one(kvi_lsm *l, kvi_lsm_memtable *m, uint64_t last_seq, kvi_lsm_version *version)
{
    kvi_lsm_file *f = NULL;
    kvi_lsm_edit edit;
    int r;

    kvi_lsm_edit_init(&edit, l->mem);
    edit.flushed_seq = last_seq;
    r = kvi_lsm_build_level0(l, m, version, &f);
    if (r == KV_OK && f) {
        uint64_t size = f->size;

        r = l->dir->ops->sync(l->dir);
        kvi_lsm_count(&l->stats.flush_bytes, size);
        atomic_store(&f->doomed, true); /* until it is in force */
        if (r == KV_OK)
            r = kvi_lsm_edit_add(&edit, 0, f);
        else
            kvi_lsm_file_unref(f);
    }
    if (r == KV_OK)
        r = kvi_lsm_install(l, &edit, true);
    kvi_lsm_edit_deinit(&edit);
    return r;
}

int kvi_lsm_flush_oldest(kvi_lsm *l)
{
    kvi_lsm_version *version = NULL;
    uint64_t last_seq = 0;
    kvi_lsm_memtable *m = oldest_full(l, &last_seq, &version);
    int r;

    if (!m)
        return KV_OK;
    r = flush_one(l, m, last_seq, version);
    kvi_lsm_version_unref(version);
    if (r < 0)
        return r;
    kvi_lsm_count(&l->stats.flushes, 1);
    kvi_lsm_task_request(&l->flush_task); /* there may be another */
    kvi_lsm_task_request(&l->compact_task);
    return KV_OK;
}

void kvi_lsm_flush_run(void *lsm)
{
    kvi_lsm *l = lsm;
    int r = kvi_lsm_flush_oldest(l);

    if (r == KV_OK)
        return;
    kvi_os_log(&l->env, KV_LOG_ERROR, "a memtable could not be flushed: %s", kvi_error_detail());
    kvi_lsm_fail_stalled(l, r);
    kvi_lsm_fail_flushes(l, r);
}

/** Under `write_lock`: again when a full memtable is gone. */
static int wait_for_room(kvi_lsm *l, kvi_lsm_waiter *waiter)
{
    kvi_list_push_back(&l->stalled, &waiter->link);
    kvi_lsm_task_request(&l->flush_task);
    return KVI_PENDING;
}

int kvi_lsm_flush(kvi_lsm *l, kvi_lsm_waiter *waiter)
{
    int r;

    kvi_os_mutex_lock(&l->write_lock);
    r = kvi_lsm_check_broken(l);
    if (r < 0)
        goto out;
    waiter->seq = atomic_load(&l->published);
    if (atomic_load(&l->flushed_seq) >= waiter->seq)
        goto out;
    if (kvi_lsm_memtable_claimed(l->active) > 0) {
        if (l->imm_count == KVI_LSM_IMM_MAX) { /* again when one of them is gone */
            r = wait_for_room(l, waiter);
            goto out;
        }
        r = kvi_lsm_rotate(l, 0);
        if (r == KV_ENOMEM && l->imm_count > 0)
            r = wait_for_room(l, waiter);
        if (r != KV_OK)
            goto out;
    }
    kvi_list_push_back(&l->flush_waiters, &waiter->link);
    kvi_lsm_task_request(&l->flush_task);
    r = KVI_PENDING;
out:
    kvi_os_mutex_unlock(&l->write_lock);
    return r;
}
