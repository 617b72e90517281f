/*
 * Manifest records, arbitrary bytes: the first is the number of fields that is claimed.
 *
 * Held: decoding ends with a code; decode, encode, decode is the identity, and so is a second
 * encoding; applying the edit to an empty version and building a version of it come to the same.
 */
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "lsm/manifest_record.h"
#include "lsm/version_builder.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void free_file(kvi_lsm_file *f, void *mem)
{
    kvi_mem_free(mem, f);
}

static bool same_file(const kvi_lsm_file *a, const kvi_lsm_file *b)
{
    return a->number == b->number && a->size == b->size && a->entries == b->entries &&
           a->deletes == b->deletes && a->seq_min == b->seq_min && a->seq_max == b->seq_max &&
           kvi_slice_eq(a->smallest, b->smallest) && kvi_slice_eq(a->largest, b->largest);
}

static bool same_edit(const kvi_lsm_edit *a, const kvi_lsm_edit *b)
{
    if (a->flushed_seq != b->flushed_seq || a->log_floor != b->log_floor ||
        a->next_file != b->next_file || a->add_count != b->add_count ||
        a->remove_count != b->remove_count)
        return false;
    for (uint32_t i = 0; i < a->add_count; i++)
        if (a->adds[i].level != b->adds[i].level || !same_file(a->adds[i].file, b->adds[i].file))
            return false;
    for (uint32_t i = 0; i < a->remove_count; i++)
        if (a->removes[i].level != b->removes[i].level ||
            a->removes[i].number != b->removes[i].number)
            return false;
    return true;
}

/* Encodes what was decoded, decodes that, and encodes again. */
static void check_identity(kvi_mem *mem, const kvi_lsm_edit *e)
{
    kvi_lsm_manifest_record again;
    uint32_t count, count_again;
    kvi_buf first, second;

    kvi_buf_init(&first, mem);
    kvi_buf_init(&second, mem);
    if (kvi_lsm_manifest_encode_edit(e, &first, &count) != KV_OK)
        abort();
    if (count > 0) {
        if (kvi_lsm_manifest_decode(mem, kvi_buf_slice(&first), count, free_file, mem, &again) !=
            KV_OK)
            abort();
        KVI_ASSERT(same_edit(e, &again.edit));
        if (kvi_lsm_manifest_encode_edit(&again.edit, &second, &count_again) != KV_OK)
            abort();
        KVI_ASSERT(count == count_again &&
                   kvi_slice_eq(kvi_buf_slice(&first), kvi_buf_slice(&second)));
        kvi_lsm_edit_deinit(&again.edit);
    }
    kvi_buf_deinit(&first);
    kvi_buf_deinit(&second);
}

static void check_version(const kvi_lsm_version *v, const kvi_lsm_version *other)
{
    for (uint32_t level = 0; level < KVI_LSM_LEVELS; level++) {
        KVI_ASSERT(v->level[level].count == other->level[level].count);
        for (uint32_t i = 0; i < v->level[level].count; i++) {
            KVI_ASSERT(v->level[level].files[i] == other->level[level].files[i]);
            KVI_ASSERT(level == 0 || i == 0 ||
                       kvi_slice_cmp(v->level[level].files[i - 1]->largest,
                                     v->level[level].files[i]->smallest) < 0);
        }
    }
}

static void check_apply(kvi_mem *mem, const kvi_lsm_edit *e)
{
    kvi_lsm_version *empty, *applied = NULL, *built = NULL;
    kvi_lsm_version_builder b;
    int apply_err, build_err;

    if (kvi_lsm_version_new(mem, &empty) != KV_OK)
        abort();
    kvi_lsm_version_builder_init(&b, mem);
    apply_err = kvi_lsm_version_apply(empty, e, &applied);
    build_err = kvi_lsm_version_builder_apply(&b, e);
    if (!build_err)
        build_err = kvi_lsm_version_builder_finish(&b, &built);
    KVI_ASSERT(apply_err == build_err && (apply_err == KV_OK || apply_err == KV_ECORRUPT));
    if (!apply_err)
        check_version(applied, built);
    kvi_lsm_version_builder_deinit(&b);
    kvi_lsm_version_unref(applied);
    kvi_lsm_version_unref(built);
    kvi_lsm_version_unref(empty);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    kvi_lsm_manifest_record r;
    kvi_mem mem;
    int err;

    if (size < 2)
        return 0;
    kvi_mem_init(&mem, NULL);
    err = kvi_lsm_manifest_decode(&mem, kvi_slice_of(data + 1, size - 1), data[0], free_file, &mem,
                                  &r);
    KVI_ASSERT(err == KV_OK || err == KV_ECORRUPT || err == KV_EFORMAT);
    if (err)
        return 0;
    check_identity(&mem, &r.edit);
    check_apply(&mem, &r.edit);
    r.edit.remove_count = 0; /* what is removed is not there */
    check_apply(&mem, &r.edit);
    kvi_lsm_edit_deinit(&r.edit);
    return 0;
}
