/*
 * The file system seam on POSIX: directories, names in them, and the lock. See os/fs.h for the
 * contract, fs_posix_file.c for an open file's bytes.
 *
 * 1. Names are resolved under the directory's descriptor and never through a link, so nothing
 *    outside of the directory is touched, also where the directory is moved. The path of the
 *    directory itself may go through links, as any path of the host's.
 * 2. The lock belongs to an open file description (F_OFD_SETLK), so that two stores in one process
 *    exclude each other as two processes do; the kernel drops it with the process.
 */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE /* F_OFD_SETLK */
#endif
#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/check.h"
#include "base/error.h"
#include "os/fs_posix_impl.h"

#define DIR_FLAGS  (O_RDONLY | O_DIRECTORY | O_CLOEXEC)
/* O_NONBLOCK: a pipe in a file's place must not hold us up; it means nothing to files. */
#define FILE_FLAGS (O_NOFOLLOW | O_CLOEXEC | O_NONBLOCK)
#define DIR_MODE   0700
#define FILE_MODE  0600

typedef struct posix_dir {
    kvi_os_dir base;
    const kvi_mem *mem;
    int fd;
    int lock_fd; /* -1: not locked */
    char path[]; /* as it was opened; for details */
} posix_dir;

static bool is_plain_name(const char *name)
{
    size_t len = strlen(name);

    return len > 0 && len <= KVI_OS_NAME_MAX && !strchr(name, '/') && strcmp(name, ".") != 0 &&
           strcmp(name, "..") != 0;
}

/* Opens name in d; a negative result is a KV_E code. */
static int open_name(posix_dir *d, const char *name, int flags)
{
    struct stat st;
    int fd, err;

    KVI_ASSERT(is_plain_name(name));
    KVI_OS_RETRY(fd, openat(d->fd, name, flags | FILE_FLAGS, FILE_MODE));
    if (fd < 0 && errno == ELOOP)
        return kvi_error_set(KV_EIO, "cannot open %s/%s: it is a symbolic link", d->path, name);
    if (fd < 0)
        return kvi_os_posix_error(errno, "open %s/%s", d->path, name);
    if (fstat(fd, &st) < 0)
        err = kvi_os_posix_error(errno, "stat %s/%s", d->path, name);
    else if (!S_ISREG(st.st_mode))
        err = kvi_error_set(KV_EIO, "cannot open %s/%s: it is not a file", d->path, name);
    else
        return fd;
    (void)close(fd);
    return err;
}

static int posix_open(kvi_os_dir *base, const char *name, enum kvi_os_open how, kvi_os_file **out)
{
    static const int flags[] = {
        [KVI_OS_READ] = O_RDONLY,
        [KVI_OS_WRITE] = O_RDWR,
        [KVI_OS_CREATE] = O_RDWR | O_CREAT | O_EXCL,
    };
    posix_dir *d = (posix_dir *)(void *)base;
    kvi_os_file *f = kvi_os_posix_file_new(d->mem, d->path, name, how != KVI_OS_READ);
    int fd;

    if (!f)
        return kvi_error_set(KV_ENOMEM, "cannot open %s/%s: out of memory", d->path, name);
    fd = open_name(d, name, flags[how]);
    if (fd < 0) {
        kvi_os_posix_file_free(f);
        return fd;
    }
    kvi_os_posix_file_set(f, fd);
    *out = f;
    return KV_OK;
}

static int posix_rename(kvi_os_dir *base, const char *from, const char *to)
{
    posix_dir *d = (posix_dir *)(void *)base;
    int rc;

    KVI_ASSERT(is_plain_name(from) && is_plain_name(to));
    KVI_OS_RETRY(rc, renameat(d->fd, from, d->fd, to));
    return rc < 0 ? kvi_os_posix_error(errno, "rename %s/%s to %s", d->path, from, to) : KV_OK;
}

static int posix_unlink(kvi_os_dir *base, const char *name)
{
    posix_dir *d = (posix_dir *)(void *)base;
    int rc;

    KVI_ASSERT(is_plain_name(name));
    KVI_OS_RETRY(rc, unlinkat(d->fd, name, 0));
    return rc < 0 ? kvi_os_posix_error(errno, "remove %s/%s", d->path, name) : KV_OK;
}

/* Through a descriptor of its own: the position in a directory belongs to the description. */
static int posix_list(kvi_os_dir *base, kvi_os_list_fn *fn, void *user)
{
    posix_dir *d = (posix_dir *)(void *)base;
    const struct dirent *entry;
    DIR *stream = NULL;
    int fd, errnum;

    KVI_OS_RETRY(fd, openat(d->fd, ".", DIR_FLAGS));
    if (fd >= 0)
        stream = fdopendir(fd);
    if (!stream) {
        errnum = errno;
        if (fd >= 0)
            (void)close(fd);
        return kvi_os_posix_error(errnum, "list %s", d->path);
    }
    for (;;) {
        errno = 0;
        entry = readdir(stream);
        if (!entry)
            break;
        if (strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0)
            fn(user, entry->d_name);
    }
    errnum = errno;
    (void)closedir(stream);
    return errnum ? kvi_os_posix_error(errnum, "list %s", d->path) : KV_OK;
}

static int sync_fd(int fd, const char *what, const char *path)
{
    int rc;

    KVI_OS_RETRY(rc, fsync(fd));
    return rc < 0 ? kvi_os_posix_error(errno, "sync %s %s", what, path) : KV_OK;
}

static int posix_dir_sync(kvi_os_dir *base)
{
    posix_dir *d = (posix_dir *)(void *)base;

    return sync_fd(d->fd, "directory", d->path);
}

/* What the lock file says of its holder. Process ids repeat in other namespaces (each container has
 * a process 1), so the namespace is named too; 0 where it is not known. */
static void holder_text(char *text, size_t cap)
{
    struct stat ns;
    unsigned long long id = stat("/proc/self/ns/pid", &ns) == 0 ? ns.st_ino : 0;

    (void)snprintf(text, cap, "%ld in %llu\n", (long)getpid(), id);
}

#define HOLDER_MAX 64

static int write_holder(posix_dir *d, int fd, const char *name)
{
    char text[HOLDER_MAX];
    ssize_t n;
    size_t len;
    int rc;

    holder_text(text, sizeof text);
    len = strlen(text);
    KVI_OS_RETRY(n, pwrite(fd, text, len, 0));
    if (n < 0 || (size_t)n != len)
        return kvi_os_posix_error(n < 0 ? errno : EIO, "write %s/%s", d->path, name);
    KVI_OS_RETRY(rc, ftruncate(fd, (off_t)len));
    return rc < 0 ? kvi_os_posix_error(errno, "write %s/%s", d->path, name) : KV_OK;
}

/* The lock is taken: by whom? A holder that has not written yet counts as another. */
static int report_holder(posix_dir *d, int fd, const char *name, enum kvi_os_locked *who)
{
    char ours[HOLDER_MAX], theirs[HOLDER_MAX] = "";
    size_t digits;
    ssize_t n;

    holder_text(ours, sizeof ours);
    KVI_OS_RETRY(n, pread(fd, theirs, sizeof theirs - 1, 0));
    if (n < 0)
        return kvi_os_posix_error(errno, "read %s/%s", d->path, name);
    *who = strcmp(ours, theirs) == 0 ? KVI_OS_LOCKED_BY_US : KVI_OS_LOCKED_BY_OTHER;
    digits = strspn(theirs, "0123456789");
    if (digits == 0)
        return kvi_error_set(KV_EINUSE, "%s/%s is locked", d->path, name);
    return kvi_error_set(KV_EINUSE, "%s/%s is locked by process %.*s", d->path, name, (int)digits,
                         theirs);
}

static int posix_lock(kvi_os_dir *base, const char *name, enum kvi_os_locked *who)
{
    posix_dir *d = (posix_dir *)(void *)base;
    struct flock whole = {.l_type = F_WRLCK, .l_whence = SEEK_SET};
    int fd, rc, err;

    KVI_ASSERT(d->lock_fd < 0);
    fd = open_name(d, name, O_RDWR | O_CREAT);
    if (fd < 0)
        return fd;
    KVI_OS_RETRY(rc, fcntl(fd, F_OFD_SETLK, &whole));
    if (rc == 0)
        err = write_holder(d, fd, name);
    else if (errno == EAGAIN || errno == EACCES)
        err = report_holder(d, fd, name, who);
    else
        err = kvi_os_posix_error(errno, "lock %s/%s", d->path, name);
    if (err) {
        (void)close(fd);
        return err;
    }
    d->lock_fd = fd;
    return KV_OK;
}

static int posix_dir_close(kvi_os_dir *base)
{
    posix_dir *d = (posix_dir *)(void *)base;
    int err = KV_OK;

    if (d->lock_fd >= 0)
        (void)close(d->lock_fd);
    if (close(d->fd) < 0 && errno != EINTR)
        err = kvi_os_posix_error(errno, "close directory %s", d->path);
    kvi_mem_free(d->mem, d);
    return err;
}

static const struct kvi_os_dir_ops dir_ops = {
    posix_open, posix_rename, posix_unlink, posix_list, posix_dir_sync, posix_lock, posix_dir_close,
};

/* Opens path, which was just made, and syncs its parent; a negative result is a KV_E code. */
static int open_made(const char *path)
{
    int fd, parent, err;

    KVI_OS_RETRY(fd, open(path, DIR_FLAGS));
    if (fd < 0)
        return kvi_os_posix_error(errno, "open directory %s", path);
    KVI_OS_RETRY(parent, openat(fd, "..", DIR_FLAGS));
    if (parent < 0) {
        err = kvi_os_posix_error(errno, "open the parent of directory %s", path);
    } else {
        err = sync_fd(parent, "the parent of directory", path);
        (void)close(parent);
    }
    if (!err)
        return fd;
    (void)close(fd);
    return err;
}

/* A descriptor of path, made where that is asked; a negative result is a KV_E code. */
static int open_path(const char *path, bool create, bool *made)
{
    int fd, rc;

    *made = false;
    KVI_OS_RETRY(fd, open(path, DIR_FLAGS));
    if (fd >= 0)
        return fd;
    if (errno != ENOENT || !create)
        return kvi_os_posix_error(errno, "open directory %s", path);
    KVI_OS_RETRY(rc, mkdir(path, DIR_MODE));
    if (rc < 0 && errno != EEXIST)
        return kvi_os_posix_error(errno, "create directory %s", path);
    *made = rc == 0;
    fd = open_made(path);
    if (fd < 0 && *made)
        (void)rmdir(path);
    return fd;
}

static int posix_open_dir(kvi_os_fs *base, const char *path, bool create, bool *created,
                          kvi_os_dir **out)
{
    kvi_os_fs_posix *fs = (kvi_os_fs_posix *)(void *)base;
    size_t cap = strlen(path) + 1;
    posix_dir *d;
    int fd;
    bool made;

    if (cap == 1)
        return kvi_error_set(KV_EINVAL, "path is empty");
    d = kvi_mem_zalloc(fs->mem, 1, sizeof *d + cap);
    if (!d)
        return kvi_error_set(KV_ENOMEM, "cannot open directory %s: out of memory", path);
    fd = open_path(path, create, &made);
    if (fd < 0) {
        kvi_mem_free(fs->mem, d);
        return fd;
    }
    d->base.ops = &dir_ops;
    d->mem = fs->mem;
    d->fd = fd;
    d->lock_fd = -1;
    memcpy(d->path, path, cap);
    *created = made;
    *out = &d->base;
    return KV_OK;
}

void kvi_os_fs_posix_init(kvi_os_fs_posix *fs, const kvi_mem *mem)
{
    static const struct kvi_os_fs_ops ops = {posix_open_dir};

    fs->base.ops = &ops;
    fs->mem = mem;
}
