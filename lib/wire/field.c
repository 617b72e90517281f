/*
 * Reading and writing fields; see the header for the contract.
 */
#include "wire/field.h"

#include "base/bytes.h"
#include "base/check.h"
#include "wire/wire_format.h"

void kvi_wire_writer_refuse(kvi_wire_writer *w, int err, const char *why)
{
    KVI_ASSERT(!w->p); /* counting finds every fault before the first byte is written */
    if (w->err)
        return;
    w->err = err;
    w->why = why;
}

void kvi_wire_put_u8(kvi_wire_writer *w, uint8_t v)
{
    w->len++;
    if (w->p)
        *w->p++ = v;
}

void kvi_wire_put_u64(kvi_wire_writer *w, uint64_t v)
{
    w->len += sizeof v;
    if (w->p) {
        kvi_put_u64(w->p, v);
        w->p += sizeof v;
    }
}

void kvi_wire_put_varint(kvi_wire_writer *w, uint64_t v)
{
    w->len += kvi_varint_len(v);
    if (w->p)
        w->p = kvi_put_varint(w->p, v);
}

void kvi_wire_put_err(kvi_wire_writer *w, int32_t err)
{
    if (err > 0 || err == INT32_MIN) {
        kvi_wire_writer_refuse(w, KV_EINVAL, "its result is no error code");
        return;
    }
    kvi_wire_put_varint(w, (uint64_t)-err);
}

void kvi_wire_put_bytes(kvi_wire_writer *w, kvi_slice s, size_t max)
{
    if (s.len > max) {
        kvi_wire_writer_refuse(w, KV_ETOOBIG, "one of its fields is too long");
        return;
    }
    kvi_wire_put_varint(w, s.len);
    w->len += s.len;
    if (w->p && s.len > 0) {
        memcpy(w->p, s.data, s.len);
        w->p += s.len;
    }
}

void kvi_wire_put_detail(kvi_wire_writer *w, kvi_slice detail)
{
    detail.len = kvi_min_size(detail.len, KVI_WIRE_DETAIL_MAX);
    kvi_wire_put_bytes(w, detail, KVI_WIRE_DETAIL_MAX);
}

void kvi_wire_put_items(kvi_wire_writer *w, kvi_wire_items items)
{
    if (items.count > KVI_WIRE_ITEMS_MAX) {
        kvi_wire_writer_refuse(w, KV_ETOOBIG, "it has too many items");
        return;
    }
    kvi_wire_put_varint(w, items.count);
    kvi_wire_put_bytes(w, items.bytes, KVI_WIRE_ENVELOPE_MAX);
}

void kvi_wire_cursor_refuse(kvi_wire_cursor *c, const char *why)
{
    if (!c->why)
        c->why = why;
}

/* n bytes, or NULL where they are not there. */
static const uint8_t *take(kvi_wire_cursor *c, size_t n)
{
    const uint8_t *p = c->p;

    KVI_ASSERT(c->p <= c->end);
    if (c->why)
        return NULL;
    if (n > (size_t)(c->end - p)) {
        c->why = "it ends too early";
        return NULL;
    }
    c->p += n;
    return p;
}

uint8_t kvi_wire_get_u8(kvi_wire_cursor *c)
{
    const uint8_t *p = take(c, 1);

    return p ? *p : 0;
}

bool kvi_wire_get_bool(kvi_wire_cursor *c)
{
    uint8_t v = kvi_wire_get_u8(c);

    if (v > 1)
        kvi_wire_cursor_refuse(c, "a truth value is neither 0 nor 1");
    return v == 1;
}

uint64_t kvi_wire_get_u64(kvi_wire_cursor *c)
{
    const uint8_t *p = take(c, sizeof(uint64_t));

    return p ? kvi_get_u64(p) : 0;
}

/* A varint of at most max, in its shortest form: the last byte of a longer one is zero. */
static uint64_t get_varint(kvi_wire_cursor *c, uint64_t max)
{
    const uint8_t *p;
    uint64_t v;

    if (c->why)
        return 0;
    p = kvi_get_varint64(c->p, c->end, &v);
    if (!p || v > max || (p - c->p > 1 && p[-1] == 0)) {
        c->why = "a number is cut, too large or padded";
        return 0;
    }
    c->p = p;
    return v;
}

uint64_t kvi_wire_get_varint64(kvi_wire_cursor *c)
{
    return get_varint(c, UINT64_MAX);
}

uint32_t kvi_wire_get_varint32(kvi_wire_cursor *c)
{
    return (uint32_t)get_varint(c, UINT32_MAX);
}

uint16_t kvi_wire_get_varint16(kvi_wire_cursor *c)
{
    return (uint16_t)get_varint(c, UINT16_MAX);
}

int32_t kvi_wire_get_err(kvi_wire_cursor *c)
{
    return -(int32_t)get_varint(c, INT32_MAX);
}

kvi_slice kvi_wire_get_bytes(kvi_wire_cursor *c, size_t max)
{
    uint64_t len = get_varint(c, UINT64_MAX);
    const uint8_t *p;

    if (len > max) {
        kvi_wire_cursor_refuse(c, "one of its fields is too long");
        return kvi_slice_of(NULL, 0);
    }
    p = take(c, (size_t)len);
    return kvi_slice_of(p, p ? (size_t)len : 0);
}

kvi_wire_items kvi_wire_get_items(kvi_wire_cursor *c)
{
    kvi_wire_items items = {0, {NULL, 0}};

    items.count = (uint32_t)get_varint(c, KVI_WIRE_ITEMS_MAX);
    items.bytes = kvi_wire_get_bytes(c, KVI_WIRE_ENVELOPE_MAX);
    return items;
}

bool kvi_wire_cursor_finish(kvi_wire_cursor *c)
{
    if (c->p != c->end)
        kvi_wire_cursor_refuse(c, "bytes are left over behind it");
    return !c->why;
}
