/*
 * A table being written by a flush or a compaction: created, filled, synced; or deleted again. One
 * thread.
 *
 * 1. Until finish returned KV_OK nothing refers to the file, and abandon deletes it.
 * 2. The directory is not synced here: one sync serves all outputs of a change, before it is
 *    installed.
 */
#ifndef KVI_LSM_OUTPUT_H
#define KVI_LSM_OUTPUT_H

#include "lsm/version.h"
#include "os/fs.h"
#include "sstable/builder.h"

typedef struct kvi_lsm_output {
    kvi_lsm *lsm; /* NULL: nothing is open */
    uint64_t number;
    kvi_os_file *file;
    kvi_sst_builder *builder;
} kvi_lsm_output;

/** Begins a table for a level. */
int kvi_lsm_output_open(kvi_lsm_output *o, kvi_lsm *l, uint32_t level) KVI_NODISCARD;

/** Completes and syncs it; *out has one reference, the caller's. On failure the file is deleted.
 *  Either way nothing is open afterwards. */
int kvi_lsm_output_finish(kvi_lsm_output *o, kvi_lsm_file **out) KVI_NODISCARD;

/** Deletes what was begun. */
void kvi_lsm_output_abandon(kvi_lsm_output *o);

#endif
