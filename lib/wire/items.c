/*
 * Lists inside messages; see the header for the contract. Each kind of item has one function that
 * writes and one that reads; the rest is theirs in common.
 */
#include "wire/items.h"

#include "base/check.h"
#include "base/error.h"
#include "wire/field.h"
#include "wire/wire_format.h"

typedef void item_encode(kvi_wire_writer *w, const void *item);
typedef void item_decode(kvi_wire_cursor *c, void *item);

/* What is wrong with them by themselves; NULL: nothing. */
static const char *op_wrong(const kvi_wire_op *op)
{
    if (op->op != KVI_WIRE_PUT && op->op != KVI_WIRE_DELETE)
        return "an op is neither a put nor a delete";
    if (op->key.len == 0)
        return "the key of an op is empty";
    if (op->op == KVI_WIRE_DELETE && (op->value.len > 0 || op->ttl_ms > 0))
        return "a delete has a value or a time to live";
    return NULL;
}

static const char *object_wrong(kvi_slice key, kvi_slice object)
{
    if (key.len == 0)
        return "the key of an object is empty";
    return object.len == 0 ? "an object is empty" : NULL;
}

static void op_encode(kvi_wire_writer *w, const void *item)
{
    const kvi_wire_op *op = item;

    kvi_wire_put_u8(w, op->op);
    kvi_wire_put_varint(w, op->space);
    kvi_wire_put_varint(w, op->ttl_ms);
    kvi_wire_put_bytes(w, op->key, KVI_WIRE_KEY_MAX);
    kvi_wire_put_bytes(w, op->value, KVI_WIRE_VALUE_MAX);
}

static void op_decode(kvi_wire_cursor *c, void *item)
{
    kvi_wire_op *op = item;

    op->op = kvi_wire_get_u8(c);
    op->space = kvi_wire_get_varint32(c);
    op->ttl_ms = kvi_wire_get_varint64(c);
    op->key = kvi_wire_get_bytes(c, KVI_WIRE_KEY_MAX);
    op->value = kvi_wire_get_bytes(c, KVI_WIRE_VALUE_MAX);
    kvi_wire_cursor_refuse(c, op_wrong(op));
}

static void object_encode(kvi_wire_writer *w, const void *item)
{
    const kvi_wire_object *object = item;

    kvi_wire_put_varint(w, object->space);
    kvi_wire_put_bytes(w, object->key, KVI_WIRE_KEY_MAX);
    kvi_wire_put_bytes(w, object->object, KVI_WIRE_ENVELOPE_MAX);
}

static void object_decode(kvi_wire_cursor *c, void *item)
{
    kvi_wire_object *object = item;

    object->space = kvi_wire_get_varint32(c);
    object->key = kvi_wire_get_bytes(c, KVI_WIRE_KEY_MAX);
    object->object = kvi_wire_get_bytes(c, KVI_WIRE_ENVELOPE_MAX);
    kvi_wire_cursor_refuse(c, object_wrong(object->key, object->object));
}

static void entry_encode(kvi_wire_writer *w, const void *item)
{
    const kvi_wire_entry *entry = item;

    kvi_wire_put_u64(w, entry->token);
    kvi_wire_put_bytes(w, entry->key, KVI_WIRE_KEY_MAX);
    kvi_wire_put_bytes(w, entry->object, KVI_WIRE_ENVELOPE_MAX);
}

static void entry_decode(kvi_wire_cursor *c, void *item)
{
    kvi_wire_entry *entry = item;

    entry->token = kvi_wire_get_u64(c);
    entry->key = kvi_wire_get_bytes(c, KVI_WIRE_KEY_MAX);
    entry->object = kvi_wire_get_bytes(c, KVI_WIRE_ENVELOPE_MAX);
    kvi_wire_cursor_refuse(c, object_wrong(entry->key, entry->object));
}

/* why: what is wrong with the item, or NULL. */
static int put(kvi_buf *b, item_encode *encode, const void *item, const char *why)
{
    kvi_wire_writer w = {NULL, 0, KV_OK, NULL};
    int err;

    if (why)
        kvi_wire_writer_refuse(&w, KV_EINVAL, why);
    encode(&w, item);
    if (w.err)
        return kvi_error_set(w.err, "an item of a message: %s", w.why);
    err = kvi_buf_reserve(b, w.len);
    if (err)
        return err;
    w.p = b->data + b->len;
    b->len += w.len;
    encode(&w, item);
    KVI_ASSERT(w.p == b->data + b->len);
    return KV_OK;
}

int kvi_wire_ops_put(kvi_buf *b, const kvi_wire_op *op)
{
    return put(b, op_encode, op, op_wrong(op));
}

int kvi_wire_objects_put(kvi_buf *b, const kvi_wire_object *object)
{
    return put(b, object_encode, object, object_wrong(object->key, object->object));
}

int kvi_wire_entries_put(kvi_buf *b, const kvi_wire_entry *entry)
{
    return put(b, entry_encode, entry, object_wrong(entry->key, entry->object));
}

void kvi_wire_items_begin(kvi_wire_items_iter *it, kvi_wire_items items)
{
    it->p = kvi_slice_bytes(items.bytes);
    it->end = items.bytes.len > 0 ? it->p + items.bytes.len : it->p;
    it->left = items.count;
}

static bool next(kvi_wire_items_iter *it, item_decode *decode, void *out)
{
    kvi_wire_cursor c = {it->p, it->end, NULL};

    if (it->left == 0)
        return false;
    decode(&c, out);
    KVI_ASSERT(!c.why);
    it->p = c.p;
    it->left--;
    return true;
}

bool kvi_wire_ops_next(kvi_wire_items_iter *it, kvi_wire_op *out)
{
    return next(it, op_decode, out);
}

bool kvi_wire_objects_next(kvi_wire_items_iter *it, kvi_wire_object *out)
{
    return next(it, object_decode, out);
}

bool kvi_wire_entries_next(kvi_wire_items_iter *it, kvi_wire_entry *out)
{
    return next(it, entry_decode, out);
}

/* The whole list as one message; item is room for one. */
static bool valid(kvi_wire_items items, item_decode *decode, void *item)
{
    kvi_wire_items_iter it;
    kvi_wire_cursor c;

    kvi_wire_items_begin(&it, items);
    c = (kvi_wire_cursor){it.p, it.end, NULL};
    for (uint32_t i = 0; i < items.count && !c.why; i++)
        decode(&c, item);
    return kvi_wire_cursor_finish(&c);
}

bool kvi_wire_ops_valid(kvi_wire_items items)
{
    kvi_wire_op op;

    return valid(items, op_decode, &op);
}

bool kvi_wire_objects_valid(kvi_wire_items items)
{
    kvi_wire_object object;

    return valid(items, object_decode, &object);
}

bool kvi_wire_entries_valid(kvi_wire_items items)
{
    kvi_wire_entry entry;

    return valid(items, entry_decode, &entry);
}
