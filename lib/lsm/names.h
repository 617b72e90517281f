/*
 * The names of a store's files: LOCK, CURRENT, CURRENT.tmp, MANIFEST-000001, 000002.log,
 * 000003.sst. Pure.
 */
#ifndef KVI_LSM_NAMES_H
#define KVI_LSM_NAMES_H

#include "os/fs.h"

#define KVI_LSM_NAME_LOCK        "LOCK"
#define KVI_LSM_NAME_CURRENT     "CURRENT"
#define KVI_LSM_NAME_CURRENT_TMP "CURRENT.tmp"

enum kvi_lsm_name_kind {
    KVI_LSM_NAME_OTHER, /* not ours: never touched */
    KVI_LSM_NAME_IS_LOCK,
    KVI_LSM_NAME_IS_CURRENT,
    KVI_LSM_NAME_IS_TMP,
    KVI_LSM_NAME_IS_MANIFEST,
    KVI_LSM_NAME_IS_LOG,
    KVI_LSM_NAME_IS_TABLE
};

typedef char kvi_lsm_name[KVI_OS_NAME_MAX + 1];

void kvi_lsm_name_manifest(kvi_lsm_name out, uint64_t number);
void kvi_lsm_name_log(kvi_lsm_name out, uint64_t number);
void kvi_lsm_name_table(kvi_lsm_name out, uint64_t number);

/** What a name in the directory is; *number where it has one. Only names exactly as we make them
 *  are ours. */
enum kvi_lsm_name_kind kvi_lsm_name_parse(const char *name, uint64_t *number);

#endif
