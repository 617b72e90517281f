/*
 * Updates (replication/update.c): one after the other per token, nothing decided on what could not
 * be read, no lock left behind whatever fails.
 */
#include "unit/replication/replica.h"

static kvt_replica t;

static void begin(void)
{
    kvt_replica_start(&t, 1);
}

static void end(void)
{
    kvt_replica_end(&t);
}

#define UPDATE_TEST(name) Test(replication_update, name, .init = begin, .fini = end)

/* One update that adds one write of its own to each key. */
typedef struct step {
    kvi_update u;
    kvi_sibling sibling;
    unsigned decided, written, done;
    int err, refuse;
    uint64_t order; /* in which it decided, 1 first */
} step;

static uint64_t decisions;

static int step_decide(kvi_update *u)
{
    step *s = u->user;

    s->decided++;
    s->order = ++decisions;
    for (uint32_t i = 0; i < u->count; i++) {
        kvi_object *o = &u->items[i].object;

        s->sibling.dot = kvi_object_mint(o, NULL, t.fx.cluster.open_id, &t.fx.cluster.next_birth);
        if (kvi_object_put(o, &o->seen, &s->sibling))
            return KV_ENOMEM;
        u->items[i].changed = true;
    }
    return s->refuse;
}

static void step_written(kvi_update *u)
{
    ((step *)u->user)->written++;
}

static void step_done(kvi_update *u, int err)
{
    step *s = u->user;

    s->done++;
    s->err = err;
    kvi_update_release(u, &t.mem);
}

static int step_init(step *s, uint64_t token, const char *const *keys, uint32_t count)
{
    int err;

    memset(s, 0, sizeof *s);
    s->sibling.value = kvt_text("v");
    err = kvi_update_init(&s->u, &t.mem, count);
    if (err)
        return err;
    s->u.token = token;
    for (uint32_t i = 0; i < count; i++) {
        s->u.items[i].space = KVI_KEYSPACE_DEFAULT;
        s->u.items[i].key = kvt_text(keys[i]);
    }
    s->u.durability = KV_DISK;
    s->u.decide = step_decide;
    s->u.written = step_written;
    s->u.done = step_done;
    s->u.user = s;
    return KV_OK;
}

static const char *const one[] = {"a"};
static const char *const three[] = {"a", "b", "c"};

static uint64_t counter_of(const char *key, uint64_t token)
{
    kvi_object o;
    kvi_buf physical;
    kvi_slice bytes;
    uint64_t counter = 0;

    kvi_buf_init(&physical, &t.fx.mem);
    kvi_object_init(&o, &t.fx.mem);
    OK(kvi_key_data(&physical, KVI_KEYSPACE_DEFAULT, token, kvt_text(key)));
    if (kvt_effects_get(&t.fx, kvi_buf_slice(&physical), &bytes)) {
        OK(kvi_object_decode(&o, bytes));
        cr_assert_eq(o.count, 1);
        cr_assert_eq(o.seen.count, 1);
        counter = o.seen.entries[0].counter;
    }
    kvi_object_deinit(&o);
    kvi_buf_deinit(&physical);
    return counter;
}

UPDATE_TEST(nothing_is_told_inside_begin)
{
    step s;

    OK(step_init(&s, 5, three, 3));
    kvi_update_begin(kvi_replication_updates(t.r), &s.u);
    cr_assert_eq(s.decided + s.written + s.done, 0);
    kvt_effects_run(&t.fx);
    cr_assert(s.decided == 1 && s.written == 1 && s.done == 1 && s.err == KV_OK);
    cr_assert_eq(t.fx.durable, t.fx.seq);
    for (unsigned i = 0; i < 3; i++)
        cr_assert_eq(counter_of(three[i], 5), 1);
}

UPDATE_TEST(those_of_one_token_run_in_their_order)
{
    step s[20];

    decisions = 0;
    for (unsigned i = 0; i < 20; i++) {
        OK(step_init(&s[i], 5, i % 2 ? one : three, i % 2 ? 1 : 3));
        kvi_update_begin(kvi_replication_updates(t.r), &s[i].u);
    }
    kvt_effects_run(&t.fx);
    for (unsigned i = 0; i < 20; i++)
        cr_assert(s[i].done == 1 && s[i].err == KV_OK && s[i].order == i + 1);
    cr_assert_eq(counter_of("a", 5), 20);
    cr_assert_eq(counter_of("b", 5), 10);
}

UPDATE_TEST(an_unreadable_object_is_not_decided_upon)
{
    step s, after;

    OK(step_init(&s, 5, three, 3));
    OK(step_init(&after, 5, three, 3));
    kvt_effects_fail(&t.fx, KVT_READ, 1, 1, KV_EIO);
    kvi_update_begin(kvi_replication_updates(t.r), &s.u);
    kvi_update_begin(kvi_replication_updates(t.r), &after.u);
    kvt_effects_run(&t.fx);
    cr_assert(s.done == 1 && s.err == KV_EIO && s.decided == 0 && s.written == 0);
    cr_assert(after.done == 1 && after.err == KV_OK);
    cr_assert_eq(counter_of("a", 5), 1);
}

UPDATE_TEST(an_object_that_is_none_is_not_decided_upon)
{
    kvi_buf physical;
    step s;

    kvi_buf_init(&physical, &t.fx.mem);
    OK(kvi_key_data(&physical, KVI_KEYSPACE_DEFAULT, 5, kvt_text("a")));
    kvt_effects_put(&t.fx, kvi_buf_slice(&physical), kvt_text("garbage"));
    OK(step_init(&s, 5, one, 1));
    kvi_update_begin(kvi_replication_updates(t.r), &s.u);
    kvt_effects_run(&t.fx);
    cr_assert(s.err == KV_ECORRUPT && s.decided == 0);
    kvt_effects_put(&t.fx, kvi_buf_slice(&physical), kvt_text(""));
    OK(step_init(&s, 5, one, 1));
    kvi_update_begin(kvi_replication_updates(t.r), &s.u);
    kvt_effects_run(&t.fx);
    cr_assert(s.err == KV_ECORRUPT && s.decided == 0);
    kvi_buf_deinit(&physical);
}

UPDATE_TEST(a_refusal_writes_nothing_and_frees_the_lock)
{
    step s, after;

    OK(step_init(&s, 5, three, 3));
    OK(step_init(&after, 5, one, 1));
    s.refuse = KV_ESIBLINGS;
    s.u.hint_for = 3;
    kvi_update_begin(kvi_replication_updates(t.r), &s.u);
    kvi_update_begin(kvi_replication_updates(t.r), &after.u);
    kvt_effects_run(&t.fx);
    cr_assert(s.err == KV_ESIBLINGS && s.written == 0 && after.err == KV_OK);
    cr_assert(counter_of("b", 5) == 0 && counter_of("a", 5) == 1);
    cr_assert_eq(kvi_replication_hints(t.r, 0), 0);
}

UPDATE_TEST(whatever_fails_ends_once_and_frees_the_lock)
{
    static const unsigned kinds[] = {KVT_READ, KVT_WRITE, KVT_SYNC};
    step s[6];

    for (unsigned kind = 0; kind < 3; kind++) {
        for (unsigned after = 0; after < 30; after++) {
            kvt_effects_fail(&t.fx, kinds[kind], after, 3, KV_EIO);
            for (unsigned i = 0; i < 6; i++) {
                OK(step_init(&s[i], i % 2, three, 3));
                s[i].u.hint_for = i % 3 == 0 ? 3 : 0;
                kvi_update_begin(kvi_replication_updates(t.r), &s[i].u);
            }
            kvt_effects_run(&t.fx);
            for (unsigned i = 0; i < 6; i++) {
                cr_assert_eq(s[i].done, 1);
                cr_assert(s[i].err == KV_OK || s[i].err == KV_EIO);
                cr_assert(s[i].err || s[i].written == 1);
            }
        }
    }
    kvt_effects_fail(&t.fx, 0, 0, 0, 0);
    OK(step_init(&s[0], 0, three, 3));
    kvi_update_begin(kvi_replication_updates(t.r), &s[0].u);
    kvt_effects_run(&t.fx);
    cr_assert_eq(s[0].err, KV_OK);
}

UPDATE_TEST(memory_may_end_anywhere)
{
    step s[2];

    for (size_t n = 0;; n++) {
        bool ready[2];
        uint64_t token = 1000 + n; /* every time of another token: the map grows, too */

        kvt_failmem_arm(&t.fail, n, false);
        for (unsigned i = 0; i < 2; i++) {
            ready[i] = step_init(&s[i], token, three, 3) == KV_OK;
            s[i].u.hint_for = 4;
            if (ready[i])
                kvi_update_begin(kvi_replication_updates(t.r), &s[i].u);
        }
        kvt_effects_run(&t.fx);
        if (!kvt_failmem_disarm(&t.fail))
            break;
        for (unsigned i = 0; i < 2; i++) {
            if (!ready[i])
                continue;
            cr_assert_eq(s[i].done, 1);
            cr_assert(s[i].err == KV_OK || s[i].err == KV_ENOMEM);
            cr_assert_eq(s[i].written, s[i].err == KV_OK);
        }
        cr_assert_eq(counter_of("a", token),
                     (uint64_t)(ready[0] && !s[0].err) + (ready[1] && !s[1].err));
    }
}

UPDATE_TEST(what_did_not_change_is_made_durable_too)
{
    kvi_buf object = kvt_object(&t, false, 9, 1, "x");
    uint64_t id;

    kvt_apply(&t, kvt_text("a"), &object, 0, 0, KV_OS);
    kvt_effects_run(&t.fx);
    cr_assert_lt(t.fx.durable, t.fx.seq);
    id = kvt_apply(&t, kvt_text("a"), &object, 0, 0, KV_DISK);
    kvt_effects_run(&t.fx);
    cr_assert_eq(kvt_ack(&t, id)->durability, KV_DISK);
    cr_assert_eq(t.fx.durable, t.fx.seq);
    kvi_buf_deinit(&object);
}

UPDATE_TEST(closing_ends_those_that_wait)
{
    step s[8];

    for (unsigned i = 0; i < 8; i++) {
        OK(step_init(&s[i], 5, three, 3));
        s[i].u.hint_for = 2;
        kvi_update_begin(kvi_replication_updates(t.r), &s[i].u);
    }
    for (unsigned i = 0; i < 4; i++)
        kvt_effects_step(&t.fx);
    kvt_replica_close(&t);
    for (unsigned i = 0; i < 8; i++)
        cr_assert(s[i].done == 1 && (s[i].err == KV_ECANCELED || s[i].err == KV_OK));
}

/* Many updates of few tokens at once, completed in any order, against counters: each update adds
 * one to its keys, and so the counter of a key is how many were done with it. */
static void against_counters(uint64_t seed)
{
    enum { UPDATES = 300, TOKENS = 7, KEYS = 4 };
    static const char *const keys[KEYS] = {"a", "b", "c", "d"};
    static step s[UPDATES];
    static uint64_t want[TOKENS][KEYS];
    uint64_t last_order[TOKENS] = {0};
    kvt_rng rng;

    kvt_replica_end(&t);
    kvt_replica_start(&t, seed);
    kvt_rng_init(&rng, seed + 1);
    memset(want, 0, sizeof want);
    decisions = 0;
    for (unsigned i = 0; i < UPDATES; i++) {
        uint64_t token = kvt_rng_below(&rng, TOKENS);
        uint32_t first = (uint32_t)kvt_rng_below(&rng, KEYS);
        uint32_t count = 1 + (uint32_t)kvt_rng_below(&rng, KEYS - first);

        OK(step_init(&s[i], token, keys + first, count));
        s[i].u.durability = kvt_rng_below(&rng, 2) ? KV_DISK : KV_OS;
        s[i].u.hint_for = kvt_rng_below(&rng, 4) ? 0 : 1 + kvt_rng_below(&rng, 4);
        s[i].refuse = kvt_rng_below(&rng, 8) ? KV_OK : KV_ECONFLICT;
        for (uint32_t k = first; k < first + count && !s[i].refuse; k++)
            want[token][k]++;
        kvi_update_begin(kvi_replication_updates(t.r), &s[i].u);
        for (uint64_t steps = kvt_rng_below(&rng, 12); steps > 0; steps--)
            kvt_effects_step(&t.fx);
    }
    kvt_effects_run(&t.fx);
    for (unsigned i = 0; i < UPDATES; i++) {
        cr_assert(s[i].done == 1 && s[i].err == s[i].refuse);
        cr_assert_gt(s[i].order, last_order[s[i].u.token], "seed %llu", (unsigned long long)seed);
        last_order[s[i].u.token] = s[i].order;
    }
    for (uint64_t token = 0; token < TOKENS; token++) {
        for (unsigned k = 0; k < KEYS; k++)
            cr_assert_eq(counter_of(keys[k], token), want[token][k], "seed %llu",
                         (unsigned long long)seed);
    }
    cr_assert_eq(kvi_replication_hints(t.r, 0), kvt_effects_count(&t.fx, kvt_text("\x02")));
}

UPDATE_TEST(many_at_once_are_as_one_after_the_other)
{
    uint64_t first = kvt_env_u64("SEED", 1);

    for (uint64_t seed = first; seed < first + 20; seed++)
        against_counters(seed);
}
