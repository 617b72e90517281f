/*
 * Fuzzes stored objects: decoding of any bytes, then merging and writing what was decoded.
 *
 *   input = length u16 little-endian, so many bytes of one object, the rest of another
 *
 * What is decoded has no other bytes. Merging is commutative and idempotent and says truly who had
 * something to give. A put takes a dot that neither object had seen, replaces what the other had
 * seen, and its result can be stored and read. A context comes back as it was sealed, and the bytes
 * of an object are none.
 */
#include <stdlib.h>
#include <string.h>

#include "base/bytes.h"
#include "base/check.h"
#include "vclock/context.h"
#include "vclock/object.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const uint64_t secret[2] = {1, 2};

static bool same(const kvi_object *o, kvi_slice encoded, const kvi_mem *mem)
{
    kvi_buf out;
    bool equal;

    kvi_buf_init(&out, mem);
    KVI_ASSERT(kvi_object_encode(o, &out) == KV_OK && out.len == kvi_object_bytes(o));
    equal = kvi_slice_eq(kvi_buf_slice(&out), encoded);
    kvi_buf_deinit(&out);
    return equal;
}

/* What o is can be stored and read. */
static void check_stored(const kvi_object *o, const kvi_mem *mem)
{
    kvi_object back;
    kvi_buf out;

    kvi_buf_init(&out, mem);
    kvi_object_init(&back, mem);
    KVI_ASSERT(kvi_object_encode(o, &out) == KV_OK);
    KVI_ASSERT(kvi_object_decode(&back, kvi_buf_slice(&out)) == KV_OK);
    KVI_ASSERT(back.count == o->count && same(&back, kvi_buf_slice(&out), mem));
    kvi_object_deinit(&back);
    kvi_buf_deinit(&out);
}

static void check_merge(const kvi_object *a, kvi_slice a_bytes, const kvi_object *b,
                        kvi_slice b_bytes)
{
    kvi_object ab, ba;
    unsigned bits, back_bits;
    kvi_buf out;
    int err;

    kvi_buf_init(&out, a->mem);
    kvi_object_init(&ab, a->mem);
    kvi_object_init(&ba, a->mem);
    KVI_ASSERT(kvi_object_merge(&ab, a, &bits) == KV_OK);
    KVI_ASSERT(kvi_object_merge(&ba, b, &bits) == KV_OK);
    err = kvi_object_merge(&ab, b, &bits);
    KVI_ASSERT(kvi_object_merge(&ba, a, &back_bits) == err);
    KVI_ASSERT(err == KV_OK || err == KV_ECORRUPT || err == KV_ETOOBIG);
    if (!err) {
        KVI_ASSERT(kvi_object_encode(&ba, &out) == KV_OK);
        KVI_ASSERT(same(&ab, kvi_buf_slice(&out), a->mem));
        KVI_ASSERT(same(&ab, a_bytes, a->mem) == !(bits & KVI_MERGE_GAINED));
        KVI_ASSERT(same(&ab, b_bytes, a->mem) == !(bits & KVI_MERGE_AHEAD));
        KVI_ASSERT(!!(back_bits & KVI_MERGE_GAINED) == !!(bits & KVI_MERGE_AHEAD));
        check_stored(&ab, a->mem);
        KVI_ASSERT(kvi_object_merge(&ab, b, &bits) == KV_OK && !(bits & KVI_MERGE_GAINED));
    } else {
        KVI_ASSERT(same(&ab, a_bytes, a->mem) && same(&ba, b_bytes, a->mem));
    }
    kvi_object_deinit(&ab);
    kvi_object_deinit(&ba);
    kvi_buf_deinit(&out);
}

static void check_put(kvi_object *a, const kvi_object *b)
{
    kvi_sibling s = {.flags = 0, .expires_ms = 5, .value = {"v", 1}};
    uint64_t births = 0, open_id = a->seen.count > 0 ? a->seen.entries[0].actor.open_id : 1;

    if (a->lww || b->lww)
        return;
    s.dot = kvi_object_mint(a, &b->seen, open_id, &births);
    if (kvi_object_put(a, &b->seen, &s) != KV_OK)
        return;
    KVI_ASSERT(kvi_object_find(a, &s.dot) && kvi_clock_covers(&a->seen, &s.dot));
    for (uint32_t i = 0; i < b->count; i++)
        KVI_ASSERT(!kvi_object_find(a, &b->siblings[i].dot));
    check_stored(a, a->mem);
}

static void check_context(const kvi_object *o, kvi_slice bytes)
{
    kvi_clock seen, back;
    kvi_buf sealed;

    kvi_buf_init(&sealed, o->mem);
    kvi_clock_init(&seen, o->mem);
    kvi_clock_init(&back, o->mem);
    KVI_ASSERT(kvi_object_context(o, &seen) == KV_OK);
    KVI_ASSERT(kvi_context_seal(&seen, secret, bytes, &sealed) == KV_OK);
    KVI_ASSERT(kvi_context_open(kvi_buf_slice(&sealed), secret, bytes, &back) == KV_OK);
    KVI_ASSERT(kvi_clock_compare(&seen, &back) == KVI_CLOCK_EQUAL);
    KVI_ASSERT(kvi_context_open(bytes, secret, bytes, &back) == KV_EINVAL);
    kvi_buf_deinit(&sealed);
    kvi_clock_deinit(&seen);
    kvi_clock_deinit(&back);
}

static void fuzz(kvi_slice a_bytes, kvi_slice b_bytes, const kvi_mem *mem)
{
    kvi_object a, b;
    int a_err, b_err;

    kvi_object_init(&a, mem);
    kvi_object_init(&b, mem);
    a_err = kvi_object_decode(&a, a_bytes);
    b_err = kvi_object_decode(&b, b_bytes);
    KVI_ASSERT(a_err == KV_OK || (a_err == KV_ECORRUPT && kvi_object_empty(&a)));
    KVI_ASSERT(b_err == KV_OK || (b_err == KV_ECORRUPT && kvi_object_empty(&b)));
    if (!a_err) {
        KVI_ASSERT(same(&a, a_bytes, mem));
        KVI_ASSERT(kvi_object_values(&a, INT64_MAX) <= kvi_object_values(&a, INT64_MIN));
        check_context(&a, a_bytes);
    }
    if (!a_err && !b_err) {
        check_merge(&a, a_bytes, &b, b_bytes);
        check_put(&a, &b);
    }
    kvi_object_deinit(&a);
    kvi_object_deinit(&b);
}

/* A copy without a byte to spare. */
static uint8_t *exact(const uint8_t *data, size_t len)
{
    uint8_t *copy = malloc(len + !len);

    if (copy && len > 0)
        memcpy(copy, data, len);
    return copy;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    uint8_t *a, *b;
    size_t a_len;
    kvi_mem mem;

    if (size < 2)
        return 0;
    a_len = kvi_min_size(kvi_get_u16(data), size - 2);
    a = exact(data + 2, a_len);
    b = exact(data + 2 + a_len, size - 2 - a_len);
    kvi_mem_init(&mem, NULL);
    if (a && b)
        fuzz(kvi_slice_of(a, a_len), kvi_slice_of(b, size - 2 - a_len), &mem);
    free(a);
    free(b);
    return 0;
}
