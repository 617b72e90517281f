/*
 * A full memtable steps aside: it waits in the view for its flush, and a new one takes the writes.
 */
#include "base/check.h"
#include "lsm/engine.h"

int kvi_lsm_rotate(kvi_lsm *l, size_t need)
{
    kvi_lsm_memtable *fresh = NULL, *imm[KVI_LSM_IMM_MAX];
    kvi_lsm_view *next, *old;
    int r;

    KVI_ASSERT(kvi_os_mutex_held(&l->write_lock) && l->imm_count < KVI_LSM_IMM_MAX);
    next = kvi_lsm_view_new(l->mem);
    if (!next)
        return kvi_error_set(KV_ENOMEM, "no memory for a memtable");
    r = kvi_lsm_memtable_new(l->mem, l->budget, kvi_max_size(l->shape.memtable_bytes, need),
                             &fresh);
    if (r < 0) {
        kvi_lsm_view_unref(next);
        return r;
    }

    old = atomic_load(&l->view);
    KVI_ASSERT(old->imm_count == l->imm_count && old->mem == l->active);
    imm[0] = old->mem;
    for (uint32_t i = 0; i < old->imm_count; i++)
        imm[i + 1] = old->imm[i];
    kvi_lsm_view_fill(next, fresh, imm, old->imm_count + 1, old->version);
    atomic_store(&l->view, next);

    for (uint32_t i = l->imm_count; i > 0; i--)
        l->imm_last_seq[i] = l->imm_last_seq[i - 1];
    l->imm_last_seq[0] = l->next_seq - 1;
    l->imm_count++;
    l->active = fresh;
    kvi_lsm_memtable_unref(fresh); /* the view has it */
    kvi_lsm_view_retire(l->epoch, old);
    if (l->imm_last_seq[l->imm_count - 1] <= atomic_load(&l->published))
        kvi_lsm_task_request(&l->flush_task);
    return KV_OK;
}
