/*
 * Codecs of a client's write on its way to the coordinator, and of the answer; see codec.h.
 */
#include "wire/codec.h"

static void forward_encode(kvi_wire_writer *w, const kvi_wire_message *m)
{
    const kvi_wire_forward *forward = &m->u.forward;

    kvi_wire_put_varint(w, forward->seq);
    kvi_wire_put_u8(w, forward->op);
    kvi_wire_put_varint(w, forward->flags);
    kvi_wire_put_u8(w, forward->r);
    kvi_wire_put_u8(w, forward->w);
    kvi_wire_put_u8(w, forward->durability);
    kvi_wire_put_u8(w, forward->condition);
    kvi_wire_put_varint(w, forward->timeout_ns);
    kvi_wire_put_varint(w, forward->ttl_ms);
    kvi_wire_put_varint(w, forward->space);
    kvi_wire_put_bytes(w, forward->key, KVI_WIRE_KEY_MAX);
    kvi_wire_put_bytes(w, forward->value, KVI_WIRE_VALUE_MAX);
    kvi_wire_put_bytes(w, forward->context, KVI_WIRE_CONTEXT_MAX);
    kvi_wire_put_items(w, forward->items);
}

static void forward_decode(kvi_wire_cursor *c, kvi_wire_message *m)
{
    kvi_wire_forward *forward = &m->u.forward;

    forward->seq = kvi_wire_get_varint64(c);
    forward->op = kvi_wire_get_u8(c);
    forward->flags = kvi_wire_get_varint32(c);
    forward->r = kvi_wire_get_u8(c);
    forward->w = kvi_wire_get_u8(c);
    forward->durability = kvi_wire_get_u8(c);
    forward->condition = kvi_wire_get_u8(c);
    forward->timeout_ns = kvi_wire_get_varint64(c);
    forward->ttl_ms = kvi_wire_get_varint64(c);
    forward->space = kvi_wire_get_varint32(c);
    forward->key = kvi_wire_get_bytes(c, KVI_WIRE_KEY_MAX);
    forward->value = kvi_wire_get_bytes(c, KVI_WIRE_VALUE_MAX);
    forward->context = kvi_wire_get_bytes(c, KVI_WIRE_CONTEXT_MAX);
    forward->items = kvi_wire_get_items(c);
}

static const char *forward_wrong(const kvi_wire_message *m)
{
    const kvi_wire_forward *forward = &m->u.forward;
    bool items = forward->items.count > 0 || forward->items.bytes.len > 0;

    if (forward->op == KVI_WIRE_BATCH) {
        if (forward->key.len > 0 || forward->value.len > 0)
            return "a batch with a key or a value of its own";
        if (forward->items.count == 0)
            return "a batch of nothing";
        return kvi_wire_ops_valid(forward->items) ? NULL : "its ops are malformed";
    }
    if (forward->op != KVI_WIRE_PUT && forward->op != KVI_WIRE_DELETE)
        return "an op of no kind";
    if (forward->key.len == 0)
        return "its key is empty";
    if (forward->op == KVI_WIRE_DELETE && forward->value.len > 0)
        return "a delete with a value";
    return items ? "a single write with items" : NULL;
}

static void forward_answer_encode(kvi_wire_writer *w, const kvi_wire_message *m)
{
    const kvi_wire_forward_answer *answer = &m->u.forward_answer;

    kvi_wire_put_varint(w, answer->seq);
    kvi_wire_put_err(w, answer->err);
    kvi_wire_put_u8(w, answer->definitive);
    kvi_wire_put_u8(w, answer->acks);
    kvi_wire_put_u8(w, answer->primaries);
    kvi_wire_put_u8(w, answer->fallbacks);
    kvi_wire_put_u8(w, answer->durability);
    kvi_wire_put_bytes(w, answer->context, KVI_WIRE_CONTEXT_MAX);
    kvi_wire_put_bytes(w, answer->object, KVI_WIRE_ENVELOPE_MAX);
    kvi_wire_put_detail(w, answer->detail);
}

static void forward_answer_decode(kvi_wire_cursor *c, kvi_wire_message *m)
{
    kvi_wire_forward_answer *answer = &m->u.forward_answer;

    answer->seq = kvi_wire_get_varint64(c);
    answer->err = kvi_wire_get_err(c);
    answer->definitive = kvi_wire_get_bool(c);
    answer->acks = kvi_wire_get_u8(c);
    answer->primaries = kvi_wire_get_u8(c);
    answer->fallbacks = kvi_wire_get_u8(c);
    answer->durability = kvi_wire_get_u8(c);
    answer->context = kvi_wire_get_bytes(c, KVI_WIRE_CONTEXT_MAX);
    answer->object = kvi_wire_get_bytes(c, KVI_WIRE_ENVELOPE_MAX);
    answer->detail = kvi_wire_get_bytes(c, KVI_WIRE_DETAIL_MAX);
}

const kvi_wire_codec kvi_wire_codec_forward = {"FORWARD", forward_encode, forward_decode,
                                               forward_wrong};
const kvi_wire_codec kvi_wire_codec_forward_answer = {"FORWARD_ANSWER", forward_answer_encode,
                                                      forward_answer_decode, NULL};
