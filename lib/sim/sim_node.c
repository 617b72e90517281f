/*
 * A file's contents on the simulated disk; see the header for the contract.
 */
#include "sim/sim_node.h"

#include <string.h>

#include "base/check.h"
#include "base/error.h"

#define SLOTS_MIN     8
#define OP_BYTES_KEPT (64u << 10) /* a larger buffer of ops is given up when they are forgotten */

static int no_memory(void)
{
    return kvi_error_set(KV_ENOMEM, "no memory for the simulated disk");
}

/* The part of [offset, offset + len) that lies in one page. */
typedef struct piece {
    size_t slot, at, len;
} piece;

static piece piece_of(uint64_t offset, size_t len)
{
    piece p;

    p.slot = (size_t)(offset / KVI_SIM_PAGE);
    p.at = (size_t)(offset % KVI_SIM_PAGE);
    p.len = kvi_min_size(len, KVI_SIM_PAGE - p.at);
    return p;
}

static size_t pages_of(uint64_t bytes)
{
    return (size_t)((bytes + KVI_SIM_PAGE - 1) / KVI_SIM_PAGE);
}

/* --- life ---------------------------------------------------------------------------------- */

int kvi_sim_node_new(const kvi_mem *mem, kvi_sim_node **out)
{
    kvi_sim_node *n = kvi_mem_zalloc(mem, 1, sizeof *n);

    if (!n)
        return no_memory();
    kvi_list_init(&n->link);
    n->mem = mem;
    n->refs = 1;
    kvi_buf_init(&n->op_bytes, mem);
    *out = n;
    return KV_OK;
}

kvi_sim_node *kvi_sim_node_ref(kvi_sim_node *n)
{
    KVI_ASSERT(n->refs > 0);
    n->refs++;
    return n;
}

void kvi_sim_node_unref(kvi_sim_node *n)
{
    if (!n)
        return;
    KVI_ASSERT(n->refs > 0);
    if (--n->refs > 0)
        return;
    KVI_ASSERT(n->opens == 0 && !n->map);
    for (size_t i = 0; i < n->count; i++) {
        kvi_sim_page_replace(&n->slots[i].cur, NULL, n->mem);
        kvi_sim_page_replace(&n->slots[i].disk, NULL, n->mem);
    }
    kvi_list_remove(&n->link);
    kvi_buf_deinit(&n->op_bytes);
    kvi_mem_free(n->mem, n->ops);
    kvi_mem_free(n->mem, n->slots);
    kvi_mem_free(n->mem, n);
}

int kvi_sim_node_reserve(kvi_sim_node *n, uint64_t bytes)
{
    size_t need, cap = n->cap;
    kvi_sim_slot *slots;

    if (bytes > KVI_SIM_FILE_MAX)
        return kvi_error_set(KV_ENOSPC, "a simulated file holds at most %u bytes",
                             (unsigned)KVI_SIM_FILE_MAX);
    need = pages_of(bytes);
    if (need <= n->count)
        return KV_OK;
    if (need > cap) {
        cap = kvi_max_size(need, kvi_max_size(SLOTS_MIN, cap * 2));
        slots = kvi_mem_resize(n->mem, n->slots, cap * sizeof *slots);
        if (!slots)
            return no_memory();
        n->slots = slots;
        n->cap = cap;
    }
    memset(n->slots + n->count, 0, (need - n->count) * sizeof *n->slots);
    n->count = need;
    return KV_OK;
}

/* --- ops since the last sync --------------------------------------------------------------- */

static void forget_ops(kvi_sim_node *n)
{
    n->op_count = 0;
    kvi_buf_clear(&n->op_bytes);
    if (n->op_bytes.cap > OP_BYTES_KEPT) {
        kvi_buf_deinit(&n->op_bytes);
        kvi_buf_init(&n->op_bytes, n->mem);
    }
}

void kvi_sim_node_mark_clean(kvi_sim_node *n)
{
    for (size_t i = 0; i < n->count; i++)
        n->slots[i].dirty = false;
    n->size_dirty = false;
    n->loose = false;
    forget_ops(n);
}

static int note_op(kvi_sim_node *n, uint64_t offset, const void *data, size_t len)
{
    kvi_sim_op *op;
    int err;

    if (n->op_count == KVI_SIM_OPS_MAX || len > KVI_SIM_OPS_BYTES_MAX - n->op_bytes.len)
        return KV_ENOSPC;
    if (n->op_count == n->op_cap) {
        size_t cap = n->op_cap ? n->op_cap * 2 : SLOTS_MIN;
        kvi_sim_op *ops = kvi_mem_resize(n->mem, n->ops, cap * sizeof *ops);

        if (!ops)
            return KV_ENOMEM;
        n->ops = ops;
        n->op_cap = cap;
    }
    op = &n->ops[n->op_count];
    op->offset = offset;
    op->len = len;
    op->at = n->op_bytes.len;
    err = kvi_buf_append(&n->op_bytes, data, len);
    if (err == KV_OK)
        n->op_count++;
    return err;
}

/* --- reading and writing ------------------------------------------------------------------- */

void kvi_sim_node_read(const kvi_sim_node *n, uint64_t offset, void *buf, size_t len)
{
    uint8_t *to = buf;

    KVI_ASSERT(offset <= n->cur_size && len <= n->cur_size - offset);
    while (len > 0) {
        piece p = piece_of(offset, len);
        const kvi_sim_page *page = n->slots[p.slot].cur;

        if (page)
            memcpy(to, page->bytes + p.at, p.len);
        else
            memset(to, 0, p.len);
        to += p.len;
        offset += p.len;
        len -= p.len;
    }
}

/* Into the current image; the size follows piece by piece, so that a failure leaves an image in
 * order. */
static int write_cur(kvi_sim_node *n, uint64_t offset, const uint8_t *data, size_t len)
{
    while (len > 0) {
        piece p = piece_of(offset, len);
        kvi_sim_slot *slot = &n->slots[p.slot];
        int err = kvi_sim_page_own(&slot->cur, n->mem);

        if (err)
            return err;
        memcpy(slot->cur->bytes + p.at, data, p.len);
        slot->dirty = true;
        data += p.len;
        offset += p.len;
        len -= p.len;
        if (offset > n->cur_size) {
            n->cur_size = offset;
            n->size_dirty = true;
        }
    }
    return KV_OK;
}

static void write_map(kvi_sim_node *n, uint64_t offset, const void *data, size_t len)
{
    if (n->map && offset < n->map_len)
        memcpy(n->map + offset, data, kvi_min_size(len, n->map_len - (size_t)offset));
}

int kvi_sim_node_write(kvi_sim_node *n, uint64_t offset, const void *data, size_t len)
{
    int err;

    if (len == 0)
        return KV_OK;
    if (offset > KVI_SIM_FILE_MAX || len > KVI_SIM_FILE_MAX - offset)
        return kvi_sim_node_reserve(n, UINT64_MAX);
    err = kvi_sim_node_reserve(n, offset + len);
    if (err == KV_OK)
        err = kvi_sim_node_absorb(n, offset, len);
    if (err == KV_OK)
        err = write_cur(n, offset, data, len);
    if (err)
        return err;
    write_map(n, offset, data, len);
    if (!n->loose && note_op(n, offset, data, len) != KV_OK) {
        n->loose = true;
        forget_ops(n);
    }
    return KV_OK;
}

/* --- the map ------------------------------------------------------------------------------- */

int kvi_sim_node_absorb(kvi_sim_node *n, uint64_t offset, size_t len)
{
    if (!n->map || n->frozen || offset >= n->map_len)
        return KV_OK;
    len = kvi_min_size(len, n->map_len - (size_t)offset);
    while (len > 0) {
        piece p = piece_of(offset, len);
        const uint8_t *stored = n->map + offset;

        if (memcmp(n->slots[p.slot].cur->bytes + p.at, stored, p.len) != 0) {
            int err = write_cur(n, offset, stored, p.len);

            if (err)
                return err;
            n->loose = true;
        }
        offset += p.len;
        len -= p.len;
    }
    return KV_OK;
}

int kvi_sim_node_absorb_all(kvi_sim_node *n)
{
    return kvi_sim_node_absorb(n, 0, n->map_len);
}

int kvi_sim_node_map(kvi_sim_node *n, size_t len, void **out)
{
    uint8_t *map;

    KVI_ASSERT(!n->map);
    KVI_ASSERT(len > 0 && len <= n->cur_size);
    for (size_t i = 0; i < pages_of(len); i++)
        KVI_ASSERT(n->slots[i].cur); /* written before: never sparse */
    map = kvi_mem_zalloc_aligned(n->mem, len);
    if (!map)
        return no_memory();
    kvi_sim_node_read(n, 0, map, len);
    n->map = map;
    n->map_len = len;
    *out = map;
    return KV_OK;
}

int kvi_sim_node_unmap(kvi_sim_node *n)
{
    int err = kvi_sim_node_absorb_all(n);

    kvi_mem_free_aligned(n->mem, n->map);
    n->map = NULL;
    n->map_len = 0;
    n->frozen = false;
    return err;
}

int kvi_sim_node_freeze_map(kvi_sim_node *n)
{
    int err = kvi_sim_node_absorb_all(n);

    if (err == KV_OK)
        n->frozen = n->map != NULL;
    return err;
}

/* --- the durable image --------------------------------------------------------------------- */

uint64_t kvi_sim_node_size_kept(const kvi_sim_node *n)
{
    uint64_t size = n->disk_size;

    for (size_t i = n->count; i-- > 0;)
        if (n->slots[i].dirty)
            return kvi_max_u64(size, kvi_min_u64(n->cur_size, (uint64_t)(i + 1) * KVI_SIM_PAGE));
    return size;
}

int kvi_sim_node_sync(kvi_sim_node *n)
{
    int err = kvi_sim_node_absorb_all(n);

    if (err)
        return err;
    n->disk_size = kvi_sim_node_size_kept(n);
    for (size_t i = 0; i < n->count; i++)
        if (n->slots[i].dirty)
            kvi_sim_page_replace(&n->slots[i].disk, n->slots[i].cur, n->mem);
    kvi_sim_node_mark_clean(n);
    KVI_ASSERT(n->disk_size <= n->cur_size);
    return KV_OK;
}

int kvi_sim_node_put(kvi_sim_node *n, uint64_t offset, const void *data, size_t len)
{
    const uint8_t *from = data;

    KVI_ASSERT(offset + len <= (uint64_t)n->count * KVI_SIM_PAGE);
    while (len > 0) {
        piece p = piece_of(offset, len);
        int err = kvi_sim_page_own(&n->slots[p.slot].disk, n->mem);

        if (err)
            return err;
        memcpy(n->slots[p.slot].disk->bytes + p.at, from, p.len);
        from += p.len;
        offset += p.len;
        len -= p.len;
        n->disk_size = kvi_max_u64(n->disk_size, offset);
    }
    return KV_OK;
}

/* --- surgery ------------------------------------------------------------------------------- */

int kvi_sim_node_poke(kvi_sim_node *n, uint64_t offset, const void *data, size_t len)
{
    const uint8_t *from = data;
    int err;

    KVI_ASSERT(offset <= n->cur_size && len <= n->cur_size - offset);
    err = kvi_sim_node_absorb(n, offset, len);
    if (err)
        return err;
    write_map(n, offset, data, len);
    while (len > 0) {
        piece p = piece_of(offset, len);
        kvi_sim_slot *slot = &n->slots[p.slot];
        bool same = slot->cur == slot->disk;

        err = kvi_sim_page_own(&slot->cur, n->mem);
        if (err)
            return err;
        memcpy(slot->cur->bytes + p.at, from, p.len);
        if (same)
            kvi_sim_page_replace(&slot->disk, slot->cur, n->mem);
        else if (offset < n->disk_size)
            err = kvi_sim_node_put(n, offset, from,
                                   (size_t)kvi_min_u64(p.len, n->disk_size - offset));
        if (err)
            return err;
        from += p.len;
        offset += p.len;
        len -= p.len;
    }
    return KV_OK;
}

/* Zeros behind len in the page that holds the end, in both images. */
static int cut_slot(kvi_sim_slot *slot, size_t len, const kvi_mem *mem)
{
    bool same = slot->cur == slot->disk;
    int err = KV_OK;

    if (slot->cur) {
        err = kvi_sim_page_own(&slot->cur, mem);
        if (err)
            return err;
        memset(slot->cur->bytes + len, 0, KVI_SIM_PAGE - len);
    }
    if (same) {
        kvi_sim_page_replace(&slot->disk, slot->cur, mem);
    } else if (slot->disk) {
        err = kvi_sim_page_own(&slot->disk, mem);
        if (err)
            return err;
        memset(slot->disk->bytes + len, 0, KVI_SIM_PAGE - len);
    }
    return err;
}

int kvi_sim_node_resize(kvi_sim_node *n, uint64_t size)
{
    size_t keep = pages_of(size);
    int err = kvi_sim_node_reserve(n, size);

    KVI_ASSERT(!n->map);
    if (err == KV_OK)
        err = kvi_sim_node_sync(n);
    if (err)
        return err;
    for (size_t i = keep; i < n->count; i++) {
        kvi_sim_page_replace(&n->slots[i].cur, NULL, n->mem);
        kvi_sim_page_replace(&n->slots[i].disk, NULL, n->mem);
    }
    n->count = keep;
    n->cur_size = n->disk_size = size;
    if (size % KVI_SIM_PAGE == 0)
        return KV_OK;
    return cut_slot(&n->slots[keep - 1], (size_t)(size % KVI_SIM_PAGE), n->mem);
}
