/*
 * The life of an iterator: which sources it walks over, and how it turns to newer ones.
 */
#include "base/check.h"
#include "lsm/iter_impl.h"
#include "lsm/merge.h"

/* A view with a reference, and the sequence to read it at: loaded in this order, see view.h. */
static kvi_lsm_view *pin_view(kvi_lsm *l, uint64_t *seq)
{
    kvi_epoch_guard guard = kvi_epoch_enter(l->epoch);
    kvi_lsm_view *view = atomic_load(&l->view);

    kvi_lsm_view_ref(view);
    if (*seq == KVI_LSM_SEQ_LATEST)
        *seq = atomic_load(&l->published);
    kvi_epoch_leave(l->epoch, guard);
    KVI_ASSERT(*seq <= KVI_SEQ_MAX);
    return view;
}

/* --- sources ------------------------------------------------------------------------------ */

typedef struct sources {
    kvi_lsm *l;
    kvi_slice from, to;
    kvi_cursor **list;
    uint32_t count;
    bool narrowed;
} sources;

static int add_memtable(sources *s, kvi_lsm_memtable *m)
{
    int err = kvi_lsm_memtable_cursor(m, s->l->mem, &s->list[s->count]);

    s->count += err == KV_OK;
    return err;
}

static int add_memtables(sources *s, const kvi_lsm_view *v)
{
    int err = add_memtable(s, v->mem);

    for (uint32_t i = 0; !err && i < v->imm_count; i++)
        err = add_memtable(s, v->imm[i]);
    return err;
}

static bool within(const sources *s, const kvi_lsm_file *f)
{
    return (s->from.len == 0 || kvi_slice_cmp(f->largest, s->from) >= 0) &&
           (s->to.len == 0 || kvi_slice_cmp(f->smallest, s->to) < 0);
}

static int add_level0(sources *s, const kvi_lsm_version *v)
{
    int err = KV_OK;

    for (uint32_t i = 0; !err && i < v->level[0].count; i++) {
        if (!within(s, v->level[0].files[i])) {
            s->narrowed = true;
            continue;
        }
        err = kvi_lsm_tables_cursor(&s->l->tables, v->level[0].files[i], KVI_SST_CACHED,
                                    &s->list[s->count]);
        s->count += err == KV_OK;
    }
    return err;
}

/* The files of a level that hold keys within the bounds stand side by side. */
static int add_level(sources *s, const kvi_lsm_version *v, uint32_t level)
{
    uint32_t all = v->level[level].count, low = 0, high = all;
    int err;

    if (s->from.len > 0)
        low = kvi_lsm_version_find(v, level, s->from);
    if (s->to.len > 0) {
        high = kvi_lsm_version_find(v, level, s->to);
        if (high < all && kvi_slice_cmp(v->level[level].files[high]->smallest, s->to) < 0)
            high++;
    }
    if (low > 0 || high < all)
        s->narrowed = true;
    if (low >= high)
        return KV_OK;
    err = kvi_lsm_level_cursor(&s->l->tables, v->level[level].files + low, high - low,
                               KVI_SST_CACHED, &s->list[s->count]);
    s->count += err == KV_OK;
    return err;
}

/* A cursor over what the view has within the bounds, and whether something was left out. */
static int open_cursor(kvi_lsm *l, const kvi_lsm_view *v, const kvi_lsm_bounds *b, kvi_cursor **out,
                       bool *narrowed)
{
    size_t most = 1 + v->imm_count + v->version->level[0].count + KVI_LSM_LEVELS - 1;
    sources s = {l, b->from, b->to, NULL, 0, false};
    int err;

    s.list = kvi_mem_zalloc(l->mem, most, sizeof *s.list);
    if (!s.list)
        return kvi_error_set(KV_ENOMEM, "no memory for an iterator");
    err = add_memtables(&s, v);
    if (!err)
        err = add_level0(&s, v->version);
    for (uint32_t level = 1; !err && level < KVI_LSM_LEVELS; level++)
        err = add_level(&s, v->version, level);
    KVI_ASSERT(s.count <= most);
    if (!err)
        err = kvi_lsm_merge_cursor(l->mem, s.list, s.count, out); /* takes them in any case */
    else
        for (uint32_t i = 0; i < s.count; i++)
            s.list[i]->ops->close(s.list[i]);
    kvi_mem_free(l->mem, s.list);
    if (!err)
        *narrowed = s.narrowed;
    return err;
}

/* --- life --------------------------------------------------------------------------------- */

static int copy_bounds(const kvi_lsm_bounds *b, kvi_buf *from, kvi_buf *to)
{
    int err = kvi_buf_set(from, b->from.data, b->from.len);

    return err ? err : kvi_buf_set(to, b->to.data, b->to.len);
}

int kvi_lsm_iter_open(kvi_lsm *l, const kvi_lsm_bounds *b, uint64_t seq, kvi_lsm_iter **out)
{
    kvi_lsm_iter *it = kvi_mem_zalloc(l->mem, 1, sizeof *it);
    int err;

    if (!it)
        return kvi_error_set(KV_ENOMEM, "no memory for an iterator");
    it->l = l;
    kvi_buf_init(&it->from, l->mem);
    kvi_buf_init(&it->to, l->mem);
    kvi_buf_init(&it->key, l->mem);
    kvi_buf_init(&it->value, l->mem);
    it->place = ITER_FRESH;
    it->seq = seq;
    it->view = pin_view(l, &it->seq);
    err = copy_bounds(b, &it->from, &it->to);
    if (!err)
        err = open_cursor(l, it->view, b, &it->c, &it->narrowed);
    if (err) {
        kvi_lsm_iter_close(it);
        return err;
    }
    *out = it;
    return KV_OK;
}

/* Turns the iterator to another cursor over another view, whose reference goes with it. */
static void replace_cursor(kvi_lsm_iter *it, kvi_lsm_view *view, kvi_cursor *c, bool narrowed)
{
    it->c->ops->close(it->c);
    kvi_lsm_view_unref(it->view);
    it->c = c;
    it->view = view;
    it->narrowed = narrowed;
}

static void swap_bufs(kvi_buf *a, kvi_buf *b)
{
    kvi_buf c = *a;

    *a = *b;
    *b = c;
}

int kvi_lsm_iter_renew(kvi_lsm_iter *it, const kvi_lsm_bounds *b, uint64_t seq)
{
    kvi_lsm_bounds bounds = {kvi_buf_slice(&it->from), kvi_buf_slice(&it->to)};
    kvi_lsm_view *view = pin_view(it->l, &seq);
    kvi_buf from, to;
    kvi_cursor *c;
    bool narrowed;
    int err = KV_OK;

    kvi_buf_init(&from, it->l->mem);
    kvi_buf_init(&to, it->l->mem);
    if (b) {
        err = copy_bounds(b, &from, &to);
        bounds = (kvi_lsm_bounds){kvi_buf_slice(&from), kvi_buf_slice(&to)};
    }
    /* Of an unchanged view the cursor that there is shows what was written since as well. */
    if (!err && (view != it->view || (b && it->narrowed))) {
        err = open_cursor(it->l, view, &bounds, &c, &narrowed);
        if (!err) {
            replace_cursor(it, view, c, narrowed);
            view = NULL;
        }
    }
    if (view)
        kvi_lsm_view_unref(view);
    if (!err) {
        if (b) {
            swap_bufs(&it->from, &from);
            swap_bufs(&it->to, &to);
        }
        it->seq = seq;
        it->place = ITER_FRESH;
    }
    kvi_buf_deinit(&from);
    kvi_buf_deinit(&to);
    return err;
}

void kvi_lsm_iter_close(kvi_lsm_iter *it)
{
    kvi_lsm *l = it->l;

    if (it->c)
        it->c->ops->close(it->c);
    kvi_lsm_view_unref(it->view); /* after the cursor, which borrows from it */
    kvi_buf_deinit(&it->from);
    kvi_buf_deinit(&it->to);
    kvi_buf_deinit(&it->key);
    kvi_buf_deinit(&it->value);
    kvi_budget_release(l->budget, KVI_BUDGET_WORK, it->charged);
    kvi_mem_free(l->mem, it);
}
