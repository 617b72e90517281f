/*
 * How a version is put together: for what makes versions (version_apply.c, version_builder.c).
 *
 * allocate -> fill in the levels -> sort -> seal. Before it is sealed it references no file and is
 * freed by kvi_mem_free.
 */
#ifndef KVI_LSM_VERSION_IMPL_H
#define KVI_LSM_VERSION_IMPL_H

#include "lsm/version.h"

/** An empty version with one reference, with room for cap[level] files in each level. NULL: no
 *  memory (with a detail). */
kvi_lsm_version *kvi_lsm_version_alloc(const kvi_mem *mem, const uint32_t cap[KVI_LSM_LEVELS]);

/** The order of a level's files. */
int kvi_lsm_file_order(uint32_t level, const kvi_lsm_file *a, const kvi_lsm_file *b);
void kvi_lsm_files_sort(kvi_lsm_file **files, uint32_t count, uint32_t level);

/** Checks that the sorted levels are disjoint and adds up their bytes; then references every file.
 *  KV_ECORRUPT, KV_ENOSPC as kvi_lsm_version_apply. */
int kvi_lsm_version_seal(kvi_lsm_version *v) KVI_NODISCARD;

#endif
