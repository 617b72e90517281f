/*
 * A version out of many edits; see the header for the contract.
 */
#include "lsm/version_builder.h"

#include <inttypes.h>

#include "base/check.h"
#include "base/error.h"
#include "base/hash.h"
#include "lsm/version_impl.h"

#define CAP_MIN 64u

void kvi_lsm_version_builder_init(kvi_lsm_version_builder *b, const kvi_mem *mem)
{
    *b = (kvi_lsm_version_builder){.mem = mem};
}

void kvi_lsm_version_builder_deinit(kvi_lsm_version_builder *b)
{
    for (uint32_t i = 0; i < b->count; i++) {
        if (b->entries[i].file)
            kvi_lsm_file_unref(b->entries[i].file);
    }
    kvi_mem_free(b->mem, b->entries);
    kvi_mem_free(b->mem, b->slots);
    *b = (kvi_lsm_version_builder){.mem = b->mem};
}

/* The slot of a number: where it is, or where it would go. Half of the slots are free. */
static uint32_t *slot_of(const kvi_lsm_version_builder *b, uint64_t number)
{
    uint32_t mask = 2 * b->cap - 1, i = (uint32_t)kvi_mix64(number) & mask;

    KVI_ASSERT(b->cap > 0 && b->count <= b->cap);
    while (b->slots[i] > 0 && b->entries[b->slots[i] - 1].number != number)
        i = (i + 1) & mask;
    return &b->slots[i];
}

static int grow(kvi_lsm_version_builder *b)
{
    uint32_t cap = b->cap > 0 ? b->cap * 2 : CAP_MIN;
    struct kvi_lsm_builder_entry *entries;
    uint32_t *slots;

    if (cap > KVI_LSM_BUILDER_MAX)
        return kvi_error_set(KV_ECORRUPT, "more than %" PRIu32 " tables are named",
                             KVI_LSM_BUILDER_MAX);
    slots = kvi_mem_zalloc(b->mem, (size_t)2 * cap, sizeof *slots);
    entries = slots ? kvi_mem_resize(b->mem, b->entries, cap * sizeof *entries) : NULL;
    if (!entries) {
        kvi_mem_free(b->mem, slots);
        return kvi_error_set(KV_ENOMEM, "no memory for a version of %" PRIu32 " tables", cap);
    }
    kvi_mem_free(b->mem, b->slots);
    b->entries = entries;
    b->slots = slots;
    b->cap = cap;
    for (uint32_t i = 0; i < b->count; i++)
        *slot_of(b, entries[i].number) = i + 1;
    return KV_OK;
}

static struct kvi_lsm_builder_entry *find(const kvi_lsm_version_builder *b, uint64_t number)
{
    uint32_t index = b->cap > 0 ? *slot_of(b, number) : 0;

    return index > 0 ? &b->entries[index - 1] : NULL;
}

static int add(kvi_lsm_version_builder *b, uint32_t level, kvi_lsm_file *file)
{
    struct kvi_lsm_builder_entry *entry = find(b, file->number);

    if (entry && entry->file)
        return kvi_error_set(KV_ECORRUPT,
                             "an edit adds table %06" PRIu64 ".sst, which is there already",
                             file->number);
    if (b->live == KVI_LSM_FILES_MAX)
        return kvi_error_set(KV_ECORRUPT, "there are more than %u tables", KVI_LSM_FILES_MAX);
    if (!entry) {
        int err = b->count == b->cap ? grow(b) : KV_OK;

        if (err)
            return err;
        KVI_ASSERT(b->entries && b->count < b->cap);
        *slot_of(b, file->number) = b->count + 1;
        entry = &b->entries[b->count++];
        entry->number = file->number;
    }
    kvi_lsm_file_ref(file);
    entry->file = file;
    entry->level = level;
    b->live++;
    return KV_OK;
}

static int take_away(kvi_lsm_version_builder *b, uint32_t level, uint64_t number)
{
    struct kvi_lsm_builder_entry *entry = find(b, number);

    if (!entry || !entry->file || entry->level != level)
        return kvi_error_set(KV_ECORRUPT,
                             "an edit removes table %06" PRIu64 ".sst from level %" PRIu32
                             ", where it is not",
                             number, level);
    kvi_lsm_file_unref(entry->file);
    entry->file = NULL;
    b->live--;
    return KV_OK;
}

int kvi_lsm_version_builder_apply(kvi_lsm_version_builder *b, const kvi_lsm_edit *e)
{
    int err = KV_OK;

    for (uint32_t i = 0; i < e->remove_count && !err; i++)
        err = take_away(b, e->removes[i].level, e->removes[i].number);
    for (uint32_t i = 0; i < e->add_count && !err; i++)
        err = add(b, e->adds[i].level, e->adds[i].file);
    return err;
}

int kvi_lsm_version_builder_finish(const kvi_lsm_version_builder *b, kvi_lsm_version **out)
{
    uint32_t cap[KVI_LSM_LEVELS] = {0};
    kvi_lsm_version *v;
    int err;

    for (uint32_t i = 0; i < b->count; i++) {
        if (b->entries[i].file)
            cap[b->entries[i].level]++;
    }
    v = kvi_lsm_version_alloc(b->mem, cap);
    if (!v)
        return KV_ENOMEM;
    for (uint32_t i = 0; i < b->count; i++) {
        const struct kvi_lsm_builder_entry *entry = &b->entries[i];

        if (entry->file)
            v->level[entry->level].files[v->level[entry->level].count++] = entry->file;
    }
    for (uint32_t level = 0; level < KVI_LSM_LEVELS; level++)
        kvi_lsm_files_sort(v->level[level].files, v->level[level].count, level);
    err = kvi_lsm_version_seal(v);
    if (err) {
        kvi_mem_free(b->mem, v);
        return err;
    }
    *out = v;
    return KV_OK;
}
