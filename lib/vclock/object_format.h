/*
 * The bytes of a stored object, format 1. Varints are LEB128, each as short as it can be; what is
 * longer is refused, so that equal objects have equal bytes.
 *
 *   object  = format u8, flags u8, then
 *     without LWW:  clock, sibling count varint, siblings in the order of their dots
 *     with LWW:     open-id u64 little-endian, birth varint, stamp varint, body
 *   clock   = entry count varint, then of each, sorted by actor, each actor once:
 *             open-id u64 little-endian, birth varint, counter varint, not 0
 *   sibling = actor varint (the index of its entry in the clock), counter varint (1 to that of the
 *             entry), body
 *   body    = flags u8, expires varint (ms since 1970; 0: never), written varint (ms since 1970,
 *             zigzag), value length varint, value
 *
 * A tombstone has no value and never expires. Other bits of flags are 0, and nothing follows the
 * last sibling. A higher format is KV_ECORRUPT to this library: formats of one store are fixed by
 * its own format.
 */
#ifndef KVI_VCLOCK_OBJECT_FORMAT_H
#define KVI_VCLOCK_OBJECT_FORMAT_H

#define KVI_OBJECT_FORMAT 1u

enum kvi_object_flag { KVI_OBJECT_LWW = 1u << 0 };

enum kvi_sibling_flag { KVI_SIBLING_TOMBSTONE = 1u << 0 };

/* The fewest bytes of a clock's entry (open-id, birth, counter) and of a sibling (actor, counter,
 * flags, expires, written, value length): what a count is held against before memory is taken. */
#define KVI_OBJECT_ENTRY_MIN   10u
#define KVI_OBJECT_SIBLING_MIN 6u

#endif
