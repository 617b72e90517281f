/*
 * The allocator seam.
 */
#include "base/mem.h"

#include <criterion/criterion.h>

#include <signal.h>
#include <stdlib.h>
#include <string.h>

/* A host's allocator that counts blocks and fails on demand. */
typedef struct counting {
    int live, calls;
    bool fail;
} counting;

static void *count_alloc(void *user, size_t bytes)
{
    counting *c = user;
    void *ptr;

    c->calls++;
    ptr = c->fail ? NULL : malloc(bytes);
    if (ptr) {
        memset(ptr, 0xa5, bytes); /* what is not cleared shows */
        c->live++;
    }
    return ptr;
}

static void *count_resize(void *user, void *old, size_t bytes)
{
    counting *c = user;

    if (!old)
        return count_alloc(user, bytes);
    c->calls++;
    return c->fail ? NULL : realloc(old, bytes);
}

static void count_free(void *user, void *old)
{
    counting *c = user;

    if (old)
        c->live--;
    free(old);
}

static void counting_init(counting *c, kvi_mem *mem)
{
    kv_allocator host = KV_ALLOCATOR_INIT;

    *c = (counting){0};
    host.alloc = count_alloc;
    host.resize = count_resize;
    host.free = count_free;
    host.user = c;
    kvi_mem_init(mem, &host);
}

static bool all_zero(const void *data, size_t len)
{
    const uint8_t *p = data;

    for (size_t i = 0; i < len; i++)
        if (p[i])
            return false;
    return true;
}

Test(base_mem, c_library_is_the_default)
{
    kvi_mem mem;
    char *p;

    kvi_mem_init(&mem, NULL);
    p = kvi_mem_alloc(&mem, 10);
    cr_assert_not_null(p);
    memcpy(p, "012345678", 10);
    p = kvi_mem_resize(&mem, p, 10000);
    cr_assert_not_null(p);
    cr_assert_str_eq(p, "012345678");
    kvi_mem_free(&mem, p);
    kvi_mem_free(&mem, NULL);
}

Test(base_mem, everything_goes_through_the_host)
{
    counting c;
    kvi_mem mem;
    void *a, *b, *d, *e;

    counting_init(&c, &mem);
    a = kvi_mem_alloc(&mem, 1);
    b = kvi_mem_zalloc(&mem, 3, 100);
    d = kvi_mem_dup(&mem, "abc", 3);
    e = kvi_mem_zalloc_aligned(&mem, 200);
    cr_assert_eq(c.live, 4);
    cr_assert(all_zero(b, 300));
    cr_assert_arr_eq(d, "abc", 3);
    cr_assert(all_zero(e, 200));
    a = kvi_mem_resize(&mem, a, 50);
    cr_assert_eq(c.calls, 5);
    kvi_mem_free(&mem, a);
    kvi_mem_free(&mem, b);
    kvi_mem_free(&mem, d);
    kvi_mem_free_aligned(&mem, e);
    kvi_mem_free_aligned(&mem, NULL);
    cr_assert_eq(c.live, 0);
}

Test(base_mem, failure_is_null)
{
    counting c;
    kvi_mem mem;
    char *old;

    counting_init(&c, &mem);
    old = kvi_mem_dup(&mem, "keep", 5);
    c.fail = true;
    cr_assert_null(kvi_mem_alloc(&mem, 1));
    cr_assert_null(kvi_mem_zalloc(&mem, 1, 1));
    cr_assert_null(kvi_mem_dup(&mem, "x", 1));
    cr_assert_null(kvi_mem_zalloc_aligned(&mem, 64));
    cr_assert_null(kvi_mem_resize(&mem, old, 100));
    cr_assert_str_eq(old, "keep", "the old block is as it was");
    kvi_mem_free(&mem, old);
    cr_assert_eq(c.live, 0);
}

Test(base_mem, a_product_that_overflows_is_null_and_not_asked_for)
{
    counting c;
    kvi_mem mem;

    counting_init(&c, &mem);
    cr_assert_null(kvi_mem_zalloc(&mem, SIZE_MAX / 2 + 1, 2));
    cr_assert_null(kvi_mem_zalloc(&mem, SIZE_MAX, SIZE_MAX));
    cr_assert_null(kvi_mem_zalloc_aligned(&mem, SIZE_MAX - 8));
    cr_assert_eq(c.calls, 0);
}

Test(base_mem, nothing_is_still_a_block)
{
    counting c;
    kvi_mem mem;
    void *a, *b;

    counting_init(&c, &mem);
    a = kvi_mem_dup(&mem, NULL, 0);
    b = kvi_mem_zalloc(&mem, 0, 8);
    cr_assert_not_null(a);
    cr_assert_not_null(b);
    kvi_mem_free(&mem, a);
    kvi_mem_free(&mem, b);
}

Test(base_mem, aligned_is_aligned_and_writable_to_the_end)
{
    void *blocks[100];
    kvi_mem mem;

    kvi_mem_init(&mem, NULL);
    for (size_t i = 0; i < 100; i++) {
        blocks[i] = kvi_mem_zalloc_aligned(&mem, i + 1);
        cr_assert_not_null(blocks[i]);
        cr_assert_eq((uintptr_t)blocks[i] % KVI_CACHE_LINE, 0);
        memset(blocks[i], 0xff, i + 1);
    }
    for (size_t i = 0; i < 100; i++)
        kvi_mem_free_aligned(&mem, blocks[i]);
}

Test(base_mem, asking_for_nothing_is_a_bug, .signal = SIGABRT)
{
    kvi_mem mem;

    kvi_mem_init(&mem, NULL);
    kvi_mem_free(&mem, kvi_mem_alloc(&mem, 0));
}
