/*
 * One gossip among others that the test plays: what it believes, refutes, sends and spares.
 */
#include "recorder.h"
#include "support/failmem.h"

Test(gossip, refuses_a_bad_configuration)
{
    kvi_gossip_config good = {.node_id = 1, .open_id = 1, .incarnation = 1, .address = "a"}, c;
    kvi_gossip *g = NULL;
    kvi_mem mem;

    kvi_mem_init(&mem, NULL);
    c = good, c.node_id = 0;
    cr_assert_eq(kvi_gossip_new(&g, &mem, &c, 0), KV_EINVAL);
    c = good, c.incarnation = 0;
    cr_assert_eq(kvi_gossip_new(&g, &mem, &c, 0), KV_EINVAL);
    c = good, c.address = "";
    cr_assert_eq(kvi_gossip_new(&g, &mem, &c, 0), KV_EINVAL);
    c = good, c.message_max = KVI_GOSSIP_MESSAGE_MIN - 1;
    cr_assert_eq(kvi_gossip_new(&g, &mem, &c, 0), KV_EINVAL);
    c = good, c.period_ns = 1;
    cr_assert_eq(kvi_gossip_new(&g, &mem, &c, 0), KV_EINVAL);
    cr_assert_null(g);
    kvi_gossip_free(NULL);
}

Test(gossip, knows_who_speaks_to_it_and_answers)
{
    recorder r;

    recorder_init(&r);
    deliver(&r, KVI_GOSSIP_PING, 2, 33, 0, NULL, 0);
    cr_assert_eq(kvi_gossip_state(r.g, 2), KVI_GOSSIP_ALIVE);
    cr_assert_eq(kvi_gossip_open_id(r.g, 2), 21);
    cr_assert_str_eq(kvi_gossip_address(r.g, 2), "there");
    cr_assert(r.changed_node == 2 && r.changed_state == KVI_GOSSIP_ALIVE);
    cr_assert_eq(r.sent_count, 1);
    cr_assert(r.sent[0].m.kind == KVI_GOSSIP_PONG && r.sent[0].m.seq == 33);
    cr_assert(r.sent[0].m.sender.node == 1 && r.sent[0].m.sender.incarnation == 5);
    /* Not what is for who lived here before. */
    deliver(&r, KVI_GOSSIP_PING, 2, 34, 1234, NULL, 0);
    cr_assert_eq(r.sent_count, 1);
    recorder_deinit(&r);
}

Test(gossip, the_greater_record_wins)
{
    recorder r;

    recorder_init(&r);
    tell(&r, 2, record(3, 4, KVI_GOSSIP_ALIVE));
    tell(&r, 2, record(3, 4, KVI_GOSSIP_SUSPECT));
    cr_assert_eq(kvi_gossip_state(r.g, 3), KVI_GOSSIP_SUSPECT);
    tell(&r, 2, record(3, 4, KVI_GOSSIP_ALIVE));
    cr_assert_eq(kvi_gossip_state(r.g, 3), KVI_GOSSIP_SUSPECT,
                 "the same incarnation clears nothing");
    tell(&r, 2, record(3, 5, KVI_GOSSIP_ALIVE));
    cr_assert_eq(kvi_gossip_state(r.g, 3), KVI_GOSSIP_ALIVE);
    tell(&r, 2, record(3, 4, KVI_GOSSIP_DEAD));
    cr_assert_eq(kvi_gossip_state(r.g, 3), KVI_GOSSIP_ALIVE);
    tell(&r, 2, record(3, 5, KVI_GOSSIP_DEAD));
    cr_assert_eq(kvi_gossip_state(r.g, 3), KVI_GOSSIP_DEAD);
    cr_assert_eq(kvi_gossip_open_id(r.g, 3), 31);
    recorder_deinit(&r);
}

Test(gossip, a_dead_stranger_is_not_learnt)
{
    recorder r;

    recorder_init(&r);
    tell(&r, 2, record(3, 4, KVI_GOSSIP_DEAD));
    cr_assert_eq(kvi_gossip_count(r.g), 1);
    recorder_deinit(&r);
}

Test(gossip, what_is_told_by_a_digest_condemns_nobody)
{
    kvi_gossip_record dead = record(3, 4, KVI_GOSSIP_DEAD);
    recorder r;

    recorder_init(&r);
    tell(&r, 2, record(3, 4, KVI_GOSSIP_ALIVE));
    deliver(&r, KVI_GOSSIP_TELL, 2, 0, 0, &dead, 1);
    deliver(&r, KVI_GOSSIP_TELL, 2, 0, 0, &dead, 1);
    cr_assert_eq(kvi_gossip_state(r.g, 3), KVI_GOSSIP_SUSPECT);
    recorder_deinit(&r);
}

/* A lie would use all incarnations up; and what could not be written is asked for again. */
Test(gossip, leaps_of_no_number_and_repeats_what_failed)
{
    recorder r;

    recorder_init(&r);
    tell(&r, 2, record(1, UINT32_MAX - 1, KVI_GOSSIP_DEAD));
    tell(&r, 2, record(1, 5 + 65537, KVI_GOSSIP_DEAD));
    cr_assert_eq(r.persist, 0);
    tell(&r, 2, record(1, 5 + 65536, KVI_GOSSIP_DEAD));
    cr_assert_eq(r.persist, 5 + 65537);
    r.persist = 0;
    kvi_gossip_unpersisted(r.g);
    tell(&r, 2, record(1, 7, KVI_GOSSIP_DEAD));
    cr_assert_eq(r.persist, 8);
    recorder_deinit(&r);
}

Test(gossip, refutes_once_it_is_durable)
{
    recorder r;

    recorder_init(&r);
    tell(&r, 2, record(1, 4, KVI_GOSSIP_DEAD));
    cr_assert_eq(r.persist, 0, "an older incarnation was meant");
    tell(&r, 2, record(1, 7, KVI_GOSSIP_SUSPECT));
    cr_assert_eq(r.persist, 8);
    cr_assert_eq(kvi_gossip_incarnation(r.g), 5, "told before it was durable");
    r.persist = 0;
    tell(&r, 2, record(1, 7, KVI_GOSSIP_DEAD));
    cr_assert_eq(r.persist, 0, "asked twice");
    kvi_gossip_persisted(r.g, 9);
    cr_assert_eq(kvi_gossip_incarnation(r.g), 5, "not asked for");
    kvi_gossip_persisted(r.g, 8);
    cr_assert_eq(kvi_gossip_incarnation(r.g), 8);
    cr_assert(kvi_gossip_deadline(r.g) <= r.now);
    r.sent_count = 0;
    kvi_gossip_tick(r.g, r.now, &r.port);
    cr_assert_not_null(find_sent(&r, KVI_GOSSIP_TELL, 2));
    cr_assert_eq(r.sent[0].m.sender.incarnation, 8);
    recorder_deinit(&r);
}

Test(gossip, silence_is_suspected_then_judged_then_probed_for_ever)
{
    uint64_t alive_until, probes = 0;
    recorder r;

    recorder_init(&r);
    deliver(&r, KVI_GOSSIP_PING, 2, 1, 1, NULL, 0);
    alive_until = r.now;
    while (kvi_gossip_state(r.g, 2) != KVI_GOSSIP_DEAD) {
        run_until(&r, r.now + SECOND / 4);
        cr_assert(r.now - alive_until < 30 * SECOND);
    }
    cr_assert(r.now - alive_until > 4 * SECOND);
    for (uint32_t i = 0; i < 3600; i++) {
        r.sent_count = 0;
        run_until(&r, r.now + SECOND);
        probes += find_sent(&r, KVI_GOSSIP_PING, 2) != NULL;
    }
    /* A stranger is forgotten after an hour, and was asked all the time. */
    cr_assert(probes > 100 && probes < 140, "%llu", (unsigned long long)probes);
    run_until(&r, r.now + 60 * SECOND);
    cr_assert_eq(kvi_gossip_count(r.g), 0);
    recorder_deinit(&r);
}

Test(gossip, a_refused_connection_is_suspicion_at_once)
{
    recorder r;

    recorder_init(&r);
    deliver(&r, KVI_GOSSIP_PING, 2, 1, 1, NULL, 0);
    r.sent_count = 0;
    kvi_gossip_suspect(r.g, r.now, 2, &r.port);
    cr_assert_eq(kvi_gossip_state(r.g, 2), KVI_GOSSIP_SUSPECT);
    /* And told to the accused, who may refute it. */
    cr_assert_not_null(find_sent(&r, KVI_GOSSIP_PING, 2));
    cr_assert_eq(r.sent[0].m.record_count > 0, 1);
    recorder_deinit(&r);
}

Test(gossip, who_speaks_is_not_condemned)
{
    recorder r;

    recorder_init(&r);
    deliver(&r, KVI_GOSSIP_PING, 2, 1, 1, NULL, 0);
    kvi_gossip_suspect(r.g, r.now, 2, &r.port);
    for (uint32_t i = 0; i < 60; i++) {
        run_until(&r, r.now + SECOND);
        kvi_gossip_heard(r.g, r.now, 2, 21, &r.port);
    }
    cr_assert_eq(kvi_gossip_state(r.g, 2), KVI_GOSSIP_SUSPECT);
    /* Another open's envelope is no sign of life of this one. */
    for (uint32_t i = 0; i < 60; i++) {
        run_until(&r, r.now + SECOND);
        kvi_gossip_heard(r.g, r.now, 2, 22, &r.port);
    }
    cr_assert_eq(kvi_gossip_state(r.g, 2), KVI_GOSSIP_DEAD);
    recorder_deinit(&r);
}

Test(gossip, who_slept_condemns_nobody)
{
    recorder r;

    recorder_init(&r);
    deliver(&r, KVI_GOSSIP_PING, 2, 1, 1, NULL, 0);
    run_until(&r, r.now + SECOND);
    kvi_gossip_suspect(r.g, r.now, 2, &r.port);
    r.now += 3600 * SECOND;
    kvi_gossip_tick(r.g, r.now, &r.port);
    cr_assert_eq(kvi_gossip_state(r.g, 2), KVI_GOSSIP_SUSPECT);
    cr_assert_gt(kvi_gossip_health(r.g), 0);
    tell(&r, 2, record(2, 2, KVI_GOSSIP_ALIVE));
    cr_assert_eq(kvi_gossip_state(r.g, 2), KVI_GOSSIP_ALIVE);
    recorder_deinit(&r);
}

Test(gossip, pings_for_others_and_says_when_it_waits_in_vain)
{
    const sent *ping, *pong;
    recorder r;

    recorder_init(&r);
    tell(&r, 2, record(3, 1, KVI_GOSSIP_ALIVE));
    r.sent_count = 0;
    deliver(&r, KVI_GOSSIP_PING_REQUEST, 2, 50, 3, NULL, 0);
    ping = find_sent(&r, KVI_GOSSIP_PING, 3);
    cr_assert_not_null(ping);
    deliver(&r, KVI_GOSSIP_PONG, 3, ping->m.seq, 3, NULL, 0);
    pong = find_sent(&r, KVI_GOSSIP_PONG, 2);
    cr_assert_not_null(pong);
    cr_assert(pong->m.seq == 50 && pong->m.subject == 3);
    r.sent_count = 0;
    deliver(&r, KVI_GOSSIP_PING_REQUEST, 2, 51, 3, NULL, 0);
    r.now = kvi_gossip_deadline(r.g);
    kvi_gossip_tick(r.g, r.now, &r.port);
    r.now = kvi_gossip_deadline(r.g);
    kvi_gossip_tick(r.g, r.now, &r.port);
    cr_assert_not_null(find_sent(&r, KVI_GOSSIP_NACK, 2));
    recorder_deinit(&r);
}

Test(gossip, a_ring_names_members_that_were_not_heard_of)
{
    kvi_gossip_peer peers[] = {{1, "me"}, {2, "two"}, {3, "three"}};
    kvi_gossip_member m;
    recorder r;

    recorder_init(&r);
    cr_assert_eq(kvi_gossip_set_members(r.g, peers, 3, &r.port), KV_OK);
    cr_assert_eq(kvi_gossip_count(r.g), 2);
    kvi_gossip_at(r.g, 0, &m);
    cr_assert(m.node == 2 && m.state == KVI_GOSSIP_UNKNOWN && m.in_ring && m.open_id == 0);
    cr_assert_str_eq(m.address, "two");
    /* What a node says of itself is newer. */
    deliver(&r, KVI_GOSSIP_PING, 2, 1, 1, NULL, 0);
    cr_assert_eq(kvi_gossip_set_members(r.g, peers, 2, &r.port), KV_OK);
    cr_assert_str_eq(kvi_gossip_address(r.g, 2), "there");
    cr_assert(!kvi_gossip_find(r.g, 3, &m), "out of the ring, and never seen");
    cr_assert_eq(kvi_gossip_state(r.g, 1), KVI_GOSSIP_ALIVE);
    recorder_deinit(&r);
}

Test(gossip, knocks_at_its_seeds_while_alone)
{
    const char *seeds[] = {"s1", "s2"};
    recorder r;

    recorder_init(&r);
    cr_assert_eq(kvi_gossip_set_seeds(r.g, seeds, 2), KV_OK);
    r.now = kvi_gossip_deadline(r.g);
    kvi_gossip_tick(r.g, r.now, &r.port);
    r.now = kvi_gossip_deadline(r.g);
    kvi_gossip_tick(r.g, r.now, &r.port);
    cr_assert_eq(r.sent_count, 2);
    cr_assert_str_eq(r.sent[0].address, "s1");
    cr_assert_str_eq(r.sent[1].address, "s2");
    cr_assert(r.sent[0].node == 0 && r.sent[0].m.subject == 0);
    recorder_deinit(&r);
}

Test(gossip, a_flood_is_not_answered_without_bound)
{
    recorder r;

    recorder_init(&r);
    for (uint32_t i = 0; i < 1000; i++)
        deliver(&r, KVI_GOSSIP_PING, 2, i + 1, 1, NULL, 0);
    cr_assert_leq(r.sent_count, KVI_GOSSIP_PERIOD_MESSAGES - KVI_GOSSIP_PERIOD_OWN);
    r.sent_count = 0;
    r.now = kvi_gossip_deadline(r.g);
    kvi_gossip_tick(r.g, r.now, &r.port);
    cr_assert_not_null(find_sent(&r, KVI_GOSSIP_PING, 2), "its own go on");
    recorder_deinit(&r);
}

Test(gossip, refuses_what_another_signed)
{
    uint8_t buf[KVI_GOSSIP_MESSAGE_DEFAULT];
    kvi_gossip_message header = {
        .kind = KVI_GOSSIP_PING, .heartbeat = 1, .sender = record(2, 1, KVI_GOSSIP_ALIVE)};
    kvi_gossip_writer w;
    recorder r;

    recorder_init(&r);
    kvi_gossip_write_begin(&w, buf, sizeof buf, &header);
    kvi_gossip_write_sums(&w, NULL, 0);
    kvi_gossip_write_beats(&w);
    kvi_gossip_write_records(&w);
    cr_assert_eq(kvi_gossip_receive(r.g, r.now, 3, kvi_gossip_write_finish(&w), &r.port),
                 KV_ECORRUPT);
    cr_assert(kvi_gossip_count(r.g) == 0 && r.sent_count == 0);
    recorder_deinit(&r);
}

Test(gossip, survives_lack_of_memory)
{
    kvi_gossip_config config = {.node_id = 1, .open_id = 1, .incarnation = 1, .address = "a"};
    kvt_failmem fm;
    kvi_mem mem;
    kvi_gossip *g = NULL;

    kvt_failmem_init(&fm, &mem);
    for (size_t n = 0;; n++) {
        int e;

        kvt_failmem_arm(&fm, n, false);
        e = kvi_gossip_new(&g, &mem, &config, 0);
        if (!kvt_failmem_disarm(&fm)) {
            cr_assert_eq(e, KV_OK);
            break;
        }
        cr_assert_eq(e, KV_ENOMEM);
        cr_assert_eq(kvt_failmem_live(&fm), 0);
    }
    kvi_gossip_free(g);
    cr_assert_eq(kvt_failmem_live(&fm), 0);
}
