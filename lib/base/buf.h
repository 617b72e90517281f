/*
 * A buf is owned bytes that grow. The owner calls init and deinit; what others get is a slice of
 * it, good until the next call that may grow it.
 *
 * 1. data holds cap bytes, of which the first len are in use; cap 0 means data is NULL.
 * 2. A failed append leaves the content as it was.
 */
#ifndef KVI_BASE_BUF_H
#define KVI_BASE_BUF_H

#include "base/mem.h"
#include "base/slice.h"

typedef struct kvi_buf {
    const kvi_mem *mem; /* borrowed, outlives the buf */
    uint8_t *data;
    size_t len, cap;
} kvi_buf;

void kvi_buf_init(kvi_buf *b, const kvi_mem *mem);
void kvi_buf_deinit(kvi_buf *b);

/** Room for extra more bytes: KV_OK or KV_ENOMEM. Grows by doubling. */
int kvi_buf_reserve(kvi_buf *b, size_t extra) KVI_NODISCARD;

/** data may not point into b; NULL where len is 0. */
int kvi_buf_append(kvi_buf *b, const void *data, size_t len) KVI_NODISCARD;

/** Replaces the content. data as of kvi_buf_append. */
int kvi_buf_set(kvi_buf *b, const void *data, size_t len) KVI_NODISCARD;

static inline void kvi_buf_clear(kvi_buf *b)
{
    b->len = 0;
}

static inline kvi_slice kvi_buf_slice(const kvi_buf *b)
{
    return kvi_slice_of(b->data, b->len);
}

#endif
