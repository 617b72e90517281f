/*
 * Scans: pages of the engine's order, read on the executor. An iterator lives only inside one job.
 */
#include "base/bytes.h"
#include "base/check.h"
#include "node/storage_job.h"

typedef struct scan_job {
    kvi_storage_job base;
    kvi_store_scan *scan;
} scan_job;

static int append_piece(kvi_buf *out, kvi_slice piece)
{
    uint8_t len[KVI_VARINT64_MAX];
    int err = kvi_buf_append(out, len, (size_t)(kvi_put_varint(len, piece.len) - len));

    return err ? err : kvi_buf_append(out, piece.data, piece.len);
}

static int append_entry(kvi_store_scan *c, const kvi_lsm_entry *e)
{
    size_t before = c->entries->len;
    int err = append_piece(c->entries, e->key);

    if (!err)
        err = append_piece(c->entries, e->value);
    if (err)
        c->entries->len = before;
    else
        c->count++;
    return err;
}

static int fill(kvi_store_scan *c, kvi_lsm_iter *it)
{
    for (;;) {
        kvi_lsm_entry e;
        int err = kvi_lsm_iter_next(it, &e);

        if (err)
            return err == KV_ENOTFOUND ? KV_OK : err;
        if (c->count == c->limit ||
            (c->count > 0 && c->entries->len + e.key.len + e.value.len > c->bytes_max)) {
            c->more = true;
            return KV_OK;
        }
        err = append_entry(c, &e);
        if (err)
            return err;
    }
}

static void scan_run(kvi_storage_job *job)
{
    kvi_store_scan *c = KVI_CONTAINER_OF(job, scan_job, base)->scan;
    kvi_lsm_bounds bounds = {c->from, c->to};
    kvi_lsm_iter *it;

    c->err = kvi_lsm_iter_open(job->storage->lsm, &bounds, KVI_LSM_SEQ_LATEST, &it);
    if (c->err)
        return;
    c->err = fill(c, it);
    kvi_lsm_iter_close(it);
}

static void scan_back(kvi_storage_job *job)
{
    scan_job *j = KVI_CONTAINER_OF(job, scan_job, base);
    kvi_storage *s = job->storage;

    kvi_list_push_back(&s->scans, &j->scan->link);
    kvi_mem_free(s->env->mem, j);
}

void kvi_storage_scan(kvi_storage *s, kvi_store_scan *c)
{
    scan_job *j = s->closing ? NULL : kvi_mem_alloc(s->env->mem, sizeof *j);

    KVI_ASSERT(c->limit > 0);
    kvi_buf_clear(c->entries);
    c->count = 0;
    c->more = false;
    if (!j) {
        c->err = s->closing ? KV_ECANCELED : KV_ENOMEM;
        kvi_list_push_back(&s->scans, &c->link);
        return;
    }
    j->scan = c;
    kvi_storage_job_begin(s, &j->base, scan_run, scan_back);
}
