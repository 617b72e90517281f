/*
 * A version out of many edits: what opening does, where applying them one by one would cost the
 * number of edits times the number of tables. Tables are found by number, in a hash table.
 *
 * 1. After each edit it holds what the same edits, applied one by one, would make; that levels are
 *    disjoint is checked at the end alone.
 * 2. It references the files it holds.
 * One thread.
 */
#ifndef KVI_LSM_VERSION_BUILDER_H
#define KVI_LSM_VERSION_BUILDER_H

#include "lsm/version.h"

#define KVI_LSM_BUILDER_MAX (UINT32_C(1) << 26) /* tables that its edits name in all */

typedef struct kvi_lsm_version_builder {
    const kvi_mem *mem;
    struct kvi_lsm_builder_entry {
        uint64_t number;
        kvi_lsm_file *file; /* NULL: removed again */
        uint32_t level;
    } * entries; /* in the order in which the numbers came */
    uint32_t count, cap;
    uint32_t live;   /* entries with a file */
    uint32_t *slots; /* index into entries + 1; 0: free. 2 * cap of them, a power of two */
} kvi_lsm_version_builder;

void kvi_lsm_version_builder_init(kvi_lsm_version_builder *b, const kvi_mem *mem);
void kvi_lsm_version_builder_deinit(kvi_lsm_version_builder *b);

/** KV_ECORRUPT where e removes what is not there, adds what is there already, or makes it too many
 *  tables. After a failure the builder is good for deinit alone. */
int kvi_lsm_version_builder_apply(kvi_lsm_version_builder *b, const kvi_lsm_edit *e) KVI_NODISCARD;

/** What it holds as a version with one reference. KV_ECORRUPT where a level is not disjoint. */
int kvi_lsm_version_builder_finish(const kvi_lsm_version_builder *b, kvi_lsm_version **out)
    KVI_NODISCARD;

#endif
