/*
 * Waking those who wait: for room, for a flush, for an answer. Waiters are in their callers'
 * memory, linked under a lock, and woken with no lock held, since what they do next is theirs.
 * Also the place where failures of the background are kept for those who are told of them.
 */
#include <stdio.h>

#include "base/check.h"
#include "lsm/engine.h"

void kvi_lsm_waiters_take(kvi_list *from, kvi_list *to)
{
    kvi_list_init(to);
    while (!kvi_list_empty(from)) {
        kvi_list *n = from->next;

        kvi_list_remove(n);
        kvi_list_push_back(to, n);
    }
}

void kvi_lsm_waiters_wake(kvi_list *waiters, int result)
{
    while (!kvi_list_empty(waiters)) {
        kvi_lsm_waiter *w = KVI_LIST_FIRST(waiters, kvi_lsm_waiter, link);

        kvi_list_remove(&w->link);
        w->wake(w, result);
    }
}

static void wake_list(kvi_lsm *l, kvi_list *list, int result)
{
    kvi_list woken;

    kvi_os_mutex_lock(&l->write_lock);
    if (result < 0)
        (void)snprintf(l->failure, sizeof l->failure, "%s", kvi_error_detail());
    kvi_lsm_waiters_take(list, &woken);
    kvi_os_mutex_unlock(&l->write_lock);
    kvi_lsm_waiters_wake(&woken, result);
}

void kvi_lsm_unstall(kvi_lsm *l)
{
    wake_list(l, &l->stalled, KVI_AGAIN);
}

void kvi_lsm_unstall_idle(void *lsm)
{
    kvi_lsm *l = lsm;

    if (atomic_load(&l->crew.running) == 0)
        kvi_lsm_unstall(l);
}

void kvi_lsm_fail_stalled(kvi_lsm *l, int err)
{
    KVI_ASSERT(err < 0);
    wake_list(l, &l->stalled, err);
}

void kvi_lsm_fail_flushes(kvi_lsm *l, int err)
{
    KVI_ASSERT(err < 0);
    wake_list(l, &l->flush_waiters, err);
}

void kvi_lsm_break(kvi_lsm *l, int err)
{
    int none = KV_OK;

    KVI_ASSERT(err < 0);
    atomic_compare_exchange_strong(&l->broken, &none, err);
    kvi_os_log(&l->env, KV_LOG_ERROR, "the store takes no more writes until it is opened again: %s",
               kvi_error_detail());
    kvi_lsm_fail_stalled(l, err);
    kvi_lsm_fail_flushes(l, err);
}

bool kvi_lsm_is_broken(kvi_lsm *l)
{
    return atomic_load_explicit(&l->broken, memory_order_acquire) != KV_OK;
}

int kvi_lsm_check_broken(kvi_lsm *l)
{
    int err = atomic_load_explicit(&l->broken, memory_order_acquire);

    if (KVI_LIKELY(err == KV_OK))
        return KV_OK;
    return kvi_error_set(
        err, "the log or the manifest could not be written or synced: no write is taken until the "
             "store is opened again");
}

int kvi_lsm_explain(kvi_lsm *l, int err)
{
    char failure[KVI_ERROR_DETAIL_MAX];

    KVI_ASSERT(err < 0);
    kvi_os_mutex_lock(&l->write_lock);
    (void)snprintf(failure, sizeof failure, "%s", l->failure);
    kvi_os_mutex_unlock(&l->write_lock);
    return kvi_error_set(err, "%s", failure);
}
