/*
 * Group commit: one sync of the log serves everyone who waits for one. Whoever comes when nobody
 * leads becomes the leader and syncs all that is published by then; those who come meanwhile wait,
 * and the first whose write was too late for it leads the next.
 *
 * 1. Segments are synced oldest first, so that what is on the disk is a prefix, whatever fails.
 * 2. Who asked for no sync never waits for one: `write_lock` is not held over it.
 * 3. A failed sync is final: what of the file is on the disk is unknown for ever, and a second try
 *    would lie (it finds the pages clean).
 */
#include "base/check.h"
#include "lsm/engine.h"

/** The oldest segment with something published that is not synced, pinned; NULL: everything up to
 *  *target is on the disk. *last: with this one synced, it will be. */
static kvi_lsm_segment *next_unsynced(kvi_lsm *l, uint64_t *upto, uint64_t *target, bool *last)
{
    kvi_lsm_segment *found = NULL;

    kvi_os_mutex_lock(&l->write_lock);
    *target = atomic_load(&l->published);
    KVI_LIST_EACH(n, &l->segments) {
        kvi_lsm_segment *s = KVI_CONTAINER_OF(n, kvi_lsm_segment, link);

        if (s->synced < s->published) {
            s->pins++;
            *upto = s->published;
            *last = n->next == &l->segments;
            found = s;
            break;
        }
    }
    kvi_os_mutex_unlock(&l->write_lock);
    return found;
}

static int sync_segment(kvi_lsm *l, kvi_lsm_segment *s, uint64_t upto)
{
    int r = kvi_lsm_journal_sync(&s->journal);

    if (r == KV_OK)
        r = kvi_lsm_journal_watermark(&s->journal, upto);
    kvi_lsm_count(&l->stats.log_syncs, 1);
    kvi_os_mutex_lock(&l->write_lock);
    KVI_ASSERT(s->pins == 1 && s->synced <= upto);
    s->pins--;
    if (r == KV_OK)
        s->synced = upto;
    kvi_os_mutex_unlock(&l->write_lock);
    return r;
}

/** Syncs until everything that was published at some moment of this call, at or after seq, is on
 *  the disk. */
static int sync_published(kvi_lsm *l, uint64_t seq)
{
    uint64_t before = atomic_load(&l->synced_seq), upto, target;
    kvi_lsm_segment *s;
    bool last = false;

    while (!last && (s = next_unsynced(l, &upto, &target, &last)) != NULL) {
        int r = sync_segment(l, s, upto);

        if (r < 0)
            return r;
    }
    KVI_ASSERT(target >= seq);
    kvi_lsm_count(&l->stats.log_synced_writes, target - before);
    atomic_store(&l->synced_seq, target);
    return KV_OK;
}

/** The leader steps down: tells whom it served, and makes the first of the others lead. */
static void hand_over(kvi_lsm *l, int result)
{
    uint64_t synced = atomic_load(&l->synced_seq);
    kvi_list served;
    kvi_lsm_waiter *next = NULL;

    kvi_list_init(&served);
    kvi_os_mutex_lock(&l->sync_lock);
    KVI_ASSERT(l->sync_leading);
    l->sync_leading = false;
    for (kvi_list *n = l->sync_waiters.next, *after; n != &l->sync_waiters; n = after) {
        kvi_lsm_waiter *w = KVI_CONTAINER_OF(n, kvi_lsm_waiter, link);

        after = n->next;
        if (result < 0 || w->seq <= synced) {
            kvi_list_remove(n);
            kvi_list_push_back(&served, n);
        }
    }
    if (!kvi_list_empty(&l->sync_waiters)) {
        next = KVI_LIST_FIRST(&l->sync_waiters, kvi_lsm_waiter, link);
        kvi_list_remove(&next->link);
    }
    kvi_os_mutex_unlock(&l->sync_lock);
    if (next)
        next->wake(next, KVI_LEAD);
    kvi_lsm_waiters_wake(&served, result);
}

int kvi_lsm_sync(kvi_lsm *l, uint64_t seq, kvi_lsm_waiter *waiter)
{
    int r;

    KVI_ASSERT(seq <= atomic_load(&l->published));
    if (!l->log)
        return kvi_error_set(KV_ENOTSUP, "a store without a log has nothing to sync: flush it");
    if (atomic_load(&l->synced_seq) >= seq)
        return KV_OK;
    kvi_os_mutex_lock(&l->sync_lock);
    if (atomic_load(&l->synced_seq) >= seq) {
        kvi_os_mutex_unlock(&l->sync_lock);
        return KV_OK;
    }
    r = kvi_lsm_check_broken(l);
    if (r == KV_OK && l->sync_leading) {
        waiter->seq = seq;
        kvi_list_push_back(&l->sync_waiters, &waiter->link);
        r = KVI_PENDING;
    }
    if (r == KV_OK)
        l->sync_leading = true;
    kvi_os_mutex_unlock(&l->sync_lock);
    if (r != KV_OK)
        return r;

    r = sync_published(l, seq);
    if (r < 0)
        kvi_lsm_break(l, r);
    hand_over(l, r);
    return r;
}
