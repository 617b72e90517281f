/*
 * Point reads over views made by hand, against a model.
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
static kvi_buf copy;

static void setup(void)
{
    kvt_lsm_init(&f, (size_t)64 << 20);
    memset(&model, 0, sizeof model);
    kvi_buf_init(&copy, &f.s.mem);
}

static void teardown(void)
{
    kvi_buf_deinit(&copy);
    kvt_model_deinit(&model);
    kvt_lsm_deinit(&f);
}

static int get(kvi_slice key, uint64_t seq, int64_t now_ms, kvi_lsm_value *out)
{
    kvi_lsm_get g = {key, seq, now_ms, false};

    return kvi_lsm_get_value(f.l, &g, &copy, out);
}

/* --- against a model ---------------------------------------------------------------------- */

static void check_answer(const kvt_entry *want, kvi_slice key, uint64_t seq, int r,
                         const kvi_lsm_value *v)
{
    const kvt_entry *newest = kvt_model_get(&model, key, KVI_TAG_SEEK(seq));
    kvi_slice content;
    int64_t expires_ms;

    cr_assert_eq(r, want ? KV_OK : KV_ENOTFOUND);
    cr_assert_eq(v->seq, newest ? kvi_tag_seq(newest->tag) : 0);
    if (!want) {
        cr_assert_null(v->unpin);
        cr_assert_eq(v->data.len, 0);
        return;
    }
    content = kvt_lsm_content(want, &expires_ms);
    cr_assert(kvi_slice_eq(v->data, content));
    cr_assert_eq(v->expires_ms, expires_ms);
    cr_assert_eq(v->unpin != NULL, content.len > KVI_LSM_COPY_MAX);
}

static void check_get(kvt_rng *rng, kvi_slice key)
{
    uint64_t seq = kvt_rng_below(rng, 3) ? kvt_rng_below(rng, 1001) : KVI_LSM_SEQ_LATEST;
    uint64_t at = seq == KVI_LSM_SEQ_LATEST ? 1000 : seq;
    int64_t now_ms = (int64_t)kvt_rng_below(rng, 110);
    const kvt_entry *want = kvt_lsm_visible(&model, key, at, now_ms);
    kvi_lsm_get g = {key, seq, now_ms, true};
    kvi_lsm_value v;
    int r = kvi_lsm_get_value(f.l, &g, &copy, &v);

    if (r != KVI_AGAIN) {
        check_answer(want, key, at, r, &v);
        kvi_lsm_value_release(&v);
    }
    g.memory_only = false;
    r = kvi_lsm_get_value(f.l, &g, &copy, &v);
    check_answer(want, key, at, r, &v);
    kvi_lsm_value_release(&v);
    cr_assert(!v.unpin && v.data.len == 0);
}

static void check_shape(uint64_t seed, const kvt_shape *shape)
{
    kvt_rng rng;

    kvt_rng_init(&rng, seed);
    kvt_model_random(&model, &rng, shape);
    kvt_lsm_fit(&model);
    kvt_lsm_load(&f, &model, &rng, 0);
    for (size_t i = 0; i < model.count; i++) {
        kvi_slice key = model.entries[i].key;
        uint8_t other[300];

        check_get(&rng, key);
        memcpy(other, key.data, key.len);
        other[key.len] = (uint8_t)kvt_rng_next(&rng);
        check_get(&rng, kvi_slice_of(other, key.len + 1));
        other[key.len - 1]--;
        check_get(&rng, kvi_slice_of(other, key.len));
    }
    kvt_model_deinit(&model);
}

Test(lsm_read, finds_what_a_model_finds, .init = setup, .fini = teardown)
{
    static const kvt_shape shapes[] = {
        {3, 2, 4, 30, 2},    {200, 4, 6, 60, 4},     {2000, 10, 4, 60, 8},
        {30, 3, 100, 20, 3}, {40, 200, 3, 9000, 20},
    };

    for (uint64_t seed = 1; seed <= 20; seed++)
        check_shape(seed, &shapes[seed % (sizeof shapes / sizeof shapes[0])]);
}

Test(lsm_read, what_is_not_published_is_not_seen, .init = setup, .fini = teardown)
{
    kvt_entry e[2] = {{{"k", 1}, kvi_tag(6, KVI_KIND_PUT), {"new", 3}},
                      {{"k", 1}, kvi_tag(5, KVI_KIND_PUT), {"old", 3}}};
    kvi_lsm_value v;

    kvt_lsm_set_view(&f, kvt_lsm_memtable(&f, &(kvt_model){e, 2, NULL}, 0), NULL, 0,
                     kvt_lsm_version(&f, NULL, 0));
    cr_assert_eq(get(e->key, KVI_LSM_SEQ_LATEST, 0, &v), KV_ENOTFOUND);
    cr_assert_eq(v.seq, 0);
    atomic_store(&f.l->published, 5);
    cr_assert_eq(get(e->key, KVI_LSM_SEQ_LATEST, 0, &v), KV_OK);
    cr_assert_arr_eq(v.data.data, "old", 3);
    atomic_store(&f.l->published, 6);
    cr_assert_eq(get(e->key, KVI_LSM_SEQ_LATEST, 0, &v), KV_OK);
    cr_assert_arr_eq(v.data.data, "new", 3);
}

/* --- large values ------------------------------------------------------------------------- */

/* The value stays when the view, and with it memtable and table, is gone. */
static void check_pinned(const kvt_entry *e)
{
    kvi_lsm_value v;

    atomic_store(&f.l->published, 9);
    cr_assert_eq(get(e->key, KVI_LSM_SEQ_LATEST, 0, &v), KV_OK);
    cr_assert_eq(v.unpin != NULL, e->value.len > KVI_LSM_COPY_MAX);
    kvt_lsm_clear(&f);
    cr_assert_not(kvi_epoch_poll(f.l->epoch));
    cr_assert(kvi_slice_eq(v.data, e->value));
    kvi_lsm_value_release(&v);
    cr_assert_eq(get(e->key, KVI_LSM_SEQ_LATEST, 0, &v), KV_ENOTFOUND);
}

Test(lsm_read, small_values_are_copied_large_ones_pinned, .init = setup, .fini = teardown)
{
    static uint8_t bytes[KVI_LSM_COPY_MAX + 1];

    for (size_t i = 0; i < sizeof bytes; i++)
        bytes[i] = (uint8_t)(i * 7);
    for (size_t len = KVI_LSM_COPY_MAX; len <= sizeof bytes; len++) {
        kvt_entry e = {{"key", 3}, kvi_tag(7, KVI_KIND_PUT), {bytes, len}};
        kvt_model m = {&e, 1, NULL};
        kvi_lsm_file *file = kvt_lsm_file(&f, &m);

        kvt_lsm_set_view(&f, kvt_lsm_memtable(&f, &m, 0), NULL, 0, kvt_lsm_version(&f, NULL, 0));
        check_pinned(&e);
        kvt_lsm_set_view(&f, kvt_lsm_memtable(&f, NULL, 0), NULL, 0, kvt_lsm_version(&f, &file, 1));
        check_pinned(&e);
    }
}

Test(lsm_read, nothing_is_lost_where_there_is_no_memory_for_a_copy, .init = setup, .fini = teardown)
{
    kvt_entry e = {
        {"key", 3},
        kvi_tag(7, KVI_KIND_PUT),
        {"some value that is longer than the first buffer, which is of sixty-four bytes or so",
         82}};
    kvt_model m = {&e, 1, NULL};
    kvi_lsm_file *file = kvt_lsm_file(&f, &m);
    kvi_lsm_value v = {.seq = 99};

    kvt_lsm_set_view(&f, kvt_lsm_memtable(&f, NULL, 0), NULL, 0, kvt_lsm_version(&f, &file, 1));
    cr_assert_eq(get(e.key, 9, 0, &v), KV_OK);
    v.seq = 99;
    kvi_buf_deinit(&copy);
    kvt_failmem_arm(&f.s.failmem, 0, true);
    cr_assert_eq(get(e.key, 9, 0, &v), KV_ENOMEM);
    kvt_failmem_disarm(&f.s.failmem);
    cr_assert_eq(v.seq, 99, "what is not answered is not touched");
    cr_assert_eq(get(e.key, 9, 0, &v), KV_OK);
}

/* --- what the disk does ------------------------------------------------------------------- */

Test(lsm_read, asked_for_memory_only_it_does_not_read, .init = setup, .fini = teardown)
{
    kvi_lsm_get g = {kvi_slice_of("key00000007", 11), 100, 0, true};
    kvi_lsm_value v = {.seq = 99};
    kvi_lsm_file *file;

    kvt_model_counted(&model, 50, 100);
    file = kvt_lsm_file(&f, &model);
    kvt_lsm_set_view(&f, kvt_lsm_memtable(&f, NULL, 0), NULL, 0, kvt_lsm_version(&f, &file, 1));
    cr_assert_eq(kvi_lsm_get_value(f.l, &g, &copy, &v), KVI_AGAIN, "the table is not open");
    cr_assert_eq(v.seq, 99);
    cr_assert_eq(get(kvi_slice_of("key00000049", 11), 100, 0, &v), KV_OK);
    cr_assert_eq(kvi_lsm_get_value(f.l, &g, &copy, &v), KVI_AGAIN, "the block is not cached");
    cr_assert_eq(get(g.key, 100, 0, &v), KV_OK);
    cr_assert_eq(kvi_lsm_get_value(f.l, &g, &copy, &v), KV_OK);
    cr_assert_eq(v.seq, 8);
    g.key = kvi_slice_of("nothing", 7);
    cr_assert_eq(kvi_lsm_get_value(f.l, &g, &copy, &v), KV_ENOTFOUND, "out of the table's range");
}

Test(lsm_read, a_missing_table_is_corrupt, .init = setup, .fini = teardown)
{
    kvi_lsm_value v = {.seq = 99};
    kvi_lsm_file *file;
    kvi_lsm_name name;

    kvt_model_counted(&model, 50, 100);
    file = kvt_lsm_file(&f, &model);
    kvi_lsm_name_table(name, file->number);
    kvt_lsm_set_view(&f, kvt_lsm_memtable(&f, NULL, 0), NULL, 0, kvt_lsm_version(&f, &file, 1));
    cr_assert_eq(f.dir->ops->unlink(f.dir, name), KV_OK);
    cr_assert_eq(get(model.entries[3].key, 100, 0, &v), KV_ECORRUPT);
    cr_assert_eq(v.seq, 99);
    cr_assert(strstr(kvi_error_detail(), name));
}

/* A whole block, a right checksum, and an entry that no writer writes. */
Test(lsm_read, an_entry_that_makes_no_sense_is_corrupt, .init = setup, .fini = teardown)
{
    kvt_entry e[] = {
        {{"c", 1}, kvi_tag(7, KVI_KIND_PUT_EXPIRING), {"1234567", 7}},
        {{"d", 1}, kvi_tag(7, KVI_KIND_PUT), {"fine", 4}},
    };
    kvi_lsm_file *file = kvt_lsm_file(&f, &(kvt_model){e, 2, NULL});
    kvi_lsm_value v = {.seq = 99};

    kvt_lsm_set_view(&f, kvt_lsm_memtable(&f, NULL, 0), NULL, 0, kvt_lsm_version(&f, &file, 1));
    cr_assert_eq(get(e[0].key, 9, 0, &v), KV_ECORRUPT);
    cr_assert(strstr(kvi_error_detail(), "sequence 7"), "%s", kvi_error_detail());
    cr_assert_eq(v.seq, 99);
    cr_assert_eq(get(e[1].key, 9, 0, &v), KV_OK);
}

Test(lsm_read, filters_are_counted, .init = setup, .fini = teardown)
{
    uint64_t checked, skipped, wrong;
    kvi_lsm_file *file;
    kvi_lsm_value v;

    kvt_model_counted(&model, 1000, 10);
    file = kvt_lsm_file(&f, &model);
    kvt_lsm_set_view(&f, kvt_lsm_memtable(&f, NULL, 0), NULL, 0, kvt_lsm_version(&f, &file, 1));
    for (size_t i = 0; i < model.count; i++)
        cr_assert_eq(get(model.entries[i].key, 2000, 0, &v), KV_OK);
    cr_assert_eq(atomic_load(&f.l->stats.bloom_checked), 1000);
    cr_assert_eq(atomic_load(&f.l->stats.bloom_skipped), 0);
    cr_assert_eq(atomic_load(&f.l->stats.bloom_false), 0);
    for (size_t i = 0; i + 1 < model.count; i++) {
        uint8_t key[KVT_COUNTED_KEY_LEN + 1] = {0};

        memcpy(key, model.entries[i].key.data, KVT_COUNTED_KEY_LEN);
        cr_assert_eq(get(kvi_slice_of(key, sizeof key), 2000, 0, &v), KV_ENOTFOUND);
    }
    checked = atomic_load(&f.l->stats.bloom_checked);
    skipped = atomic_load(&f.l->stats.bloom_skipped);
    wrong = atomic_load(&f.l->stats.bloom_false);
    cr_assert_eq(checked, 1999);
    cr_assert_eq(skipped + wrong, 999);
    cr_assert(skipped > 900, "%d", (int)skipped);
}

/* --- threads ------------------------------------------------------------------------------ */

static const kvt_churn churn = {50, 20000, 1000};
static _Atomic bool writing;
static _Atomic unsigned complaints;

static void *write_many(void *arg)
{
    kvt_lsm_churn(&f, &churn);
    atomic_store(&writing, false);
    return arg;
}

/* The last write to the key up to seq; 0: none. */
static uint64_t last_write(uint64_t key, uint64_t seq)
{
    uint64_t back = (seq % churn.keys + churn.keys - key) % churn.keys;

    return back < seq ? seq - back : 0;
}

/* A key at the state of now, or at a sequence that was published before. */
static void read_once(kvt_rng *rng, kvi_buf *mine)
{
    uint64_t before = atomic_load(&f.l->published), n = kvt_rng_below(rng, churn.keys), least,
             got = 0;
    bool latest = kvt_rng_below(rng, 2) || before == 0;
    uint64_t seq = latest ? KVI_LSM_SEQ_LATEST : 1 + kvt_rng_below(rng, before);
    uint8_t key[8];
    kvi_lsm_get g = {kvi_slice_of(key, sizeof key), seq, 0, false};
    kvi_lsm_value v = {.seq = 0};
    int r;

    kvi_put_be64(key, n);
    least = last_write(n, latest ? before : seq);
    r = kvi_lsm_get_value(f.l, &g, mine, &v);
    if (r == KV_OK)
        got = kvi_get_be64(v.data.data);
    if ((r != KV_OK && r != KV_ENOTFOUND) || got != v.seq || (got && got % churn.keys != n))
        complaints++;
    if (latest ? got < least : got != least)
        complaints++;
}

static void *read_many(void *arg)
{
    kvi_buf mine;
    kvt_rng rng;

    kvt_rng_init(&rng, (uint64_t)(uintptr_t)arg);
    kvi_buf_init(&mine, &f.s.mem);
    while (atomic_load(&writing))
        read_once(&rng, &mine);
    kvi_buf_deinit(&mine);
    return NULL;
}

Test(lsm_read, threads_read_what_one_writes, .init = setup, .fini = teardown)
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
