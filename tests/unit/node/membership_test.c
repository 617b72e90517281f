/* How nodes come to a ring and to newer ones: creating, joining, spaces, serving, and what is
 * refused. */
#include "unit/node/nodes.h"

Test(node_membership, a_created_cluster_is_durable_before_it_counts)
{
    nodes *n = nodes_begin(1);
    kvi_buf bytes;

    nodes_open(n, 0);
    cr_assert_null(kvi_node_ring(n->m[0].node));
    cr_assert_str_eq(kvi_node_joining_detail(n->m[0].node), "the cluster is being created");
    kvi_node_step(n->m[0].node, 0, 1);
    cr_assert_null(kvi_node_ring(n->m[0].node), "the sync has not run");
    nodes_run(n, 2);
    cr_assert_eq(nodes_epoch(n, 0), 1);
    cr_assert_eq(kvi_ring_stage(kvi_node_ring(n->m[0].node)), KVI_RING_FORMING);
    kvi_buf_init(&bytes, &n->mem);
    OK(kvi_record_read(n->m[0].lsm, KVI_RECORD_RING, &bytes));
    kvi_buf_deinit(&bytes);
    nodes_end(n);
}

Test(node_membership, a_ring_that_cannot_be_written_is_none)
{
    kvi_sim_fs_faults faults = {.error_ppm = {[KVI_SIM_CALL_SYNC] = 1000000}};
    nodes *n = nodes_begin(1);

    nodes_open(n, 0);
    kvi_sim_fs_set_faults(n->m[0].env.fs, &faults);
    nodes_run(n, 20);
    cr_assert_null(kvi_node_ring(n->m[0].node));
    cr_assert(strstr(kvi_node_joining_detail(n->m[0].node), "KV_EIO"), "%s",
              kvi_node_joining_detail(n->m[0].node));
    kvi_sim_fs_set_faults(n->m[0].env.fs, NULL);
    kvi_node_close(n->m[0].node);
    n->m[0].node = NULL;
    (void)kvi_lsm_close(n->m[0].lsm);
    kvi_sim_env_restart(&n->m[0].env);
    nodes_end(n);
}

Test(node_membership, nodes_join_through_any_member)
{
    nodes *n = nodes_begin(3);

    nodes_open(n, 0);
    nodes_open(n, 1);
    nodes_run(n, 2000);
    cr_assert_eq(nodes_epoch(n, 1), 2);
    n->seeds[0] = "nowhere";
    n->seeds[1] = "m1"; /* which is not the authority */
    n->seed_count = 2;
    nodes_open(n, 2);
    cr_assert_str_eq(kvi_node_joining_detail(n->m[2].node), "no seed has answered yet");
    nodes_run(n, 3000);
    for (unsigned i = 0; i < 3; i++) {
        cr_assert_eq(nodes_epoch(n, i), 3, "node %u", i);
        cr_assert_eq(kvi_node_member_state(n->m[i].node, n->m[(i + 1) % 3].identity.node_id),
                     KV_MEMBER_ALIVE);
    }
    nodes_end(n);
}

Test(node_membership, joins_though_most_messages_are_lost)
{
    nodes *n = nodes_begin(4);

    n->net.knobs.loss_ppm = 300000;
    n->net.knobs.duplicate_ppm = 200000;
    for (unsigned i = 0; i < 4; i++)
        nodes_open(n, i);
    nodes_run(n, 30000);
    for (unsigned i = 0; i < 4; i++)
        cr_assert_eq(nodes_epoch(n, i), 4, "node %u has %u", i, (unsigned)nodes_epoch(n, i));
    nodes_end(n);
}

Test(node_membership, one_needs_a_seed_or_creates)
{
    nodes *n = nodes_begin(2);

    n->seed_count = 0;
    cr_assert_eq(nodes_open_try(n, 1), KV_EINVAL);
    nodes_close_engine(&n->m[1]);
    nodes_end(n);
}

Test(node_membership, the_address_is_taken)
{
    nodes *n = nodes_begin(1);
    machine *m = &n->m[0];
    kvi_node_config config;
    kvi_node *other;

    nodes_open(n, 0);
    config = nodes_config(n, 0);
    config.create = false;
    config.seeds = n->seeds;
    config.seed_count = 1;
    cr_assert_eq(kvi_node_open(&config, &other), KV_EINUSE);
    cr_assert(strstr(kvi_error_detail(), m->name), "%s", kvi_error_detail());
    nodes_run(n, 10);
    nodes_end(n);
}

Test(node_membership, no_cluster_is_created_at_an_address_that_cannot_be)
{
    nodes *n = nodes_begin(1);
    kvi_node_config config;
    kvi_buf bytes;

    nodes_open_engine(&n->m[0]);
    nodes_identify(&n->m[0]);
    config = nodes_config(n, 0);
    config.listen = "elsewhere";
    cr_assert_eq(kvi_node_open(&config, &n->m[0].node), KV_EINVAL);
    kvi_buf_init(&bytes, &n->mem);
    cr_assert_eq(kvi_record_read(n->m[0].lsm, KVI_RECORD_RING, &bytes), KV_ENOTFOUND);
    kvi_buf_deinit(&bytes);
    config.listen = n->m[0].name;
    OK(kvi_node_open(&config, &n->m[0].node));
    nodes_run(n, 5);
    cr_assert_eq(nodes_epoch(n, 0), 1);
    nodes_end(n);
}

static void serve(nodes *n, unsigned i)
{
    kvi_node_want_serving(n->m[i].node);
    nodes_run(n, 2000);
}

Test(node_membership, a_write_makes_it_serve_and_newcomers_are_refused)
{
    nodes *n = nodes_begin(4);

    for (unsigned i = 0; i < 3; i++)
        nodes_open(n, i);
    nodes_run(n, 3000);
    serve(n, 2);
    for (unsigned i = 0; i < 3; i++) {
        cr_assert_eq(kvi_ring_stage(kvi_node_ring(n->m[i].node)), KVI_RING_SERVING, "node %u", i);
        cr_assert_eq(nodes_epoch(n, i), 4);
    }
    serve(n, 1);
    cr_assert_eq(nodes_epoch(n, 0), 4, "it did already");
    n->seeds[0] = "m1";
    nodes_open(n, 3);
    nodes_run(n, 2000);
    cr_assert_null(kvi_node_ring(n->m[3].node));
    cr_assert(strstr(kvi_node_joining_detail(n->m[3].node), "KV_ENOTSUP"), "%s",
              kvi_node_joining_detail(n->m[3].node));
    nodes_end(n);
}

Test(node_membership, it_does_not_serve_before_there_are_as_many_as_replicas)
{
    nodes *n = nodes_begin(3);

    nodes_open(n, 0);
    nodes_run(n, 100);
    serve(n, 0);
    nodes_open(n, 1);
    nodes_run(n, 2000);
    cr_assert_eq(kvi_ring_stage(kvi_node_ring(n->m[0].node)), KVI_RING_FORMING);
    cr_assert_eq(nodes_epoch(n, 1), 2);
    nodes_open(n, 2);
    nodes_run(n, 3000);
    for (unsigned i = 0; i < 3; i++)
        cr_assert_eq(kvi_ring_stage(kvi_node_ring(n->m[i].node)), KVI_RING_SERVING, "node %u", i);
    nodes_end(n);
}

Test(node_membership, alone_it_serves_at_once)
{
    nodes *n = nodes_begin(1);
    kvi_node_config config;

    nodes_open_engine(&n->m[0]);
    nodes_identify(&n->m[0]);
    config = nodes_config(n, 0);
    config.transport = NULL;
    config.listen = NULL;
    OK(kvi_node_open(&config, &n->m[0].node));
    nodes_run(n, 10);
    serve(n, 0);
    cr_assert_eq(kvi_ring_stage(kvi_node_ring(n->m[0].node)), KVI_RING_SERVING);
    nodes_end(n);
}

Test(node_membership, who_was_away_catches_up)
{
    asking a;
    nodes *n = nodes_form(3);

    for (unsigned i = 0; i < 3; i++) {
        n->net.cuts[2 * 3 + i] = true;
        n->net.cuts[i * 3 + 2] = true;
    }
    nodes_ask(n, 1, &a, "one", NULL);
    nodes_run(n, 1000);
    cr_assert_eq(a.ended, 1);
    cr_assert_eq(nodes_epoch(n, 1), 4);
    cr_assert_eq(nodes_epoch(n, 2), 3);
    memset(n->net.cuts, 0, sizeof *n->net.cuts * 9);
    nodes_run(n, 20000);
    cr_assert_eq(nodes_epoch(n, 2), 4);
    nodes_end(n);
}

Test(node_membership, who_restarts_goes_on_in_its_cluster)
{
    asking a;
    uint64_t id;
    nodes *n = nodes_form(3);

    id = n->m[1].identity.node_id;
    nodes_close(n, 1);
    nodes_ask(n, 2, &a, "made meanwhile", NULL);
    nodes_run(n, 1000);
    OK(a.ask.err);
    n->seed_count = 0;
    nodes_open(n, 1); /* it needs no seed any more */
    cr_assert_eq(n->m[1].identity.node_id, id);
    cr_assert_eq(nodes_epoch(n, 1), 3, "from its record");
    nodes_run(n, 10000);
    cr_assert_eq(nodes_epoch(n, 1), 4);
    cr_assert_eq(kvi_node_open_id_of(n->m[0].node, id), n->m[1].identity.open_id,
                 "the others know its opening");
    cr_assert(kvi_node_reachable(n->m[0].node, id));
    nodes_close(n, 0); /* the authority too */
    nodes_open(n, 0);
    nodes_run(n, 10000);
    nodes_ask(n, 1, &a, "another", NULL);
    nodes_run(n, 1000);
    OK(a.ask.err);
    nodes_end(n);
}

/* --- spaces ------------------------------------------------------------------------------- */

Test(node_membership, spaces_are_made_by_the_authority_for_all)
{
    const kvi_ring_policy lww = {2, 1, 1, KV_AP, KV_LAST_WRITE_WINS, 5};
    asking a, b, c;
    nodes *n = nodes_form(3);

    nodes_ask(n, 2, &a, "one", &lww);
    cr_assert_eq(a.ended, 0);
    nodes_run(n, 500);
    cr_assert_eq(a.ended, 1);
    OK(a.ask.err);
    cr_assert_eq(a.ask.id, KVI_RING_SPACE_NAMED);
    cr_assert_eq(a.ask.found.conflict, KV_LAST_WRITE_WINS);
    nodes_ask(n, 1, &b, "one", NULL);
    cr_assert_eq(b.ended, 1, "it is in the ring");
    cr_assert_eq(b.ask.id, a.ask.id);
    cr_assert_eq(b.ask.found.ttl_ms, 5);
    nodes_ask(n, 0, &c, "two", NULL); /* at the authority */
    nodes_run(n, 500);
    OK(c.ask.err);
    cr_assert_eq(c.ask.id, KVI_RING_SPACE_NAMED + 1);
    cr_assert_eq(c.ask.found.n, 3, "as the default space");
    nodes_end(n);
}

Test(node_membership, two_ask_for_the_same_at_once)
{
    asking a, b, c;
    nodes *n = nodes_form(3);

    nodes_ask(n, 1, &a, "same", NULL);
    nodes_ask(n, 2, &b, "same", NULL);
    nodes_ask(n, 0, &c, "same", NULL);
    nodes_run(n, 1000);
    cr_assert(a.ended && b.ended && c.ended);
    OK(a.ask.err);
    OK(b.ask.err);
    OK(c.ask.err);
    cr_assert(a.ask.id == b.ask.id && b.ask.id == c.ask.id);
    nodes_end(n);
}

Test(node_membership, another_policy_is_a_conflict_whoever_knew_of_it)
{
    const kvi_ring_policy mine = {3, 2, 2, KV_AP, KV_SIBLINGS, 0},
                          other = {1, 1, 1, KV_AP, KV_SIBLINGS, 0};
    asking a, b, c, d;
    nodes *n = nodes_form(3);

    nodes_ask(n, 1, &a, "space", &mine);
    nodes_ask(n, 2, &b, "space", &other); /* neither knows of the other */
    nodes_run(n, 1000);
    cr_assert(a.ended && b.ended);
    cr_assert((a.ask.err == KV_OK && b.ask.err == KV_ECONFLICT) ||
                  (a.ask.err == KV_ECONFLICT && b.ask.err == KV_OK),
              "%d %d", a.ask.err, b.ask.err);
    nodes_ask(n, 1, &c, "space", a.ask.err ? &mine : &other);
    cr_assert_eq(c.ended, 1);
    cr_assert_eq(c.ask.err, KV_ECONFLICT);
    cr_assert(strstr(c.ask.detail, "space"), "%s", c.ask.detail);
    n->net.cuts[0 * 3 + 2] = n->net.cuts[1 * 3 + 2] = true; /* 2 does not hear of it */
    nodes_ask(n, 1, &a, "late", &other);
    nodes_run(n, 500);
    OK(a.ask.err);
    nodes_ask(n, 2, &d, "late", NULL); /* whatever it has */
    n->net.cuts[0 * 3 + 2] = n->net.cuts[1 * 3 + 2] = false;
    nodes_run(n, 1500);
    cr_assert_eq(d.ended, 1);
    OK(d.ask.err);
    cr_assert_eq(d.ask.found.n, 1);
    nodes_end(n);
}

Test(node_membership, what_the_authority_refuses_is_told)
{
    const kvi_ring_policy wrong = {9, 1, 1, KV_AP, KV_SIBLINGS, 0};
    asking a, b;
    nodes *n = nodes_form(3);

    nodes_ask(n, 1, &a, "space", &wrong);
    nodes_ask(n, 0, &b, "space", &wrong);
    nodes_run(n, 2500);
    cr_assert_eq(a.ended, 1);
    cr_assert_neq(a.ask.err, KV_OK);
    cr_assert_eq(b.ended, 1);
    cr_assert_eq(b.ask.err, KV_EINVAL);
    cr_assert_eq(nodes_epoch(n, 0), 3);
    nodes_end(n);
}

Test(node_membership, an_authority_that_is_away_is_told_by_time)
{
    asking a, b;
    nodes *n = nodes_form(3);

    nodes_close(n, 0);
    nodes_ask(n, 1, &a, "space", NULL);
    nodes_run(n, 1999);
    cr_assert_eq(a.ended, 0);
    nodes_run(n, 2);
    cr_assert_eq(a.ended, 1);
    cr_assert_eq(a.ask.err, KV_EUNAVAILABLE);
    cr_assert(strstr(a.ask.detail, "authority"), "%s", a.ask.detail);
    nodes_ask(n, 1, &b, "space", NULL);
    nodes_run(n, 1000);
    nodes_open(n, 0);
    nodes_run(n, 1500);
    cr_assert_eq(b.ended, 1, "it came back in time");
    OK(b.ask.err);
    nodes_end(n);
}

Test(node_membership, who_is_no_member_has_no_spaces)
{
    asking a, b;
    nodes *n = nodes_begin(2);

    nodes_open(n, 1); /* nobody is there to join */
    nodes_ask(n, 1, &a, "space", NULL);
    nodes_run(n, 2001);
    cr_assert_eq(a.ended, 1);
    cr_assert_eq(a.ask.err, KV_EUNAVAILABLE);
    cr_assert(strstr(a.ask.detail, "no seed has answered"), "%s", a.ask.detail);
    nodes_ask(n, 1, &b, "space", NULL);
    nodes_run(n, 10);
    nodes_close(n, 1); /* a joining node that never joined */
    cr_assert_eq(b.ended, 1);
    cr_assert_eq(b.ask.err, KV_ECANCELED);
    nodes_end(n);
}

Test(node_membership, changes_that_wait_are_bounded)
{
    asking *a = calloc(KVI_CHANGES_MAX + 2, sizeof *a);
    unsigned busy = 0, ok = 0;
    nodes *n = nodes_form(1);
    char(*name)[8] = calloc(KVI_CHANGES_MAX + 2, sizeof *name);

    cr_assert(a && name);
    for (unsigned i = 0; i < KVI_CHANGES_MAX + 2; i++) {
        (void)snprintf(name[i], sizeof name[i], "s%u", i);
        nodes_ask(n, 0, &a[i], name[i], NULL);
    }
    nodes_run(n, 1500);
    for (unsigned i = 0; i < KVI_CHANGES_MAX + 2; i++) {
        cr_assert_eq(a[i].ended, 1, "%u", i);
        busy += a[i].ask.err == KV_EBUSY;
        ok += a[i].ask.err == KV_OK;
    }
    cr_assert_eq(busy, 2);
    cr_assert_eq(ok, KVI_CHANGES_MAX);
    free(a);
    free(name);
    nodes_end(n);
}

Test(node_membership, closing_ends_all_that_is_under_way)
{
    asking a, b;
    nodes *n = nodes_form(3);

    nodes_ask(n, 0, &a, "at the authority", NULL);
    nodes_ask(n, 1, &b, "elsewhere", NULL);
    nodes_close(n, 1);
    nodes_close(n, 0);
    cr_assert_eq(a.ended, 1);
    OK(a.ask.err); /* it was on its way to the disk, and closing waits for that */
    cr_assert_eq(b.ended, 1);
    cr_assert_eq(b.ask.err, KV_ECANCELED);
    nodes_open(n, 0);
    cr_assert_eq(nodes_epoch(n, 0), 4);
    nodes_end(n);
}

Test(node_membership, without_memory_nothing_is_opened_and_nothing_leaks)
{
    nodes *n = nodes_begin(1);
    machine *m = &n->m[0];
    kvi_node_config config;
    unsigned failed = 0;
    int err;

    nodes_open_engine(m);
    nodes_identify(m);
    config = nodes_config(n, 0);
    for (size_t at = 0;; at++) {
        size_t blocks = atomic_load(&m->env.alloc.blocks);

        kvi_sim_alloc_reset(&m->env.alloc, at, false);
        err = kvi_node_open(&config, &m->node);
        kvi_sim_alloc_reset(&m->env.alloc, KVI_SIM_ALLOC_NEVER, false);
        if (!err)
            break;
        cr_assert_eq(err, KV_ENOMEM, "at %zu: %s", at, kvi_error_detail());
        cr_assert_leq(atomic_load(&m->env.alloc.blocks), blocks + 8, "at %zu", at);
        cr_assert_lt(++failed, 1000);
    }
    cr_assert_gt(failed, 5);
    nodes_run(n, 10);
    cr_assert_eq(nodes_epoch(n, 0), 1);
    nodes_end(n);
}

Test(node_membership, the_longest_envelope_has_room)
{
    nodes *n = nodes_form(2);

    for (unsigned i = 0; i < 2; i++)
        cr_assert_geq(n->m[i].node->peers.gather_bytes,
                      kvi_lsm_write_max(n->m[i].lsm) + (64 << 10));
    nodes_end(n);
}
