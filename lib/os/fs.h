/*
 * The file system seam: what the store needs of a disk and no more. Implementations: os/fs_posix.c,
 * os/fs_mem.c (a store in memory alone), sim/sim_fs.c. The treaty, which all of them keep:
 *
 * 1. A store lives in one directory. Files are named by a plain name (no '/'), at most
 *    KVI_OS_NAME_MAX bytes.
 * 2. Any thread may call anything at once; two writers never overlap in bytes, and close is the
 *    last call on an object. A file may be closed after its directory, and lives until then where
 *    its name is unlinked or replaced.
 * 3. Reads and writes are whole: EINTR and short transfers are the implementation's to finish. A
 *    read stops early only at the end of the file, and says how much it got.
 * 4. What was written is in the page cache (it outlives the process) when write returns, and on the
 *    disk when a later sync of the file returned KV_OK. A file's name is on the disk after a later
 *    sync of the directory. Nothing else is.
 * 5. Errors are KV_EIO, KV_ENOSPC, KV_ENOENT, KV_EEXIST, KV_EACCES, KV_ENOTDIR, KV_EMFILE,
 *    KV_ENOMEM, with a detail that names file and cause; of a directory's path also KV_EINVAL. A
 *    write that failed may have written any part. A failed sync leaves unknown what of the file is
 *    on the disk, for ever.
 * 6. Under a directory no link is followed: a name that is not a regular file is KV_EIO.
 *    Directories are created 0700, files 0600; descriptors close on exec.
 */
#ifndef KVI_OS_FS_H
#define KVI_OS_FS_H

#include "base/base.h"
#include "base/budget.h"
#include "base/mem.h"

#define KVI_OS_NAME_MAX 63

typedef struct kvi_os_fs kvi_os_fs;
typedef struct kvi_os_dir kvi_os_dir;
typedef struct kvi_os_file kvi_os_file;

enum kvi_os_open {
    KVI_OS_READ,  /* an existing file, for reading; KV_ENOENT where there is none */
    KVI_OS_WRITE, /* an existing file, for reading and writing */
    KVI_OS_CREATE /* a new, empty file, for reading and writing; KV_EEXIST where there is one */
};

enum kvi_os_locked { KVI_OS_LOCKED_BY_OTHER, KVI_OS_LOCKED_BY_US };

typedef void kvi_os_list_fn(void *user, const char *name);

struct kvi_os_file_ops {
    /* Reads at most len bytes at offset. *got < len only at the end of the file; 0 at any offset
     * beyond it. */
    int (*read)(kvi_os_file *f, uint64_t offset, void *buf, size_t len, size_t *got);
    /* Writes all of it, extending the file where needed; a gap reads as zeros. The file was not
     * opened by KVI_OS_READ. */
    int (*write)(kvi_os_file *f, uint64_t offset, const void *data, size_t len);
    /* Contents and size to the disk (fdatasync). Also what was stored through a map. */
    int (*sync)(kvi_os_file *f);
    int (*size)(kvi_os_file *f, uint64_t *bytes);
    /* Optional (NULL: none). The first len bytes of the file as shared memory: a store into it is
     * as a write. They must have been written before (never sparse). The map lives until unmap or
     * close. */
    int (*map)(kvi_os_file *f, size_t len, void **out);
    void (*unmap)(kvi_os_file *f, void *map, size_t len);
    /* Frees f, also where it fails. */
    int (*close)(kvi_os_file *f);
};

struct kvi_os_dir_ops {
    int (*open)(kvi_os_dir *d, const char *name, enum kvi_os_open how, kvi_os_file **out);
    /* Replaces to where it exists, at once for every observer. */
    int (*rename)(kvi_os_dir *d, const char *from, const char *to);
    int (*unlink)(kvi_os_dir *d, const char *name);
    /* Calls fn for each name but "." and "..", in no order: also those that others put there, of
     * any length. fn uses neither the file system nor a lock. */
    int (*list)(kvi_os_dir *d, kvi_os_list_fn *fn, void *user);
    /* Names to the disk: creates, renames and unlinks so far. */
    int (*sync)(kvi_os_dir *d);
    /* Takes the lock file name (created where missing) for this open directory until close. Where
     * it is taken: KV_EINUSE, *who says by whom, the detail names the process, and the file is as
     * it was. Once per open directory. */
    int (*lock)(kvi_os_dir *d, const char *name, enum kvi_os_locked *who);
    int (*close)(kvi_os_dir *d);
};

struct kvi_os_fs_ops {
    /* Opens directory path; create: makes it (one level) where it is missing, and syncs its parent.
     * *created says whether it did. The path itself may lead through links. */
    int (*open_dir)(kvi_os_fs *fs, const char *path, bool create, bool *created, kvi_os_dir **out);
};

/** The bases; an implementation's structs begin with them. */
struct kvi_os_fs {
    const struct kvi_os_fs_ops *ops;
};
struct kvi_os_dir {
    const struct kvi_os_dir_ops *ops;
};
struct kvi_os_file {
    const struct kvi_os_file_ops *ops;
};

/** The real one. *fs is the caller's memory; mem is borrowed and outlives everything opened through
 *  it. */
typedef struct kvi_os_fs_posix {
    kvi_os_fs base;
    const kvi_mem *mem;
} kvi_os_fs_posix;
void kvi_os_fs_posix_init(kvi_os_fs_posix *fs, const kvi_mem *mem);

/** Files in memory, whose bytes are charged to budget (KVI_BUDGET_FILE): a write over it is
 *  KV_ENOSPC. The directory ends with its close; every open_dir makes a new, empty one. */
typedef struct kvi_os_fs_mem {
    kvi_os_fs base;
    const kvi_mem *mem;
    kvi_budget *budget;
} kvi_os_fs_mem;
void kvi_os_fs_mem_init(kvi_os_fs_mem *fs, const kvi_mem *mem, kvi_budget *budget);

#endif
