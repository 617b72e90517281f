/*
 * The choice of a compaction; see pick.h.
 */
#include "lsm/pick.h"

#include "base/check.h"

static uint64_t level_target(const kvi_lsm_shape *shape, uint32_t level)
{
    uint64_t target = shape->level1_bytes;

    for (uint32_t i = 1; i < level && target < UINT64_MAX / shape->level_ratio / 100; i++)
        target *= shape->level_ratio;
    return target;
}

uint64_t kvi_lsm_level_score(const kvi_lsm_version *v, const kvi_lsm_shape *shape, uint32_t level)
{
    KVI_ASSERT(level < KVI_LSM_LEVELS);
    if (level == 0)
        return (uint64_t)v->level[0].count * 100 / shape->level0_compact;
    return v->level[level].bytes / (level_target(shape, level) / 100 + 1);
}

/** The files of the level that hold keys within [smallest, largest]: a run, since they are in
 *  order. */
static kvi_lsm_file **overlap(const kvi_lsm_version *v, uint32_t level, kvi_slice smallest,
                              kvi_slice largest, uint32_t *count)
{
    uint32_t first = kvi_lsm_version_find(v, level, smallest), end = first;

    while (end < v->level[level].count &&
           kvi_slice_cmp(v->level[level].files[end]->smallest, largest) <= 0)
        end++;
    *count = end - first;
    return v->level[level].files + first;
}

/** What compacting f costs: bytes of the next level under each of its own, in 1/1024; tables full
 *  of deletes look cheaper. */
static uint64_t cost(const kvi_lsm_version *v, uint32_t level, const kvi_lsm_file *f)
{
    uint32_t count;
    kvi_lsm_file **under = overlap(v, level + 1, f->smallest, f->largest, &count);
    uint64_t bytes = 0, gain = f->size + 2 * f->size / (f->entries + 1) * f->deletes;

    for (uint32_t i = 0; i < count; i++)
        bytes += under[i]->size;
    return bytes * 1024 / (gain + 1);
}

static void pick_level0(const kvi_lsm_version *v, bool rewrite, kvi_lsm_pick *out)
{
    kvi_slice smallest = v->level[0].files[0]->smallest, largest = v->level[0].files[0]->largest;

    out->upper = v->level[0].files;
    out->upper_count = v->level[0].count;
    for (uint32_t i = 1; i < out->upper_count; i++) {
        const kvi_lsm_file *f = out->upper[i];

        if (kvi_slice_cmp(f->smallest, smallest) < 0)
            smallest = f->smallest;
        if (kvi_slice_cmp(f->largest, largest) > 0)
            largest = f->largest;
    }
    out->lower = overlap(v, 1, smallest, largest, &out->lower_count);
    out->trivial = !rewrite && out->upper_count == 1 && out->lower_count == 0;
}

static void pick_deeper(const kvi_lsm_version *v, uint32_t level, kvi_lsm_pick *out)
{
    uint64_t best_cost = UINT64_MAX;

    for (uint32_t i = 0; i < v->level[level].count; i++) {
        uint64_t c = cost(v, level, v->level[level].files[i]);

        if (c >= best_cost)
            continue;
        best_cost = c;
        out->upper = v->level[level].files + i;
    }
    KVI_ASSERT(out->upper);
    out->upper_count = 1;
    out->lower =
        overlap(v, level + 1, out->upper[0]->smallest, out->upper[0]->largest, &out->lower_count);
    out->trivial = out->lower_count == 0;
}

void kvi_lsm_pick_compaction(const kvi_lsm_version *v, const kvi_lsm_shape *shape, bool rewrite,
                             kvi_lsm_pick *out)
{
    uint64_t best = 99;

    *out = (kvi_lsm_pick){.level = KVI_LSM_PICK_NONE};
    for (uint32_t level = 0; level + 1 < KVI_LSM_LEVELS; level++) {
        uint64_t score = kvi_lsm_level_score(v, shape, level);

        if (score <= best)
            continue;
        best = score;
        out->level = level;
    }
    if (out->level == KVI_LSM_PICK_NONE)
        return;
    if (out->level == 0)
        pick_level0(v, rewrite, out);
    else
        pick_deeper(v, out->level, out);
    KVI_ASSERT(out->upper_count > 0);
}
