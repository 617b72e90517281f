/*
 * Views: what they hold lives as long as they do, and one that is no longer current as long as a
 * reader may be in it.
 */
#include "lsm/view.h"

#include <criterion/criterion.h>

#include "support/lsm_fixture.h"

static kvt_lsm f;

static void setup(void)
{
    kvt_lsm_init(&f, (size_t)16 << 20);
}

static void teardown(void)
{
    kvt_lsm_deinit(&f);
}

static kvi_lsm_memtable *memtable(void)
{
    kvi_lsm_memtable *m = NULL;

    cr_assert_eq(kvi_lsm_memtable_new(&f.s.mem, &f.s.budget, 1000, &m), KV_OK);
    return m;
}

Test(lsm_view, an_empty_one_is_given_up_like_any_other, .init = setup, .fini = teardown)
{
    kvi_lsm_view *v = kvi_lsm_view_new(&f.s.mem);

    cr_assert_not_null(v);
    kvi_lsm_view_unref(v);
    kvt_failmem_arm(&f.s.failmem, 0, true);
    cr_assert_null(kvi_lsm_view_new(&f.s.mem));
    kvt_failmem_disarm(&f.s.failmem);
}

Test(lsm_view, holds_its_parts, .init = setup, .fini = teardown)
{
    size_t held = kvi_budget_held(&f.s.budget, KVI_BUDGET_MEMTABLE), held_all;
    kvi_lsm_memtable *active = memtable(), *imm[KVI_LSM_IMM_MAX];
    kvi_lsm_view *v = kvi_lsm_view_new(&f.s.mem);
    kvi_lsm_version *version = NULL;

    for (uint32_t i = 0; i < KVI_LSM_IMM_MAX; i++)
        imm[i] = memtable();
    cr_assert_eq(kvi_lsm_version_new(&f.s.mem, &version), KV_OK);
    kvi_lsm_view_fill(v, active, imm, KVI_LSM_IMM_MAX, version);
    kvi_lsm_version_unref(version);
    kvi_lsm_memtable_unref(active);
    for (uint32_t i = 0; i < KVI_LSM_IMM_MAX; i++)
        kvi_lsm_memtable_unref(imm[i]);
    held_all = kvi_budget_held(&f.s.budget, KVI_BUDGET_MEMTABLE);
    cr_assert(held_all >= held + (1 + KVI_LSM_IMM_MAX) * 1000);
    cr_assert(v->mem == active && v->imm_count == KVI_LSM_IMM_MAX && v->version == version);

    kvi_lsm_view_ref(v);
    kvi_lsm_view_unref(v);
    cr_assert_eq(kvi_budget_held(&f.s.budget, KVI_BUDGET_MEMTABLE), held_all);
    kvi_lsm_view_unref(v);
    cr_assert_eq(kvi_budget_held(&f.s.budget, KVI_BUDGET_MEMTABLE), held);
}

Test(lsm_view, a_reader_within_its_epoch_keeps_one_that_was_replaced, .init = setup,
     .fini = teardown)
{
    kvi_epoch_guard guard = kvi_epoch_enter(f.l->epoch);
    kvi_lsm_view *before = atomic_load(&f.l->view);
    size_t held = kvi_budget_held(&f.s.budget, KVI_BUDGET_MEMTABLE), held_both;

    kvt_lsm_set_view(&f, memtable(), NULL, 0, kvt_lsm_version(&f, NULL, 0));
    cr_assert(atomic_load(&f.l->view) != before);
    held_both = kvi_budget_held(&f.s.budget, KVI_BUDGET_MEMTABLE);
    cr_assert(held_both >= held + 1000);
    cr_assert_eq(kvi_lsm_memtable_count(before->mem), 0);
    kvi_lsm_view_ref(before); /* and longer, where it takes a reference meanwhile */
    kvi_epoch_leave(f.l->epoch, guard);
    cr_assert_not(kvi_epoch_poll(f.l->epoch), "nothing waits any more");
    cr_assert_eq(kvi_lsm_memtable_count(before->mem), 0);
    kvi_lsm_view_unref(before);
    cr_assert_eq(kvi_budget_held(&f.s.budget, KVI_BUDGET_MEMTABLE), held_both - held);
}
