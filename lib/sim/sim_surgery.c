/*
 * What a test does to a simulated disk behind everyone's back: look at files, plant and damage
 * them. See sim_fs.h.
 */
#include <string.h>

#include "base/check.h"
#include "base/error.h"
#include "base/hash.h"
#include "sim/sim_disk.h"

static int find_dir(kvi_sim_fs *fs, const char *path, kvi_sim_dir **out)
{
    kvi_sim_dir *d = kvi_sim_fs_find_dir(fs, path);

    if (!d)
        return kvi_error_set(KV_ENOENT, "%s: no such directory (simulated)", path);
    *out = d;
    return KV_OK;
}

static int find_file(kvi_sim_fs *fs, const char *path, const char *name, kvi_sim_node **out)
{
    kvi_sim_dir *d = kvi_sim_fs_find_dir(fs, path);
    kvi_sim_node *node = d ? kvi_sim_names_find(&d->current, name) : NULL;

    if (!node)
        return kvi_error_set(KV_ENOENT, "%s/%s: no such file (simulated)", path, name);
    *out = node;
    return KV_OK;
}

int kvi_sim_fs_file_bytes(kvi_sim_fs *fs, const char *path, const char *name, kvi_buf *out)
{
    kvi_sim_node *node;
    size_t len;
    int err = find_file(fs, path, name, &node);

    if (err)
        return err;
    len = (size_t)node->cur_size;
    err = kvi_sim_node_absorb_all(node);
    if (err)
        return err;
    kvi_buf_clear(out);
    if (len == 0)
        return KV_OK;
    err = kvi_buf_reserve(out, len);
    if (err)
        return err;
    kvi_sim_node_read(node, 0, out->data, len);
    out->len = len;
    return KV_OK;
}

/* Both sets get the name, and no change under way may undo it: all become durable first. */
static int set_name(kvi_sim_dir *d, const char *name, kvi_sim_node *node)
{
    int err = kvi_sim_dir_commit(d);

    if (err == KV_OK)
        err = kvi_sim_dir_set_current(d, name, node);
    return err ? err : kvi_sim_names_put(&d->durable, name, node);
}

int kvi_sim_fs_put_file(kvi_sim_fs *fs, const char *path, const char *name, const void *data,
                        size_t len)
{
    kvi_sim_dir *d = kvi_sim_fs_find_dir(fs, path);
    kvi_sim_node *node = NULL;
    int err = d ? KV_OK : kvi_sim_fs_add_dir(fs, path, &d);

    if (err == KV_OK)
        err = kvi_sim_node_new(fs->mem, &node);
    if (err)
        return err;
    kvi_sim_fs_adopt(fs, node);
    err = kvi_sim_node_write(node, 0, data, len);
    if (err == KV_OK)
        err = kvi_sim_node_sync(node);
    if (err == KV_OK)
        err = set_name(d, name, node);
    kvi_sim_node_unref(node);
    return err;
}

int kvi_sim_fs_remove_file(kvi_sim_fs *fs, const char *path, const char *name)
{
    kvi_sim_dir *d;
    kvi_sim_node *node;
    int err = find_dir(fs, path, &d);

    if (err == KV_OK)
        err = find_file(fs, path, name, &node);
    if (err == KV_OK)
        err = kvi_sim_dir_commit(d);
    if (err)
        return err;
    kvi_sim_dir_drop_current(d, name);
    kvi_sim_names_remove(&d->durable, name);
    return KV_OK;
}

int kvi_sim_fs_patch(kvi_sim_fs *fs, const char *path, const char *name, uint64_t offset,
                     const void *data, size_t len)
{
    kvi_sim_node *node;
    int err = find_file(fs, path, name, &node);

    if (err)
        return err;
    if (offset > node->cur_size || len > node->cur_size - offset)
        return kvi_error_set(KV_EINVAL, "%s/%s: the patch reaches past the end", path, name);
    return kvi_sim_node_poke(node, offset, data, len);
}

int kvi_sim_fs_truncate(kvi_sim_fs *fs, const char *path, const char *name, uint64_t size)
{
    kvi_sim_node *node;
    int err = find_file(fs, path, name, &node);

    return err ? err : kvi_sim_node_resize(node, size);
}

int kvi_sim_fs_each_file(kvi_sim_fs *fs, const char *path, kvi_os_list_fn *fn, void *user)
{
    kvi_sim_dir *d;
    int err = find_dir(fs, path, &d);

    if (err)
        return err;
    for (size_t i = 0; i < d->current.count; i++)
        fn(user, d->current.entries[i].name);
    return KV_OK;
}

int kvi_sim_fs_lock_elsewhere(kvi_sim_fs *fs, const char *path, bool held)
{
    kvi_sim_dir *d;
    int err = find_dir(fs, path, &d);

    if (err == KV_OK)
        d->locked_elsewhere = held;
    return err;
}

/* Page by page, so that a hole counts as the zeros that it reads as. */
static int hash_file(const kvi_sim_entry *e, uint64_t *hash)
{
    uint8_t page[KVI_SIM_PAGE];
    const kvi_sim_node *n = e->node;
    uint64_t h;
    int err = kvi_sim_node_absorb_all(e->node);

    if (err)
        return err;
    h = kvi_hash64(e->name, strlen(e->name), *hash);
    for (uint64_t at = 0; at < n->cur_size; at += sizeof page) {
        size_t len = (size_t)kvi_min_u64(sizeof page, n->cur_size - at);

        kvi_sim_node_read(n, at, page, len);
        h = kvi_hash64(page, len, h);
    }
    *hash = kvi_mix64(h ^ n->cur_size);
    return KV_OK;
}

int kvi_sim_fs_hash(kvi_sim_fs *fs, uint64_t *out)
{
    uint64_t hash = 0;

    KVI_LIST_EACH(at, &fs->dirs) {
        const kvi_sim_dir *d = KVI_CONTAINER_OF(at, kvi_sim_dir, link);

        hash = kvi_hash64(d->path, strlen(d->path), hash);
        for (size_t i = 0; i < d->current.count; i++) {
            int err = hash_file(&d->current.entries[i], &hash);

            if (err)
                return err;
        }
    }
    *out = hash;
    return KV_OK;
}
