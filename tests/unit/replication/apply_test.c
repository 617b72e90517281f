/*
 * APPLY (replication/apply.c): merged, idempotent, answered once; what is refused has written
 * nothing.
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

#define APPLY_TEST(name) Test(replication_apply, name, .init = begin, .fini = end)

static const kvi_slice K = {"key", 3};

APPLY_TEST(it_is_answered_when_it_is_durable)
{
    kvi_buf a = kvt_object(&t, false, 9, 1, "x");
    uint64_t id = kvt_apply(&t, K, &a, 0, 0, KV_DISK);

    while (!kvt_ack(&t, id)) {
        cr_assert(kvt_effects_step(&t.fx));
        cr_assert(!kvt_ack(&t, id) || (t.fx.durable == t.fx.seq && t.fx.seq > 0));
    }
    cr_assert(kvt_ack(&t, id)->err == KV_OK && kvt_ack(&t, id)->durability == KV_DISK);
    cr_assert(kvt_holds(&t, K, &a));
    id = kvt_apply(&t, K, &a, 0, 0, KV_OS);
    kvt_effects_run(&t.fx);
    cr_assert(kvt_ack(&t, id)->err == KV_OK && kvt_ack(&t, id)->durability == KV_OS);
    kvi_buf_deinit(&a);
}

APPLY_TEST(a_store_without_a_log_says_so)
{
    kvi_buf a = kvt_object(&t, false, 9, 1, "x");

    t.fx.cluster.logged = false;
    cr_assert_eq(kvt_applied(&t, K, &a, 0)->durability, KV_MEMORY);
    kvi_buf_deinit(&a);
}

APPLY_TEST(what_is_concurrent_becomes_siblings_in_any_order)
{
    kvi_buf a = kvt_object(&t, false, 9, 1, "x"), b = kvt_object(&t, false, 8, 1, "y");
    uint64_t seq;

    kvt_apply(&t, K, &a, 0, 0, KV_DISK);
    kvt_apply(&t, K, &b, 0, 0, KV_DISK);
    kvt_apply(&t, K, &a, 0, 0, KV_DISK);
    kvt_effects_run(&t.fx);
    cr_assert_eq(t.fx.sent_count, 3);
    seq = t.fx.seq;
    cr_assert_eq(kvt_applied(&t, K, &b, 0)->err, KV_OK);
    cr_assert_eq(t.fx.seq, seq, "a doubled one was written again");
    kvt_merge(&t, &a, b);
    cr_assert(kvt_holds(&t, K, &a));
    kvi_buf_deinit(&a);
}

APPLY_TEST(a_newer_stamp_is_told_and_kept)
{
    uint64_t now = (uint64_t)t.fx.cluster.wall_ms << KVI_HLC_LOGICAL_BITS;
    kvi_buf old = kvt_object(&t, true, 9, now, "old");
    kvi_buf new = kvt_object(&t, true, 8, now + 1, "new");
    const kvi_wire_apply_ack *ack;
    uint64_t id;

    cr_assert_eq(kvt_applied(&t, K, &new, 0)->err, KV_OK);
    ack = kvt_applied(&t, K, &old, 3);
    cr_assert_eq(ack->err, KV_ECONFLICT);
    cr_assert(kvi_slice_eq(ack->newer, kvi_buf_slice(&new)));
    cr_assert(!kvt_hinted(&t, K, 3) && kvt_holds(&t, K, &new));
    ack = kvt_applied(&t, K, &new, 0);
    cr_assert(ack->err == KV_OK && ack->newer.len == 0, "the same again");
    id = kvt_apply(&t, K, &old, 0, KVI_WIRE_APPLY_HANDOFF, KV_DISK);
    kvt_effects_run(&t.fx);
    cr_assert_eq(kvt_ack(&t, id)->err, KV_OK, "a hint's object has been outdone");
    kvi_buf_deinit(&old);
    kvi_buf_deinit(&new);
}

APPLY_TEST(a_stamp_too_far_ahead_is_refused_and_counted)
{
    int64_t far_ms = t.fx.cluster.wall_ms + KVI_HLC_DRIFT_MAX_MS;
    kvi_buf near = kvt_object(&t, true, 9, (uint64_t)far_ms << KVI_HLC_LOGICAL_BITS, "x");
    kvi_buf far = kvt_object(&t, true, 9, (uint64_t)(far_ms + 1) << KVI_HLC_LOGICAL_BITS, "x");
    const kvi_wire_apply_ack *ack = kvt_applied(&t, K, &far, 0);
    kvi_slice found;

    cr_assert(ack->err == KV_ECONFLICT && ack->newer.len == 0);
    cr_assert(!kvt_stored(&t, K, &found));
    cr_assert_eq(kvi_replication_statistics(t.r)->drift_refused, 1);
    cr_assert_eq(kvt_applied(&t, K, &near, 0)->err, KV_OK);
    kvi_buf_deinit(&near);
    kvi_buf_deinit(&far);
}

static void add(kvi_buf *items, uint32_t space, const char *key, kvi_slice object)
{
    kvi_wire_object item = {space, kvt_text(key), object};

    OK(kvi_wire_objects_put(items, &item));
}

static const kvi_wire_apply_ack *batch(const kvi_buf *items, uint32_t count, uint64_t token)
{
    kvi_wire_message m;

    memset(&m, 0, sizeof m);
    m.kind = KVI_WIRE_APPLY;
    m.u.apply.id = t.next_id++;
    m.u.apply.space = 1;
    m.u.apply.token = token;
    m.u.apply.items.count = count;
    m.u.apply.items.bytes = kvi_buf_slice(items);
    kvi_replication_receive(t.r, 2, &m);
    kvt_effects_run(&t.fx);
    cr_assert_not_null(kvt_ack(&t, m.u.apply.id));
    return kvt_ack(&t, m.u.apply.id);
}

APPLY_TEST(one_bad_item_refuses_all)
{
    kvi_buf a = kvt_object(&t, false, 9, 1, "x"), items;
    uint64_t token = kvt_token(&t, kvt_text("{p}1"));
    size_t good;

    kvi_buf_init(&items, &t.fx.mem);
    add(&items, 1, "{p}1", kvi_buf_slice(&a));
    good = items.len;
    add(&items, 1, "{p}2", kvt_text("garbage"));
    cr_assert_eq(batch(&items, 2, token)->err, KV_ECORRUPT);
    items.len = good;
    add(&items, 1, "{p}2", kvi_slice_of("\1\0\0\0", 4)); /* empty */
    cr_assert_eq(batch(&items, 2, token)->err, KV_ECORRUPT);
    items.len = good;
    add(&items, 2, "{p}2", kvi_buf_slice(&a));
    cr_assert_eq(batch(&items, 2, token)->err, KV_EINVAL, "a space of our own records");
    items.len = good;
    add(&items, 1, "{q}2", kvi_buf_slice(&a));
    cr_assert_eq(batch(&items, 2, token)->err, KV_EINVAL, "another token");
    items.len = good;
    add(&items, 1, "{p}1", kvi_buf_slice(&a));
    cr_assert_eq(batch(&items, 2, token)->err, KV_EINVAL, "a key twice");
    cr_assert_eq(t.fx.seq, 0);
    items.len = good;
    add(&items, 16, "{p}1", kvi_buf_slice(&a)); /* in another space it is another key */
    add(&items, 1, "{p}2", kvi_buf_slice(&a));
    cr_assert_eq(batch(&items, 3, token)->err, KV_OK);
    cr_assert_eq(t.fx.seq, 1, "all in one write");
    cr_assert(kvt_holds(&t, kvt_text("{p}1"), &a) && kvt_holds(&t, kvt_text("{p}2"), &a));
    kvi_buf_deinit(&items);
    kvi_buf_deinit(&a);
}

APPLY_TEST(what_gains_of_a_batch_is_kept_and_the_newest_told)
{
    uint64_t now = (uint64_t)t.fx.cluster.wall_ms << KVI_HLC_LOGICAL_BITS;
    kvi_buf one = kvt_object(&t, true, 9, now, "one"), two = kvt_object(&t, true, 9, now + 2, "2");
    kvi_buf three = kvt_object(&t, true, 9, now + 3, "3"), items;
    const kvi_wire_apply_ack *ack;

    cr_assert_eq(kvt_applied(&t, kvt_text("{p}2"), &two, 0)->err, KV_OK);
    cr_assert_eq(kvt_applied(&t, kvt_text("{p}3"), &three, 0)->err, KV_OK);
    kvi_buf_init(&items, &t.fx.mem);
    add(&items, 1, "{p}1", kvi_buf_slice(&one));
    add(&items, 1, "{p}3", kvi_buf_slice(&one));
    add(&items, 1, "{p}2", kvi_buf_slice(&one));
    ack = batch(&items, 3, kvt_token(&t, kvt_text("{p}1")));
    cr_assert(ack->err == KV_ECONFLICT && kvi_slice_eq(ack->newer, kvi_buf_slice(&three)));
    cr_assert(kvt_holds(&t, kvt_text("{p}1"), &one) && kvt_holds(&t, kvt_text("{p}2"), &two));
    kvi_buf_deinit(&items);
    kvi_buf_deinit(&one);
    kvi_buf_deinit(&two);
    kvi_buf_deinit(&three);
}

APPLY_TEST(without_a_ring_nothing_is_taken)
{
    const kvi_ring *ring = t.fx.cluster.ring;
    kvi_wire_message m;

    memset(&m, 0, sizeof m);
    m.kind = KVI_WIRE_APPLY;
    m.u.apply.id = t.next_id++;
    m.u.apply.items.count = 1;
    t.fx.cluster.ring = NULL;
    kvi_replication_receive(t.r, 2, &m);
    t.fx.cluster.ring = ring;
    cr_assert_eq(kvt_ack(&t, m.u.apply.id)->err, KV_EUNAVAILABLE);
}

APPLY_TEST(storage_that_fails_is_told)
{
    kvi_buf a = kvt_object(&t, false, 9, 1, "x");
    static const unsigned kinds[] = {KVT_READ, KVT_WRITE, KVT_SYNC};

    for (unsigned i = 0; i < 3; i++) {
        kvt_effects_fail(&t.fx, kinds[i], 0, 1, KV_EIO);
        cr_assert_eq(kvt_applied(&t, K, &a, 0)->err, KV_EIO);
    }
    kvi_buf_deinit(&a);
}

APPLY_TEST(memory_may_end_anywhere)
{
    kvi_buf a = kvt_object(&t, false, 9, 1, "x"), items;
    uint64_t token = kvt_token(&t, kvt_text("{p}1"));

    kvi_buf_init(&items, &t.fx.mem);
    add(&items, 1, "{p}1", kvi_buf_slice(&a));
    add(&items, 1, "{p}2", kvi_buf_slice(&a));
    for (size_t n = 0;; n++) {
        int err;

        kvt_failmem_arm(&t.fail, n, false);
        err = batch(&items, 2, token)->err;
        if (!kvt_failmem_disarm(&t.fail))
            break;
        cr_assert(err == KV_ENOMEM || err == KV_OK);
    }
    kvi_buf_deinit(&items);
    kvi_buf_deinit(&a);
}
