/* See memfile.h. */
#include "support/memfile.h"

#include <stdlib.h>
#include <string.h>

static kvt_memfile *self(kvi_os_file *f)
{
    return KVI_CONTAINER_OF(f, kvt_memfile, base);
}

static void grow(kvt_memfile *f, size_t len)
{
    if (len <= f->cap)
        return;
    f->cap = len * 2;
    f->data = realloc(f->data, f->cap);
    if (!f->data)
        abort();
}

static int mem_read(kvi_os_file *file, uint64_t offset, void *buf, size_t len, size_t *got)
{
    kvt_memfile *f = self(file);

    atomic_fetch_add_explicit(&f->reads, 1, memory_order_relaxed);
    atomic_fetch_add_explicit(&f->read_bytes, len, memory_order_relaxed);
    if (f->read_err)
        return f->read_err;
    *got = offset >= f->len ? 0 : kvi_min_size(len, f->len - (size_t)offset);
    if (*got > 0)
        memcpy(buf, f->data + offset, *got);
    return KV_OK;
}

static int mem_write(kvi_os_file *file, uint64_t offset, const void *data, size_t len)
{
    kvt_memfile *f = self(file);
    size_t end = (size_t)offset + len;

    if (f->write_err && f->writes == f->write_err_at)
        return f->write_err;
    f->writes++;
    grow(f, end);
    if (offset > f->len)
        memset(f->data + f->len, 0, (size_t)offset - f->len);
    if (len > 0)
        memcpy(f->data + offset, data, len);
    f->len = kvi_max_size(f->len, end);
    return KV_OK;
}

static int mem_sync(kvi_os_file *file)
{
    (void)file;
    return KV_OK;
}

static int mem_size(kvi_os_file *file, uint64_t *bytes)
{
    *bytes = self(file)->len;
    return KV_OK;
}

static int mem_close(kvi_os_file *file)
{
    self(file)->closed++;
    return KV_OK;
}

void kvt_memfile_init(kvt_memfile *f)
{
    static const struct kvi_os_file_ops ops = {
        .read = mem_read,
        .write = mem_write,
        .sync = mem_sync,
        .size = mem_size,
        .close = mem_close,
    };

    memset(f, 0, sizeof *f);
    f->base.ops = &ops;
}

void kvt_memfile_deinit(kvt_memfile *f)
{
    free(f->data);
    f->data = NULL;
    f->len = f->cap = 0;
}

void kvt_memfile_set(kvt_memfile *f, const void *data, size_t len)
{
    grow(f, len);
    if (len > 0)
        memcpy(f->data, data, len);
    f->len = len;
}
