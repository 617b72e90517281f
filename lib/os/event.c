/*
 * One thread waits for another; see the header for the contract.
 */
#include "os/event.h"

#include "base/check.h"

void kvi_os_event_init(kvi_os_event *e)
{
    kvi_os_mutex_init(&e->lock, KVI_RANK_EVENT, NULL);
    kvi_os_cond_init(&e->cond);
    e->set = false;
    e->result = KV_OK;
}

void kvi_os_event_deinit(kvi_os_event *e)
{
    kvi_os_cond_deinit(&e->cond);
    kvi_os_mutex_deinit(&e->lock);
}

/* Signals before it unlocks: the waiter cannot return, and free the event, before the lock is
 * open. */
void kvi_os_event_set(kvi_os_event *e, int result)
{
    kvi_os_mutex_lock(&e->lock);
    KVI_ASSERT(!e->set);
    e->set = true;
    e->result = result;
    kvi_os_cond_signal(&e->cond);
    kvi_os_mutex_unlock(&e->lock);
}

static bool is_set(kvi_os_event *e)
{
    bool set;

    kvi_os_mutex_lock(&e->lock);
    set = e->set;
    kvi_os_mutex_unlock(&e->lock);
    return set;
}

int kvi_os_event_wait(kvi_os_event *e, kvi_os_exec *exec)
{
    int result;

    while (exec && !is_set(e) && exec->ops->help(exec))
        ;
    kvi_os_mutex_lock(&e->lock);
    while (!e->set)
        kvi_os_cond_wait(&e->cond, &e->lock);
    result = e->result;
    kvi_os_mutex_unlock(&e->lock);
    return result;
}
