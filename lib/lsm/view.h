/*
 * A view: everything a reader needs, at one moment: the memtable that takes writes, those that wait
 * to be flushed, and the version of the tables. Immutable. Replaced as a whole; the old one goes
 * when no reader is left.
 *
 * 1. The current view is loaded within an epoch (base/epoch.h) and used no longer than that, or
 *    referenced within it.
 * 2. A reader loads the view first and the published sequence after: then all of its version's
 *    entries that a compaction has dropped were hidden at that sequence, and what a newer memtable
 *    holds is later than the call.
 * 3. imm[0] is the newest. Data in mem is newer than in imm[0], that newer than in imm[1] …, those
 *    newer than the version, for each key.
 */
#ifndef KVI_LSM_VIEW_H
#define KVI_LSM_VIEW_H

#include "base/epoch.h"
#include "lsm/memtable.h"
#include "lsm/version.h"

#define KVI_LSM_IMM_MAX 2u /* memtables that wait for their flush */

typedef struct kvi_lsm_view {
    kvi_retired retired;
    _Atomic uint32_t refs;
    const kvi_mem *mem_alloc;
    kvi_lsm_memtable *mem;
    kvi_lsm_memtable *imm[KVI_LSM_IMM_MAX];
    uint32_t imm_count;
    kvi_lsm_version *version;
} kvi_lsm_view;

/** An empty view with one reference; NULL: no memory. Taken before a change is in force, so that
 *  the change cannot fail afterwards. */
kvi_lsm_view *kvi_lsm_view_new(const kvi_mem *mem) KVI_NODISCARD;

/** Fills an empty view, which takes references of its own to the parts. */
void kvi_lsm_view_fill(kvi_lsm_view *v, kvi_lsm_memtable *active, kvi_lsm_memtable *const *imm,
                       uint32_t imm_count, kvi_lsm_version *version);
void kvi_lsm_view_ref(kvi_lsm_view *v);
void kvi_lsm_view_unref(kvi_lsm_view *v);

/** Retires a view that is no longer current: its reference is given up after the grace period. */
void kvi_lsm_view_retire(kvi_epoch *e, kvi_lsm_view *v);

#endif
