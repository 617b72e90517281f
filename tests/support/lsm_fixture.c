/* See lsm_fixture.h. */
#include "support/lsm_fixture.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/bytes.h"
#include "lsm/names.h"

#define KVT_LSM_PARTS \
    9u /* a model is cut into, by age: memtable, two that wait, three tables, three levels */
#define KVT_LSM_FILE_MAX 300u  /* entries of a table in a deeper level, about */
#define KVT_LSM_SEQ_MAX  1000u /* of kvt_model_random() */

static void need(bool good, const char *what)
{
    if (good)
        return;
    fprintf(stderr, "lsm fixture: %s: %s\n", what, kvi_error_detail());
    abort();
}

static uint64_t clock_mono(kvi_os_clock *c)
{
    (void)c;
    return 0;
}

static int64_t clock_wall(kvi_os_clock *c)
{
    kvt_clock *clock = KVI_CONTAINER_OF(c, kvt_clock, base);

    clock->asked++;
    return clock->wall_ms;
}

static kvi_lsm_memtable *new_memtable(kvt_lsm *f, size_t capacity)
{
    kvi_lsm_memtable *m = NULL;

    need(kvi_lsm_memtable_new(&f->s.mem, &f->s.budget, capacity, &m) == KV_OK, "no memtable");
    return m;
}

static kvi_lsm_version *new_version(kvt_lsm *f)
{
    kvi_lsm_version *v = NULL;

    need(kvi_lsm_version_new(&f->s.mem, &v) == KV_OK, "no version");
    return v;
}

/* --- the engine --------------------------------------------------------------------------- */

static void init_engine(kvt_lsm *f)
{
    kvi_lsm *l = kvi_mem_zalloc_aligned(&f->s.mem, sizeof *l);

    need(l != NULL, "no engine");
    l->env = f->env;
    l->mem = &f->s.mem;
    l->budget = &f->s.budget;
    l->dir = f->dir;
    l->codec = f->s.ctx.codec;
    l->cache = f->s.ctx.cache;
    l->sst = f->s.ctx;
    l->epoch = kvi_epoch_new(l->mem);
    need(l->epoch != NULL, "no epoch");
    kvi_lsm_tables_init(&l->tables, &l->env, &l->sst, l->dir, l->epoch);
    kvi_os_mutex_init(&l->snapshot_lock, KVI_RANK_SNAPSHOT, NULL);
    kvi_list_init(&l->snapshots);
    atomic_store(&l->next_file, 1);
    f->l = l;
    kvt_lsm_clear(f);
}

void kvt_lsm_init(kvt_lsm *f, size_t memory)
{
    bool created;

    memset(f, 0, sizeof *f);
    kvt_sst_init(&f->s, memory);
    kvi_budget_init(&f->files, SIZE_MAX / 2);
    kvi_os_fs_mem_init(&f->fs, &f->s.mem, &f->files);
    need(f->fs.base.ops->open_dir(&f->fs.base, "store", true, &created, &f->dir) == KV_OK,
         "no directory");
    f->clock.base = (kvi_os_clock){clock_mono, clock_wall};
    f->env.mem = &f->s.mem;
    f->env.fs = &f->fs.base;
    f->env.clock = &f->clock.base;
    init_engine(f);
}

void kvt_lsm_deinit(kvt_lsm *f)
{
    kvi_lsm *l = f->l;

    kvi_lsm_view_unref(atomic_load(&l->view));
    kvi_epoch_free(l->epoch);
    kvi_lsm_tables_deinit(&l->tables);
    kvi_os_mutex_deinit(&l->snapshot_lock);
    kvi_mem_free_aligned(l->mem, l);
    need(f->dir->ops->close(f->dir) == KV_OK, "the directory does not close");
    need(atomic_load(&f->files.used) == 0, "files are left");
    kvt_sst_deinit(&f->s);
}

void kvt_lsm_clear(kvt_lsm *f)
{
    kvt_lsm_set_view(f, kvt_lsm_memtable(f, NULL, 0), NULL, 0, new_version(f));
}

void kvt_lsm_set_view(kvt_lsm *f, kvi_lsm_memtable *active, kvi_lsm_memtable **imm,
                      uint32_t imm_count, kvi_lsm_version *version)
{
    kvi_lsm_view *old = atomic_load(&f->l->view);
    kvi_lsm_view *view = kvi_lsm_view_new(&f->s.mem);

    need(view != NULL, "no view");
    kvi_lsm_view_fill(view, active, imm, imm_count, version);
    kvi_lsm_memtable_unref(active);
    for (uint32_t i = 0; i < imm_count; i++)
        kvi_lsm_memtable_unref(imm[i]);
    kvi_lsm_version_unref(version);
    atomic_store(&f->l->view, view);
    if (old)
        kvi_lsm_view_retire(f->l->epoch, old);
}

/* --- models ------------------------------------------------------------------------------- */

static bool is_expiring(const kvt_entry *e)
{
    return kvi_tag_kind(e->tag) == KVI_KIND_PUT_EXPIRING;
}

static bool same_place(const kvt_entry *a, const kvt_entry *b)
{
    return kvi_entry_cmp(a->key, a->tag, b->key, b->tag) == 0;
}

void kvt_lsm_fit(kvt_model *m)
{
    size_t kept = 0;

    for (size_t i = 0; i < m->count; i++) {
        kvt_entry e = m->entries[i];

        if (is_expiring(&e) && e.value.len < KVI_EXPIRES_LEN)
            e.tag--; /* an ordinary put */
        if (e.key.len == 0 || (kept > 0 && same_place(&m->entries[kept - 1], &e)))
            continue;
        if (is_expiring(&e)) {
            size_t at = (size_t)(kvi_slice_bytes(e.value) - m->bytes);

            kvi_put_u64(m->bytes + at, 1 + kvi_tag_seq(e.tag) % 100);
        }
        m->entries[kept++] = e;
    }
    m->count = kept;
}

void kvt_model_slice(kvt_model *out, const kvt_model *m, uint64_t first, uint64_t last)
{
    out->count = 0;
    out->bytes = NULL;
    out->entries = malloc((m->count + 1) * sizeof *out->entries);
    need(out->entries != NULL, "no memory for a model");
    for (size_t i = 0; i < m->count; i++) {
        uint64_t seq = kvi_tag_seq(m->entries[i].tag);

        if (seq >= first && seq <= last)
            out->entries[out->count++] = m->entries[i];
    }
}

kvi_slice kvt_lsm_content(const kvt_entry *e, int64_t *expires_ms)
{
    size_t skip = is_expiring(e) ? KVI_EXPIRES_LEN : 0;

    *expires_ms = skip ? (int64_t)kvi_get_u64(e->value.data) : 0;
    return skip ? kvi_slice_of(kvi_slice_bytes(e->value) + skip, e->value.len - skip) : e->value;
}

const kvt_entry *kvt_lsm_visible(const kvt_model *m, kvi_slice key, uint64_t seq, int64_t now_ms)
{
    const kvt_entry *e = kvt_model_get(m, key, KVI_TAG_SEEK(seq));
    int64_t expires_ms;

    if (!e || kvi_tag_kind(e->tag) == KVI_KIND_DELETE)
        return NULL;
    (void)kvt_lsm_content(e, &expires_ms);
    return is_expiring(e) && expires_ms <= now_ms ? NULL : e;
}

/* --- parts of a store --------------------------------------------------------------------- */

void kvt_lsm_add(kvi_lsm_memtable *m, const kvt_entry *e)
{
    int64_t expires_ms;
    kvi_slice value = kvt_lsm_content(e, &expires_ms);

    need(kvi_lsm_memtable_claim(m, kvi_lsm_memtable_need(e->key.len, e->value.len)),
         "no room in the memtable");
    kvi_lsm_memtable_add(m, e->key, e->tag, expires_ms, value);
}

kvi_lsm_memtable *kvt_lsm_memtable(kvt_lsm *f, const kvt_model *m, size_t more)
{
    size_t capacity = 64 + more;
    kvi_lsm_memtable *table;

    for (size_t i = 0; m && i < m->count; i++)
        capacity += kvi_lsm_memtable_need(m->entries[i].key.len, m->entries[i].value.len);
    table = new_memtable(f, capacity);
    for (size_t i = 0; m && i < m->count; i++)
        kvt_lsm_add(table, &m->entries[i]);
    return table;
}

static void file_gone(kvi_lsm_file *file, void *fixture)
{
    kvt_lsm *f = fixture;
    kvi_lsm_name name;

    kvi_lsm_tables_forget(&f->l->tables, file);
    kvi_sst_cache_drop_file(f->s.ctx.cache, file->number);
    kvi_lsm_name_table(name, file->number);
    (void)f->dir->ops->unlink(f->dir, name); /* a test may have been faster */
    kvi_mem_free(&f->s.mem, file);
}

static void build(kvt_lsm *f, const kvt_model *m, uint64_t number, kvi_sst_built *built,
                  kvi_sst_builder **builder)
{
    kvi_sst_builder_options o = {number, 512, number % 2 ? 1 : KV_COMPRESS_NONE};
    kvi_os_file *file = NULL;
    kvi_lsm_name name;

    kvi_lsm_name_table(name, number);
    need(f->dir->ops->open(f->dir, name, KVI_OS_CREATE, &file) == KV_OK, "no table file");
    need(kvi_sst_builder_new(&f->s.ctx, &o, file, builder) == KV_OK, "no builder");
    for (size_t i = 0; i < m->count; i++)
        need(kvi_sst_builder_add(*builder, m->entries[i].key, m->entries[i].tag,
                                 m->entries[i].value) == KV_OK,
             "an entry is not taken");
    need(kvi_sst_builder_finish(*builder, built) == KV_OK, "the table cannot be finished");
    need(file->ops->close(file) == KV_OK, "the table does not close");
}

kvi_lsm_file *kvt_lsm_file(kvt_lsm *f, const kvt_model *m)
{
    uint64_t number = kvi_lsm_new_file_no(f->l);
    kvi_lsm_file_info info = {.number = number};
    kvi_sst_builder *builder;
    kvi_sst_built built;
    kvi_lsm_file *file;

    build(f, m, number, &built, &builder);
    info.size = built.file_size;
    info.entries = built.entries;
    info.deletes = built.deletes;
    info.seq_min = built.seq_min;
    info.seq_max = built.seq_max;
    info.smallest = built.smallest;
    info.largest = built.largest;
    file = kvi_lsm_file_new(&f->s.mem, &info, file_gone, f);
    need(file != NULL, "no file object");
    kvi_sst_builder_free(builder);
    return file;
}

/* --- whole stores ------------------------------------------------------------------------- */

static kvi_lsm_version *apply(kvt_lsm *f, kvi_lsm_edit *e)
{
    kvi_lsm_version *base = new_version(f), *v = NULL;

    need(kvi_lsm_version_apply(base, e, &v) == KV_OK, "the version is not taken");
    kvi_lsm_version_unref(base);
    kvi_lsm_edit_deinit(e);
    return v;
}

kvi_lsm_version *kvt_lsm_version(kvt_lsm *f, kvi_lsm_file **level0, uint32_t count)
{
    kvi_lsm_edit e;

    kvi_lsm_edit_init(&e, &f->s.mem);
    for (uint32_t i = 0; i < count; i++)
        need(kvi_lsm_edit_add(&e, 0, level0[i]) == KV_OK, "no edit");
    return apply(f, &e);
}

/* Cuts the model into tables between keys. */
static void add_level(kvt_lsm *f, kvi_lsm_edit *e, uint32_t level, const kvt_model *m, kvt_rng *rng)
{
    size_t begin = 0;

    while (begin < m->count) {
        size_t end = begin + 1 + (size_t)kvt_rng_below(rng, KVT_LSM_FILE_MAX);
        kvt_model part = {m->entries + begin, 0, NULL};

        end = kvi_min_size(end, m->count);
        while (end < m->count && kvi_slice_eq(m->entries[end - 1].key, m->entries[end].key))
            end++;
        part.count = end - begin;
        need(kvi_lsm_edit_add(e, level, kvt_lsm_file(f, &part)) == KV_OK, "no edit");
        begin = end;
    }
}

/* Ascending bounds of ages, some of them equal: then the part between has nothing. */
static void random_cuts(kvt_rng *rng, uint64_t cuts[KVT_LSM_PARTS + 1])
{
    for (uint32_t i = 0; i <= KVT_LSM_PARTS; i++) {
        uint64_t cut = kvt_rng_below(rng, KVT_LSM_SEQ_MAX + 1);
        uint32_t k = i;

        for (; k > 0 && cuts[k - 1] > cut; k--)
            cuts[k] = cuts[k - 1];
        cuts[k] = cut;
    }
    cuts[0] = 0;
    cuts[KVT_LSM_PARTS] = KVT_LSM_SEQ_MAX;
}

void kvt_lsm_load(kvt_lsm *f, const kvt_model *m, kvt_rng *rng, size_t more)
{
    static const uint32_t levels[] = {6, 3, 1, 0, 0, 0};
    uint64_t cuts[KVT_LSM_PARTS + 1];
    kvi_lsm_memtable *imm[2], *active;
    uint32_t imm_count = 0;
    kvi_lsm_edit e;
    kvt_model part;

    random_cuts(rng, cuts);
    kvi_lsm_edit_init(&e, &f->s.mem);
    for (uint32_t i = 0; i < 6; i++) {
        kvt_model_slice(&part, m, cuts[i] + 1, cuts[i + 1]);
        if (part.count > 0 && levels[i] > 0)
            add_level(f, &e, levels[i], &part, rng);
        else if (part.count > 0)
            need(kvi_lsm_edit_add(&e, 0, kvt_lsm_file(f, &part)) == KV_OK, "no edit");
        kvt_model_deinit(&part);
    }
    for (uint32_t i = 7; i >= 6; i--) {
        kvt_model_slice(&part, m, cuts[i] + 1, cuts[i + 1]);
        if (part.count > 0)
            imm[imm_count++] = kvt_lsm_memtable(f, &part, 0);
        kvt_model_deinit(&part);
    }
    kvt_model_slice(&part, m, cuts[8] + 1, cuts[9]);
    active = kvt_lsm_memtable(f, &part, more);
    kvt_model_deinit(&part);
    kvt_lsm_set_view(f, active, imm, imm_count, apply(f, &e));
    atomic_store(&f->l->published, KVT_LSM_SEQ_MAX);
}

/* --- churn -------------------------------------------------------------------------------- */

typedef struct churn_write {
    uint8_t key[8], value[8];
} churn_write;

static int by_place(const void *a, const void *b)
{
    const kvt_entry *x = a;
    const kvt_entry *y = b;

    return kvi_entry_cmp(x->key, x->tag, y->key, y->tag);
}

static void churn_writes(kvt_lsm *f, const kvt_churn *c, uint64_t first, kvi_lsm_memtable *active,
                         kvt_entry *entries, churn_write *bytes)
{
    for (uint64_t i = 0; i < c->rotate; i++) {
        uint64_t seq = first + i;

        kvi_put_be64(bytes[i].key, seq % c->keys);
        kvi_put_be64(bytes[i].value, seq);
        entries[i] = (kvt_entry){
            {bytes[i].key, sizeof bytes[i].key},
            kvi_tag(seq, KVI_KIND_PUT),
            {bytes[i].value, sizeof bytes[i].value},
        };
        kvt_lsm_add(active, &entries[i]);
        atomic_store(&f->l->published, seq);
    }
}

static kvi_lsm_version *with_tables(kvt_lsm *f, kvi_lsm_file **tables, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++)
        kvi_lsm_file_ref(tables[i]);
    return kvt_lsm_version(f, tables, count);
}

void kvt_lsm_churn(kvt_lsm *f, const kvt_churn *c)
{
    size_t capacity = (size_t)c->rotate * kvi_lsm_memtable_need(8, 8);
    kvt_entry *entries = malloc((size_t)c->rotate * sizeof *entries);
    churn_write *bytes = malloc((size_t)c->rotate * sizeof *bytes);
    kvi_lsm_file **tables = malloc((size_t)(c->writes / c->rotate) * sizeof *tables);
    kvi_lsm_memtable *active = new_memtable(f, capacity), *full;
    uint32_t count = 0;

    need(entries && bytes && tables, "no memory for a churn");
    kvi_lsm_memtable_ref(active); /* one for us */
    kvt_lsm_set_view(f, active, NULL, 0, with_tables(f, tables, 0));
    for (uint64_t first = 1; first + c->rotate <= c->writes + 1; first += c->rotate) {
        churn_writes(f, c, first, active, entries, bytes);
        full = active;
        active = new_memtable(f, capacity);
        kvi_lsm_memtable_ref(active);
        kvt_lsm_set_view(f, active, &full, 1, with_tables(f, tables, count));
        qsort(entries, (size_t)c->rotate, sizeof *entries, by_place);
        tables[count++] = kvt_lsm_file(f, &(kvt_model){entries, (size_t)c->rotate, NULL});
        kvi_lsm_memtable_ref(active);
        kvt_lsm_set_view(f, active, NULL, 0, with_tables(f, tables, count));
    }
    kvi_lsm_memtable_unref(active);
    for (uint32_t i = 0; i < count; i++)
        kvi_lsm_file_unref(tables[i]);
    free(entries);
    free(bytes);
    free(tables);
}
