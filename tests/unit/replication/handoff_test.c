/*
 * Hints (replication/hints.c, marks.c, handoff.c, replay.c): counted, capped, brought home, and
 * never deleted before their owner has answered for what is there.
 */
#include "unit/replication/replica.h"

static kvt_replica t;

static void begin(void)
{
    kvt_replica_start(&t, 1);
    kvt_effects_reachable(&t.fx, 2, false);
    kvt_effects_reachable(&t.fx, 3, false);
}

static void end(void)
{
    kvt_replica_end(&t);
}

#define HANDOFF_TEST(name) Test(replication_handoff, name, .init = begin, .fini = end)

static char text[16];

/* A hint for node 2 on a key that node 1 is, or is not, a primary of. */
static kvi_slice hint(bool primary, const kvi_buf *object)
{
    kvi_slice key = kvt_key_where(&t, primary, 2, 0, text);

    cr_assert_eq(kvt_applied(&t, key, object, 2)->err, KV_OK);
    cr_assert(kvt_hinted(&t, key, 2));
    return key;
}

HANDOFF_TEST(a_hint_is_written_with_its_object_and_counted)
{
    kvi_buf a = kvt_object(&t, false, 9, 1, "x"), b = kvt_object(&t, false, 9, 2, "longer");
    kvi_slice key = hint(false, &a);

    cr_assert_eq(t.fx.seq, 1, "one write for both");
    cr_assert_eq(kvi_replication_hints(t.r, 2), 1);
    cr_assert_eq(kvi_replication_hints(t.r, 3), 0);
    kvt_applied(&t, key, &a, 2);
    cr_assert_eq(t.fx.seq, 1, "a doubled one was written again");
    kvt_applied(&t, key, &b, 2);
    kvt_applied(&t, key, &b, 3);
    kvt_applied(&t, key, &b, 1);
    cr_assert(kvt_hinted(&t, key, 3) && !kvt_hinted(&t, key, 1));
    cr_assert(kvi_replication_hints(t.r, 2) == 1 && kvi_replication_hints(t.r, 3) == 1);
    cr_assert_eq(kvi_replication_hints(t.r, 0), 2);
    cr_assert_eq(kvt_applied(&t, key, &b, 77)->err, KV_EBUSY, "nobody of the ring");
    kvi_buf_deinit(&a);
    kvi_buf_deinit(&b);
}

HANDOFF_TEST(a_hint_comes_home_and_goes_with_its_object)
{
    kvi_buf a = kvt_object(&t, false, 9, 1, "x");
    kvi_slice key = hint(false, &a), found;
    const kvi_wire_apply *replay;
    kvi_wire_items_iter it;
    kvi_wire_object item;

    cr_assert_eq(kvi_replication_deadline(t.r),
                 t.fx.cluster.now_ns + (uint64_t)(KVI_HINTS_AGE_MAX_MS + 1) * 1000000);
    kvt_pass(&t, 60 * KVT_SECOND);
    cr_assert_null(kvt_replayed(&t, 2));
    t.fx.cluster.next_birth = 41;
    kvt_turn(&t, 2, true);
    replay = kvt_replayed(&t, 2);
    cr_assert(replay && (replay->id & KVI_REPLICATION_ID));
    cr_assert(replay->flags == KVI_WIRE_APPLY_HANDOFF && replay->hint_for == 0);
    cr_assert(replay->durability == KV_DISK && replay->token == kvt_token(&t, key));
    kvi_wire_items_begin(&it, replay->items);
    cr_assert(kvi_wire_objects_next(&it, &item));
    cr_assert(kvi_slice_eq(item.key, key) && kvi_slice_eq(item.object, kvi_buf_slice(&a)));
    cr_assert(kvt_hinted(&t, key, 2) && kvt_holds(&t, key, &a), "it waits for the answer");
    kvt_answer(&t, 2, replay->id, KV_OK, KV_DISK);
    kvt_effects_run(&t.fx);
    cr_assert(!kvt_hinted(&t, key, 2) && !kvt_stored(&t, key, &found));
    cr_assert_eq(*kvi_cluster_birth_floor(&t.fx.cluster, kvt_token(&t, key)), 42);
    cr_assert_eq(kvi_replication_hints(t.r, 0), 0);
    cr_assert_eq(kvi_replication_deadline(t.r), UINT64_MAX);
    cr_assert_eq(kvi_replication_statistics(t.r)->objects_dropped, 1);
    kvi_buf_deinit(&a);
}

HANDOFF_TEST(a_primary_keeps_its_object)
{
    kvi_buf a = kvt_object(&t, false, 9, 1, "x");
    kvi_slice key = hint(true, &a);

    kvt_turn(&t, 2, true);
    kvt_answer(&t, 2, kvt_replayed(&t, 2)->id, KV_OK, KV_DISK);
    kvt_effects_run(&t.fx);
    cr_assert(!kvt_hinted(&t, key, 2) && kvt_holds(&t, key, &a));
    cr_assert_eq(*kvi_cluster_birth_floor(&t.fx.cluster, kvt_token(&t, key)), 0);
    kvi_buf_deinit(&a);
}

HANDOFF_TEST(the_last_hint_takes_the_object_along)
{
    kvi_buf a = kvt_object(&t, false, 9, 1, "x");
    kvi_slice key = hint(false, &a), found;

    cr_assert_eq(kvt_applied(&t, key, &a, 3)->err, KV_OK);
    kvt_turn(&t, 2, true);
    kvt_answer(&t, 2, kvt_replayed(&t, 2)->id, KV_OK, KV_DISK);
    kvt_effects_run(&t.fx);
    cr_assert(!kvt_hinted(&t, key, 2) && kvt_hinted(&t, key, 3) && kvt_holds(&t, key, &a));
    kvt_turn(&t, 3, true);
    kvt_answer(&t, 3, kvt_replayed(&t, 3)->id, KV_OK, KV_DISK);
    kvt_effects_run(&t.fx);
    cr_assert(!kvt_hinted(&t, key, 3) && !kvt_stored(&t, key, &found));
    kvi_buf_deinit(&a);
}

HANDOFF_TEST(only_a_durable_answer_of_its_owner_to_its_last_message_counts)
{
    kvi_buf a = kvt_object(&t, false, 9, 1, "x");
    kvi_slice key = hint(false, &a);
    uint64_t id, first;

    kvt_turn(&t, 2, true);
    first = id = kvt_replayed(&t, 2)->id;
    kvt_answer(&t, 3, id, KV_OK, KV_DISK);
    kvt_answer(&t, 2, id + 1, KV_OK, KV_DISK);
    kvt_answer(&t, 2, KVI_REPLICATION_ID, KV_OK, KV_DISK);
    kvt_effects_run(&t.fx);
    cr_assert(kvt_hinted(&t, key, 2));
    kvt_answer(&t, 2, id, KV_OK, KV_OS);
    kvt_pass(&t, KVT_SECOND);
    cr_assert(kvt_hinted(&t, key, 2) && kvt_replayed(&t, 2)->id != id);
    id = kvt_replayed(&t, 2)->id;
    kvt_answer(&t, 2, id, KV_ENOSPC, 0);
    kvt_answer(&t, 2, first, KV_OK, KV_DISK);
    kvt_pass(&t, KVT_SECOND);
    cr_assert(kvt_hinted(&t, key, 2) && kvt_replayed(&t, 2)->id != id);
    id = kvt_replayed(&t, 2)->id;
    kvt_answer(&t, 2, id, KV_ECANCELED, 0);
    kvt_pass(&t, KVT_SECOND);
    id = kvt_replayed(&t, 2)->id;
    kvt_answer(&t, 2, id, KV_OK, KV_DISK);
    kvt_answer(&t, 2, id, KV_OK, KV_DISK);
    kvt_effects_run(&t.fx);
    cr_assert_not(kvt_hinted(&t, key, 2));
    kvi_buf_deinit(&a);
}

HANDOFF_TEST(what_changed_meanwhile_is_sent_again)
{
    kvi_buf a = kvt_object(&t, false, 9, 1, "x"), b = kvt_object(&t, false, 8, 1, "y");
    kvi_slice key = hint(false, &a), found;
    kvi_wire_items_iter it;
    kvi_wire_object item;
    uint64_t id;

    kvt_turn(&t, 2, true);
    id = kvt_replayed(&t, 2)->id;
    kvt_apply(&t, key, &b, 2, 0, KV_DISK);
    kvt_answer(&t, 2, id, KV_OK, KV_DISK);
    kvt_effects_run(&t.fx);
    kvt_merge(&t, &a, b);
    cr_assert(kvt_hinted(&t, key, 2) && kvt_holds(&t, key, &a));
    kvt_pass(&t, KVT_SECOND);
    cr_assert_neq(kvt_replayed(&t, 2)->id, id);
    kvi_wire_items_begin(&it, kvt_replayed(&t, 2)->items);
    cr_assert(kvi_wire_objects_next(&it, &item));
    cr_assert(kvi_slice_eq(item.object, kvi_buf_slice(&a)));
    kvt_answer(&t, 2, kvt_replayed(&t, 2)->id, KV_OK, KV_DISK);
    kvt_effects_run(&t.fx);
    cr_assert(!kvt_hinted(&t, key, 2) && !kvt_stored(&t, key, &found));
    kvi_buf_deinit(&a);
}

HANDOFF_TEST(what_is_not_answered_is_sent_again_while_its_owner_is_there)
{
    kvi_buf a = kvt_object(&t, false, 9, 1, "x");
    kvi_slice key = hint(false, &a);
    uint64_t sent;

    kvt_turn(&t, 2, true);
    kvt_pass(&t, 300 * KVT_SECOND);
    sent = kvi_replication_statistics(t.r)->replays;
    cr_assert(sent > 10 && sent < 200, "%llu times", (unsigned long long)sent);
    kvt_turn(&t, 2, false);
    kvt_pass(&t, 300 * KVT_SECOND);
    cr_assert_leq(kvi_replication_statistics(t.r)->replays, sent + 1);
    kvt_turn(&t, 2, true);
    kvt_answer(&t, 2, kvt_replayed(&t, 2)->id, KV_OK, KV_DISK);
    kvt_effects_run(&t.fx);
    cr_assert_not(kvt_hinted(&t, key, 2));
    kvi_buf_deinit(&a);
}

/* Answers all that is sent to node 2, so often; returns the most that were under way at once. */
static size_t answer_all(unsigned rounds)
{
    size_t most = 0;

    for (unsigned i = 0; i < rounds; i++) {
        size_t n = t.fx.sent_count;
        uint64_t ids[4 * KVI_HINTS_PACE];

        cr_assert_lt(n, 4 * KVI_HINTS_PACE);
        most = n > most ? n : most;
        for (size_t j = 0; j < n; j++)
            ids[j] = t.fx.sent[j].m.u.apply.id;
        kvt_effects_forget_sent(&t.fx);
        for (size_t j = 0; j < n; j++) {
            kvt_answer(&t, 2, ids[j], KV_OK, KV_DISK);
            kvt_effects_step(&t.fx);
        }
        kvt_effects_run(&t.fx);
    }
    return most;
}

HANDOFF_TEST(many_come_home_at_their_pace)
{
    enum { HINTS = 1000 };
    kvi_buf a = kvt_object(&t, false, 9, 1, "x");

    for (unsigned i = 0; i < HINTS; i++) {
        char key[16];

        snprintf(key, sizeof key, "h%u", i);
        kvt_apply(&t, kvt_text(key), &a, 2, 0, KV_OS);
    }
    kvt_effects_run(&t.fx);
    cr_assert_eq(kvi_replication_hints(t.r, 2), HINTS);
    kvt_effects_forget_sent(&t.fx);
    kvt_turn(&t, 2, true);
    cr_assert_leq(answer_all(100), KVI_HINTS_PACE + KVI_HINTS_PACE / 2);
    cr_assert_eq(kvi_replication_hints(t.r, 0), 0);
    cr_assert_eq(kvt_effects_count(&t.fx, kvt_text("\x02")), 0);
    kvi_buf_deinit(&a);
}

HANDOFF_TEST(hints_are_counted_again_when_the_store_is_opened)
{
    enum { HINTS = 3000 };
    kvi_buf a = kvt_object(&t, false, 9, 1, "x");
    kvi_slice key = kvt_text("new");
    uint64_t id;

    for (unsigned i = 0; i < HINTS; i++) {
        char text_of[16];

        snprintf(text_of, sizeof text_of, "h%u", i);
        kvt_apply(&t, kvt_text(text_of), &a, 2 + i % 2, 0, KV_DISK);
    }
    kvt_effects_run(&t.fx);
    kvt_effects_put(&t.fx, kvt_text("\x02strange"), kvt_text("x"));
    kvt_replica_close(&t);
    kvt_effects_reopen(&t.fx);
    kvt_effects_forget_sent(&t.fx);
    kvt_effects_fail(&t.fx, KVT_SCAN, 1, 1, KV_EIO);
    kvt_replica_open(&t);
    id = kvt_apply(&t, key, &a, 3, 0, KV_DISK); /* waits for the count, and fails with it */
    kvt_effects_run(&t.fx);
    cr_assert_eq(kvt_ack(&t, id)->err, KV_EIO);
    cr_assert_not(kvi_replication_hint_room(t.r, 1));
    cr_assert_eq(kvt_applied(&t, key, &a, 3)->err, KV_EBUSY);
    t.fx.cluster.now_ns = kvi_replication_deadline(t.r);
    kvi_replication_tick(t.r);
    id = kvt_apply(&t, key, &a, 3, 0, KV_DISK); /* waits for the count, and is counted */
    kvt_effects_run(&t.fx);
    cr_assert_eq(kvt_ack(&t, id)->err, KV_OK);
    cr_assert_eq(kvi_replication_hints(t.r, 2), HINTS / 2);
    cr_assert_eq(kvi_replication_hints(t.r, 3), HINTS / 2 + 1);
    cr_assert_eq(t.fx.logged, 2, "a failure, and what is no hint");
    kvi_buf_deinit(&a);
}

HANDOFF_TEST(what_passes_a_cap_is_refused_and_nothing_written)
{
    kvi_buf a = kvt_object(&t, false, 9, 1, "x"), b = kvt_object(&t, false, 9, 2, "y");
    kvi_slice found;
    uint64_t seq;

    kvt_replica_close(&t);
    kvt_effects_reopen(&t.fx);
    t.config.hints_count_max = 3;
    t.config.hints_bytes_max = 3 * (2 + a.len) + 10;
    kvt_replica_open(&t);
    kvt_effects_run(&t.fx);
    cr_assert_eq(kvt_applied(&t, kvt_text("k1"), &a, 2)->err, KV_OK);
    cr_assert_eq(kvt_applied(&t, kvt_text("k2"), &a, 2)->err, KV_OK);
    cr_assert(kvi_replication_hint_room(t.r, 5) && !kvi_replication_hint_room(t.r, 500));
    cr_assert_eq(kvt_applied(&t, kvt_text("k3"), &a, 3)->err, KV_OK);
    cr_assert_not(kvi_replication_hint_room(t.r, 1));
    seq = t.fx.seq;
    cr_assert_eq(kvt_applied(&t, kvt_text("k4"), &a, 3)->err, KV_ENOSPC);
    cr_assert(t.fx.seq == seq && !kvt_stored(&t, kvt_text("k4"), &found));
    cr_assert_eq(kvi_replication_statistics(t.r)->hints_refused, 1);
    cr_assert_eq(kvt_applied(&t, kvt_text("k1"), &b, 2)->err, KV_OK, "it is there already");
    cr_assert_eq(kvt_applied(&t, kvt_text("k4"), &a, 0)->err, KV_OK);
    kvi_buf_deinit(&b);
    b = kvt_object(&t, false, 9, 3, "far more than there is room for");
    cr_assert_eq(kvt_applied(&t, kvt_text("k1"), &b, 2)->err, KV_ENOSPC);
    kvi_buf_deinit(&a);
    kvi_buf_deinit(&b);
}

HANDOFF_TEST(what_fails_to_be_written_is_not_counted)
{
    kvi_buf a = kvt_object(&t, false, 9, 1, "x");

    for (unsigned i = 0; i < 5; i++) {
        kvt_effects_fail(&t.fx, KVT_WRITE | KVT_READ, i % 3, 1, KV_ENOSPC);
        cr_assert_eq(kvt_applied(&t, kvt_text("k"), &a, 2)->err, KV_ENOSPC);
        cr_assert_eq(kvi_replication_hints(t.r, 0), 0);
    }
    kvi_buf_deinit(&a);
}

HANDOFF_TEST(a_hint_that_is_too_old_is_dropped_and_its_object_stays)
{
    kvi_buf a = kvt_object(&t, false, 9, 1, "x"), b = kvt_object(&t, false, 8, 1, "y");
    kvi_slice key = hint(false, &a);
    kvi_slice other = kvt_text("other");

    kvt_pass(&t, (uint64_t)KVI_HINTS_AGE_MAX_MS / 2 * 1000000);
    kvt_applied(&t, other, &b, 2);
    kvt_pass(&t, (uint64_t)(KVI_HINTS_AGE_MAX_MS / 2 + 1000) * 1000000);
    cr_assert(!kvt_hinted(&t, key, 2) && kvt_holds(&t, key, &a));
    cr_assert(kvt_hinted(&t, other, 2));
    cr_assert_eq(kvi_replication_statistics(t.r)->hints_dropped, 1);
    kvt_pass(&t, (uint64_t)KVI_HINTS_AGE_MAX_MS * 1000000);
    cr_assert_not(kvt_hinted(&t, other, 2));
    cr_assert_eq(kvi_replication_deadline(t.r), UINT64_MAX);
    cr_assert_null(kvt_replayed(&t, 2));
    kvi_buf_deinit(&a);
    kvi_buf_deinit(&b);
}

HANDOFF_TEST(a_hint_for_one_who_left_is_dropped_and_its_object_stays)
{
    kvi_buf a = kvt_object(&t, false, 9, 1, "x");
    kvi_slice key = hint(false, &a);
    kvi_ring *ring = NULL;

    OK(kvi_ring_leave(t.fx.cluster.ring, 2, &ring));
    kvi_ring_free((kvi_ring *)(uintptr_t)t.fx.cluster.ring);
    t.fx.cluster.ring = ring;
    kvt_pass(&t, KVT_SECOND);
    cr_assert(!kvt_hinted(&t, key, 2) && kvt_holds(&t, key, &a));
    cr_assert_eq(kvi_replication_hints(t.r, 0), 0);
    kvi_buf_deinit(&a);
}

HANDOFF_TEST(without_a_ring_hints_wait)
{
    kvi_buf a = kvt_object(&t, false, 9, 1, "x");
    kvi_slice key = hint(false, &a);
    const kvi_ring *ring = t.fx.cluster.ring;

    t.fx.cluster.ring = NULL;
    kvt_turn(&t, 2, true);
    kvt_pass(&t, 60 * KVT_SECOND);
    cr_assert_eq(t.fx.cluster.ring, NULL);
    t.fx.cluster.ring = ring;
    cr_assert_null(kvt_replayed(&t, 2));
    cr_assert(kvt_hinted(&t, key, 2));
    kvi_replication_tick(t.r);
    kvt_effects_run(&t.fx);
    cr_assert_not_null(kvt_replayed(&t, 2));
    kvi_buf_deinit(&a);
}

HANDOFF_TEST(what_fails_on_the_way_leaves_the_hint)
{
    kvi_buf a = kvt_object(&t, false, 9, 1, "x");
    kvi_slice key = hint(false, &a);

    for (unsigned after = 0; after < 12; after++) {
        kvt_effects_fail(&t.fx, KVT_ANY, after, 1, KV_EIO);
        kvt_turn(&t, 2, false);
        kvt_turn(&t, 2, true);
        if (kvt_replayed(&t, 2)) {
            kvt_answer(&t, 2, kvt_replayed(&t, 2)->id, KV_OK, KV_DISK);
            kvt_effects_run(&t.fx);
        }
        if (kvt_hinted(&t, key, 2)) {
            cr_assert(kvt_holds(&t, key, &a));
            cr_assert_eq(kvi_replication_hints(t.r, 2), 1);
        } else {
            cr_assert_eq(kvi_replication_hints(t.r, 2), 0);
            kvt_effects_fail(&t.fx, 0, 0, 0, 0);
            kvt_effects_reachable(&t.fx, 2, false);
            hint(false, &a);
        }
        kvt_effects_forget_sent(&t.fx);
    }
    kvi_buf_deinit(&a);
}

HANDOFF_TEST(memory_may_end_anywhere)
{
    kvi_buf a = kvt_object(&t, false, 9, 1, "x");
    kvi_slice key = hint(false, &a);
    bool failed = true;

    for (size_t n = 0; failed; n++) {
        kvt_effects_forget_sent(&t.fx);
        kvt_turn(&t, 2, false);
        kvt_failmem_arm(&t.fail, n, false);
        kvt_turn(&t, 2, true);
        if (kvt_replayed(&t, 2)) {
            kvt_answer(&t, 2, kvt_replayed(&t, 2)->id, KV_OK, KV_DISK);
            kvt_effects_run(&t.fx);
        }
        failed = kvt_failmem_disarm(&t.fail);
        if (kvt_hinted(&t, key, 2)) {
            cr_assert(failed && kvt_holds(&t, key, &a));
        } else {
            kvt_effects_reachable(&t.fx, 2, false);
            hint(false, &a);
        }
        cr_assert_eq(kvi_replication_hints(t.r, 2), 1);
    }
    kvi_buf_deinit(&a);
}

HANDOFF_TEST(closing_leaves_what_waits_for_an_answer)
{
    kvi_buf a = kvt_object(&t, false, 9, 1, "x");
    kvi_slice key = hint(false, &a);

    kvt_turn(&t, 2, true);
    cr_assert_not_null(kvt_replayed(&t, 2));
    kvt_replica_close(&t);
    cr_assert(kvt_hinted(&t, key, 2) && kvt_holds(&t, key, &a));
    kvi_buf_deinit(&a);
}
