/*
 * What the two halves of the POSIX file system share: fs_posix.c (directories, names, the lock) and
 * fs_posix_file.c (an open file's bytes). Nobody else includes it.
 */
#ifndef KVI_OS_FS_POSIX_IMPL_H
#define KVI_OS_FS_POSIX_IMPL_H

#include <errno.h>

#include "os/fs.h"

/* rc = expr, again while a signal interrupts it. */
#define KVI_OS_RETRY(rc, expr) \
    do {                       \
        (rc) = (expr);         \
    } while ((rc) < 0 && errno == EINTR)

/** The KV_E code of an errno, with the detail "cannot <what>: <cause>". */
int kvi_os_posix_error(int errnum, const char *what, ...) KVI_PRINTF(2, 3);

/** A file object without a descriptor, named dir_path/name in details; NULL where there is no
 *  memory. */
kvi_os_file *kvi_os_posix_file_new(const kvi_mem *mem, const char *dir_path, const char *name,
                                   bool writable) KVI_NODISCARD;

/** Gives it the descriptor, which close then closes. */
void kvi_os_posix_file_set(kvi_os_file *f, int fd);

/** Frees an object that has no descriptor yet. */
void kvi_os_posix_file_free(kvi_os_file *f);

#endif
