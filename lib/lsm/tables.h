/*
 * The open tables of a store: each table file is opened at its first use and closed when too many
 * are open, or when nobody needs it.
 *
 * 1. f->table is the open table, or NULL. Readers within an epoch use what they load from it
 *    without a reference; who keeps one longer takes a reference within the epoch.
 * 2. An evicted table is unlinked from its file first and retired through the epoch; the last
 *    reference closes it.
 * 3. At most KVI_LSM_TABLES_OPEN tables are open and a quarter of the budget is held by their
 *    indexes and filters, beyond those in use.
 */
#ifndef KVI_LSM_TABLES_H
#define KVI_LSM_TABLES_H

#include "base/epoch.h"
#include "lsm/version.h"
#include "os/env.h"
#include "sstable/table.h"

#define KVI_LSM_TABLES_OPEN 256u

typedef struct kvi_lsm_table {
    kvi_retired retired;
    _Atomic uint32_t refs;
    _Atomic bool used; /* since the clock hand last passed */
    kvi_sst_table *table;
    kvi_lsm_file *file; /* not counted: a file closes its table before it goes */
    kvi_list link;      /* in the clock */
    const kvi_mem *mem;
} kvi_lsm_table;

typedef struct kvi_lsm_tables {
    const kvi_os_env *env;
    const kvi_sst_context *sst;
    kvi_os_dir *dir;   /* borrowed */
    kvi_epoch *epoch;  /* borrowed */
    kvi_os_mutex lock; /* rank TABLES: the clock; held over no I/O */
    kvi_list clock;
    uint32_t open_count;
    size_t memory, memory_max; /* of indexes and filters in the clock */
} kvi_lsm_tables;

void kvi_lsm_tables_init(kvi_lsm_tables *t, const kvi_os_env *env, const kvi_sst_context *sst,
                         kvi_os_dir *dir, kvi_epoch *epoch);
/** Every file's table was closed. */
void kvi_lsm_tables_deinit(kvi_lsm_tables *t);

/** The file's open table, opening it where needed. The caller is within an epoch and uses it no
 *  longer than that. memory_only: KVI_AGAIN instead of opening. */
int kvi_lsm_tables_get(kvi_lsm_tables *t, kvi_lsm_file *f, bool memory_only, kvi_lsm_table **out)
    KVI_NODISCARD;

void kvi_lsm_table_ref(kvi_lsm_table *t);
void kvi_lsm_table_unref(kvi_lsm_table *t);

/** Closes the table of a file that is going: no reader has it. */
void kvi_lsm_tables_forget(kvi_lsm_tables *t, kvi_lsm_file *f);

/** A cursor over one table file that keeps the table open until its close. */
int kvi_lsm_tables_cursor(kvi_lsm_tables *t, kvi_lsm_file *f, enum kvi_sst_scan how,
                          kvi_cursor **out) KVI_NODISCARD;

#endif
