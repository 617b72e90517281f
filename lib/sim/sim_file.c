/*
 * Open files of the simulated disk: the seam's file calls. See sim_fs.h for the contract,
 * sim_disk.h for the inside.
 */
#include <string.h>

#include "base/check.h"
#include "base/error.h"
#include "sim/sim_disk.h"

static kvi_sim_file_handle *handle_of(kvi_os_file *f)
{
    return KVI_CONTAINER_OF(f, kvi_sim_file_handle, base);
}

static int file_read(kvi_os_file *f, uint64_t offset, void *buf, size_t len, size_t *got)
{
    kvi_sim_file_handle *h = handle_of(f);
    kvi_sim_node *node = h->node;
    size_t n = 0;
    int err = kvi_sim_call(h->fs, KVI_SIM_CALL_READ, h->name);

    if (err)
        return err;
    if (offset < node->cur_size)
        n = (size_t)kvi_min_u64(len, node->cur_size - offset);
    if (n > 0) {
        err = kvi_sim_spoil_read(h->fs, &node, &offset, n);
        if (err == KV_OK)
            err = kvi_sim_node_absorb(node, offset, n);
        if (err)
            return err;
        kvi_sim_node_read(node, offset, buf, n);
    }
    *got = n;
    return KV_OK;
}

static int file_write(kvi_os_file *f, uint64_t offset, const void *data, size_t len)
{
    kvi_sim_file_handle *h = handle_of(f);
    int injected, err;
    size_t part = len;

    KVI_ASSERT(h->writable);
    kvi_sim_mutation(h->fs);
    injected = kvi_sim_call(h->fs, KVI_SIM_CALL_WRITE, h->name);
    if (h->fs->off)
        return injected;
    if (injected)
        part = (size_t)kvi_sim_rng_below(&h->fs->rng, (uint64_t)len + 1);
    part = kvi_min_size(part, kvi_sim_room(h->fs, h->node, offset, len));
    err = kvi_sim_node_write(h->node, offset, data, part);
    if (err || injected)
        return err ? err : injected;
    if (part < len)
        return kvi_error_set(KV_ENOSPC, "%s: the simulated disk is full", h->name);
    return KV_OK;
}

static int file_sync(kvi_os_file *f)
{
    kvi_sim_file_handle *h = handle_of(f);
    kvi_sim_fs *fs = h->fs;
    int err, bad;

    kvi_sim_mutation(fs);
    err = kvi_sim_call(fs, KVI_SIM_CALL_SYNC, h->name);
    if (fs->off)
        return err;
    if (err == KV_OK)
        return kvi_sim_node_sync(h->node);
    bad = kvi_sim_node_sync_badly(h->node, &fs->rng, fs->faults.evict);
    return bad == KV_OK ? err : bad;
}

static int file_size(kvi_os_file *f, uint64_t *bytes)
{
    kvi_sim_file_handle *h = handle_of(f);
    int err = kvi_sim_call(h->fs, KVI_SIM_CALL_SIZE, h->name);

    if (err == KV_OK)
        *bytes = h->node->cur_size;
    return err;
}

static int file_map(kvi_os_file *f, size_t len, void **out)
{
    kvi_sim_file_handle *h = handle_of(f);
    int err;

    KVI_ASSERT(h->writable);
    err = kvi_sim_call(h->fs, KVI_SIM_CALL_MAP, h->name);
    if (err == KV_OK)
        err = kvi_sim_node_map(h->node, len, out);
    if (err)
        return err;
    h->mapped = true;
    h->fs->maps++;
    return KV_OK;
}

static int end_map(kvi_sim_file_handle *h)
{
    KVI_ASSERT(h->mapped && h->fs->maps > 0);
    h->mapped = false;
    h->fs->maps--;
    return kvi_sim_node_unmap(h->node);
}

static void file_unmap(kvi_os_file *f, void *map, size_t len)
{
    kvi_sim_file_handle *h = handle_of(f);
    int err;

    KVI_ASSERT(map == h->node->map && len == h->node->map_len);
    err = end_map(h);
    KVI_ASSERT(err ==
               KV_OK); /* the call has no way to tell: a simulator without memory ends here */
}

static int file_close(kvi_os_file *f)
{
    kvi_sim_file_handle *h = handle_of(f);
    kvi_sim_fs *fs = h->fs;
    int err = kvi_sim_call(fs, KVI_SIM_CALL_CLOSE, h->name);

    if (h->mapped) {
        int unmapped = end_map(h);

        err = err ? err : unmapped;
    }
    KVI_ASSERT(fs->open_files > 0 && h->node->opens > 0);
    fs->open_files--;
    h->node->opens--;
    kvi_sim_node_unref(h->node);
    kvi_mem_free(fs->mem, h);
    return err;
}

int kvi_sim_file_new(kvi_sim_fs *fs, kvi_sim_node *node, const char *name, bool writable,
                     kvi_os_file **out)
{
    static const struct kvi_os_file_ops mapping = {
        file_read, file_write, file_sync, file_size, file_map, file_unmap, file_close,
    };
    static const struct kvi_os_file_ops plain = {
        file_read, file_write, file_sync, file_size, NULL, NULL, file_close,
    };
    kvi_sim_file_handle *h = kvi_mem_zalloc(fs->mem, 1, sizeof *h);

    if (!h)
        return kvi_error_set(KV_ENOMEM, "%s: no memory to open a simulated file", name);
    KVI_ASSERT(strlen(name) <= KVI_OS_NAME_MAX);
    h->base.ops = fs->map_supported ? &mapping : &plain;
    h->fs = fs;
    h->node = kvi_sim_node_ref(node);
    h->writable = writable;
    memcpy(h->name, name, strlen(name) + 1);
    node->opens++;
    fs->open_files++;
    *out = &h->base;
    return KV_OK;
}
