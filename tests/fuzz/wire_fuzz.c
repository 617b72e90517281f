/*
 * Fuzzes the reading of envelopes, of the messages in them, and of envelopes in fragments.
 *
 *   input = count u8, messages: put behind a right header; and, as it stands, a whole envelope
 *
 * No crash, no read outside, no error but KV_ECORRUPT or KV_EFORMAT; what is taken says the same
 * thing in the same bytes when it is encoded again; lists can be walked.
 */
#include <stdlib.h>
#include <string.h>

#include "base/bytes.h"
#include "base/check.h"
#include "base/error.h"
#include "wire/fragment.h"

#define GATHER_MAX 65536u

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void walk_items(const kvi_wire_message *m)
{
    kvi_wire_items_iter it;
    uint32_t seen = 0;

    if (m->kind == KVI_WIRE_FORWARD) {
        kvi_wire_op op;

        kvi_wire_items_begin(&it, m->u.forward.items);
        for (; kvi_wire_ops_next(&it, &op); seen++)
            KVI_ASSERT(op.key.len > 0);
        KVI_ASSERT(seen == m->u.forward.items.count);
    } else if (m->kind == KVI_WIRE_APPLY) {
        kvi_wire_object object;

        kvi_wire_items_begin(&it, m->u.apply.items);
        for (; kvi_wire_objects_next(&it, &object); seen++)
            KVI_ASSERT(object.key.len > 0 && object.object.len > 0);
        KVI_ASSERT(seen == m->u.apply.items.count);
    } else if (m->kind == KVI_WIRE_SCAN_ANSWER) {
        kvi_wire_entry entry;

        kvi_wire_items_begin(&it, m->u.scan_answer.items);
        for (; kvi_wire_entries_next(&it, &entry); seen++)
            KVI_ASSERT(entry.key.len > 0 && entry.object.len > 0);
        KVI_ASSERT(seen == m->u.scan_answer.items.count);
    }
}

/* Before the reader's place is the message, in its one form. */
static void same_again(const kvi_mem *mem, const kvi_wire_message *m, const kvi_wire_reader *r)
{
    kvi_wire_header header = {{0}, 0, 0, 0, 0};
    size_t len = kvi_wire_message_len(m);
    kvi_buf b;
    int err;

    kvi_buf_init(&b, mem);
    err = kvi_wire_begin(&b, &header);
    if (!err)
        err = kvi_wire_add(&b, m);
    KVI_ASSERT(err == KV_OK && len > 0 && b.len == KVI_WIRE_HEADER_LEN + len);
    KVI_ASSERT(memcmp(b.data + KVI_WIRE_HEADER_LEN, r->p - len, len) == 0);
    kvi_buf_deinit(&b);
}

/* gather NULL: fragments are not followed. */
static void walk(const kvi_mem *mem, kvi_slice envelope, kvi_wire_gather *gather)
{
    kvi_wire_header header;
    kvi_wire_reader r;
    kvi_wire_message m;
    kvi_buf whole;
    int err = kvi_wire_open(envelope, &header, &r);

    KVI_ASSERT(err == KV_OK || err == KV_ECORRUPT || err == KV_EFORMAT);
    if (err)
        return;
    kvi_buf_init(&whole, mem);
    while (!(err = kvi_wire_next(&r, &m))) {
        same_again(mem, &m, &r);
        walk_items(&m);
        if (!gather || m.kind != KVI_WIRE_FRAGMENT)
            continue;
        if (kvi_wire_gather_add(gather, &m.u.fragment, 0, &whole) == KV_OK) {
            KVI_ASSERT(whole.len == m.u.fragment.total_len);
            walk(mem, kvi_buf_slice(&whole), NULL);
        }
        KVI_ASSERT(gather->held <= GATHER_MAX);
    }
    KVI_ASSERT(err == KV_ENOTFOUND || err == KV_ECORRUPT);
    KVI_ASSERT(kvi_wire_next(&r, &m) == err);
    kvi_buf_deinit(&whole);
}

/* An envelope of the input's messages, in memory without a byte to spare; NULL: none was there. */
static uint8_t *enclose(const kvi_mem *mem, const uint8_t *data, size_t size, size_t *len)
{
    kvi_wire_header header = {{1}, 2, 3, 4, 5};
    uint8_t *exact = NULL;
    kvi_buf b;

    kvi_buf_init(&b, mem);
    if (kvi_wire_begin(&b, &header) == KV_OK && kvi_buf_append(&b, data + 1, size - 1) == KV_OK) {
        kvi_put_u32(b.data + KVI_WIRE_AT_COUNT, data[0]);
        kvi_wire_finish(&b);
        exact = malloc(b.len);
        *len = b.len;
    }
    if (exact)
        memcpy(exact, b.data, b.len);
    kvi_buf_deinit(&b);
    return exact;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    kvi_wire_gather_limits limits = {GATHER_MAX, KVI_WIRE_GATHERING_MAX, 1};
    kvi_wire_gather gather;
    uint8_t *envelope;
    size_t len = 0;
    kvi_mem mem;

    kvi_mem_init(&mem, NULL);
    walk(&mem, kvi_slice_of(data, size), NULL);
    if (size == 0)
        return 0;
    envelope = enclose(&mem, data, size, &len);
    if (!envelope)
        return 0;
    kvi_wire_gather_init(&gather, &mem, &limits);
    walk(&mem, kvi_slice_of(envelope, len), &gather);
    kvi_wire_gather_deinit(&gather);
    free(envelope);
    return 0;
}
