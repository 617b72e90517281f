/*
 * Cursors made of cursors: a level (tables side by side) and a merge (sources on top of each
 * other).
 */
#ifndef KVI_LSM_MERGE_H
#define KVI_LSM_MERGE_H

#include "lsm/tables.h"

#define KVI_LSM_MERGE_MAX 1024u /* sources */

/** Over the files of one level from 1 on, or any list of disjoint files ascending by key. files
 *  stays the caller's and outlives the cursor, each file referenced by it (through a version).
 *  Opens one table at a time. */
int kvi_lsm_level_cursor(kvi_lsm_tables *t, kvi_lsm_file *const *files, uint32_t count,
                         enum kvi_sst_scan how, kvi_cursor **out) KVI_NODISCARD;

/** Over count sources, whose entries are all distinct. Takes the cursors over (closes them), also
 *  on failure. Moves in both directions. count 0: an empty cursor; count 1: that source itself. */
int kvi_lsm_merge_cursor(const kvi_mem *mem, kvi_cursor **sources, uint32_t count, kvi_cursor **out)
    KVI_NODISCARD;

#endif
