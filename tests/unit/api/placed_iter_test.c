/*
 * Walks of a placed store: in order within a part, in some order over everything.
 */
#include <stdlib.h>

#include "unit/api/placed_fixture.h"

#define PLACED_TEST(name) Test(api_placed_iter, name, .init = begin, .fini = end)

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

#define PART_TEST(name) Test(api_placed_iter, name, .init = begin_part, .fini = end)

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
