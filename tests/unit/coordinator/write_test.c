/*
 * Writes through a small cluster, one situation at a time.
 */
#include <criterion/criterion.h>
#include <stdio.h>
#include <string.h>

#include "support/cluster.h"

static void put(kvt_cluster *cl, cl_request *q, const char *key, const char *value)
{
    cl_request_init(cl, q, KVI_REQUEST_PUT, key, value);
}

Test(coordinator_write, is_held_by_w_when_it_is_acknowledged_and_by_all_afterwards)
{
    kvt_cluster *cl = kvt_cluster_new(1, 5, 3, NULL);
    cl_request q;

    for (unsigned node = 0; node < 5; node++) {
        char value[8];

        snprintf(value, sizeof value, "v%u", node);
        put(cl, &q, "key", value);
        cr_assert_eq(kvt_cluster_call(cl, node, &q), KV_OK, "%s", q.r.detail);
        cr_assert_eq(q.r.acks, 2);
        cr_assert_eq(q.r.primaries, 2);
        cr_assert_eq(q.r.reached, KV_DISK);
        cr_assert(cl_holders(cl, 1, q.r.key, value) >= 2);
        cr_assert_gt(q.r.sealed.len, 0);
        kvt_cluster_run_ns(cl, 1000000000);
        cr_assert_eq(cl_holders(cl, 1, q.r.key, value), 3);
        cl_request_deinit(&q);
    }
    kvt_cluster_free(cl);
}

Test(coordinator_write, goes_round_an_unreachable_primary_with_a_hint)
{
    kvt_cluster *cl = kvt_cluster_new(2, 5, 3, NULL);
    unsigned nodes[16];
    cl_request q;

    cl_walk(cl, "key", 3, nodes);
    cl_isolate(cl, nodes[0], true);
    put(cl, &q, "key", "value");
    q.r.w = KV_ALL;
    cr_assert_eq(kvt_cluster_call(cl, nodes[4], &q), KV_OK, "%s", q.r.detail);
    cr_assert_eq(q.r.acks, 3);
    cr_assert_eq(q.r.primaries, 2);
    cr_assert_eq(q.r.fallbacks, 1);
    kvt_cluster_run_ns(cl, 1000000000);
    cr_assert_eq(kvi_replication_hints(cl->nodes[nodes[3]].r, nodes[0] + 1), 1);
    cl_isolate(cl, nodes[0], false);
    kvt_cluster_run_ns(cl, UINT64_C(60000000000));
    cr_assert_eq(kvi_replication_hints(cl->nodes[nodes[3]].r, 0), 0);
    cr_assert_eq(cl_holders(cl, 1, q.r.key, "value"), 3);
    cl_request_deinit(&q);
    kvt_cluster_free(cl);
}

Test(coordinator_write, is_unavailable_where_w_cannot_be_reached_and_leaves_nothing)
{
    kvt_cluster *cl = kvt_cluster_new(3, 5, 3, NULL);
    unsigned nodes[16];
    cl_request q;

    cl_walk(cl, "key", 3, nodes);
    cl_isolate(cl, nodes[0], true);
    put(cl, &q, "key", "value");
    q.r.w = 3;
    q.r.flags = KV_PRIMARIES_ONLY;
    cr_assert_eq(kvt_cluster_call(cl, nodes[1], &q), KV_EUNAVAILABLE);
    cr_assert_eq(cl_holders(cl, 1, q.r.key, "value"), 0);
    cl_request_deinit(&q);
    put(cl, &q, "key", "value");
    q.r.w = 2;
    cr_assert_eq(kvt_cluster_call(cl, nodes[0], &q), KV_EUNAVAILABLE);
    kvt_cluster_run_ns(cl, 1000000000);
    cr_assert_eq(cl_holders(cl, 1, q.r.key, "value"), 0);
    cl_request_deinit(&q);
    put(cl, &q, "key", "value");
    q.r.w = 4;
    cr_assert_eq(kvt_cluster_call(cl, 0, &q), KV_EINVAL);
    cl_request_deinit(&q);
    put(cl, &q, "key", "value");
    q.r.space = 99;
    cr_assert_eq(kvt_cluster_call(cl, 0, &q), KV_ENOENT);
    cl_request_deinit(&q);
    kvt_cluster_free(cl);
}

Test(coordinator_write, is_uncertain_where_w_does_not_confirm)
{
    kvt_cluster *cl = kvt_cluster_new(4, 3, 3, NULL);
    unsigned nodes[16];
    cl_request q;

    cl_walk(cl, "key", 3, nodes);
    cl->cut[nodes[0]][nodes[1]] = cl->cut[nodes[0]][nodes[2]] = true; /* nobody knows */
    put(cl, &q, "key", "value");
    cr_assert_eq(kvt_cluster_call(cl, nodes[0], &q), KV_EUNCERTAIN);
    cr_assert_eq(q.r.acks, 1);
    cr_assert_eq(q.r.primaries, 1);
    cl->cut[nodes[0]][nodes[1]] = cl->cut[nodes[0]][nodes[2]] = false;
    kvt_cluster_run_ns(cl, UINT64_C(60000000000));
    cr_assert_eq(cl_holders(cl, 1, q.r.key, "value"), 3, "a write goes on after its answer");
    cl_request_deinit(&q);
    kvt_cluster_free(cl);
}

Test(coordinator_write, over_siblings_is_refused_with_them)
{
    kvt_cluster *cl = kvt_cluster_new(5, 3, 3, NULL);
    kvi_object o;
    cl_request q;

    for (unsigned i = 0; i < 2; i++) {
        put(cl, &q, "key", i ? "b" : "a");
        cl_empty_context(cl, &q);
        cr_assert_eq(kvt_cluster_call(cl, i, &q), KV_OK);
        cl_request_deinit(&q);
    }
    kvt_cluster_run_ns(cl, 1000000000);
    put(cl, &q, "key", "c");
    cr_assert_eq(kvt_cluster_call(cl, 2, &q), KV_ESIBLINGS);
    kvi_object_init(&o, &cl->mem);
    cr_assert_eq(kvi_object_decode(&o, kvi_buf_slice(&q.r.object)), KV_OK);
    cr_assert_eq(o.count, 2);
    kvi_object_deinit(&o);
    cr_assert_eq(kvi_buf_set(&q.context, q.r.sealed.data, q.r.sealed.len), KV_OK);
    q.r.context = kvi_buf_slice(&q.context);
    cr_assert_eq(kvt_cluster_call(cl, 1, &q), KV_OK, "its context resolves them: %s", q.r.detail);
    cl_request_deinit(&q);
    cl_request_init(cl, &q, KVI_REQUEST_GET, "key", NULL);
    cr_assert_eq(kvt_cluster_call(cl, 0, &q), KV_OK);
    kvi_object_init(&o, &cl->mem);
    cr_assert_eq(kvi_object_decode(&o, kvi_buf_slice(&q.r.object)), KV_OK);
    cr_assert_eq(o.count, 1);
    cr_assert_eq(cl_copies(&o, "c"), 1);
    kvi_object_deinit(&o);
    cl_request_deinit(&q);
    for (unsigned i = 0; i < 70; i++) {
        char value[8];
        int err;

        snprintf(value, sizeof value, "s%u", i);
        put(cl, &q, "other", value);
        cl_empty_context(cl, &q);
        q.r.w = KV_ALL;
        err = kvt_cluster_call(cl, i % 3, &q);
        cr_assert_eq(err, i < KVI_OBJECT_SIBLINGS_CLIENT_MAX ? KV_OK : KV_ESIBLINGS, "%u: %d", i,
                     err);
        cl_request_deinit(&q);
    }
    put(cl, &q, "other", "one");
    q.r.flags = KV_OVERWRITE;
    cr_assert_eq(kvt_cluster_call(cl, 1, &q), KV_OK);
    cl_request_deinit(&q);
    kvt_cluster_free(cl);
}

Test(coordinator_write, delete_removes_what_r_replicas_hold_and_an_absent_key_is_ok)
{
    kvt_cluster *cl = kvt_cluster_new(6, 5, 3, NULL);
    cl_request q;

    cl_request_init(cl, &q, KVI_REQUEST_DELETE, "key", NULL);
    cr_assert_eq(kvt_cluster_call(cl, 0, &q), KV_OK);
    cr_assert_eq(q.r.acks, 2);
    cr_assert_gt(q.r.sealed.len, 0);
    kvt_cluster_run_ns(cl, 1000000000);
    cr_assert_eq(cl_holders(cl, 1, q.r.key, ""), 0, "nothing was written");
    cl_request_deinit(&q);
    for (unsigned i = 0; i < 2; i++) {
        put(cl, &q, "key", i ? "b" : "a");
        cl_empty_context(cl, &q);
        cr_assert_eq(kvt_cluster_call(cl, i, &q), KV_OK);
        cl_request_deinit(&q);
    }
    cl_request_init(cl, &q, KVI_REQUEST_DELETE, "key", NULL);
    cr_assert_eq(kvt_cluster_call(cl, 3, &q), KV_OK);
    cr_assert_eq(q.r.acks, 2);
    cl_request_deinit(&q);
    cl_request_init(cl, &q, KVI_REQUEST_GET, "key", NULL);
    cr_assert_eq(kvt_cluster_call(cl, 4, &q), KV_ENOTFOUND);
    cr_assert_gt(q.r.object.len, 0);
    cr_assert_gt(q.r.sealed.len, 0);
    cl_request_deinit(&q);
    kvt_cluster_free(cl);
}

static void batch(kvi_buf *ops, kvi_request *r, uint8_t op, uint32_t space, const char *key,
                  const char *value)
{
    kvi_wire_op o = {op, space, 0, kvi_slice_of(key, strlen(key)),
                     kvi_slice_of(value, strlen(value))};

    cr_assert_eq(kvi_wire_ops_put(ops, &o), KV_OK);
    r->items.count++;
    r->items.bytes = kvi_buf_slice(ops);
}

Test(coordinator_write, batch_is_of_one_part_and_the_last_write_to_a_key_counts)
{
    kvt_cluster *cl = kvt_cluster_new(7, 5, 3, NULL);
    kvi_buf ops;
    cl_request q;

    kvi_buf_init(&ops, &cl->mem);
    put(cl, &q, "{p}d", "gone");
    cr_assert_eq(kvt_cluster_call(cl, 2, &q), KV_OK);
    cl_request_deinit(&q);
    cl_request_init(cl, &q, KVI_REQUEST_BATCH, "", NULL);
    batch(&ops, &q.r, KVI_WIRE_PUT, 1, "{p}a", "1");
    batch(&ops, &q.r, KVI_WIRE_PUT, 1, "{p}b", "2");
    batch(&ops, &q.r, KVI_WIRE_PUT, 1, "{p}a", "3");
    batch(&ops, &q.r, KVI_WIRE_DELETE, 1, "{p}d", "");
    batch(&ops, &q.r, KVI_WIRE_DELETE, 1, "{p}absent", "");
    cr_assert_eq(kvt_cluster_call(cl, 0, &q), KV_OK, "%s", q.r.detail);
    cr_assert_eq(q.r.acks, 2);
    kvt_cluster_run_ns(cl, 1000000000);
    cr_assert_eq(cl_holders(cl, 1, kvi_slice_of("{p}a", 4), "3"), 3);
    cr_assert_eq(cl_holders(cl, 1, kvi_slice_of("{p}a", 4), "1"), 0);
    cr_assert_eq(cl_holders(cl, 1, kvi_slice_of("{p}b", 4), "2"), 3);
    cr_assert_eq(cl_holders(cl, 1, kvi_slice_of("{p}d", 4), "gone"), 0);
    batch(&ops, &q.r, KVI_WIRE_PUT, 1, "{q}a", "1");
    cr_assert_eq(kvt_cluster_call(cl, 0, &q), KV_EINVAL);
    cl_request_deinit(&q);
    kvi_buf_deinit(&ops);
    kvt_cluster_free(cl);
}

/* A stamp that lost is given anew, with all of the batch: dots would be minted twice. */
Test(coordinator_write, a_batch_does_not_mix_siblings_and_last_write_wins)
{
    kvt_cluster *cl = kvt_cluster_new(7, 5, 3, NULL);
    kvi_buf ops;
    cl_request q;

    kvi_buf_init(&ops, &cl->mem);
    cl_request_init(cl, &q, KVI_REQUEST_BATCH, "", NULL);
    batch(&ops, &q.r, KVI_WIRE_PUT, 1, "{p}a", "1");
    batch(&ops, &q.r, KVI_WIRE_PUT, CL_LWW, "{p}b", "2");
    cr_assert_eq(kvt_cluster_call(cl, 0, &q), KV_EINVAL);
    cr_assert_eq(cl_holders(cl, 1, kvi_slice_of("{p}a", 4), "1"), 0);
    cl_request_deinit(&q);
    kvi_buf_deinit(&ops);
    kvt_cluster_free(cl);
}

Test(coordinator_write, waits_for_the_ring_to_serve)
{
    kvt_cluster *cl = kvt_cluster_new(8, 3, 3, NULL);
    cl_request q;

    cl_set_ring(cl, cl_ring(cl, 3, false));
    put(cl, &q, "key", "value");
    kvt_cluster_begin(cl, 0, &q);
    kvt_cluster_run_ns(cl, 100000000);
    cr_assert_eq(q.dones, 0);
    cr_assert_gt(cl->wanted, 0);
    cl_set_ring(cl, cl_ring(cl, 3, true));
    kvt_cluster_run_ns(cl, 100000000);
    cr_assert_eq(q.dones, 1);
    cr_assert_eq(q.r.err, KV_OK);
    cl_set_ring(cl, cl_ring(cl, 3, false));
    cr_assert_eq(kvt_cluster_call(cl, 1, &q), KV_EUNAVAILABLE);
    cl_request_deinit(&q);
    kvt_cluster_free(cl);
}

Test(coordinator_write, is_uncertain_at_once_when_its_coordinator_is_opened_again)
{
    kvt_cluster *cl = kvt_cluster_new(9, 5, 3, NULL);
    unsigned nodes[16];
    cl_request q;

    cl_walk(cl, "key", 3, nodes);
    cl->cut[nodes[0]][nodes[4]] = true; /* no answer */
    put(cl, &q, "key", "value");
    kvt_cluster_begin(cl, nodes[4], &q);
    kvt_cluster_run_ns(cl, 500000000);
    cr_assert_eq(q.dones, 0);
    kvt_cluster_crash(cl, nodes[0]);
    kvt_cluster_notice(cl, nodes[4]);
    kvt_cluster_run_ns(cl, 1000000);
    cr_assert_eq(q.dones, 0, "its answer may be on its way");
    kvt_cluster_reopen(cl, nodes[0]);
    cl->cut[nodes[0]][nodes[4]] = false;
    kvt_cluster_notice(cl, nodes[4]);
    kvt_cluster_run_ns(cl, 1000000);
    cr_assert_eq(q.dones, 1);
    cr_assert_eq(q.r.err, KV_EUNCERTAIN);
    cl_request_deinit(&q);
    kvt_cluster_free(cl);
}

Test(coordinator_write, canceled_before_it_was_begun_leaves_nothing_and_later_is_uncertain)
{
    kvt_cluster *cl = kvt_cluster_new(10, 5, 3, NULL);
    unsigned nodes[16];
    cl_request q;

    cl_walk(cl, "key", 3, nodes);
    put(cl, &q, "key", "value");
    kvt_cluster_begin(cl, nodes[0], &q);
    kvi_coordinator_cancel(cl->nodes[nodes[0]].c, &q.r);
    kvt_cluster_run_ns(cl, 1000000000);
    cr_assert_eq(q.dones, 1);
    cr_assert_eq(q.r.err, KV_ECANCELED);
    cr_assert_eq(cl_holders(cl, 1, q.r.key, "value"), 0);
    kvi_coordinator_cancel(cl->nodes[nodes[0]].c, &q.r);
    kvt_cluster_begin(cl, nodes[4], &q);
    kvi_coordinator_tick(cl->nodes[nodes[4]].c); /* sends it */
    kvi_coordinator_cancel(cl->nodes[nodes[4]].c, &q.r);
    kvi_coordinator_tick(cl->nodes[nodes[4]].c);
    cr_assert_eq(q.dones, 1);
    cr_assert_eq(q.r.err, KV_EUNCERTAIN);
    cl_request_deinit(&q);
    kvt_cluster_free(cl);
}

Test(coordinator_write, last_write_wins_stamps_above_what_replicas_hold)
{
    kvt_cluster *cl = kvt_cluster_new(11, 3, 3, NULL);
    unsigned nodes[16];
    cl_request q;

    cl_walk(cl, "key", 3, nodes);
    /* The others get a stamp from a clock that is ahead, which the first primary does not see. */
    cl_isolate(cl, nodes[0], true);
    put(cl, &q, "key", "ahead");
    q.r.space = CL_LWW;
    kvt_cluster_begin(cl, nodes[1], &q);
    cl->nodes[nodes[1]].fx.cluster.wall_ms += 20000;
    kvi_coordinator_tick(cl->nodes[nodes[1]].c);
    while (q.dones == 0) {
        cl->nodes[nodes[1]].fx.cluster.wall_ms = 1000020000 + (int64_t)(cl->now_ns / 1000000);
        kvt_cluster_step(cl);
    }
    cr_assert_eq(q.r.err, KV_OK, "%s", q.r.detail);
    cl_request_deinit(&q);
    kvt_cluster_run_ns(cl, 100000000);
    cl_isolate(cl, nodes[0], false);
    put(cl, &q, "key", "later");
    q.r.space = CL_LWW;
    cr_assert_eq(kvt_cluster_call(cl, nodes[0], &q), KV_OK, "%s", q.r.detail);
    cr_assert(cl_holders(cl, CL_LWW, q.r.key, "later") >= 2);
    kvt_cluster_run_ns(cl, UINT64_C(60000000000));
    cr_assert_eq(cl_holders(cl, CL_LWW, q.r.key, "later"), 3);
    cl_request_deinit(&q);
    kvt_cluster_free(cl);
}
