/*
 * The only user of the C library's allocator; see the header for the contract.
 */
#include "base/mem.h"

#include <stdlib.h>
#include <string.h>

#include "base/check.h"

static void *libc_alloc(void *user, size_t bytes)
{
    (void)user;
    return malloc(bytes);
}

static void *libc_resize(void *user, void *old, size_t bytes)
{
    (void)user;
    return realloc(old, bytes);
}

static void libc_free(void *user, void *old)
{
    (void)user;
    free(old);
}

void kvi_mem_init(kvi_mem *mem, const kv_allocator *host)
{
    static const kv_allocator libc = {
        sizeof(kv_allocator), 0, libc_alloc, libc_resize, libc_free, NULL,
    };

    mem->host = host ? *host : libc;
    KVI_ASSERT(mem->host.alloc && mem->host.resize && mem->host.free);
}

void *kvi_mem_alloc(const kvi_mem *mem, size_t bytes)
{
    KVI_ASSERT(bytes > 0);
    return mem->host.alloc(mem->host.user, bytes);
}

void *kvi_mem_zalloc(const kvi_mem *mem, size_t count, size_t size)
{
    void *ptr;
    size_t bytes;

    if (size > 0 && count > SIZE_MAX / size)
        return NULL;
    bytes = kvi_max_size(count * size, 1);
    ptr = kvi_mem_alloc(mem, bytes);
    if (ptr)
        memset(ptr, 0, bytes);
    return ptr;
}

void *kvi_mem_resize(const kvi_mem *mem, void *old, size_t bytes)
{
    KVI_ASSERT(bytes > 0);
    return mem->host.resize(mem->host.user, old, bytes);
}

void kvi_mem_free(const kvi_mem *mem, void *ptr)
{
    if (ptr)
        mem->host.free(mem->host.user, ptr);
}

void *kvi_mem_dup(const kvi_mem *mem, const void *data, size_t len)
{
    void *copy = kvi_mem_alloc(mem, kvi_max_size(len, 1));

    if (copy && len > 0)
        memcpy(copy, data, len);
    return copy;
}

/* The host's block is larger by a line and a pointer: the aligned address lies within the first
 * line after the pointer, and the word before it holds the block's own address, for free. */
void *kvi_mem_zalloc_aligned(const kvi_mem *mem, size_t bytes)
{
    const size_t extra = KVI_CACHE_LINE - 1 + sizeof(void *);
    char *raw, *aligned;

    if (bytes > SIZE_MAX - extra)
        return NULL;
    raw = kvi_mem_alloc(mem, bytes + extra);
    if (!raw)
        return NULL;
    aligned = raw + sizeof(void *);
    aligned += (KVI_CACHE_LINE - (uintptr_t)aligned % KVI_CACHE_LINE) % KVI_CACHE_LINE;
    memcpy(aligned - sizeof raw, &raw, sizeof raw);
    memset(aligned, 0, bytes);
    return aligned;
}

void kvi_mem_free_aligned(const kvi_mem *mem, void *ptr)
{
    char *raw;

    if (!ptr)
        return;
    memcpy(&raw, (char *)ptr - sizeof raw, sizeof raw);
    kvi_mem_free(mem, raw);
}
