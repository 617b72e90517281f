/*
 * Owned bytes that grow.
 */
#include "base/buf.h"

#include <criterion/criterion.h>

#include <stdlib.h>

#include "base/error.h"
#include "support/rng.h"

/* Grants a number of allocations, then none. */
static void *few_alloc(void *user, size_t bytes)
{
    int *left = user;

    return (*left)-- > 0 ? malloc(bytes) : NULL;
}

static void *few_resize(void *user, void *old, size_t bytes)
{
    int *left = user;

    return (*left)-- > 0 ? realloc(old, bytes) : NULL;
}

static void few_free(void *user, void *old)
{
    (void)user;
    free(old);
}

static void few_init(kvi_mem *mem, int *left)
{
    kv_allocator host = KV_ALLOCATOR_INIT;

    host.alloc = few_alloc;
    host.resize = few_resize;
    host.free = few_free;
    host.user = left;
    kvi_mem_init(mem, &host);
}

Test(base_buf, begins_empty_and_ends_empty)
{
    kvi_mem mem;
    kvi_buf b;

    kvi_mem_init(&mem, NULL);
    kvi_buf_init(&b, &mem);
    cr_assert_null(b.data);
    cr_assert_eq(kvi_buf_slice(&b).len, 0);
    cr_assert_eq(kvi_buf_append(&b, NULL, 0), KV_OK);
    cr_assert_null(b.data, "nothing needs no memory");
    cr_assert_eq(kvi_buf_append(&b, "x", 1), KV_OK);
    kvi_buf_deinit(&b);
    cr_assert(!b.data && b.len == 0 && b.cap == 0);
    kvi_buf_deinit(&b);
}

Test(base_buf, append_keeps_what_was_there)
{
    char model[5000];
    size_t len = 0;
    kvt_rng rng;
    kvi_mem mem;
    kvi_buf b;

    kvi_mem_init(&mem, NULL);
    kvi_buf_init(&b, &mem);
    kvt_rng_init(&rng, 3);
    while (len < sizeof model) {
        size_t n = kvi_min_size((size_t)kvt_rng_below(&rng, 100), sizeof model - len);

        for (size_t i = 0; i < n; i++)
            model[len + i] = (char)kvt_rng_next(&rng);
        cr_assert_eq(kvi_buf_append(&b, model + len, n), KV_OK);
        len += n;
        cr_assert_eq(b.len, len);
        cr_assert(b.cap >= b.len);
        cr_assert_arr_eq(b.data, model, len);
    }
    kvi_buf_deinit(&b);
}

Test(base_buf, grows_by_doubling)
{
    int left = 12; /* 64, 128, ... 128 KiB */
    kvi_mem mem;
    kvi_buf b;

    few_init(&mem, &left);
    kvi_buf_init(&b, &mem);
    for (int i = 0; i < 128 * 1024; i++)
        cr_assert_eq(kvi_buf_append(&b, "x", 1), KV_OK, "byte %d", i);
    cr_assert_eq(left, 0);
    kvi_buf_deinit(&b);
}

Test(base_buf, reserve_makes_room_without_content)
{
    uint8_t *data;
    kvi_mem mem;
    kvi_buf b;

    kvi_mem_init(&mem, NULL);
    kvi_buf_init(&b, &mem);
    cr_assert_eq(kvi_buf_append(&b, "ab", 2), KV_OK);
    cr_assert_eq(kvi_buf_reserve(&b, 1000), KV_OK);
    cr_assert(b.cap >= 1002 && b.len == 2);
    data = b.data;
    for (int i = 0; i < 1000; i++)
        cr_assert_eq(kvi_buf_append(&b, "c", 1), KV_OK);
    cr_assert(b.data == data, "does not move");
    kvi_buf_deinit(&b);
}

Test(base_buf, set_replaces_and_clear_keeps_the_room)
{
    size_t cap;
    kvi_mem mem;
    kvi_buf b;

    kvi_mem_init(&mem, NULL);
    kvi_buf_init(&b, &mem);
    cr_assert_eq(kvi_buf_set(&b, "first content", 13), KV_OK);
    cap = b.cap;
    cr_assert_eq(kvi_buf_set(&b, "next", 4), KV_OK);
    cr_assert(kvi_slice_eq(kvi_buf_slice(&b), kvi_slice_of("next", 4)));
    cr_assert_eq(b.cap, cap);
    kvi_buf_clear(&b);
    cr_assert(b.len == 0 && b.cap == cap);
    kvi_buf_deinit(&b);
}

Test(base_buf, failure_leaves_the_content)
{
    char big[1000] = {0};
    int left = 1;
    kvi_mem mem;
    kvi_buf b;

    few_init(&mem, &left);
    kvi_buf_init(&b, &mem);
    cr_assert_eq(kvi_buf_append(&b, "keep", 4), KV_OK);
    kvi_error_clear();
    cr_assert_eq(kvi_buf_append(&b, big, sizeof big), KV_ENOMEM);
    cr_assert(kvi_error_detail()[0] != '\0');
    cr_assert_eq(kvi_buf_set(&b, big, sizeof big), KV_ENOMEM);
    cr_assert(kvi_slice_eq(kvi_buf_slice(&b), kvi_slice_of("keep", 4)));
    cr_assert_eq(kvi_buf_reserve(&b, SIZE_MAX), KV_ENOMEM, "overflow");
    cr_assert_eq(kvi_buf_reserve(&b, SIZE_MAX - 4), KV_ENOMEM);
    cr_assert_eq(kvi_buf_append(&b, "!", 1), KV_OK, "what fits in still goes");
    cr_assert(kvi_slice_eq(kvi_buf_slice(&b), kvi_slice_of("keep!", 5)));
    kvi_buf_deinit(&b);
}
