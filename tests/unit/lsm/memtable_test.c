/*
 * The memtable against a model; its room; threads that add while others read.
 */
#include "lsm/memtable.h"

#include <criterion/criterion.h>

#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "base/bytes.h"
#include "base/error.h"
#include "lsm/memtable_node.h"
#include "support/cursors.h"
#include "support/lsm_fixture.h"

static kvt_failmem failmem;
static kvi_mem mem;
static kvi_budget budget;
static kvi_lsm_memtable *table;

static void setup(void)
{
    kvt_failmem_init(&failmem, &mem);
    kvi_budget_init(&budget, (size_t)256 << 20);
    table = NULL;
}

static void teardown(void)
{
    kvi_lsm_memtable_unref(table);
    table = NULL;
    cr_assert_eq(kvt_failmem_live(&failmem), 0);
    cr_assert_eq(atomic_load(&budget.used), 0);
}

static void start(size_t capacity)
{
    cr_assert_eq(kvi_lsm_memtable_new(&mem, &budget, capacity, &table), KV_OK);
}

static bool get(kvi_slice key, uint64_t max_tag, uint64_t *tag, kvi_slice *value)
{
    return kvi_lsm_memtable_get(table, key, kvi_lsm_memtable_hash(key), max_tag, tag, value);
}

static size_t room_for(const kvt_model *m)
{
    size_t bytes = 8;

    for (size_t i = 0; i < m->count; i++)
        bytes += kvi_lsm_memtable_need(m->entries[i].key.len, m->entries[i].value.len);
    return bytes;
}

static void add_shuffled(const kvt_model *m, kvt_rng *rng)
{
    size_t *order = malloc((m->count + 1) * sizeof *order);

    cr_assert_not_null(order);
    for (size_t i = 0; i < m->count; i++) {
        size_t k = (size_t)kvt_rng_below(rng, i + 1);

        order[i] = order[k];
        order[k] = i;
    }
    for (size_t i = 0; i < m->count; i++)
        kvt_lsm_add(table, &m->entries[order[i]]);
    free(order);
}

static void check_gets(const kvt_model *m, kvt_rng *rng)
{
    for (size_t i = 0; i < m->count; i++) {
        uint64_t max_tag = kvt_rng_below(rng, 3) ? kvt_rng_below(rng, 1001 << 8) : KVI_TAG_NEWEST;
        kvi_slice key = m->entries[i].key;
        const kvt_entry *want;
        uint64_t tag = 0;
        kvi_slice value;

        if (kvt_rng_below(rng, 4) == 0)
            key.len--;
        want = key.len > 0 ? kvt_model_get(m, key, max_tag) : NULL;
        cr_assert_eq(get(key, max_tag, &tag, &value), want != NULL, "entry %zu", i);
        if (want)
            cr_assert(kvt_entry_same(want, key, tag, value), "entry %zu", i);
    }
}

static void check_shape(uint64_t seed, const kvt_shape *shape)
{
    const char *wrong;
    kvi_cursor *c;
    kvt_model m;
    kvt_rng rng;

    kvt_rng_init(&rng, seed);
    kvt_model_random(&m, &rng, shape);
    kvt_lsm_fit(&m);
    start(room_for(&m));
    add_shuffled(&m, &rng);
    cr_assert_eq(kvi_lsm_memtable_count(table), m.count);
    check_gets(&m, &rng);
    cr_assert_eq(kvi_lsm_memtable_cursor(table, &mem, &c), KV_OK);
    wrong = kvt_cursor_check(c, &m, &rng, 20000);
    cr_assert_null(wrong, "%s", wrong);
    c->ops->close(c);
    kvi_lsm_memtable_unref(table);
    table = NULL;
    kvt_model_deinit(&m);
}

Test(lsm_memtable, holds_what_a_model_holds, .init = setup, .fini = teardown)
{
    static const kvt_shape shapes[] = {
        {0, 4, 1, 4, 2},        /* empty */
        {1, 1, 1, 0, 1},        /* one */
        {300, 5, 3, 20, 2},     /* short keys: some are beginnings of others */
        {20000, 12, 4, 60, 8},  /* many */
        {500, 40, 3, 30, 1},    /* long common beginnings */
        {3, 2, 3000, 12, 2},    /* few keys of many versions */
        {50, 200, 2, 5000, 200} /* large */
    };

    for (size_t i = 0; i < sizeof shapes / sizeof shapes[0]; i++)
        check_shape(i + 1, &shapes[i]);
}

/* Each get is made against all that was there when it was made. */
Test(lsm_memtable, follows_a_model_through_a_hundred_thousand_operations, .init = setup,
     .fini = teardown)
{
    enum { KEYS = 700, OPERATIONS = 100000 };
    static uint64_t newest[KEYS], before[KEYS];
    kvt_rng rng;

    memset(newest, 0, sizeof newest);
    memset(before, 0, sizeof before);
    kvt_rng_init(&rng, 77);
    start((size_t)32 << 20);
    for (uint64_t seq = 1; seq <= OPERATIONS; seq++) {
        size_t n = (size_t)kvt_rng_below(&rng, KEYS);
        uint64_t tag = 0;
        uint8_t key[8];
        kvi_slice value;

        kvi_put_be64(key, n * n);
        if (kvt_rng_below(&rng, 2)) {
            kvt_entry e = {{key, sizeof key}, kvi_tag(seq, KVI_KIND_PUT), {&n, sizeof n}};

            kvt_lsm_add(table, &e);
            before[n] = newest[n];
            newest[n] = e.tag;
            continue;
        }
        cr_assert_eq(get(kvi_slice_of(key, sizeof key), KVI_TAG_NEWEST, &tag, &value),
                     newest[n] != 0);
        cr_assert_eq(tag, newest[n]);
        if (newest[n] == 0)
            continue;
        cr_assert(value.len == sizeof n && memcmp(value.data, &n, sizeof n) == 0);
        tag = 0;
        cr_assert_eq(get(kvi_slice_of(key, sizeof key), newest[n] - 1, &tag, &value),
                     before[n] != 0);
        cr_assert_eq(tag, before[n]);
    }
}

/* A key, one of the few that share a bucket. */
static void colliding_key(uint8_t key[8], uint64_t *from)
{
    for (;; ++*from) {
        kvi_put_be64(key, *from);
        if ((kvi_lsm_memtable_hash(kvi_slice_of(key, 8)) & table->index_mask) == 0)
            break;
    }
    ++*from;
}

Test(lsm_memtable, keys_that_share_a_bucket_are_found_all_the_same, .init = setup, .fini = teardown)
{
    enum { KEYS = 100 };
    uint8_t keys[KEYS][8], absent[8];
    uint64_t from = 0, tag;
    kvi_slice value;

    start((size_t)64 << 10);
    for (size_t turn = 0; turn < 3; turn++) {
        for (size_t i = 0; i < KEYS; i++) {
            kvt_entry e = {{keys[i], 8}, kvi_tag(1 + turn * KEYS + i, KVI_KIND_PUT), {"v", 1}};

            if (turn == 0)
                colliding_key(keys[i], &from);
            kvt_lsm_add(table, &e);
        }
        for (size_t i = 0; i < KEYS; i++) {
            cr_assert(get(kvi_slice_of(keys[i], 8), KVI_TAG_NEWEST, &tag, &value));
            cr_assert_eq(kvi_tag_seq(tag), 1 + turn * KEYS + i);
            cr_assert(get(kvi_slice_of(keys[i], 8), KVI_TAG_SEEK(1 + i), &tag, &value));
            cr_assert_eq(kvi_tag_seq(tag), 1 + i);
            cr_assert_not(get(kvi_slice_of(keys[i], 8), KVI_TAG_SEEK(i), &tag, &value));
        }
    }
    colliding_key(absent, &from);
    cr_assert_not(get(kvi_slice_of(absent, 8), KVI_TAG_NEWEST, &tag, &value));
}

Test(lsm_memtable, the_expiry_stands_in_front_of_the_value, .init = setup, .fini = teardown)
{
    uint64_t tag;
    kvi_slice value;

    start(4096);
    cr_assert(kvi_lsm_memtable_claim(table, kvi_lsm_memtable_need(1, KVI_EXPIRES_LEN + 3)));
    kvi_lsm_memtable_add(table, kvi_slice_of("k", 1), kvi_tag(9, KVI_KIND_PUT_EXPIRING), 123456789,
                         kvi_slice_of("abc", 3));
    cr_assert(get(kvi_slice_of("k", 1), KVI_TAG_NEWEST, &tag, &value));
    cr_assert_eq(tag, kvi_tag(9, KVI_KIND_PUT_EXPIRING));
    cr_assert_eq(value.len, KVI_EXPIRES_LEN + 3);
    cr_assert_eq(kvi_get_u64(value.data), 123456789);
    cr_assert_arr_eq(kvi_slice_bytes(value) + KVI_EXPIRES_LEN, "abc", 3);
}

/* --- room --------------------------------------------------------------------------------- */

Test(lsm_memtable, a_table_made_for_one_entry_takes_it, .init = setup, .fini = teardown)
{
    for (size_t len = 0; len < 70; len++) {
        size_t need = kvi_lsm_memtable_need(1 + len, 2 * len);
        uint8_t bytes[256] = {0};

        start(need);
        cr_assert(kvi_lsm_memtable_claim(table, need));
        cr_assert_not(kvi_lsm_memtable_claim(table, 1));
        kvi_lsm_memtable_add(table, kvi_slice_of(bytes, 1 + len), kvi_tag(1, KVI_KIND_PUT), 0,
                             kvi_slice_of(bytes, 2 * len));
        cr_assert(kvi_lsm_memtable_claimed(table) <= need);
        kvi_lsm_memtable_unref(table);
        table = NULL;
    }
}

Test(lsm_memtable, what_an_entry_did_not_need_is_given_back, .init = setup, .fini = teardown)
{
    const size_t capacity = 100000;
    size_t need = kvi_lsm_memtable_need(8, 20), count = 0;
    uint8_t key[8];

    start(capacity);
    while (kvi_lsm_memtable_claim(table, need)) {
        size_t before = kvi_lsm_memtable_claimed(table);

        cr_assert(before >= need && before <= capacity);
        kvi_put_be64(key, count++);
        kvi_lsm_memtable_add(table, kvi_slice_of(key, sizeof key), kvi_tag(count, KVI_KIND_PUT), 0,
                             kvi_slice_of(key, 0));
        cr_assert(kvi_lsm_memtable_claimed(table) <= before);
    }
    cr_assert(capacity - kvi_lsm_memtable_claimed(table) < need);
    cr_assert(count > 2 * (capacity / need), "%zu entries", count);
    cr_assert_eq(kvi_lsm_memtable_count(table), count);
    for (size_t i = 0; i < count; i++) {
        kvi_slice value;
        uint64_t tag;

        kvi_put_be64(key, i);
        cr_assert(get(kvi_slice_of(key, sizeof key), KVI_TAG_NEWEST, &tag, &value));
        cr_assert_eq(kvi_tag_seq(tag), i + 1);
    }
}

Test(lsm_memtable, it_is_charged_from_birth_to_the_last_reference, .init = setup, .fini = teardown)
{
    kvi_cursor *c;

    start(100000);
    cr_assert(kvi_budget_held(&budget, KVI_BUDGET_MEMTABLE) >= 100000);
    cr_assert(kvi_budget_held(&budget, KVI_BUDGET_MEMTABLE) <= 100000 + 100000 / 16);
    kvi_lsm_memtable_ref(table);
    kvi_lsm_memtable_unref(table);
    cr_assert_eq(kvi_lsm_memtable_cursor(table, &mem, &c), KV_OK);
    kvi_lsm_memtable_unref(table);
    table = NULL;
    cr_assert(kvi_budget_held(&budget, KVI_BUDGET_MEMTABLE) >= 100000, "a cursor holds it");
    cr_assert_eq(c->ops->first(c), KV_OK);
    cr_assert_not(c->valid);
    cr_assert_eq(c->ops->last(c), KV_OK);
    cr_assert_not(c->valid);
    c->ops->close(c);
    cr_assert_eq(kvi_budget_held(&budget, KVI_BUDGET_MEMTABLE), 0);
}

Test(lsm_memtable, no_memory_leaves_nothing_behind, .init = setup, .fini = teardown)
{
    kvi_lsm_memtable *m = NULL;
    kvi_cursor *c = NULL;
    size_t n = 0;

    cr_assert_eq(kvi_lsm_memtable_new(&mem, &budget, (size_t)256 << 20, &m), KV_ENOMEM);
    for (;; n++) {
        int err;

        kvt_failmem_arm(&failmem, n, false);
        err = kvi_lsm_memtable_new(&mem, &budget, 5000, &m);
        if (!err && kvi_lsm_memtable_cursor(m, &mem, &c) == KV_OK)
            c->ops->close(c);
        if (!err)
            kvi_lsm_memtable_unref(m);
        if (!kvt_failmem_disarm(&failmem))
            break;
        cr_assert_eq(kvt_failmem_live(&failmem), 0);
        cr_assert_eq(atomic_load(&budget.used), 0);
    }
    cr_assert_eq(n, 4);
}

/* --- threads ------------------------------------------------------------------------------ */

enum { WRITERS = 4, READERS = 2, ADDED_EACH = 6000, SHARED_KEYS = 500 };

/* Each writer has sequences of its own and writes to keys of all. */
typedef struct writer {
    pthread_t thread;
    uint64_t number;
    _Atomic uint64_t published; /* how many it has added */
} writer;

static writer writers[WRITERS];
static bool side_by_side; /* all write next to each other, not here and there */
static _Atomic unsigned ready;
static _Atomic unsigned complaints;

static uint64_t seq_of(uint64_t writer_no, uint64_t i)
{
    return i * WRITERS + writer_no + 1;
}

static void key_of(uint64_t writer_no, uint64_t i, uint8_t key[8])
{
    kvi_put_be64(key, side_by_side ? i / 8 : kvi_mix64(kvi_mix64(writer_no + 1) + i) % SHARED_KEYS);
}

static void *write_many(void *arg)
{
    writer *w = arg;

    atomic_fetch_add(&ready, 1);
    while (atomic_load(&ready) < WRITERS) /* so that all begin at once */
        sched_yield();
    for (uint64_t i = 0; i < ADDED_EACH; i++) {
        uint8_t key[8];
        kvt_entry e = {{key, 8}, kvi_tag(seq_of(w->number, i), KVI_KIND_PUT), {key, 8}};

        key_of(w->number, i, key);
        kvt_lsm_add(table, &e);
        atomic_store_explicit(&w->published, i + 1, memory_order_release);
    }
    return NULL;
}

/* Everything in order, each value its key's; what was published before the walk is met. */
static void walk_once(kvi_cursor *c)
{
    uint64_t published = 0, met = 0, last_tag = 0;
    uint8_t last[8] = {0};

    for (size_t i = 0; i < WRITERS; i++)
        published += atomic_load_explicit(&writers[i].published, memory_order_acquire);
    if (c->ops->first(c) != KV_OK)
        complaints++;
    while (c->valid) {
        if (met > 0 && kvi_entry_cmp(kvi_slice_of(last, 8), last_tag, c->key, c->tag) >= 0)
            complaints++;
        if (!kvi_slice_eq(c->key, c->value))
            complaints++;
        memcpy(last, c->key.data, 8);
        last_tag = c->tag;
        met++;
        if (c->ops->next(c) != KV_OK)
            complaints++;
    }
    if (met < published)
        complaints++;
}

/* What one writer published is found: itself, or one that is newer. */
static void get_once(kvt_rng *rng)
{
    writer *w = &writers[kvt_rng_below(rng, WRITERS)];
    uint64_t published = atomic_load_explicit(&w->published, memory_order_acquire);
    uint64_t i, tag = 0;
    uint8_t key[8];
    kvi_slice value;

    if (published == 0)
        return;
    i = kvt_rng_below(rng, 4) ? published - 1 : kvt_rng_below(rng, published);
    key_of(w->number, i, key);
    if (!get(kvi_slice_of(key, 8), KVI_TAG_NEWEST, &tag, &value) ||
        kvi_tag_seq(tag) < seq_of(w->number, i) || memcmp(value.data, key, 8) != 0)
        complaints++;
    if (!get(kvi_slice_of(key, 8), KVI_TAG_SEEK(seq_of(w->number, i)), &tag, &value) ||
        kvi_tag_seq(tag) != seq_of(w->number, i))
        complaints++;
}

static bool all_done(void)
{
    for (size_t i = 0; i < WRITERS; i++)
        if (atomic_load(&writers[i].published) < ADDED_EACH)
            return false;
    return true;
}

static void *read_many(void *arg)
{
    kvi_cursor *c;
    kvt_rng rng;
    bool done;

    kvt_rng_init(&rng, (uint64_t)(uintptr_t)arg);
    if (kvi_lsm_memtable_cursor(table, &mem, &c) != KV_OK)
        abort();
    do {
        done = all_done();
        walk_once(c);
        for (int i = 0; i < 300; i++)
            get_once(&rng);
    } while (!done);
    c->ops->close(c);
    return NULL;
}

static void check_all_there(void)
{
    uint64_t met = 0;
    kvi_cursor *c;

    cr_assert_eq(kvi_lsm_memtable_count(table), WRITERS * ADDED_EACH);
    cr_assert_eq(kvi_lsm_memtable_cursor(table, &mem, &c), KV_OK);
    for (uint64_t w = 0; w < WRITERS; w++) {
        for (uint64_t i = 0; i < ADDED_EACH; i++) {
            uint8_t key[8];
            kvi_slice value;
            uint64_t tag, want = kvi_tag(seq_of(w, i), KVI_KIND_PUT);

            key_of(w, i, key);
            cr_assert(get(kvi_slice_of(key, 8), want, &tag, &value));
            cr_assert_eq(tag, want);
            cr_assert_eq(c->ops->seek(c, kvi_slice_of(key, 8), want), KV_OK);
            cr_assert(c->valid && c->tag == want);
        }
    }
    cr_assert_eq(c->ops->first(c), KV_OK);
    for (; c->valid; met++)
        cr_assert_eq(c->ops->next(c), KV_OK);
    cr_assert_eq(met, WRITERS * ADDED_EACH);
    c->ops->close(c);
}

static void run_threads(size_t reader_count)
{
    pthread_t readers[READERS];

    start((size_t)4 << 20);
    atomic_store(&complaints, 0);
    atomic_store(&ready, 0);
    for (size_t i = 0; i < WRITERS; i++) {
        writers[i].number = i;
        atomic_store(&writers[i].published, 0);
    }
    for (size_t i = 0; i < WRITERS; i++)
        cr_assert_eq(pthread_create(&writers[i].thread, NULL, write_many, &writers[i]), 0);
    for (size_t i = 0; i < reader_count; i++)
        cr_assert_eq(pthread_create(&readers[i], NULL, read_many, (void *)(uintptr_t)(i + 1)), 0);
    for (size_t i = 0; i < WRITERS; i++)
        pthread_join(writers[i].thread, NULL);
    for (size_t i = 0; i < reader_count; i++)
        pthread_join(readers[i], NULL);
    cr_assert_eq(atomic_load(&complaints), 0);
    check_all_there();
}

Test(lsm_memtable, threads_add_while_others_read, .init = setup, .fini = teardown)
{
    side_by_side = false;
    run_threads(READERS);
}

Test(lsm_memtable, threads_add_at_the_same_place, .init = setup, .fini = teardown)
{
    side_by_side = true;
    for (int turn = 0; turn < 5; turn++) {
        run_threads(0);
        kvi_lsm_memtable_unref(table);
        table = NULL;
    }
}
