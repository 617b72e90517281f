/*
 * Which tables to compact next. Leveled compaction (O'Neil et al., "The log-structured
 * merge-tree", 1996, as LevelDB and RocksDB arrange it): level 0 by number of tables, deeper
 * levels by size against a target that grows by level_ratio from level to level. Within a level
 * the table goes first that costs least for what it brings down: fewest bytes of the next level
 * under it, deletes counting for it. Pure: looks at a version, decides, changes nothing.
 */
#ifndef KVI_LSM_PICK_H
#define KVI_LSM_PICK_H

#include "lsm/version.h"

#define KVI_LSM_PICK_NONE UINT32_MAX

typedef struct kvi_lsm_pick {
    uint32_t level; /* from; to level + 1. KVI_LSM_PICK_NONE: nothing needs it */
    bool trivial;   /* the one upper table can move down as it is */
    /* files of the version; level 0: newest first */
    kvi_lsm_file **upper, **lower;
    uint32_t upper_count, lower_count;
} kvi_lsm_pick;

/** Decides. The arrays are borrowed from the version. rewrite: tables of level 0 are not moved as
 *  they are (they are to be compressed). */
void kvi_lsm_pick_compaction(const kvi_lsm_version *v, const kvi_lsm_shape *shape, bool rewrite,
                             kvi_lsm_pick *out);

/** How much a level holds of what it should, in percent; 100 or more wants a compaction. */
uint64_t kvi_lsm_level_score(const kvi_lsm_version *v, const kvi_lsm_shape *shape, uint32_t level);

#endif
