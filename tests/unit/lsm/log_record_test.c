/* lib/lsm/log_record.c: ops as bytes and back, and bytes that are no ops. */
#include "lsm/log_record.h"

#include <criterion/criterion.h>
#include <stdlib.h>

#include "base/error.h"
#include "support/rng.h"

#define OPS_MAX 20u

typedef struct op {
    enum kvi_kind kind;
    uint8_t key[300];
    size_t key_len;
    uint8_t value[600];
    size_t value_len;
    int64_t expires_ms;
} op;

static void random_op(kvt_rng *rng, op *o)
{
    o->kind = (enum kvi_kind)(1 + kvt_rng_below(rng, 3));
    o->key_len = 1 + kvt_rng_below(rng, sizeof o->key);
    o->value_len = o->kind == KVI_KIND_DELETE ? 0 : kvt_rng_below(rng, sizeof o->value);
    o->expires_ms = (int64_t)kvt_rng_next(rng);
    for (size_t i = 0; i < o->key_len; i++)
        o->key[i] = (uint8_t)kvt_rng_next(rng);
    for (size_t i = 0; i < o->value_len; i++)
        o->value[i] = (uint8_t)kvt_rng_next(rng);
}

/* The payload of these ops, in memory of just that size; the caller frees it. */
static kvi_slice encode(const op *ops, uint32_t count, uint64_t first_seq)
{
    size_t len = KVI_LSM_LOG_PAYLOAD_HEADER;
    uint8_t *payload, *p;

    for (uint32_t i = 0; i < count; i++) {
        size_t expiry = ops[i].kind == KVI_KIND_PUT_EXPIRING ? KVI_EXPIRES_LEN : 0;

        len += kvi_lsm_op_len(ops[i].key_len, ops[i].value_len + expiry);
    }
    payload = malloc(len);
    cr_assert_not_null(payload);
    p = kvi_lsm_log_payload_begin(payload, first_seq);
    for (uint32_t i = 0; i < count; i++)
        p = kvi_lsm_op_encode(p, ops[i].kind, kvi_slice_of(ops[i].key, ops[i].key_len),
                              ops[i].expires_ms, kvi_slice_of(ops[i].value, ops[i].value_len));
    cr_assert_eq(p - payload, (ptrdiff_t)len);
    return kvi_slice_of(payload, len);
}

static void release(kvi_slice payload)
{
    free((void *)(uintptr_t)payload.data);
}

static void check_op(const op *o, uint64_t seq, uint64_t tag, kvi_slice key, kvi_slice value)
{
    const uint8_t *v = kvi_slice_bytes(value);

    cr_assert_eq(tag, kvi_tag(seq, o->kind));
    cr_assert(kvi_slice_eq(key, kvi_slice_of(o->key, o->key_len)));
    if (o->kind == KVI_KIND_PUT_EXPIRING) {
        cr_assert_geq(value.len, KVI_EXPIRES_LEN);
        cr_assert_eq((int64_t)kvi_get_u64(v), o->expires_ms);
        value = kvi_slice_of(v + KVI_EXPIRES_LEN, value.len - KVI_EXPIRES_LEN);
    }
    cr_assert(kvi_slice_eq(value, kvi_slice_of(o->value, o->value_len)));
}

/* How many ops a payload gives before *end. */
static uint32_t read_all(kvi_slice payload, uint32_t count, int *end)
{
    kvi_lsm_op_reader r;
    kvi_slice key, value;
    uint64_t tag;
    uint32_t got = 0;

    *end = kvi_lsm_op_reader_init(&r, payload, count);
    while (*end == KV_OK) {
        *end = kvi_lsm_op_reader_next(&r, &tag, &key, &value);
        if (*end == KV_OK) {
            cr_assert(key.len > 0 && key.len <= KVI_LSM_KEY_MAX);
            cr_assert(kvi_kind_known(kvi_tag_kind(tag)));
            got++;
        }
    }
    return got;
}

Test(lsm_log_record, ops_come_back)
{
    kvt_rng rng;

    kvt_rng_init(&rng, 1);
    for (int round = 0; round < 200; round++) {
        static op ops[OPS_MAX];
        uint32_t count = 1 + (uint32_t)kvt_rng_below(&rng, OPS_MAX);
        uint64_t seq = 1 + kvt_rng_below(&rng, KVI_SEQ_MAX - OPS_MAX), tag;
        kvi_lsm_op_reader r;
        kvi_slice payload, key, value;

        for (uint32_t i = 0; i < count; i++)
            random_op(&rng, &ops[i]);
        payload = encode(ops, count, seq);
        cr_assert_eq(kvi_lsm_op_reader_init(&r, payload, count), KV_OK);
        for (uint32_t i = 0; i < count; i++) {
            cr_assert_eq(kvi_lsm_op_reader_next(&r, &tag, &key, &value), KV_OK);
            check_op(&ops[i], seq + i, tag, key, value);
        }
        cr_assert_eq(kvi_lsm_op_reader_next(&r, &tag, &key, &value), KV_ENOTFOUND);
        cr_assert_eq(kvi_lsm_op_reader_next(&r, &tag, &key, &value), KV_ENOTFOUND);
        release(payload);
    }
}

Test(lsm_log_record, the_bytes_are_those_of_format_1)
{
    static const uint8_t want[] = {
        9, 0, 0, 0,   0,    0,    0, 0,                     /* first sequence */
        2, 1, 2, 'k', 'v',  'w',                            /* put */
        1, 2, 0, 'a', 'b',                                  /* delete */
        3, 1, 9, 'e', 0x01, 0x02, 0, 0, 0, 0, 0, 0x80, 'x', /* put, expiring */
        2, 1, 0, 'n',                                       /* put of nothing */
    };
    const op ops[] = {
        {.kind = KVI_KIND_PUT, .key = "k", .key_len = 1, .value = "vw", .value_len = 2},
        {.kind = KVI_KIND_DELETE, .key = "ab", .key_len = 2},
        {.kind = KVI_KIND_PUT_EXPIRING,
         .key = "e",
         .key_len = 1,
         .value = "x",
         .value_len = 1,
         .expires_ms = INT64_MIN + 0x201},
        {.kind = KVI_KIND_PUT, .key = "n", .key_len = 1},
    };
    kvi_slice payload = encode(ops, 4, 9);

    cr_assert_eq(payload.len, sizeof want);
    cr_assert_arr_eq(payload.data, want, sizeof want);
    release(payload);
}

Test(lsm_log_record, the_largest_op_comes_back)
{
    static uint8_t key[KVI_LSM_KEY_MAX], value[1 << 20];
    size_t len = KVI_LSM_LOG_PAYLOAD_HEADER + kvi_lsm_op_len(sizeof key, sizeof value);
    uint8_t *payload = malloc(len), *p;
    kvi_lsm_op_reader r;
    kvi_slice k, v;
    uint64_t tag;

    cr_assert_not_null(payload);
    memset(key, 1, sizeof key);
    memset(value, 2, sizeof value);
    p = kvi_lsm_log_payload_begin(payload, KVI_SEQ_MAX);
    p = kvi_lsm_op_encode(p, KVI_KIND_PUT, kvi_slice_of(key, sizeof key), 0,
                          kvi_slice_of(value, sizeof value));
    cr_assert_eq(p, payload + len);
    cr_assert_eq(kvi_lsm_op_reader_init(&r, kvi_slice_of(payload, len), 1), KV_OK);
    cr_assert_eq(kvi_lsm_op_reader_next(&r, &tag, &k, &v), KV_OK);
    cr_assert_eq(kvi_tag_seq(tag), KVI_SEQ_MAX);
    cr_assert(kvi_slice_eq(k, kvi_slice_of(key, sizeof key)));
    cr_assert(kvi_slice_eq(v, kvi_slice_of(value, sizeof value)));
    free(payload);
}

Test(lsm_log_record, every_truncation_is_corruption)
{
    op ops[3];
    kvi_slice payload;
    kvt_rng rng;

    kvt_rng_init(&rng, 2);
    for (uint32_t i = 0; i < 3; i++)
        random_op(&rng, &ops[i]);
    payload = encode(ops, 3, 1);
    for (size_t len = 0; len < payload.len; len++) {
        /* In memory of its own, so that a byte read too far is seen. */
        uint8_t *cut = malloc(kvi_max_size(len, 1));
        int end;

        cr_assert_not_null(cut);
        memcpy(cut, payload.data, len);
        cr_assert_lt(read_all(kvi_slice_of(cut, len), 3, &end), 3);
        cr_assert_eq(end, KV_ECORRUPT, "%zu bytes", len);
        free(cut);
    }
    release(payload);
}

Test(lsm_log_record, damaged_bytes_are_read_within_bounds)
{
    kvt_rng rng;

    kvt_rng_init(&rng, 3);
    for (int round = 0; round < 300; round++) {
        op ops[2];
        kvi_slice payload;
        uint8_t *bytes;
        int end;

        random_op(&rng, &ops[0]);
        random_op(&rng, &ops[1]);
        payload = encode(ops, 2, 1);
        bytes = (uint8_t *)(uintptr_t)payload.data;
        for (int hits = 0; hits < 3; hits++)
            bytes[kvt_rng_below(&rng, hits == 0 ? 16 : payload.len)] = (uint8_t)kvt_rng_next(&rng);
        (void)read_all(payload, 2, &end);
        cr_assert(end == KV_ECORRUPT || end == KV_ENOTFOUND);
        release(payload);
    }
}

Test(lsm_log_record, what_is_no_op_is_corruption)
{
#define SEQ "\1\0\0\0\0\0\0\0"
#define CASE(text, count)            \
    {                                \
        text, sizeof text - 1, count \
    }
    static const struct {
        const char *bytes;
        size_t len;
        uint32_t count;
    } cases[] = {
        CASE("", 1),
        CASE("\1\0\0\0\0\0\0", 1), /* no sequence */
        CASE(SEQ, 0),              /* no op */
        CASE(SEQ, 1),
        CASE(SEQ "\2\1\0k", 0),
        CASE("\0\0\0\0\0\0\0\0\2\1\0k", 1),                      /* sequence 0 */
        CASE("\0\0\0\0\0\0\0\1\2\1\0k", 1),                      /* sequence too high */
        CASE("\377\377\377\377\377\377\377\0\2\1\0k\2\1\0k", 2), /* … by the second op */
        CASE(SEQ "\2\1\0k", 2),                                  /* fewer ops than counted */
        CASE(SEQ "\2\1\1kv\2\1\0", 2),
        CASE(SEQ "\2\1\0k\2\1\0k", 1), /* more */
        CASE(SEQ "\2\1\0k\0", 1),
        CASE(SEQ "\0\1\0k", 1), /* kinds that are none */
        CASE(SEQ "\4\1\0k", 1),
        CASE(SEQ "\377\1\0k", 1),
        CASE(SEQ "\2\0\1k", 1), /* no key */
        CASE(SEQ "\2\2\0k", 1), /* key too long */
        CASE(SEQ "\2\377\377\377\377\17\0k", 1),
        CASE(SEQ "\2\377\377\377\377\177\0k", 1),
        CASE(SEQ "\2\1\1k", 1), /* value too long */
        CASE(SEQ "\2\1\377\377\377\377\17k", 1),
        CASE(SEQ "\2\1\377\377\377\377\377\377\377\377\377\1k", 1),
        CASE(SEQ "\2\1\200\200\200\200", 1), /* a length without end */
        CASE(SEQ "\1\1\1kv", 1),             /* a delete with a value */
        CASE(SEQ "\3\1\7kvvvvvvv", 1),       /* an expiry cut short */
    };

    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        int end;

        (void)read_all(kvi_slice_of(cases[i].bytes, cases[i].len), cases[i].count, &end);
        cr_assert_eq(end, KV_ECORRUPT, "case %zu", i);
    }
}

Test(lsm_log_record, a_key_over_the_limit_is_corruption)
{
    size_t key_len = KVI_LSM_KEY_MAX + 1, len = 8 + 1 + 3 + 1 + key_len;
    uint8_t *payload = calloc(1, len), *p;
    int end;

    cr_assert_not_null(payload);
    p = kvi_lsm_log_payload_begin(payload, 1);
    *p++ = KVI_KIND_PUT;
    p = kvi_put_varint(p, key_len);
    *p = 0;
    (void)read_all(kvi_slice_of(payload, len), 1, &end);
    cr_assert_eq(end, KV_ECORRUPT);
    free(payload);
}
