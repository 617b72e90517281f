/*
 * Codecs of what a coordinator and the replicas say to each other; see codec.h.
 */
#include "wire/codec.h"

static void apply_encode(kvi_wire_writer *w, const kvi_wire_message *m)
{
    const kvi_wire_apply *apply = &m->u.apply;

    kvi_wire_put_varint(w, apply->id);
    kvi_wire_put_varint(w, apply->space);
    kvi_wire_put_u64(w, apply->token);
    kvi_wire_put_u8(w, apply->durability);
    kvi_wire_put_u8(w, apply->flags);
    kvi_wire_put_varint(w, apply->hint_for);
    kvi_wire_put_items(w, apply->items);
}

static void apply_decode(kvi_wire_cursor *c, kvi_wire_message *m)
{
    kvi_wire_apply *apply = &m->u.apply;

    apply->id = kvi_wire_get_varint64(c);
    apply->space = kvi_wire_get_varint32(c);
    apply->token = kvi_wire_get_u64(c);
    apply->durability = kvi_wire_get_u8(c);
    apply->flags = kvi_wire_get_u8(c);
    apply->hint_for = kvi_wire_get_varint64(c);
    apply->items = kvi_wire_get_items(c);
}

static const char *apply_wrong(const kvi_wire_message *m)
{
    const kvi_wire_apply *apply = &m->u.apply;

    if (apply->flags & ~(unsigned)(KVI_WIRE_APPLY_REPAIR | KVI_WIRE_APPLY_HANDOFF))
        return "unknown flags";
    if (apply->items.count == 0)
        return "nothing to apply";
    return kvi_wire_objects_valid(apply->items) ? NULL : "its objects are malformed";
}

static void apply_ack_encode(kvi_wire_writer *w, const kvi_wire_message *m)
{
    const kvi_wire_apply_ack *ack = &m->u.apply_ack;

    kvi_wire_put_varint(w, ack->id);
    kvi_wire_put_err(w, ack->err);
    kvi_wire_put_u8(w, ack->durability);
    kvi_wire_put_bytes(w, ack->newer, KVI_WIRE_ENVELOPE_MAX);
}

static void apply_ack_decode(kvi_wire_cursor *c, kvi_wire_message *m)
{
    kvi_wire_apply_ack *ack = &m->u.apply_ack;

    ack->id = kvi_wire_get_varint64(c);
    ack->err = kvi_wire_get_err(c);
    ack->durability = kvi_wire_get_u8(c);
    ack->newer = kvi_wire_get_bytes(c, KVI_WIRE_ENVELOPE_MAX);
}

static void read_encode(kvi_wire_writer *w, const kvi_wire_message *m)
{
    const kvi_wire_read *read = &m->u.read;

    kvi_wire_put_varint(w, read->id);
    kvi_wire_put_varint(w, read->space);
    kvi_wire_put_u64(w, read->token);
    kvi_wire_put_u8(w, read->flags);
    kvi_wire_put_bytes(w, read->key, KVI_WIRE_KEY_MAX);
}

static void read_decode(kvi_wire_cursor *c, kvi_wire_message *m)
{
    kvi_wire_read *read = &m->u.read;

    read->id = kvi_wire_get_varint64(c);
    read->space = kvi_wire_get_varint32(c);
    read->token = kvi_wire_get_u64(c);
    read->flags = kvi_wire_get_u8(c);
    read->key = kvi_wire_get_bytes(c, KVI_WIRE_KEY_MAX);
}

static const char *read_wrong(const kvi_wire_message *m)
{
    if (m->u.read.flags & ~(unsigned)KVI_WIRE_READ_DIGEST)
        return "unknown flags";
    return m->u.read.key.len == 0 ? "its key is empty" : NULL;
}

static void read_answer_encode(kvi_wire_writer *w, const kvi_wire_message *m)
{
    const kvi_wire_read_answer *answer = &m->u.read_answer;

    kvi_wire_put_varint(w, answer->id);
    kvi_wire_put_err(w, answer->err);
    kvi_wire_put_u8(w, answer->holds);
    kvi_wire_put_u64(w, answer->digest);
    kvi_wire_put_bytes(w, answer->object, KVI_WIRE_ENVELOPE_MAX);
}

static void read_answer_decode(kvi_wire_cursor *c, kvi_wire_message *m)
{
    kvi_wire_read_answer *answer = &m->u.read_answer;

    answer->id = kvi_wire_get_varint64(c);
    answer->err = kvi_wire_get_err(c);
    answer->holds = kvi_wire_get_u8(c);
    answer->digest = kvi_wire_get_u64(c);
    answer->object = kvi_wire_get_bytes(c, KVI_WIRE_ENVELOPE_MAX);
}

static const char *read_answer_wrong(const kvi_wire_message *m)
{
    const kvi_wire_read_answer *answer = &m->u.read_answer;

    if (answer->holds > KVI_WIRE_HOLDS_OBJECT)
        return "it holds nothing known";
    if (answer->err && answer->holds != KVI_WIRE_HOLDS_NONE)
        return "an error with an object or a digest";
    if ((answer->holds == KVI_WIRE_HOLDS_OBJECT) != (answer->object.len > 0))
        return "it does not have the object, or has one, against its word";
    if (answer->holds != KVI_WIRE_HOLDS_DIGEST && answer->digest != 0)
        return "it has a digest against its word";
    return NULL;
}

static void scan_encode(kvi_wire_writer *w, const kvi_wire_message *m)
{
    const kvi_wire_scan *scan = &m->u.scan;

    kvi_wire_put_varint(w, scan->id);
    kvi_wire_put_varint(w, scan->space);
    kvi_wire_put_u64(w, scan->token_from);
    kvi_wire_put_u64(w, scan->token_to);
    kvi_wire_put_bytes(w, scan->key_after, KVI_WIRE_KEY_MAX);
    kvi_wire_put_varint(w, scan->limit);
    kvi_wire_put_varint(w, scan->bytes);
}

static void scan_decode(kvi_wire_cursor *c, kvi_wire_message *m)
{
    kvi_wire_scan *scan = &m->u.scan;

    scan->id = kvi_wire_get_varint64(c);
    scan->space = kvi_wire_get_varint32(c);
    scan->token_from = kvi_wire_get_u64(c);
    scan->token_to = kvi_wire_get_u64(c);
    scan->key_after = kvi_wire_get_bytes(c, KVI_WIRE_KEY_MAX);
    scan->limit = kvi_wire_get_varint32(c);
    scan->bytes = kvi_wire_get_varint32(c);
}

static const char *scan_wrong(const kvi_wire_message *m)
{
    return m->u.scan.token_from > m->u.scan.token_to ? "its range ends before it begins" : NULL;
}

static void scan_answer_encode(kvi_wire_writer *w, const kvi_wire_message *m)
{
    const kvi_wire_scan_answer *answer = &m->u.scan_answer;

    kvi_wire_put_varint(w, answer->id);
    kvi_wire_put_err(w, answer->err);
    kvi_wire_put_u8(w, answer->more);
    kvi_wire_put_items(w, answer->items);
}

static void scan_answer_decode(kvi_wire_cursor *c, kvi_wire_message *m)
{
    kvi_wire_scan_answer *answer = &m->u.scan_answer;

    answer->id = kvi_wire_get_varint64(c);
    answer->err = kvi_wire_get_err(c);
    answer->more = kvi_wire_get_bool(c);
    answer->items = kvi_wire_get_items(c);
}

static const char *scan_answer_wrong(const kvi_wire_message *m)
{
    return kvi_wire_entries_valid(m->u.scan_answer.items) ? NULL : "its entries are malformed";
}

const kvi_wire_codec kvi_wire_codec_apply = {"APPLY", apply_encode, apply_decode, apply_wrong};
const kvi_wire_codec kvi_wire_codec_apply_ack = {"APPLY_ACK", apply_ack_encode, apply_ack_decode,
                                                 NULL};
const kvi_wire_codec kvi_wire_codec_read = {"READ", read_encode, read_decode, read_wrong};
const kvi_wire_codec kvi_wire_codec_read_answer = {"READ_ANSWER", read_answer_encode,
                                                   read_answer_decode, read_answer_wrong};
const kvi_wire_codec kvi_wire_codec_scan = {"SCAN", scan_encode, scan_decode, scan_wrong};
const kvi_wire_codec kvi_wire_codec_scan_answer = {"SCAN_ANSWER", scan_answer_encode,
                                                   scan_answer_decode, scan_answer_wrong};
