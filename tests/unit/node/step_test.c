/* A node's turns: by a thread of its own, by a host, alone; what waits, what wakes it, and closing in
 * the middle of things. */
#include <criterion/criterion.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "node/impl.h"
#include "os/event.h"
#include "support/faulty_transport.h"

#define OK(call) cr_assert_eq((call), KV_OK, "%s: %s", #call, kvi_error_detail())

#define SECOND UINT64_C(1000000000)

/* A store on files in memory, with threads for the disk. */
typedef struct home {
    kvi_mem mem;
    kvi_os_fs_mem files;
    kvi_budget files_budget, budget;
    kvi_os_env env;
    kvi_lsm *lsm;
    kvi_node *node;
    _Atomic unsigned steps;
} home;

static void after_step(void *user)
{
    home *h = user;

    if (h->node) /* what a callback may ask */
        cr_assert(kvi_node_is_self(h->node));
    atomic_fetch_add(&h->steps, 1);
}

static home *home_open_over(const kv_transport *transport, const char *name, const char *seed)
{
    home *h = calloc(1, sizeof *h);
    kvi_lsm_options o = {.path = "store", .may_create = true, .log = true};
    kvi_node_config c = {.logged = true,
                         .durability = KV_DISK,
                         .value_max = 1 << 20,
                         .identity = {1, 2, 1},
                         .policy = {1, 1, 1, KV_AP, KV_SIBLINGS, 0},
                         .create = !seed,
                         .listen = name,
                         .seeds = &seed,
                         .seed_count = seed ? 1 : 0,
                         .zone = "",
                         .weight = 100,
                         .trusted = true,
                         .ring_bits = 6,
                         .after_step = after_step,
                         .user = h};
    bool created;

    cr_assert_not_null(h);
    kvi_mem_init(&h->mem, NULL);
    kvi_budget_init(&h->files_budget, 64 << 20);
    kvi_budget_init(&h->budget, 16 << 20);
    kvi_os_fs_mem_init(&h->files, &h->mem, &h->files_budget);
    h->env = (kvi_os_env){.mem = &h->mem,
                          .fs = &h->files.base,
                          .clock = kvi_os_clock_real(),
                          .rand = kvi_os_rand_real()};
    OK(kvi_os_pool_new(&h->mem, 2, &h->env.exec));
    o.env = &h->env;
    o.budget = &h->budget;
    OK(kvi_lsm_open(&o, &h->lsm, &created));
    OK(kvi_identity_next(h->lsm, &h->env, &c.identity));
    c.env = &h->env;
    c.lsm = h->lsm;
    c.budget = &h->budget;
    c.batch_max = kvi_lsm_write_max(h->lsm);
    c.transport = transport;
    OK(kvi_node_open(&c, &h->node));
    return h;
}

static home *home_open(kv_loop *loop, const char *name, const char *seed)
{
    kv_transport t = KV_TRANSPORT_INIT;

    if (loop)
        OK(kv_loop_transport(loop, &t));
    return home_open_over(loop ? &t : NULL, name, seed);
}

static void home_close(home *h)
{
    kvi_node_close(h->node);
    OK(kvi_lsm_close(h->lsm));
    kvi_os_pool_free(h->env.exec);
    free(h);
}

/* --- posts -------------------------------------------------------------------------------- */

typedef struct post {
    kvi_post base;
    kvi_os_event event;
    unsigned *order, at;
    bool has_ring;
    bool again; /* posts itself once more */
} post;

static void run(kvi_post *p, kvi_node *n)
{
    post *x = KVI_CONTAINER_OF(p, post, base);

    x->has_ring = kvi_node_ring(n) != NULL;
    x->at = ++*x->order;
    if (x->again) {
        x->again = false;
        kvi_node_post(n, &x->base);
        return;
    }
    kvi_os_event_set(&x->event, KV_OK);
}

static void post_init(post *x, unsigned *order)
{
    memset(x, 0, sizeof *x);
    kvi_list_init(&x->base.link);
    x->base.run = run;
    x->order = order;
    kvi_os_event_init(&x->event);
}

/* Whether the node has a ring, as its own thread sees it. */
static bool ask_ring(kvi_node *n)
{
    unsigned order = 0;
    post x;

    post_init(&x, &order);
    kvi_node_post(n, &x.base);
    OK(kvi_os_event_wait(&x.event, NULL));
    kvi_os_event_deinit(&x.event);
    return x.has_ring;
}

Test(node_step, threads_form_a_cluster_within_a_process)
{
    home *h[3];
    kv_loop *loop;

    OK(kv_loop_new(NULL, &loop));
    h[0] = home_open(loop, "a", NULL);
    h[1] = home_open(loop, "b", "a");
    h[2] = home_open(loop, "c", "a");
    for (unsigned i = 0; i < 3; i++)
        OK(kvi_node_start(h[i]->node));
    for (unsigned i = 0; i < 3; i++) {
        while (!ask_ring(h[i]->node))
            kvi_os_yield();
        cr_assert_not(kvi_node_is_self(h[i]->node));
    }
    for (unsigned i = 0; i < 3; i++) {
        kvi_node_stop(h[i]->node);
        cr_assert_gt(atomic_load(&h[i]->steps), 0);
        home_close(h[i]);
    }
    kv_loop_free(loop);
}

Test(node_step, a_transport_with_threads_of_its_own_wakes_the_owner)
{
    static const char *const NAMES[] = {"a", "b"};
    kvt_faulty_net net;
    home *h[2];
    int fd;

    kvt_faulty_open(&net, KVT_OWN_THREADS);
    for (unsigned i = 0; i < 2; i++) {
        kv_transport t = KV_TRANSPORT_INIT;

        OK(kvt_faulty_make(&net, i, &t));
        cr_assert_null(t.step);
        h[i] = home_open_over(&t, NAMES[i], i ? "a" : NULL);
        fd = kvi_node_pollfd(h[i]->node);
        cr_assert_geq(fd, 0, "its own, as the transport has none");
        OK(kvi_node_start(h[i]->node));
    }
    while (!ask_ring(h[1]->node))
        kvi_os_yield();
    for (unsigned i = 0; i < 2; i++) {
        kvi_node_stop(h[i]->node);
        home_close(h[i]);
    }
    kvt_faulty_close(&net);
}

Test(node_step, a_thread_is_stopped_and_started_again)
{
    home *h = home_open(NULL, NULL, NULL);

    for (unsigned i = 0; i < 20; i++) {
        OK(kvi_node_start(h->node));
        if (i % 2)
            (void)ask_ring(h->node);
        kvi_node_stop(h->node);
    }
    kvi_node_stop(h->node);
    home_close(h);
}

static bool readable(int fd)
{
    struct pollfd p = {.fd = fd, .events = POLLIN};

    return poll(&p, 1, 0) > 0;
}

/* Steps a node until nothing is due soon. */
static void settle(kvi_node *n)
{
    while (kvi_node_deadline(n) == 0 || n->storage.jobs > 0 || n->storage.syncing ||
           n->membership.next)
        kvi_node_step(n, SECOND / 100, SECOND);
    kvi_node_step(n, 0, SECOND);
}

static void stepped(kv_loop *loop)
{
    home *h = home_open(loop, loop ? "a" : NULL, NULL);
    unsigned order = 0;
    post x, y;
    int fd;

    fd = kvi_node_pollfd(h->node);
    cr_assert_geq(fd, 0);
    settle(h->node);
    cr_assert_not_null(kvi_node_ring(h->node));
    cr_assert_not(readable(fd));
    post_init(&x, &order);
    post_init(&y, &order);
    x.again = true;
    kvi_node_post(h->node, &x.base);
    cr_assert_eq(kvi_node_deadline(h->node), 0);
    cr_assert(readable(fd));
    kvi_node_post(h->node, &y.base);
    kvi_node_step(h->node, UINT64_MAX, 0); /* does not wait: there is something */
    cr_assert_eq(x.at, 1, "in order, and each thing once");
    cr_assert_eq(y.at, 2);
    kvi_node_step(h->node, UINT64_MAX, SECOND);
    cr_assert_eq(x.at, 3);
    kvi_node_wake(h->node);
    cr_assert(readable(fd));
    kvi_node_step(h->node, UINT64_MAX, 0);
    settle(h->node);
    cr_assert_not(readable(fd));
    cr_assert_eq(kvi_node_pollfd(h->node), fd);
    kvi_os_event_deinit(&x.event);
    kvi_os_event_deinit(&y.event);
    home_close(h);
}

Test(node_step, a_host_steps_a_node_of_a_network)
{
    kv_loop *loop;

    OK(kv_loop_new(NULL, &loop));
    stepped(loop);
    kv_loop_free(loop);
}

Test(node_step, a_host_steps_a_node_that_is_alone)
{
    stepped(NULL);
}

Test(node_step, what_comes_is_acted_on_in_the_step_that_it_wakes)
{
    kv_loop *loop;
    home *a, *b;
    unsigned turns = 0;

    OK(kv_loop_new(NULL, &loop));
    a = home_open(loop, "a", NULL);
    settle(a->node);
    b = home_open(loop, "b", "a");
    while (!kvi_node_ring(b->node)) {
        kvi_node_step(b->node, SECOND / 1000, SECOND);
        kvi_node_step(a->node, SECOND / 1000, SECOND);
        cr_assert_lt(++turns, 10000);
    }
    cr_assert_eq(kvi_node_digest(a->node) == kvi_node_digest(b->node), false);
    home_close(a);
    home_close(b);
    kv_loop_free(loop);
}

/* --- closing ------------------------------------------------------------------------------ */

typedef struct pending {
    kvi_store_write w;
    kvi_store_sync y;
    kvi_store_read r;
    kvi_store_put put;
    kvi_buf value;
    kvi_node *node;
    bool read, synced;
} pending;

static void pending_synced(kvi_store_sync *y)
{
    KVI_CONTAINER_OF(y, pending, y)->synced = true;
}

static void pending_read(kvi_store_read *r)
{
    KVI_CONTAINER_OF(r, pending, r)->read = true;
}

static void pending_written(kvi_store_write *w)
{
    pending *p = KVI_CONTAINER_OF(w, pending, w);

    p->y = (kvi_store_sync){.seq = w->seq, .done = pending_synced};
    kvi_storage_sync(&p->node->storage, &p->y);
}

Test(node_step, closing_waits_for_effects_and_runs_what_was_posted)
{
    home *h = home_open(NULL, NULL, NULL);
    unsigned order = 0;
    kvi_mem mem;
    pending p = {.put = {{"\0zkey", 5}, {"value", 5}, false}};
    post x;

    p.node = h->node;
    p.w = (kvi_store_write){.puts = &p.put, .count = 1, .done = pending_written};
    kvi_mem_init(&mem, NULL);
    kvi_buf_init(&p.value, &mem);
    p.r = (kvi_store_read){.key = p.put.key, .value = &p.value, .done = pending_read};
    kvi_storage_write(&h->node->storage, &p.w);
    kvi_storage_read(&h->node->storage, &p.r);
    post_init(&x, &order);
    x.again = true;
    kvi_node_post(h->node, &x.base);
    home_close(h);
    cr_assert_eq(x.at, 2);
    cr_assert(p.read && p.synced);
    OK(p.r.err);
    OK(p.y.err);
    kvi_buf_deinit(&p.value);
    kvi_os_event_deinit(&x.event);
}

Test(node_step, one_that_joins_nobody_is_closed)
{
    kv_loop *loop;
    home *h;

    OK(kv_loop_new(NULL, &loop));
    h = home_open(loop, "a", "nobody");
    OK(kvi_node_start(h->node));
    cr_assert_not(ask_ring(h->node));
    kvi_node_stop(h->node);
    home_close(h);
    kv_loop_free(loop);
}
