/* lib/vclock/object.c: minting, puts with and without contexts, what readers see. */
#include "vclock/object.h"

#include "unit/vclock/objects.h"

static kvi_mem mem;
static kvi_object o;
static kvi_clock context;
static uint64_t births;

static void setup(void)
{
    kvi_mem_init(&mem, NULL);
    kvi_object_init(&o, &mem);
    kvi_clock_init(&context, &mem);
    births = 0;
}

static void teardown(void)
{
    kvi_object_deinit(&o);
    kvi_clock_deinit(&context);
}

static void see(uint64_t open_id, uint64_t birth, uint64_t counter)
{
    kvi_dot dot = dot_of(open_id, birth, counter);

    OK(kvi_clock_raise(&context, &dot));
}

static bool minted(kvi_dot dot, uint64_t open_id, uint64_t birth, uint64_t counter)
{
    kvi_dot wanted = dot_of(open_id, birth, counter);

    return kvi_dot_eq(&dot, &wanted);
}

Test(vclock_object, begins_empty, .init = setup, .fini = teardown)
{
    uint32_t at = 0;

    cr_assert(kvi_object_empty(&o));
    cr_assert_eq(kvi_object_values(&o, 0), 0);
    cr_assert_null(kvi_object_next_value(&o, 0, &at));
    put_text(&o, NULL, dot_of(1, 1, 1), "a");
    cr_assert_not(kvi_object_empty(&o));
    kvi_object_clear(&o);
    cr_assert(kvi_object_empty(&o));
}

/* --- minting ---------------------------------------------------------------------------------- */

Test(vclock_object, mints_a_new_actor_where_there_is_no_object, .init = setup, .fini = teardown)
{
    births = 6;
    cr_assert(minted(kvi_object_mint(&o, NULL, 9, &births), 9, 7, 1));
    cr_assert(minted(kvi_object_mint(&o, NULL, 9, &births), 9, 8, 1));
    cr_assert_eq(births, 8);
}

Test(vclock_object, mints_on_with_the_youngest_actor_of_its_own, .init = setup, .fini = teardown)
{
    put_text(&o, NULL, dot_of(9, 2, 4), "a");
    put_text(&o, NULL, dot_of(9, 5, 3), "b");
    put_text(&o, NULL, dot_of(9 + 1, 7, 8), "c");
    put_text(&o, NULL, dot_of(9 - 1, 7, 8), "d");
    cr_assert(minted(kvi_object_mint(&o, NULL, 9, &births), 9, 5, 4));
    see(9, 5, 10); /* a client saw more of it than is here */
    see(9, 2, 100);
    cr_assert(minted(kvi_object_mint(&o, &context, 9, &births), 9, 5, 11));
    cr_assert_eq(births, 0);
    cr_assert(minted(kvi_object_mint(&o, &context, 77, &births), 77, 1, 1));
}

Test(vclock_object, mints_a_new_actor_above_the_floor, .init = setup, .fini = teardown)
{
    births = 5;
    put_text(&o, NULL, dot_of(9, 5, 3), "a");
    cr_assert(minted(kvi_object_mint_from(&o, NULL, 9, 5, &births), 9, 5, 4));
    cr_assert(minted(kvi_object_mint_from(&o, NULL, 9, 6, &births), 9, 6, 1));
}

Test(vclock_object, mints_above_what_the_context_saw_of_a_new_actor, .init = setup,
     .fini = teardown)
{
    see(9, 1, 6);
    cr_assert(minted(kvi_object_mint(&o, &context, 9, &births), 9, 1, 7));
}

Test(vclock_object, an_actor_that_has_counted_to_the_end_is_left, .init = setup, .fini = teardown)
{
    put_text(&o, NULL, dot_of(9, 1, UINT64_MAX), "a");
    births = 1;
    cr_assert(minted(kvi_object_mint(&o, NULL, 9, &births), 9, 2, 1));
    births = 1;
    see(9, 2, UINT64_MAX);
    cr_assert(minted(kvi_object_mint(&o, &context, 9, &births), 9, 3, 1));
}

/* --- puts ------------------------------------------------------------------------------------- */

Test(vclock_object, a_put_without_context_is_a_sibling, .init = setup, .fini = teardown)
{
    put_text(&o, NULL, dot_of(5, 1, 1), "b");
    put_text(&o, NULL, dot_of(9, 1, 1), "c");
    put_text(&o, NULL, dot_of(2, 1, 1), "a");
    put_text(&o, NULL, dot_of(5, 1, 2), NULL);
    cr_assert_eq(o.count, 4);
    has(&o, 0, dot_of(2, 1, 1), "a");
    has(&o, 1, dot_of(5, 1, 1), "b");
    has(&o, 2, dot_of(5, 1, 2), NULL);
    has(&o, 3, dot_of(9, 1, 1), "c");
    cr_assert_eq(o.seen.count, 3);
}

Test(vclock_object, a_put_replaces_exactly_what_its_context_covers, .init = setup, .fini = teardown)
{
    put_text(&o, NULL, dot_of(1, 1, 1), "a");
    put_text(&o, NULL, dot_of(2, 1, 1), "b");
    put_text(&o, NULL, dot_of(2, 1, 2), "c");
    see(1, 1, 1);
    see(2, 1, 1);
    see(3, 1, 7); /* seen elsewhere */
    put_text(&o, &context, dot_of(1, 1, 2), "d");
    cr_assert_eq(o.count, 2);
    has(&o, 0, dot_of(1, 1, 2), "d");
    has(&o, 1, dot_of(2, 1, 2), "c");
    cr_assert_eq(kvi_clock_get(&o.seen, &(kvi_actor){3, 1}), 7);
}

Test(vclock_object, a_put_over_all_that_is_seen, .init = setup, .fini = teardown)
{
    put_text(&o, NULL, dot_of(1, 1, 1), "a");
    put_text(&o, NULL, dot_of(2, 1, 1), "b");
    put_text(&o, &o.seen, dot_of(1, 1, 2), "c");
    cr_assert_eq(o.count, 1);
    has(&o, 0, dot_of(1, 1, 2), "c");
    cr_assert_eq(o.seen.count, 2);
}

Test(vclock_object, too_many_siblings_are_refused, .init = setup, .fini = teardown)
{
    kvi_sibling s = sibling_of(dot_of(1, 1, KVI_OBJECT_SIBLINGS_MAX + 1), "x");

    for (uint64_t i = 1; i <= KVI_OBJECT_SIBLINGS_MAX; i++)
        put_text(&o, NULL, dot_of(1, 1, i), "x");
    cr_assert_eq(kvi_object_put(&o, NULL, &s), KV_ETOOBIG);
    cr_assert_eq(o.count, KVI_OBJECT_SIBLINGS_MAX);
    cr_assert_eq(o.seen.entries[0].counter, KVI_OBJECT_SIBLINGS_MAX);
    put_text(&o, &o.seen, s.dot, "y");
    cr_assert_eq(o.count, 1);
}

Test(vclock_object, a_put_without_memory_changes_nothing)
{
    kvi_object small;
    kvt_failmem fm;

    kvt_failmem_init(&fm, &mem);
    kvi_clock_init(&context, &mem);
    see(1, 1, 1);
    see(4, 1, 1);
    for (size_t n = 0;; n++) {
        kvi_sibling s = sibling_of(dot_of(3, 1, 1), "c");
        int err;

        kvi_object_init(&small, &mem);
        put_text(&small, NULL, dot_of(1, 1, 1), "a");
        put_text(&small, NULL, dot_of(2, 1, 1), "b");
        see(1, 1, 1);
        kvt_failmem_arm(&fm, n, false);
        err = kvi_object_put(&small, n % 2 ? &context : NULL, &s);
        if (!kvt_failmem_disarm(&fm)) {
            cr_assert_eq(err, KV_OK);
            if (n > 1)
                break;
        } else {
            cr_assert_eq(err, KV_ENOMEM);
            cr_assert_eq(small.seen.count, 2);
            cr_assert_eq(small.count, 2);
            has(&small, 0, dot_of(1, 1, 1), "a");
        }
        kvi_object_deinit(&small);
    }
    kvi_object_deinit(&small);
    kvi_clock_deinit(&context);
    cr_assert_eq(kvt_failmem_live(&fm), 0);
}

/* --- last write wins -------------------------------------------------------------------------- */

Test(vclock_object, a_stamped_put_replaces, .init = setup, .fini = teardown)
{
    o.lww = true;
    cr_assert_eq(kvi_object_stamp(&o, NULL), 0);
    put_text(&o, NULL, kvi_object_stamped(5, 100), "a");
    cr_assert_eq(kvi_object_stamp(&o, NULL), 100);
    put_text(&o, NULL, kvi_object_stamped(6, 100), "b");
    put_text(&o, NULL, kvi_object_stamped(1, 101), NULL);
    cr_assert_eq(o.count, 1);
    has(&o, 0, dot_of(1, 0, 101), NULL);
    cr_assert_eq(o.seen.count, 0);
    see(7, 0, 300);
    cr_assert_eq(kvi_object_stamp(&o, &context), 300);
}

Test(vclock_object, its_context, .init = setup, .fini = teardown)
{
    see(42, 1, 1); /* is replaced */
    OK(kvi_object_context(&o, &context));
    cr_assert_eq(context.count, 0);
    put_text(&o, NULL, dot_of(5, 1, 1), "a");
    put_text(&o, &o.seen, dot_of(6, 1, 1), "b");
    OK(kvi_object_context(&o, &context));
    cr_assert_eq(kvi_clock_compare(&context, &o.seen), KVI_CLOCK_EQUAL);
    kvi_object_clear(&o);
    o.lww = true;
    put_text(&o, NULL, kvi_object_stamped(5, 100), "a");
    OK(kvi_object_context(&o, &context));
    cr_assert_eq(context.count, 1);
    cr_assert(minted(context.entries[0], 5, 0, 100));
}

/* --- reading ---------------------------------------------------------------------------------- */

Test(vclock_object, values_are_neither_deleted_nor_expired, .init = setup, .fini = teardown)
{
    kvi_sibling s = sibling_of(dot_of(1, 1, 2), "ends");
    const kvi_sibling *found;
    uint32_t at = 0;

    put_text(&o, NULL, dot_of(1, 1, 1), NULL);
    s.expires_ms = 500;
    OK(kvi_object_put(&o, NULL, &s));
    put_text(&o, NULL, dot_of(1, 1, 3), "");
    cr_assert_eq(kvi_object_values(&o, 499), 2);
    cr_assert_eq(kvi_object_values(&o, 500), 1);
    cr_assert_eq(kvi_object_values(&o, INT64_MIN), 2);
    found = kvi_object_next_value(&o, 499, &at);
    cr_assert(found == &o.siblings[1]);
    found = kvi_object_next_value(&o, 499, &at);
    cr_assert(found == &o.siblings[2]);
    cr_assert_null(kvi_object_next_value(&o, 499, &at));
    cr_assert_null(kvi_object_next_value(&o, 499, &at));
    at = 0;
    cr_assert(kvi_object_next_value(&o, 500, &at) == &o.siblings[2]);
}

Test(vclock_object, finds_a_sibling_by_its_dot, .init = setup, .fini = teardown)
{
    kvi_dot dot = dot_of(5, 0, 1);

    cr_assert_null(kvi_object_find(&o, &dot));
    for (uint64_t i = 1; i <= 9; i++)
        put_text(&o, NULL, dot_of(i, 1, i), "x");
    for (uint64_t i = 1; i <= 9; i++) {
        dot = dot_of(i, 1, i);
        cr_assert(kvi_object_find(&o, &dot) == &o.siblings[i - 1]);
        dot.counter++;
        cr_assert_null(kvi_object_find(&o, &dot));
    }
}
