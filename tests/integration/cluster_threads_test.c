/*
 * Clusters on real threads: six threads of a host call any of three nodes, wait, submit and cancel,
 * while a node is closed and opened again.
 *
 * Each key has one writer, which reads and writes with quorums and writes with the context of what
 * it saw last: so every answer is known beforehand, whichever node gives it. A request that is
 * submitted writes a key of its own: its callback runs once and says whether the key is there.
 * While a node is closed, a write that it coordinated for another may end as uncertain: then the
 * key has its old value or the new one, from then on.
 */
#include <criterion/criterion.h>

#include "integration/cluster_scene.h"

/* --- Keys with one writer --------------------------------------------------------------------- */

static void keep_context(const actor *a, record *rec)
{
    rec->context_len = a->context_len;
    memcpy(rec->context, a->context, a->context_len);
}

/* Notes what came of a write of `next`. */
static void written(actor *a, const char *key, record *rec, state next)
{
    if (a->err == KV_EUNAVAILABLE) /* nothing was written */
        return;
    rec->before = rec->now;
    rec->now = next;
    rec->unsure = a->err == KV_EUNCERTAIN;
    if (rec->unsure)
        return;
    if (a->err || a->acks < 2 || a->context_len == 0)
        VIOLATION(a->scene, "writing %s: %s; %u replicas have it", key, kv_strerror(a->err),
                  a->acks);
    keep_context(a, rec);
}

static void write_key(actor *a, int node, int number, uint8_t what)
{
    record *rec = &a->records[number];
    state next = {rec->now.version + 1, what == KV_REQUEST_PUT};
    kv_request q = KV_REQUEST_INIT;
    kv_op op = KV_OP_INIT;
    char key[64];

    op.timeout_ms = patience(a->scene);
    op.context = (kv_slice){rec->context, rec->context_len};
    if (a->scene->on_disk && kvt_rng_below(&a->rng, 8) == 0)
        op.durability = KV_DISK;
    q.call = what;
    q.key = (kv_slice){key, key_of(key, sizeof key, "key", a->number, number)};
    if (what == KV_REQUEST_PUT)
        q.value = (kv_slice){&next.version, sizeof next.version};
    q.op = &op;
    call(a, node, &q);
    written(a, key, rec, next);
}

/* Reads a key with r replicas, again where too few of them have answered in time; false: in all
 * the time there is. */
static bool read_at(actor *a, int node, kv_slice key, uint8_t r)
{
    kv_request q = KV_REQUEST_INIT;
    kv_op op = KV_OP_INIT;

    op.r = r;
    op.timeout_ms = patience(a->scene);
    q.call = KV_REQUEST_GET;
    q.key = key;
    q.op = &op;
    do
        call(a, node, &q);
    while (a->err == KV_EUNAVAILABLE && !is_late(a->scene) && !atomic_load(&a->scene->failed));
    return a->err != KV_EUNAVAILABLE;
}

static bool is_in(const actor *a, const state *s)
{
    return s->present ? !a->err && a->count == 1 && a->version == s->version
                      : a->err == KV_ENOTFOUND && a->count == 0;
}

/* What was just read is what the writer knows. */
static void check_read(actor *a, int node, const char *key, const record *rec)
{
    if (!is_in(a, &rec->now) && !(rec->unsure && is_in(a, &rec->before)))
        VIOLATION(a->scene, "%s at node %d: %s, %u values, version %llu; must be %llu%s%s", key,
                  node, kv_strerror(a->err), a->count, (unsigned long long)a->version,
                  (unsigned long long)rec->now.version, rec->now.present ? "" : ", deleted",
                  rec->unsure ? ", or as it was" : "");
}

static void read_key(actor *a, int node, int number)
{
    record *rec = &a->records[number];
    char key[64];
    size_t len = key_of(key, sizeof key, "key", a->number, number);

    if (!read_at(a, node, (kv_slice){key, len}, KV_QUORUM))
        VIOLATION(a->scene, "%s cannot be read at node %d", key, node);
    check_read(a, node, key, rec);
    keep_context(a, rec);
}

/* Reads all that was ever written, at a node; nobody writes meanwhile. */
static void audit(actor *reader, int node, uint8_t r)
{
    scene *s = reader->scene;
    const record once = {.now = {1, true}}, never = {.now = {1, false}};
    const record either = {.now = {1, true}, .unsure = true};
    char key[64];
    size_t len;

    for (int i = 0; i <= THREADS; i++) {
        const actor *a = &s->actors[i];

        for (int k = 0; k < KEYS && !atomic_load(&s->failed); k++) {
            len = key_of(key, sizeof key, "key", i, k);
            (void)read_at(reader, node, (kv_slice){key, len}, r);
            check_read(reader, node, key, &a->records[k]);
        }
        for (int t = 0; t < a->ticket_count && !atomic_load(&s->failed); t++) {
            int err = a->tickets[t].err;

            len = key_of(key, sizeof key, "once", i, t);
            (void)read_at(reader, node, (kv_slice){key, len}, r);
            check_read(reader, node, key,
                       err == KV_OK           ? &once
                       : err == KV_EUNCERTAIN ? &either
                                              : &never);
        }
    }
}

/* --- Threads ---------------------------------------------------------------------------------- */

static void look_around(actor *a, int node)
{
    kv_statistics stats = KV_STATISTICS_INIT;
    size_t count = NODES;
    int err = kv_stats(a->scene->nodes[node], &stats);

    if (!err && !(a->scene->stepped && node == LAST))
        err = kv_members(a->scene->nodes[node], NULL, &count);
    if (err || count != NODES)
        VIOLATION(a->scene, "node %d: %s, %zu members", node, kv_strerror(err), count);
}

static void step(actor *a, int node)
{
    int number = (int)kvt_rng_below(&a->rng, KEYS);
    int what = (int)kvt_rng_below(&a->rng, 16);

    if (what >= 15)
        look_around(a, node);
    else if (what >= 12)
        submit_one(a, node, what == 14);
    else if (what >= 8 || a->records[number].unsure)
        read_key(a, node, number);
    else
        write_key(a, node, number, what < 6 ? KV_REQUEST_PUT : KV_REQUEST_DELETE);
}

static void on_goodbye(void *user, uint64_t number, int err, const kv_result *r)
{
    (void)number, (void)err, (void)r;
    ((scene *)user)->left--;
}

/* Stepped: has the loop know that a thread ends, and wakes it. */
static void say_goodbye(scene *s)
{
    kv_request q = KV_REQUEST_INIT;

    q.call = KV_REQUEST_GET;
    q.key = (kv_slice){"goodbye", 7};
    if (s->stepped && s->nodes[LAST] && kv_submit(s->nodes[LAST], &q, on_goodbye, s, NULL))
        VIOLATION(s, "saying goodbye: %s", kv_error_detail());
}

static void *act(void *user)
{
    actor *a = user;
    scene *s = a->scene;

    for (int i = 0; (i < s->steps || atomic_load(&s->go_on)) && !atomic_load(&s->failed); i++)
        step(a, (int)kvt_rng_below(&a->rng, (uint64_t)s->usable));
    say_goodbye(s);
    return NULL;
}

static void *audit_the_others(void *user)
{
    actor *a = user;

    if (a->number < LAST)
        audit(a, a->number, KV_ALL);
    say_goodbye(a->scene);
    return NULL;
}

/* --- Spaces ----------------------------------------------------------------------------------- */

/* Makes or finds a space at both of the first two nodes, writes at one and reads at the other. */
static void use_space(actor *a, const char *name)
{
    scene *s = a->scene;
    kv_policy policy = KV_POLICY_INIT;
    kv_result r = KV_RESULT_INIT;
    kv *mine = NULL, *other = NULL, *wrong = NULL;
    int first = a->number % 2, err;

    policy.conflict = KV_LAST_WRITE_WINS;
    err = kv_space(s->nodes[first], name, &policy, &mine);
    if (!err)
        err = kv_space(s->nodes[1 - first], name, NULL, &other);
    if (!err)
        err = kv_put(mine, &a->number, sizeof a->number, name, strlen(name), NULL, NULL);
    if (!err)
        err = kv_get(other, &a->number, sizeof a->number, NULL, &r);
    if (err)
        VIOLATION(s, "space %s: %s: %s", name, kv_strerror(err), kv_error_detail());
    else if (r.count != 1 || r.values[0].len != strlen(name))
        VIOLATION(s, "space %s has %u values", name, r.count);
    policy.conflict = KV_SIBLINGS;
    if (kv_space(s->nodes[first], name, &policy, &wrong) != KV_ECONFLICT)
        VIOLATION(s, "space %s has two policies", name);
    kv_result_free(&r);
    if (kv_close(mine) || kv_close(other))
        VIOLATION(s, "closing space %s: %s", name, kv_error_detail());
}

static void *make_spaces(void *user)
{
    actor *a = user;
    char name[32];

    use_space(a, "shared");
    (void)snprintf(name, sizeof name, "pair-%d", a->number / 2);
    use_space(a, name);
    return NULL;
}

/* --- Tests ------------------------------------------------------------------------------------ */

/* The threads use the first two nodes, while the third is closed under load. */
static void close_meanwhile(scene *s)
{
    atomic_store(&s->closing, true);
    atomic_store(&s->go_on, true);
    start(s, LAST, 20, act);
    close_in_flight(s, LAST);
}

static void stop(scene *s)
{
    atomic_store(&s->go_on, false);
    join(s);
    wait_for_tickets(s);
}

static void end(scene *s)
{
    char *why = scene_free(s);

    cr_assert_null(why, "%s", why ? why : "");
}

Test(cluster_threads, nodes_in_memory, .timeout = 180)
{
    scene *s = scene_new(false, false);

    start(s, NODES, 0, make_spaces);
    join(s);
    start(s, NODES, 120, act);
    stop(s);
    for (int i = 0; i < NODES; i++)
        audit(&s->actors[HOST], i, KV_ALL);
    close_meanwhile(s);
    stop(s);
    for (int i = 0; i < LAST; i++)
        audit(&s->actors[HOST], i, KV_QUORUM);
    end(s);
}

Test(cluster_threads, a_node_on_disk_comes_back, .timeout = 180)
{
    scene *s = scene_new(true, false);
    uint64_t before[NODES];

    memcpy(before, s->ids, sizeof before);
    start(s, NODES, 80, act);
    join(s); /* what they have submitted goes on */
    close_meanwhile(s);
    open_node(s, LAST);
    stop(s);
    see_each_other(s);
    if (memcmp(before, s->ids, sizeof before) != 0)
        VIOLATION(s, "the members are others than before");
    atomic_store(&s->closing, false);
    start(s, NODES, 40, act);
    stop(s);
    for (int i = 0; i < NODES; i++)
        audit(&s->actors[HOST], i, KV_ALL);
    end(s);
}

/* The loop of a host that has also calls of its own to make. */
static void serve(scene *s, bool steps)
{
    for (unsigned i = 0; s->left > 0 && !is_late(s); i++) {
        turn(s, 10000);
        if (steps && i % 16 == 0)
            step(&s->actors[HOST], LAST);
    }
    cr_assert_eq(s->left, 0, "%d threads wait: %s", s->left, s->why);
    join(s);
}

Test(cluster_threads, a_node_in_a_hosts_loop, .timeout = 180)
{
    scene *s = scene_new(false, true);

    start(s, NODES, 60, act);
    serve(s, true);
    wait_for_tickets(s);
    start(s, NODES, 0, audit_the_others);
    serve(s, false);
    audit(&s->actors[HOST], LAST, KV_ALL);
    atomic_store(&s->closing, true);
    close_in_flight(s, LAST);
    for (int i = 0; i < LAST; i++)
        audit(&s->actors[HOST], i, KV_QUORUM);
    end(s);
}
