/*
 * Tables being written; see output.h.
 */
#include "lsm/output.h"

#include "base/check.h"
#include "lsm/engine.h"
#include "lsm/names.h"

int kvi_lsm_output_open(kvi_lsm_output *o, kvi_lsm *l, uint32_t level)
{
    kvi_sst_builder_options options = {kvi_lsm_new_file_no(l), l->shape.block_bytes,
                                       level == 0 ? KV_COMPRESS_NONE : l->compression};
    kvi_lsm_name name;
    int r;

    KVI_ASSERT(!o->lsm && level < KVI_LSM_LEVELS);
    kvi_lsm_name_table(name, options.file_no);
    r = l->dir->ops->open(l->dir, name, KVI_OS_CREATE, &o->file);
    if (r < 0)
        return r;
    r = kvi_sst_builder_new(&l->sst, &options, o->file, &o->builder);
    if (r < 0) {
        (void)o->file->ops->close(o->file);
        (void)l->dir->ops->unlink(l->dir, name);
        return r;
    }
    o->lsm = l;
    o->number = options.file_no;
    return KV_OK;
}

void kvi_lsm_output_abandon(kvi_lsm_output *o)
{
    kvi_lsm_name name;

    if (!o->lsm)
        return;
    kvi_sst_builder_free(o->builder);
    if (o->file)
        (void)o->file->ops->close(o->file);
    kvi_lsm_name_table(name, o->number);
    (void)o->lsm->dir->ops->unlink(o->lsm->dir, name); /* else the next open does it */
    *o = (kvi_lsm_output){0};
}

int kvi_lsm_output_finish(kvi_lsm_output *o, kvi_lsm_file **out)
{
    kvi_lsm *l = o->lsm;
    kvi_os_file *file = o->file;
    kvi_sst_built built;
    kvi_lsm_file_info info;
    kvi_lsm_file *f;
    int r;

    KVI_ASSERT(l && o->builder);
    r = kvi_sst_builder_finish(o->builder, &built);
    if (r == KV_OK)
        r = file->ops->sync(file);
    if (r == KV_OK) {
        o->file = NULL;
        r = file->ops->close(file);
    }
    if (r < 0)
        goto fail;
    info = (kvi_lsm_file_info){o->number,     built.file_size, built.entries,  built.deletes,
                               built.seq_min, built.seq_max,   built.smallest, built.largest};
    f = kvi_lsm_file_new(l->mem, &info, kvi_lsm_file_obsolete, l);
    if (!f) {
        r = kvi_error_set(KV_ENOMEM, "no memory for a table");
        goto fail;
    }
    kvi_sst_builder_free(o->builder);
    *o = (kvi_lsm_output){0};
    *out = f;
    return KV_OK;
fail:
    kvi_lsm_output_abandon(o);
    return r;
}
