/* lib/vclock/clock.c: sets of dots as version vectors, and as bytes. */
#include "vclock/clock.h"

#include "base/bytes.h"
#include "unit/vclock/objects.h"

static kvi_mem mem;
static kvi_clock a, b;
static kvi_buf out;

static void setup(void)
{
    kvi_mem_init(&mem, NULL);
    kvi_clock_init(&a, &mem);
    kvi_clock_init(&b, &mem);
    kvi_buf_init(&out, &mem);
}

static void teardown(void)
{
    kvi_clock_deinit(&a);
    kvi_clock_deinit(&b);
    kvi_buf_deinit(&out);
}

static void lift(kvi_clock *c, uint64_t open_id, uint64_t birth, uint64_t counter)
{
    kvi_dot dot = dot_of(open_id, birth, counter);

    OK(kvi_clock_raise(c, &dot));
}

static bool covers(const kvi_clock *c, uint64_t open_id, uint64_t birth, uint64_t counter)
{
    kvi_dot dot = dot_of(open_id, birth, counter);

    return kvi_clock_covers(c, &dot);
}

Test(vclock_clock, dots_are_ordered_by_actor_then_counter, .init = setup, .fini = teardown)
{
    kvi_dot order[] = {dot_of(1, 1, 9), dot_of(1, 2, 1), dot_of(1, 2, 2), dot_of(UINT64_MAX, 0, 1),
                       dot_of(UINT64_MAX, UINT64_MAX, 1)};

    for (int i = 0; i < 5; i++)
        for (int j = 0; j < 5; j++) {
            int c = kvi_dot_cmp(&order[i], &order[j]);

            cr_assert_eq((c > 0) - (c < 0), (i > j) - (i < j));
        }
}

Test(vclock_clock, covers_all_up_to_what_was_raised, .init = setup, .fini = teardown)
{
    cr_assert_not(covers(&a, 7, 1, 1));
    lift(&a, 7, 1, 3);
    cr_assert(covers(&a, 7, 1, 1));
    cr_assert(covers(&a, 7, 1, 3));
    cr_assert_not(covers(&a, 7, 1, 4));
    cr_assert_not(covers(&a, 7, 2, 1));
    cr_assert_not(covers(&a, 8, 1, 1));
    lift(&a, 7, 1, 2); /* never goes back */
    cr_assert_eq(kvi_clock_get(&a, &(kvi_actor){7, 1}), 3);
    kvi_clock_clear(&a);
    cr_assert_not(covers(&a, 7, 1, 1));
}

Test(vclock_clock, entries_stay_sorted_whatever_the_order_of_raises, .init = setup,
     .fini = teardown)
{
    kvt_rng rng;

    kvt_rng_init(&rng, 1);
    for (int i = 0; i < 2000; i++)
        lift(&a, kvt_rng_below(&rng, 10), kvt_rng_below(&rng, 10), 1 + kvt_rng_below(&rng, 50));
    cr_assert_eq(a.count, 100);
    for (uint32_t i = 1; i < a.count; i++)
        cr_assert_lt(kvi_actor_cmp(&a.entries[i - 1].actor, &a.entries[i].actor), 0);
}

Test(vclock_clock, compares, .init = setup, .fini = teardown)
{
    cr_assert_eq(kvi_clock_compare(&a, &b), KVI_CLOCK_EQUAL);
    lift(&a, 1, 1, 2);
    cr_assert_eq(kvi_clock_compare(&a, &b), KVI_CLOCK_AFTER);
    cr_assert_eq(kvi_clock_compare(&b, &a), KVI_CLOCK_BEFORE);
    lift(&b, 1, 1, 1);
    lift(&b, 0, 9, 1);
    cr_assert_eq(kvi_clock_compare(&a, &b), KVI_CLOCK_CONCURRENT);
    lift(&a, 0, 9, 1);
    cr_assert_eq(kvi_clock_compare(&a, &b), KVI_CLOCK_AFTER);
    lift(&b, 1, 1, 2);
    cr_assert_eq(kvi_clock_compare(&a, &b), KVI_CLOCK_EQUAL);
    lift(&b, 5, 1, 1);
    cr_assert_eq(kvi_clock_compare(&a, &b), KVI_CLOCK_BEFORE);
}

/* What merge must give, by raises. */
static void lift_all(kvi_clock *c, const kvi_clock *other)
{
    for (uint32_t i = 0; i < other->count; i++)
        OK(kvi_clock_raise(c, &other->entries[i]));
}

Test(vclock_clock, merge_is_the_pointwise_maximum, .init = setup, .fini = teardown)
{
    kvi_clock wanted;
    kvt_rng rng;

    kvt_rng_init(&rng, 2);
    for (int round = 0; round < 300; round++) {
        uint64_t ours = kvt_rng_below(&rng, 9), theirs = kvt_rng_below(&rng, 9);

        kvi_clock_clear(&a);
        kvi_clock_clear(&b);
        kvi_clock_init(&wanted, &mem);
        for (uint64_t i = 0; i < ours; i++)
            lift(&a, kvt_rng_below(&rng, 4), kvt_rng_below(&rng, 3), 1 + kvt_rng_below(&rng, 9));
        for (uint64_t i = 0; i < theirs; i++)
            lift(&b, kvt_rng_below(&rng, 4), kvt_rng_below(&rng, 3), 1 + kvt_rng_below(&rng, 9));
        lift_all(&wanted, &a);
        lift_all(&wanted, &b);
        OK(kvi_clock_merge(&a, &b));
        cr_assert_eq(a.count, wanted.count);
        cr_assert_eq(kvi_clock_compare(&a, &wanted), KVI_CLOCK_EQUAL);
        kvi_clock_deinit(&wanted);
    }
}

Test(vclock_clock, merges_and_copies_itself, .init = setup, .fini = teardown)
{
    lift(&a, 3, 1, 2);
    OK(kvi_clock_merge(&a, &a));
    OK(kvi_clock_copy(&a, &a));
    cr_assert_eq(a.count, 1);
    OK(kvi_clock_copy(&b, &a));
    cr_assert_eq(kvi_clock_compare(&a, &b), KVI_CLOCK_EQUAL);
    kvi_clock_clear(&a);
    OK(kvi_clock_copy(&b, &a));
    cr_assert_eq(b.count, 0);
}

Test(vclock_clock, is_refused_beyond_its_limit, .init = setup, .fini = teardown)
{
    kvi_dot more = dot_of(1, KVI_CLOCK_ACTORS_MAX, 1), known = dot_of(1, 0, 9);
    kvi_slice in;

    for (uint64_t i = 0; i < KVI_CLOCK_ACTORS_MAX; i++)
        lift(&a, 1, i, 1);
    cr_assert_eq(kvi_clock_raise(&a, &more), KV_ETOOBIG);
    cr_assert_eq(a.count, KVI_CLOCK_ACTORS_MAX);
    OK(kvi_clock_raise(&a, &known));
    lift(&b, 2, 1, 1);
    lift(&b, 1, 0, 10);
    cr_assert_eq(kvi_clock_merge(&a, &b), KV_ETOOBIG);
    cr_assert_eq(kvi_clock_get(&a, &(kvi_actor){1, 0}), 9, "a failed merge changes nothing");
    OK(kvi_clock_encode(&a, &out));
    in = kvi_buf_slice(&out);
    OK(kvi_clock_decode(&b, &in));
    cr_assert_eq(kvi_clock_compare(&a, &b), KVI_CLOCK_EQUAL);
}

Test(vclock_clock, has_these_bytes, .init = setup, .fini = teardown)
{
    static const uint8_t bytes[] = {2, 1,    0,    0,    0,    0,    0,    0,    0,    0xac, 0x02,
                                    5, 0xfe, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0,    1};

    lift(&a, UINT64_MAX - 1, 0, 1);
    lift(&a, 1, 300, 5);
    OK(kvi_clock_encode(&a, &out));
    cr_assert_eq(out.len, sizeof bytes);
    cr_assert_eq(kvi_clock_bytes(&a), sizeof bytes);
    cr_assert_arr_eq(out.data, bytes, sizeof bytes);
}

/* Refused, and nothing touched. */
static void refused(const uint8_t *bytes, size_t len)
{
    kvi_slice in = kvi_slice_of(bytes, len);

    kvi_clock_clear(&b);
    lift(&b, 42, 1, 1);
    cr_assert_eq(kvi_clock_decode(&b, &in), KV_ECORRUPT);
    cr_assert_eq(in.len, len);
    cr_assert(b.count == 1 && covers(&b, 42, 1, 1));
}

Test(vclock_clock, decodes_from_the_front, .init = setup, .fini = teardown)
{
    kvi_slice in;

    lift(&a, 1, 1, 1);
    lift(&a, 2, 1, UINT64_MAX);
    OK(kvi_clock_encode(&a, &out));
    for (size_t len = 0; len < out.len; len++)
        refused(out.data, len);
    OK(kvi_buf_append(&out, "rest", 4));
    in = kvi_buf_slice(&out);
    OK(kvi_clock_decode(&b, &in));
    cr_assert_eq(kvi_clock_compare(&a, &b), KVI_CLOCK_EQUAL);
    cr_assert(kvi_slice_eq(in, kvi_slice_of("rest", 4)));
}

Test(vclock_clock, refuses_what_is_not_canonical, .init = setup, .fini = teardown)
{
    static const uint8_t long_count[] = {0x81, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 1};
    static const uint8_t zero[] = {1, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0};
    static const uint8_t long_birth[] = {1, 1, 0, 0, 0, 0, 0, 0, 0, 0x80, 0, 1};
    static const uint8_t twice[] = {2, 1, 0, 0, 0, 0, 0, 0, 0, 1, 1, 1, 0, 0, 0, 0, 0, 0, 0, 1, 2};
    static const uint8_t unsorted[] = {2, 2, 0, 0, 0, 0, 0, 0, 0, 1, 1,
                                       1, 0, 0, 0, 0, 0, 0, 0, 1, 1};
    static const uint8_t huge[] = {0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1, 1, 1};

    refused(long_count, sizeof long_count);
    refused(zero, sizeof zero);
    refused(long_birth, sizeof long_birth);
    refused(twice, sizeof twice);
    refused(unsorted, sizeof unsorted);
    refused(huge, sizeof huge);
}

Test(vclock_clock, refuses_a_count_over_its_limit_before_it_takes_memory, .init = setup,
     .fini = teardown)
{
    uint8_t *bytes;

    OK(kvi_buf_reserve(&out, 3 + (size_t)(KVI_CLOCK_ACTORS_MAX + 1) * 10));
    bytes = kvi_put_varint(out.data, KVI_CLOCK_ACTORS_MAX + 1);
    for (uint64_t i = 0; i <= KVI_CLOCK_ACTORS_MAX; i++, bytes += 10) {
        kvi_put_u64(bytes, i);
        bytes[8] = bytes[9] = 1;
    }
    refused(out.data, (size_t)(bytes - out.data));
}

Test(vclock_clock, without_memory_nothing_changes)
{
    kvi_clock c, other;
    kvt_failmem fm;
    kvi_dot dot;
    kvi_buf bytes;

    kvt_failmem_init(&fm, &mem);
    kvi_clock_init(&c, &mem);
    kvi_clock_init(&other, &mem);
    kvi_buf_init(&bytes, &mem);
    for (uint64_t i = 0; i < 4; i++) {
        lift(&c, i, 1, 1);
        lift(&other, 10 + i, 1, 1);
    }
    lift(&other, 14, 1, 1);
    dot = dot_of(9, 1, 1);
    kvt_failmem_arm(&fm, 0, true);
    cr_assert_eq(kvi_clock_raise(&c, &dot), KV_ENOMEM);
    cr_assert_eq(kvi_clock_merge(&c, &other), KV_ENOMEM);
    cr_assert_eq(kvi_clock_copy(&c, &other), KV_ENOMEM);
    cr_assert_eq(kvi_clock_encode(&c, &bytes), KV_ENOMEM);
    cr_assert(kvt_failmem_disarm(&fm));
    cr_assert(c.count == 4 && covers(&c, 3, 1, 1) && bytes.len == 0);
    OK(kvi_clock_encode(&other, &bytes));
    {
        kvi_slice in = kvi_buf_slice(&bytes);

        kvt_failmem_arm(&fm, 0, true);
        cr_assert_eq(kvi_clock_decode(&c, &in), KV_ENOMEM);
        cr_assert(kvt_failmem_disarm(&fm));
        cr_assert(c.count == 4 && in.len == bytes.len);
    }
    kvi_clock_deinit(&c);
    kvi_clock_deinit(&other);
    kvi_buf_deinit(&bytes);
    cr_assert_eq(kvt_failmem_live(&fm), 0);
}
