/*
 * The manifest: the durable record of versions. One journal of edits, named by the file CURRENT.
 * One thread at a time (the manifest lock).
 *
 * 1. An edit is in force once it is appended and synced; only then may files it removes be deleted.
 * 2. A roll writes the whole state to a new manifest, syncs it and its name, then switches CURRENT
 *    by a synced rename. At every moment CURRENT names a complete manifest.
 * 3. A failed write or sync of an append breaks the manifest, and so does a roll that failed at its
 *    rename or later: every further append and roll is refused with that error. Opening rolls.
 * 4. Broken, the last edit may be on the disk or not, and so may the new manifest: no file that
 *    either state needs may be deleted any more, neither what the edit added nor what it removed.
 * 5. The watermark follows each sync, so that damage to an edit in force is told from a torn one.
 */
#ifndef KVI_LSM_MANIFEST_H
#define KVI_LSM_MANIFEST_H

#include "lsm/current.h"
#include "lsm/journal.h"
#include "lsm/manifest_format.h"
#include "lsm/version.h"

#define KVI_LSM_MANIFEST_ROLL (UINT64_C(4) << 20) /* bytes at which a manifest is rolled */

/** The identity of a store, fixed at its creation. */
typedef struct kvi_lsm_store {
    uint8_t id[16];
    uint8_t layout;
    uint64_t filter_seed;  /* secret: key hashes */
    uint64_t context_seed; /* secret: MACs of contexts */
} kvi_lsm_store;

/** What a manifest says in all. */
typedef struct kvi_lsm_state {
    kvi_lsm_store store;
    uint64_t flushed_seq, log_floor, next_file;
    kvi_lsm_version *version; /* owned */
} kvi_lsm_state;

typedef struct kvi_lsm_manifest {
    const kvi_mem *mem;
    kvi_os_dir *dir; /* borrowed */
    kvi_lsm_journal journal;
    uint64_t end;      /* where the next record goes */
    uint64_t full_end; /* where the record of the whole state ends */
    int broken;        /* KV_OK, or the error for ever */
} kvi_lsm_manifest;

/** Reads the manifest that CURRENT names into *out; next_file is above every number it names.
 *  Errors as of kvi_lsm_current_read. File objects get on_obsolete and user; on failure it was told
 *  of none. Changes nothing on disk. */
int kvi_lsm_manifest_load(const kvi_mem *mem, kvi_os_dir *dir, kvi_lsm_obsolete_fn *on_obsolete,
                          void *user, kvi_lsm_state *out) KVI_NODISCARD;

/** Nothing open; the first roll opens it. */
void kvi_lsm_manifest_init(kvi_lsm_manifest *m, const kvi_mem *mem, kvi_os_dir *dir);

/** Writes state to a new manifest, number manifest_no, and makes CURRENT name it (invariant 2). No
 *  manifest of the store had that number; what a crash left under it is replaced. On success m is
 *  open for appends (what it had open is closed); the old manifest's file is not deleted here. On
 *  failure before the rename, m is as it was. */
int kvi_lsm_manifest_roll(kvi_lsm_manifest *m, const kvi_lsm_state *state, uint64_t manifest_no)
    KVI_NODISCARD;

/** Whether it is time to roll: long, and more than half of it edits. */
bool kvi_lsm_manifest_is_long(const kvi_lsm_manifest *m);

/** Appends the edit and syncs it. An edit that changes nothing is not written. KV_ENOMEM and
 *  KV_ETOOBIG leave m as it was. */
int kvi_lsm_manifest_append(kvi_lsm_manifest *m, const kvi_lsm_edit *e) KVI_NODISCARD;
void kvi_lsm_manifest_close(kvi_lsm_manifest *m);

#endif
