/*
 * The bytes of a file in memory: a sparse array that grows without copying. os/fs_mem.c alone
 * includes this.
 *
 * 1. Bytes lie in chunks, found through tables of which each has twice the slots of the one before.
 *    Neither ever moves, so reads and writes take no lock. A slot is set once, from NULL, by
 *    compare-and-swap; NULL is a hole and reads as zeros.
 * 2. size is raised after the bytes are in place: who reads up to it sees them.
 * 3. Chunks and tables are charged to the budget (KVI_BUDGET_FILE) before they are allocated.
 *    Reserving may call the reclaimer, so the caller of write holds no lock.
 * Any thread may read and write at once; two writers never overlap, and deinit is the last call.
 */
#ifndef KVI_OS_FS_MEM_BYTES_H
#define KVI_OS_FS_MEM_BYTES_H

#include <stdatomic.h>

#include "base/budget.h"
#include "base/mem.h"

#define KVI_OS_MEM_CHUNK  ((size_t)16 << 10)
#define KVI_OS_MEM_TABLES 20
#define KVI_OS_MEM_SLOTS  ((size_t)64) /* of the first table */
/** What the tables can hold: a tebibyte. */
#define KVI_OS_MEM_FILE_MAX \
    (((UINT64_C(1) << KVI_OS_MEM_TABLES) - 1) * KVI_OS_MEM_SLOTS * KVI_OS_MEM_CHUNK)

typedef _Atomic(void *) kvi_os_mem_slot;

typedef struct kvi_os_mem_bytes {
    const kvi_mem *mem;
    kvi_budget *budget;
    _Atomic size_t size;
    kvi_os_mem_slot tables[KVI_OS_MEM_TABLES]; /* arrays of slots, each of which holds a chunk */
} kvi_os_mem_bytes;

void kvi_os_mem_bytes_init(kvi_os_mem_bytes *b, const kvi_mem *mem, kvi_budget *budget);
void kvi_os_mem_bytes_deinit(kvi_os_mem_bytes *b);

/** How many bytes there were at offset, at most len. */
size_t kvi_os_mem_bytes_read(const kvi_os_mem_bytes *b, uint64_t offset, void *buf, size_t len);

/** KV_OK, KV_ENOSPC (budget, or longer than can be), KV_ENOMEM; then any part may be written, and
 *  size is as it was. */
int kvi_os_mem_bytes_write(kvi_os_mem_bytes *b, uint64_t offset, const void *data, size_t len)
    KVI_NODISCARD;

static inline size_t kvi_os_mem_bytes_size(const kvi_os_mem_bytes *b)
{
    return atomic_load_explicit(&b->size, memory_order_acquire);
}

#endif
