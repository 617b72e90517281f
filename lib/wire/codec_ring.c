/*
 * Codecs of what is said about the ring and its members; see codec.h.
 */
#include "wire/codec.h"

static void join_encode(kvi_wire_writer *w, const kvi_wire_message *m)
{
    const kvi_wire_join *join = &m->u.join;

    kvi_wire_put_u64(w, join->node_id);
    kvi_wire_put_varint(w, join->weight);
    kvi_wire_put_bytes(w, join->zone, KVI_WIRE_NAME_MAX);
    kvi_wire_put_bytes(w, join->address, KVI_WIRE_ADDRESS_MAX);
}

static void join_decode(kvi_wire_cursor *c, kvi_wire_message *m)
{
    kvi_wire_join *join = &m->u.join;

    join->node_id = kvi_wire_get_u64(c);
    join->weight = kvi_wire_get_varint16(c);
    join->zone = kvi_wire_get_bytes(c, KVI_WIRE_NAME_MAX);
    join->address = kvi_wire_get_bytes(c, KVI_WIRE_ADDRESS_MAX);
}

static void join_answer_encode(kvi_wire_writer *w, const kvi_wire_message *m)
{
    const kvi_wire_join_answer *answer = &m->u.join_answer;

    kvi_wire_put_err(w, answer->err);
    kvi_wire_put_detail(w, answer->detail);
    kvi_wire_put_bytes(w, answer->document, KVI_WIRE_DOCUMENT_MAX);
}

static void join_answer_decode(kvi_wire_cursor *c, kvi_wire_message *m)
{
    kvi_wire_join_answer *answer = &m->u.join_answer;

    answer->err = kvi_wire_get_err(c);
    answer->detail = kvi_wire_get_bytes(c, KVI_WIRE_DETAIL_MAX);
    answer->document = kvi_wire_get_bytes(c, KVI_WIRE_DOCUMENT_MAX);
}

static void ring_ask_encode(kvi_wire_writer *w, const kvi_wire_message *m)
{
    kvi_wire_put_varint(w, m->u.ring_ask.epoch_have);
}

static void ring_ask_decode(kvi_wire_cursor *c, kvi_wire_message *m)
{
    m->u.ring_ask.epoch_have = kvi_wire_get_varint64(c);
}

static void ring_encode(kvi_wire_writer *w, const kvi_wire_message *m)
{
    kvi_wire_put_bytes(w, m->u.ring.document, KVI_WIRE_DOCUMENT_MAX);
}

static void ring_decode(kvi_wire_cursor *c, kvi_wire_message *m)
{
    m->u.ring.document = kvi_wire_get_bytes(c, KVI_WIRE_DOCUMENT_MAX);
}

static void change_encode(kvi_wire_writer *w, const kvi_wire_message *m)
{
    const kvi_wire_change *change = &m->u.change;

    kvi_wire_put_varint(w, change->id);
    kvi_wire_put_u8(w, change->what);
    kvi_wire_put_bytes(w, change->name, KVI_WIRE_NAME_MAX);
    kvi_wire_put_u8(w, change->policy.n);
    kvi_wire_put_u8(w, change->policy.r);
    kvi_wire_put_u8(w, change->policy.w);
    kvi_wire_put_u8(w, change->policy.mode);
    kvi_wire_put_u8(w, change->policy.conflict);
    kvi_wire_put_varint(w, change->policy.ttl_ms);
}

static void change_decode(kvi_wire_cursor *c, kvi_wire_message *m)
{
    kvi_wire_change *change = &m->u.change;

    change->id = kvi_wire_get_varint64(c);
    change->what = kvi_wire_get_u8(c);
    change->name = kvi_wire_get_bytes(c, KVI_WIRE_NAME_MAX);
    change->policy.n = kvi_wire_get_u8(c);
    change->policy.r = kvi_wire_get_u8(c);
    change->policy.w = kvi_wire_get_u8(c);
    change->policy.mode = kvi_wire_get_u8(c);
    change->policy.conflict = kvi_wire_get_u8(c);
    change->policy.ttl_ms = kvi_wire_get_varint64(c);
}

static const char *change_wrong(const kvi_wire_message *m)
{
    const kvi_wire_change *change = &m->u.change;
    const kvi_wire_policy *p = &change->policy;
    bool any_policy = p->n || p->r || p->w || p->mode || p->conflict || p->ttl_ms;

    if (change->what == KVI_WIRE_CHANGE_ADD_SPACE)
        return change->name.len == 0 ? "a space without a name" : NULL;
    if (change->what != KVI_WIRE_CHANGE_SERVE)
        return "a change of no kind";
    return change->name.len > 0 || any_policy ? "a change to SERVING names a space" : NULL;
}

static void change_answer_encode(kvi_wire_writer *w, const kvi_wire_message *m)
{
    const kvi_wire_change_answer *answer = &m->u.change_answer;

    kvi_wire_put_varint(w, answer->id);
    kvi_wire_put_err(w, answer->err);
    kvi_wire_put_detail(w, answer->detail);
    kvi_wire_put_bytes(w, answer->document, KVI_WIRE_DOCUMENT_MAX);
}

static void change_answer_decode(kvi_wire_cursor *c, kvi_wire_message *m)
{
    kvi_wire_change_answer *answer = &m->u.change_answer;

    answer->id = kvi_wire_get_varint64(c);
    answer->err = kvi_wire_get_err(c);
    answer->detail = kvi_wire_get_bytes(c, KVI_WIRE_DETAIL_MAX);
    answer->document = kvi_wire_get_bytes(c, KVI_WIRE_DOCUMENT_MAX);
}

static void gossip_encode(kvi_wire_writer *w, const kvi_wire_message *m)
{
    kvi_wire_put_bytes(w, m->u.gossip.body, KVI_WIRE_GOSSIP_MAX);
}

static void gossip_decode(kvi_wire_cursor *c, kvi_wire_message *m)
{
    m->u.gossip.body = kvi_wire_get_bytes(c, KVI_WIRE_GOSSIP_MAX);
}

const kvi_wire_codec kvi_wire_codec_join = {"JOIN", join_encode, join_decode, NULL};
const kvi_wire_codec kvi_wire_codec_join_answer = {"JOIN_ANSWER", join_answer_encode,
                                                   join_answer_decode, NULL};
const kvi_wire_codec kvi_wire_codec_ring_ask = {"RING_ASK", ring_ask_encode, ring_ask_decode, NULL};
const kvi_wire_codec kvi_wire_codec_ring = {"RING", ring_encode, ring_decode, NULL};
const kvi_wire_codec kvi_wire_codec_change = {"CHANGE", change_encode, change_decode, change_wrong};
const kvi_wire_codec kvi_wire_codec_change_answer = {"CHANGE_ANSWER", change_answer_encode,
                                                     change_answer_decode, NULL};
const kvi_wire_codec kvi_wire_codec_gossip = {"GOSSIP", gossip_encode, gossip_decode, NULL};
