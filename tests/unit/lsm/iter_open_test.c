/*
 * Iterators over views made by hand: opening, turning to newer views, failing, and other threads.
 */
#include <criterion/criterion.h>

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "base/bytes.h"
#include "lsm/names.h"
#include "support/lsm_fixture.h"

static kvt_lsm f;
static kvt_model model;

static const kvi_lsm_bounds everything = {{NULL, 0}, {NULL, 0}};

static void setup(void)
{
    kvt_lsm_init(&f, (size_t)64 << 20);
    memset(&model, 0, sizeof model);
}

static void teardown(void)
{
    kvt_model_deinit(&model);
    kvt_lsm_deinit(&f);
}

static kvi_lsm_iter *open_iter(const kvi_lsm_bounds *b, uint64_t seq)
{
    kvi_lsm_iter *it = NULL;

    cr_assert_eq(kvi_lsm_iter_open(f.l, b, seq, &it), KV_OK);
    return it;
}

/* Twelve keys in a table, and room in the memtable. */
static void load_small(void)
{
    kvt_rng rng;

    kvt_rng_init(&rng, 3);
    kvt_model_counted(&model, 12, 20);
    kvt_lsm_load(&f, &model, &rng, 100000);
}

static void put(uint64_t seq, const char *key, const char *value)
{
    kvt_entry e = {{key, strlen(key)}, kvi_tag(seq, KVI_KIND_PUT), {value, strlen(value)}};

    kvt_lsm_add(atomic_load(&f.l->view)->mem, &e);
}

static size_t count_up(kvi_lsm_iter *it)
{
    size_t n = 0;

    while (kvi_lsm_iter_next(it, NULL) == KV_OK)
        n++;
    return n;
}

static size_t count_down(kvi_lsm_iter *it)
{
    size_t n = 0;

    while (kvi_lsm_iter_prev(it, NULL) == KV_OK)
        n++;
    return n;
}

Test(lsm_iter_open, stands_still_while_others_write, .init = setup, .fini = teardown)
{
    kvi_lsm_iter *it;

    load_small();
    it = open_iter(&everything, KVI_LSM_SEQ_LATEST);
    put(1001, "key00000003", "newer");
    put(1002, "key00000003x", "another");
    atomic_store(&f.l->published, 1002);
    cr_assert_eq(count_up(it), 12);
    cr_assert_eq(count_down(it), 12);
    cr_assert_eq(kvi_lsm_iter_renew(it, NULL, KVI_LSM_SEQ_LATEST), KV_OK);
    cr_assert_eq(count_up(it), 13);
    put(1003, "key00000003y", "not published");
    cr_assert_eq(kvi_lsm_iter_renew(it, NULL, KVI_LSM_SEQ_LATEST), KV_OK);
    cr_assert_eq(count_down(it), 13);
    kvt_lsm_clear(&f);
    cr_assert_eq(count_up(it), 13, "it holds its view");
    cr_assert_eq(kvi_lsm_iter_renew(it, NULL, KVI_LSM_SEQ_LATEST), KV_OK);
    cr_assert_eq(count_up(it), 0);
    kvi_lsm_iter_close(it);
}

/* --- failures ----------------------------------------------------------------------------- */

/* Three tables side by side; the middle one is missing. */
static void load_gap(void)
{
    kvi_lsm_file *file[3];
    kvi_lsm_edit e;
    kvi_lsm_version *base = kvt_lsm_version(&f, NULL, 0), *v = NULL;
    kvi_lsm_name name;

    kvt_model_counted(&model, 30, 20);
    kvi_lsm_edit_init(&e, &f.s.mem);
    for (size_t i = 0; i < 3; i++) {
        file[i] = kvt_lsm_file(&f, &(kvt_model){model.entries + 10 * i, 10, NULL});
        cr_assert_eq(kvi_lsm_edit_add(&e, 1, file[i]), KV_OK);
    }
    cr_assert_eq(kvi_lsm_version_apply(base, &e, &v), KV_OK);
    kvi_lsm_version_unref(base);
    kvi_lsm_edit_deinit(&e);
    kvi_lsm_name_table(name, file[1]->number);
    cr_assert_eq(f.dir->ops->unlink(f.dir, name), KV_OK);
    kvt_lsm_set_view(&f, kvt_lsm_memtable(&f, NULL, 0), NULL, 0, v);
    atomic_store(&f.l->published, 1000);
}

Test(lsm_iter_open, an_error_stays_until_it_is_moved_elsewhere, .init = setup, .fini = teardown)
{
    kvi_lsm_bounds high = {{"key00000020", 11}, {NULL, 0}};
    kvi_lsm_iter *it;

    load_gap();
    it = open_iter(&everything, KVI_LSM_SEQ_LATEST);
    for (int turn = 0; turn < 2; turn++) {
        for (int i = 0; i < 10; i++)
            cr_assert_eq(kvi_lsm_iter_next(it, NULL), KV_OK);
        cr_assert_eq(kvi_lsm_iter_next(it, NULL), KV_ECORRUPT);
        cr_assert_eq(kvi_lsm_iter_next(it, NULL), KV_ECORRUPT);
        cr_assert_eq(kvi_lsm_iter_prev(it, NULL), KV_ECORRUPT);
        cr_assert_eq(kvi_lsm_iter_seek(it, kvi_slice_of("key00000025", 11)), KV_OK);
        cr_assert_eq(count_up(it), 5);
        for (int i = 0; i < 9; i++)
            cr_assert_eq(kvi_lsm_iter_prev(it, NULL), KV_OK);
        /* What cannot be read may hold something newer of the tenth. */
        cr_assert_eq(kvi_lsm_iter_prev(it, NULL), KV_ECORRUPT);
        cr_assert_eq(kvi_lsm_iter_seek(it, kvi_slice_of("key00000015", 11)), KV_OK);
        cr_assert_eq(kvi_lsm_iter_prev(it, NULL), KV_ECORRUPT);
        cr_assert_eq(kvi_lsm_iter_renew(it, NULL, KVI_LSM_SEQ_LATEST), KV_OK);
    }
    kvi_lsm_iter_close(it);
    it = open_iter(&high, KVI_LSM_SEQ_LATEST);
    cr_assert_eq(count_up(it), 10);
    cr_assert_eq(count_down(it), 10, "a table out of bounds is not looked at");
    kvi_lsm_iter_close(it);
}

static void forget_tables(void)
{
    const kvi_lsm_version *v = atomic_load(&f.l->view)->version;

    for (uint32_t level = 0; level < KVI_LSM_LEVELS; level++)
        for (uint32_t i = 0; i < v->level[level].count; i++)
            kvi_lsm_tables_forget(&f.l->tables, v->level[level].files[i]);
}

Test(lsm_iter_open, where_it_cannot_be_opened_nothing_is_left, .init = setup, .fini = teardown)
{
    kvi_lsm_bounds b = {{"key00000002", 11}, {"key00000009", 11}};
    kvi_lsm_iter *it;
    size_t live;

    load_small();
    kvi_lsm_iter_close(open_iter(&b, KVI_LSM_SEQ_LATEST));
    forget_tables();
    live = kvt_failmem_live(&f.s.failmem);
    for (size_t n = 0;; n++) {
        int err;

        it = NULL;
        kvt_failmem_arm(&f.s.failmem, n, false);
        err = kvi_lsm_iter_open(f.l, &b, KVI_LSM_SEQ_LATEST, &it);
        if (!kvt_failmem_disarm(&f.s.failmem)) {
            cr_assert_eq(err, KV_OK);
            break;
        }
        cr_assert_eq(err, KV_ENOMEM);
        cr_assert_null(it);
        forget_tables();
        cr_assert_eq(kvt_failmem_live(&f.s.failmem), live, "after failure %zu", n);
    }
    cr_assert_eq(count_up(it), 7);
    kvi_lsm_iter_close(it);
}

/* Over another view and other bounds; where that fails it goes on where it stood. */
Test(lsm_iter_open, a_failed_renewal_changes_nothing, .init = setup, .fini = teardown)
{
    kvi_lsm_bounds b = {{"key00000002", 11}, {"key00000009", 11}};
    kvt_model newer;
    kvi_lsm_iter *it;
    kvi_lsm_entry e;
    kvt_rng rng;
    int err;

    load_small();
    it = open_iter(&everything, KVI_LSM_SEQ_LATEST);
    cr_assert_eq(kvi_lsm_iter_next(it, &e), KV_OK);
    kvt_rng_init(&rng, 12);
    kvt_model_counted(&newer, 8, 3);
    kvt_lsm_load(&f, &newer, &rng, 0);
    for (size_t n = 0;; n++) {
        kvt_failmem_arm(&f.s.failmem, n, false);
        err = kvi_lsm_iter_renew(it, &b, KVI_LSM_SEQ_LATEST);
        if (!kvt_failmem_disarm(&f.s.failmem))
            break;
        cr_assert_eq(err, KV_ENOMEM);
        forget_tables();
        /* To the second entry of the old view, and back to its first. */
        err = n % 2 ? kvi_lsm_iter_prev(it, &e) : kvi_lsm_iter_next(it, &e);
        cr_assert_eq(err, KV_OK);
        cr_assert_arr_eq(e.key.data, n % 2 ? "key00000000" : "key00000001", 11);
        cr_assert_eq(e.value.len, 20);
    }
    cr_assert_eq(err, KV_OK);
    cr_assert_eq(count_up(it), 6);
    kvi_lsm_iter_close(it);
    kvt_model_deinit(&newer);
}

/* Each allocation of a walk fails once: the move says so, and after a seek the walk is as good as
 * new. */
Test(lsm_iter_open, a_move_without_memory_fails_and_no_more, .init = setup, .fini = teardown)
{
    load_small();
    for (size_t n = 0;; n++) {
        kvi_lsm_iter *it = open_iter(&everything, KVI_LSM_SEQ_LATEST);
        int err = KV_OK;

        forget_tables();
        kvt_failmem_arm(&f.s.failmem, n, false);
        while (!err)
            err = kvi_lsm_iter_next(it, NULL);
        while (err == KV_ENOTFOUND)
            err = kvi_lsm_iter_seek(it, kvi_slice_of("key00000005", 11));
        while (!err)
            err = kvi_lsm_iter_prev(it, NULL);
        if (!kvt_failmem_disarm(&f.s.failmem)) {
            cr_assert_eq(err, KV_ENOTFOUND);
            cr_assert(n > 0);
            kvi_lsm_iter_close(it);
            break;
        }
        cr_assert(err == KV_ENOMEM || err == KV_ENOTFOUND);
        cr_assert_eq(kvi_lsm_iter_seek(it, kvi_slice_of("key00000006", 11)), KV_OK);
        cr_assert_eq(count_up(it), 6);
        cr_assert_eq(count_down(it), 12);
        kvi_lsm_iter_close(it);
    }
}

/* --- threads ------------------------------------------------------------------------------ */

static const kvt_churn churn = {40, 20000, 500};
static _Atomic bool writing;
static _Atomic unsigned complaints;

static void *write_many(void *arg)
{
    kvt_lsm_churn(&f, &churn);
    atomic_store(&writing, false);
    return arg;
}

/* Keys in order, and their values the last writes of one moment, not before `least`: one for each
 * key. */
typedef struct sight {
    uint64_t count, low, high, last_key;
} sight;

static void take_in(sight *s, const kvi_lsm_entry *e, bool up)
{
    uint64_t key = kvi_get_be64(e->key.data), value = kvi_get_be64(e->value.data);

    if (value % churn.keys != key || e->seq != value)
        complaints++;
    if (s->count > 0 && (up ? key <= s->last_key : key >= s->last_key))
        complaints++;
    s->low = s->count > 0 ? kvi_min_u64(s->low, value) : value;
    s->high = kvi_max_u64(s->high, value);
    s->last_key = key;
    s->count++;
}

static sight look(kvi_lsm_iter *it, bool up, kvt_rng *rng)
{
    sight s = {0, 0, 0, 0};
    kvi_lsm_entry e;
    int r;

    while ((r = up ? kvi_lsm_iter_next(it, &e) : kvi_lsm_iter_prev(it, &e)) == KV_OK) {
        take_in(&s, &e, up);
        if (kvt_rng_below(rng, 8) == 0) { /* there and back */
            r = up ? kvi_lsm_iter_prev(it, NULL) : kvi_lsm_iter_next(it, NULL);
            (void)(up ? kvi_lsm_iter_next(it, &e) : kvi_lsm_iter_prev(it, &e));
            if ((r == KV_OK && kvi_get_be64(e.key.data) != s.last_key) || (r && r != KV_ENOTFOUND))
                complaints++;
        }
    }
    if (r != KV_ENOTFOUND)
        complaints++;
    return s;
}

static void *read_many(void *arg)
{
    kvi_lsm_iter *it = NULL;
    kvt_rng rng;

    kvt_rng_init(&rng, (uint64_t)(uintptr_t)arg);
    if (kvi_lsm_iter_open(f.l, &everything, KVI_LSM_SEQ_LATEST, &it) != KV_OK)
        abort();
    while (atomic_load(&writing)) {
        uint64_t least = atomic_load(&f.l->published);
        sight up, down;

        if (kvi_lsm_iter_renew(it, NULL, KVI_LSM_SEQ_LATEST) != KV_OK)
            abort();
        up = look(it, true, &rng);
        down = look(it, false, &rng);
        if (up.count != down.count || up.low != down.low || up.high != down.high || up.high < least)
            complaints++;
        if (least >= churn.keys && (up.count != churn.keys || up.high - up.low != churn.keys - 1))
            complaints++;
    }
    kvi_lsm_iter_close(it);
    return NULL;
}

Test(lsm_iter_open, threads_walk_while_one_writes, .init = setup, .fini = teardown)
{
    pthread_t threads[4];

    atomic_store(&writing, true);
    atomic_store(&complaints, 0);
    cr_assert_eq(pthread_create(&threads[0], NULL, write_many, NULL), 0);
    for (size_t i = 1; i < 4; i++)
        cr_assert_eq(pthread_create(&threads[i], NULL, read_many, (void *)(uintptr_t)i), 0);
    for (size_t i = 0; i < 4; i++)
        pthread_join(threads[i], NULL);
    cr_assert_eq(atomic_load(&complaints), 0);
    kvt_lsm_clear(&f);
}
