/*
 * An open file on a POSIX file system: reads, writes, syncs and maps. See os/fs.h for the contract,
 * fs_posix.c for how one is opened.
 *
 * 1. fd is open from kvi_os_posix_file_set to close. Position and flags of it are never changed, so
 *    that threads share it.
 * 2. At most one map at a time.
 */
#include "os/fs_posix_impl.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/check.h"
#include "base/error.h"
#include "os/errno_text.h"

typedef struct posix_file {
    kvi_os_file base;
    const kvi_mem *mem;
    int fd;
    bool writable;
    void *map; /* NULL: none */
    size_t map_len;
    char path[]; /* for details */
} posix_file;

static int code_of(int errnum)
{
    switch (errnum) {
    case ENOENT:
        return KV_ENOENT;
    case EEXIST:
        return KV_EEXIST;
    case ENOTDIR:
        return KV_ENOTDIR;
    case EACCES:
    case EPERM:
    case EROFS:
        return KV_EACCES;
    case ENOSPC:
    case EDQUOT:
    case EFBIG:
        return KV_ENOSPC;
    case EMFILE:
    case ENFILE:
        return KV_EMFILE;
    case ENOMEM:
        return KV_ENOMEM;
    case ENAMETOOLONG:
        return KV_EINVAL;
    default:
        return KV_EIO;
    }
}

int kvi_os_posix_error(int errnum, const char *what, ...)
{
    char text[KVI_ERROR_DETAIL_MAX];
    kvi_os_errno_text cause;
    va_list args;

    va_start(args, what);
    if (vsnprintf(text, sizeof text, what, args) < 0)
        text[0] = '\0';
    va_end(args);
    return kvi_error_set(code_of(errnum), "cannot %s: %s", text, kvi_os_errno_name(errnum, &cause));
}

/* No file is as long as the offsets that a damaged one may name: such a read finds the end. */
static int posix_read(kvi_os_file *base, uint64_t offset, void *buf, size_t len, size_t *got)
{
    posix_file *f = (posix_file *)(void *)base;
    size_t done = 0;

    if (offset > INT64_MAX || len > INT64_MAX - offset) {
        *got = 0;
        return KV_OK;
    }
    while (done < len) {
        ssize_t n;

        KVI_OS_RETRY(n, pread(f->fd, (char *)buf + done, len - done, (off_t)(offset + done)));
        if (n < 0)
            return kvi_os_posix_error(errno, "read %s", f->path);
        if (n == 0)
            break;
        done += (size_t)n;
    }
    *got = done;
    return KV_OK;
}

static int posix_write(kvi_os_file *base, uint64_t offset, const void *data, size_t len)
{
    posix_file *f = (posix_file *)(void *)base;
    size_t done = 0;

    KVI_ASSERT(f->writable && offset <= INT64_MAX && len <= INT64_MAX - offset);
    while (done < len) {
        ssize_t n;

        KVI_OS_RETRY(n,
                     pwrite(f->fd, (const char *)data + done, len - done, (off_t)(offset + done)));
        if (n <= 0)
            return kvi_os_posix_error(n < 0 ? errno : EIO, "write %s", f->path);
        done += (size_t)n;
    }
    return KV_OK;
}

/* Stores through a map dirty the same pages of the page cache, so fdatasync writes them too. */
static int posix_sync(kvi_os_file *base)
{
    posix_file *f = (posix_file *)(void *)base;
    int rc;

    KVI_OS_RETRY(rc, fdatasync(f->fd));
    return rc < 0 ? kvi_os_posix_error(errno, "sync %s", f->path) : KV_OK;
}

static int posix_size(kvi_os_file *base, uint64_t *bytes)
{
    posix_file *f = (posix_file *)(void *)base;
    struct stat st;

    if (fstat(f->fd, &st) < 0)
        return kvi_os_posix_error(errno, "stat %s", f->path);
    *bytes = (uint64_t)st.st_size;
    return KV_OK;
}

/* A page beyond the end of the file would be a SIGBUS in the host. */
static int posix_map(kvi_os_file *base, size_t len, void **out)
{
    posix_file *f = (posix_file *)(void *)base;
    uint64_t size = 0;
    void *map;
    int err;

    KVI_ASSERT(f->writable && !f->map && len > 0);
    err = posix_size(base, &size);
    if (err)
        return err;
    if (size < len)
        return kvi_error_set(KV_EIO, "cannot map %zu bytes of %s: it is shorter", len, f->path);
    map = mmap(NULL, len, PROT_READ | PROT_WRITE, MAP_SHARED, f->fd, 0);
    if (map == MAP_FAILED)
        return kvi_os_posix_error(errno, "map %s", f->path);
    f->map = map;
    f->map_len = len;
    *out = map;
    return KV_OK;
}

static void posix_unmap(kvi_os_file *base, void *map, size_t len)
{
    posix_file *f = (posix_file *)(void *)base;
    int rc;

    KVI_ASSERT(map && map == f->map && len == f->map_len);
    rc = munmap(map, len);
    KVI_ASSERT(rc == 0);
    f->map = NULL;
}

/* Not tried again after EINTR: the descriptor is gone, and may be another thread's new file. */
static int posix_close(kvi_os_file *base)
{
    posix_file *f = (posix_file *)(void *)base;
    int err = KV_OK;

    if (f->map)
        posix_unmap(base, f->map, f->map_len);
    if (close(f->fd) < 0 && errno != EINTR)
        err = kvi_os_posix_error(errno, "close %s", f->path);
    kvi_mem_free(f->mem, f);
    return err;
}

kvi_os_file *kvi_os_posix_file_new(const kvi_mem *mem, const char *dir_path, const char *name,
                                   bool writable)
{
    static const struct kvi_os_file_ops ops = {
        posix_read, posix_write, posix_sync, posix_size, posix_map, posix_unmap, posix_close,
    };
    size_t cap = strlen(dir_path) + strlen(name) + 2;
    posix_file *f = kvi_mem_zalloc(mem, 1, sizeof *f + cap);

    if (!f)
        return NULL;
    f->base.ops = &ops;
    f->mem = mem;
    f->fd = -1;
    f->writable = writable;
    (void)snprintf(f->path, cap, "%s/%s", dir_path, name);
    return &f->base;
}

void kvi_os_posix_file_set(kvi_os_file *base, int fd)
{
    posix_file *f = (posix_file *)(void *)base;

    KVI_ASSERT(f->fd < 0 && fd >= 0);
    f->fd = fd;
}

void kvi_os_posix_file_free(kvi_os_file *base)
{
    posix_file *f = (posix_file *)(void *)base;

    KVI_ASSERT(f->fd < 0);
    kvi_mem_free(f->mem, f);
}
