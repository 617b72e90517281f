/*
 * Snapshots: a sequence number on a list, for compaction to see. Taken under the lock, at what is
 * published then, and put at the back: so the list ascends, and one that compaction did not see is
 * at or above what it took to be published. Dropped in any order.
 */
#include "base/check.h"
#include "lsm/engine.h"

void kvi_lsm_snapshot_take(kvi_lsm *l, kvi_lsm_snapshot *out)
{
    kvi_os_mutex_lock(&l->snapshot_lock);
    out->seq = atomic_load(&l->published);
    KVI_ASSERT(kvi_list_empty(&l->snapshots) ||
               KVI_CONTAINER_OF(l->snapshots.prev, kvi_lsm_snapshot, link)->seq <= out->seq);
    kvi_list_push_back(&l->snapshots, &out->link);
    kvi_os_mutex_unlock(&l->snapshot_lock);
}

void kvi_lsm_snapshot_drop(kvi_lsm *l, kvi_lsm_snapshot *s)
{
    kvi_os_mutex_lock(&l->snapshot_lock);
    kvi_list_remove(&s->link);
    kvi_os_mutex_unlock(&l->snapshot_lock);
}
