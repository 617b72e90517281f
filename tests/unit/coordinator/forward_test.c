/*
 * Forwarded writes: executed once, whatever the network does; and the windows that see to it.
 */
#include <criterion/criterion.h>
#include <stdio.h>
#include <string.h>

#include "coordinator/replay.h"
#include "support/cluster.h"

Test(coordinator_forward, doubled_ones_are_executed_once)
{
    kvt_cluster *cl = kvt_cluster_new(31, 5, 3, NULL);
    unsigned nodes[16];
    kvi_object o;
    cl_request q;

    cl->double_ppm = 1000000;
    cl_walk(cl, "key", 3, nodes);
    for (unsigned i = 0; i < 20; i++) {
        char value[8];

        snprintf(value, sizeof value, "v%u", i);
        cl_request_init(cl, &q, KVI_REQUEST_PUT, "key", value);
        cl_empty_context(cl, &q);
        cr_assert_eq(kvt_cluster_call(cl, nodes[3 + i % 2], &q), KV_OK);
        cl_request_deinit(&q);
    }
    kvt_cluster_run_ns(cl, UINT64_C(10000000000));
    kvi_object_init(&o, &cl->mem);
    cr_assert(cl_object(cl, nodes[0], 1, kvi_slice_of("key", 3), &o));
    cr_assert_eq(o.count, 20, "a doubled forward was applied twice: %u siblings of 20 writes",
                 o.count);
    kvi_object_deinit(&o);
    kvt_cluster_free(cl);
}

Test(coordinator_forward, what_a_stand_in_dropped_is_not_minted_again)
{
    kvt_cluster *cl = kvt_cluster_new(32, 4, 3, NULL);
    unsigned nodes[16];
    kvi_object o;
    cl_request q;

    cl_walk(cl, "key", 3, nodes);
    for (unsigned round = 0; round < 2; round++) {
        for (unsigned i = 0; i < 3; i++)
            cl_isolate(cl, nodes[i], true);
        cl_request_init(cl, &q, KVI_REQUEST_PUT, "key", round ? "b" : "a");
        cl_empty_context(cl, &q);
        q.r.w = 1;
        cr_assert_eq(kvt_cluster_call(cl, nodes[3], &q), KV_OK, "%s", q.r.detail);
        cr_assert_eq(q.r.fallbacks, 1);
        kvt_cluster_run_ns(cl, 10000000);
        for (unsigned i = 0; i < 3; i++)
            cl_isolate(cl, nodes[i], false);
        kvt_cluster_run_ns(cl, UINT64_C(100000000000));
        cr_assert_eq(kvi_replication_hints(cl->nodes[nodes[3]].r, 0), 0,
                     "hints do not come home: a dot was minted twice");
        cl_request_deinit(&q);
    }
    kvi_object_init(&o, &cl->mem);
    cr_assert(cl_object(cl, nodes[0], 1, kvi_slice_of("key", 3), &o));
    cr_assert_eq(o.count, 2, "a dot was minted twice: %u siblings of 2 writes", o.count);
    kvi_object_deinit(&o);
    kvt_cluster_free(cl);
}

Test(coordinator_forward, window_knows_each_sequence_once)
{
    kvi_replay *r = NULL;
    kvi_slice kept;
    kvi_mem mem;

    kvi_mem_init(&mem, NULL);
    cr_assert_eq(kvi_replay_new(&mem, &r), KV_OK);
    cr_assert_eq(kvi_replay_ask(r, 1, 10, 5, 0), KVI_REPLAY_NEW);
    cr_assert_eq(kvi_replay_ask(r, 1, 10, 5, 0), KVI_REPLAY_SEEN);
    cr_assert_eq(kvi_replay_ask(r, 1, 10, 3, 0), KVI_REPLAY_NEW);
    cr_assert_eq(kvi_replay_ask(r, 1, 11, 5, 0), KVI_REPLAY_NEW, "another opening");
    cr_assert_eq(kvi_replay_ask(r, 2, 10, 5, 0), KVI_REPLAY_NEW, "another origin");
    cr_assert_eq(kvi_replay_ask(r, 1, 10, 5 + KVI_REPLAY_WINDOW - 1, 0), KVI_REPLAY_NEW);
    cr_assert_eq(kvi_replay_ask(r, 1, 10, 5, 0), KVI_REPLAY_SEEN);
    cr_assert_eq(kvi_replay_ask(r, 1, 10, 6, 0), KVI_REPLAY_NEW);
    cr_assert_eq(kvi_replay_ask(r, 1, 10, 4, 0), KVI_REPLAY_BELOW);
    cr_assert_eq(kvi_replay_ask(r, 1, 10, 3, 0), KVI_REPLAY_BELOW);
    cr_assert_eq(kvi_replay_ask(r, 1, 10, UINT64_C(1) << 40, 0), KVI_REPLAY_NEW);
    cr_assert_eq(kvi_replay_ask(r, 1, 10, (UINT64_C(1) << 40) - 7, 0), KVI_REPLAY_NEW);
    cr_assert_not(kvi_replay_answer(r, 1, 10, 5, &kept));
    kvi_replay_answered(r, 1, 10, 5, kvi_slice_of("answer", 6));
    cr_assert(kvi_replay_answer(r, 1, 10, 5, &kept));
    cr_assert(kvi_slice_eq(kept, kvi_slice_of("answer", 6)));
    for (unsigned i = 0; i < KVI_REPLAY_ANSWERS; i++)
        kvi_replay_answered(r, 2, 10, i, kvi_slice_of("other", 5));
    cr_assert_not(kvi_replay_answer(r, 1, 10, 5, &kept), "the oldest goes first");
    kvi_replay_free(r);
}

Test(coordinator_forward, windows_are_bounded_and_forgotten_only_when_quiet)
{
    kvi_replay *r = NULL;
    kvi_mem mem;

    kvi_mem_init(&mem, NULL);
    cr_assert_eq(kvi_replay_new(&mem, &r), KV_OK);
    for (uint64_t i = 0; i < KVI_REPLAY_ORIGINS; i++)
        cr_assert_eq(kvi_replay_ask(r, i + 1, 10, 1, i), KVI_REPLAY_NEW);
    cr_assert_eq(kvi_replay_ask(r, 1u << 30, 10, 1, KVI_REPLAY_QUIET_NS - 1), KVI_REPLAY_BELOW);
    cr_assert_eq(kvi_replay_ask(r, 1u << 30, 10, 1, KVI_REPLAY_QUIET_NS), KVI_REPLAY_NEW);
    cr_assert_eq(kvi_replay_ask(r, 2, 10, 1, KVI_REPLAY_QUIET_NS), KVI_REPLAY_SEEN);
    kvi_replay_free(r);
}
