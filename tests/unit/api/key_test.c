/*
 * Physical keys: prefixes of keyspaces (api/keyspace_format.h), keys and their successors
 * (api/key.h).
 */
#include "api/key.h"

#include "unit/api/fixture.h"

static const uint32_t ids[] = {0,        1,         2,         128,        238,       239,   240,
                               241,      254,       255,       256,        257,       65535, 65536,
                               0xffffff, 0x1000000, 0x1000001, 0xfffffffe, 0xffffffff};

static kvi_slice prefix_of(uint8_t *p, uint32_t id)
{
    return kvi_slice_of(p, kvi_keyspace_put_prefix(p, id));
}

Test(api_key, prefixes_are_what_the_format_says)
{
    uint8_t p[KVI_KEYSPACE_PREFIX_MAX];

    cr_assert(kvi_slice_eq(prefix_of(p, 0), kvi_slice_of("\x00", 1)));
    cr_assert(kvi_slice_eq(prefix_of(p, 239), kvi_slice_of("\xef", 1)));
    cr_assert(kvi_slice_eq(prefix_of(p, 240), kvi_slice_of("\xf0\xf0", 2)));
    cr_assert(kvi_slice_eq(prefix_of(p, 256), kvi_slice_of("\xf1\x01\x00", 3)));
    cr_assert(kvi_slice_eq(prefix_of(p, 65536), kvi_slice_of("\xf2\x01\x00\x00", 4)));
    cr_assert(kvi_slice_eq(prefix_of(p, UINT32_MAX), kvi_slice_of("\xf3\xff\xff\xff\xff", 5)));
}

Test(api_key, prefixes_are_ordered_and_none_begins_another)
{
    for (size_t i = 0; i + 1 < sizeof ids / sizeof ids[0]; i++) {
        uint8_t a[KVI_KEYSPACE_PREFIX_MAX], b[KVI_KEYSPACE_PREFIX_MAX];
        kvi_slice low = prefix_of(a, ids[i]), high = prefix_of(b, ids[i + 1]);

        cr_assert_lt(kvi_slice_cmp(low, high), 0, "%u and %u", ids[i], ids[i + 1]);
        cr_assert_not(kvi_slice_has_prefix(high, low), "%u and %u", ids[i], ids[i + 1]);
    }
}

/** A handle of keyspace id on nothing but memory. */
static kv handle_of(kvi_api_store *s, const kvi_mem *mem, uint32_t id)
{
    kv db = {.store = s, .space = id};

    memset(s, 0, sizeof *s);
    s->env.mem = mem;
    db.prefix_len = (uint8_t)kvi_keyspace_put_prefix(db.prefix, id);
    return db;
}

Test(api_key, a_keyspace_ends_where_the_next_one_begins_or_before)
{
    kvi_api_store s;
    kvi_mem mem;

    kvi_mem_init(&mem, NULL);
    for (size_t i = 0; i + 1 < sizeof ids / sizeof ids[0]; i++) {
        uint8_t p[KVI_KEYSPACE_PREFIX_MAX];
        kv db = handle_of(&s, &mem, ids[i]);
        kvi_api_key end, last;

        OK(kvi_api_key_init(&end, &db, kvi_slice_of(NULL, 0)));
        OK(kvi_api_key_init(&last, &db, kvi_slice_of("\xff\xff\xff", 3)));
        kvi_api_key_to_successor(&end);
        cr_assert_lt(kvi_slice_cmp(kvi_api_key_slice(&last), kvi_api_key_slice(&end)), 0);
        cr_assert_leq(kvi_slice_cmp(kvi_api_key_slice(&end), prefix_of(p, ids[i + 1])), 0);
        kvi_api_key_deinit(&last, &db);
        kvi_api_key_deinit(&end, &db);
    }
}

Test(api_key, long_keys_are_allocated_and_short_ones_are_not)
{
    static const uint8_t bytes[KVI_API_KEY_SHORT + 1] = {1, 2, 3};
    kvi_api_store s;
    kvi_mem mem;
    kv db;
    kvi_api_key k;

    kvi_mem_init(&mem, NULL);
    db = handle_of(&s, &mem, 1);
    for (size_t len = 0; len <= sizeof bytes; len++) {
        OK(kvi_api_key_init(&k, &db, kvi_slice_of(bytes, len)));
        cr_assert_eq(k.len, len + 1);
        cr_assert_eq(k.data[0], 1);
        cr_assert_arr_eq(k.data + 1, bytes, len);
        if (len <= KVI_API_KEY_SHORT)
            cr_assert(k.data == k.on_stack);
        kvi_api_key_deinit(&k, &db);
    }
}

Test(api_key, a_successor_drops_what_cannot_grow)
{
    kvi_api_store s;
    kvi_mem mem;
    kv db;
    kvi_api_key k;

    kvi_mem_init(&mem, NULL);
    db = handle_of(&s, &mem, 1);
    OK(kvi_api_key_init(&k, &db, kvi_slice_of("a\xff\xff", 3)));
    kvi_api_key_to_successor(&k);
    cr_assert(kvi_slice_eq(kvi_api_key_slice(&k), kvi_slice_of("\x01"
                                                               "b",
                                                               2)));
    OK(kvi_api_key_init(&k, &db, kvi_slice_of("\xff", 1)));
    kvi_api_key_to_successor(&k);
    cr_assert(kvi_slice_eq(kvi_api_key_slice(&k), kvi_slice_of("\x02", 1)));
}
