/* See failmem.h. */
#include "support/failmem.h"

#include <stdlib.h>

static bool fails_now(kvt_failmem *f)
{
    size_t call = atomic_fetch_add(&f->calls, 1);
    size_t at = atomic_load(&f->fail_at);
    bool fails = call == at || (call > at && atomic_load(&f->keep_failing));

    if (fails)
        atomic_store(&f->failed, true);
    return fails;
}

static void *fail_alloc(void *user, size_t bytes)
{
    kvt_failmem *f = user;
    void *ptr = fails_now(f) ? NULL : malloc(bytes);

    if (ptr)
        atomic_fetch_add(&f->live, 1);
    return ptr;
}

static void *fail_resize(void *user, void *old, size_t bytes)
{
    kvt_failmem *f = user;
    void *ptr = fails_now(f) ? NULL : realloc(old, bytes);

    if (ptr && !old)
        atomic_fetch_add(&f->live, 1);
    return ptr;
}

static void fail_free(void *user, void *old)
{
    kvt_failmem *f = user;

    if (old)
        atomic_fetch_sub(&f->live, 1);
    free(old);
}

void kvt_failmem_init(kvt_failmem *f, kvi_mem *mem)
{
    kv_allocator host = KV_ALLOCATOR_INIT;

    atomic_init(&f->calls, 0);
    atomic_init(&f->live, 0);
    atomic_init(&f->failed, false);
    atomic_init(&f->fail_at, SIZE_MAX);
    atomic_init(&f->keep_failing, false);
    host.alloc = fail_alloc;
    host.resize = fail_resize;
    host.free = fail_free;
    host.user = f;
    kvi_mem_init(mem, &host);
}

void kvt_failmem_arm(kvt_failmem *f, size_t at, bool keep)
{
    atomic_store(&f->failed, false);
    atomic_store(&f->keep_failing, keep);
    atomic_store(&f->calls, 0);
    atomic_store(&f->fail_at, at);
}

bool kvt_failmem_disarm(kvt_failmem *f)
{
    atomic_store(&f->fail_at, SIZE_MAX);
    atomic_store(&f->calls, 0);
    return atomic_exchange(&f->failed, false);
}
