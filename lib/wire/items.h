/*
 * The lists inside messages: the writes of a forwarded batch (ops), the objects of an APPLY
 * (objects), the found objects of a SCAN_ANSWER (entries). They stay encoded: built by the put
 * functions into a buf of the caller's, walked without memory of its own.
 *
 *     kvi_wire_items_begin(&it, m.u.apply.items);
 *     while (kvi_wire_objects_next(&it, &object))
 *         …
 *
 * 1. Items that came out of kvi_wire_next() were checked there: a walk over them with the function
 *    of their message cannot fail. The same holds for what the put functions built. A walk over
 *    anything else is a bug, and asserts.
 * 2. Slices point into the items' bytes.
 *
 * Pure: any thread.
 */
#ifndef KVI_WIRE_ITEMS_H
#define KVI_WIRE_ITEMS_H

#include "base/buf.h"

/** count items, one behind the other. bytes is borrowed. */
typedef struct kvi_wire_items {
    uint32_t count;
    kvi_slice bytes;
} kvi_wire_items;

/** What an op does; of a whole FORWARD as well. */
enum kvi_wire_op_kind { KVI_WIRE_PUT = 1, KVI_WIRE_DELETE = 2, KVI_WIRE_BATCH = 3 };

/** One write of a batch. A delete has neither value nor ttl. */
typedef struct kvi_wire_op {
    uint8_t op; /* KVI_WIRE_PUT, KVI_WIRE_DELETE */
    uint32_t space;
    uint64_t ttl_ms; /* as kv_op.ttl_ms */
    kvi_slice key;   /* 1 to KVI_WIRE_KEY_MAX bytes, as every key here */
    kvi_slice value;
} kvi_wire_op;

typedef struct kvi_wire_object {
    uint32_t space;
    kvi_slice key;
    kvi_slice object; /* encoded, not empty */
} kvi_wire_object;

typedef struct kvi_wire_entry {
    uint64_t token;
    kvi_slice key;
    kvi_slice object; /* encoded, not empty */
} kvi_wire_entry;

/** Append one item; count is the caller's to keep. KV_ETOOBIG: a key or value over its limit;
 *  KV_EINVAL: an empty key or object, an op of no kind, a delete with a value or a ttl; KV_ENOMEM.
 *  b is then as it was. What key and value point to may not lie in b. */
int kvi_wire_ops_put(kvi_buf *b, const kvi_wire_op *op) KVI_NODISCARD;
int kvi_wire_objects_put(kvi_buf *b, const kvi_wire_object *object) KVI_NODISCARD;
int kvi_wire_entries_put(kvi_buf *b, const kvi_wire_entry *entry) KVI_NODISCARD;

/** A walk; the members are items.c's. */
typedef struct kvi_wire_items_iter {
    const uint8_t *p, *end;
    uint32_t left;
} kvi_wire_items_iter;

void kvi_wire_items_begin(kvi_wire_items_iter *it, kvi_wire_items items);

/** The next item; false behind the last, and out is as it was. */
bool kvi_wire_ops_next(kvi_wire_items_iter *it, kvi_wire_op *out);
bool kvi_wire_objects_next(kvi_wire_items_iter *it, kvi_wire_object *out);
bool kvi_wire_entries_next(kvi_wire_items_iter *it, kvi_wire_entry *out);

/** Whether items are what the walk of this name expects: no byte too few or too many. For bytes
 *  from elsewhere than kvi_wire_next(). */
bool kvi_wire_ops_valid(kvi_wire_items items);
bool kvi_wire_objects_valid(kvi_wire_items items);
bool kvi_wire_entries_valid(kvi_wire_items items);

#endif
