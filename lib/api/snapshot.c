/*
 * Snapshots: a moment of the store, counted by its owner and by the iterators that read it.
 */
#include "api/check.h"
#include "base/check.h"
#include "base/error.h"

int kv_snapshot(kv *db, kv_snap **out)
{
    kv_snap *snap;
    int err = kvi_api_check_waits(db);

    if (!err)
        err = kvi_api_check_given(out, "out");
    if (!err && db->store->placed)
        err = kvi_error_set(KV_ENOTSUP, "a placed store has no snapshots");
    if (err)
        return err;
    snap = kvi_mem_zalloc(db->store->env.mem, 1, sizeof *snap);
    if (!snap)
        return kvi_error_set(KV_ENOMEM, "cannot allocate %zu bytes for a snapshot", sizeof *snap);
    snap->store = db->store;
    atomic_init(&snap->refs, 1);
    kvi_lsm_snapshot_take(db->store->lsm, &snap->view);
    kvi_api_borrow(db->store, KVI_API_LIVE_SNAPSHOTS);
    *out = snap;
    return KV_OK;
}

void kvi_api_snap_ref(kv_snap *snap)
{
    uint32_t before = atomic_fetch_add(&snap->refs, 1);

    KVI_ASSERT(before > 0);
}

void kvi_api_snap_unref(kv_snap *snap)
{
    kvi_api_store *s = snap->store;
    uint32_t before = atomic_fetch_sub(&snap->refs, 1);

    KVI_ASSERT(before > 0);
    if (before > 1)
        return;
    kvi_lsm_snapshot_drop(s->lsm, &snap->view);
    kvi_mem_free(s->env.mem, snap);
    kvi_api_give_back(s, KVI_API_LIVE_SNAPSHOTS);
}

void kv_snapshot_free(kv_snap *snap)
{
    if (snap && !kvi_os_forked(&snap->store->fork))
        kvi_api_snap_unref(snap);
}
