/*
 * The simulated disk and its directories: the seam's directory calls. See sim_fs.h for the
 * contract, sim_disk.h for the inside.
 */
#include "sim/sim_fs.h"

#include <string.h>

#include "base/check.h"
#include "base/error.h"
#include "sim/sim_disk.h"

static void check_name(const char *name)
{
    KVI_ASSERT(name[0] != '\0' && strlen(name) <= KVI_OS_NAME_MAX && !strchr(name, '/'));
}

/* --- directories --------------------------------------------------------------------------- */

kvi_sim_dir *kvi_sim_fs_find_dir(kvi_sim_fs *fs, const char *path)
{
    KVI_LIST_EACH(at, &fs->dirs) {
        kvi_sim_dir *d = KVI_CONTAINER_OF(at, kvi_sim_dir, link);

        if (strcmp(d->path, path) == 0)
            return d;
    }
    return NULL;
}

int kvi_sim_fs_add_dir(kvi_sim_fs *fs, const char *path, kvi_sim_dir **out)
{
    kvi_sim_dir *d = kvi_mem_zalloc(fs->mem, 1, sizeof *d);

    if (d)
        d->path = kvi_mem_dup(fs->mem, path, strlen(path) + 1);
    if (!d || !d->path) {
        kvi_mem_free(fs->mem, d);
        return kvi_error_set(KV_ENOMEM, "%s: no memory for a simulated directory", path);
    }
    d->fs = fs;
    kvi_sim_names_init(&d->current, fs->mem);
    kvi_sim_names_init(&d->durable, fs->mem);
    kvi_list_push_back(&fs->dirs, &d->link);
    *out = d;
    return KV_OK;
}

static void dir_free(kvi_sim_dir *d)
{
    kvi_sim_dir_forget_changes(d);
    kvi_sim_names_deinit(&d->current);
    kvi_sim_names_deinit(&d->durable);
    kvi_list_remove(&d->link);
    kvi_mem_free(d->fs->mem, d->changes);
    kvi_mem_free(d->fs->mem, d->path);
    kvi_mem_free(d->fs->mem, d);
}

void kvi_sim_fs_adopt(kvi_sim_fs *fs, kvi_sim_node *n)
{
    kvi_list_push_back(&fs->nodes, &n->link);
}

int kvi_sim_dir_set_current(kvi_sim_dir *d, const char *name, kvi_sim_node *node)
{
    kvi_sim_node *old = kvi_sim_names_find(&d->current, name);
    int err;

    if (old)
        kvi_sim_node_ref(old); /* the name's reference goes */
    err = kvi_sim_names_put(&d->current, name, node);
    if (err == KV_OK) {
        if (old)
            old->named = false;
        node->named = true;
    }
    kvi_sim_node_unref(old);
    return err;
}

void kvi_sim_dir_drop_current(kvi_sim_dir *d, const char *name)
{
    kvi_sim_node *old = kvi_sim_names_find(&d->current, name);

    if (!old)
        return;
    old->named = false;
    kvi_sim_names_remove(&d->current, name);
}

/* --- the directory calls ------------------------------------------------------------------- */

static kvi_sim_dir_handle *handle_of(kvi_os_dir *d)
{
    return KVI_CONTAINER_OF(d, kvi_sim_dir_handle, base);
}

static int missing(const char *name)
{
    return kvi_error_set(KV_ENOENT, "%s: no such file (simulated)", name);
}

/* A new, empty file, which has no durable name yet. *out is borrowed from the names. */
static int create(kvi_sim_dir *d, const char *name, kvi_sim_node **out)
{
    kvi_sim_node *node;
    int err = kvi_sim_node_new(d->fs->mem, &node);

    if (err)
        return err;
    kvi_sim_fs_adopt(d->fs, node);
    err = kvi_sim_dir_set_current(d, name, node);
    if (err == KV_OK) {
        err = kvi_sim_dir_note(d, KVI_SIM_CREATED, node, name);
        if (err)
            kvi_sim_dir_drop_current(d, name);
        else
            *out = node;
    }
    kvi_sim_node_unref(node);
    return err;
}

static int dir_open(kvi_os_dir *base, const char *name, enum kvi_os_open how, kvi_os_file **out)
{
    kvi_sim_dir *d = handle_of(base)->dir;
    bool creates = how == KVI_OS_CREATE;
    kvi_sim_node *node;
    int err;

    check_name(name);
    if (creates)
        kvi_sim_mutation(d->fs);
    err = kvi_sim_call(d->fs, creates ? KVI_SIM_CALL_CREATE : KVI_SIM_CALL_OPEN, name);
    if (err)
        return err;
    node = kvi_sim_names_find(&d->current, name);
    if (creates && node)
        return kvi_error_set(KV_EEXIST, "%s: exists already (simulated)", name);
    if (creates)
        err = create(d, name, &node);
    else if (!node)
        err = missing(name);
    return err ? err : kvi_sim_file_new(d->fs, node, name, how != KVI_OS_READ, out);
}

static int dir_rename(kvi_os_dir *base, const char *from, const char *to)
{
    kvi_sim_dir *d = handle_of(base)->dir;
    kvi_sim_fs *fs = d->fs;
    kvi_sim_node *node;
    bool lost;
    int err;

    check_name(from);
    check_name(to);
    KVI_ASSERT(strcmp(from, to) != 0);
    kvi_sim_mutation(fs);
    err = kvi_sim_call(fs, KVI_SIM_CALL_RENAME, from);
    if (err)
        return err;
    node = kvi_sim_names_find(&d->current, from);
    if (!node)
        return missing(from);
    lost = kvi_sim_rng_chance(&fs->rng, fs->faults.lost_rename_ppm);
    err = kvi_sim_dir_note_rename(d, node, from, to, lost);
    if (err)
        return err;
    fs->counts.lost_renames += lost;
    return kvi_sim_dir_set_current(d, to, node);
}

static int dir_unlink(kvi_os_dir *base, const char *name)
{
    kvi_sim_dir *d = handle_of(base)->dir;
    kvi_sim_node *node;
    int err;

    check_name(name);
    kvi_sim_mutation(d->fs);
    err = kvi_sim_call(d->fs, KVI_SIM_CALL_UNLINK, name);
    if (err)
        return err;
    node = kvi_sim_names_find(&d->current, name);
    if (!node)
        return missing(name);
    err = kvi_sim_dir_note(d, KVI_SIM_UNLINKED, node, name);
    if (err == KV_OK)
        kvi_sim_dir_drop_current(d, name);
    return err;
}

/* From a drawn place on, round: who relied on an order would be found out. */
static int dir_list(kvi_os_dir *base, kvi_os_list_fn *fn, void *user)
{
    kvi_sim_dir *d = handle_of(base)->dir;
    size_t count, first;
    int err = kvi_sim_call(d->fs, KVI_SIM_CALL_LIST, d->path);

    if (err)
        return err;
    count = d->current.count;
    first = count > 0 ? (size_t)kvi_sim_rng_below(&d->fs->rng, count) : 0;
    for (size_t i = 0; i < count; i++)
        fn(user, d->current.entries[(first + i) % count].name);
    KVI_ASSERT(d->current.count == count);
    return KV_OK;
}

static int dir_sync(kvi_os_dir *base)
{
    kvi_sim_dir *d = handle_of(base)->dir;
    kvi_sim_fs *fs = d->fs;
    int err, bad;

    kvi_sim_mutation(fs);
    err = kvi_sim_call(fs, KVI_SIM_CALL_SYNC_DIR, d->path);
    if (fs->off)
        return err;
    if (err == KV_OK)
        return kvi_sim_dir_commit(d);
    bad = kvi_sim_dir_replay(d, &d->durable, kvi_sim_draw_survival(&fs->rng), &fs->rng);
    return bad == KV_OK ? err : bad;
}

static int dir_lock(kvi_os_dir *base, const char *name, enum kvi_os_locked *who)
{
    kvi_sim_dir_handle *h = handle_of(base);
    kvi_sim_dir *d = h->dir;
    kvi_sim_node *node;
    int err;

    check_name(name);
    KVI_ASSERT(!h->locked);
    node = kvi_sim_names_find(&d->current, name);
    if (!node)
        kvi_sim_mutation(d->fs);
    err = kvi_sim_call(d->fs, KVI_SIM_CALL_LOCK, name);
    if (err)
        return err;
    if (d->locked_elsewhere || (node && node->lock)) {
        *who = d->locked_elsewhere ? KVI_OS_LOCKED_BY_OTHER : KVI_OS_LOCKED_BY_US;
        return kvi_error_set(KV_EINUSE, "%s: locked (simulated)", name);
    }
    if (!node)
        err = create(d, name, &node);
    if (err)
        return err;
    h->locked = kvi_sim_node_ref(node);
    node->lock = h;
    return KV_OK;
}

static int dir_close(kvi_os_dir *base)
{
    kvi_sim_dir_handle *h = handle_of(base);
    kvi_sim_fs *fs = h->dir->fs;
    int err = kvi_sim_call(fs, KVI_SIM_CALL_CLOSE_DIR, h->dir->path);

    if (h->locked) {
        KVI_ASSERT(h->locked->lock == h);
        h->locked->lock = NULL;
        kvi_sim_node_unref(h->locked);
    }
    KVI_ASSERT(fs->open_dirs > 0);
    fs->open_dirs--;
    kvi_mem_free(fs->mem, h);
    return err;
}

static const struct kvi_os_dir_ops dir_ops = {
    dir_open, dir_rename, dir_unlink, dir_list, dir_sync, dir_lock, dir_close,
};

static int open_dir(kvi_os_fs *base, const char *path, bool create_it, bool *created,
                    kvi_os_dir **out)
{
    kvi_sim_fs *fs = KVI_CONTAINER_OF(base, kvi_sim_fs, base);
    kvi_sim_dir *d = kvi_sim_fs_find_dir(fs, path);
    bool makes = !d && create_it;
    kvi_sim_dir_handle *h;
    int err;

    if (makes)
        kvi_sim_mutation(fs);
    err = kvi_sim_call(fs, KVI_SIM_CALL_OPEN_DIR, path);
    if (err)
        return err;
    if (!d && !create_it)
        return kvi_error_set(KV_ENOENT, "%s: no such directory (simulated)", path);
    h = kvi_mem_zalloc(fs->mem, 1, sizeof *h);
    if (!h)
        return kvi_error_set(KV_ENOMEM, "%s: no memory to open a simulated directory", path);
    err = makes ? kvi_sim_fs_add_dir(fs, path, &d) : KV_OK;
    if (err) {
        kvi_mem_free(fs->mem, h);
        return err;
    }
    h->base.ops = &dir_ops;
    h->dir = d;
    fs->open_dirs++;
    if (created)
        *created = makes;
    *out = &h->base;
    return KV_OK;
}

/* --- the disk ----------------------------------------------------------------------------------
 */

int kvi_sim_fs_new(const kvi_mem *mem, uint64_t seed, kvi_sim_fs **out)
{
    static const struct kvi_os_fs_ops ops = {open_dir};
    kvi_sim_fs *fs = kvi_mem_zalloc(mem, 1, sizeof *fs);

    if (!fs)
        return kvi_error_set(KV_ENOMEM, "no memory for a simulated disk");
    fs->base.ops = &ops;
    fs->mem = mem;
    fs->map_supported = true;
    kvi_list_init(&fs->dirs);
    kvi_list_init(&fs->nodes);
    kvi_sim_rng_init(&fs->rng, seed);
    *out = fs;
    return KV_OK;
}

void kvi_sim_fs_free(kvi_sim_fs *fs)
{
    if (!fs)
        return;
    KVI_ASSERT(kvi_sim_fs_open_count(fs) == 0);
    while (!kvi_list_empty(&fs->dirs))
        dir_free(KVI_LIST_FIRST(&fs->dirs, kvi_sim_dir, link));
    KVI_ASSERT(kvi_list_empty(&fs->nodes));
    kvi_mem_free(fs->mem, fs);
}

kvi_os_fs *kvi_sim_fs_os(kvi_sim_fs *fs)
{
    return &fs->base;
}

void kvi_sim_fs_set_map(kvi_sim_fs *fs, bool supported)
{
    fs->map_supported = supported;
}

size_t kvi_sim_fs_open_count(const kvi_sim_fs *fs)
{
    return fs->open_dirs + fs->open_files + fs->maps;
}

void kvi_sim_fs_set_hook(kvi_sim_fs *fs, kvi_sim_mutation_fn *fn, void *user)
{
    fs->hook = fn;
    fs->hook_user = user;
}
