/*
 * The file system seam in memory, for a store that ends with its close: directories, names and
 * handles. See os/fs.h for the contract, fs_mem_bytes.h for how a file's bytes lie.
 *
 * 1. Under the directory's lock: its list of inodes and their names.
 * 2. An inode lives while it has a name or a handle (refs), so a file that was unlinked or replaced
 *    is readable until it is closed, even after the directory.
 * 3. Bytes are read and written outside of the lock; nothing is allocated or reserved under it.
 */
#include <stdatomic.h>
#include <string.h>

#include "base/check.h"
#include "base/error.h"
#include "base/list.h"
#include "os/fs.h"
#include "os/fs_mem_bytes.h"
#include "os/lock.h"

typedef struct mem_inode {
    kvi_list link; /* in the directory, while it has a name */
    const kvi_mem *mem;
    _Atomic size_t refs; /* one for the name, one for each handle */
    kvi_os_mem_bytes bytes;
    char name[KVI_OS_NAME_MAX + 1]; /* under the directory's lock */
} mem_inode;

typedef struct mem_file {
    kvi_os_file base;
    mem_inode *inode;
    bool writable;
} mem_file;

typedef struct mem_dir {
    kvi_os_dir base;
    const kvi_mem *mem;
    kvi_budget *budget;
    kvi_os_mutex lock;
    kvi_list inodes;
    bool locked; /* under lock: by the store */
} mem_dir;

static void set_name(mem_inode *inode, const char *name)
{
    size_t len = strlen(name);

    KVI_ASSERT(len > 0 && len <= KVI_OS_NAME_MAX && !strchr(name, '/'));
    memcpy(inode->name, name, len + 1);
}

static void inode_unref(mem_inode *inode)
{
    size_t before = atomic_fetch_sub(&inode->refs, 1);

    KVI_ASSERT(before > 0);
    if (before > 1)
        return;
    kvi_os_mem_bytes_deinit(&inode->bytes);
    kvi_mem_free(inode->mem, inode);
}

/* ---- an open file ------------------------------------------------------------------------ */

static int mem_read(kvi_os_file *base, uint64_t offset, void *buf, size_t len, size_t *got)
{
    mem_file *f = (mem_file *)(void *)base;

    *got = kvi_os_mem_bytes_read(&f->inode->bytes, offset, buf, len);
    return KV_OK;
}

static int mem_write(kvi_os_file *base, uint64_t offset, const void *data, size_t len)
{
    mem_file *f = (mem_file *)(void *)base;

    KVI_ASSERT(f->writable);
    return kvi_os_mem_bytes_write(&f->inode->bytes, offset, data, len);
}

static int mem_sync(kvi_os_file *base)
{
    (void)base;
    return KV_OK;
}

static int mem_size(kvi_os_file *base, uint64_t *bytes)
{
    mem_file *f = (mem_file *)(void *)base;

    *bytes = kvi_os_mem_bytes_size(&f->inode->bytes);
    return KV_OK;
}

static int mem_close(kvi_os_file *base)
{
    mem_file *f = (mem_file *)(void *)base;
    const kvi_mem *mem = f->inode->mem;

    inode_unref(f->inode);
    kvi_mem_free(mem, f);
    return KV_OK;
}

/* ---- names ------------------------------------------------------------------------------- */

/* Under the lock; NULL: there is none. */
static mem_inode *find_inode(mem_dir *d, const char *name)
{
    KVI_ASSERT(kvi_os_mutex_held(&d->lock));
    KVI_LIST_EACH(node, &d->inodes) {
        mem_inode *inode = KVI_CONTAINER_OF(node, mem_inode, link);

        if (strcmp(inode->name, name) == 0)
            return inode;
    }
    return NULL;
}

static int no_such_file(const char *verb, const char *name)
{
    return kvi_error_set(KV_ENOENT, "cannot %s %s: no such file in memory", verb, name);
}

/* The inode of name, with a reference for the caller. */
static int ref_existing(mem_dir *d, const char *name, mem_inode **out)
{
    mem_inode *inode;

    kvi_os_mutex_lock(&d->lock);
    inode = find_inode(d, name);
    if (inode)
        atomic_fetch_add(&inode->refs, 1);
    kvi_os_mutex_unlock(&d->lock);
    if (!inode)
        return no_such_file("open", name);
    *out = inode;
    return KV_OK;
}

/* As ref_existing, of an inode that is made here. */
static int ref_new(mem_dir *d, const char *name, mem_inode **out)
{
    mem_inode *inode = kvi_mem_zalloc(d->mem, 1, sizeof *inode);
    bool taken;

    if (!inode)
        return kvi_error_set(KV_ENOMEM, "cannot create %s: out of memory", name);
    inode->mem = d->mem;
    atomic_init(&inode->refs, 1);
    kvi_os_mem_bytes_init(&inode->bytes, d->mem, d->budget);
    set_name(inode, name);

    kvi_os_mutex_lock(&d->lock);
    taken = find_inode(d, name) != NULL;
    if (!taken) {
        atomic_fetch_add(&inode->refs, 1);
        kvi_list_push_back(&d->inodes, &inode->link);
    }
    kvi_os_mutex_unlock(&d->lock);
    if (taken) {
        inode_unref(inode);
        return kvi_error_set(KV_EEXIST, "cannot create %s: it exists in memory", name);
    }
    *out = inode;
    return KV_OK;
}

static int mem_open(kvi_os_dir *base, const char *name, enum kvi_os_open how, kvi_os_file **out)
{
    static const struct kvi_os_file_ops ops = {
        mem_read, mem_write, mem_sync, mem_size, NULL, NULL, mem_close,
    };
    mem_dir *d = (mem_dir *)(void *)base;
    mem_file *f = kvi_mem_zalloc(d->mem, 1, sizeof *f);
    int err;

    if (!f)
        return kvi_error_set(KV_ENOMEM, "cannot open %s: out of memory", name);
    err = how == KVI_OS_CREATE ? ref_new(d, name, &f->inode) : ref_existing(d, name, &f->inode);
    if (err) {
        kvi_mem_free(d->mem, f);
        return err;
    }
    f->base.ops = &ops;
    f->writable = how != KVI_OS_READ;
    *out = &f->base;
    return KV_OK;
}

static int mem_rename(kvi_os_dir *base, const char *from, const char *to)
{
    mem_dir *d = (mem_dir *)(void *)base;
    mem_inode *inode, *replaced = NULL;

    kvi_os_mutex_lock(&d->lock);
    inode = find_inode(d, from);
    if (inode && strcmp(from, to) != 0) {
        replaced = find_inode(d, to);
        if (replaced)
            kvi_list_remove(&replaced->link);
        set_name(inode, to);
    }
    kvi_os_mutex_unlock(&d->lock);
    if (!inode)
        return no_such_file("rename", from);
    if (replaced)
        inode_unref(replaced);
    return KV_OK;
}

static int mem_unlink(kvi_os_dir *base, const char *name)
{
    mem_dir *d = (mem_dir *)(void *)base;
    mem_inode *inode;

    kvi_os_mutex_lock(&d->lock);
    inode = find_inode(d, name);
    if (inode)
        kvi_list_remove(&inode->link);
    kvi_os_mutex_unlock(&d->lock);
    if (!inode)
        return no_such_file("remove", name);
    inode_unref(inode);
    return KV_OK;
}

static int mem_list(kvi_os_dir *base, kvi_os_list_fn *fn, void *user)
{
    mem_dir *d = (mem_dir *)(void *)base;

    kvi_os_mutex_lock(&d->lock);
    KVI_LIST_EACH(node, &d->inodes)
        fn(user, KVI_CONTAINER_OF(node, mem_inode, link)->name);
    kvi_os_mutex_unlock(&d->lock);
    return KV_OK;
}

static int mem_dir_sync(kvi_os_dir *base)
{
    (void)base;
    return KV_OK;
}

/* Nobody else can open this directory, so the lock is free; the file is there for those who
 * list. */
static int mem_lock(kvi_os_dir *base, const char *name, enum kvi_os_locked *who)
{
    mem_dir *d = (mem_dir *)(void *)base;
    mem_inode *inode;
    int err;

    (void)who;
    err = ref_new(d, name, &inode);
    if (err == KV_EEXIST)
        err = ref_existing(d, name, &inode);
    if (err)
        return err;
    inode_unref(inode);
    kvi_os_mutex_lock(&d->lock);
    KVI_ASSERT(!d->locked);
    d->locked = true;
    kvi_os_mutex_unlock(&d->lock);
    return KV_OK;
}

static int mem_dir_close(kvi_os_dir *base)
{
    mem_dir *d = (mem_dir *)(void *)base;

    while (!kvi_list_empty(&d->inodes)) {
        mem_inode *inode = KVI_LIST_FIRST(&d->inodes, mem_inode, link);

        kvi_list_remove(&inode->link);
        inode_unref(inode);
    }
    kvi_os_mutex_deinit(&d->lock);
    kvi_mem_free(d->mem, d);
    return KV_OK;
}

static int mem_open_dir(kvi_os_fs *base, const char *path, bool create, bool *created,
                        kvi_os_dir **out)
{
    static const struct kvi_os_dir_ops ops = {
        mem_open, mem_rename, mem_unlink, mem_list, mem_dir_sync, mem_lock, mem_dir_close,
    };
    kvi_os_fs_mem *fs = (kvi_os_fs_mem *)(void *)base;
    mem_dir *d;

    (void)path;
    if (!create)
        return kvi_error_set(KV_ENOENT, "a directory in memory begins with its opening");
    d = kvi_mem_zalloc(fs->mem, 1, sizeof *d);
    if (!d)
        return kvi_error_set(KV_ENOMEM, "cannot make a directory in memory: out of memory");
    d->base.ops = &ops;
    d->mem = fs->mem;
    d->budget = fs->budget;
    kvi_os_mutex_init(&d->lock, KVI_RANK_FS, NULL);
    kvi_list_init(&d->inodes);
    *created = true;
    *out = &d->base;
    return KV_OK;
}

void kvi_os_fs_mem_init(kvi_os_fs_mem *fs, const kvi_mem *mem, kvi_budget *budget)
{
    static const struct kvi_os_fs_ops ops = {mem_open_dir};

    fs->base.ops = &ops;
    fs->mem = mem;
    fs->budget = budget;
}
