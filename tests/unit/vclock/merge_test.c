/* lib/vclock/merge.c: what two objects become, and what that says about each. See model_test.c. */
#include "unit/vclock/objects.h"

static kvi_mem mem;
static kvi_object a, b;

static void setup(void)
{
    kvi_mem_init(&mem, NULL);
    kvi_object_init(&a, &mem);
    kvi_object_init(&b, &mem);
}

static void teardown(void)
{
    kvi_object_deinit(&a);
    kvi_object_deinit(&b);
}

static unsigned merge(kvi_object *into, const kvi_object *from)
{
    unsigned merged = ~0u;

    OK(kvi_object_merge(into, from, &merged));
    return merged;
}

static void refused(int err)
{
    unsigned merged = 17;
    uint32_t count = a.count, seen = a.seen.count;

    cr_assert_eq(kvi_object_merge(&a, &b, &merged), err);
    cr_assert_eq(merged, 17);
    cr_assert(a.count == count && a.seen.count == seen);
}

Test(vclock_merge, with_nothing, .init = setup, .fini = teardown)
{
    cr_assert_eq(merge(&a, &b), 0);
    put_text(&b, NULL, dot_of(1, 1, 1), "b");
    cr_assert_eq(merge(&a, &b), KVI_MERGE_GAINED);
    has(&a, 0, dot_of(1, 1, 1), "b");
    kvi_object_clear(&b);
    cr_assert_eq(merge(&a, &b), KVI_MERGE_AHEAD);
    cr_assert_eq(a.count, 1);
}

Test(vclock_merge, with_itself, .init = setup, .fini = teardown)
{
    put_text(&a, NULL, dot_of(1, 1, 1), "a");
    cr_assert_eq(merge(&a, &a), 0);
}

Test(vclock_merge, concurrent_writes_are_siblings, .init = setup, .fini = teardown)
{
    put_text(&a, NULL, dot_of(1, 1, 1), "a");
    put_text(&b, NULL, dot_of(2, 1, 1), "b");
    cr_assert_eq(merge(&a, &b), KVI_MERGE_GAINED | KVI_MERGE_AHEAD);
    cr_assert_eq(a.count, 2);
    has(&a, 0, dot_of(1, 1, 1), "a");
    has(&a, 1, dot_of(2, 1, 1), "b");
    cr_assert_eq(merge(&a, &b), KVI_MERGE_AHEAD);
    cr_assert_eq(merge(&b, &a), KVI_MERGE_GAINED);
    cr_assert_eq(merge(&b, &a), 0);
}

/* One actor wrote both, and the second had not seen the first. */
Test(vclock_merge, an_actors_own_siblings_stay, .init = setup, .fini = teardown)
{
    put_text(&a, NULL, dot_of(1, 1, 1), "a");
    merge(&b, &a);
    put_text(&a, NULL, dot_of(1, 1, 2), "b");
    cr_assert_eq(merge(&b, &a), KVI_MERGE_GAINED);
    cr_assert_eq(b.count, 2);
}

Test(vclock_merge, what_was_replaced_goes, .init = setup, .fini = teardown)
{
    put_text(&a, NULL, dot_of(1, 1, 1), "old");
    put_text(&a, NULL, dot_of(3, 1, 1), "unseen");
    put_text(&b, NULL, dot_of(1, 1, 1), "old");
    put_text(&b, &b.seen, dot_of(2, 1, 1), NULL);
    cr_assert_eq(merge(&a, &b), KVI_MERGE_GAINED | KVI_MERGE_AHEAD);
    cr_assert_eq(a.count, 2);
    has(&a, 0, dot_of(2, 1, 1), NULL);
    has(&a, 1, dot_of(3, 1, 1), "unseen");
}

Test(vclock_merge, what_a_delete_had_seen_never_comes_back, .init = setup, .fini = teardown)
{
    put_text(&b, NULL, dot_of(1, 1, 1), "late");
    put_text(&a, &b.seen, dot_of(2, 1, 1), NULL); /* where the value itself never came */
    cr_assert_eq(merge(&a, &b), KVI_MERGE_AHEAD);
    cr_assert_eq(a.count, 1);
    has(&a, 0, dot_of(2, 1, 1), NULL);
    cr_assert_eq(merge(&b, &a), KVI_MERGE_GAINED);
    cr_assert_eq(b.count, 1);
}

Test(vclock_merge, of_what_was_seen_alone_is_a_gain, .init = setup, .fini = teardown)
{
    kvi_dot dot = dot_of(2, 1, 1);

    put_text(&a, NULL, dot_of(1, 1, 1), "a");
    merge(&b, &a);
    OK(kvi_clock_raise(&b.seen, &dot));
    cr_assert_eq(merge(&a, &b), KVI_MERGE_GAINED);
    cr_assert_eq(merge(&a, &b), 0);
    kvi_object_clear(&b);
    merge(&b, &a);
    dot.counter++;
    OK(kvi_clock_raise(&a.seen, &dot));
    cr_assert_eq(merge(&a, &b), KVI_MERGE_AHEAD);
}

Test(vclock_merge, one_version_with_two_contents_is_refused, .init = setup, .fini = teardown)
{
    put_text(&a, NULL, dot_of(1, 1, 1), "a");
    put_text(&b, NULL, dot_of(1, 1, 1), "b");
    put_text(&b, NULL, dot_of(2, 1, 1), "c");
    refused(KV_ECORRUPT);
    b.siblings[0].value = a.siblings[0].value;
    b.siblings[0].written_ms++;
    refused(KV_ECORRUPT);
    b.siblings[0].written_ms--;
    b.siblings[0].expires_ms++;
    refused(KV_ECORRUPT);
    b.siblings[0].expires_ms--;
    cr_assert_eq(merge(&a, &b), KVI_MERGE_GAINED);
}

Test(vclock_merge, the_greatest_stamp_wins, .init = setup, .fini = teardown)
{
    a.lww = b.lww = true;
    put_text(&a, NULL, kvi_object_stamped(9, 100), "a");
    put_text(&b, NULL, kvi_object_stamped(1, 101), "b");
    cr_assert_eq(merge(&b, &a), KVI_MERGE_AHEAD);
    cr_assert_eq(merge(&a, &b), KVI_MERGE_GAINED);
    cr_assert_eq(merge(&a, &b), 0);
    cr_assert_eq(a.count, 1);
    has(&a, 0, dot_of(1, 0, 101), "b");
    put_text(&b, NULL, kvi_object_stamped(2, 101), NULL); /* the actor decides between equals */
    cr_assert_eq(merge(&a, &b), KVI_MERGE_GAINED);
    has(&a, 0, dot_of(2, 0, 101), NULL);
    b.siblings[0].written_ms++;
    refused(KV_ECORRUPT);
}

Test(vclock_merge, an_empty_object_takes_over_the_kind, .init = setup, .fini = teardown)
{
    b.lww = true;
    put_text(&b, NULL, kvi_object_stamped(1, 101), "b");
    cr_assert_eq(merge(&a, &b), KVI_MERGE_GAINED);
    cr_assert(a.lww);
    kvi_object_clear(&b);
    put_text(&b, NULL, dot_of(1, 1, 1), "b");
    refused(KV_ECORRUPT);
    kvi_object_clear(&a);
    a.lww = true;
    cr_assert_eq(merge(&a, &b), KVI_MERGE_GAINED);
    cr_assert_not(a.lww);
}

Test(vclock_merge, never_prunes_up_to_its_limit_and_then_refuses, .init = setup, .fini = teardown)
{
    for (uint64_t i = 1; i <= KVI_OBJECT_SIBLINGS_MAX / 2; i++) {
        put_text(&a, NULL, dot_of(1, 1, i), "a");
        put_text(&b, NULL, dot_of(2, 1, i), "b");
    }
    cr_assert_eq(merge(&a, &b), KVI_MERGE_GAINED | KVI_MERGE_AHEAD);
    cr_assert_eq(a.count, KVI_OBJECT_SIBLINGS_MAX);
    put_text(&b, NULL, dot_of(3, 1, 1), "b");
    refused(KV_ETOOBIG);
}

/* One pair of objects that needs all the memory a merge can need. */
static void build(kvi_object *x, kvi_object *y, bool empty)
{
    kvi_object_init(x, &mem);
    kvi_object_init(y, &mem);
    for (uint64_t i = 0; i < 6; i++) {
        if (!empty)
            put_text(x, NULL, dot_of(1, i, 1), "x");
        put_text(y, NULL, dot_of(2, i, 1), "y");
    }
}

Test(vclock_merge, without_memory_nothing_changes)
{
    kvi_object x, y;
    kvt_failmem fm;

    kvt_failmem_init(&fm, &mem);
    for (int empty = 0; empty < 2; empty++)
        for (size_t n = 0;; n++) {
            unsigned merged = 17;
            int err;
            bool failed;

            build(&x, &y, empty);
            kvt_failmem_arm(&fm, n, false);
            err = kvi_object_merge(&x, &y, &merged);
            failed = kvt_failmem_disarm(&fm);
            cr_assert_eq(err, failed ? KV_ENOMEM : KV_OK);
            cr_assert_eq(merged == 17, failed);
            cr_assert_eq(x.count, (empty ? 0u : 6u) + (failed ? 0u : 6u));
            cr_assert_eq(x.seen.count, x.count);
            kvi_object_deinit(&x);
            kvi_object_deinit(&y);
            if (!failed)
                break;
        }
    cr_assert_eq(kvt_failmem_live(&fm), 0);
}

/* What the winner of stamps is, asked the plain way, over any order and grouping. */
Test(vclock_merge, stamps_converge, .init = setup, .fini = teardown)
{
    enum { WRITES = 6 };
    kvt_rng rng;

    kvt_rng_init(&rng, 3);
    for (int round = 0; round < 2000; round++) {
        kvi_object writes[WRITES];
        kvi_dot greatest = dot_of(0, 0, 0);

        for (uint64_t i = 0; i < WRITES; i++) {
            kvi_dot dot = kvi_object_stamped(i * 7 % WRITES, 1 + kvt_rng_below(&rng, 3));

            kvi_object_init(&writes[i], &mem);
            writes[i].lww = true;
            put_text(&writes[i], NULL, dot, "w");
            if (dot.counter > greatest.counter ||
                (dot.counter == greatest.counter && dot.actor.open_id > greatest.actor.open_id))
                greatest = dot;
        }
        for (int i = 0; i < 40; i++)
            merge(&writes[kvt_rng_below(&rng, WRITES)], &writes[kvt_rng_below(&rng, WRITES)]);
        for (int i = 1; i < WRITES; i++)
            merge(&writes[0], &writes[i]);
        if (!kvi_dot_eq(&writes[0].siblings[0].dot, &greatest))
            cr_assert(false, "round %d", round);
        for (int i = 0; i < WRITES; i++)
            kvi_object_deinit(&writes[i]);
    }
}
