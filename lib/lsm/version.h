/*
 * Versions: which tables make up the store, level by level. A version is immutable and counted; an
 * edit makes the next one.
 *
 * 1. Level 0: newest first (by highest sequence); key ranges may overlap. Deeper levels: ascending
 *    by key, disjoint in keys: all entries of one key are in one table of a level.
 * 2. Data in a lower-numbered level is newer, for each key.
 * 3. A file object is shared by all versions that hold it; when the last one lets go, its table is
 *    obsolete: on_obsolete is called.
 * 4. A version holds a number once.
 * 5. Built and edited by one thread at a time (whoever holds the manifest lock); read by any.
 */
#ifndef KVI_LSM_VERSION_H
#define KVI_LSM_VERSION_H

#include <stdatomic.h>

#include "base/buf.h"
#include "lsm/lsm.h"

#define KVI_LSM_FILES_MAX        1000000u            /* tables of a store */
#define KVI_LSM_FILE_NO_MAX      (UINT64_MAX >> 8)   /* file numbers */
#define KVI_LSM_FILE_BYTES_MAX   (UINT64_C(1) << 42) /* of a table: no sum over a store overflows */
#define KVI_LSM_FILE_ENTRIES_MAX (UINT64_C(1) << 42) /* the same */

typedef struct kvi_lsm_file kvi_lsm_file;
struct kvi_lsm_table; /* tables.h */

/** Told when nothing holds f any more. Frees f, in the end, by kvi_mem_free. Any thread. */
typedef void kvi_lsm_obsolete_fn(kvi_lsm_file *f, void *user);

/** A table as the versions know it. */
struct kvi_lsm_file {
    _Atomic uint32_t refs;
    uint64_t number, size, entries, deletes, seq_min, seq_max;
    kvi_slice smallest, largest;           /* keys, in the same allocation */
    _Atomic(struct kvi_lsm_table *) table; /* open table or NULL; see tables.h */
    _Atomic bool doomed;      /* an edit in force removed it: its file is to be deleted */
    kvi_lsm_file *next_trash; /* the engine's, once it is obsolete */
    kvi_lsm_obsolete_fn *on_obsolete;
    void *user;
};

typedef struct kvi_lsm_file_info {
    uint64_t number, size, entries, deletes, seq_min, seq_max;
    kvi_slice smallest, largest;
} kvi_lsm_file_info;

/** NULL where this can be a table: all within limits, in order, with keys. Else why not. */
const char *kvi_lsm_file_info_fault(const kvi_lsm_file_info *info);

/** info is without fault and copied, its keys too. One reference is the caller's. NULL: no memory. */
kvi_lsm_file *kvi_lsm_file_new(const kvi_mem *mem, const kvi_lsm_file_info *info,
                               kvi_lsm_obsolete_fn *on_obsolete, void *user);
void kvi_lsm_file_ref(kvi_lsm_file *f);
void kvi_lsm_file_unref(kvi_lsm_file *f);

typedef struct kvi_lsm_version {
    _Atomic uint32_t refs;
    const kvi_mem *mem;
    struct {
        kvi_lsm_file **files;
        uint32_t count;
        uint64_t bytes;
    } level[KVI_LSM_LEVELS];
} kvi_lsm_version;

/** What one change does: removes first, then adds. So a file moves by both, under its number. Added
 *  files carry a reference each, which is the edit's until its end. */
typedef struct kvi_lsm_edit {
    struct kvi_lsm_edit_add {
        uint32_t level;
        kvi_lsm_file *file;
    } * adds;
    struct kvi_lsm_edit_remove {
        uint32_t level;
        uint64_t number;
    } * removes;
    uint32_t add_count, remove_count, add_cap, remove_cap;
    const kvi_mem *mem;
    /* 0: unchanged */
    uint64_t flushed_seq; /* everything up to here is in tables */
    uint64_t log_floor;   /* log segments below are not needed */
    uint64_t next_file;   /* file numbers from here on were never used */
} kvi_lsm_edit;

void kvi_lsm_edit_init(kvi_lsm_edit *e, const kvi_mem *mem);
/** Gives its references to files up: one that was not applied drops them. */
void kvi_lsm_edit_deinit(kvi_lsm_edit *e);
/** Takes the reference, also on failure. */
int kvi_lsm_edit_add(kvi_lsm_edit *e, uint32_t level, kvi_lsm_file *file) KVI_NODISCARD;
int kvi_lsm_edit_remove(kvi_lsm_edit *e, uint32_t level, uint64_t number) KVI_NODISCARD;

/** An empty version with one reference. */
int kvi_lsm_version_new(const kvi_mem *mem, kvi_lsm_version **out) KVI_NODISCARD;

/** base changed by e, with one reference; base and e stay as they are (files are referenced).
 *  KV_ECORRUPT where e removes what is not there or adds what breaks invariant 1 or 4; KV_ENOSPC:
 *  more than KVI_LSM_FILES_MAX. */
int kvi_lsm_version_apply(kvi_lsm_version *base, const kvi_lsm_edit *e, kvi_lsm_version **out)
    KVI_NODISCARD;
void kvi_lsm_version_ref(kvi_lsm_version *v);
void kvi_lsm_version_unref(kvi_lsm_version *v); /* NULL is allowed */

/** In a level from 1 on: index of the first file whose largest key >= key; count where there is
 *  none. */
uint32_t kvi_lsm_version_find(const kvi_lsm_version *v, uint32_t level, kvi_slice key);

/** Whether a file of the level may hold keys within [smallest, largest]. */
bool kvi_lsm_version_overlaps(const kvi_lsm_version *v, uint32_t level, kvi_slice smallest,
                              kvi_slice largest);

#endif
