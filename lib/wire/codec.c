/*
 * The table of codecs; see the header.
 */
#include "wire/codec.h"

static const kvi_wire_codec *const codecs[KVI_WIRE_KINDS] = {
    [KVI_WIRE_JOIN] = &kvi_wire_codec_join,
    [KVI_WIRE_JOIN_ANSWER] = &kvi_wire_codec_join_answer,
    [KVI_WIRE_RING_ASK] = &kvi_wire_codec_ring_ask,
    [KVI_WIRE_RING] = &kvi_wire_codec_ring,
    [KVI_WIRE_CHANGE] = &kvi_wire_codec_change,
    [KVI_WIRE_CHANGE_ANSWER] = &kvi_wire_codec_change_answer,
    [KVI_WIRE_GOSSIP] = &kvi_wire_codec_gossip,
    [KVI_WIRE_FORWARD] = &kvi_wire_codec_forward,
    [KVI_WIRE_FORWARD_ANSWER] = &kvi_wire_codec_forward_answer,
    [KVI_WIRE_APPLY] = &kvi_wire_codec_apply,
    [KVI_WIRE_APPLY_ACK] = &kvi_wire_codec_apply_ack,
    [KVI_WIRE_READ] = &kvi_wire_codec_read,
    [KVI_WIRE_READ_ANSWER] = &kvi_wire_codec_read_answer,
    [KVI_WIRE_SCAN] = &kvi_wire_codec_scan,
    [KVI_WIRE_SCAN_ANSWER] = &kvi_wire_codec_scan_answer,
    [KVI_WIRE_FRAGMENT] = &kvi_wire_codec_fragment,
    [KVI_WIRE_FRAGMENT_ACK] = &kvi_wire_codec_fragment_ack,
};

const kvi_wire_codec *kvi_wire_codec_of(unsigned kind)
{
    return kind < KVI_WIRE_KINDS ? codecs[kind] : NULL;
}

const char *kvi_wire_kind_name(enum kvi_wire_kind kind)
{
    const kvi_wire_codec *codec = kvi_wire_codec_of((unsigned)kind);

    return codec ? codec->name : "?";
}
