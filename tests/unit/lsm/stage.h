/*
 * A store's manifest under test: a script of rolls and edits, and the states that it goes through.
 */
#ifndef KVT_UNIT_LSM_STAGE_H
#define KVT_UNIT_LSM_STAGE_H

#include "lsm/manifest.h"
#include "lsm/names.h"
#include "unit/lsm/versions.h"
#include "unit/sim/disk.h"

static const kvi_lsm_store STORE = {
    {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15}, KV_ORDERED, 0x1234, 0x5678};

/* --- a script, and the states that it goes through ---------------------------------------- */

enum { STEP_ROLL, STEP_ADD, STEP_COMPACT, STEP_MOVE };

static const int script[] = {
    STEP_ROLL, STEP_ADD,  STEP_ADD, STEP_COMPACT, STEP_ROLL, STEP_ADD,
    STEP_MOVE, STEP_ROLL, STEP_ADD, STEP_COMPACT, STEP_ADD,
};

#define STEPS (sizeof script / sizeof script[0])

typedef struct stage {
    const kvi_mem *mem;
    kvi_sim_fs *fs;
    kvi_os_dir *dir;
    owner owner;
    kvi_lsm_manifest m;
    kvi_lsm_state states[STEPS + 1]; /* [n]: after n steps; [0] is before the store is one */
    size_t done;
} stage;

static inline void stage_begin(stage *s, const kvi_mem *mem, kvi_sim_fs *fs)
{
    *s = (stage){.mem = mem, .fs = fs, .owner = {mem, 0}};
    s->dir = dir_open(fs);
    kvi_lsm_manifest_init(&s->m, mem, s->dir);
    s->states[0] = (kvi_lsm_state){.store = STORE, .next_file = 2};
    OK(kvi_lsm_version_new(mem, &s->states[0].version));
}

static inline void stage_end(stage *s)
{
    kvi_lsm_manifest_close(&s->m);
    for (size_t i = 0; i <= STEPS; i++)
        kvi_lsm_version_unref(s->states[i].version);
    dir_close(s->dir);
}

/* Fills in what step number n changes in state number n. */
static inline int make_edit(stage *s, size_t n, kvi_lsm_edit *e)
{
    const kvi_lsm_state *now = &s->states[n];
    const kvi_lsm_version *v = now->version;
    kvi_lsm_file *f = NULL;
    int err = KV_OK;

    if (script[n] == STEP_ADD) {
        e->flushed_seq = 10 * (n + 1);
        e->log_floor = n + 1;
        f = file_make(&s->owner, now->next_file, e->flushed_seq, n, 100 + n);
        err = f ? kvi_lsm_edit_add(e, 0, f) : KV_ENOMEM;
    } else if (script[n] == STEP_COMPACT) { /* all of level 0 to one in level 1 */
        for (uint32_t i = 0; i < v->level[0].count && !err; i++)
            err = kvi_lsm_edit_remove(e, 0, v->level[0].files[i]->number);
        f = err ? NULL : file_make(&s->owner, now->next_file, 5, 1000 * n, 1000 * n + 1);
        if (!err)
            err = f ? kvi_lsm_edit_add(e, 1, f) : KV_ENOMEM;
    } else { /* the file itself goes from level 1 to 2 */
        f = v->level[1].files[0];
        kvi_lsm_file_ref(f);
        err = kvi_lsm_edit_add(e, 2, f);
        if (!err)
            err = kvi_lsm_edit_remove(e, 1, f->number);
    }
    e->next_file = now->next_file + 1;
    return err;
}

static inline int step_edit(stage *s, size_t n)
{
    kvi_lsm_state *next = &s->states[n + 1];
    kvi_lsm_version *v = NULL;
    kvi_lsm_edit e;
    int err;

    kvi_lsm_edit_init(&e, s->mem);
    err = make_edit(s, n, &e);
    if (!err)
        err = kvi_lsm_version_apply(s->states[n].version, &e, &v);
    if (!err) {
        *next = s->states[n];
        next->flushed_seq = kvi_max_u64(next->flushed_seq, e.flushed_seq);
        next->log_floor = kvi_max_u64(next->log_floor, e.log_floor);
        next->next_file = e.next_file;
        next->version = v;
        err = kvi_lsm_manifest_append(&s->m, &e);
    }
    kvi_lsm_edit_deinit(&e);
    return err;
}

/* Rolls, and deletes the old manifest as the engine does. */
static inline int step_roll(stage *s, size_t n)
{
    kvi_lsm_state *next = &s->states[n + 1];
    uint64_t old = s->m.journal.file_no;
    kvi_lsm_name name;
    int err;

    *next = s->states[n];
    kvi_lsm_version_ref(next->version);
    next->next_file++;
    err = kvi_lsm_manifest_roll(&s->m, next, s->states[n].next_file);
    if (!err && old > 0) {
        kvi_lsm_name_manifest(name, old);
        (void)s->dir->ops->unlink(s->dir, name);
    }
    return err;
}

/* Takes steps until one fails, or all are done. */
static inline int stage_run(stage *s)
{
    int err = KV_OK;

    while (s->done < STEPS && !err) {
        size_t n = s->done;

        kvi_lsm_version_unref(s->states[n + 1].version); /* of a try that failed */
        s->states[n + 1].version = NULL;
        err = script[n] == STEP_ROLL ? step_roll(s, n) : step_edit(s, n);
        s->done += !err;
    }
    return err;
}

static inline bool state_same(const kvi_lsm_state *a, const kvi_lsm_state *b)
{
    return memcmp(a->store.id, b->store.id, sizeof a->store.id) == 0 &&
           a->store.layout == b->store.layout && a->store.filter_seed == b->store.filter_seed &&
           a->store.context_seed == b->store.context_seed && a->flushed_seq == b->flushed_seq &&
           a->log_floor == b->log_floor && a->next_file >= b->next_file &&
           version_same(a->version, b->version);
}

static inline int load(kvi_os_dir *dir, owner *o, kvi_lsm_state *out)
{
    return kvi_lsm_manifest_load(o->mem, dir, owner_obsolete, o, out);
}

#endif
