/*
 * What a power loss leaves of a simulated disk. See sim_fs.h for the variants, sim_disk.h for the
 * inside.
 *
 * A file is built from its durable image, over which goes what of the dirty rest survives: all of
 * it, whole writes in their order, or units of the current image. A failed sync is the same, on the
 * file itself.
 */
#include <string.h>

#include "base/check.h"
#include "base/error.h"
#include "sim/sim_disk.h"

#define SIZE_ALONE_PPM 250000u /* a file's new size survives without its last bytes */

uint32_t kvi_sim_draw_survival(kvi_sim_rng *rng)
{
    static const uint32_t rates[] = {62500, 250000, 500000, 750000, 937500};

    return rates[kvi_sim_rng_below(rng, sizeof rates / sizeof rates[0])];
}

/* --- a file -------------------------------------------------------------------------------- */

/* Where the durable image has no page yet, all of the current one is new, also if zero. */
static bool unit_changed(const kvi_sim_slot *slot, size_t at, size_t unit)
{
    if (!slot->disk)
        return slot->cur != NULL;
    if (!slot->cur)
        return false;
    return memcmp(slot->cur->bytes + at, slot->disk->bytes + at, unit) != 0;
}

static int lay_units(const kvi_sim_node *from, kvi_sim_node *to, size_t unit, uint32_t ppm,
                     kvi_sim_rng *rng)
{
    for (size_t i = 0; i < from->count; i++) {
        const kvi_sim_slot *slot = &from->slots[i];

        for (size_t at = 0; slot->dirty && at < KVI_SIM_PAGE; at += unit) {
            uint64_t offset = (uint64_t)i * KVI_SIM_PAGE + at;
            int err;

            if (offset >= from->cur_size || !unit_changed(slot, at, unit) ||
                !kvi_sim_rng_chance(rng, ppm))
                continue;
            err = kvi_sim_node_put(to, offset, slot->cur->bytes + at,
                                   (size_t)kvi_min_u64(unit, from->cur_size - offset));
            if (err)
                return err;
        }
    }
    return KV_OK;
}

static int lay_ops(const kvi_sim_node *from, kvi_sim_node *to, bool cut, uint32_t ppm,
                   kvi_sim_rng *rng)
{
    for (size_t i = 0; i < from->op_count; i++) {
        const kvi_sim_op *op = &from->ops[i];
        size_t len = op->len;
        int err;

        if (!kvi_sim_rng_chance(rng, ppm))
            continue;
        if (cut && kvi_sim_rng_chance(rng, KVI_SIM_ALWAYS_PPM / 2))
            len = (size_t)kvi_sim_rng_below(rng, len + 1);
        err = kvi_sim_node_put(to, op->offset, from->op_bytes.data + op->at, len);
        if (err)
            return err;
    }
    return KV_OK;
}

static void lay_all(const kvi_sim_node *from, kvi_sim_node *to)
{
    for (size_t i = 0; i < from->count; i++)
        if (from->slots[i].dirty)
            kvi_sim_page_replace(&to->slots[i].disk, from->slots[i].cur, to->mem);
    to->disk_size = kvi_sim_node_size_kept(from);
}

static int lay_some(const kvi_sim_node *from, kvi_sim_node *to, enum kvi_sim_crash variant,
                    kvi_sim_rng *rng)
{
    uint32_t ppm = kvi_sim_draw_survival(rng);
    int err = KV_OK;

    if (variant == KVI_SIM_TORN_512 || variant == KVI_SIM_TORN_4096) {
        size_t unit = variant == KVI_SIM_TORN_512 ? KVI_SIM_SECTOR : KVI_SIM_PAGE;

        err = lay_units(from, to, unit, ppm, rng);
    } else {
        if (from->loose)
            err = lay_units(from, to, KVI_SIM_SECTOR, ppm, rng);
        if (err == KV_OK)
            err = lay_ops(from, to, variant == KVI_SIM_TORN_1, ppm, rng);
    }
    if (from->size_dirty && kvi_sim_rng_chance(rng, SIZE_ALONE_PPM))
        to->disk_size = from->cur_size;
    return err;
}

/* The current image is the durable one. Slots behind its end are empty. */
static void settle(kvi_sim_node *n)
{
    n->count = (size_t)((n->disk_size + KVI_SIM_PAGE - 1) / KVI_SIM_PAGE);
    for (size_t i = 0; i < n->count; i++)
        kvi_sim_page_replace(&n->slots[i].cur, n->slots[i].disk, n->mem);
    n->cur_size = n->disk_size;
}

int kvi_sim_node_survive(kvi_sim_node *n, enum kvi_sim_crash variant, kvi_sim_rng *rng,
                         kvi_sim_node **out)
{
    kvi_sim_node *to = NULL;
    int err = kvi_sim_node_absorb_all(n);

    if (err == KV_OK)
        err = kvi_sim_node_new(n->mem, &to);
    if (err == KV_OK)
        err = kvi_sim_node_reserve(to, (uint64_t)n->count * KVI_SIM_PAGE);
    if (err)
        goto fail;
    for (size_t i = 0; i < n->count; i++)
        kvi_sim_page_replace(&to->slots[i].disk, n->slots[i].disk, to->mem);
    to->disk_size = n->disk_size;
    if (variant == KVI_SIM_KEEP)
        lay_all(n, to);
    else if (variant != KVI_SIM_DROP)
        err = lay_some(n, to, variant, rng);
    if (err)
        goto fail;
    KVI_ASSERT(to->disk_size <= n->cur_size);
    settle(to);
    *out = to;
    return KV_OK;
fail:
    kvi_sim_node_unref(to);
    return err;
}

int kvi_sim_node_sync_badly(kvi_sim_node *n, kvi_sim_rng *rng, bool evict)
{
    kvi_sim_node *left;
    int err = kvi_sim_node_survive(n, KVI_SIM_TORN_512, rng, &left);

    if (err)
        return err;
    for (size_t i = 0; i < n->count; i++) {
        kvi_sim_slot *slot = &n->slots[i];

        kvi_sim_page_replace(&slot->disk, i < left->count ? left->slots[i].disk : NULL, n->mem);
        if (slot->dirty && evict && !n->map) /* what is mapped stays in memory */
            kvi_sim_page_replace(&slot->cur, slot->disk, n->mem);
    }
    n->disk_size = left->disk_size;
    kvi_sim_node_mark_clean(n);
    kvi_sim_node_unref(left);
    return KV_OK;
}

/* --- the disk ----------------------------------------------------------------------------------
 */

/* The names that survive, with from's nodes. */
static int names_left(const kvi_sim_dir *from, enum kvi_sim_crash variant, kvi_sim_rng *rng,
                      kvi_sim_names *left)
{
    uint32_t ppm = KVI_SIM_ALWAYS_PPM;
    int err = kvi_sim_names_copy(left, &from->durable);

    if (err || variant == KVI_SIM_DROP || from->change_count == 0)
        return err;
    if (variant != KVI_SIM_KEEP)
        ppm = kvi_sim_draw_survival(rng);
    return kvi_sim_dir_replay(from, left, ppm, rng);
}

static int copy_file(kvi_sim_fs *to_fs, kvi_sim_dir *to, const kvi_sim_entry *entry,
                     enum kvi_sim_crash variant, kvi_sim_rng *rng)
{
    kvi_sim_node *node;
    int err = kvi_sim_node_survive(entry->node, variant, rng, &node);

    if (err)
        return err;
    kvi_sim_fs_adopt(to_fs, node);
    err = kvi_sim_dir_set_current(to, entry->name, node);
    kvi_sim_node_unref(node);
    return err;
}

static int copy_dir(const kvi_sim_dir *from, kvi_sim_fs *to_fs, enum kvi_sim_crash variant,
                    kvi_sim_rng *rng)
{
    kvi_sim_names left;
    kvi_sim_dir *to;
    int err;

    kvi_sim_names_init(&left, to_fs->mem);
    err = kvi_sim_fs_add_dir(to_fs, from->path, &to);
    if (err == KV_OK)
        err = names_left(from, variant, rng, &left);
    for (size_t i = 0; err == KV_OK && i < left.count; i++)
        err = copy_file(to_fs, to, &left.entries[i], variant, rng);
    if (err == KV_OK)
        err = kvi_sim_names_copy(&to->durable, &to->current);
    kvi_sim_names_deinit(&left);
    return err;
}

int kvi_sim_fs_crash_copy(kvi_sim_fs *src, enum kvi_sim_crash variant, uint64_t seed,
                          kvi_sim_fs **out)
{
    kvi_sim_fs *fs;
    kvi_sim_rng rng;
    int err = kvi_sim_fs_new(src->mem, seed, &fs);

    if (err)
        return err;
    KVI_ASSERT(variant < KVI_SIM_CRASHES);
    kvi_sim_rng_init(&rng, seed ^ (uint64_t)variant << 56);
    fs->map_supported = src->map_supported;
    KVI_LIST_EACH(at, &src->dirs) {
        err = copy_dir(KVI_CONTAINER_OF(at, kvi_sim_dir, link), fs, variant, &rng);
        if (err) {
            kvi_sim_fs_free(fs);
            return err;
        }
    }
    *out = fs;
    return KV_OK;
}
