/*
 * The allocator seam: all heap memory of a store comes through a kvi_mem, which is the host's
 * kv_allocator or the C library's. Passed in, never global. Every function may be called from any
 * thread.
 *
 * Nobody else in the library calls malloc, calloc, realloc or free.
 */
#ifndef KVI_BASE_MEM_H
#define KVI_BASE_MEM_H

#include "base/base.h"

/** Borrows the host's allocator, which outlives the store. Copy by value or point to it. */
typedef struct kvi_mem {
    kv_allocator host;
} kvi_mem;

/** The C library's allocator where host is NULL. */
void kvi_mem_init(kvi_mem *mem, const kv_allocator *host);

/** bytes > 0 of memory, not cleared, aligned for any type; NULL where there is none. The caller
 *  frees it by kvi_mem_free. */
void *kvi_mem_alloc(const kvi_mem *mem, size_t bytes) KVI_NODISCARD;

/** count * size bytes of zeros, at least one; NULL where there is none or the product overflows. */
void *kvi_mem_zalloc(const kvi_mem *mem, size_t count, size_t size) KVI_NODISCARD;

/** Grows or shrinks to bytes > 0; on NULL the old block is as it was. old NULL: as
 *  kvi_mem_alloc. */
void *kvi_mem_resize(const kvi_mem *mem, void *old, size_t bytes) KVI_NODISCARD;

/** NULL is allowed. */
void kvi_mem_free(const kvi_mem *mem, void *ptr);

/** An allocated copy of len bytes (at least one byte is allocated); NULL where there is no
 *  memory. */
void *kvi_mem_dup(const kvi_mem *mem, const void *data, size_t len) KVI_NODISCARD;

/** Memory from here is aligned to a cache line, for structs with KVI_CACHE_LINE members. Zeroed.
 *  Freed by kvi_mem_free_aligned. */
void *kvi_mem_zalloc_aligned(const kvi_mem *mem, size_t bytes) KVI_NODISCARD;
void kvi_mem_free_aligned(const kvi_mem *mem, void *ptr);

#endif
