/*
 * Edits, and the version that one makes of another; see version.h for the contract.
 *
 * Each level of the new version is a merge of what stays of the old one, which is in order, and of
 * what is added, which is sorted: one pass, with a look-up of each number among those of the edit.
 */
#include <inttypes.h>
#include <stdlib.h>

#include "base/check.h"
#include "base/error.h"
#include "lsm/sort.h"
#include "lsm/version_impl.h"

#define EDIT_CAP_MIN 8u

/* --- edits -------------------------------------------------------------------------------- */

void kvi_lsm_edit_init(kvi_lsm_edit *e, const kvi_mem *mem)
{
    *e = (kvi_lsm_edit){.mem = mem};
}

void kvi_lsm_edit_deinit(kvi_lsm_edit *e)
{
    for (uint32_t i = 0; i < e->add_count; i++)
        kvi_lsm_file_unref(e->adds[i].file);
    kvi_mem_free(e->mem, e->adds);
    kvi_mem_free(e->mem, e->removes);
    *e = (kvi_lsm_edit){.mem = e->mem};
}

/* Room for one more element of size bytes. */
static int grow(const kvi_mem *mem, void **array, uint32_t count, uint32_t *cap, size_t size)
{
    uint32_t more = *cap > 0 ? *cap * 2 : EDIT_CAP_MIN;
    void *bigger;

    KVI_ASSERT(count <= *cap);
    if (count < *cap)
        return KV_OK;
    if (count >= KVI_LSM_FILES_MAX)
        return kvi_error_set(KV_ENOSPC, "an edit of more than %u tables", KVI_LSM_FILES_MAX);
    bigger = kvi_mem_resize(mem, *array, more * size);
    if (!bigger)
        return kvi_error_set(KV_ENOMEM, "no memory for an edit of %" PRIu32 " tables", more);
    *array = bigger;
    *cap = more;
    return KV_OK;
}

int kvi_lsm_edit_add(kvi_lsm_edit *e, uint32_t level, kvi_lsm_file *file)
{
    void *adds = e->adds;
    int err;

    KVI_ASSERT(level < KVI_LSM_LEVELS && file);
    err = grow(e->mem, &adds, e->add_count, &e->add_cap, sizeof *e->adds);
    e->adds = adds;
    if (err) {
        kvi_lsm_file_unref(file);
        return err;
    }
    e->adds[e->add_count++] = (struct kvi_lsm_edit_add){level, file};
    return KV_OK;
}

int kvi_lsm_edit_remove(kvi_lsm_edit *e, uint32_t level, uint64_t number)
{
    void *removes = e->removes;
    int err;

    KVI_ASSERT(level < KVI_LSM_LEVELS);
    err = grow(e->mem, &removes, e->remove_count, &e->remove_cap, sizeof *e->removes);
    e->removes = removes;
    if (!err)
        e->removes[e->remove_count++] = (struct kvi_lsm_edit_remove){level, number};
    return err;
}

/* --- an edit, to be asked by number ------------------------------------------------------- */

typedef const struct kvi_lsm_edit_add *add_ref;
typedef const struct kvi_lsm_edit_remove *remove_ref;

typedef struct edit_index {
    const kvi_lsm_edit *edit;
    void *memory;         /* of all three */
    add_ref *adds;        /* by number */
    remove_ref *removes;  /* by number */
    kvi_lsm_file **fresh; /* room for what is added to a level */
} edit_index;

static int compare(uint64_t a, uint64_t b)
{
    return (a > b) - (a < b);
}

static int add_cmp(const void *a, const void *b)
{
    return compare((*(const add_ref *)a)->file->number, (*(const add_ref *)b)->file->number);
}

static int remove_cmp(const void *a, const void *b)
{
    return compare((*(const remove_ref *)a)->number, (*(const remove_ref *)b)->number);
}

static int add_find(const void *number, const void *add)
{
    return compare(*(const uint64_t *)number, (*(const add_ref *)add)->file->number);
}

static int remove_find(const void *number, const void *remove)
{
    return compare(*(const uint64_t *)number, (*(const remove_ref *)remove)->number);
}

static bool is_added(const edit_index *x, uint64_t number)
{
    return x->edit->add_count > 0 &&
           bsearch(&number, x->adds, x->edit->add_count, sizeof *x->adds, add_find);
}

static bool is_removed(const edit_index *x, uint32_t level, uint64_t number)
{
    const remove_ref *found = NULL;

    if (x->edit->remove_count > 0)
        found =
            bsearch(&number, x->removes, x->edit->remove_count, sizeof *x->removes, remove_find);
    return found && (*found)->level == level;
}

/* The caller frees x->memory, on success. */
static int index_edit(edit_index *x, const kvi_mem *mem, const kvi_lsm_edit *e)
{
    size_t adds = e->add_count, removes = e->remove_count;

    x->edit = e;
    x->memory = kvi_mem_zalloc(mem, adds * 2 + removes, sizeof(void *));
    if (!x->memory)
        return kvi_error_set(KV_ENOMEM, "no memory for an edit of %zu tables", adds + removes);
    x->adds = x->memory;
    x->removes = (remove_ref *)(void *)(x->adds + adds);
    x->fresh = (kvi_lsm_file **)(void *)(x->removes + removes);
    for (size_t i = 0; i < adds; i++)
        x->adds[i] = &e->adds[i];
    for (size_t i = 0; i < removes; i++)
        x->removes[i] = &e->removes[i];
    kvi_lsm_sort(x->adds, adds, sizeof *x->adds, add_cmp);
    kvi_lsm_sort(x->removes, removes, sizeof *x->removes, remove_cmp);
    return KV_OK;
}

static int added_twice(uint64_t number)
{
    return kvi_error_set(KV_ECORRUPT,
                         "an edit adds table %06" PRIu64 ".sst, which is there already", number);
}

/* --- applying ----------------------------------------------------------------------------- */

/* One level of v. Counts what it leaves out in *removed. */
static int apply_level(const kvi_lsm_version *base, const edit_index *x, uint32_t level,
                       kvi_lsm_version *v, uint32_t *removed)
{
    kvi_lsm_file **files = v->level[level].files;
    uint32_t count = 0, fresh_count = 0, next = 0;

    for (uint32_t i = 0; i < x->edit->add_count; i++) {
        if (x->edit->adds[i].level == level)
            x->fresh[fresh_count++] = x->edit->adds[i].file;
    }
    kvi_lsm_files_sort(x->fresh, fresh_count, level);
    for (uint32_t i = 0; i < base->level[level].count; i++) {
        kvi_lsm_file *f = base->level[level].files[i];

        if (is_removed(x, level, f->number)) {
            ++*removed;
            continue;
        }
        if (is_added(x, f->number))
            return added_twice(f->number);
        while (next < fresh_count && kvi_lsm_file_order(level, x->fresh[next], f) < 0)
            files[count++] = x->fresh[next++];
        files[count++] = f;
    }
    while (next < fresh_count)
        files[count++] = x->fresh[next++];
    v->level[level].count = count;
    return KV_OK;
}

static int apply_levels(const kvi_lsm_version *base, const edit_index *x, kvi_lsm_version *v)
{
    const kvi_lsm_edit *e = x->edit;
    uint32_t removed = 0;

    for (uint32_t i = 1; i < e->add_count; i++) {
        if (x->adds[i - 1]->file->number == x->adds[i]->file->number)
            return added_twice(x->adds[i]->file->number);
    }
    for (uint32_t level = 0; level < KVI_LSM_LEVELS; level++) {
        int err = apply_level(base, x, level, v, &removed);

        if (err)
            return err;
    }
    if (removed < e->remove_count)
        return kvi_error_set(KV_ECORRUPT,
                             "an edit removes %" PRIu32 " tables, of which %" PRIu32
                             " are in the levels it says",
                             e->remove_count, removed);
    return KV_OK;
}

int kvi_lsm_version_apply(kvi_lsm_version *base, const kvi_lsm_edit *e, kvi_lsm_version **out)
{
    uint32_t cap[KVI_LSM_LEVELS];
    kvi_lsm_version *v;
    edit_index x;
    int err = index_edit(&x, base->mem, e);

    if (err)
        return err;
    for (uint32_t level = 0; level < KVI_LSM_LEVELS; level++)
        cap[level] = base->level[level].count;
    for (uint32_t i = 0; i < e->add_count; i++)
        cap[e->adds[i].level]++;
    v = kvi_lsm_version_alloc(base->mem, cap);
    err = v ? apply_levels(base, &x, v) : KV_ENOMEM;
    if (!err)
        err = kvi_lsm_version_seal(v);
    kvi_mem_free(base->mem, x.memory);
    if (err) {
        kvi_mem_free(base->mem, v);
        return err;
    }
    *out = v;
    return KV_OK;
}
