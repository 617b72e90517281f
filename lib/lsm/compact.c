/*
 * Compaction: tables of one level and what lies under them in the next become new tables of the
 * next. One at a time, in steps.
 *
 * 1. Inputs are read in bulk, every block checked; as many entries must come out of the merge as
 *    the inputs were said to hold.
 * 2. All entries of one key go to one table.
 * 3. A step ends after STEP_BYTES, so that a single worker thread serves flushes in between, and a
 *    close does not wait long.
 * 4. Nothing is in force before the last output is synced and the edit is in the manifest. A
 *    compaction that fails leaves no trace.
 */
#include "base/check.h"
#include "lsm/engine.h"
#include "lsm/merge.h"
#include "lsm/output.h"
#include "lsm/pick.h"
#include "lsm/sift.h"

#define STEP_BYTES (1u << 20)

struct kvi_lsm_compaction {
    kvi_lsm *lsm;
    kvi_lsm_version *version; /* referenced: holds the inputs */
    kvi_lsm_pick pick;
    kvi_cursor *input;
    kvi_lsm_sift sift;
    kvi_lsm_output output;
    kvi_lsm_edit edit;                   /* outputs so far, and the inputs */
    kvi_buf last_key;                    /* of the open output */
    uint32_t beneath_at[KVI_LSM_LEVELS]; /* per level: files before it end below the keys to come */
    uint64_t read_entries, expected_entries;
};

/** Whether a level below the outputs may hold key. Keys come ascending, so each level is walked
 *  once. */
static bool beneath(void *user, kvi_slice key)
{
    struct kvi_lsm_compaction *c = user;

    for (uint32_t level = c->pick.level + 2; level < KVI_LSM_LEVELS; level++) {
        uint32_t *at = &c->beneath_at[level];

        while (*at < c->version->level[level].count) {
            const kvi_lsm_file *f = c->version->level[level].files[*at];

            if (kvi_slice_cmp(key, f->largest) <= 0) {
                if (kvi_slice_cmp(key, f->smallest) >= 0)
                    return true;
                break;
            }
            ++*at;
        }
    }
    return false;
}

static void compaction_free(struct kvi_lsm_compaction *c)
{
    kvi_lsm *l;

    if (!c)
        return;
    l = c->lsm;
    kvi_lsm_output_abandon(&c->output);
    if (c->input)
        c->input->ops->close(c->input);
    kvi_lsm_sift_deinit(&c->sift);
    kvi_lsm_edit_deinit(&c->edit);
    kvi_buf_deinit(&c->last_key);
    kvi_lsm_version_unref(c->version);
    kvi_mem_free(l->mem, c);
}

/** The merged input: each table of level 0 by itself, otherwise each level as one source. */
static int open_input(struct kvi_lsm_compaction *c)
{
    kvi_lsm_tables *t = &c->lsm->tables;
    uint32_t most = c->pick.level == 0 ? c->pick.upper_count + 1 : 2, count = 0;
    kvi_cursor **sources = kvi_mem_zalloc(c->lsm->mem, most, sizeof *sources);
    int r = KV_OK;

    if (!sources)
        return kvi_error_set(KV_ENOMEM, "no memory for a compaction");
    if (c->pick.level > 0) {
        r = kvi_lsm_level_cursor(t, c->pick.upper, c->pick.upper_count, KVI_SST_BULK,
                                 &sources[count]);
        count += r == KV_OK;
    }
    for (uint32_t i = 0; c->pick.level == 0 && r == KV_OK && i < c->pick.upper_count; i++) {
        r = kvi_lsm_tables_cursor(t, c->pick.upper[i], KVI_SST_BULK, &sources[count]);
        count += r == KV_OK;
    }
    if (r == KV_OK && c->pick.lower_count > 0) {
        r = kvi_lsm_level_cursor(t, c->pick.lower, c->pick.lower_count, KVI_SST_BULK,
                                 &sources[count]);
        count += r == KV_OK;
    }
    if (r == KV_OK)
        r = kvi_lsm_merge_cursor(c->lsm->mem, sources, count,
                                 &c->input); /* closes them where it fails */
    else
        for (uint32_t i = 0; i < count; i++)
            sources[i]->ops->close(sources[i]);
    kvi_mem_free(c->lsm->mem, sources);
    return r < 0 ? r : c->input->ops->first(c->input);
}

static int note_inputs(struct kvi_lsm_compaction *c)
{
    int r = KV_OK;

    for (uint32_t i = 0; r == KV_OK && i < c->pick.upper_count; i++) {
        c->expected_entries += c->pick.upper[i]->entries;
        r = kvi_lsm_edit_remove(&c->edit, c->pick.level, c->pick.upper[i]->number);
    }
    for (uint32_t i = 0; r == KV_OK && i < c->pick.lower_count; i++) {
        c->expected_entries += c->pick.lower[i]->entries;
        r = kvi_lsm_edit_remove(&c->edit, c->pick.level + 1, c->pick.lower[i]->number);
    }
    return r;
}

/** *out NULL: nothing to do. */
static int compaction_begin(kvi_lsm *l, struct kvi_lsm_compaction **out)
{
    struct kvi_lsm_compaction *c = kvi_mem_zalloc(l->mem, 1, sizeof *c);
    int r;

    *out = NULL;
    if (!c)
        return kvi_error_set(KV_ENOMEM, "no memory for a compaction");
    c->lsm = l;
    c->version = kvi_lsm_version_current(l);
    kvi_lsm_edit_init(&c->edit, l->mem);
    kvi_buf_init(&c->last_key, l->mem);
    r = kvi_lsm_sift_init(&c->sift, l, beneath, c);
    if (r < 0)
        goto fail;
    kvi_lsm_pick_compaction(c->version, &l->shape, l->compression != KV_COMPRESS_NONE, &c->pick);
    if (c->pick.level == KVI_LSM_PICK_NONE)
        goto fail;
    r = note_inputs(c);
    if (r == KV_OK && !c->pick.trivial)
        r = open_input(c);
    if (r < 0)
        goto fail;
    *out = c;
    return KV_OK;
fail:
    compaction_free(c);
    return r;
}

static int close_output(struct kvi_lsm_compaction *c)
{
    kvi_lsm_file *f;
    int r = kvi_lsm_output_finish(&c->output, &f);

    if (r < 0)
        return r;
    atomic_store(&f->doomed, true); /* until it is in force */
    kvi_lsm_count(&c->lsm->stats.compaction_write_bytes, f->size);
    return kvi_lsm_edit_add(&c->edit, c->pick.level + 1, f);
}

static int write_entry(struct kvi_lsm_compaction *c, kvi_slice key, uint64_t tag, kvi_slice value)
{
    int r = KV_OK;

    if (c->output.lsm && kvi_sst_builder_size(c->output.builder) >= c->lsm->shape.table_bytes &&
        !kvi_slice_eq(key, kvi_buf_slice(&c->last_key)))
        r = close_output(c);
    if (r == KV_OK && !c->output.lsm)
        r = kvi_lsm_output_open(&c->output, c->lsm, c->pick.level + 1);
    if (r == KV_OK)
        r = kvi_buf_set(&c->last_key, key.data, key.len);
    if (r == KV_OK)
        r = kvi_sst_builder_add(c->output.builder, key, tag, value);
    return r;
}

/** Reads on for STEP_BYTES. */
static int compaction_step(struct kvi_lsm_compaction *c)
{
    uint64_t bytes = 0;
    int r = KV_OK;

    while (r == KV_OK && c->input->valid && bytes < STEP_BYTES) {
        uint64_t tag = c->input->tag;
        kvi_slice value = c->input->value;
        bool keep;

        bytes += c->input->key.len + value.len;
        c->read_entries++;
        r = kvi_lsm_sift_next(&c->sift, c->input->key, &tag, &value, &keep);
        if (r == KV_OK && keep)
            r = write_entry(c, c->input->key, tag, value);
        if (r == KV_OK)
            r = c->input->ops->next(c->input);
    }
    return r;
}

static int compaction_end(struct kvi_lsm_compaction *c)
{
    int r = KV_OK;

    if (c->read_entries != c->expected_entries)
        return kvi_error_set(KV_ECORRUPT,
                             "a compaction of level %u read %llu entries of tables that hold %llu",
                             c->pick.level, (unsigned long long)c->read_entries,
                             (unsigned long long)c->expected_entries);
    if (c->output.lsm)
        r = close_output(c);
    if (r == KV_OK)
        r = c->lsm->dir->ops->sync(c->lsm->dir);
    if (r == KV_OK)
        r = kvi_lsm_install(c->lsm, &c->edit, false);
    return r;
}

/** The one upper table goes down as it is. */
static int move_down(struct kvi_lsm_compaction *c)
{
    int r;

    KVI_ASSERT(c->pick.upper_count == 1 && c->pick.lower_count == 0);
    kvi_lsm_file_ref(c->pick.upper[0]);
    r = kvi_lsm_edit_add(&c->edit, c->pick.level + 1, c->pick.upper[0]);
    if (r == KV_OK)
        r = kvi_lsm_install(c->lsm, &c->edit, false);
    return r;
}

static void count_compaction(kvi_lsm *l, const struct kvi_lsm_compaction *c)
{
    if (c->pick.trivial) {
        kvi_lsm_count(&l->stats.trivial_moves, 1);
        return;
    }
    kvi_lsm_count(&l->stats.compactions, 1);
    for (uint32_t i = 0; i < c->pick.upper_count; i++)
        kvi_lsm_count(&l->stats.compaction_read_bytes, c->pick.upper[i]->size);
    for (uint32_t i = 0; i < c->pick.lower_count; i++)
        kvi_lsm_count(&l->stats.compaction_read_bytes, c->pick.lower[i]->size);
}

/** Nothing of it is in force, and nothing of it stays. */
static void compaction_failed(kvi_lsm *l, int err)
{
    kvi_os_log(&l->env, KV_LOG_ERROR, "a compaction failed: %s", kvi_error_detail());
    kvi_lsm_fail_stalled(l, err);
}

void kvi_lsm_compact_run(void *lsm)
{
    kvi_lsm *l = lsm;
    struct kvi_lsm_compaction *c = l->compaction;
    int r;

    if (!c) {
        r = compaction_begin(l, &c);
        if (r < 0)
            compaction_failed(l, r);
        if (!c)
            return;
        l->compaction = c;
    }
    r = c->pick.trivial ? move_down(c) : compaction_step(c);
    if (r == KV_OK && !c->pick.trivial) {
        if (c->input->valid) {
            kvi_lsm_task_request(&l->compact_task);
            return;
        }
        r = compaction_end(c);
    }
    if (r == KV_OK)
        count_compaction(l, c);
    else
        compaction_failed(l, r);
    l->compaction = NULL;
    compaction_free(c);
    if (r == KV_OK)
        kvi_lsm_task_request(&l->compact_task); /* there may be more to do */
}

void kvi_lsm_compact_abandon(kvi_lsm *l)
{
    compaction_free(l->compaction);
    l->compaction = NULL;
}
