/* lib/vclock/object_codec.c: objects as bytes and back, and bytes that are none. */
#include "base/bytes.h"
#include "unit/vclock/objects.h"

static kvi_mem mem;
static kvi_object o, back;
static kvi_buf out, again;

static void setup(void)
{
    kvi_mem_init(&mem, NULL);
    kvi_object_init(&o, &mem);
    kvi_object_init(&back, &mem);
    kvi_buf_init(&out, &mem);
    kvi_buf_init(&again, &mem);
}

static void teardown(void)
{
    kvi_object_deinit(&o);
    kvi_object_deinit(&back);
    kvi_buf_deinit(&out);
    kvi_buf_deinit(&again);
}

static void same_sibling(const kvi_sibling *x, const kvi_sibling *y)
{
    cr_assert(kvi_dot_eq(&x->dot, &y->dot));
    cr_assert_eq(x->flags, y->flags);
    cr_assert_eq(x->expires_ms, y->expires_ms);
    cr_assert_eq(x->written_ms, y->written_ms);
    cr_assert(kvi_slice_eq(x->value, y->value));
}

Test(vclock_object_codec, comes_back, .init = setup, .fini = teardown)
{
    kvt_rng rng;

    kvt_rng_init(&rng, 1);
    for (int round = 0; round < 300; round++) {
        kvi_object_clear(&o);
        kvi_buf_clear(&out);
        kvi_buf_clear(&again);
        put_random(&rng, &o, round % 2);
        OK(kvi_object_encode(&o, &out));
        cr_assert_eq(out.len, kvi_object_bytes(&o));
        OK(kvi_object_decode(&back, kvi_buf_slice(&out)));
        cr_assert_eq(back.lww, o.lww);
        cr_assert_eq(back.count, o.count);
        cr_assert_eq(kvi_clock_compare(&back.seen, &o.seen), KVI_CLOCK_EQUAL);
        for (uint32_t i = 0; i < o.count; i++)
            same_sibling(&o.siblings[i], &back.siblings[i]);
        OK(kvi_object_encode(&back, &again));
        cr_assert(kvi_slice_eq(kvi_buf_slice(&out), kvi_buf_slice(&again)));
    }
}

Test(vclock_object_codec, extremes_come_back, .init = setup, .fini = teardown)
{
    kvi_sibling s = sibling_of(dot_of(UINT64_MAX, UINT64_MAX, UINT64_MAX), "x");

    s.expires_ms = INT64_MAX;
    s.written_ms = INT64_MIN;
    OK(kvi_object_put(&o, NULL, &s));
    s.dot.actor.birth--;
    s.expires_ms = 0;
    s.written_ms = INT64_MAX;
    OK(kvi_object_put(&o, NULL, &s));
    OK(kvi_object_encode(&o, &out));
    OK(kvi_object_decode(&back, kvi_buf_slice(&out)));
    same_sibling(&o.siblings[0], &back.siblings[0]);
    same_sibling(&o.siblings[1], &back.siblings[1]);
}

Test(vclock_object_codec, the_empty_object_has_one_encoding, .init = setup, .fini = teardown)
{
    OK(kvi_object_encode(&o, &out));
    o.lww = true;
    OK(kvi_object_encode(&o, &again));
    cr_assert(kvi_slice_eq(kvi_buf_slice(&out), kvi_buf_slice(&again)));
    put_text(&back, NULL, dot_of(1, 1, 1), "x");
    OK(kvi_object_decode(&back, kvi_buf_slice(&out)));
    cr_assert(kvi_object_empty(&back));
}

Test(vclock_object_codec, has_these_bytes, .init = setup, .fini = teardown)
{
    static const uint8_t plain[] = {
        1, 0,                                           /* format, flags */
        2,                                              /* actors */
        7, 0, 0, 0,    0,    0,    0,   0,  1,    3,    /* open-id, birth, counter */
        9, 0, 0, 0,    0,    0,    0,   0,  0x80, 1, 1, /* birth 128 */
        2,                                              /* siblings */
        0, 2, 1, 0,    0xd0, 0x0f, 0,                   /* a tombstone, written at 1000 */
        1, 1, 0, 0x64, 1,    2,    'h', 'i'};           /* expires at 100, written at -1 */
    static const uint8_t lww[] = {1, 1,    7,    0, 0, 0, 0,    0,    0, 0,
                                  0, 0x80, 0x80, 4, 0, 0, 0xd0, 0x0f, 1, 'x'};
    kvi_sibling s = sibling_of(dot_of(9, 128, 1), "hi");
    kvi_dot dot = dot_of(7, 1, 3);

    s.expires_ms = 100;
    s.written_ms = -1;
    OK(kvi_object_put(&o, NULL, &s));
    put_text(&o, NULL, dot_of(7, 1, 2), NULL);
    OK(kvi_clock_raise(&o.seen, &dot));
    OK(kvi_object_encode(&o, &out));
    cr_assert_eq(out.len, sizeof plain);
    cr_assert_arr_eq(out.data, plain, sizeof plain);
    cr_assert_eq(kvi_object_digest(kvi_buf_slice(&out)), UINT64_C(0x73cbbf38d3046b77));
    kvi_object_clear(&o);
    kvi_buf_clear(&out);
    o.lww = true;
    put_text(&o, NULL, kvi_object_stamped(7, 1 << 16), "x");
    OK(kvi_object_encode(&o, &out));
    cr_assert_eq(out.len, sizeof lww);
    cr_assert_arr_eq(out.data, lww, sizeof lww);
}

/* --- what is refused -------------------------------------------------------------------------- */

/* bytes, which may not be an object: refused with back as it was, or they are the only bytes of the
 * object that they are. */
static bool taken(const uint8_t *bytes, size_t len)
{
    kvi_object_clear(&back);
    put_text(&back, NULL, dot_of(42, 1, 1), "before");
    kvi_error_clear();
    if (kvi_object_decode(&back, kvi_slice_of(bytes, len)) == KV_OK) {
        kvi_buf_clear(&again);
        OK(kvi_object_encode(&back, &again));
        if (!kvi_slice_eq(kvi_buf_slice(&again), kvi_slice_of(bytes, len)))
            cr_assert(false, "an object with two encodings");
        return true;
    }
    if (back.count != 1 || back.seen.count != 1 || back.siblings[0].dot.actor.open_id != 42 ||
        !*kvi_error_detail())
        cr_assert(false, "a failed decode left something behind, or no detail");
    return false;
}

Test(vclock_object_codec, truncated_or_with_a_tail_it_is_refused, .init = setup, .fini = teardown)
{
    kvt_rng rng;

    kvt_rng_init(&rng, 2);
    for (int round = 0; round < 40; round++) {
        kvi_object_clear(&o);
        kvi_buf_clear(&out);
        put_random(&rng, &o, round % 2);
        OK(kvi_object_encode(&o, &out));
        for (size_t len = 0; len < out.len; len++) {
            uint8_t *exact = kvi_mem_dup(&mem, out.data, len); /* so that ASan sees the end */

            cr_assert_not(taken(exact, len));
            kvi_mem_free(&mem, exact);
        }
        OK(kvi_buf_append(&out, "", 1));
        cr_assert_not(taken(out.data, out.len));
    }
}

Test(vclock_object_codec, a_changed_byte_is_refused_or_another_object, .init = setup,
     .fini = teardown)
{
    kvt_rng rng;

    kvt_rng_init(&rng, 3);
    for (int round = 0; round < 20; round++) {
        kvi_object_clear(&o);
        kvi_buf_clear(&out);
        put_random(&rng, &o, round % 2);
        OK(kvi_object_encode(&o, &out));
        for (size_t i = 0; i < out.len; i++)
            for (unsigned v = 1; v < 256; v += 1 + v / 3) {
                out.data[i] ^= (uint8_t)v;
                (void)taken(out.data, out.len);
                out.data[i] ^= (uint8_t)v;
            }
        cr_assert(taken(out.data, out.len));
    }
}

/* The object of one actor (7, 1) that has counted to 3, with these bytes behind the clock. */
static bool taken_tail(const char *tail, size_t len)
{
    static const uint8_t head[] = {1, 0, 1, 7, 0, 0, 0, 0, 0, 0, 0, 1, 3};

    kvi_buf_clear(&out);
    OK(kvi_buf_append(&out, head, sizeof head));
    OK(kvi_buf_append(&out, tail, len));
    return taken(out.data, out.len);
}

#define TAKEN(tail) taken_tail(tail, sizeof(tail) - 1)

Test(vclock_object_codec, refuses_what_is_not_canonical, .init = setup, .fini = teardown)
{
    /* count; then actor, counter, flags, expires, written, length */
    cr_assert(TAKEN("\1"
                    "\0\3\0\0\0\0"));
    cr_assert(TAKEN("\2"
                    "\0\1\0\0\0\0"
                    "\0\3\1\0\0\0"));
    cr_assert(TAKEN("\0"));
    cr_assert_not(TAKEN("\1"
                        "\1\3\0\0\0\0"),
                  "no such actor");
    cr_assert_not(TAKEN("\1"
                        "\0\4\0\0\0\0"),
                  "a dot that is not covered");
    cr_assert_not(TAKEN("\1"
                        "\0\0\0\0\0\0"),
                  "a counter of 0");
    cr_assert_not(TAKEN("\2"
                        "\0\3\0\0\0\0"
                        "\0\1\0\0\0\0"),
                  "unsorted");
    cr_assert_not(TAKEN("\2"
                        "\0\3\0\0\0\0"
                        "\0\3\0\0\0\0"),
                  "twice");
    cr_assert_not(TAKEN("\1"
                        "\0\3\2\0\0\0"),
                  "an unknown flag");
    cr_assert_not(TAKEN("\1"
                        "\0\3\1\1\0\0"),
                  "a tombstone that expires");
    cr_assert_not(TAKEN("\1"
                        "\0\3\1\0\0\1x"),
                  "a tombstone with a value");
    cr_assert_not(TAKEN("\1"
                        "\0\3\0\x80\0\0\0"),
                  "a long varint");
    cr_assert_not(TAKEN("\1"
                        "\0\3\0\0\0\2x"),
                  "a value that passes the end");
    cr_assert_not(TAKEN("\1"
                        "\0\3\0\xff\xff\xff\xff\xff\xff\xff\xff\xff\1\0\0"),
                  "expires");
    cr_assert_not(TAKEN("\xff\xff\xff\xff\x0f"
                        "\0\3\0\0\0\0"),
                  "more than there are bytes");
    cr_assert_not(taken((const uint8_t *)"\2\0\0\0", 4), "another format");
    cr_assert_not(taken((const uint8_t *)"\1\2\0\0", 4), "an unknown flag");
    cr_assert_not(taken((const uint8_t *)"\1\1\0\0\0\0\0\0\0\0\0\0\0\0\0\0", 16), "a stamp of 0");
}

Test(vclock_object_codec, more_siblings_than_the_limit_are_refused, .init = setup, .fini = teardown)
{
    for (uint32_t count = KVI_OBJECT_SIBLINGS_MAX; count <= KVI_OBJECT_SIBLINGS_MAX + 1; count++) {
        uint8_t number[KVI_VARINT64_MAX];
        uint8_t head[] = {1, 0, 1, 7, 0, 0, 0, 0, 0, 0, 0, 1};

        kvi_buf_clear(&out);
        OK(kvi_buf_append(&out, head, sizeof head));
        OK(kvi_buf_append(&out, number, (size_t)(kvi_put_varint(number, count) - number)));
        OK(kvi_buf_append(&out, number, (size_t)(kvi_put_varint(number, count) - number)));
        for (uint32_t i = 1; i <= count; i++) {
            OK(kvi_buf_append(&out, "", 1));
            OK(kvi_buf_append(&out, number, (size_t)(kvi_put_varint(number, i) - number)));
            OK(kvi_buf_append(&out, "\0\0\0\0", 4));
        }
        cr_assert_eq(taken(out.data, out.len), count == KVI_OBJECT_SIBLINGS_MAX);
    }
}

Test(vclock_object_codec, without_memory_nothing_changes)
{
    kvt_failmem fm;
    kvt_rng rng;

    kvt_failmem_init(&fm, &mem);
    kvt_rng_init(&rng, 4);
    for (int lww = 0; lww < 2; lww++) {
        kvi_object_init(&o, &mem);
        kvi_object_init(&back, &mem);
        kvi_buf_init(&out, &mem);
        put_random(&rng, &o, lww);
        kvt_failmem_arm(&fm, 0, true);
        cr_assert_eq(kvi_object_encode(&o, &out), KV_ENOMEM);
        cr_assert(kvt_failmem_disarm(&fm) && out.len == 0);
        OK(kvi_object_encode(&o, &out));
        for (size_t n = 0;; n++) {
            int err;

            kvt_failmem_arm(&fm, n, false);
            err = kvi_object_decode(&back, kvi_buf_slice(&out));
            if (!kvt_failmem_disarm(&fm)) {
                OK(err);
                break;
            }
            cr_assert_eq(err, KV_ENOMEM);
            cr_assert(kvi_object_empty(&back));
        }
        cr_assert_eq(back.count, o.count);
        kvi_object_deinit(&o);
        kvi_object_deinit(&back);
        kvi_buf_deinit(&out);
    }
    cr_assert_eq(kvt_failmem_live(&fm), 0);
}
