/*
 * The figures that this floor counts: cheap enough for every call.
 *
 * 1. Spread over cache lines, so that threads rarely write to the same one; which is a thread's own
 *    follows from where its thread-local memory lies. A figure is the sum of its parts, read
 *    without stopping anyone.
 * 2. Counting orders nothing.
 *
 * Any thread.
 */
#ifndef KVI_API_COUNTERS_H
#define KVI_API_COUNTERS_H

#include <stdatomic.h>

#include "base/error.h"
#include "base/hash.h"

#define KVI_API_SHARDS 16u

enum kvi_api_counter {
    KVI_API_GETS_FOUND,
    KVI_API_GETS_MISSED, /* nothing there */
    KVI_API_PUTS,
    KVI_API_DELETES,
    KVI_API_BATCHES,
    KVI_API_USER_BYTES,
    KVI_API_STALLS,
    KVI_API_STALL_NS,
    KVI_API_COUNTERS
};

typedef struct kvi_api_shard {
    _Alignas(KVI_CACHE_LINE) _Atomic uint64_t value[KVI_API_COUNTERS];
} kvi_api_shard;

typedef struct kvi_api_counters {
    kvi_api_shard shards[KVI_API_SHARDS];
} kvi_api_counters;

static inline void kvi_api_count(kvi_api_counters *c, enum kvi_api_counter what, uint64_t n)
{
    uint64_t self = (uint64_t)(uintptr_t)kvi_error_detail();
    kvi_api_shard *shard = &c->shards[kvi_mix64(self) % KVI_API_SHARDS];

    atomic_fetch_add_explicit(&shard->value[what], n, memory_order_relaxed);
}

static inline uint64_t kvi_api_counted(kvi_api_counters *c, enum kvi_api_counter what)
{
    uint64_t sum = 0;

    for (size_t i = 0; i < KVI_API_SHARDS; i++)
        sum += atomic_load_explicit(&c->shards[i].value[what], memory_order_relaxed);
    return sum;
}

#endif
