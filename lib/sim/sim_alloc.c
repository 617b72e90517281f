/*
 * An allocator that counts and fails; see the header for the contract.
 *
 * In front of each block stands a head: its size and a guard that is derived from it.
 */
#include "sim/sim_alloc.h"

#include <stdalign.h>
#include <string.h>

#include "base/check.h"
#include "base/hash.h"

#define JUNK 0xa5

typedef struct head {
    alignas(max_align_t) uint64_t guard;
    size_t bytes;
} head;

static uint64_t guard_of(size_t bytes)
{
    return kvi_mix64((uint64_t)bytes ^ UINT64_C(0x6b76736d616c6c63));
}

static bool fails(kvi_sim_alloc *a)
{
    size_t call = atomic_fetch_add_explicit(&a->calls, 1, memory_order_relaxed);

    if (call != a->fail_at && !(a->fail_from_then_on && call > a->fail_at))
        return false;
    atomic_fetch_add_explicit(&a->failed, 1, memory_order_relaxed);
    return true;
}

static void *take(kvi_sim_alloc *a, size_t bytes)
{
    head *h;

    if (fails(a) || bytes > SIZE_MAX - sizeof *h)
        return NULL;
    h = kvi_mem_alloc(a->mem, sizeof *h + bytes);
    if (!h)
        return NULL;
    h->guard = guard_of(bytes);
    h->bytes = bytes;
    memset(h + 1, JUNK, bytes);
    atomic_fetch_add_explicit(&a->blocks, 1, memory_order_relaxed);
    atomic_fetch_add_explicit(&a->bytes, bytes, memory_order_relaxed);
    return h + 1;
}

static head *head_of(void *block)
{
    head *h = (head *)block - 1;

    KVI_ASSERT(h->guard == guard_of(h->bytes));
    return h;
}

static void give(kvi_sim_alloc *a, void *block)
{
    head *h = head_of(block);
    size_t blocks = atomic_fetch_sub_explicit(&a->blocks, 1, memory_order_relaxed);
    size_t bytes = atomic_fetch_sub_explicit(&a->bytes, h->bytes, memory_order_relaxed);

    KVI_ASSERT(blocks > 0 && bytes >= h->bytes);
    h->guard = 0;
    kvi_mem_free(a->mem, h);
}

static void *host_alloc(void *user, size_t bytes)
{
    return take(user, bytes);
}

static void *host_resize(void *user, void *old, size_t bytes)
{
    void *block = take(user, bytes);

    if (!block || !old)
        return block;
    memcpy(block, old, kvi_min_size(bytes, head_of(old)->bytes));
    give(user, old);
    return block;
}

static void host_free(void *user, void *old)
{
    if (old)
        give(user, old);
}

void kvi_sim_alloc_init(kvi_sim_alloc *a, const kvi_mem *mem)
{
    static const kv_allocator none = KV_ALLOCATOR_INIT;

    a->host = none;
    a->host.alloc = host_alloc;
    a->host.resize = host_resize;
    a->host.free = host_free;
    a->host.user = a;
    a->mem = mem;
    atomic_init(&a->calls, 0);
    atomic_init(&a->failed, 0);
    atomic_init(&a->blocks, 0);
    atomic_init(&a->bytes, 0);
    a->fail_at = KVI_SIM_ALLOC_NEVER;
    a->fail_from_then_on = false;
}

void kvi_sim_alloc_reset(kvi_sim_alloc *a, size_t fail_at, bool from_then_on)
{
    a->fail_at = fail_at;
    a->fail_from_then_on = from_then_on;
    atomic_store_explicit(&a->calls, 0, memory_order_relaxed);
    atomic_store_explicit(&a->failed, 0, memory_order_relaxed);
}
