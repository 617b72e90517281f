/*
 * Contexts as clients hold them: opaque bytes that say what a get had seen, bound to the space and
 * key and to the cluster, so that a damaged or misplaced one is refused instead of replacing what
 * its owner never saw.
 *
 *   context = version u8, clock (object_format.h), two hashes u64 little-endian
 *
 * Each hash is XXH3-64 over all before it, seeded by the XXH3-64 of what it is bound to, seeded by
 * one half of the cluster's secret. That keeps out accidents and clients that do not know the
 * secret; it is not a cryptographic MAC. The context of a last-write-wins object carries its one
 * dot.
 *
 * Pure but for memory. Used by the coordinator.
 */
#ifndef KVI_VCLOCK_CONTEXT_H
#define KVI_VCLOCK_CONTEXT_H

#include "base/bytes.h"
#include "vclock/clock.h"

#define KVI_CONTEXT_VERSION 1u
#define KVI_CONTEXT_MAC_LEN 16u

/* No context is longer. */
#define KVI_CONTEXT_LEN_MAX                                                                      \
    (1u + KVI_VARINT32_MAX + KVI_CLOCK_ACTORS_MAX * (8u + KVI_VARINT64_MAX + KVI_VARINT64_MAX) + \
     KVI_CONTEXT_MAC_LEN)

/** Appends the context that says seen, bound to the physical key. KV_ENOMEM, out as it was. */
int kvi_context_seal(const kvi_clock *seen, const uint64_t secret[2], kvi_slice key, kvi_buf *out)
    KVI_NODISCARD;

/** seen becomes what context says. KV_EINVAL: it is damaged, of another key or of another cluster;
 *  the detail says it. KV_ENOMEM. On failure seen is as it was. */
int kvi_context_open(kvi_slice context, const uint64_t secret[2], kvi_slice key, kvi_clock *seen)
    KVI_NODISCARD;

#endif
