/*
 * Versions and their files; see version.h for the contract.
 */
#include "lsm/version.h"

#include <inttypes.h>

#include "base/check.h"
#include "base/error.h"
#include "lsm/sort.h"
#include "lsm/version_impl.h"

/* --- files -------------------------------------------------------------------------------- */

static bool is_key(kvi_slice s)
{
    return s.len > 0 && s.len <= KVI_LSM_KEY_MAX;
}

const char *kvi_lsm_file_info_fault(const kvi_lsm_file_info *info)
{
    if (info->number == 0 || info->number > KVI_LSM_FILE_NO_MAX)
        return "its number is out of range";
    if (info->size == 0 || info->size > KVI_LSM_FILE_BYTES_MAX)
        return "its size is out of range";
    if (info->entries == 0 || info->entries > KVI_LSM_FILE_ENTRIES_MAX)
        return "its number of entries is out of range";
    if (info->deletes > info->entries)
        return "it has more deletes than entries";
    if (info->seq_min > info->seq_max || info->seq_max > KVI_SEQ_MAX)
        return "its sequences are out of range";
    if (!is_key(info->smallest) || !is_key(info->largest))
        return "a key's length is out of range";
    if (kvi_slice_cmp(info->smallest, info->largest) > 0)
        return "its smallest key is above its largest";
    return NULL;
}

kvi_lsm_file *kvi_lsm_file_new(const kvi_mem *mem, const kvi_lsm_file_info *info,
                               kvi_lsm_obsolete_fn *on_obsolete, void *user)
{
    kvi_lsm_file *f;
    uint8_t *keys;

    KVI_ASSERT(on_obsolete);
    KVI_ASSERT(!kvi_lsm_file_info_fault(info));
    f = kvi_mem_zalloc(mem, 1, sizeof *f + info->smallest.len + info->largest.len);
    if (!f)
        return NULL;
    keys = (uint8_t *)(f + 1);
    memcpy(keys, info->smallest.data, info->smallest.len);
    memcpy(keys + info->smallest.len, info->largest.data, info->largest.len);
    atomic_init(&f->refs, 1);
    atomic_init(&f->table, NULL);
    atomic_init(&f->doomed, false);
    f->number = info->number;
    f->size = info->size;
    f->entries = info->entries;
    f->deletes = info->deletes;
    f->seq_min = info->seq_min;
    f->seq_max = info->seq_max;
    f->smallest = kvi_slice_of(keys, info->smallest.len);
    f->largest = kvi_slice_of(keys + info->smallest.len, info->largest.len);
    f->on_obsolete = on_obsolete;
    f->user = user;
    return f;
}

void kvi_lsm_file_ref(kvi_lsm_file *f)
{
    uint32_t before = atomic_fetch_add_explicit(&f->refs, 1, memory_order_relaxed);

    KVI_ASSERT(before > 0 && before < UINT32_MAX);
}

void kvi_lsm_file_unref(kvi_lsm_file *f)
{
    uint32_t before = atomic_fetch_sub_explicit(&f->refs, 1, memory_order_acq_rel);

    KVI_ASSERT(before > 0);
    if (before == 1)
        f->on_obsolete(f, f->user);
}

int kvi_lsm_file_order(uint32_t level, const kvi_lsm_file *a, const kvi_lsm_file *b)
{
    int c;

    if (level == 0)
        c = (a->seq_max < b->seq_max) - (a->seq_max > b->seq_max);
    else
        c = kvi_slice_cmp(a->smallest, b->smallest);
    return c ? c : (a->number < b->number) - (a->number > b->number);
}

static int by_age(const void *a, const void *b)
{
    return kvi_lsm_file_order(0, *(kvi_lsm_file *const *)a, *(kvi_lsm_file *const *)b);
}

static int by_key(const void *a, const void *b)
{
    return kvi_lsm_file_order(1, *(kvi_lsm_file *const *)a, *(kvi_lsm_file *const *)b);
}

void kvi_lsm_files_sort(kvi_lsm_file **files, uint32_t count, uint32_t level)
{
    uint32_t i = 1;

    while (i < count && kvi_lsm_file_order(level, files[i - 1], files[i]) < 0)
        i++;
    if (i < count) /* most often they are in order */
        kvi_lsm_sort(files, count, sizeof *files, level == 0 ? by_age : by_key);
}

/* --- versions ----------------------------------------------------------------------------- */

kvi_lsm_version *kvi_lsm_version_alloc(const kvi_mem *mem, const uint32_t cap[KVI_LSM_LEVELS])
{
    kvi_lsm_version *v = NULL;
    kvi_lsm_file **files;
    uint64_t total = 0;

    for (uint32_t i = 0; i < KVI_LSM_LEVELS; i++)
        total += cap[i];
    if (total < (SIZE_MAX - sizeof *v) / sizeof *files)
        v = kvi_mem_zalloc(mem, 1, sizeof *v + (size_t)total * sizeof *files);
    if (!v) {
        (void)kvi_error_set(KV_ENOMEM, "no memory for a version of %" PRIu64 " tables", total);
        return NULL;
    }
    atomic_init(&v->refs, 1);
    v->mem = mem;
    files = (kvi_lsm_file **)(void *)(v + 1);
    for (uint32_t i = 0; i < KVI_LSM_LEVELS; i++) {
        v->level[i].files = files;
        files += cap[i];
    }
    return v;
}

/* Sums and disjointness of one level. */
static int check_level(kvi_lsm_version *v, uint32_t level)
{
    kvi_lsm_file *const *files = v->level[level].files;

    v->level[level].bytes = 0;
    for (uint32_t i = 0; i < v->level[level].count; i++) {
        v->level[level].bytes += files[i]->size;
        if (i == 0)
            continue;
        KVI_ASSERT(kvi_lsm_file_order(level, files[i - 1], files[i]) < 0);
        if (level > 0 && kvi_slice_cmp(files[i - 1]->largest, files[i]->smallest) >= 0)
            return kvi_error_set(KV_ECORRUPT,
                                 "tables %06" PRIu64 ".sst and %06" PRIu64
                                 ".sst overlap in level %" PRIu32,
                                 files[i - 1]->number, files[i]->number, level);
    }
    return KV_OK;
}

int kvi_lsm_version_seal(kvi_lsm_version *v)
{
    uint64_t total = 0;

    for (uint32_t level = 0; level < KVI_LSM_LEVELS; level++) {
        int err = check_level(v, level);

        if (err)
            return err;
        total += v->level[level].count;
    }
    if (total > KVI_LSM_FILES_MAX)
        return kvi_error_set(KV_ENOSPC, "a store has at most %u tables, this change makes %" PRIu64,
                             KVI_LSM_FILES_MAX, total);
    for (uint32_t level = 0; level < KVI_LSM_LEVELS; level++)
        for (uint32_t i = 0; i < v->level[level].count; i++)
            kvi_lsm_file_ref(v->level[level].files[i]);
    return KV_OK;
}

int kvi_lsm_version_new(const kvi_mem *mem, kvi_lsm_version **out)
{
    static const uint32_t nothing[KVI_LSM_LEVELS] = {0};
    kvi_lsm_version *v = kvi_lsm_version_alloc(mem, nothing);

    if (!v)
        return KV_ENOMEM;
    *out = v;
    return KV_OK;
}

void kvi_lsm_version_ref(kvi_lsm_version *v)
{
    uint32_t before = atomic_fetch_add_explicit(&v->refs, 1, memory_order_relaxed);

    KVI_ASSERT(before > 0 && before < UINT32_MAX);
}

void kvi_lsm_version_unref(kvi_lsm_version *v)
{
    uint32_t before;

    if (!v)
        return;
    before = atomic_fetch_sub_explicit(&v->refs, 1, memory_order_acq_rel);
    KVI_ASSERT(before > 0);
    if (before > 1)
        return;
    for (uint32_t level = 0; level < KVI_LSM_LEVELS; level++)
        for (uint32_t i = 0; i < v->level[level].count; i++)
            kvi_lsm_file_unref(v->level[level].files[i]);
    kvi_mem_free(v->mem, v);
}

uint32_t kvi_lsm_version_find(const kvi_lsm_version *v, uint32_t level, kvi_slice key)
{
    kvi_lsm_file *const *files = v->level[level].files;
    uint32_t low = 0, high = v->level[level].count;

    KVI_ASSERT(level > 0 && level < KVI_LSM_LEVELS);
    while (low < high) {
        uint32_t middle = low + (high - low) / 2;

        if (kvi_slice_cmp(files[middle]->largest, key) < 0)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

bool kvi_lsm_version_overlaps(const kvi_lsm_version *v, uint32_t level, kvi_slice smallest,
                              kvi_slice largest)
{
    kvi_lsm_file *const *files = v->level[level].files;
    uint32_t count = v->level[level].count;

    KVI_ASSERT(level < KVI_LSM_LEVELS);
    if (level > 0) {
        uint32_t i = kvi_lsm_version_find(v, level, smallest);

        return i < count && kvi_slice_cmp(files[i]->smallest, largest) <= 0;
    }
    for (uint32_t i = 0; i < count; i++) {
        if (kvi_slice_cmp(files[i]->largest, smallest) >= 0 &&
            kvi_slice_cmp(files[i]->smallest, largest) <= 0)
            return true;
    }
    return false;
}
