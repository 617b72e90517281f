/*
 * Owned bytes that grow; see the header for the contract.
 */
#include "base/buf.h"

#include <string.h>

#include "base/check.h"
#include "base/error.h"

/* The first allocation, so that short contents do not grow byte by byte. */
#define BUF_CAP_MIN 64

void kvi_buf_init(kvi_buf *b, const kvi_mem *mem)
{
    b->mem = mem;
    b->data = NULL;
    b->len = b->cap = 0;
}

void kvi_buf_deinit(kvi_buf *b)
{
    kvi_mem_free(b->mem, b->data);
    b->data = NULL;
    b->len = b->cap = 0;
}

int kvi_buf_reserve(kvi_buf *b, size_t extra)
{
    size_t need, cap;
    uint8_t *data;

    KVI_ASSERT(b->len <= b->cap);
    if (extra <= b->cap - b->len)
        return KV_OK;
    if (extra > SIZE_MAX - b->len)
        return kvi_error_set(KV_ENOMEM, "a buffer of %zu bytes cannot grow by %zu", b->len, extra);
    need = b->len + extra;
    cap = b->cap <= SIZE_MAX / 2 ? kvi_max_size(b->cap * 2, BUF_CAP_MIN) : need;
    cap = kvi_max_size(cap, need);
    data = kvi_mem_resize(b->mem, b->data, cap);
    if (!data)
        return kvi_error_set(KV_ENOMEM, "cannot allocate %zu bytes", cap);
    b->data = data;
    b->cap = cap;
    return KV_OK;
}

int kvi_buf_append(kvi_buf *b, const void *data, size_t len)
{
    int err = kvi_buf_reserve(b, len);

    if (err)
        return err;
    if (len > 0)
        memcpy(b->data + b->len, data, len);
    b->len += len;
    return KV_OK;
}

int kvi_buf_set(kvi_buf *b, const void *data, size_t len)
{
    size_t old = b->len;
    int err;

    b->len = 0;
    err = kvi_buf_append(b, data, len);
    if (err)
        b->len = old;
    return err;
}
