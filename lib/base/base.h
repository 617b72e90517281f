/*
 * What every file may rely on: attributes behind names, and the small arithmetic that C leaves out.
 * No state, no functions that can fail.
 */
#ifndef KVI_BASE_BASE_H
#define KVI_BASE_BASE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <kv.h>

#define KVI_NODISCARD         __attribute__((warn_unused_result))
#define KVI_PRINTF(fmt, args) __attribute__((format(printf, fmt, args)))
#define KVI_NORETURN          __attribute__((noreturn))
#define KVI_LIKELY(x)         __builtin_expect(!!(x), 1)
#define KVI_UNLIKELY(x)       __builtin_expect(!!(x), 0)
#define KVI_CACHE_LINE        64

/** The struct that holds this member. */
#define KVI_CONTAINER_OF(ptr, type, member) ((type *)(void *)((char *)(ptr)-offsetof(type, member)))

static inline size_t kvi_min_size(size_t a, size_t b)
{
    return a < b ? a : b;
}

static inline size_t kvi_max_size(size_t a, size_t b)
{
    return a > b ? a : b;
}

static inline uint64_t kvi_min_u64(uint64_t a, uint64_t b)
{
    return a < b ? a : b;
}

static inline uint64_t kvi_max_u64(uint64_t a, uint64_t b)
{
    return a > b ? a : b;
}

/** n rounded up to a multiple of align, a power of two. */
static inline uint64_t kvi_align_up(uint64_t n, uint64_t align)
{
    return (n + align - 1) & ~(align - 1);
}

#endif
