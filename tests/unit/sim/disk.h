/*
 * Short words for the tests of the simulated disk: one directory "d", calls that must succeed.
 */
#ifndef KVT_UNIT_SIM_DISK_H
#define KVT_UNIT_SIM_DISK_H

#include <criterion/criterion.h>
#include <string.h>

#include "base/error.h"
#include "sim/sim_fs.h"

#define PATH "d"

#define OK(call) cr_assert_eq((call), KV_OK, "%s: %s", #call, kvi_error_detail())

static inline const kvi_mem *plain_mem(void)
{
    static kvi_mem mem;

    kvi_mem_init(&mem, NULL);
    return &mem;
}

static inline kvi_sim_fs *disk_new(uint64_t seed)
{
    kvi_sim_fs *fs;

    OK(kvi_sim_fs_new(plain_mem(), seed, &fs));
    return fs;
}

static inline kvi_os_dir *dir_open(kvi_sim_fs *fs)
{
    kvi_os_fs *os = kvi_sim_fs_os(fs);
    kvi_os_dir *d;
    bool created;

    OK(os->ops->open_dir(os, PATH, true, &created, &d));
    return d;
}

static inline kvi_os_file *file_open(kvi_os_dir *d, const char *name, enum kvi_os_open how)
{
    kvi_os_file *f;

    OK(d->ops->open(d, name, how, &f));
    return f;
}

static inline void file_write(kvi_os_file *f, uint64_t offset, const void *data, size_t len)
{
    OK(f->ops->write(f, offset, data, len));
}

static inline void file_fill(kvi_os_file *f, uint64_t offset, int byte, size_t len)
{
    uint8_t *data = malloc(len);

    cr_assert_not_null(data);
    memset(data, byte, len);
    file_write(f, offset, data, len);
    free(data);
}

static inline void file_sync(kvi_os_file *f)
{
    OK(f->ops->sync(f));
}

static inline void file_close(kvi_os_file *f)
{
    OK(f->ops->close(f));
}

static inline void dir_sync(kvi_os_dir *d)
{
    OK(d->ops->sync(d));
}

static inline void dir_close(kvi_os_dir *d)
{
    OK(d->ops->close(d));
}

static inline void dir_rename(kvi_os_dir *d, const char *from, const char *to)
{
    OK(d->ops->rename(d, from, to));
}

static inline void dir_unlink(kvi_os_dir *d, const char *name)
{
    OK(d->ops->unlink(d, name));
}

/* A file with this text, synced; its name is not. */
static inline void file_put(kvi_os_dir *d, const char *name, const char *text)
{
    kvi_os_file *f = file_open(d, name, KVI_OS_CREATE);

    file_write(f, 0, text, strlen(text));
    file_sync(f);
    file_close(f);
}

static inline kvi_sim_fs *crash(kvi_sim_fs *fs, enum kvi_sim_crash variant, uint64_t seed)
{
    kvi_sim_fs *copy;

    OK(kvi_sim_fs_crash_copy(fs, variant, seed, &copy));
    return copy;
}

/* The file's bytes, appended with a NUL, in the caller's memory; -1 where there is no such file. */
static inline long file_text(kvi_sim_fs *fs, const char *name, void *out, size_t cap)
{
    kvi_buf buf;
    long len = -1;
    int err;

    kvi_buf_init(&buf, plain_mem());
    err = kvi_sim_fs_file_bytes(fs, PATH, name, &buf);
    if (err == KV_OK) {
        cr_assert(buf.len < cap);
        if (buf.len > 0)
            memcpy(out, buf.data, buf.len);
        ((char *)out)[buf.len] = '\0';
        len = (long)buf.len;
    } else {
        cr_assert_eq(err, KV_ENOENT);
    }
    kvi_buf_deinit(&buf);
    return len;
}

static inline bool file_is(kvi_sim_fs *fs, const char *name, const char *text)
{
    static char got[1 << 16];
    long len = file_text(fs, name, got, sizeof got);

    return len == (long)strlen(text) && memcmp(got, text, (size_t)len) == 0;
}

static inline bool file_is_there(kvi_sim_fs *fs, const char *name)
{
    static char got[1 << 16];

    return file_text(fs, name, got, sizeof got) >= 0;
}

static inline uint64_t disk_hash(kvi_sim_fs *fs)
{
    uint64_t hash;

    OK(kvi_sim_fs_hash(fs, &hash));
    return hash;
}

#endif
