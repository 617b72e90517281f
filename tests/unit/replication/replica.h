/*
 * A replica on a recording port, and the few words that its tests are written in. Node 1 of five,
 * three replicas of each key.
 */
#ifndef KVT_UNIT_REPLICATION_REPLICA_H
#define KVT_UNIT_REPLICATION_REPLICA_H

#include <criterion/criterion.h>
#include <stdio.h>

#include "replication/key.h"
#include "replication/replication.h"
#include "support/failmem.h"
#include "support/fake_effects.h"

#define KVT_SECOND UINT64_C(1000000000)

#define OK(call) cr_assert_eq((call), KV_OK)

typedef struct kvt_replica {
    kvt_effects fx;
    kvt_failmem fail;
    kvi_mem mem;
    kvi_replication *r;
    kvi_replication_config config;
    uint64_t next_id;
} kvt_replica;

static inline kvi_slice kvt_text(const char *s)
{
    return kvi_slice_of(s, strlen(s));
}

static inline void kvt_replica_open(kvt_replica *t)
{
    OK(kvi_replication_new(&t->config, &t->r));
}

/** Until nothing is pending; then it is freed. */
static inline void kvt_replica_close(kvt_replica *t)
{
    kvt_effects_cancel(&t->fx);
    kvi_replication_free(t->r);
    t->r = NULL;
}

static inline void kvt_replica_start(kvt_replica *t, uint64_t seed)
{
    memset(t, 0, sizeof *t);
    kvt_effects_init(&t->fx, seed);
    kvt_effects_ring(&t->fx, 5, 7, 3);
    kvt_failmem_init(&t->fail, &t->mem);
    t->config.mem = &t->mem;
    t->config.effects = &t->fx.port;
    t->config.cluster = &t->fx.cluster;
    kvt_replica_open(t);
    kvt_effects_run(&t->fx);
    t->next_id = 1;
}

static inline void kvt_replica_end(kvt_replica *t)
{
    if (t->r)
        kvt_replica_close(t);
    cr_assert_eq(kvt_failmem_live(&t->fail), 0);
    kvt_effects_deinit(&t->fx);
}

static inline uint64_t kvt_token(kvt_replica *t, kvi_slice key)
{
    return kvi_ring_token(t->fx.cluster.ring, key);
}

static inline bool kvt_is_primary(kvt_replica *t, kvi_slice key, uint64_t node)
{
    const kvi_ring *ring = t->fx.cluster.ring;

    return kvi_ring_is_primary(ring, kvi_ring_partition(ring, kvt_token(t, key)), 3, node);
}

/** The nth key of which node 1 is a primary, or is not, and node `other` the reverse. */
static inline kvi_slice kvt_key_where(kvt_replica *t, bool primary, uint64_t other, unsigned nth,
                                      char text[16])
{
    for (unsigned i = 0;; i++) {
        kvi_slice key;

        snprintf(text, 16, "k%u", i);
        key = kvt_text(text);
        if (kvt_is_primary(t, key, 1) == primary && kvt_is_primary(t, key, other) && nth-- == 0)
            return key;
    }
}

/** An object with one sibling, by an actor of this open-id; lww: counter is the stamp. Of the
 *  heap. */
static inline kvi_buf kvt_object(kvt_replica *t, bool lww, uint64_t open_id, uint64_t counter,
                                 const char *value)
{
    kvi_object o;
    kvi_sibling s;
    kvi_buf b;

    memset(&s, 0, sizeof s);
    s.dot.actor.open_id = open_id;
    s.dot.actor.birth = lww ? 0 : 1;
    s.dot.counter = counter;
    s.value = kvt_text(value);
    kvi_object_init(&o, &t->fx.mem);
    kvi_buf_init(&b, &t->fx.mem);
    o.lww = lww;
    OK(kvi_object_put(&o, NULL, &s));
    OK(kvi_object_encode(&o, &b));
    kvi_object_deinit(&o);
    return b;
}

/** a merged with b, which is freed. */
static inline void kvt_merge(kvt_replica *t, kvi_buf *a, kvi_buf b)
{
    kvi_object into, from;
    unsigned merged;
    kvi_buf out;

    kvi_object_init(&into, &t->fx.mem);
    kvi_object_init(&from, &t->fx.mem);
    kvi_buf_init(&out, &t->fx.mem);
    OK(kvi_object_decode(&into, kvi_buf_slice(a)));
    OK(kvi_object_decode(&from, kvi_buf_slice(&b)));
    OK(kvi_object_merge(&into, &from, &merged));
    OK(kvi_object_encode(&into, &out));
    kvi_object_deinit(&into);
    kvi_object_deinit(&from);
    kvi_buf_deinit(a);
    kvi_buf_deinit(&b);
    *a = out;
}

/** An APPLY of one object, from node 2; gives its id. */
static inline uint64_t kvt_apply(kvt_replica *t, kvi_slice key, const kvi_buf *object,
                                 uint64_t hint_for, uint8_t flags, uint8_t durability)
{
    kvi_wire_object item = {KVI_KEYSPACE_DEFAULT, key, kvi_buf_slice(object)};
    kvi_wire_message m;
    kvi_buf items;

    kvi_buf_init(&items, &t->fx.mem);
    OK(kvi_wire_objects_put(&items, &item));
    memset(&m, 0, sizeof m);
    m.kind = KVI_WIRE_APPLY;
    m.u.apply.id = t->next_id++;
    m.u.apply.space = KVI_KEYSPACE_DEFAULT;
    m.u.apply.token = kvt_token(t, key);
    m.u.apply.durability = durability;
    m.u.apply.flags = flags;
    m.u.apply.hint_for = hint_for;
    m.u.apply.items.count = 1;
    m.u.apply.items.bytes = kvi_buf_slice(&items);
    kvi_replication_receive(t->r, 2, &m);
    /* It was borrowed. */
    memset(items.data, 0xa5, items.len);
    kvi_buf_deinit(&items);
    return m.u.apply.id;
}

/** The answer to the APPLY of this id, NULL before there is one. Asserts that there are not two. */
static inline const kvi_wire_apply_ack *kvt_ack(kvt_replica *t, uint64_t id)
{
    const kvi_wire_apply_ack *found = NULL;

    for (size_t i = 0; i < t->fx.sent_count; i++) {
        const kvi_wire_message *m = &t->fx.sent[i].m;

        if (m->kind == KVI_WIRE_APPLY_ACK && m->u.apply_ack.id == id) {
            cr_assert_null(found);
            found = &m->u.apply_ack;
        }
    }
    return found;
}

/** An APPLY and all that follows from it: the answer. */
static inline const kvi_wire_apply_ack *kvt_applied(kvt_replica *t, kvi_slice key,
                                                    const kvi_buf *object, uint64_t hint_for)
{
    uint64_t id = kvt_apply(t, key, object, hint_for, 0, KV_DISK);
    const kvi_wire_apply_ack *ack;

    kvt_effects_run(&t->fx);
    ack = kvt_ack(t, id);
    cr_assert_not_null(ack);
    return ack;
}

/** What the store has for a key; false: nothing. */
static inline bool kvt_stored(kvt_replica *t, kvi_slice key, kvi_slice *object)
{
    kvi_buf physical;
    bool found;

    kvi_buf_init(&physical, &t->fx.mem);
    OK(kvi_key_data(&physical, KVI_KEYSPACE_DEFAULT, kvt_token(t, key), key));
    found = kvt_effects_get(&t->fx, kvi_buf_slice(&physical), object);
    kvi_buf_deinit(&physical);
    return found;
}

static inline bool kvt_holds(kvt_replica *t, kvi_slice key, const kvi_buf *object)
{
    kvi_slice found;

    return kvt_stored(t, key, &found) && kvi_slice_eq(found, kvi_buf_slice(object));
}

static inline bool kvt_hinted(kvt_replica *t, kvi_slice key, uint64_t owner)
{
    kvi_slice value;
    kvi_buf physical;
    bool found;

    kvi_buf_init(&physical, &t->fx.mem);
    OK(kvi_key_hint(&physical, owner, KVI_KEYSPACE_DEFAULT, kvt_token(t, key), key));
    found = kvt_effects_get(&t->fx, kvi_buf_slice(&physical), &value);
    kvi_buf_deinit(&physical);
    return found;
}

/** So much later, with all that comes due on the way. */
static inline void kvt_pass(kvt_replica *t, uint64_t ns)
{
    uint64_t end = t->fx.cluster.now_ns + ns;

    for (unsigned i = 0;; i++) {
        uint64_t due = kvi_replication_deadline(t->r);

        cr_assert_lt(i, 100000, "it is due again and again at one time");
        if (due > end)
            break;
        if (due > t->fx.cluster.now_ns) {
            t->fx.cluster.wall_ms += (int64_t)((due - t->fx.cluster.now_ns) / 1000000);
            t->fx.cluster.now_ns = due;
        }
        kvi_replication_tick(t->r);
        kvt_effects_run(&t->fx);
    }
    t->fx.cluster.wall_ms += (int64_t)((end - t->fx.cluster.now_ns) / 1000000);
    t->fx.cluster.now_ns = end;
}

/** A node goes, or comes back: the node tells the replica. */
static inline void kvt_turn(kvt_replica *t, uint64_t node, bool reachable)
{
    kvt_effects_reachable(&t->fx, node, reachable);
    kvi_replication_tick(t->r);
    kvt_effects_run(&t->fx);
}

/** The APPLY noted last to this node; NULL: none. */
static inline const kvi_wire_apply *kvt_replayed(kvt_replica *t, uint64_t owner)
{
    const kvt_sent *sent = kvt_effects_last(&t->fx, owner, KVI_WIRE_APPLY);

    return sent ? &sent->m.u.apply : NULL;
}

/** An APPLY_ACK from this node. */
static inline void kvt_answer(kvt_replica *t, uint64_t from, uint64_t id, int err,
                              uint8_t durability)
{
    kvi_wire_message m;

    memset(&m, 0, sizeof m);
    m.kind = KVI_WIRE_APPLY_ACK;
    m.u.apply_ack.id = id;
    m.u.apply_ack.err = err;
    m.u.apply_ack.durability = durability;
    kvi_replication_receive(t->r, from, &m);
}

#endif
