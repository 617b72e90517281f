/*
 * The calls that look after a store or tell about it: sync, flush, statistics.
 */
#include "api/check.h"
#include "api/wait.h"
#include "base/error.h"

int kv_sync(kv *db)
{
    int err = kvi_api_check_waits(db);

    if (err)
        return err;
    if (!kvi_api_logged(db->store))
        return kvi_error_set(
            KV_ENOTSUP,
            "the store was opened without a log (KV_MEMORY); kv_flush() keeps what is in memory");
    return kvi_api_sync(db->store, kvi_lsm_last_seq(db->store->lsm));
}

int kv_flush(kv *db)
{
    int err = kvi_api_check_waits(db);

    return err ? err : kvi_api_flush(db->store);
}

/** The figures that this floor knows. */
static void add_own(kvi_api_store *s, kv_statistics *out)
{
    kvi_api_counters *c = &s->counters;

    out->gets_found = kvi_api_counted(c, KVI_API_GETS_FOUND);
    out->gets = out->gets_found + kvi_api_counted(c, KVI_API_GETS_MISSED);
    out->puts = kvi_api_counted(c, KVI_API_PUTS);
    out->deletes = kvi_api_counted(c, KVI_API_DELETES);
    out->batches = kvi_api_counted(c, KVI_API_BATCHES);
    out->user_bytes_written = kvi_api_counted(c, KVI_API_USER_BYTES);
    out->stalls = kvi_api_counted(c, KVI_API_STALLS);
    out->stall_ns = kvi_api_counted(c, KVI_API_STALL_NS);
    out->snapshots = atomic_load(&s->live[KVI_API_LIVE_SNAPSHOTS]);
    out->iterators = atomic_load(&s->live[KVI_API_LIVE_ITERATORS]);
}

int kv_stats(kv *db, kv_statistics *stats)
{
    kv_statistics all = KV_STATISTICS_INIT;
    int err = kvi_api_check_handle(db);

    if (!err)
        err = kvi_api_check_given(stats, "stats");
    if (!err)
        err = kvi_api_check_struct("kv_statistics", stats->size, sizeof *stats, stats->flags, 0);
    if (err)
        return err;
    kvi_lsm_stats(db->store->lsm, &all);
    add_own(db->store, &all);
    *stats = all;
    return KV_OK;
}
