/*
 * Hints under fire: one replica, two owners that are played here. Messages to them and from them
 * are lost, doubled and reordered, they come and go, storage fails, the replica crashes and loses
 * what was not synced. Whatever: a hint that was acknowledged as durable reaches its owner, and in
 * the end none is left, nor an object that is only here for a hint.
 */
#include "unit/replication/replica.h"

enum { KEYS = 12, OWNERS = 2, WRITES = 60, FIRST_OWNER = 2 };

/* What an owner has, and what was promised that it will have. */
typedef struct world {
    kvt_replica t;
    kvt_rng rng;
    char keys[KEYS][16];
    kvi_buf owned[OWNERS][KEYS], promised[OWNERS][KEYS];
    struct {
        uint64_t id; /* of the APPLY that asked for it; 0: answered, or lost in a crash */
        unsigned owner, key;
        kvi_buf object;
    } asked[WRITES];
    unsigned writes;
    struct {
        uint64_t id;
        uint64_t from;
    } answers[4096]; /* on their way back */
    size_t answer_count;
} world;

static void learn(world *w, kvi_buf *known, kvi_slice object)
{
    kvi_buf copy;

    kvi_buf_init(&copy, &w->t.fx.mem);
    OK(kvi_buf_set(&copy, object.data, object.len));
    if (known->len == 0) {
        kvi_buf_deinit(known);
        *known = copy;
    } else {
        kvt_merge(&w->t, known, copy);
    }
}

/* Whether an object knows all that another does. */
static bool covers(world *w, const kvi_buf *known, const kvi_buf *part)
{
    kvi_buf both;
    bool same;

    if (part->len == 0)
        return true;
    if (known->len == 0)
        return false;
    kvi_buf_init(&both, &w->t.fx.mem);
    OK(kvi_buf_set(&both, known->data, known->len));
    learn(w, &both, kvi_buf_slice(part));
    same = kvi_slice_eq(kvi_buf_slice(&both), kvi_buf_slice(known));
    kvi_buf_deinit(&both);
    return same;
}

static unsigned key_of(world *w, kvi_slice key)
{
    unsigned k = 0;

    while (!kvi_slice_eq(key, kvt_text(w->keys[k])))
        k++;
    return k;
}

static void begin(world *w, uint64_t seed)
{
    memset(w, 0, sizeof *w);
    kvt_replica_start(&w->t, seed);
    kvt_rng_init(&w->rng, seed * 31 + 7);
    for (unsigned k = 0; k < KEYS; k++) {
        kvt_key_where(&w->t, k % 3 == 0, FIRST_OWNER, k, w->keys[k]);
        for (unsigned o = 0; o < OWNERS; o++) {
            kvi_buf_init(&w->owned[o][k], &w->t.fx.mem);
            kvi_buf_init(&w->promised[o][k], &w->t.fx.mem);
        }
    }
}

static void end(world *w)
{
    for (unsigned k = 0; k < KEYS; k++) {
        for (unsigned o = 0; o < OWNERS; o++) {
            kvi_buf_deinit(&w->owned[o][k]);
            kvi_buf_deinit(&w->promised[o][k]);
        }
    }
    for (unsigned i = 0; i < w->writes; i++)
        kvi_buf_deinit(&w->asked[i].object);
    kvt_replica_end(&w->t);
}

static void write_one(world *w)
{
    unsigned owner, key;
    char value[16];

    if (w->writes == WRITES)
        return;
    owner = (unsigned)kvt_rng_below(&w->rng, OWNERS);
    key = (unsigned)kvt_rng_below(&w->rng, KEYS);
    snprintf(value, sizeof value, "v%u", w->writes);
    w->asked[w->writes].owner = owner;
    w->asked[w->writes].key = key;
    w->asked[w->writes].object = kvt_object(&w->t, false, 5000 + w->writes, 1, value);
    w->asked[w->writes].id = kvt_apply(&w->t, kvt_text(w->keys[key]), &w->asked[w->writes].object,
                                       FIRST_OWNER + owner, 0, KV_DISK);
    w->writes++;
}

/* What the owner does with a replay. */
static void owner_takes(world *w, uint64_t owner, const kvi_wire_apply *m)
{
    kvi_wire_items_iter it;
    kvi_wire_object item;

    cr_assert(m->flags == KVI_WIRE_APPLY_HANDOFF && m->items.count == 1);
    kvi_wire_items_begin(&it, m->items);
    while (kvi_wire_objects_next(&it, &item))
        learn(w, &w->owned[owner - FIRST_OWNER][key_of(w, item.key)], item.object);
}

static void acked(world *w, const kvi_wire_apply_ack *m)
{
    for (unsigned i = 0; i < w->writes; i++) {
        if (w->asked[i].id != m->id)
            continue;
        if (m->err == KV_OK)
            learn(w, &w->promised[w->asked[i].owner][w->asked[i].key],
                  kvi_buf_slice(&w->asked[i].object));
        w->asked[i].id = 0;
    }
}

/* The network: all that was sent arrives, or not; at owners that are away it does not. */
static void carry(world *w, bool lossy)
{
    for (size_t i = 0; i < w->t.fx.sent_count; i++) {
        const kvt_sent *sent = kvt_effects_sent(&w->t.fx, i);
        uint64_t copies = lossy ? kvt_rng_below(&w->rng, 3) : 1;

        if (sent->m.kind == KVI_WIRE_APPLY_ACK)
            acked(w, &sent->m.u.apply_ack);
        if (sent->m.kind != KVI_WIRE_APPLY || !w->t.fx.cluster.reachable(&w->t.fx, sent->to))
            continue;
        while (copies-- > 0) {
            owner_takes(w, sent->to, &sent->m.u.apply);
            cr_assert_lt(w->answer_count, sizeof w->answers / sizeof w->answers[0]);
            w->answers[w->answer_count].id = sent->m.u.apply.id;
            w->answers[w->answer_count++].from = sent->to;
        }
    }
    kvt_effects_forget_sent(&w->t.fx);
}

static void answer_one(world *w, bool lossy)
{
    size_t at;
    int err;

    if (w->answer_count == 0)
        return;
    at = (size_t)kvt_rng_below(&w->rng, w->answer_count);
    err = lossy && kvt_rng_below(&w->rng, 4) == 0 ? KV_ENOMEM : KV_OK;
    kvt_answer(&w->t, w->answers[at].from, w->answers[at].id, err, KV_DISK);
    if (!lossy || kvt_rng_below(&w->rng, 4))
        w->answers[at] = w->answers[--w->answer_count];
}

static void crash(world *w)
{
    kvt_effects_cancel(&w->t.fx);
    carry(w, true); /* what was sent before it is on its way */
    kvi_replication_free(w->t.r);
    w->t.r = NULL;
    for (unsigned i = 0; i < w->writes; i++)
        w->asked[i].id = 0;
    kvt_effects_reopen(&w->t.fx);
    kvt_replica_open(&w->t);
}

static void one_event(world *w)
{
    uint64_t owner = FIRST_OWNER + kvt_rng_below(&w->rng, OWNERS);

    switch (kvt_rng_below(&w->rng, 40)) {
    case 0:
    case 1:
        kvt_effects_reachable(&w->t.fx, owner, kvt_rng_below(&w->rng, 2) == 0);
        kvi_replication_tick(w->t.r);
        break;
    case 2:
        if (kvt_rng_below(&w->rng, 8) == 0)
            crash(w);
        break;
    case 3:
        kvt_effects_fail(&w->t.fx, KVT_ANY, (size_t)kvt_rng_below(&w->rng, 20), 1, KV_EMFILE);
        break;
    case 4:
    case 5:
    case 6:
        write_one(w);
        break;
    case 7:
    case 8:
    case 9:
        carry(w, true);
        break;
    case 10:
    case 11:
    case 12:
        answer_one(w, true);
        break;
    case 13:
        w->t.fx.cluster.now_ns += kvt_rng_below(&w->rng, KVT_SECOND / 2);
        w->t.fx.cluster.wall_ms += 100;
        kvi_replication_tick(w->t.r);
        break;
    default:
        kvt_effects_step(&w->t.fx);
    }
}

/* All is well from now on. */
static void heal(world *w)
{
    kvt_effects_fail(&w->t.fx, 0, 0, 0, 0);
    for (unsigned o = 0; o < OWNERS; o++)
        kvt_effects_reachable(&w->t.fx, FIRST_OWNER + o, true);
    kvi_replication_tick(w->t.r);
    for (unsigned i = 0; i < 400; i++) {
        kvt_effects_run(&w->t.fx);
        carry(w, false);
        while (w->answer_count > 0)
            answer_one(w, false);
        kvt_effects_run(&w->t.fx);
        w->t.fx.cluster.now_ns += KVT_SECOND;
        kvi_replication_tick(w->t.r);
    }
}

static void check(world *w, unsigned long long seed)
{
    kvi_slice found;

    cr_assert_eq(kvi_replication_hints(w->t.r, 0), 0, "seed %llu: hints are left", seed);
    cr_assert_eq(kvt_effects_count(&w->t.fx, kvt_text("\x02")), 0, "seed %llu", seed);
    for (unsigned k = 0; k < KEYS; k++) {
        for (unsigned o = 0; o < OWNERS; o++)
            cr_assert(covers(w, &w->owned[o][k], &w->promised[o][k]),
                      "seed %llu: a hint did not reach its owner", seed);
        cr_assert(k % 3 == 0 || !kvt_stored(&w->t, kvt_text(w->keys[k]), &found),
                  "seed %llu: an object was left behind", seed);
    }
}

Test(replication_home, acknowledged_hints_reach_their_owners)
{
    static world w;
    uint64_t first = kvt_env_u64("SEED", 1), seeds = kvt_env_u64("SEEDS", 100);

    for (uint64_t seed = first; seed < first + seeds; seed++) {
        begin(&w, seed);
        for (unsigned i = 0; i < 3000; i++)
            one_event(&w);
        heal(&w);
        check(&w, (unsigned long long)seed);
        end(&w);
    }
}
