/* lib/lsm/manifest_record.c: edits and states as bytes and back, and bytes that are neither. */
#include "lsm/manifest_record.h"

#include "support/failmem.h"
#include "support/rng.h"
#include "unit/lsm/versions.h"

#define OK(call) cr_assert_eq((call), KV_OK, "%s: %s", #call, kvi_error_detail())

static kvi_mem plain;

static void setup(void)
{
    kvi_mem_init(&plain, NULL);
}

static int decode(owner *o, const void *bytes, size_t len, uint32_t count,
                  kvi_lsm_manifest_record *out)
{
    return kvi_lsm_manifest_decode(o->mem, kvi_slice_of(bytes, len), count, owner_obsolete, o, out);
}

static void same_edit(const kvi_lsm_edit *a, const kvi_lsm_edit *b)
{
    cr_assert_eq(a->flushed_seq, b->flushed_seq);
    cr_assert_eq(a->log_floor, b->log_floor);
    cr_assert_eq(a->next_file, b->next_file);
    cr_assert_eq(a->add_count, b->add_count);
    cr_assert_eq(a->remove_count, b->remove_count);
    for (uint32_t i = 0; i < a->add_count; i++) {
        cr_assert_eq(a->adds[i].level, b->adds[i].level);
        cr_assert(file_same(a->adds[i].file, b->adds[i].file));
    }
    for (uint32_t i = 0; i < a->remove_count; i++) {
        cr_assert_eq(a->removes[i].level, b->removes[i].level);
        cr_assert_eq(a->removes[i].number, b->removes[i].number);
    }
}

/* A number of any magnitude, from 1 to max. */
static uint64_t any(kvt_rng *rng, uint64_t max)
{
    return 1 + (kvt_rng_next(rng) >> kvt_rng_below(rng, 64)) % max;
}

static void add_random(kvt_rng *rng, owner *o, kvi_lsm_edit *e)
{
    static uint8_t keys[2][KVI_LSM_KEY_MAX];
    size_t max = kvt_rng_below(rng, 20) == 0 ? KVI_LSM_KEY_MAX : 40;
    kvi_lsm_file_info info = {
        .number = any(rng, KVI_LSM_FILE_NO_MAX),
        .size = any(rng, KVI_LSM_FILE_BYTES_MAX),
        .entries = any(rng, KVI_LSM_FILE_ENTRIES_MAX),
        .seq_max = any(rng, KVI_SEQ_MAX),
    };
    kvi_lsm_file *f;

    info.deletes = kvt_rng_below(rng, info.entries + 1);
    info.seq_min = kvt_rng_below(rng, info.seq_max + 1);
    for (int k = 0; k < 2; k++)
        for (size_t i = 0; i < max; i++)
            keys[k][i] = (uint8_t)kvt_rng_next(rng);
    info.smallest = kvi_slice_of(keys[0], 1 + kvt_rng_below(rng, max));
    info.largest = kvi_slice_of(keys[1], 1 + kvt_rng_below(rng, max));
    if (kvi_slice_cmp(info.smallest, info.largest) > 0) {
        kvi_slice t = info.smallest;

        info.smallest = info.largest;
        info.largest = t;
    }
    f = kvi_lsm_file_new(o->mem, &info, owner_obsolete, o);
    cr_assert_not_null(f);
    OK(kvi_lsm_edit_add(e, (uint32_t)kvt_rng_below(rng, KVI_LSM_LEVELS), f));
}

static void random_edit(kvt_rng *rng, owner *o, kvi_lsm_edit *e)
{
    kvi_lsm_edit_init(e, o->mem);
    if (kvt_rng_below(rng, 2))
        e->flushed_seq = any(rng, KVI_SEQ_MAX);
    if (kvt_rng_below(rng, 2))
        e->log_floor = any(rng, KVI_LSM_FILE_NO_MAX);
    if (kvt_rng_below(rng, 2))
        e->next_file = any(rng, KVI_LSM_FILE_NO_MAX);
    for (uint64_t i = kvt_rng_below(rng, 5); i > 0; i--)
        add_random(rng, o, e);
    for (uint64_t i = kvt_rng_below(rng, 5); i > 0; i--)
        OK(kvi_lsm_edit_remove(e, (uint32_t)kvt_rng_below(rng, KVI_LSM_LEVELS),
                               kvt_rng_next(rng) >> kvt_rng_below(rng, 64)));
}

Test(lsm_manifest_record, edits_come_back, .init = setup)
{
    owner o = {&plain, 0};
    kvt_rng rng;

    kvt_rng_init(&rng, 1);
    for (int round = 0; round < 500; round++) {
        kvi_lsm_manifest_record r;
        kvi_lsm_edit e;
        uint32_t count = 42;
        kvi_buf b;

        kvi_buf_init(&b, &plain);
        OK(kvi_buf_append(&b, "front", 5)); /* the payload goes behind what is there */
        random_edit(&rng, &o, &e);
        OK(kvi_lsm_manifest_encode_edit(&e, &b, &count));
        cr_assert_arr_eq(b.data, "front", 5);
        cr_assert_eq(count > 0, b.len > 5);
        if (count > 0) {
            OK(decode(&o, b.data + 5, b.len - 5, count, &r));
            cr_assert(!r.has_store);
            same_edit(&r.edit, &e);
            kvi_lsm_edit_deinit(&r.edit);
            cr_assert_eq(decode(&o, b.data + 5, b.len - 5, count + 1, &r), KV_ECORRUPT);
        }
        kvi_lsm_edit_deinit(&e);
        kvi_buf_deinit(&b);
    }
}

/* The state with the tables of this edit. */
static void state_of(const kvi_lsm_edit *e, kvi_lsm_state *s)
{
    kvi_lsm_version *empty;

    *s = (kvi_lsm_state){.store = {{9}, KV_ORDERED, 0x1122334455667788, UINT64_MAX},
                         .flushed_seq = 77,
                         .next_file = 1000};
    OK(kvi_lsm_version_new(&plain, &empty));
    OK(kvi_lsm_version_apply(empty, e, &s->version));
    kvi_lsm_version_unref(empty);
}

Test(lsm_manifest_record, states_come_back, .init = setup)
{
    owner o = {&plain, 0};
    kvi_lsm_manifest_record r;
    kvi_lsm_version *empty, *v;
    kvi_lsm_state s;
    kvi_lsm_edit e;
    uint32_t count;
    kvi_buf b;

    kvi_buf_init(&b, &plain);
    kvi_lsm_edit_init(&e, &plain);
    for (uint64_t i = 1; i <= 100; i++)
        OK(kvi_lsm_edit_add(&e, i % KVI_LSM_LEVELS, file_make(&o, i, i, i, i)));
    state_of(&e, &s);
    kvi_lsm_edit_deinit(&e);
    OK(kvi_lsm_manifest_encode_state(&s, &b, &count));
    cr_assert_eq(count, 1 + 2 + 100);
    OK(decode(&o, b.data, b.len, count, &r));
    cr_assert(r.has_store);
    cr_assert_eq(r.store.layout, KV_ORDERED);
    cr_assert_eq(r.store.filter_seed, s.store.filter_seed);
    cr_assert_eq(r.store.context_seed, s.store.context_seed);
    cr_assert_eq(r.edit.flushed_seq, 77);
    cr_assert_eq(r.edit.log_floor, 0);
    cr_assert_eq(r.edit.next_file, 1000);
    OK(kvi_lsm_version_new(&plain, &empty));
    OK(kvi_lsm_version_apply(empty, &r.edit, &v));
    cr_assert(version_same(v, s.version));
    kvi_lsm_version_unref(v);
    kvi_lsm_version_unref(empty);
    kvi_lsm_edit_deinit(&r.edit);
    kvi_lsm_version_unref(s.version);
    kvi_buf_deinit(&b);
    cr_assert_eq(o.obsolete, 200);
}

Test(lsm_manifest_record, the_bytes_are_those_of_format_1, .init = setup)
{
    static const uint8_t want[] = {
        1,   1,   0x88, 0x77, 0x66, 0x55, 0x44, 0x33, 0x22, 0x11, 255, 255, 255,  255, 255, 255,
        255, 255, 2,    77,   0,    0,    0,    0,    0,    0,    0,   4,   0xe8, 3,   0,   0,
        0,   0,   0,    0,    5,    2,    3,    0xb8, 0x17, 30,   3,   100, 0xc8, 1,   8,   0,
        0,   0,   0,    0,    0,    0,    6,    8,    0,    0,    0,   0,   0,    0,   0,   7,
    };
    static const uint8_t want_edit[] = {
        2, 9, 0, 0, 0, 0, 0, 0, 0, 3, 8, 0, 0, 0, 0, 0, 0, 0, 6, 4, 0xac, 2,
    };
    owner o = {&plain, 0};
    kvi_lsm_state s;
    kvi_lsm_edit e;
    uint32_t count;
    kvi_buf b;

    kvi_buf_init(&b, &plain);
    kvi_lsm_edit_init(&e, &plain);
    OK(kvi_lsm_edit_add(&e, 2, file_make(&o, 3, 200, 6, 7)));
    state_of(&e, &s);
    kvi_lsm_edit_deinit(&e);
    OK(kvi_lsm_manifest_encode_state(&s, &b, &count));
    cr_assert_eq(b.len, sizeof want);
    cr_assert_arr_eq(b.data, want, sizeof want);
    kvi_lsm_version_unref(s.version);
    kvi_buf_clear(&b);
    e.flushed_seq = 9;
    e.log_floor = 8;
    OK(kvi_lsm_edit_remove(&e, 4, 300));
    OK(kvi_lsm_manifest_encode_edit(&e, &b, &count));
    cr_assert_eq(count, 3);
    cr_assert_eq(b.len, sizeof want_edit);
    cr_assert_arr_eq(b.data, want_edit, sizeof want_edit);
    kvi_lsm_edit_deinit(&e);
    kvi_buf_deinit(&b);
}

/* Every shorter payload, in memory of its own, so that a byte read too far is seen. */
Test(lsm_manifest_record, every_truncation_is_corruption, .init = setup)
{
    owner o = {&plain, 0};
    kvi_lsm_manifest_record r;
    kvi_lsm_edit e;
    kvt_rng rng;
    uint32_t count;
    kvi_buf b;

    kvt_rng_init(&rng, 5);
    kvi_buf_init(&b, &plain);
    random_edit(&rng, &o, &e);
    add_random(&rng, &o, &e);
    OK(kvi_lsm_edit_remove(&e, 1, 300));
    OK(kvi_lsm_manifest_encode_edit(&e, &b, &count));
    for (size_t len = 1; len < b.len; len++) {
        uint8_t *cut = malloc(len);

        cr_assert_not_null(cut);
        memcpy(cut, b.data, len);
        cr_assert_eq(decode(&o, cut, len, count, &r), KV_ECORRUPT, "%zu bytes", len);
        free(cut);
    }
    kvi_lsm_edit_deinit(&e);
    kvi_buf_deinit(&b);
}

Test(lsm_manifest_record, what_is_no_edit_is_refused, .init = setup)
{
#define N8(n) #n "\0\0\0\0\0\0\0"
#define ZEROS "\0\0\0\0\0\0\0\0"
#define FILE1 "\7\1\1\0\0\1" /* number, size, entries, deletes, sequences */
#define CASE(bytes, count, want)             \
    {                                        \
        bytes, sizeof bytes - 1, count, want \
    }
    static const struct {
        const char *bytes;
        size_t len;
        uint32_t count;
        int want;
    } cases[] = {
        CASE("\5\0" FILE1 "\1a\1b", 1, KV_OK),
        CASE("\5\6" FILE1 "\1a\1a", 1, KV_OK),
        CASE("\2\1\0\0\0\0\0\0\0\3\1\0\0\0\0\0\0\0", 2, KV_OK),
        CASE("\5\0" FILE1 "\1a\1b", 2, KV_ECORRUPT), /* the count */
        CASE("\5\0" FILE1 "\1a\1b", 0, KV_ECORRUPT),
        CASE("\0", 1, KV_EFORMAT), /* ids that are none */
        CASE("\7", 1, KV_EFORMAT),
        CASE("\377\1\2\3", 1, KV_EFORMAT),
        CASE("\2" ZEROS, 1, KV_ECORRUPT), /* numbers that are 0, or too high, or come twice */
        CASE("\3" ZEROS, 1, KV_ECORRUPT),
        CASE("\4" ZEROS, 1, KV_ECORRUPT),
        CASE("\2\0\0\0\0\0\0\0\1", 1, KV_ECORRUPT),
        CASE("\3\0\0\0\0\0\0\0\1", 1, KV_ECORRUPT),
        CASE("\4\0\0\0\0\0\0\0\1", 1, KV_ECORRUPT),
        CASE("\2\1\0\0\0\0\0\0\0\2\1\0\0\0\0\0\0\0", 2, KV_ECORRUPT),
        CASE("\1\1" ZEROS ZEROS "\1\1" ZEROS ZEROS, 2, KV_ECORRUPT),
        CASE("\1\1" ZEROS ZEROS, 1, KV_OK),
        CASE("\5\7" FILE1 "\1a\1b", 1, KV_ECORRUPT), /* no such level */
        CASE("\6\7\1", 1, KV_ECORRUPT),
        CASE("\6\6\1", 1, KV_OK),
        CASE("\5\0\0\1\1\0\0\1\1a\1b", 1, KV_ECORRUPT), /* number 0, size 0, no entries */
        CASE("\5\0\7\0\1\0\0\1\1a\1b", 1, KV_ECORRUPT),
        CASE("\5\0\7\1\0\0\0\1\1a\1b", 1, KV_ECORRUPT),
        CASE("\5\0\7\1\1\2\0\1\1a\1b", 1, KV_ECORRUPT), /* more deletes than entries */
        CASE("\5\0\7\1\1\0\2\1\1a\1b", 1, KV_ECORRUPT), /* sequences out of order */
        CASE("\5\0\7\377\377\377\377\377\377\377\377\377\1\1\0\0\1\1a\1b", 1, KV_ECORRUPT),
        CASE("\5\0\7\377\377\377\377\377\377\377\377\377\2\1\0\0\1\1a\1b", 1, KV_ECORRUPT),
        CASE("\5\0" FILE1 "\0\1b", 1, KV_ECORRUPT), /* keys: none, out of order, too long */
        CASE("\5\0" FILE1 "\1a\0", 1, KV_ECORRUPT),
        CASE("\5\0" FILE1 "\1b\1a", 1, KV_ECORRUPT),
        CASE("\5\0" FILE1 "\2ab\1a", 1, KV_ECORRUPT),
        CASE("\5\0" FILE1 "\1a\377\377\377\377\377\377\377\377\377\1b", 1, KV_ECORRUPT),
        CASE("\5\0" FILE1 "\377\377\377\377\17a\1b", 1, KV_ECORRUPT),
    };
    owner o = {&plain, 0};

    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        kvi_lsm_manifest_record r;
        int err = decode(&o, cases[i].bytes, cases[i].len, cases[i].count, &r);

        cr_assert_eq(err, cases[i].want, "case %zu: %s", i, kvi_error_detail());
        if (err == KV_OK)
            kvi_lsm_edit_deinit(&r.edit);
        else
            cr_assert(strlen(kvi_error_detail()) > 0);
    }
}

Test(lsm_manifest_record, without_memory_nothing_is_left)
{
    kvi_lsm_edit e;
    kvt_failmem fm;
    kvi_mem mem;
    owner o = {&mem, 0};
    int err = KV_ENOMEM;
    size_t made = 0;

    setup();
    kvt_failmem_init(&fm, &mem);
    kvi_lsm_edit_init(&e, &mem);
    for (uint64_t i = 1; i <= 20; i++)
        OK(kvi_lsm_edit_add(&e, 1, file_make(&o, i, i, i, i)));
    for (size_t n = 0; err; n++) {
        kvi_lsm_manifest_record r;
        uint32_t count = 42;
        kvi_buf b;

        kvi_buf_init(&b, &mem);
        kvt_failmem_arm(&fm, n, false);
        err = kvi_lsm_manifest_encode_edit(&e, &b, &count);
        if (err)
            cr_assert_eq(count, 42);
        if (!err)
            err = decode(&o, b.data, b.len, count, &r);
        cr_assert(err == KV_OK || err == KV_ENOMEM);
        cr_assert_eq(kvt_failmem_disarm(&fm), err != KV_OK);
        if (!err) {
            made += r.edit.add_count;
            same_edit(&r.edit, &e);
            kvi_lsm_edit_deinit(&r.edit);
        }
        kvi_buf_deinit(&b);
    }
    cr_assert_eq(made, 20);
    kvi_lsm_edit_deinit(&e);
    cr_assert_eq(kvt_failmem_live(&fm), 0);
}
