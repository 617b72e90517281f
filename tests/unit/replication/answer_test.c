/*
 * READ and SCAN (replication/answer.c): what is there, in order and in bounds; errors as errors.
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

#define ANSWER_TEST(name) Test(replication_answer, name, .init = begin, .fini = end)

static const kvi_slice K = {"key", 3};

static const kvi_wire_read_answer *ask(kvi_slice key, uint8_t flags, uint64_t token)
{
    kvi_wire_message m;
    const kvt_sent *sent;

    memset(&m, 0, sizeof m);
    m.kind = KVI_WIRE_READ;
    m.u.read.id = t.next_id++;
    m.u.read.space = 1;
    m.u.read.token = token;
    m.u.read.flags = flags;
    m.u.read.key = key;
    kvi_replication_receive(t.r, 3, &m);
    kvt_effects_run(&t.fx);
    sent = kvt_effects_last(&t.fx, 3, KVI_WIRE_READ_ANSWER);
    cr_assert_not_null(sent);
    cr_assert_eq(sent->m.u.read_answer.id, m.u.read.id);
    return &sent->m.u.read_answer;
}

ANSWER_TEST(a_read_answers_the_object_or_its_digest)
{
    kvi_buf a = kvt_object(&t, false, 9, 1, "x");
    uint64_t token = kvt_token(&t, K);
    const kvi_wire_read_answer *answer = ask(K, 0, token);

    cr_assert(answer->err == KV_OK && answer->holds == KVI_WIRE_HOLDS_NONE);
    cr_assert_eq(ask(K, KVI_WIRE_READ_DIGEST, token)->holds, KVI_WIRE_HOLDS_NONE);
    kvt_applied(&t, K, &a, 0);
    answer = ask(K, 0, token);
    cr_assert(answer->holds == KVI_WIRE_HOLDS_OBJECT &&
              kvi_slice_eq(answer->object, kvi_buf_slice(&a)));
    answer = ask(K, KVI_WIRE_READ_DIGEST, token);
    cr_assert(answer->holds == KVI_WIRE_HOLDS_DIGEST &&
              answer->digest == kvi_object_digest(kvi_buf_slice(&a)));
    kvi_buf_deinit(&a);
}

ANSWER_TEST(a_read_that_fails_is_not_nothing)
{
    const kvi_wire_read_answer *answer;

    kvt_effects_fail(&t.fx, KVT_READ, 0, 1, KV_ECORRUPT);
    answer = ask(K, 0, kvt_token(&t, K));
    cr_assert(answer->err == KV_ECORRUPT && answer->holds == KVI_WIRE_HOLDS_NONE);
    cr_assert_eq(ask(K, 0, kvt_token(&t, K) + 1)->err, KV_EINVAL, "not this key's token");
    cr_assert_eq(ask(K, 2, kvt_token(&t, K))->err, KV_EINVAL, "a flag of no meaning");
    for (size_t n = 0;; n++) {
        kvt_failmem_arm(&t.fail, n, false);
        answer = ask(K, 0, kvt_token(&t, K));
        if (!kvt_failmem_disarm(&t.fail))
            break;
        cr_assert_eq(answer->err, KV_ENOMEM);
    }
    cr_assert_eq(answer->err, KV_OK);
}

static const kvi_wire_scan_answer *scan(uint64_t from, uint64_t to, kvi_slice after, uint32_t limit,
                                        uint32_t bytes)
{
    kvi_wire_message m;
    const kvt_sent *sent;

    memset(&m, 0, sizeof m);
    m.kind = KVI_WIRE_SCAN;
    m.u.scan.id = t.next_id++;
    m.u.scan.space = 1;
    m.u.scan.token_from = from;
    m.u.scan.token_to = to;
    m.u.scan.key_after = after;
    m.u.scan.limit = limit;
    m.u.scan.bytes = bytes;
    kvi_replication_receive(t.r, 3, &m);
    kvt_effects_run(&t.fx);
    sent = kvt_effects_last(&t.fx, 3, KVI_WIRE_SCAN_ANSWER);
    cr_assert_not_null(sent);
    cr_assert_eq(sent->m.u.scan_answer.id, m.u.scan.id);
    return &sent->m.u.scan_answer;
}

ANSWER_TEST(a_scan_walks_all_in_order_page_by_page)
{
    enum { KEYS = 100 };
    kvi_buf a = kvt_object(&t, false, 9, 1, "x");
    char text[16], after[16] = "";
    uint64_t from = 0;
    unsigned seen = 0, pages = 0;
    const kvi_wire_scan_answer *answer;

    for (unsigned i = 0; i < KEYS; i++) {
        snprintf(text, sizeof text, "{p%u}%u", i / 10, i);
        cr_assert_eq(kvt_applied(&t, kvt_text(text), &a, i % 3 ? 0 : 2)->err, KV_OK);
    }
    do {
        kvi_wire_items_iter it;
        kvi_wire_entry entry;

        answer = scan(from, UINT64_MAX, kvt_text(after), 7, 1 << 16);
        cr_assert(answer->err == KV_OK && answer->items.count <= 7);
        kvi_wire_items_begin(&it, answer->items);
        while (kvi_wire_entries_next(&it, &entry)) {
            cr_assert(entry.token > from ||
                      (entry.token == from && kvi_slice_cmp(entry.key, kvt_text(after)) > 0));
            cr_assert(kvi_slice_eq(entry.object, kvi_buf_slice(&a)));
            cr_assert_eq(entry.token, kvt_token(&t, entry.key));
            from = entry.token;
            memcpy(after, entry.key.data, entry.key.len);
            after[entry.key.len] = '\0';
            seen++;
        }
        pages++;
    } while (answer->more);
    cr_assert(seen == KEYS && pages == (KEYS + 6) / 7);
    from = kvt_token(&t, kvt_text("{p3}"));
    answer = scan(from, from, kvt_text(""), 1000, 1 << 16);
    cr_assert(answer->items.count == 10 && !answer->more, "the keys of one part");
    answer = scan(from, from, kvt_text("{p3}35"), 1000, 1 << 16);
    cr_assert_eq(answer->items.count, 4);
    answer = scan(from, from, kvt_text(""), 1000, 1);
    cr_assert(answer->items.count == 1 && answer->more, "one is always given");
    kvi_buf_deinit(&a);
}

ANSWER_TEST(a_scan_that_fails_leaves_nothing_out_in_silence)
{
    kvi_buf a = kvt_object(&t, false, 9, 1, "x");
    const kvi_wire_scan_answer *answer;

    kvt_applied(&t, K, &a, 0);
    kvt_effects_fail(&t.fx, KVT_SCAN, 0, 1, KV_EIO);
    answer = scan(0, UINT64_MAX, kvt_text(""), 10, 1000);
    cr_assert(answer->err == KV_EIO && answer->items.count == 0);
    cr_assert_eq(scan(2, 1, kvt_text(""), 10, 1000)->err, KV_EINVAL);
    cr_assert_eq(scan(0, 1, kvt_text(""), 0, 1000)->err, KV_EINVAL);
    for (size_t n = 0;; n++) {
        kvt_failmem_arm(&t.fail, n, false);
        answer = scan(0, UINT64_MAX, kvt_text(""), 10, 1000);
        if (!kvt_failmem_disarm(&t.fail))
            break;
        cr_assert_eq(answer->err, KV_ENOMEM);
    }
    cr_assert_eq(answer->items.count, 1);
    kvt_effects_put(&t.fx, kvt_text("\x01short"), kvt_text("x"));
    cr_assert_eq(scan(0, UINT64_MAX, kvt_text(""), 10, 1000)->err, KV_ECORRUPT);
    kvi_buf_deinit(&a);
}

ANSWER_TEST(without_a_ring_nothing_is_answered)
{
    const kvi_ring *ring = t.fx.cluster.ring;

    t.fx.cluster.ring = NULL;
    cr_assert_eq(ask(K, 0, 0)->err, KV_EUNAVAILABLE);
    cr_assert_eq(scan(0, 1, kvt_text(""), 1, 1)->err, KV_EUNAVAILABLE);
    t.fx.cluster.ring = ring;
}

ANSWER_TEST(more_than_the_limit_is_refused)
{
    kvi_wire_message m;
    const kvt_sent *sent;

    memset(&m, 0, sizeof m);
    m.kind = KVI_WIRE_READ;
    m.u.read.space = 1;
    m.u.read.token = kvt_token(&t, K);
    m.u.read.key = K;
    for (m.u.read.id = 0; m.u.read.id < KVI_REPLICA_JOBS_MAX; m.u.read.id++)
        kvi_replication_receive(t.r, 3, &m);
    cr_assert_eq(t.fx.sent_count, 0);
    kvi_replication_receive(t.r, 3, &m);
    sent = kvt_effects_last(&t.fx, 3, KVI_WIRE_READ_ANSWER);
    cr_assert(sent && sent->m.u.read_answer.err == KV_EBUSY);
    kvt_effects_cancel(&t.fx);
}
