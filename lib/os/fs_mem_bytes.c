/*
 * A sparse array without locks; see the header for the contract.
 */
#include "os/fs_mem_bytes.h"

#include <string.h>

#include "base/check.h"
#include "base/error.h"

static size_t table_bytes(unsigned table)
{
    return (KVI_OS_MEM_SLOTS << table) * sizeof(kvi_os_mem_slot);
}

void kvi_os_mem_bytes_init(kvi_os_mem_bytes *b, const kvi_mem *mem, kvi_budget *budget)
{
    b->mem = mem;
    b->budget = budget;
    atomic_init(&b->size, 0);
    for (unsigned t = 0; t < KVI_OS_MEM_TABLES; t++)
        atomic_init(&b->tables[t], NULL);
}

static void free_charged(kvi_os_mem_bytes *b, void *ptr, size_t bytes)
{
    kvi_mem_free(b->mem, ptr);
    kvi_budget_release(b->budget, KVI_BUDGET_FILE, bytes);
}

void kvi_os_mem_bytes_deinit(kvi_os_mem_bytes *b)
{
    for (unsigned t = 0; t < KVI_OS_MEM_TABLES; t++) {
        kvi_os_mem_slot *table = atomic_load(&b->tables[t]);

        if (!table)
            continue;
        for (size_t i = 0; i < KVI_OS_MEM_SLOTS << t; i++) {
            void *chunk = atomic_load(&table[i]);

            if (chunk)
                free_charged(b, chunk, KVI_OS_MEM_CHUNK);
        }
        free_charged(b, table, table_bytes(t));
    }
}

/* Sets an empty slot to bytes of zeros, or finds what another thread set it to. */
static int fill_slot(kvi_os_mem_bytes *b, kvi_os_mem_slot *slot, size_t bytes, void **out)
{
    void *found = atomic_load_explicit(slot, memory_order_acquire);
    void *fresh;

    if (found) {
        *out = found;
        return KV_OK;
    }
    if (kvi_budget_reserve(b->budget, KVI_BUDGET_FILE, bytes) != KV_OK)
        return kvi_error_set(KV_ENOSPC,
                             "cannot write to a file in memory: the memory budget of %zu bytes "
                             "is full",
                             b->budget->limit);
    fresh = kvi_mem_zalloc(b->mem, 1, bytes);
    if (!fresh) {
        kvi_budget_release(b->budget, KVI_BUDGET_FILE, bytes);
        return kvi_error_set(KV_ENOMEM, "cannot allocate %zu bytes for a file in memory", bytes);
    }
    if (atomic_compare_exchange_strong(slot, &found, fresh)) {
        *out = fresh;
    } else {
        free_charged(b, fresh, bytes);
        *out = found;
    }
    return KV_OK;
}

/* The table that has chunk number *chunk, which becomes its place in there. */
static unsigned find_table(size_t *chunk)
{
    unsigned table = 0;

    for (; *chunk >= KVI_OS_MEM_SLOTS << table; table++)
        *chunk -= KVI_OS_MEM_SLOTS << table;
    KVI_ASSERT(table < KVI_OS_MEM_TABLES);
    return table;
}

/* NULL: a hole. */
static const uint8_t *find_chunk(const kvi_os_mem_bytes *b, size_t chunk)
{
    unsigned t = find_table(&chunk);
    kvi_os_mem_slot *table = atomic_load_explicit(&b->tables[t], memory_order_acquire);

    return table ? atomic_load_explicit(&table[chunk], memory_order_acquire) : NULL;
}

static int make_chunk(kvi_os_mem_bytes *b, size_t chunk, uint8_t **out)
{
    unsigned t = find_table(&chunk);
    void *table, *bytes;
    int err = fill_slot(b, &b->tables[t], table_bytes(t), &table);

    if (err)
        return err;
    err = fill_slot(b, (kvi_os_mem_slot *)table + chunk, KVI_OS_MEM_CHUNK, &bytes);
    if (err)
        return err;
    *out = bytes;
    return KV_OK;
}

size_t kvi_os_mem_bytes_read(const kvi_os_mem_bytes *b, uint64_t offset, void *buf, size_t len)
{
    size_t size = kvi_os_mem_bytes_size(b);
    uint8_t *to = buf;
    size_t pos, end;

    if (offset >= size)
        return 0;
    pos = (size_t)offset;
    len = kvi_min_size(len, size - pos);
    for (end = pos + len; pos < end;) {
        const uint8_t *chunk = find_chunk(b, pos / KVI_OS_MEM_CHUNK);
        size_t within = pos % KVI_OS_MEM_CHUNK;
        size_t n = kvi_min_size(end - pos, KVI_OS_MEM_CHUNK - within);

        if (chunk)
            memcpy(to, chunk + within, n);
        else
            memset(to, 0, n);
        to += n;
        pos += n;
    }
    return len;
}

static void raise_size(kvi_os_mem_bytes *b, size_t end)
{
    size_t size = atomic_load(&b->size);

    while (size < end && !atomic_compare_exchange_weak(&b->size, &size, end))
        ;
}

int kvi_os_mem_bytes_write(kvi_os_mem_bytes *b, uint64_t offset, const void *data, size_t len)
{
    const uint64_t max = kvi_min_u64(KVI_OS_MEM_FILE_MAX, SIZE_MAX);
    const uint8_t *from = data;
    size_t pos, end;

    if (offset > max || len > max - offset)
        return kvi_error_set(KV_ENOSPC, "a file in memory cannot be longer than %llu bytes",
                             (unsigned long long)max);
    if (len == 0)
        return KV_OK;
    pos = (size_t)offset;
    for (end = pos + len; pos < end;) {
        size_t within = pos % KVI_OS_MEM_CHUNK;
        size_t n = kvi_min_size(end - pos, KVI_OS_MEM_CHUNK - within);
        uint8_t *chunk;
        int err = make_chunk(b, pos / KVI_OS_MEM_CHUNK, &chunk);

        if (err)
            return err;
        memcpy(chunk + within, from, n);
        from += n;
        pos += n;
    }
    raise_size(b, end);
    return KV_OK;
}
