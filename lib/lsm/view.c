/*
 * Views; see the header for the contract.
 */
#include "lsm/view.h"

#include "base/check.h"

kvi_lsm_view *kvi_lsm_view_new(const kvi_mem *mem)
{
    kvi_lsm_view *v = kvi_mem_zalloc(mem, 1, sizeof *v);

    if (!v)
        return NULL;
    atomic_init(&v->refs, 1);
    v->mem_alloc = mem;
    return v;
}

void kvi_lsm_view_fill(kvi_lsm_view *v, kvi_lsm_memtable *active, kvi_lsm_memtable *const *imm,
                       uint32_t imm_count, kvi_lsm_version *version)
{
    KVI_ASSERT(!v->mem && !v->version);
    KVI_ASSERT(imm_count <= KVI_LSM_IMM_MAX);
    kvi_lsm_memtable_ref(active);
    v->mem = active;
    for (uint32_t i = 0; i < imm_count; i++) {
        kvi_lsm_memtable_ref(imm[i]);
        v->imm[i] = imm[i];
    }
    v->imm_count = imm_count;
    kvi_lsm_version_ref(version);
    v->version = version;
}

void kvi_lsm_view_ref(kvi_lsm_view *v)
{
    uint32_t before = atomic_fetch_add_explicit(&v->refs, 1, memory_order_relaxed);

    KVI_ASSERT(before > 0);
}

void kvi_lsm_view_unref(kvi_lsm_view *v)
{
    uint32_t before = atomic_fetch_sub_explicit(&v->refs, 1, memory_order_acq_rel);

    KVI_ASSERT(before > 0);
    if (before > 1)
        return;
    kvi_lsm_memtable_unref(v->mem);
    for (uint32_t i = 0; i < v->imm_count; i++)
        kvi_lsm_memtable_unref(v->imm[i]);
    kvi_lsm_version_unref(v->version);
    kvi_mem_free(v->mem_alloc, v);
}

static void release(kvi_retired *retired)
{
    kvi_lsm_view_unref(KVI_CONTAINER_OF(retired, kvi_lsm_view, retired));
}

void kvi_lsm_view_retire(kvi_epoch *e, kvi_lsm_view *v)
{
    kvi_epoch_retire(e, &v->retired, release);
}
