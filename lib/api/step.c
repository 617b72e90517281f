/*
 * The host's own loop: kv_step(), and how it learns when to call it.
 *
 * | store            | what kv_step() runs                     | what kv_pollfd() shows |
 * |------------------|-----------------------------------------|------------------------|
 * | stepped, placed  | jobs where no workers, node, callbacks  | the node's             |
 * | stepped, ordered | jobs where no workers, turns, callbacks | calls.wake             |
 * | threaded, callbacks in step | callbacks                    | calls.wake             |
 * | threaded         | it is refused                           | none                   |
 */
#include "api/call.h"
#include "api/check.h"
#include "api/placed.h"
#include "base/error.h"

#define JOBS_AT_ONCE 16u   /* of the executor, before the node gets its turn again */
#define ROUNDS_MAX   1024u /* of one kv_step(), which also ends where no time passes */

/** The executor has a job that is for kv_step() to run. */
static bool job_waits(const kvi_api_store *s)
{
    return s->host_works && kvi_os_step_exec_waiting(s->env.exec);
}

static bool anything_waits(kvi_api_store *s)
{
    if (kvi_api_deliverable(s))
        return true;
    if (!s->stepped)
        return false;
    return job_waits(s) || (s->node ? kvi_node_deadline(s->node) == 0 : kvi_api_runner_waiting(s));
}

/** Until the time is over; each of them is bounded (os/exec.h). */
static bool run_jobs(kvi_api_store *s, uint64_t budget_ns)
{
    uint64_t begin = kvi_os_mono_ns(s->env.clock);
    unsigned ran = 0;

    while (ran < JOBS_AT_ONCE && kvi_api_help(s)) {
        ran++;
        if (budget_ns > 0 && kvi_os_mono_ns(s->env.clock) - begin >= budget_ns)
            break;
    }
    return ran > 0;
}

/** What is ready, once. */
static void round_once(kvi_api_store *s, uint64_t budget_ns)
{
    if (!s->stepped)
        return;
    if (s->node)
        kvi_node_step(s->node, 0, budget_ns);
    else
        (void)kvi_api_runner_turn(s);
    /* What that asked of the disk, and then what came of it. */
    if (run_jobs(s, budget_ns) && s->node)
        kvi_node_step(s->node, 0, 0);
}

static int check_steps(const kv *db)
{
    int err = kvi_api_check_waits(db);

    if (err || db->store->callbacks_in_step)
        return err;
    return kvi_error_set(KV_ENOTSUP,
                         "the store runs by itself (KV_THREADED), and its callbacks too: "
                         "KV_CALLBACKS_IN_STEP is not set");
}

int kv_step(kv *db, uint64_t budget_ns)
{
    kvi_api_store *s;
    uint64_t begin, spent = 0;
    int err = check_steps(db);

    if (err)
        return err;
    s = db->store;
    kvi_os_wake_clear(&s->calls.wake);
    begin = kvi_os_mono_ns(s->env.clock);
    for (unsigned rounds = 0; rounds < ROUNDS_MAX; rounds++) {
        round_once(s, budget_ns - spent);
        kvi_api_deliver(s);
        spent = kvi_os_mono_ns(s->env.clock) - begin;
        if (spent >= budget_ns || !anything_waits(s))
            break;
    }
    return KV_OK;
}

int kv_pollfd(kv *db)
{
    kvi_api_store *s;
    int fd;

    if (kvi_api_check_handle(db) || !db->store->callbacks_in_step)
        return -1;
    s = db->store;
    if (s->stepped && s->node)
        return kvi_node_pollfd(s->node);
    return kvi_os_wake_fd(&s->calls.wake, &fd) ? -1 : fd;
}

int64_t kv_next_deadline(kv *db)
{
    kvi_api_store *s;

    if (kvi_api_check_handle(db) || !db->store->callbacks_in_step)
        return -1;
    s = db->store;
    if (anything_waits(s))
        return 0;
    return s->stepped && s->node ? kvi_node_deadline(s->node) : -1;
}
