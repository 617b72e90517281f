/*
 * A file in memory whose bytes a test can reach: to damage, to cut, to count what was read.
 *
 * 1. The struct is the caller's; closing through the seam only marks it, so that the bytes can be
 *    looked at and the file used again.
 * 2. Reads may run on any threads at once, as long as nobody writes.
 * Serves the fuzzers as well: no Criterion in here.
 */
#ifndef KVT_SUPPORT_MEMFILE_H
#define KVT_SUPPORT_MEMFILE_H

#include <stdatomic.h>

#include "os/fs.h"

typedef struct kvt_memfile {
    kvi_os_file base;
    uint8_t *data;
    size_t len, cap;
    _Atomic size_t reads, read_bytes;
    size_t writes;
    size_t closed; /* how often */
    int read_err;  /* where not 0: what each read answers */
    int write_err; /* where not 0: what the write number write_err_at answers */
    size_t write_err_at;
} kvt_memfile;

void kvt_memfile_init(kvt_memfile *f);
void kvt_memfile_deinit(kvt_memfile *f);

/** Makes f hold a copy of these bytes. */
void kvt_memfile_set(kvt_memfile *f, const void *data, size_t len);

#endif
