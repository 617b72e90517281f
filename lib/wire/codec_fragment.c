/*
 * Codecs of fragments and their acknowledgements; see codec.h.
 */
#include "wire/codec.h"
#include "wire/fragment.h"

static void fragment_encode(kvi_wire_writer *w, const kvi_wire_message *m)
{
    const kvi_wire_fragment *fragment = &m->u.fragment;

    kvi_wire_put_varint(w, fragment->id);
    kvi_wire_put_varint(w, fragment->index);
    kvi_wire_put_varint(w, fragment->count);
    kvi_wire_put_varint(w, fragment->total_len);
    kvi_wire_put_bytes(w, fragment->bytes, KVI_WIRE_ENVELOPE_MAX);
}

static void fragment_decode(kvi_wire_cursor *c, kvi_wire_message *m)
{
    kvi_wire_fragment *fragment = &m->u.fragment;

    fragment->id = kvi_wire_get_varint64(c);
    fragment->index = kvi_wire_get_varint32(c);
    fragment->count = kvi_wire_get_varint32(c);
    fragment->total_len = kvi_wire_get_varint32(c);
    fragment->bytes = kvi_wire_get_bytes(c, KVI_WIRE_ENVELOPE_MAX);
}

static const char *fragment_wrong(const kvi_wire_message *m)
{
    const kvi_wire_fragment *f = &m->u.fragment;
    uint32_t at, len;

    if (!kvi_wire_fragment_place(f->index, f->count, f->total_len, &at, &len))
        return "its index, count and total length contradict each other";
    return f->bytes.len == len ? NULL : "it is longer or shorter than its place";
}

static void fragment_ack_encode(kvi_wire_writer *w, const kvi_wire_message *m)
{
    kvi_wire_put_varint(w, m->u.fragment_ack.id);
    kvi_wire_put_varint(w, m->u.fragment_ack.index);
}

static void fragment_ack_decode(kvi_wire_cursor *c, kvi_wire_message *m)
{
    m->u.fragment_ack.id = kvi_wire_get_varint64(c);
    m->u.fragment_ack.index = kvi_wire_get_varint32(c);
}

const kvi_wire_codec kvi_wire_codec_fragment = {"FRAGMENT", fragment_encode, fragment_decode,
                                                fragment_wrong};
const kvi_wire_codec kvi_wire_codec_fragment_ack = {"FRAGMENT_ACK", fragment_ack_encode,
                                                    fragment_ack_decode, NULL};
