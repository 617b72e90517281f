/* See cluster_scene.h. */
#include "integration/cluster_scene.h"

#include <poll.h>
#include <stdlib.h>
#include <time.h>

#include "support/tmpdir.h"

/* --- Waiting ---------------------------------------------------------------------------------- */

static uint64_t now_ms(void)
{
    struct timespec t;

    (void)clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000 + (uint64_t)t.tv_nsec / 1000000;
}

bool is_late(const scene *s)
{
    return now_ms() > s->deadline_ms;
}

void turn(scene *s, int most_ms)
{
    kv *db = s->nodes[LAST];
    struct pollfd p = {.fd = kv_pollfd(db), .events = POLLIN};
    int err = kv_step(db, 0);
    int64_t ns = kv_next_deadline(db);

    if (err || p.fd < 0)
        VIOLATION(s, "a turn of the loop: descriptor %d, %s", p.fd, kv_strerror(err));
    if (ns >= 0 && ns / 1000000 < most_ms)
        most_ms = (int)(ns / 1000000) + (ns > 0);
    (void)poll(&p, 1, most_ms);
}

/* Whether to go on waiting; lets some time pass. */
static bool wait_on(scene *s, const char *what)
{
    if (is_late(s))
        VIOLATION(s, "waited too long: %s", what);
    if (s->stepped && s->nodes[LAST])
        turn(s, 1);
    else
        (void)poll(NULL, 0, 1);
    return !atomic_load(&s->failed);
}

/* --- Calls ------------------------------------------------------------------------------------ */

/* How a request may end that has nothing wrong with it. */
static bool may_end(const scene *s, int err)
{
    return !err || err == KV_ENOTFOUND ||
           ((err == KV_EUNAVAILABLE || err == KV_EUNCERTAIN) && atomic_load(&s->closing));
}

/* Notes what was answered. */
static void take(actor *a, int err, const kv_result *r)
{
    a->err = err;
    a->count = r->count;
    a->acks = r->acks;
    a->version = 0;
    if (r->count > 0 && r->values[0].len == sizeof a->version)
        memcpy(&a->version, r->values[0].data, sizeof a->version);
    a->context_len = r->context.len <= CONTEXT_MAX ? r->context.len : 0;
    if (a->context_len > 0)
        memcpy(a->context, r->context.data, a->context_len);
    if (!may_end(a->scene, err))
        VIOLATION(a->scene, "thread %d: %s: %s", a->number, kv_strerror(err), kv_error_detail());
}

static void on_reply(void *user, uint64_t number, int err, const kv_result *r)
{
    actor *a = user;

    (void)number;
    pthread_mutex_lock(&a->lock);
    take(a, err, r);
    a->has_reply = true;
    pthread_cond_signal(&a->replied);
    pthread_mutex_unlock(&a->lock);
}

/* At a node that another thread steps. */
static void submit_and_wait(actor *a, kv *db, const kv_request *q)
{
    int err;

    a->has_reply = false;
    err = kv_submit(db, q, on_reply, a, NULL); /* from here on the rest of it is the callback's */
    if (err) {
        VIOLATION(a->scene, "submitting: %s", kv_error_detail());
        return;
    }
    pthread_mutex_lock(&a->lock);
    while (!a->has_reply)
        pthread_cond_wait(&a->replied, &a->lock);
    pthread_mutex_unlock(&a->lock);
}

void call(actor *a, int node, const kv_request *q)
{
    kv *db = a->scene->nodes[node];
    kv_result r = KV_RESULT_INIT;
    int err;

    if (a->scene->stepped && node == LAST && a->number != HOST) {
        submit_and_wait(a, db, q);
        return;
    }
    if (q->call == KV_REQUEST_PUT)
        err = kv_put(db, q->key.data, q->key.len, q->value.data, q->value.len, q->op, &r);
    else if (q->call == KV_REQUEST_DELETE)
        err = kv_delete(db, q->key.data, q->key.len, q->op, &r);
    else
        err = kv_get(db, q->key.data, q->key.len, q->op, &r);
    take(a, err, &r);
    kv_result_free(&r);
}

/* --- Requests that nobody waits for ----------------------------------------------------------- */

static void on_end(void *user, uint64_t number, int err, const kv_result *r)
{
    ticket *t = user;
    bool given_up = err == KV_ECANCELED || err == KV_EUNCERTAIN;

    (void)number;
    t->err = err;
    if (!r || atomic_fetch_add(&t->runs, 1) != 0)
        VIOLATION(t->scene, "a callback ran again, or without a result");
    if (err == KV_ENOTFOUND || !may_end(t->scene, err)) {
        if (!given_up || !(t->canceled || atomic_load(&t->scene->closing)))
            VIOLATION(t->scene, "submitted to node %d: %s: %s", t->node, kv_strerror(err),
                      kv_error_detail());
    }
}

void submit_one(actor *a, int node, bool cancel)
{
    static const uint64_t one = 1;
    ticket *t = &a->tickets[a->ticket_count];
    kv_request q = KV_REQUEST_INIT;
    kv_op op = KV_OP_INIT;
    uint64_t number = 0;
    char key[64];
    int err;

    if (a->ticket_count == TICKETS)
        return;
    op.timeout_ms = patience(a->scene);
    q.call = KV_REQUEST_PUT;
    q.key = (kv_slice){key, key_of(key, sizeof key, "once", a->number, a->ticket_count)};
    q.value = (kv_slice){&one, sizeof one};
    q.op = &op;
    t->scene = a->scene;
    t->node = node;
    t->canceled = cancel;
    err = kv_submit(a->scene->nodes[node], &q, on_end, t, &number);
    if (err || number == 0)
        VIOLATION(a->scene, "submitting: %s", kv_strerror(err));
    else
        a->ticket_count++;
    if (!err && cancel)
        err = kv_cancel(a->scene->nodes[node], number);
    if (err && err != KV_ENOTFOUND)
        VIOLATION(a->scene, "canceling: %s", kv_strerror(err));
}

static int running(const scene *s)
{
    int n = 0;

    for (int i = 0; i <= THREADS; i++)
        for (int t = 0; t < s->actors[i].ticket_count; t++)
            n += atomic_load(&s->actors[i].tickets[t].runs) == 0;
    return n;
}

void wait_for_tickets(scene *s)
{
    while (running(s) > 0 && wait_on(s, "for the callbacks"))
        ;
}

/* --- Threads ---------------------------------------------------------------------------------- */

void start(scene *s, int usable, int steps, void *(*what)(void *actor))
{
    s->usable = usable;
    s->steps = steps;
    s->left = THREADS;
    for (int i = 0; i < THREADS; i++)
        s->actors[i].settled = s->actors[i].ticket_count;
    for (int i = 0; i < THREADS; i++) {
        if (pthread_create(&s->threads[i], NULL, what, &s->actors[i]) != 0)
            abort();
    }
}

void join(scene *s)
{
    for (int i = 0; i < THREADS; i++)
        (void)pthread_join(s->threads[i], NULL);
}

/* --- Nodes ------------------------------------------------------------------------------------ */

void open_node(scene *s, int node)
{
    static const char *const names[NODES] = {"n0", "n1", "n2"};
    kv_options o = KV_OPTIONS_INIT;
    char path[300];

    (void)snprintf(path, sizeof path, "%s/%s", s->dir, names[node]);
    o.start = node == 0 ? KV_CREATE : KV_JOIN;
    o.mode = s->stepped && node == LAST ? KV_STEPPED : KV_THREADED;
    o.durability = s->on_disk ? KV_OS : KV_DEFAULT;
    o.listen = names[node];
    o.seeds = names;
    o.seed_count = 1;
    o.transport = &s->transports[node];
    if (kv_open(s->on_disk ? path : NULL, &o, &s->nodes[node]))
        VIOLATION(s, "opening node %d: %s", node, kv_error_detail());
}

static bool all_see_all(scene *s)
{
    for (int i = 0; i < NODES; i++) {
        kv_member m[NODES] = {KV_MEMBER_INIT, KV_MEMBER_INIT, KV_MEMBER_INIT};
        size_t count = NODES;

        if (kv_members(s->nodes[i], m, &count) || count != NODES)
            return false;
        for (int k = 0; k < NODES; k++) {
            if (m[k].state != KV_MEMBER_ALIVE)
                return false;
            s->ids[k] = m[k].node;
        }
    }
    return true;
}

void see_each_other(scene *s)
{
    while (!atomic_load(&s->failed) && !all_see_all(s) && wait_on(s, "for all to see all"))
        ;
}

/* Nothing that went to this node, before its thread began anew, is still to end. */
static void check_ended(const actor *a, int node)
{
    for (int t = 0; t < a->settled; t++) {
        int runs = atomic_load(&a->tickets[t].runs);

        if (a->tickets[t].node == node && runs != 1)
            VIOLATION(a->scene, "a request to node %d ended %d times", node, runs);
    }
}

void close_in_flight(scene *s, int node)
{
    actor *a = &s->actors[HOST];
    int err;

    for (int i = 0; i < BURST; i++) {
        submit_one(a, node, i % 16 == 15);
        if (s->stepped && node == LAST && i == BURST / 2)
            turn(s, 0); /* so that half of them were begun */
    }
    a->settled = a->ticket_count;
    err = kv_close(s->nodes[node]);
    s->nodes[node] = NULL;
    if (err)
        VIOLATION(s, "closing node %d: %s: %s", node, kv_strerror(err), kv_error_detail());
    if (a->ticket_count < BURST)
        VIOLATION(s, "only %d of %d were submitted", a->ticket_count, BURST);
    for (int i = 0; i <= THREADS; i++)
        check_ended(&s->actors[i], node);
}

/* --- The scene -------------------------------------------------------------------------------- */

static void actor_init(actor *a, scene *s, int number)
{
    a->scene = s;
    a->number = number;
    kvt_rng_init(&a->rng, kvt_env_u64("SEED", 1) * 100 + (uint64_t)number);
    (void)pthread_mutex_init(&a->lock, NULL);
    (void)pthread_cond_init(&a->replied, NULL);
}

scene *scene_new(bool on_disk, bool stepped)
{
    scene *s = calloc(1, sizeof *s);

    if (!s || kv_loop_new(NULL, &s->loop))
        abort();
    s->on_disk = on_disk;
    s->stepped = stepped;
    s->deadline_ms = now_ms() + LIMIT_MS;
    if (on_disk)
        kvt_tmpdir(s->dir, sizeof s->dir);
    for (int i = 0; i <= THREADS; i++)
        actor_init(&s->actors[i], s, i);
    for (int i = 0; i < NODES; i++) {
        s->transports[i] = (kv_transport)KV_TRANSPORT_INIT;
        if (kv_loop_transport(s->loop, &s->transports[i]))
            abort();
        open_node(s, i);
    }
    see_each_other(s);
    return s;
}

char *scene_free(scene *s)
{
    char *why;

    for (int i = 0; i < NODES; i++) {
        int err = kv_close(s->nodes[i]);

        if (err)
            VIOLATION(s, "closing node %d: %s", i, kv_strerror(err));
    }
    if (running(s) > 0)
        VIOLATION(s, "%d callbacks never ran", running(s));
    kv_loop_free(s->loop);
    for (int i = 0; i <= THREADS; i++) {
        (void)pthread_mutex_destroy(&s->actors[i].lock);
        (void)pthread_cond_destroy(&s->actors[i].replied);
    }
    if (s->on_disk)
        kvt_rmtree(s->dir);
    why = atomic_load(&s->failed) ? strdup(s->why) : NULL;
    free(s);
    return why;
}
