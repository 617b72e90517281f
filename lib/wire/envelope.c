/*
 * Envelopes; see the header for the contract.
 */
#include "wire/envelope.h"

#include "base/bytes.h"
#include "base/check.h"
#include "base/error.h"
#include "base/hash.h"
#include "wire/codec.h"

/* The shortest message: a length of 1 and a kind. */
#define MESSAGE_LEN_MIN 2u

/* Of all behind the place where it stands. Magic and format before it are compared as they are. */
static uint64_t checksum(const uint8_t *envelope, size_t len)
{
    return kvi_hash64(envelope + KVI_WIRE_AT_UUID, len - KVI_WIRE_AT_UUID, 0);
}

/* ---- writing ----------------------------------------------------------------------------- */

int kvi_wire_begin(kvi_buf *b, const kvi_wire_header *header)
{
    size_t old = b->len;
    int err;

    b->len = 0;
    err = kvi_buf_reserve(b, KVI_WIRE_HEADER_LEN);
    if (err) {
        b->len = old;
        return err;
    }
    b->len = KVI_WIRE_HEADER_LEN;
    memset(b->data, 0, KVI_WIRE_HEADER_LEN);
    kvi_put_u32(b->data + KVI_WIRE_AT_MAGIC, KVI_WIRE_MAGIC);
    kvi_put_u32(b->data + KVI_WIRE_AT_FORMAT, KVI_WIRE_FORMAT);
    memcpy(b->data + KVI_WIRE_AT_UUID, header->uuid, KVI_WIRE_UUID_LEN);
    kvi_put_u64(b->data + KVI_WIRE_AT_FROM_NODE, header->from_node);
    kvi_put_u64(b->data + KVI_WIRE_AT_FROM_OPEN, header->from_open);
    kvi_put_u64(b->data + KVI_WIRE_AT_TO_OPEN, header->to_open);
    kvi_put_u64(b->data + KVI_WIRE_AT_EPOCH, header->epoch);
    return KV_OK;
}

/* Counts kind and body into w; the fault, if there is one, is in w. NULL: no such kind. */
static const kvi_wire_codec *measure(const kvi_wire_message *m, kvi_wire_writer *w)
{
    const kvi_wire_codec *codec = kvi_wire_codec_of((unsigned)m->kind);
    const char *why;

    if (!codec) {
        kvi_wire_writer_refuse(w, KV_EINVAL, "there is no such kind");
        return NULL;
    }
    kvi_wire_put_u8(w, (uint8_t)m->kind);
    codec->encode(w, m);
    why = !w->err && codec->wrong ? codec->wrong(m) : NULL;
    if (why)
        kvi_wire_writer_refuse(w, KV_EINVAL, why);
    if (w->len > KVI_WIRE_ENVELOPE_MAX - KVI_WIRE_HEADER_LEN - KVI_VARINT32_MAX)
        kvi_wire_writer_refuse(w, KV_ETOOBIG, "it is longer than an envelope may be");
    return codec;
}

size_t kvi_wire_message_len(const kvi_wire_message *message)
{
    kvi_wire_writer w = {NULL, 0, KV_OK, NULL};

    (void)measure(message, &w);
    return w.err ? 0 : kvi_varint_len(w.len) + w.len;
}

int kvi_wire_add(kvi_buf *b, const kvi_wire_message *message)
{
    kvi_wire_writer w = {NULL, 0, KV_OK, NULL};
    const kvi_wire_codec *codec = measure(message, &w);
    uint32_t count = kvi_wire_count(b);
    size_t body = w.len, total = kvi_varint_len(body) + body;
    int err;

    if (!codec || w.err)
        return kvi_error_set(w.err, "a message %s cannot be sent: %s",
                             kvi_wire_kind_name(message->kind), w.why);
    if (count == KVI_WIRE_MESSAGES_MAX || total > KVI_WIRE_ENVELOPE_MAX - b->len)
        return kvi_error_set(KV_ETOOBIG,
                             "an envelope of %u messages and %zu bytes has no room for %zu more",
                             count, b->len, total);
    err = kvi_buf_reserve(b, total);
    if (err)
        return err;
    w.p = kvi_put_varint(b->data + b->len, body);
    kvi_wire_put_u8(&w, (uint8_t)message->kind);
    codec->encode(&w, message);
    b->len += total;
    KVI_ASSERT(w.p == b->data + b->len);
    kvi_put_u32(b->data + KVI_WIRE_AT_COUNT, count + 1);
    return KV_OK;
}

uint32_t kvi_wire_count(const kvi_buf *b)
{
    KVI_ASSERT(b->len >= KVI_WIRE_HEADER_LEN);
    return kvi_get_u32(b->data + KVI_WIRE_AT_COUNT);
}

void kvi_wire_finish(kvi_buf *b)
{
    KVI_ASSERT(b->len >= KVI_WIRE_HEADER_LEN && b->len <= KVI_WIRE_ENVELOPE_MAX);
    kvi_put_u32(b->data + KVI_WIRE_AT_BODY_LEN, (uint32_t)(b->len - KVI_WIRE_HEADER_LEN));
    kvi_put_u64(b->data + KVI_WIRE_AT_CHECKSUM, checksum(b->data, b->len));
}

/* ---- reading ----------------------------------------------------------------------------- */

static int corrupt(const char *why)
{
    return kvi_error_set(KV_ECORRUPT, "a message from another node: %s", why);
}

/* Whether it is an envelope, and of our format. */
static int check_format(kvi_slice envelope)
{
    const uint8_t *p = kvi_slice_bytes(envelope);
    uint32_t format;

    if (envelope.len < KVI_WIRE_AT_CHECKSUM || kvi_get_u32(p + KVI_WIRE_AT_MAGIC) != KVI_WIRE_MAGIC)
        return corrupt("it is no message of libkv");
    format = kvi_get_u32(p + KVI_WIRE_AT_FORMAT);
    if (format != KVI_WIRE_FORMAT)
        return kvi_error_set(KV_EFORMAT, "a node sends messages of format %u; this one knows %u",
                             format, KVI_WIRE_FORMAT);
    return KV_OK;
}

int kvi_wire_open(kvi_slice envelope, kvi_wire_header *header, kvi_wire_reader *reader)
{
    const uint8_t *p = kvi_slice_bytes(envelope);
    int err = check_format(envelope);
    uint32_t body_len, count;

    if (err)
        return err;
    if (envelope.len < KVI_WIRE_HEADER_LEN || envelope.len > KVI_WIRE_ENVELOPE_MAX)
        return corrupt("it is shorter or longer than one can be");
    body_len = kvi_get_u32(p + KVI_WIRE_AT_BODY_LEN);
    count = kvi_get_u32(p + KVI_WIRE_AT_COUNT);
    if (body_len != envelope.len - KVI_WIRE_HEADER_LEN)
        return corrupt("it is not as long as it says");
    if (kvi_get_u64(p + KVI_WIRE_AT_CHECKSUM) != checksum(p, envelope.len))
        return corrupt("its checksum is wrong");
    if (count > KVI_WIRE_MESSAGES_MAX || count > body_len / MESSAGE_LEN_MIN)
        return corrupt("it counts more messages than it has room for");

    memcpy(header->uuid, p + KVI_WIRE_AT_UUID, KVI_WIRE_UUID_LEN);
    header->from_node = kvi_get_u64(p + KVI_WIRE_AT_FROM_NODE);
    header->from_open = kvi_get_u64(p + KVI_WIRE_AT_FROM_OPEN);
    header->to_open = kvi_get_u64(p + KVI_WIRE_AT_TO_OPEN);
    header->epoch = kvi_get_u64(p + KVI_WIRE_AT_EPOCH);
    reader->p = p + KVI_WIRE_HEADER_LEN;
    reader->end = p + envelope.len;
    reader->left = count;
    return KV_OK;
}

/* Ends the walk for good: a message is left, and no byte of it. */
static int spoil(kvi_wire_reader *r, const char *name, const char *why)
{
    r->p = r->end;
    r->left = 1;
    return kvi_error_set(KV_ECORRUPT, "a message %s from another node: %s", name, why);
}

static int decode(kvi_wire_reader *r, const kvi_wire_codec *codec, kvi_slice body,
                  kvi_wire_message *m)
{
    kvi_wire_cursor c = {kvi_slice_bytes(body), kvi_slice_bytes(body) + body.len, NULL};
    const char *why;

    codec->decode(&c, m);
    if (!kvi_wire_cursor_finish(&c))
        return spoil(r, codec->name, c.why);
    why = codec->wrong ? codec->wrong(m) : NULL;
    return why ? spoil(r, codec->name, why) : KV_OK;
}

int kvi_wire_next(kvi_wire_reader *reader, kvi_wire_message *out)
{
    while (reader->left > 0) {
        kvi_wire_cursor c = {reader->p, reader->end, NULL};
        kvi_slice body = kvi_wire_get_bytes(&c, KVI_WIRE_ENVELOPE_MAX);
        const kvi_wire_codec *codec;
        kvi_wire_message m;
        unsigned kind;
        int err;

        if (c.why || body.len == 0)
            return spoil(reader, "without a length", c.why ? c.why : "it has no kind");
        reader->p = c.p;
        reader->left--;
        kind = *kvi_slice_bytes(body);
        codec = kvi_wire_codec_of(kind);
        if (!codec)
            continue;
        memset(&m, 0, sizeof m);
        m.kind = (enum kvi_wire_kind)kind;
        err = decode(reader, codec, kvi_slice_of(kvi_slice_bytes(body) + 1, body.len - 1), &m);
        if (!err)
            *out = m;
        return err;
    }
    if (reader->p != reader->end)
        return spoil(reader, "behind the last", "bytes are left over");
    return KV_ENOTFOUND;
}
