/*
 * The cleaner deletes tables that no version holds any more. Letting go of a version happens on
 * readers' threads, which may not pay for a deletion: they put the file on a list, and the cleaner
 * does the rest.
 *
 * 1. Only doomed files are deleted: those an edit in force has removed, or whose edit never came
 *    into force. Others are forgotten with the engine.
 * 2. A file that cannot be deleted is deleted by the next open, as an orphan.
 */
#include "base/check.h"
#include "lsm/engine.h"
#include "lsm/names.h"

void kvi_lsm_file_obsolete(kvi_lsm_file *f, void *lsm)
{
    kvi_lsm *l = lsm;
    kvi_lsm_file *head = atomic_load(&l->trash);

    KVI_ASSERT(atomic_load(&f->refs) == 0);
    do {
        f->next_trash = head;
    } while (!atomic_compare_exchange_weak(&l->trash, &head, f));
    kvi_lsm_task_request(&l->clean_task);
}

void kvi_lsm_clean_run(void *lsm)
{
    kvi_lsm *l = lsm;
    kvi_lsm_file *f;

    if (l->epoch)
        (void)kvi_epoch_poll(l->epoch);
    f = atomic_exchange(&l->trash, NULL);
    while (f) {
        kvi_lsm_file *next = f->next_trash;
        kvi_lsm_name name;

        kvi_lsm_tables_forget(&l->tables, f);
        if (atomic_load(&f->doomed)) {
            kvi_sst_cache_drop_file(l->cache, f->number);
            kvi_lsm_name_table(name, f->number);
            if (l->dir->ops->unlink(l->dir, name) < 0)
                kvi_os_log(&l->env, KV_LOG_WARN, "an obsolete table could not be deleted: %s",
                           kvi_error_detail());
        }
        kvi_mem_free(l->mem, f);
        f = next;
    }
}
