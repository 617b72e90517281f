/*
 * The calls of a placed store (api/placed.h), over a cluster of one node: what is asked of it, and
 * what its answers become.
 *
 * Stepped on a simulated machine, so that a test moves the clock; what needs threads opens by
 * kv_open().
 */
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdlib.h>

#include "api/store.h"
#include "unit/api/fixture.h"

static kvt_store t;
static kv_options options;
static kv_policy policy;
static kv_result r;
static kv_op op;
static unsigned warnings;

static void on_log(void *user, int level, const char *message)
{
    (void)user, (void)message;
    warnings += level == KV_LOG_WARN;
}

static int reopen(void)
{
    kvi_api_seams seams = {.env = &t.env.os};

    if (t.db) {
        kv_result_free(&r);
        OK(kv_close(t.db));
        t.db = NULL;
        kvi_sim_env_restart(&t.env);
        t.env.os.log = on_log;
    }
    return kvi_api_open_over("store", &options, &seams, &t.db);
}

static void begin_machine(void)
{
    options = (kv_options)KV_OPTIONS_INIT;
    options.layout = KV_PLACED;
    options.mode = KV_STEPPED;
    policy = (kv_policy)KV_POLICY_INIT;
    r = (kv_result)KV_RESULT_INIT;
    op = (kv_op)KV_OP_INIT;
    warnings = 0;
    kvt_machine_start(&t);
    t.env.os.log = on_log;
}

static void begin(void)
{
    begin_machine();
    OK(reopen());
}

static void end(void)
{
    kv_result_free(&r);
    kvt_store_end(&t);
}

#define PLACED_TEST(name) Test(api_placed, name, .init = begin, .fini = end)

static bool value_is(uint32_t i, const char *text)
{
    return i < r.count && r.values[i].len == strlen(text) &&
           memcmp(r.values[i].data, text, r.values[i].len) == 0;
}

static int put(const char *key, const char *value)
{
    return kv_put(t.db, key, strlen(key), value, strlen(value), &op, &r);
}

static int get(const char *key)
{
    return kv_get(t.db, key, strlen(key), NULL, &r);
}

/* --- one key ---------------------------------------------------------------------------------- */

PLACED_TEST(a_put_is_read_back_and_has_a_receipt)
{
    OK(put("key", "value"));
    cr_assert(r.acks == 1 && r.primaries == 1 && r.fallbacks == 0);
    cr_assert_eq(r.durability, KV_DISK);
    cr_assert(r.count == 0 && !r.values && r.context.len > 0);
    OK(get("key"));
    cr_assert(r.count == 1 && value_is(0, "value") && r.context.len > 0);
    cr_assert_eq(r.values[0].expires_ms, 0);
    cr_assert(r.acks == 0 && r.durability == 0);
    op.durability = KV_OS;
    OK(put("key", "other"));
    cr_assert_eq(r.durability, KV_OS);
    OK(kv_get(t.db, "key", 3, NULL, NULL));
    OK(kv_delete(t.db, "key", 3, NULL, &r));
    cr_assert_eq(r.acks, 1);
    cr_assert_eq(get("key"), KV_ENOTFOUND);
    cr_assert(r.count == 0 && !r.values && r.context.len > 0);
    cr_assert_eq(kv_get(t.db, "none", 4, NULL, NULL), KV_ENOTFOUND);
    OK(kv_delete(t.db, "none", 4, NULL, NULL));
}

PLACED_TEST(it_is_there_after_opening_again)
{
    OK(put("key", "value"));
    OK(reopen());
    OK(get("key"));
    cr_assert(value_is(0, "value"));
}

/** What a get has seen, for a put that others overtake. */
static kv_slice keep_context(uint8_t *out, size_t room)
{
    cr_assert_leq(r.context.len, room);
    memcpy(out, r.context.data, r.context.len);
    return kvi_slice_of(out, r.context.len);
}

/** Leaves "one" and "two" beside each other. */
static void concur(const char *key, uint64_t ttl_ms)
{
    uint8_t context[256];

    OK(put(key, "zero"));
    op.context = keep_context(context, sizeof context);
    op.ttl_ms = ttl_ms;
    OK(put(key, "one"));
    op.ttl_ms = 0;
    OK(put(key, "two"));
    op.context = kvi_slice_of(NULL, 0);
}

PLACED_TEST(concurrent_puts_are_siblings_until_one_has_seen_them)
{
    uint8_t context[256];

    concur("key", 0);
    FAILS(get("key"), KV_ESIBLINGS, "2 values");
    cr_assert(r.count == 2 && value_is(0, "one") && value_is(1, "two"));
    op.context = keep_context(context, sizeof context);
    FAILS(kv_get(t.db, "key", 3, NULL, NULL), KV_ESIBLINGS, "2 values");
    OK(put("key", "both"));
    op.context = kvi_slice_of(NULL, 0);
    OK(get("key"));
    cr_assert(r.count == 1 && value_is(0, "both"));
}

PLACED_TEST(a_put_that_has_not_seen_siblings_is_refused_with_them)
{
    concur("key", 0);
    FAILS(put("key", "blind"), KV_ESIBLINGS, "siblings");
    cr_assert(r.count == 2 && value_is(0, "one") && value_is(1, "two"));
    cr_assert_eq(r.acks, 0);
    op.flags = KV_OVERWRITE;
    OK(put("key", "blind"));
    OK(get("key"));
    cr_assert(r.count == 1 && value_is(0, "blind"));
    op.flags = 0;
    concur("gone", 0);
    OK(kv_delete(t.db, "gone", 4, NULL, NULL));
    cr_assert_eq(get("gone"), KV_ENOTFOUND);
}

PLACED_TEST(a_value_expires_to_the_millisecond)
{
    op.ttl_ms = 1000;
    OK(put("key", "value"));
    OK(get("key"));
    cr_assert_gt(r.values[0].expires_ms, 0);
    kvt_pass_ms(&t, 999);
    OK(get("key"));
    kvt_pass_ms(&t, 1);
    cr_assert_eq(get("key"), KV_ENOTFOUND);
    op.ttl_ms = 0;
    concur("two", 1000);
    FAILS(get("two"), KV_ESIBLINGS, "2 values");
    kvt_pass_ms(&t, 1000);
    OK(get("two"));
    cr_assert(r.count == 1 && value_is(0, "two"));
}

PLACED_TEST(a_large_value_is_the_results_own)
{
    static uint8_t large[300 << 10];
    kv_result other = KV_RESULT_INIT;

    memset(large, 7, sizeof large);
    OK(kv_put(t.db, "large", 5, large, sizeof large, NULL, NULL));
    OK(get("large"));
    cr_assert_eq(r.values[0].len, sizeof large);
    cr_assert_arr_eq(r.values[0].data, large, sizeof large);
    OK(put("key", "large"));
    OK(kv_get(t.db, "key", 3, NULL, &other));
    OK(kv_get(t.db, other.values[0].data, other.values[0].len, NULL, &other));
    cr_assert_eq(other.values[0].len, sizeof large);
    OK(kv_put(t.db, "copy", 4, other.values[0].data, other.values[0].len, NULL, &other));
    OK(get("copy"));
    cr_assert_arr_eq(r.values[0].data, large, sizeof large);
    kv_result_free(&other);
}

PLACED_TEST(what_makes_no_sense_is_refused_by_name)
{
    uint8_t context[256];

    op.condition = KV_IF_ABSENT;
    FAILS(put("key", "value"), KV_ENOTSUP, "kv_op.condition");
    op = (kv_op)KV_OP_INIT;
    op.w = 9;
    FAILS(put("key", "value"), KV_EINVAL, "kv_op.w is 9");
    op.w = 2;
    FAILS(put("key", "value"), KV_EINVAL, "2");
    op = (kv_op)KV_OP_INIT;
    op.r = 1;
    FAILS(put("key", "value"), KV_EINVAL, "kv_op.r has no meaning");
    FAILS(kv_get(t.db, "key", 3, &(kv_op){sizeof op, .w = 1}, &r), KV_EINVAL,
          "kv_op.w has no meaning");
    FAILS(kv_get(t.db, "key", 3, &(kv_op){sizeof op, .flags = KV_OVERWRITE}, &r), KV_EINVAL,
          "KV_OVERWRITE");
    op = (kv_op)KV_OP_INIT;
    OK(put("key", "value"));
    op.context = keep_context(context, sizeof context);
    op.flags = KV_OVERWRITE;
    FAILS(put("key", "value"), KV_EINVAL, "KV_OVERWRITE");
    op.flags = 0;
    FAILS(put("another", "value"), KV_EINVAL, "context");
    context[3] ^= 1;
    FAILS(put("key", "value"), KV_EINVAL, "context");
    op = (kv_op)KV_OP_INIT;
    op.r = KV_ALL;
    op.timeout_ms = 100;
    op.flags = KV_PRIMARIES_ONLY;
    OK(kv_get(t.db, "key", 3, &op, &r));
}

PLACED_TEST(what_is_not_offered_says_so)
{
    kv_snap *snap;
    kv_iter *it;

    FAILS(kv_snapshot(t.db, &snap), KV_ENOTSUP, "no snapshots");
    OK(kv_iter_open(t.db, NULL, &it));
    FAILS(kv_iter_prev(it, NULL), KV_ENOTSUP, "forwards only");
    kv_iter_close(it);
}

PLACED_TEST(statistics_count_requests)
{
    kv_statistics s = KV_STATISTICS_INIT;

    OK(put("key", "value"));
    OK(get("key"));
    cr_assert_eq(get("none"), KV_ENOTFOUND);
    OK(kv_delete(t.db, "key", 3, NULL, NULL));
    OK(kv_sync(t.db));
    OK(kv_flush(t.db));
    OK(kv_stats(t.db, &s));
    cr_assert(s.gets == 2 && s.gets_found == 1 && s.puts == 1 && s.deletes == 1);
    cr_assert_eq(s.user_bytes_written, 3 + 5 + 3);
}

/* --- merging ---------------------------------------------------------------------------------- */

static unsigned merges;
static int merge_err;
static size_t merge_wants;

static int on_merge(void *user, kv_slice key, const kv_value *siblings, uint32_t count, void *out,
                    size_t capacity, size_t *len)
{
    cr_assert(user == &merges && kvt_slice_is(key, "key") && count == 2);
    merges++;
    if (merge_err)
        return merge_err;
    *len = kvi_max_size(merge_wants, siblings[0].len + siblings[1].len);
    if (*len > capacity)
        return KV_ETOOBIG;
    memset(out, '-', *len);
    memcpy(out, siblings[0].data, siblings[0].len);
    memcpy((char *)out + siblings[0].len, siblings[1].data, siblings[1].len);
    return KV_OK;
}

static void begin_merging(void)
{
    begin_machine();
    merges = 0;
    merge_err = KV_OK;
    merge_wants = 0;
    options.merge = on_merge;
    options.user = &merges;
    OK(reopen());
    concur("key", 0);
}

#define MERGE_TEST(name) Test(api_placed, name, .init = begin_merging, .fini = end)

MERGE_TEST(a_merge_makes_one_of_siblings_for_the_get)
{
    uint8_t context[256];

    OK(get("key"));
    cr_assert(merges == 1 && r.count == 1 && value_is(0, "onetwo"));
    OK(kv_get(t.db, "key", 3, NULL, NULL));
    cr_assert_eq(merges, 2);
    op.context = keep_context(context, sizeof context);
    FAILS(kv_put(t.db, "key", 3, "x", 1, NULL, NULL), KV_ESIBLINGS, "siblings");
    OK(put("key", "merged"));
    OK(get("key"));
    cr_assert(merges == 2 && value_is(0, "merged"));
}

MERGE_TEST(a_merge_gets_the_room_that_it_asks_for)
{
    merge_wants = 10000;
    OK(get("key"));
    cr_assert(merges == 2 && r.count == 1 && r.values[0].len == 10000);
    merge_wants = (size_t)1 << 30;
    FAILS(get("key"), KV_ESIBLINGS, "2 values");
}

MERGE_TEST(a_merge_that_fails_leaves_the_siblings)
{
    merge_err = KV_ECONFLICT;
    FAILS(get("key"), KV_ESIBLINGS, "2 values");
    cr_assert(merges == 1 && r.count == 2 && value_is(0, "one") && value_is(1, "two"));
}

/* --- batches ---------------------------------------------------------------------------------- */

PLACED_TEST(a_batch_is_of_one_part)
{
    kv_batch *b;

    OK(kv_batch_new(t.db, &b));
    OK(kv_batch_put(b, "{u}/a", 5, "1", 1, NULL));
    OK(kv_batch_put(b, "{u}/b", 5, "2", 1, NULL));
    FAILS(kv_batch_put(b, "{v}/a", 5, "3", 1, NULL), KV_EINVAL, "key \"{v}/a\"");
    FAILS(kv_batch_delete(b, "alone", 5), KV_EINVAL, "key \"alone\"");
    OK(kv_batch_delete(b, "u", 1));
    OK(kv_batch_commit(b, NULL, &r));
    cr_assert(r.acks == 1 && r.durability == KV_DISK && r.context.len == 0);
    cr_assert(kvt_has(t.db, "{u}/a", "1") && kvt_has(t.db, "{u}/b", "2"));
    OK(kv_batch_delete(b, "{u}/a", 5));
    OK(kv_batch_put(b, "{u}/b", 5, "3", 1, NULL));
    op.w = KV_ALL;
    op.durability = KV_OS;
    OK(kv_batch_commit(b, &op, &r));
    cr_assert_eq(r.durability, KV_OS);
    cr_assert(kvt_has(t.db, "{u}/a", NULL) && kvt_has(t.db, "{u}/b", "3"));
    OK(kv_batch_commit(b, NULL, &r));
    kv_batch_free(b);
}

PLACED_TEST(a_batch_may_span_spaces_of_as_many_replicas)
{
    kv *same, *other;
    kv_batch *b;

    OK(kv_space(t.db, "same", NULL, &same));
    policy.n = 2;
    OK(kv_space(t.db, "other", &policy, &other));
    OK(kv_batch_new(t.db, &b));
    OK(kv_batch_put(b, "k", 1, "1", 1, NULL));
    OK(kv_batch_use(b, same));
    OK(kv_batch_put(b, "k", 1, "2", 1, NULL));
    OK(kv_batch_commit(b, NULL, NULL));
    cr_assert(kvt_has(t.db, "k", "1") && kvt_has(same, "k", "2"));
    OK(kv_batch_put(b, "k", 1, "3", 1, NULL));
    OK(kv_batch_use(b, other));
    OK(kv_batch_put(b, "k", 1, "4", 1, NULL));
    FAILS(kv_batch_commit(b, NULL, NULL), KV_EINVAL, "\"other\" has n 2");
    cr_assert(kvt_has(same, "k", "2"));
    kv_batch_free(b);
    OK(kv_close(other));
    OK(kv_close(same));
}

/* --- walks ------------------------------------------------------------------------------------ */

/** The keys of a walk, each with a space behind it. */
static const char *walked(kv_iter *it)
{
    static char text[4096];
    kv_entry e = KV_ENTRY_INIT;
    size_t len = 0;
    int err;

    while ((err = kv_iter_next(it, &e)) == KV_OK) {
        cr_assert_lt(len + e.key.len + 2, sizeof text);
        memcpy(text + len, e.key.data, e.key.len);
        len += e.key.len;
        text[len++] = e.flags & KV_ENTRY_SIBLINGS ? '*' : ' ';
    }
    text[len] = '\0';
    cr_assert_eq(err, KV_ENOTFOUND, "%s", kv_error_detail());
    cr_assert_eq(kv_iter_next(it, NULL), KV_ENOTFOUND);
    return text;
}

static kv_range range_of(const char *prefix, const char *from, const char *to)
{
    kv_range range = KV_RANGE_INIT;

    range.prefix = kvi_slice_of(prefix, strlen(prefix));
    range.from = kvi_slice_of(from, strlen(from));
    range.to = kvi_slice_of(to, strlen(to));
    return range;
}

static void seek(kv_iter *it, const char *key)
{
    OK(kv_iter_seek(it, key, strlen(key)));
}

static void begin_part(void)
{
    begin();
    OK(put("{u}b", "2"));
    OK(put("{u}d", "4"));
    OK(put("{u}a", "1"));
    OK(put("{u}c", "3"));
    OK(put("{v}a", "5"));
    OK(put("u", "6"));
    OK(put("{u}gone", "7"));
    OK(kv_delete(t.db, "{u}gone", 7, NULL, NULL));
}

#define PART_TEST(name) Test(api_placed, name, .init = begin_part, .fini = end)

PART_TEST(a_walk_within_a_part_is_in_the_order_of_keys)
{
    kv_range range = range_of("{u}", "", "");
    kv_entry e = KV_ENTRY_INIT;
    kv_iter *it;

    OK(kv_iter_open(t.db, &range, &it));
    OK(kv_iter_next(it, &e));
    cr_assert(kvt_slice_is(e.key, "{u}a") && e.value.len == 1 && *(char *)e.value.data == '1');
    cr_assert_str_eq(walked(it), "{u}b {u}c {u}d ");
    OK(kv_iter_renew(it, NULL));
    cr_assert_str_eq(walked(it), "{u}a {u}b {u}c {u}d ");
    range = range_of("{u}c", "", "");
    OK(kv_iter_renew(it, &range));
    cr_assert_str_eq(walked(it), "{u}c ");
    range = range_of("{u}", "{u}b", "{u}d");
    OK(kv_iter_renew(it, &range));
    cr_assert_str_eq(walked(it), "{u}b {u}c ");
    range = range_of("{u}", "{u}bb", "");
    OK(kv_iter_renew(it, &range));
    cr_assert_str_eq(walked(it), "{u}c {u}d ");
    range = range_of("{u}", "a", "b");
    OK(kv_iter_renew(it, &range));
    cr_assert_str_eq(walked(it), "", "all that begin with the prefix are above");
    kv_iter_close(it);
}

PART_TEST(a_seek_stands_before_the_key_or_the_next)
{
    kv_range range = range_of("{u}", "{u}b", "{u}d");
    kv_entry e = KV_ENTRY_INIT;
    kv_iter *it;

    OK(kv_iter_open(t.db, &range, &it));
    seek(it, "{u}c");
    cr_assert_str_eq(walked(it), "{u}c ");
    seek(it, "{u}bb");
    cr_assert_str_eq(walked(it), "{u}c ");
    seek(it, "{u}a");
    cr_assert_str_eq(walked(it), "{u}b {u}c ");
    seek(it, "");
    cr_assert_str_eq(walked(it), "{u}b {u}c ");
    seek(it, "a");
    cr_assert_str_eq(walked(it), "{u}b {u}c ");
    seek(it, "{u}d");
    cr_assert_str_eq(walked(it), "");
    seek(it, "~");
    cr_assert_str_eq(walked(it), "");
    seek(it, "{u}b");
    OK(kv_iter_next(it, &e));
    OK(kv_iter_seek(it, e.key.data, e.key.len)); /* which lies in the iterator */
    cr_assert_str_eq(walked(it), "{u}b {u}c ");
    kv_iter_close(it);
}

PART_TEST(from_and_to_need_a_part)
{
    kv_range range = range_of("", "a", "");
    kv_iter *it;

    FAILS(kv_iter_open(t.db, &range, &it), KV_EINVAL, "kv_range.from");
    range = range_of("u", "", "v");
    FAILS(kv_iter_open(t.db, &range, &it), KV_EINVAL, "kv_range.to");
    OK(kv_iter_open(t.db, NULL, &it));
    FAILS(kv_iter_renew(it, &range), KV_EINVAL, "kv_range.to");
    kv_iter_close(it);
}

PART_TEST(a_key_with_siblings_is_shown_once_and_marked)
{
    kv_range range = range_of("{u}", "", "");
    kv_entry e = KV_ENTRY_INIT;
    kv_iter *it;

    concur("{u}bb", 0);
    OK(kv_iter_open(t.db, &range, &it));
    cr_assert_str_eq(walked(it), "{u}a {u}b {u}bb*{u}c {u}d ");
    seek(it, "{u}bb");
    OK(kv_iter_next(it, &e));
    cr_assert_eq(e.flags, KV_ENTRY_SIBLINGS);
    cr_assert_eq(memcmp(e.value.data, "one", 3), 0);
    OK(kv_iter_next(it, &e));
    cr_assert(kvt_slice_is(e.key, "{u}c") && e.flags == 0);
    kv_iter_close(it);
}

PLACED_TEST(a_walk_over_everything_meets_each_key_once_and_can_be_resumed)
{
    enum { KEYS = 700 };
    static bool seen[KEYS];
    kv_entry e = KV_ENTRY_INIT;
    unsigned count = 0;
    char key[16] = "";
    kv_iter *it;

    memset(seen, 0, sizeof seen);
    for (int i = 0; i < KEYS; i++) {
        (void)snprintf(key, sizeof key, "%d", i);
        kvt_put(t.db, key, "value");
    }
    for (bool begun = false; count < KEYS; begun = true) {
        OK(kv_iter_open(t.db, NULL, &it));
        if (begun) {
            seek(it, key);
            OK(kv_iter_next(it, &e));
            cr_assert(kvt_slice_is(e.key, key), "the sought one itself");
        }
        for (int n = 0; n < 300 && kv_iter_next(it, &e) == KV_OK; n++, count++) {
            cr_assert_lt(e.key.len, sizeof key);
            memcpy(key, e.key.data, e.key.len);
            key[e.key.len] = '\0';
            cr_assert(!seen[atoi(key)], "%s again", key);
            seen[atoi(key)] = true;
        }
        kv_iter_close(it);
    }
    OK(kv_iter_open(t.db, NULL, &it));
    seek(it, key);
    OK(kv_iter_next(it, &e));
    cr_assert_eq(kv_iter_next(it, &e), KV_ENOTFOUND);
    kv_iter_close(it);
}

/* --- spaces and policies ---------------------------------------------------------------------- */

PLACED_TEST(a_space_is_an_entry_of_the_ring)
{
    kv *space, *again;

    policy.ttl_ms = 1000;
    policy.conflict = KV_LAST_WRITE_WINS;
    OK(kv_space(t.db, "named", &policy, &space));
    kvt_put(space, "key", "value");
    cr_assert(kvt_has(t.db, "key", NULL));
    OK(kv_space(space, "named", NULL, &again));
    cr_assert(kvt_has(again, "key", "value"));
    kvt_pass_ms(&t, 1000);
    cr_assert(kvt_has(again, "key", NULL), "by the default of the space");
    OK(kv_close(again));
    policy.ttl_ms = 999;
    FAILS(kv_space(t.db, "named", &policy, &again), KV_ECONFLICT, "named");
    policy.r = 2;
    FAILS(kv_space(t.db, "other", &policy, &again), KV_EINVAL, "kv_policy.r is 2");
    policy.mode = KV_STRONG;
    FAILS(kv_space(t.db, "other", &policy, &again), KV_ENOTSUP, "KV_STRONG");
    OK(kv_close(space));
    OK(reopen());
    policy = (kv_policy)KV_POLICY_INIT;
    policy.ttl_ms = 1000;
    policy.conflict = KV_LAST_WRITE_WINS;
    OK(kv_space(t.db, "named", &policy, &space));
    OK(kv_close(space));
}

Test(api_placed, a_policy_that_promises_little_is_told, .init = begin_machine, .fini = end)
{
    kv *space;

    OK(reopen());
    cr_assert_eq(warnings, 0);
    policy.n = 3;
    OK(kv_space(t.db, "many", &policy, &space));
    cr_assert_eq(warnings, 1, "three replicas, one node");
    OK(kv_close(space));
    policy.r = policy.w = 1;
    OK(kv_space(t.db, "few", &policy, &space));
    cr_assert_eq(warnings, 4, "that, r + w, and w");
    OK(kv_close(space));
}

Test(api_placed, the_default_space_is_as_it_was_created, .init = begin_machine, .fini = end)
{
    options.policy = &policy;
    policy.n = 2;
    policy.w = KV_ALL;
    OK(reopen());
    cr_assert_eq(warnings, 1);
    OK(reopen());
    policy.w = 0;
    FAILS(reopen(), KV_ECONFLICT, "n 2");
    policy.w = KV_ALL;
    OK(reopen());
    options.policy = NULL;
    OK(reopen());
}

/* --- layouts ---------------------------------------------------------------------------------- */

PLACED_TEST(a_layout_is_kept)
{
    OK(put("key", "value"));
    options.layout = KV_ORDERED;
    FAILS(reopen(), KV_ELAYOUT, "layout 2");
    options.layout = KV_LAYOUT_DEFAULT;
    OK(reopen());
    OK(get("key"));
    cr_assert(t.db->store->placed);
}

Test(api_placed, an_ordered_store_does_not_become_a_node, .init = begin_machine, .fini = end)
{
    options.layout = KV_LAYOUT_DEFAULT;
    OK(reopen());
    cr_assert(!t.db->store->placed);
    options.layout = KV_PLACED;
    FAILS(reopen(), KV_ELAYOUT, "layout 1");
    options.layout = KV_ORDERED;
    OK(reopen());
}

PLACED_TEST(it_is_the_one_member_of_its_cluster)
{
    kv_member m[2] = {KV_MEMBER_INIT, KV_MEMBER_INIT};
    size_t count = 2;
    uint64_t node;

    OK(put("key", "value")); /* by now the ring is on the disk */
    OK(kv_members(t.db, m, &count));
    cr_assert_eq(count, 1);
    cr_assert(m[0].node != 0 && m[0].state == KV_MEMBER_ALIVE && m[0].weight == 100);
    cr_assert(m[0].partitions > 0 && m[0].hints == 0 && m[0].zone[0] == '\0');
    node = m[0].node;
    count = 0;
    OK(kv_members(t.db, m, &count));
    cr_assert_eq(count, 1);
    OK(kv_members(t.db, NULL, &count));
    FAILS(kv_members(t.db, m, NULL), KV_EINVAL, "count is NULL");
    m[1].size = 3;
    count = 2;
    FAILS(kv_members(t.db, m, &count), KV_EINVAL, "kv_member.size is 3");
    cr_assert_eq(count, 2);
    OK(reopen());
    count = 1;
    OK(kv_members(t.db, m, &count));
    cr_assert_eq(m[0].node, node, "an identity is kept");
}

/* --- submitted -------------------------------------------------------------------------------- */

static unsigned ended;
static int end_err[8];
static uint64_t end_ticket[8];
static uint32_t end_values[8];

static void on_end(void *user, uint64_t ticket, int err, const kv_result *result)
{
    kv_op quick = KV_OP_INIT;

    (void)user;
    cr_assert_lt(ended, 8);
    end_err[ended] = err;
    end_ticket[ended] = ticket;
    end_values[ended++] = result->count;
    FAILS(kv_get(t.db, "key", 3, &quick, NULL), KV_EDEADLK, "callback");
}

static uint64_t submit(uint8_t call, const char *key)
{
    kv_request q = KV_REQUEST_INIT;
    uint64_t ticket;

    q.call = call;
    q.key = kvi_slice_of(key, strlen(key));
    if (call == KV_REQUEST_PUT)
        q.value = kvi_slice_of("value", 5);
    OK(kv_submit(t.db, &q, on_end, NULL, &ticket));
    return ticket;
}

static void step_until(unsigned n)
{
    for (int i = 0; ended < n; i++) {
        cr_assert_lt(i, 1000);
        OK(kv_step(t.db, 0));
    }
}

PLACED_TEST(a_submitted_request_ends_in_a_step)
{
    uint64_t ticket;

    ended = 0;
    OK(put("warm", "up"));
    ticket = submit(KV_REQUEST_PUT, "key");
    cr_assert_eq(ended, 0);
    cr_assert_eq(kv_next_deadline(t.db), 0);
    OK(get("warm")); /* steps the node, and leaves the callback */
    cr_assert_eq(ended, 0);
    step_until(1);
    cr_assert(end_ticket[0] == ticket && end_err[0] == KV_OK);
    submit(KV_REQUEST_GET, "key");
    submit(KV_REQUEST_GET, "none");
    step_until(3);
    cr_assert(end_err[1] + end_err[2] == KV_ENOTFOUND && end_values[1] + end_values[2] == 1);
    concur("siblings", 0);
    submit(KV_REQUEST_GET, "siblings");
    step_until(4);
    cr_assert(end_err[3] == KV_ESIBLINGS && end_values[3] == 2);
}

PLACED_TEST(a_submitted_request_can_be_canceled)
{
    uint64_t ticket;

    ended = 0;
    ticket = submit(KV_REQUEST_PUT, "key");
    OK(kv_cancel(t.db, ticket));
    OK(kv_cancel(t.db, ticket));
    step_until(1);
    cr_assert_eq(end_err[0], KV_ECANCELED);
    cr_assert_eq(kv_cancel(t.db, ticket), KV_ENOTFOUND);
    cr_assert_eq(get("key"), KV_ENOTFOUND);
}

Test(api_placed, closing_ends_what_was_submitted, .init = begin)
{
    uint64_t ticket;

    ended = 0;
    submit(KV_REQUEST_PUT, "key");
    ticket = submit(KV_REQUEST_GET, "key");
    OK(kv_cancel(t.db, ticket));
    OK(kv_close(t.db));
    cr_assert_eq(ended, 2);
    for (int i = 0; i < 2; i++)
        cr_assert(end_err[i] == KV_ECANCELED || end_err[i] == KV_EUNCERTAIN, "%d", end_err[i]);
    kvi_sim_env_deinit(&t.env);
}

/* --- threads ---------------------------------------------------------------------------------- */

typedef struct client {
    pthread_t thread;
    kv *db;
    int number;
    _Atomic unsigned ended;
} client;

static void on_client_end(void *user, uint64_t ticket, int err, const kv_result *result)
{
    client *c = user;

    (void)ticket, (void)result;
    cr_assert_eq(err, KV_OK);
    atomic_fetch_add(&c->ended, 1);
}

static void *client_main(void *user)
{
    client *c = user;
    kv_request q = KV_REQUEST_INIT;
    uint64_t ticket;
    char key[32];

    for (int i = 0; i < 200; i++) {
        (void)snprintf(key, sizeof key, "%d.%d", c->number, i);
        kvt_put(c->db, key, key);
        q.call = KV_REQUEST_GET;
        q.key = kvi_slice_of(key, strlen(key));
        OK(kv_submit(c->db, &q, on_client_end, c, &ticket));
        cr_assert(kvt_has(c->db, key, key));
    }
    return NULL;
}

Test(api_placed, many_threads_use_a_node_at_once)
{
    client clients[4];
    kv_options o = KV_OPTIONS_INIT;
    kv *db;

    o.layout = KV_PLACED;
    OK(kv_open(NULL, &o, &db));
    for (int i = 0; i < 4; i++) {
        clients[i].db = db;
        clients[i].number = i;
        atomic_init(&clients[i].ended, 0);
        cr_assert_eq(pthread_create(&clients[i].thread, NULL, client_main, &clients[i]), 0);
    }
    for (int i = 0; i < 4; i++) {
        cr_assert_eq(pthread_join(clients[i].thread, NULL), 0);
        while (atomic_load(&clients[i].ended) < 200)
            sched_yield();
    }
    OK(kv_close(db));
}

static void on_end_anywhere(void *user, uint64_t ticket, int err, const kv_result *result)
{
    (void)ticket, (void)result;
    cr_assert_eq(err, KV_OK);
    *(pthread_t *)user = pthread_self();
}

Test(api_placed, callbacks_in_step_wait_for_it)
{
    kv_options o = KV_OPTIONS_INIT;
    kv_request q = KV_REQUEST_INIT;
    pthread_t where;
    kv *db;

    o.layout = KV_PLACED;
    o.flags = KV_CALLBACKS_IN_STEP;
    q.call = KV_REQUEST_PUT;
    q.key = kvi_slice_of("key", 3);
    OK(kv_open(NULL, &o, &db));
    cr_assert_geq(kv_pollfd(db), 0);
    OK(kv_submit(db, &q, on_end_anywhere, &where, NULL));
    while (kv_next_deadline(db) != 0)
        sched_yield();
    OK(kv_step(db, 0));
    cr_assert(pthread_equal(where, pthread_self()));
    cr_assert_eq(kv_next_deadline(db), -1);
    OK(kv_close(db));
}

Test(api_placed, callbacks_of_a_node_run_on_its_thread)
{
    kv_options o = KV_OPTIONS_INIT;
    kv_request q = KV_REQUEST_INIT;
    pthread_t where = pthread_self();
    kv *db;

    o.layout = KV_PLACED;
    q.call = KV_REQUEST_PUT;
    q.key = kvi_slice_of("key", 3);
    OK(kv_open(NULL, &o, &db));
    FAILS(kv_step(db, 0), KV_ENOTSUP, "KV_THREADED");
    cr_assert_eq(kv_pollfd(db), -1);
    OK(kv_submit(db, &q, on_end_anywhere, &where, NULL));
    OK(kv_put(db, "key", 3, "", 0, NULL, NULL)); /* begun after it, and so are their ends */
    OK(kv_close(db));
    cr_assert(!pthread_equal(where, pthread_self()));
}

static _Atomic bool canceled_ended;

static void on_canceled(void *user, uint64_t ticket, int err, const kv_result *result)
{
    (void)user, (void)ticket, (void)result;
    cr_assert(err == KV_OK || err == KV_ECANCELED || err == KV_EUNCERTAIN, "%d", err);
    atomic_store(&canceled_ended, true);
}

Test(api_placed, a_cancellation_and_an_end_may_cross)
{
    kv_options o = KV_OPTIONS_INIT;
    kv_request q = KV_REQUEST_INIT;
    kv *db;

    o.layout = KV_PLACED;
    q.call = KV_REQUEST_PUT;
    q.key = kvi_slice_of("key", 3);
    OK(kv_open(NULL, &o, &db));
    for (int i = 0; i < 500; i++) {
        uint64_t ticket;
        int err;

        atomic_store(&canceled_ended, false);
        OK(kv_submit(db, &q, on_canceled, NULL, &ticket));
        for (int spin = 0; spin < i; spin++)
            (void)kv_next_deadline(db);
        err = kv_cancel(db, ticket);
        cr_assert(err == KV_OK || err == KV_ENOTFOUND);
        while (!atomic_load(&canceled_ended))
            sched_yield();
    }
    OK(kv_close(db));
}
