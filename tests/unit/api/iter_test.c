/*
 * Iterators (api/iter.c): bounds, prefixes, spaces and snapshots, against a sorted array.
 */
#include <stdlib.h>

#include "support/rng.h"
#include "unit/api/fixture.h"

static kvt_store t;

static void begin(void)
{
    kvt_machine_start(&t);
    OK(kvi_api_open("store", NULL, &t.env.os, &kvt_small, &t.db));
}

static void end(void)
{
    kvt_store_end(&t);
}

#define STORE_TEST(name) Test(api_iter, name, .init = begin, .fini = end)

static kvi_slice text(const char *s)
{
    return kvi_slice_of(s, strlen(s));
}

static void put_all(kv *db, const char *keys)
{
    for (; *keys; keys++)
        OK(kv_put(db, keys, 1, keys, 1, NULL, NULL));
}

/** The keys, of one byte each, that a walk gives upwards from where it stands, and that it ends;
 *  then down again, the same. */
static bool walks(kv_iter *it, const char *keys)
{
    kv_entry e = KV_ENTRY_INIT;
    size_t n = strlen(keys);

    for (size_t i = 0; i < n; i++)
        if (kv_iter_next(it, &e) || e.key.len != 1 || memcmp(e.key.data, &keys[i], 1) != 0 ||
            e.value.len != 1 || memcmp(e.value.data, &keys[i], 1) != 0)
            return false;
    if (kv_iter_next(it, &e) != KV_ENOTFOUND || kv_iter_next(it, NULL) != KV_ENOTFOUND)
        return false;
    for (size_t i = n; i-- > 0;)
        if (kv_iter_prev(it, &e) || memcmp(e.key.data, &keys[i], 1) != 0)
            return false;
    return kv_iter_prev(it, &e) == KV_ENOTFOUND;
}

STORE_TEST(without_bounds_it_walks_over_the_whole_space)
{
    kv *space;
    kv_iter *it;

    OK(kv_iter_open(t.db, NULL, &it));
    cr_assert(walks(it, ""));
    OK(kv_space(t.db, "s", NULL, &space));
    put_all(t.db, "caeb");
    put_all(space, "zx");
    OK(kv_iter_renew(it, NULL));
    cr_assert(walks(it, "abce"));
    kv_iter_close(it);
    OK(kv_iter_open(space, NULL, &it));
    OK(kv_close(space));
    cr_assert(walks(it, "xz"));
    kv_iter_close(it);
    kv_iter_close(NULL);
}

STORE_TEST(it_stands_at_both_ends_at_first)
{
    kv_entry e = KV_ENTRY_INIT;
    kv_iter *it;

    put_all(t.db, "abc");
    OK(kv_iter_open(t.db, NULL, &it));
    OK(kv_iter_prev(it, &e));
    cr_assert(kvt_slice_is(e.key, "c"));
    OK(kv_iter_renew(it, NULL));
    OK(kv_iter_next(it, &e));
    cr_assert(kvt_slice_is(e.key, "a"));
    kv_iter_close(it);
}

STORE_TEST(from_is_in_and_to_is_out)
{
    kv_range range = KV_RANGE_INIT;
    kv_iter *it;

    put_all(t.db, "abcde");
    range.from = text("b");
    range.to = text("d");
    OK(kv_iter_open(t.db, &range, &it));
    cr_assert(walks(it, "bc"));
    range.to = text("");
    OK(kv_iter_renew(it, &range));
    cr_assert(walks(it, "bcde"));
    range.from = text("");
    range.to = text("c");
    OK(kv_iter_renew(it, &range));
    cr_assert(walks(it, "ab"));
    range.from = text("d");
    OK(kv_iter_renew(it, &range)); /* nothing is between */
    cr_assert(walks(it, ""));
    range.from = range.to;
    OK(kv_iter_renew(it, &range));
    cr_assert(walks(it, ""));
    kv_iter_close(it);
}

STORE_TEST(seek_stands_before_the_key_and_stays_in_the_range)
{
    kv_range range = KV_RANGE_INIT;
    kv_entry e = KV_ENTRY_INIT;
    kv_iter *it;

    put_all(t.db, "abdef");
    range.from = text("b");
    range.to = text("f");
    OK(kv_iter_open(t.db, &range, &it));
    OK(kv_iter_seek(it, "c", 1));
    OK(kv_iter_next(it, &e));
    cr_assert(kvt_slice_is(e.key, "d"));
    OK(kv_iter_seek(it, "c", 1));
    OK(kv_iter_prev(it, &e));
    cr_assert(kvt_slice_is(e.key, "b"));
    OK(kv_iter_seek(it, "a", 1));
    OK(kv_iter_next(it, &e));
    cr_assert(kvt_slice_is(e.key, "b"));
    OK(kv_iter_seek(it, NULL, 0));
    cr_assert_eq(kv_iter_prev(it, &e), KV_ENOTFOUND);
    OK(kv_iter_seek(it, "z", 1));
    cr_assert_eq(kv_iter_next(it, &e), KV_ENOTFOUND);
    OK(kv_iter_seek(it, "f", 1));
    OK(kv_iter_prev(it, &e));
    cr_assert(kvt_slice_is(e.key, "e"));
    kv_iter_close(it);
}

STORE_TEST(it_sees_what_was_readable_then)
{
    kv_iter *it;

    put_all(t.db, "ab");
    OK(kv_iter_open(t.db, NULL, &it));
    put_all(t.db, "c");
    kvt_delete(t.db, "a");
    OK(kv_flush(t.db));
    cr_assert(walks(it, "ab"));
    OK(kv_iter_renew(it, NULL));
    cr_assert(walks(it, "bc"));
    kv_iter_close(it);
}

STORE_TEST(a_snapshot_outlives_its_owner_while_one_reads_it)
{
    kv_range range = KV_RANGE_INIT;
    kv_iter *it;
    kv_snap *snap;

    put_all(t.db, "ab");
    OK(kv_snapshot(t.db, &snap));
    put_all(t.db, "c");
    kvt_delete(t.db, "b");
    range.snapshot = snap;
    OK(kv_iter_open(t.db, &range, &it));
    kv_snapshot_free(snap);
    OK(kv_flush(t.db));
    cr_assert(walks(it, "ab"));
    OK(kv_iter_renew(it, NULL));
    cr_assert(walks(it, "ab"), "the same range, the same snapshot");
    FAILS(kv_close(t.db), KV_EBUSY, "1 iterators, 1 snapshots");
    range.snapshot = NULL;
    OK(kv_iter_renew(it, &range));
    cr_assert(walks(it, "ac"));
    FAILS(kv_close(t.db), KV_EBUSY, "1 iterators, 0 snapshots");
    kv_iter_close(it);
}

STORE_TEST(an_entry_tells_its_expiry_and_expired_ones_are_passed_over)
{
    kv_op op = KV_OP_INIT;
    kv_entry e = KV_ENTRY_INIT;
    kv_iter *it;

    put_all(t.db, "ac");
    op.ttl_ms = 10;
    OK(kv_put(t.db, "b", 1, "b", 1, &op, NULL));
    OK(kv_iter_open(t.db, NULL, &it));
    OK(kv_iter_next(it, &e));
    cr_assert_eq(e.value.expires_ms, 0);
    OK(kv_iter_next(it, &e));
    cr_assert_eq(e.value.expires_ms, KVI_SIM_EPOCH_MS + 10);
    kvt_pass_ms(&t, 10);
    OK(kv_iter_renew(it, NULL));
    cr_assert(walks(it, "ac"));
    kv_iter_close(it);
}

/** Opening and renewing with range are refused alike; range starts over. */
static void refused(kv_iter *it, kv_range *range, int code, const char *detail)
{
    kv_iter *none = NULL;

    FAILS(kv_iter_open(t.db, range, &none), code, detail);
    cr_assert_null(none);
    FAILS(kv_iter_renew(it, range), code, detail);
    *range = (kv_range)KV_RANGE_INIT;
}

STORE_TEST(wrong_arguments_are_named)
{
    static const uint8_t big[65536];
    kv_range range = KV_RANGE_INIT;
    kv_entry e = KV_ENTRY_INIT;
    kvt_store other;
    kv_snap *snap;
    kv_iter *it;

    put_all(t.db, "ab");
    OK(kv_iter_open(t.db, NULL, &it));
    range.size = 3;
    refused(it, &range, KV_EINVAL, "kv_range.size is 3");
    range.flags = 1;
    refused(it, &range, KV_EINVAL, "kv_range.flags has 0x1");
    range.from.len = 1;
    refused(it, &range, KV_EINVAL, "kv_range.from is NULL");
    range.to.len = 1;
    refused(it, &range, KV_EINVAL, "kv_range.to is NULL");
    range.prefix.len = 1;
    refused(it, &range, KV_EINVAL, "kv_range.prefix is NULL");
    range.from = kvi_slice_of(big, sizeof big);
    refused(it, &range, KV_ETOOBIG, "kv_range.from of 65536 bytes");
    kvt_store_start(&other, NULL);
    OK(kv_snapshot(other.db, &snap));
    range.snapshot = snap;
    refused(it, &range, KV_EINVAL, "kv_range.snapshot is of another store");
    kv_snapshot_free(snap);
    kvt_store_end(&other);

    FAILS(kv_iter_seek(it, big, sizeof big), KV_ETOOBIG, "key of 65536 bytes");
    FAILS(kv_iter_seek(it, NULL, 1), KV_EINVAL, "key is NULL");
    e.size = 0;
    FAILS(kv_iter_next(it, &e), KV_EINVAL, "kv_entry.size is 0");
    FAILS(kv_iter_prev(it, &e), KV_EINVAL, "kv_entry.size is 0");
    FAILS(kv_iter_next(NULL, NULL), KV_EINVAL, "iter is NULL");
    FAILS(kv_iter_prev(NULL, NULL), KV_EINVAL, "iter is NULL");
    FAILS(kv_iter_seek(NULL, "a", 1), KV_EINVAL, "iter is NULL");
    FAILS(kv_iter_renew(NULL, NULL), KV_EINVAL, "iter is NULL");
    FAILS(kv_iter_open(NULL, NULL, &it), KV_EINVAL, "the handle is NULL");
    FAILS(kv_iter_open(t.db, NULL, NULL), KV_EINVAL, "out is NULL");
    cr_assert(walks(it, "ab"), "as if nothing had been asked");
    kv_iter_close(it);
}

/* --- against a model ---------------------------------------------------------------------- */

enum { KEYS_MAX = 400, KEY_LEN_MAX = 4 };

typedef struct model_key {
    uint8_t data[KEY_LEN_MAX];
    size_t len;
} model_key;

static kvi_slice slice_of(const model_key *k)
{
    return kvi_slice_of(k->data, k->len);
}

/** Of few different bytes, the extreme ones among them, so that keys are prefixes of each other. */
static model_key draw(kvt_rng *rng, size_t len_min)
{
    static const uint8_t alphabet[] = {0, 1, 'a', 0xfe, 0xff};
    model_key k = {{0}, len_min + kvt_rng_below(rng, KEY_LEN_MAX + 1 - len_min)};

    for (size_t i = 0; i < k.len; i++)
        k.data[i] = alphabet[kvt_rng_below(rng, sizeof alphabet)];
    return k;
}

static int by_key(const void *a, const void *b)
{
    return kvi_slice_cmp(slice_of(a), slice_of(b));
}

static bool in_range(const model_key *k, const kv_range *range)
{
    kvi_slice key = slice_of(k);

    return kvi_slice_cmp(key, range->from) >= 0 &&
           (range->to.len == 0 || kvi_slice_cmp(key, range->to) < 0) &&
           kvi_slice_has_prefix(key, range->prefix);
}

/** Fills keys with what is put into db, sorted, without doubles; returns how many. */
static size_t fill(kv *db, kvt_rng *rng, model_key *keys)
{
    size_t n = 0, unique = 0;

    while (n < KEYS_MAX) {
        keys[n] = draw(rng, 1);
        OK(kv_put(db, keys[n].data, keys[n].len, keys[n].data, keys[n].len, NULL, NULL));
        n++;
    }
    qsort(keys, n, sizeof *keys, by_key);
    for (size_t i = 0; i < n; i++)
        if (i == 0 || by_key(&keys[i - 1], &keys[i]) != 0)
            keys[unique++] = keys[i];
    return unique;
}

/** Moves at random over keys[low, high) and compares. It stands on keys[at], or right before it. */
static void wander(kv_iter *it, kvt_rng *rng, const model_key *keys, size_t low, size_t high)
{
    kv_entry e = KV_ENTRY_INIT;
    size_t at = low;
    bool on = false;

    OK(kv_iter_seek(it, NULL, 0));
    for (int step = 0; step < 60; step++) {
        uint64_t what = kvt_rng_below(rng, 5);

        if (what == 0) {
            model_key to = draw(rng, 0);

            OK(kv_iter_seek(it, to.data, to.len));
            for (at = low; at < high && by_key(&keys[at], &to) < 0; at++)
                ;
            on = false;
            continue;
        }
        if (what <= 2) {
            at += on;
            on = at < high;
            cr_assert_eq(kv_iter_next(it, &e), on ? KV_OK : KV_ENOTFOUND);
        } else {
            on = at > low;
            at -= on;
            cr_assert_eq(kv_iter_prev(it, &e), on ? KV_OK : KV_ENOTFOUND);
        }
        if (on)
            cr_assert(kvi_slice_eq(e.key, slice_of(&keys[at])));
    }
}

STORE_TEST(any_range_gives_what_lies_in_it)
{
    static model_key keys[KEYS_MAX], other[KEYS_MAX];
    kv_iter *it;
    kvt_rng rng;
    kv *space;
    size_t n;

    kvt_rng_init(&rng, kvt_env_u64("SEED", 1));
    OK(kv_space(t.db, "neighbour", NULL, &space));
    n = fill(t.db, &rng, keys);
    (void)fill(space, &rng, other);
    OK(kv_iter_open(t.db, NULL, &it));
    for (int round = 0; round < 300; round++) {
        model_key from = draw(&rng, 0), to = draw(&rng, 0), prefix = draw(&rng, 0);
        kv_range range = KV_RANGE_INIT;
        size_t low = 0, high;

        prefix.len = kvi_min_size(prefix.len, kvt_rng_below(&rng, 3));
        if (kvt_rng_below(&rng, 2))
            range.from = slice_of(&from);
        if (kvt_rng_below(&rng, 2))
            range.to = slice_of(&to);
        range.prefix = slice_of(&prefix);
        OK(kv_iter_renew(it, &range));
        while (low < n && !in_range(&keys[low], &range))
            low++;
        for (high = low; high < n && in_range(&keys[high], &range); high++)
            ;
        wander(it, &rng, keys, low, high);
    }
    kv_iter_close(it);
    OK(kv_close(space));
}
