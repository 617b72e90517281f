/* lib/lsm/version.c, version_apply.c, version_builder.c: against a model that does it the slow
   way. */
#include "lsm/version_builder.h"
#include "support/failmem.h"
#include "support/rng.h"
#include "unit/lsm/versions.h"

#define OK(call) cr_assert_eq((call), KV_OK, "%s: %s", #call, kvi_error_detail())

#define MODEL_MAX 400u
#define KEYS      1000u

static kvi_mem plain;

static void setup(void)
{
    kvi_mem_init(&plain, NULL);
}

/* --- the model: a heap of files ----------------------------------------------------------- */

typedef struct model_file {
    uint64_t number, seq_max, from, to;
    uint32_t level;
} model_file;

typedef struct model {
    model_file files[MODEL_MAX];
    uint32_t count;
} model;

static model_file *model_find(model *m, uint64_t number)
{
    for (uint32_t i = 0; i < m->count; i++)
        if (m->files[i].number == number)
            return &m->files[i];
    return NULL;
}

static bool model_remove(model *m, uint32_t level, uint64_t number)
{
    model_file *f = model_find(m, number);

    if (!f || f->level != level)
        return false;
    *f = m->files[--m->count];
    return true;
}

static bool model_add(model *m, model_file f)
{
    cr_assert_lt(m->count, MODEL_MAX);
    if (model_find(m, f.number))
        return false;
    m->files[m->count++] = f;
    return true;
}

static bool model_disjoint(const model *m)
{
    for (uint32_t i = 0; i < m->count; i++)
        for (uint32_t k = 0; k < i; k++) {
            const model_file *a = &m->files[i], *b = &m->files[k];

            if (a->level > 0 && a->level == b->level && a->from <= b->to && b->from <= a->to)
                return false;
        }
    return true;
}

/* How many of the level come before f. */
static uint32_t model_rank(const model *m, const model_file *f)
{
    uint32_t rank = 0;

    for (uint32_t i = 0; i < m->count; i++) {
        const model_file *g = &m->files[i];

        if (g->level != f->level)
            continue;
        if (f->level > 0)
            rank += g->from < f->from;
        else
            rank += g->seq_max > f->seq_max || (g->seq_max == f->seq_max && g->number > f->number);
    }
    return rank;
}

static void check_version(const kvi_lsm_version *v, const model *m)
{
    uint64_t bytes[KVI_LSM_LEVELS] = {0};
    uint32_t count[KVI_LSM_LEVELS] = {0};

    for (uint32_t i = 0; i < m->count; i++) {
        const model_file *f = &m->files[i];
        uint32_t rank = model_rank(m, f);
        const kvi_lsm_file *got;

        cr_assert_lt(rank, v->level[f->level].count);
        got = v->level[f->level].files[rank];
        cr_assert_eq(got->number, f->number);
        cr_assert_eq(got->seq_max, f->seq_max);
        cr_assert_eq(key_number(got->smallest), f->from);
        cr_assert_eq(key_number(got->largest), f->to);
        bytes[f->level] += f->number * 1000;
        count[f->level]++;
    }
    for (uint32_t level = 0; level < KVI_LSM_LEVELS; level++) {
        cr_assert_eq(v->level[level].count, count[level]);
        cr_assert_eq(v->level[level].bytes, bytes[level]);
    }
}

static void check_search(const kvi_lsm_version *v, const model *m, kvt_rng *rng)
{
    for (int i = 0; i < 20; i++) {
        uint32_t level = (uint32_t)kvt_rng_below(rng, KVI_LSM_LEVELS), below = 0;
        uint64_t from = kvt_rng_below(rng, KEYS), to = from + kvt_rng_below(rng, 30);
        bool overlaps = false;

        for (uint32_t k = 0; k < m->count; k++) {
            if (m->files[k].level != level)
                continue;
            below += m->files[k].to < from;
            overlaps |= m->files[k].from <= to && m->files[k].to >= from;
        }
        cr_assert_eq(kvi_lsm_version_overlaps(v, level, key_of(from), key_of(to)), overlaps);
        if (level > 0)
            cr_assert_eq(kvi_lsm_version_find(v, level, key_of(from)), below);
    }
}

/* --- random edits ------------------------------------------------------------------------- */

typedef struct world {
    kvt_rng rng;
    owner owner;
    size_t made;
    uint64_t next_file;
    model model;
    kvi_lsm_version *version;
    kvi_lsm_version_builder builder;
} world;

/* Adds a new file to both. */
static bool random_add(world *w, kvi_lsm_edit *e, model *after)
{
    uint64_t from = kvt_rng_below(&w->rng, KEYS);
    model_file f = {
        .number = w->next_file++,
        .seq_max = 1 + kvt_rng_below(&w->rng, 50), /* ties */
        .from = from,
        .to = from + kvt_rng_below(&w->rng, 8),
        .level = (uint32_t)kvt_rng_below(&w->rng, KVI_LSM_LEVELS),
    };
    kvi_lsm_file *file;

    if (kvt_rng_below(&w->rng, 40) == 0 && w->model.count > 0) /* a number that may be taken */
        f.number = w->model.files[kvt_rng_below(&w->rng, w->model.count)].number;
    file = file_make(&w->owner, f.number, f.seq_max, f.from, f.to);
    cr_assert_not_null(file);
    w->made++;
    OK(kvi_lsm_edit_add(e, f.level, file));
    return model_add(after, f);
}

static bool random_remove(world *w, kvi_lsm_edit *e, model *after)
{
    model_file f = {.number = w->next_file + 7};

    if (w->model.count > 0)
        f = w->model.files[kvt_rng_below(&w->rng, w->model.count)];
    if (kvt_rng_below(&w->rng, 40) == 0)
        f.level = (f.level + 1) % KVI_LSM_LEVELS;
    OK(kvi_lsm_edit_remove(e, f.level, f.number));
    return model_remove(after, f.level, f.number);
}

/* The same object goes to another level. */
static bool random_move(world *w, kvi_lsm_edit *e, model *after)
{
    const kvi_lsm_version *v = w->version;
    uint32_t level = (uint32_t)kvt_rng_below(&w->rng, KVI_LSM_LEVELS - 1);
    kvi_lsm_file *file;
    model_file f;

    if (v->level[level].count == 0)
        return true;
    file = v->level[level].files[kvt_rng_below(&w->rng, v->level[level].count)];
    f = (model_file){file->number, file->seq_max, key_number(file->smallest),
                     key_number(file->largest), level + 1};
    kvi_lsm_file_ref(file);
    OK(kvi_lsm_edit_remove(e, level, f.number));
    OK(kvi_lsm_edit_add(e, level + 1, file));
    return model_remove(after, level, f.number) && model_add(after, f);
}

/* An edit, and whether the model finds it good. Removes come first, as in the model. */
static bool random_edit(world *w, kvi_lsm_edit *e, model *after)
{
    uint64_t removes = kvt_rng_below(&w->rng, w->model.count > 60 ? 8 : 3);
    bool good = true;

    *after = w->model;
    for (uint64_t i = 0; i < removes && w->model.count > 0; i++)
        good &= random_remove(w, e, after);
    for (uint64_t i = kvt_rng_below(&w->rng, 3); i > 0; i--)
        good &= random_add(w, e, after);
    if (kvt_rng_below(&w->rng, 4) == 0)
        good &= random_move(w, e, after);
    return good;
}

/* What a builder says of the world's version and this edit. */
static int build_anew(world *w, const kvi_lsm_edit *e, kvi_lsm_version **out)
{
    kvi_lsm_version_builder b;
    kvi_lsm_edit all;
    int err;

    kvi_lsm_edit_init(&all, &plain);
    for (uint32_t level = KVI_LSM_LEVELS; level-- > 0;)
        for (uint32_t i = 0; i < w->version->level[level].count; i++) {
            kvi_lsm_file_ref(w->version->level[level].files[i]);
            OK(kvi_lsm_edit_add(&all, level, w->version->level[level].files[i]));
        }
    kvi_lsm_version_builder_init(&b, &plain);
    OK(kvi_lsm_version_builder_apply(&b, &all));
    kvi_lsm_edit_deinit(&all);
    err = kvi_lsm_version_builder_apply(&b, e);
    if (!err)
        err = kvi_lsm_version_builder_finish(&b, out);
    kvi_lsm_version_builder_deinit(&b);
    return err;
}

static void check_builder(world *w)
{
    kvi_lsm_version *built;

    OK(kvi_lsm_version_builder_finish(&w->builder, &built));
    cr_assert(version_same(built, w->version));
    for (uint32_t level = 0; level < KVI_LSM_LEVELS; level++)
        for (uint32_t i = 0; i < built->level[level].count; i++)
            cr_assert_eq(built->level[level].files[i], w->version->level[level].files[i]);
    kvi_lsm_version_unref(built);
}

static void step(world *w, size_t *good, size_t *bad)
{
    static model after;
    kvi_lsm_version *next = NULL, *other = NULL;
    kvi_lsm_edit e;
    bool fits;
    int err;

    kvi_lsm_edit_init(&e, &plain);
    fits = random_edit(w, &e, &after) && model_disjoint(&after);
    err = kvi_lsm_version_apply(w->version, &e, &next);
    cr_assert_eq(err, fits ? KV_OK : KV_ECORRUPT, "%s", kvi_error_detail());
    cr_assert_eq(build_anew(w, &e, &other), err);
    check_version(w->version, &w->model); /* as it was */
    if (err == KV_OK) {
        cr_assert(version_same(next, other));
        kvi_lsm_version_unref(other);
        kvi_lsm_version_unref(w->version);
        w->version = next;
        w->model = after;
        OK(kvi_lsm_version_builder_apply(&w->builder, &e));
        check_version(next, &after);
        check_search(next, &after, &w->rng);
        ++*good;
    } else {
        cr_assert_null(next);
        cr_assert_null(other);
        ++*bad;
    }
    kvi_lsm_edit_deinit(&e);
}

Test(lsm_version, random_edits_are_as_in_the_model, .init = setup)
{
    static world w;
    size_t good = 0, bad = 0;

    memset(&w, 0, sizeof w);
    kvt_rng_init(&w.rng, kvt_env_u64("SEED", 1));
    w.owner.mem = &plain;
    w.next_file = 1;
    OK(kvi_lsm_version_new(&plain, &w.version));
    kvi_lsm_version_builder_init(&w.builder, &plain);
    for (int i = 0; i < 3000; i++) {
        step(&w, &good, &bad);
        if (i % 100 == 0)
            check_builder(&w);
    }
    check_builder(&w);
    cr_assert(good > 300 && bad > 300, "%zu good edits and %zu bad ones", good, bad);
    kvi_lsm_version_builder_deinit(&w.builder);
    cr_assert_eq(w.owner.obsolete + w.model.count, w.made, "what is in no version is gone");
    kvi_lsm_version_unref(w.version);
    cr_assert_eq(w.owner.obsolete, w.made);
}

/* --- what an edit must not do ------------------------------------------------------------- */

static void add_new(owner *o, kvi_lsm_edit *e, uint32_t level, uint64_t number, uint64_t from,
                    uint64_t to)
{
    kvi_lsm_file *f = file_make(o, number, number, from, to);

    cr_assert_not_null(f);
    OK(kvi_lsm_edit_add(e, level, f));
}

/* Both ways of applying refuse e on base, with this in the detail. */
static void refused(kvi_lsm_version *base, kvi_lsm_edit *e, const char *detail)
{
    kvi_lsm_version *next = NULL;

    kvi_error_clear();
    cr_assert_eq(kvi_lsm_version_apply(base, e, &next), KV_ECORRUPT);
    cr_assert_null(next);
    cr_assert(strstr(kvi_error_detail(), detail) != NULL, "%s", kvi_error_detail());
    kvi_lsm_edit_deinit(e);
}

Test(lsm_version, what_does_not_fit_is_refused, .init = setup)
{
    owner o = {&plain, 0};
    kvi_lsm_version *empty, *v;
    kvi_lsm_edit e;

    OK(kvi_lsm_version_new(&plain, &empty));
    kvi_lsm_edit_init(&e, &plain);
    add_new(&o, &e, 0, 1, 0, 100);
    add_new(&o, &e, 0, 2, 50, 150);
    add_new(&o, &e, 1, 3, 10, 20);
    add_new(&o, &e, 1, 4, 30, 40);
    OK(kvi_lsm_version_apply(empty, &e, &v));
    kvi_lsm_edit_deinit(&e);
    cr_assert_eq(v->level[0].files[0]->number, 2, "the newest first");

    OK(kvi_lsm_edit_remove(&e, 1, 9));
    refused(v, &e, "removes");
    OK(kvi_lsm_edit_remove(&e, 0, 3));
    refused(v, &e, "removes");
    OK(kvi_lsm_edit_remove(&e, 1, 3));
    OK(kvi_lsm_edit_remove(&e, 1, 3));
    refused(v, &e, "removes");
    OK(kvi_lsm_edit_remove(&e, 1, 3));
    OK(kvi_lsm_edit_remove(&e, 2, 3));
    refused(v, &e, "removes");
    add_new(&o, &e, 3, 3, 0, 1);
    refused(v, &e, "000003.sst");
    add_new(&o, &e, 3, 7, 0, 1);
    add_new(&o, &e, 4, 7, 0, 1);
    refused(v, &e, "000007.sst");
    add_new(&o, &e, 1, 7, 20, 21);
    refused(v, &e, "tables 000003.sst and 000007.sst overlap in level 1");
    add_new(&o, &e, 1, 7, 0, 10);
    refused(v, &e, "tables 000007.sst and 000003.sst overlap in level 1");
    add_new(&o, &e, 1, 7, 22, 60);
    refused(v, &e, "overlap");
    add_new(&o, &e, 6, 7, 1, 2);
    add_new(&o, &e, 6, 8, 1, 2);
    refused(v, &e, "overlap");
    cr_assert_eq(o.obsolete, 8);
    kvi_lsm_version_unref(v);
    kvi_lsm_version_unref(empty);
    kvi_lsm_version_unref(NULL);
    cr_assert_eq(o.obsolete, 12);
}

Test(lsm_version, an_edit_that_changes_nothing_makes_an_equal_version, .init = setup)
{
    kvi_lsm_version *empty, *next;
    kvi_lsm_edit e;

    OK(kvi_lsm_version_new(&plain, &empty));
    kvi_lsm_edit_init(&e, &plain);
    OK(kvi_lsm_version_apply(empty, &e, &next));
    cr_assert(version_same(empty, next));
    kvi_lsm_edit_deinit(&e);
    kvi_lsm_version_unref(next);
    kvi_lsm_version_ref(empty);
    kvi_lsm_version_unref(empty);
    cr_assert_eq(kvi_lsm_version_find(empty, 1, key_of(1)), 0);
    cr_assert(!kvi_lsm_version_overlaps(empty, 0, key_of(0), key_of(9)));
    kvi_lsm_version_unref(empty);
}

Test(lsm_version, figures_that_no_table_has_are_named, .init = setup)
{
    static uint8_t long_key[KVI_LSM_KEY_MAX + 1];
    const kvi_lsm_file_info good = {1, 1, 1, 1, 0, KVI_SEQ_MAX, {"a", 1}, {"a", 1}};
    kvi_lsm_file_info bad[] = {good, good, good, good, good, good, good,
                               good, good, good, good, good, good, good};

    cr_assert_null(kvi_lsm_file_info_fault(&good));
    bad[0].number = 0;
    bad[1].number = KVI_LSM_FILE_NO_MAX + 1;
    bad[2].size = 0;
    bad[3].size = KVI_LSM_FILE_BYTES_MAX + 1;
    bad[4].entries = 0;
    bad[5].entries = KVI_LSM_FILE_ENTRIES_MAX + 1;
    bad[6].deletes = 2;
    bad[7].seq_min = 5, bad[7].seq_max = 4;
    bad[8].seq_max = KVI_SEQ_MAX + 1;
    bad[9].smallest = kvi_slice_of("", 0);
    bad[10].largest = kvi_slice_of("", 0);
    bad[11].largest = kvi_slice_of(long_key, sizeof long_key);
    bad[12].smallest = kvi_slice_of("b", 1);
    bad[13].smallest = kvi_slice_of("aa", 2);
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        cr_assert_not_null(kvi_lsm_file_info_fault(&bad[i]), "case %zu", i);
}

/* --- many tables -------------------------------------------------------------------------- */

Test(lsm_version, a_hundred_thousand_tables_are_no_burden, .init = setup)
{
    const uint64_t tables = 100000;
    owner o = {&plain, 0};
    kvi_lsm_version_builder b;
    kvi_lsm_version *v, *next;
    kvi_lsm_edit e;

    OK(kvi_lsm_version_new(&plain, &v));
    kvi_lsm_edit_init(&e, &plain);
    for (uint64_t i = tables; i > 0; i--) /* in the wrong order */
        add_new(&o, &e, 1 + i % 6, i, i * 10, i * 10 + 9);
    OK(kvi_lsm_version_apply(v, &e, &next));
    kvi_lsm_version_builder_init(&b, &plain);
    OK(kvi_lsm_version_builder_apply(&b, &e));
    kvi_lsm_edit_deinit(&e);
    kvi_lsm_version_unref(v);
    v = next;
    for (uint64_t i = 1; i <= 50; i++) { /* a table is replaced by two */
        OK(kvi_lsm_edit_remove(&e, 1 + i % 6, i));
        add_new(&o, &e, 1 + i % 6, tables + 2 * i, i * 10, i * 10 + 4);
        add_new(&o, &e, 1 + i % 6, tables + 2 * i + 1, i * 10 + 5, i * 10 + 9);
        OK(kvi_lsm_version_apply(v, &e, &next));
        OK(kvi_lsm_version_builder_apply(&b, &e));
        kvi_lsm_edit_deinit(&e);
        kvi_lsm_version_unref(v);
        v = next;
    }
    OK(kvi_lsm_version_builder_finish(&b, &next));
    cr_assert(version_same(v, next));
    kvi_lsm_version_unref(next);
    kvi_lsm_version_builder_deinit(&b);
    kvi_lsm_version_unref(v);
    cr_assert_eq(o.obsolete, tables + 100);
}

Test(lsm_version, more_tables_than_a_store_may_have_are_refused, .init = setup)
{
    owner o = {&plain, 0};
    kvi_lsm_file *f = file_make(&o, 1, 1, 1, 2);
    kvi_lsm_edit e;

    cr_assert_not_null(f);
    kvi_lsm_edit_init(&e, &plain);
    for (uint32_t i = 0; i < KVI_LSM_FILES_MAX; i++)
        OK(kvi_lsm_edit_remove(&e, 0, i));
    while (e.remove_count < e.remove_cap) /* room that is there is used up */
        OK(kvi_lsm_edit_remove(&e, 0, 1));
    cr_assert_eq(kvi_lsm_edit_remove(&e, 0, 1), KV_ENOSPC);
    kvi_lsm_edit_deinit(&e);
    kvi_lsm_file_unref(f);
}

/* --- without memory ----------------------------------------------------------------------- */

/* Files are made, edited in, applied and built with an allocation failing: KV_OK, or KV_ENOMEM. */
static int all_steps(const kvi_mem *mem, owner *o, kvi_lsm_version *base, size_t *made)
{
    kvi_lsm_version_builder b;
    kvi_lsm_version *next = NULL;
    kvi_lsm_edit e;
    int err = KV_OK;

    kvi_lsm_edit_init(&e, mem);
    kvi_lsm_version_builder_init(&b, mem);
    for (uint64_t i = 1; i <= 100 && !err; i++) {
        kvi_lsm_file *f = file_make(o, i, i, i, i);

        *made += f != NULL;
        err = f ? kvi_lsm_edit_add(&e, i % KVI_LSM_LEVELS, f) : KV_ENOMEM;
    }
    if (!err)
        err = kvi_lsm_version_apply(base, &e, &next);
    if (!err) {
        kvi_lsm_version_unref(next);
        err = kvi_lsm_version_builder_apply(&b, &e);
    }
    for (uint64_t i = 1; i <= 10 && !err; i++)
        err = kvi_lsm_edit_remove(&e, i % KVI_LSM_LEVELS, i);
    if (!err)
        err = kvi_lsm_version_builder_finish(&b, &next);
    if (!err)
        kvi_lsm_version_unref(next);
    kvi_lsm_version_builder_deinit(&b);
    kvi_lsm_edit_deinit(&e);
    return err;
}

Test(lsm_version, without_memory_nothing_is_lost_or_left)
{
    size_t made = 0;
    kvi_lsm_version *base;
    kvt_failmem fm;
    kvi_mem mem;
    owner o = {&mem, 0};
    int err = KV_ENOMEM;

    kvt_failmem_init(&fm, &mem);
    OK(kvi_lsm_version_new(&mem, &base));
    for (size_t n = 0; err; n++) {
        kvt_failmem_arm(&fm, n, n % 2 == 0);
        err = all_steps(&mem, &o, base, &made);
        cr_assert_eq(kvt_failmem_disarm(&fm), err != KV_OK);
        cr_assert(err == KV_OK || err == KV_ENOMEM);
        cr_assert_eq(o.obsolete, made);
    }
    kvt_failmem_arm(&fm, 0, false);
    kvi_lsm_version_unref(base);
    base = NULL;
    cr_assert_eq(kvi_lsm_version_new(&mem, &base), KV_ENOMEM);
    cr_assert_null(base);
    kvt_failmem_disarm(&fm);
    cr_assert_eq(kvt_failmem_live(&fm), 0);
}
