/*
 * How each kind of message is written, read and judged: a table by kind (codec.c), whose entries
 * stand in the file of their group.
 *
 * encode and decode name the same fields in the same order. wrong is asked before a message is
 * written and after it was read, about what the fields' own limits do not say; NULL: there is
 * nothing more to say.
 *
 * Used by envelope.c. Pure.
 */
#ifndef KVI_WIRE_CODEC_H
#define KVI_WIRE_CODEC_H

#include "wire/field.h"
#include "wire/message.h"

typedef struct kvi_wire_codec {
    const char *name;
    void (*encode)(kvi_wire_writer *w, const kvi_wire_message *m);
    void (*decode)(kvi_wire_cursor *c, kvi_wire_message *m);
    const char *(*wrong)(const kvi_wire_message *m);
} kvi_wire_codec;

/** NULL where kind is unknown. */
const kvi_wire_codec *kvi_wire_codec_of(unsigned kind);

/* codec_ring.c */
extern const kvi_wire_codec kvi_wire_codec_join, kvi_wire_codec_join_answer,
    kvi_wire_codec_ring_ask, kvi_wire_codec_ring, kvi_wire_codec_change,
    kvi_wire_codec_change_answer, kvi_wire_codec_gossip;
/* codec_request.c */
extern const kvi_wire_codec kvi_wire_codec_forward, kvi_wire_codec_forward_answer;
/* codec_replica.c */
extern const kvi_wire_codec kvi_wire_codec_apply, kvi_wire_codec_apply_ack, kvi_wire_codec_read,
    kvi_wire_codec_read_answer, kvi_wire_codec_scan, kvi_wire_codec_scan_answer;
/* codec_fragment.c */
extern const kvi_wire_codec kvi_wire_codec_fragment, kvi_wire_codec_fragment_ack;

#endif
