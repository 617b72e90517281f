/*
 * A walk over one page of physical keys, as a scan gives it (effects.h). What does not fit its own
 * lengths is a bug of the port, and asserts. For lib/replication, but for kvi_page_entries, which a
 * coordinator reads its own replica with.
 */
#ifndef KVI_REPLICATION_PAGE_H
#define KVI_REPLICATION_PAGE_H

#include "base/buf.h"
#include "base/bytes.h"
#include "base/check.h"

typedef struct kvi_page {
    const uint8_t *p, *end;
    uint32_t left;
    kvi_slice last; /* the key that was given last */
} kvi_page;

static inline void kvi_page_begin(kvi_page *page, const kvi_buf *entries, uint32_t count)
{
    page->p = entries->data;
    page->end = entries->len > 0 ? entries->data + entries->len : entries->data;
    page->left = count;
    page->last = kvi_slice_of(NULL, 0);
}

static inline kvi_slice kvi_page_take(kvi_page *page)
{
    uint64_t len = 0;
    kvi_slice s;

    page->p = kvi_get_varint64(page->p, page->end, &len);
    KVI_ASSERT(page->p && len <= (uint64_t)(page->end - page->p));
    s = kvi_slice_of(page->p, (size_t)len);
    page->p += len;
    return s;
}

/** The next entry; they borrow from the page. false: behind the last. */
static inline bool kvi_page_next(kvi_page *page, kvi_slice *key, kvi_slice *value)
{
    if (page->left == 0) {
        KVI_ASSERT(page->p == page->end);
        return false;
    }
    page->left--;
    *key = page->last = kvi_page_take(page);
    *value = kvi_page_take(page);
    return true;
}

/** *from becomes where the next page begins, behind the last entry; as it was, where there was
 *  none. KV_ENOMEM. */
static inline int kvi_page_resume(const kvi_page *page, kvi_buf *from)
{
    int err;

    if (page->last.len == 0)
        return KV_OK;
    err = kvi_buf_reserve(from, page->last.len + 1);
    if (err)
        return err;
    kvi_buf_clear(from);
    memcpy(from->data, page->last.data, page->last.len);
    from->data[page->last.len] = 0;
    from->len = page->last.len + 1;
    return KV_OK;
}

/** Appends the objects of a page of this space's data to items, as kvi_wire_entry (answer.c).
 *  KV_ECORRUPT: something on it is none. KV_ENOMEM. */
int kvi_page_entries(const kvi_buf *entries, uint32_t count, uint32_t space, kvi_buf *items)
    KVI_NODISCARD;

#endif
