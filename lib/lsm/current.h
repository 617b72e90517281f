/*
 * CURRENT: the file that makes a directory a store, and names its manifest (the bytes:
 * manifest_format.h). It is replaced as a whole, by a synced rename; so one that is short or does
 * not check is damage, never a creation that was cut short.
 */
#ifndef KVI_LSM_CURRENT_H
#define KVI_LSM_CURRENT_H

#include "os/fs.h"

/** Reads CURRENT: KV_OK; KV_ENOENT: no store here; KV_EFORMAT; KV_ECORRUPT. Changes nothing. */
int kvi_lsm_current_read(kvi_os_dir *dir, uint8_t store_id[16], uint64_t *manifest_no)
    KVI_NODISCARD;

/** Writes and syncs CURRENT.tmp, in place of one that a crash left. */
int kvi_lsm_current_prepare(kvi_os_dir *dir, const uint8_t store_id[16], uint64_t manifest_no)
    KVI_NODISCARD;

/** Makes what was prepared CURRENT, durably. After a failure either may be on the disk. */
int kvi_lsm_current_switch(kvi_os_dir *dir) KVI_NODISCARD;

#endif
