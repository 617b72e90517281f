/*
 * Reading the manifest that CURRENT names; see manifest.h for the contract.
 *
 * While it is read, files come and go with the edits; nobody is told. What is left in the end is
 * handed over to the caller.
 */
#include <inttypes.h>

#include "base/check.h"
#include "base/error.h"
#include "lsm/manifest.h"
#include "lsm/manifest_record.h"
#include "lsm/names.h"
#include "lsm/version_builder.h"

typedef struct loader {
    const kvi_mem *mem;
    kvi_lsm_name name;
    bool has_first;
    kvi_lsm_state state; /* version is set at the end */
    kvi_lsm_version_builder builder;
} loader;

static void free_file(kvi_lsm_file *f, void *user)
{
    const loader *l = user;

    kvi_mem_free(l->mem, f);
}

/* Takes in one record that was read. */
static int take_record(loader *l, const kvi_lsm_manifest_record *r)
{
    kvi_lsm_state *s = &l->state;

    if (r->has_store == l->has_first)
        return kvi_error_set(KV_ECORRUPT, l->has_first ? "a second record with the store's identity"
                                                       : "the store's identity is missing");
    if (r->has_store) {
        s->store.layout = r->store.layout;
        s->store.filter_seed = r->store.filter_seed;
        s->store.context_seed = r->store.context_seed;
        l->has_first = true;
    }
    s->flushed_seq = kvi_max_u64(s->flushed_seq, r->edit.flushed_seq);
    s->log_floor = kvi_max_u64(s->log_floor, r->edit.log_floor);
    s->next_file = kvi_max_u64(s->next_file, r->edit.next_file);
    for (uint32_t i = 0; i < r->edit.add_count; i++)
        s->next_file = kvi_max_u64(s->next_file, r->edit.adds[i].file->number + 1);
    return kvi_lsm_version_builder_apply(&l->builder, &r->edit);
}

static int load_record(loader *l, const kvi_lsm_record *record)
{
    kvi_lsm_manifest_record r;
    int err = kvi_lsm_manifest_decode(l->mem, record->payload, record->count, free_file, l, &r);

    if (!err) {
        err = take_record(l, &r);
        kvi_lsm_edit_deinit(&r.edit);
    }
    if (err == KV_ECORRUPT || err == KV_EFORMAT)
        return kvi_error_set(err, "%s: record at offset %" PRIu64 ": %s", l->name, record->offset,
                             kvi_error_detail());
    return err;
}

static int load_records(loader *l, kvi_os_file *file, uint64_t manifest_no)
{
    kvi_lsm_journal_reader reader;
    kvi_lsm_record record;
    int err = kvi_lsm_journal_reader_open(&reader, l->mem, file, l->name, KVI_JOURNAL_MANIFEST,
                                          l->state.store.id, manifest_no);

    if (err)
        return err;
    do {
        err = kvi_lsm_journal_reader_next(&reader, &record);
        if (!err)
            err = load_record(l, &record);
    } while (!err);
    kvi_lsm_journal_reader_close(&reader);
    if (err != KV_ENOTFOUND)
        return err;
    if (!l->has_first) /* CURRENT never names one that is not complete */
        return kvi_error_set(KV_ECORRUPT, "%s: its first record is missing or damaged", l->name);
    return KV_OK;
}

static int load_file(loader *l, kvi_os_dir *dir, uint64_t manifest_no)
{
    kvi_os_file *file;
    int err;

    kvi_lsm_name_manifest(l->name, manifest_no);
    err = dir->ops->open(dir, l->name, KVI_OS_READ, &file);
    if (err == KV_ENOENT)
        return kvi_error_set(KV_ECORRUPT, "%s names %s, which is missing", KVI_LSM_NAME_CURRENT,
                             l->name);
    if (err)
        return err;
    err = load_records(l, file, manifest_no);
    (void)file->ops->close(file); /* nothing was written */
    if (err)
        return err;
    l->state.next_file = kvi_max_u64(l->state.next_file, manifest_no + 1);
    err = kvi_lsm_version_builder_finish(&l->builder, &l->state.version);
    if (err == KV_ECORRUPT)
        return kvi_error_set(err, "%s: %s", l->name, kvi_error_detail());
    return err;
}

/* From now on the files are the caller's. */
static void hand_over(kvi_lsm_version *v, kvi_lsm_obsolete_fn *on_obsolete, void *user)
{
    for (uint32_t level = 0; level < KVI_LSM_LEVELS; level++)
        for (uint32_t i = 0; i < v->level[level].count; i++) {
            v->level[level].files[i]->on_obsolete = on_obsolete;
            v->level[level].files[i]->user = user;
        }
}

int kvi_lsm_manifest_load(const kvi_mem *mem, kvi_os_dir *dir, kvi_lsm_obsolete_fn *on_obsolete,
                          void *user, kvi_lsm_state *out)
{
    loader l = {.mem = mem};
    uint64_t manifest_no;
    int err;

    KVI_ASSERT(on_obsolete);
    err = kvi_lsm_current_read(dir, l.state.store.id, &manifest_no);
    if (err)
        return err;
    if (manifest_no > KVI_LSM_FILE_NO_MAX)
        return kvi_error_set(KV_ECORRUPT, "%s: its manifest's number is out of range",
                             KVI_LSM_NAME_CURRENT);
    kvi_lsm_version_builder_init(&l.builder, mem);
    err = load_file(&l, dir, manifest_no);
    kvi_lsm_version_builder_deinit(&l.builder); /* the version has references of its own */
    if (err)
        return err;
    hand_over(l.state.version, on_obsolete, user);
    *out = l.state;
    return KV_OK;
}
