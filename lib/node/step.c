/*
 * The node's turn: what has come, what is due, what is complete; then everything that was said
 * leaves.
 *
 * One round takes each source once, in this order: posts, messages, completions of storage, timers,
 * completions of what these began. Rounds go on while something happens, within the budget.
 */
#include "base/check.h"
#include "base/error.h"
#include "node/impl.h"

void kvi_node_refresh(kvi_node *n)
{
    n->cluster.now_ns = kvi_os_mono_ns(n->env->clock);
    n->cluster.wall_ms = kvi_os_wall_ms(n->env->clock);
}

static uint64_t now(const kvi_node *n)
{
    return kvi_os_mono_ns(n->env->clock);
}

/* --- what comes from outside ------------------------------------------------------------------ */

void kvi_node_wake(kvi_node *n)
{
    kvi_os_wake_set(&n->wake);
    if (n->started && n->transport.step)
        n->transport.wake(n->transport.self);
}

void kvi_node_post(kvi_node *n, kvi_post *p)
{
    kvi_os_mutex_lock(&n->lock);
    kvi_list_push_back(&n->posts, &p->link);
    kvi_os_mutex_unlock(&n->lock);
    kvi_node_wake(n);
}

bool kvi_node_has_posts(kvi_node *n)
{
    bool any;

    kvi_os_mutex_lock(&n->lock);
    any = !kvi_list_empty(&n->posts);
    kvi_os_mutex_unlock(&n->lock);
    return any;
}

static bool run_posts(kvi_node *n)
{
    kvi_list mine;

    kvi_list_init(&mine);
    kvi_os_mutex_lock(&n->lock);
    kvi_list_move(&mine, &n->posts);
    kvi_os_mutex_unlock(&n->lock);
    if (kvi_list_empty(&mine))
        return false;
    while (!kvi_list_empty(&mine)) {
        kvi_post *p = KVI_LIST_FIRST(&mine, kvi_post, link);

        kvi_list_remove(&p->link);
        p->run(p, n);
    }
    return true;
}

static void transport_step(kvi_node *n, uint64_t wait_ns)
{
    int err;

    if (!n->started || !n->transport.step)
        return;
    err = n->transport.step(n->transport.self, wait_ns);
    if (err)
        kvi_node_log(n, KV_LOG_WARN, "the transport's step failed: %s", kvi_error_name(err));
}

static bool receive(kvi_node *n)
{
    kvi_list mails;
    char *address;

    kvi_list_init(&mails);
    kvi_mailbox_take(&n->mailbox, &mails);
    while ((address = kvi_mailbox_resumable(&n->mailbox)) != NULL) {
        if (n->started && n->transport.resume)
            n->transport.resume(n->transport.self, address);
        kvi_mem_free(n->env->mem, address);
    }
    if (kvi_list_empty(&mails))
        return false;
    while (!kvi_list_empty(&mails)) {
        kvi_mail *mail = KVI_LIST_FIRST(&mails, kvi_mail, link);

        kvi_list_remove(&mail->link);
        kvi_node_receive(n, mail);
        kvi_mail_free(mail, n->env->mem);
    }
    return true;
}

/* --- time --------------------------------------------------------------------------------- */

static void suspect_refused(kvi_node *n)
{
    uint64_t node;

    while ((node = kvi_peers_take_refused(&n->peers)) != 0)
        if (n->cluster.ring)
            kvi_gossip_suspect(n->gossip, n->cluster.now_ns, node, &n->gossip_port);
}

static bool tick(kvi_node *n)
{
    uint64_t t = n->cluster.now_ns;
    bool any = false;

    suspect_refused(n);
    if (n->cluster.ring && kvi_gossip_deadline(n->gossip) <= t) {
        kvi_gossip_tick(n->gossip, t, &n->gossip_port);
        any = true;
    }
    if (kvi_membership_deadline(&n->membership) <= t) {
        kvi_membership_tick(&n->membership);
        any = true;
    }
    if (kvi_replication_deadline(n->replication) <= t) {
        kvi_replication_tick(n->replication);
        any = true;
    }
    if (kvi_coordinator_deadline(n->coordinator) <= t) {
        kvi_coordinator_tick(n->coordinator);
        any = true;
    }
    return any;
}

/** Monotonic; UINT64_MAX: none. */
static uint64_t next_timer(const kvi_node *n)
{
    uint64_t t = kvi_membership_deadline(&n->membership);

    if (n->cluster.ring)
        t = kvi_min_u64(t, kvi_gossip_deadline(n->gossip));
    t = kvi_min_u64(t, kvi_replication_deadline(n->replication));
    t = kvi_min_u64(t, kvi_coordinator_deadline(n->coordinator));
    return kvi_min_u64(t, kvi_peers_deadline(&n->peers));
}

static bool work_waits(kvi_node *n)
{
    return kvi_node_has_posts(n) || n->peers.refused > 0 || kvi_storage_ready(&n->storage) ||
           !kvi_mailbox_empty(&n->mailbox);
}

int64_t kvi_node_deadline(kvi_node *n)
{
    uint64_t t = next_timer(n), at = now(n);
    int64_t left = -1, transport = -1;

    if (work_waits(n))
        return 0;
    if (t != UINT64_MAX)
        left = t <= at ? 0 : (int64_t)kvi_min_u64(t - at, INT64_MAX);
    if (n->started && n->transport.next)
        transport = n->transport.next(n->transport.self);
    if (transport >= 0 && (left < 0 || transport < left))
        left = transport;
    return left;
}

int kvi_node_pollfd(kvi_node *n)
{
    int fd;

    if (n->started && n->transport.step)
        return n->transport.pollfd ? n->transport.pollfd(n->transport.self) : -1;
    return kvi_os_wake_fd(&n->wake, &fd) ? -1 : fd;
}

/* --- the step ----------------------------------------------------------------------------- */

static void wait(kvi_node *n, uint64_t wait_ns)
{
    int64_t left = kvi_node_deadline(n);

    if (left >= 0 && (uint64_t)left < wait_ns)
        wait_ns = (uint64_t)left;
    if (n->started && n->transport.step)
        transport_step(n, wait_ns);
    else if (wait_ns > 0)
        (void)kvi_os_wake_wait(&n->wake, wait_ns);
}

void kvi_node_flush(kvi_node *n)
{
    kvi_peers_flush(&n->peers, n->cluster.now_ns);
    if (n->peers.failed) {
        kvi_node_log(n, KV_LOG_WARN, "the transport could not send: %s",
                     kvi_error_name(n->peers.failed));
        n->peers.failed = KV_OK;
    }
}

bool kvi_node_round(kvi_node *n)
{
    bool any;

    kvi_node_refresh(n);
    any = run_posts(n);
    any |= receive(n);
    any |= kvi_storage_complete(&n->storage);
    any |= tick(n);
    any |= kvi_storage_complete(&n->storage);
    kvi_node_flush(n);
    return any;
}

bool kvi_node_close_round(kvi_node *n)
{
    bool any;

    kvi_node_refresh(n);
    any = run_posts(n);
    any |= kvi_storage_complete(&n->storage);
    if (n->coordinator && kvi_coordinator_deadline(n->coordinator) <= n->cluster.now_ns) {
        kvi_coordinator_tick(n->coordinator);
        any = true;
    }
    return any | kvi_storage_complete(&n->storage);
}

void kvi_node_step(kvi_node *n, uint64_t wait_ns, uint64_t budget_ns)
{
    uint64_t begin;

    KVI_ASSERT(!n->stepping && !n->closing);
    n->stepping = true;
    kvi_node_refresh(n);
    wait(n, wait_ns); /* with 0: the transport delivers what has come */
    kvi_os_wake_clear(&n->wake);
    begin = now(n);
    for (unsigned rounds = 0; rounds < KVI_NODE_ROUNDS_MAX; rounds++) {
        if (!kvi_node_round(n))
            break;
        if (budget_ns == 0 || now(n) - begin >= budget_ns)
            break;
        transport_step(n, 0);
    }
    n->stepping = false;
}

/* --- a thread of its own ------------------------------------------------------------------ */

#define THREAD_BUDGET_NS UINT64_C(2000000)

static void thread_main(void *user)
{
    kvi_node *n = user;

    while (!atomic_load(&n->stop)) {
        kvi_node_step(n, KVI_OS_WAKE_FOREVER, THREAD_BUDGET_NS);
        if (n->after_step)
            n->after_step(n->user);
    }
}

int kvi_node_start(kvi_node *n)
{
    int err;

    KVI_ASSERT(!n->threaded);
    atomic_store(&n->stop, false);
    n->threaded = true; /* before it runs: it may ask kvi_node_is_self() */
    err = kvi_os_thread_start(&n->thread, thread_main, n);
    if (err)
        n->threaded = false;
    return err;
}

void kvi_node_stop(kvi_node *n)
{
    if (!n->threaded)
        return;
    KVI_ASSERT(!kvi_node_is_self(n));
    atomic_store(&n->stop, true);
    kvi_node_wake(n);
    kvi_os_thread_join(&n->thread);
    n->threaded = false;
}

bool kvi_node_is_self(const kvi_node *n)
{
    return n->threaded && kvi_os_thread_is_self(&n->thread);
}
