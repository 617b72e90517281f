/*
 * The kit for transports: it lets pass what keeps the treaty, however odd, and finds out each way
 * to break it, by the clause that says so.
 */
#include <criterion/criterion.h>

#include <string.h>

#include <kv_sim.h>

#include "support/faulty_transport.h"

#define CLAUSES 18

typedef struct verdict {
    kvt_faulty_net net;
    unsigned told, failed, not_applying;
    unsigned released;
    char failures[256]; /* names of the clauses */
    char last[256];     /* what was seen at the last of them */
} verdict;

static int make(void *user, unsigned index, kv_transport *out)
{
    verdict *v = user;

    return kvt_faulty_make(&v->net, index, out);
}

static void release(void *user, unsigned index, kv_transport *transport)
{
    verdict *v = user;

    cr_assert_eq(transport->self, &v->net.end[index]);
    cr_assert_not(v->net.end[index].started);
    v->released++;
}

static void report(void *user, const char *clause, int passed, const char *detail)
{
    verdict *v = user;

    v->told++;
    if (passed < 0)
        v->not_applying++;
    if (passed != 0)
        return;
    v->failed++;
    cr_assert_neq(detail[0], '\0', "\"%s\" fails without a detail", clause);
    strncat(v->failures, clause, sizeof v->failures - strlen(v->failures) - 1);
    strncat(v->failures, "; ", sizeof v->failures - strlen(v->failures) - 1);
    strncpy(v->last, detail, sizeof v->last - 1);
}

static kv_transport_check_config configure(verdict *v)
{
    kv_transport_check_config config = KV_TRANSPORT_CHECK_CONFIG_INIT;

    config.user = v;
    config.make = make;
    config.release = release;
    config.report = report;
    config.addresses[0] = "a";
    config.addresses[1] = "b";
    config.addresses[2] = "c";
    config.nobody = "d";
    config.invalid = "";
    return config;
}

static void must_pass(enum kvt_fault fault, unsigned not_applying)
{
    verdict v = {0};
    kv_transport_check_config config = configure(&v);
    int err;

    kvt_faulty_open(&v.net, fault);
    config.slack_ms = 500;
    err = kv_transport_check(&config);
    cr_assert_eq(err, KV_OK, "fault %d: %d: %s", (int)fault, err, kv_error_detail());
    cr_assert_eq(v.told, CLAUSES);
    cr_assert_eq(v.failed, 0);
    cr_assert_eq(v.not_applying, not_applying, "%u", v.not_applying);
    cr_assert_eq(v.released, KVT_FAULTY_ENDS);
    kvt_faulty_close(&v.net);
}

static void must_fail(enum kvt_fault fault, const char *clause)
{
    verdict v = {0};
    kv_transport_check_config config = configure(&v);
    int err;

    kvt_faulty_open(&v.net, fault);
    config.only = clause;
    config.patience_ms = 300;
    config.slack_ms = 50;
    err = kv_transport_check(&config);
    cr_assert_eq(err, KV_ECONFLICT, "fault %d: \"%s\" answers %d", (int)fault, clause, err);
    cr_assert_eq(v.failed, 1, "fault %d: %s", (int)fault, v.failures);
    cr_assert_eq(strncmp(v.failures, clause, strlen(clause)), 0, "fault %d: %s", (int)fault,
                 v.failures);
    cr_assert_not_null(strstr(kv_error_detail(), clause), "%s", kv_error_detail());
    cr_assert_not_null(strstr(kv_error_detail(), v.last), "%s", kv_error_detail());
    cr_assert_eq(v.released, KVT_FAULTY_ENDS);
    kvt_faulty_close(&v.net);
}

/* --- What keeps the treaty -------------------------------------------------------------------- */

Test(sim_transport_check, passes_what_wraps)
{
    must_pass(KVT_NO_FAULT, 0);
}

Test(sim_transport_check, passes_loss_and_doubles)
{
    must_pass(KVT_LOSES_AND_DOUBLES, 0);
}

Test(sim_transport_check, passes_without_resume)
{
    must_pass(KVT_NO_RESUME, 0);
}

Test(sim_transport_check, passes_without_a_descriptor)
{
    must_pass(KVT_NO_DESCRIPTOR, 1);
}

Test(sim_transport_check, passes_threads_of_its_own)
{
    must_pass(KVT_OWN_THREADS, 5);
}

/* --- What does not ---------------------------------------------------------------------------- */

Test(sim_transport_check, finds_out_fields_and_starts)
{
    must_fail(KVT_SMALL_MESSAGES, "fields");
    must_fail(KVT_STARTS_TWICE, "start");
    must_fail(KVT_SHARES_ADDRESS, "start");
    must_fail(KVT_WRONG_ERROR, "start");
}

Test(sim_transport_check, finds_out_damage)
{
    must_fail(KVT_CUTS, "content");
    must_fail(KVT_FLIPS, "content");
    must_fail(KVT_FIRST_PARTS_ONLY, "parts");
}

Test(sim_transport_check, finds_out_borrowing)
{
    must_fail(KVT_KEEPS_PARTS, "borrowing");
    must_fail(KVT_KEEPS_ADDRESS, "borrowing");
}

Test(sim_transport_check, finds_out_addresses)
{
    must_fail(KVT_NOT_TO_ONESELF, "oneself");
    must_fail(KVT_FORGES_SENDER, "sender");
    must_fail(KVT_POSITIVE_ERROR, "unreachable");
}

Test(sim_transport_check, finds_out_blocking_sends)
{
    must_fail(KVT_BLOCKS_WHEN_FULL, "send returns");
    must_fail(KVT_WAITS_FOR_RECEIVER, "send returns");
}

Test(sim_transport_check, finds_out_wakes)
{
    must_fail(KVT_IGNORES_WAKE, "wake");
    must_fail(KVT_FORGETS_WAKE, "wake");
    must_fail(KVT_WAKES_NEXT_STEP, "wake");
    must_fail(KVT_ENDLESS_OVERFLOWS, "wake");
}

Test(sim_transport_check, finds_out_waits)
{
    must_fail(KVT_SPINS, "time-out");
    must_fail(KVT_OVERSLEEPS, "time-out");
    must_fail(KVT_SLEEPS_ON, "message ends wait");
}

Test(sim_transport_check, finds_out_descriptors)
{
    must_fail(KVT_ALWAYS_READABLE, "pollfd and next");
    must_fail(KVT_NEVER_READABLE, "pollfd and next");
    must_fail(KVT_ALWAYS_DUE, "pollfd and next");
}

Test(sim_transport_check, finds_out_what_becomes_of_the_refused)
{
    must_fail(KVT_LOSES_REFUSED, "busy and resume");
    must_fail(KVT_ASKS_AGAIN, "busy and resume");
    must_fail(KVT_HOLDS_ALL, "busy and resume");
}

Test(sim_transport_check, finds_out_stops)
{
    must_fail(KVT_DELIVERS_AFTER_STOP, "stop");
    must_fail(KVT_KEEPS_ADDRESSES, "start again");
    must_fail(KVT_STARTS_ONCE, "start again");
}

Test(sim_transport_check, finds_out_ties_to_a_thread)
{
    must_fail(KVT_ONE_THREAD, "threads");
}

Test(sim_transport_check, finds_out_deliveries_outside_of_step)
{
    must_fail(KVT_DELIVERS_IN_SEND, "inside step");
}

Test(sim_transport_check, goes_on_after_a_failure)
{
    verdict v = {0};
    kv_transport_check_config config = configure(&v);

    kvt_faulty_open(&v.net, KVT_FLIPS);
    config.patience_ms = 400;
    cr_assert_eq(kv_transport_check(&config), KV_ECONFLICT);
    cr_assert_eq(v.told, CLAUSES);
    cr_assert_gt(v.failed, 1);
    cr_assert_lt(v.failed, CLAUSES);
    cr_assert_not_null(strstr(kv_error_detail(), "\"content\""), "the first, not the last: %s",
                       kv_error_detail());
    kvt_faulty_close(&v.net);
}

/* --- The call --------------------------------------------------------------------------------- */

static int make_nothing(void *user, unsigned index, kv_transport *out)
{
    (void)out;
    return index == *(unsigned *)user ? KV_EMFILE : KV_OK;
}

static void release_nothing(void *user, unsigned index, kv_transport *transport)
{
    (void)transport;
    cr_assert_lt(index, *(unsigned *)user, "only what was made");
}

Test(sim_transport_check, answers_what_make_answers)
{
    kv_transport_check_config config = configure(NULL);
    unsigned which = 2;

    config.user = &which;
    config.make = make_nothing;
    config.release = release_nothing;
    config.report = NULL;
    cr_assert_eq(kv_transport_check(&config), KV_EMFILE);
    which = 0;
    cr_assert_eq(kv_transport_check(&config), KV_EMFILE);
    which = 3;
    cr_assert_eq(kv_transport_check(&config), KV_ECONFLICT, "a struct without methods");
}

Test(sim_transport_check, arguments_are_checked)
{
    verdict v = {0};
    const kv_transport_check_config good = configure(&v);
    kv_transport_check_config bad = good;

    cr_assert_eq(kv_transport_check(NULL), KV_EINVAL);
    bad.size++;
    cr_assert_eq(kv_transport_check(&bad), KV_EINVAL);
    bad = good;
    bad.flags = 1;
    cr_assert_eq(kv_transport_check(&bad), KV_EINVAL);
    bad = good;
    bad.make = NULL;
    cr_assert_eq(kv_transport_check(&bad), KV_EINVAL);
    bad = good;
    bad.addresses[2] = NULL;
    cr_assert_eq(kv_transport_check(&bad), KV_EINVAL);
    bad.addresses[2] = "a";
    cr_assert_eq(kv_transport_check(&bad), KV_EINVAL, "twice the same");
    bad = good;
    bad.patience_ms = 600001;
    cr_assert_eq(kv_transport_check(&bad), KV_EINVAL);
    bad = good;
    bad.only = "nothing";
    cr_assert_eq(kv_transport_check(&bad), KV_EINVAL);
    cr_assert_not_null(strstr(kv_error_detail(), "nothing"), "%s", kv_error_detail());
    cr_assert_eq(v.told, 0);
}
