/*
 * kv_deliver(): what a host's transport hands over is checked before a store sees it.
 */
#include <criterion/criterion.h>

#include <string.h>

#include "base/error.h"
#include "node/inbox.h"

typedef struct catcher {
    struct kv_inbox inbox;
    unsigned count;
    const kv_peer *from;
    const void *message;
    size_t len;
    int answer;
} catcher;

static int catch_it(struct kv_inbox *inbox, const kv_peer *from, const void *message, size_t len)
{
    catcher *c = (catcher *)inbox;

    c->count++;
    c->from = from;
    c->message = message;
    c->len = len;
    return c->answer;
}

Test(node_deliver, passes_on_and_answers_what_the_store_does)
{
    catcher c = {.inbox = {catch_it}, .answer = KV_EBUSY};
    kv_peer from = KV_PEER_INIT;
    char message[3] = "abc";

    cr_assert_eq(kv_deliver(&c.inbox, &from, message, 3), KV_EBUSY);
    cr_assert(c.from == &from && c.message == message && c.len == 3);
    c.answer = KV_OK;
    cr_assert_eq(kv_deliver(&c.inbox, &from, message, 1), KV_OK);
    cr_assert_eq(c.count, 2);
}

Test(node_deliver, arguments_are_checked)
{
    catcher c = {.inbox = {catch_it}};
    const kv_peer good = KV_PEER_INIT;
    kv_peer bad = good;

    cr_assert_eq(kv_deliver(NULL, &good, "x", 1), KV_EINVAL);
    cr_assert_eq(kv_deliver(&c.inbox, NULL, "x", 1), KV_EINVAL);
    cr_assert_eq(kv_deliver(&c.inbox, &good, NULL, 1), KV_EINVAL);
    cr_assert_not_null(strstr(kvi_error_detail(), "message"), "%s", kvi_error_detail());
    cr_assert_eq(kv_deliver(&c.inbox, &good, "x", 0), KV_EINVAL, "empty");
    bad.size = 0;
    cr_assert_eq(kv_deliver(&c.inbox, &bad, "x", 1), KV_EINVAL);
    cr_assert_not_null(strstr(kvi_error_detail(), "kv_peer.size"), "%s", kvi_error_detail());
    bad = good;
    bad.flags = 4;
    cr_assert_eq(kv_deliver(&c.inbox, &bad, "x", 1), KV_EINVAL);
    bad = good;
    bad.identity.len = 1;
    cr_assert_eq(kv_deliver(&c.inbox, &bad, "x", 1), KV_EINVAL);
    cr_assert_eq(c.count, 0);
}
