/* lib/wire/items.c: lists that stay encoded. */
#include "wire/items.h"

#include <criterion/criterion.h>

#include "base/error.h"
#include "support/failmem.h"
#include "wire/wire_format.h"

#define OK(call) cr_assert_eq((call), KV_OK, "%s: %s", #call, kvi_error_detail())

static kvi_mem plain;

static void setup(void)
{
    kvi_mem_init(&plain, NULL);
}

static kvi_slice text(const char *s)
{
    return kvi_slice_of(s, strlen(s));
}

static kvi_wire_items items_of(const kvi_buf *b, uint32_t count)
{
    return (kvi_wire_items){count, kvi_buf_slice(b)};
}

Test(wire_items, ops_come_back, .init = setup)
{
    kvi_wire_op put = {KVI_WIRE_PUT, 16, KV_TTL_NONE, text("key"), text("value")};
    kvi_wire_op bare = {KVI_WIRE_PUT, 1, 0, text("k"), {NULL, 0}};
    kvi_wire_op del = {KVI_WIRE_DELETE, UINT32_MAX, 0, text("gone"), {NULL, 0}};
    kvi_wire_items_iter it;
    kvi_wire_op op;
    kvi_buf b;

    kvi_buf_init(&b, &plain);
    OK(kvi_wire_ops_put(&b, &put));
    OK(kvi_wire_ops_put(&b, &bare));
    OK(kvi_wire_ops_put(&b, &del));
    cr_assert(kvi_wire_ops_valid(items_of(&b, 3)));
    kvi_wire_items_begin(&it, items_of(&b, 3));
    cr_assert(kvi_wire_ops_next(&it, &op));
    cr_assert(op.op == KVI_WIRE_PUT && op.space == 16 && op.ttl_ms == KV_TTL_NONE);
    cr_assert(kvi_slice_eq(op.key, put.key) && kvi_slice_eq(op.value, put.value));
    cr_assert(kvi_wire_ops_next(&it, &op));
    cr_assert(op.op == KVI_WIRE_PUT && op.space == 1 && op.ttl_ms == 0 && op.value.len == 0);
    cr_assert(kvi_wire_ops_next(&it, &op));
    cr_assert(op.op == KVI_WIRE_DELETE && op.space == UINT32_MAX && kvi_slice_eq(op.key, del.key));
    cr_assert_not(kvi_wire_ops_next(&it, &op));
    cr_assert(kvi_slice_eq(op.key, del.key), "the end changes nothing");
    cr_assert_not(kvi_wire_ops_next(&it, &op));
    kvi_buf_deinit(&b);
}

Test(wire_items, objects_and_entries_come_back, .init = setup)
{
    kvi_wire_object object = {7, text("key"), text("object")}, o;
    kvi_wire_entry entry = {UINT64_MAX - 1, text("other"), text("thing")}, e;
    kvi_wire_items_iter it;
    kvi_buf b;

    kvi_buf_init(&b, &plain);
    OK(kvi_wire_objects_put(&b, &object));
    cr_assert(kvi_wire_objects_valid(items_of(&b, 1)));
    kvi_wire_items_begin(&it, items_of(&b, 1));
    cr_assert(kvi_wire_objects_next(&it, &o));
    cr_assert(o.space == 7 && kvi_slice_eq(o.key, object.key));
    cr_assert(kvi_slice_eq(o.object, object.object));
    cr_assert_not(kvi_wire_objects_next(&it, &o));

    kvi_buf_clear(&b);
    OK(kvi_wire_entries_put(&b, &entry));
    cr_assert(kvi_wire_entries_valid(items_of(&b, 1)));
    kvi_wire_items_begin(&it, items_of(&b, 1));
    cr_assert(kvi_wire_entries_next(&it, &e));
    cr_assert(e.token == UINT64_MAX - 1 && kvi_slice_eq(e.key, entry.key));
    cr_assert(kvi_slice_eq(e.object, entry.object));
    cr_assert_not(kvi_wire_entries_next(&it, &e));
    kvi_buf_deinit(&b);
}

Test(wire_items, an_empty_list_is_one)
{
    kvi_wire_items none = {0, {NULL, 0}};
    kvi_wire_items_iter it;
    kvi_wire_op op;

    kvi_wire_items_begin(&it, none);
    cr_assert_not(kvi_wire_ops_next(&it, &op));
    cr_assert(kvi_wire_ops_valid(none) && kvi_wire_objects_valid(none));
    cr_assert(kvi_wire_entries_valid(none));
}

Test(wire_items, what_no_reader_takes_is_not_written, .init = setup)
{
    static char long_key[KVI_WIRE_KEY_MAX + 1];
    kvi_slice none = {NULL, 0}, too_long = kvi_slice_of(long_key, sizeof long_key);
    const struct {
        kvi_wire_op op;
        int err;
    } ops[] = {
        {{0, 1, 0, text("k"), none}, KV_EINVAL},
        {{KVI_WIRE_BATCH, 1, 0, text("k"), none}, KV_EINVAL},
        {{KVI_WIRE_PUT, 1, 0, none, text("v")}, KV_EINVAL},
        {{KVI_WIRE_DELETE, 1, 0, text("k"), text("v")}, KV_EINVAL},
        {{KVI_WIRE_DELETE, 1, 5, text("k"), none}, KV_EINVAL},
        {{KVI_WIRE_PUT, 1, 0, too_long, none}, KV_ETOOBIG},
        {{KVI_WIRE_PUT, 1, 0, text("k"), {long_key, KVI_WIRE_VALUE_MAX + 1u}}, KV_ETOOBIG},
    };
    const kvi_wire_object no_key = {1, none, text("o")}, no_object = {1, text("k"), none};
    const kvi_wire_entry nothing = {1, text("k"), none};
    kvi_buf b;

    kvi_buf_init(&b, &plain);
    OK(kvi_buf_append(&b, "front", 5));
    for (size_t i = 0; i < sizeof ops / sizeof *ops; i++)
        cr_assert_eq(kvi_wire_ops_put(&b, &ops[i].op), ops[i].err, "op %zu", i);
    cr_assert_eq(kvi_wire_objects_put(&b, &no_key), KV_EINVAL);
    cr_assert_eq(kvi_wire_objects_put(&b, &no_object), KV_EINVAL);
    cr_assert_eq(kvi_wire_entries_put(&b, &nothing), KV_EINVAL);
    cr_assert(kvi_slice_eq(kvi_buf_slice(&b), text("front")));
    kvi_buf_deinit(&b);
}

Test(wire_items, no_byte_too_few_or_too_many, .init = setup)
{
    kvi_wire_op op = {KVI_WIRE_PUT, 300, 1000, text("some key"), text("some value")};
    kvi_buf b;

    kvi_buf_init(&b, &plain);
    for (int i = 0; i < 3; i++)
        OK(kvi_wire_ops_put(&b, &op));
    for (size_t len = 0; len < b.len; len++)
        cr_assert_not(kvi_wire_ops_valid((kvi_wire_items){3, {b.data, len}}), "%zu bytes", len);
    cr_assert_not(kvi_wire_ops_valid(items_of(&b, 2)));
    cr_assert_not(kvi_wire_ops_valid(items_of(&b, 4)));
    cr_assert_not(kvi_wire_ops_valid(items_of(&b, UINT32_MAX)));
    cr_assert_not(kvi_wire_entries_valid(items_of(&b, 3)));
    OK(kvi_buf_append(&b, "\x01", 1));
    cr_assert_not(kvi_wire_ops_valid(items_of(&b, 3)));
    kvi_buf_deinit(&b);
}

Test(wire_items, without_memory_nothing_changes)
{
    kvi_wire_object object = {7, text("key"), text("object")};
    kvt_failmem fm;
    kvi_mem mem;
    kvi_buf b;

    kvt_failmem_init(&fm, &mem);
    kvi_buf_init(&b, &mem);
    kvt_failmem_arm(&fm, 0, false);
    cr_assert_eq(kvi_wire_objects_put(&b, &object), KV_ENOMEM);
    cr_assert(kvt_failmem_disarm(&fm) && b.len == 0);
    OK(kvi_wire_objects_put(&b, &object));
    kvi_buf_deinit(&b);
    cr_assert_eq(kvt_failmem_live(&fm), 0);
}
