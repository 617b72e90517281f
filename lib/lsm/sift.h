/*
 * What a flush or a compaction may leave out: entries that no reader, present or future, can tell
 * from absent.
 *
 * Entries are asked in order, newest of a key first. An entry is kept if some snapshot (or a
 * reader of now) sees it: if there is a snapshot s with seq <= s that the next newer entry of the
 * key is above. What deletes (a delete, or a value that has expired) is left out as well once
 * every reader sees it and nothing older of its key can lie beneath the output; else it stays, an
 * expired value as a delete.
 */
#ifndef KVI_LSM_SIFT_H
#define KVI_LSM_SIFT_H

#include "base/buf.h"
#include "lsm/lsm.h"

/** Whether an older entry of key may lie in a table that the work does not read. */
typedef bool kvi_lsm_beneath_fn(void *user, kvi_slice key);

typedef struct kvi_lsm_sift {
    kvi_buf snapshots; /* uint64_t, ascending, the last one is the newest readable sequence */
    int64_t now_ms;
    kvi_lsm_beneath_fn *beneath;
    void *user;
    kvi_buf key;    /* of the last entry */
    bool any;       /* there was a last entry */
    uint64_t newer; /* its sequence */
} kvi_lsm_sift;

/** Takes the snapshots of now. The caller deinits it, also after a failure. */
int kvi_lsm_sift_init(kvi_lsm_sift *s, kvi_lsm *l, kvi_lsm_beneath_fn *beneath, void *user)
    KVI_NODISCARD;
void kvi_lsm_sift_deinit(kvi_lsm_sift *s);

/** *keep: whether the entry stays; then *tag and *value are what is to be written. KV_ENOMEM. */
int kvi_lsm_sift_next(kvi_lsm_sift *s, kvi_slice key, uint64_t *tag, kvi_slice *value, bool *keep)
    KVI_NODISCARD;

#endif
