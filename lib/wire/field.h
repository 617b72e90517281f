/*
 * Fields of messages, one after the other: a writer that first counts and then writes, a cursor
 * that never passes the end. Both keep their first fault; a writer's is found while counting, and a
 * cursor does nothing from then on: callers check once, at the end.
 *
 * 1. A writer with p NULL counts and checks; with p set it writes as many bytes as the same calls
 *    counted, for which there is room.
 * 2. After a fault each get answers zero or an empty slice.
 *
 * Used inside wire only. Pure.
 */
#ifndef KVI_WIRE_FIELD_H
#define KVI_WIRE_FIELD_H

#include "base/buf.h"
#include "wire/items.h"

/* ---- writing ----------------------------------------------------------------------------- */

typedef struct kvi_wire_writer {
    uint8_t *p; /* where the next byte goes; NULL: only count */
    size_t len; /* so far */
    int err;    /* the first fault: KV_ETOOBIG or KV_EINVAL */
    const char *why;
} kvi_wire_writer;

/** Keeps the first fault. */
void kvi_wire_writer_refuse(kvi_wire_writer *w, int err, const char *why);

void kvi_wire_put_u8(kvi_wire_writer *w, uint8_t v);
void kvi_wire_put_u64(kvi_wire_writer *w, uint64_t v);
void kvi_wire_put_varint(kvi_wire_writer *w, uint64_t v);
void kvi_wire_put_err(kvi_wire_writer *w, int32_t err);
void kvi_wire_put_bytes(kvi_wire_writer *w, kvi_slice s, size_t max);
/** A detail is for a person: better cut, at KVI_WIRE_DETAIL_MAX, than refused. */
void kvi_wire_put_detail(kvi_wire_writer *w, kvi_slice detail);

void kvi_wire_put_items(kvi_wire_writer *w, kvi_wire_items items);

/* ---- reading ----------------------------------------------------------------------------- */

typedef struct kvi_wire_cursor {
    const uint8_t *p, *end;
    const char *why; /* the first fault; NULL: none */
} kvi_wire_cursor;

/** Keeps the first fault; why NULL is none. */
void kvi_wire_cursor_refuse(kvi_wire_cursor *c, const char *why);

uint8_t kvi_wire_get_u8(kvi_wire_cursor *c);
bool kvi_wire_get_bool(kvi_wire_cursor *c);
uint64_t kvi_wire_get_u64(kvi_wire_cursor *c);
uint64_t kvi_wire_get_varint64(kvi_wire_cursor *c);
uint32_t kvi_wire_get_varint32(kvi_wire_cursor *c);
uint16_t kvi_wire_get_varint16(kvi_wire_cursor *c);
int32_t kvi_wire_get_err(kvi_wire_cursor *c);
kvi_slice kvi_wire_get_bytes(kvi_wire_cursor *c, size_t max);
kvi_wire_items kvi_wire_get_items(kvi_wire_cursor *c);

/** True where there was no fault; bytes that are left over are one. */
bool kvi_wire_cursor_finish(kvi_wire_cursor *c);

#endif
