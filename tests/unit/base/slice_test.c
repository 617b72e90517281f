/*
 * Borrowed bytes: order, equality, prefixes; empty ones may have no data.
 */
#include "base/slice.h"

#include <criterion/criterion.h>

static kvi_slice text(const char *s)
{
    return kvi_slice_of(s, strlen(s));
}

static const kvi_slice none = {NULL, 0};

Test(base_slice, order_is_that_of_bytes)
{
    /* Ascending, each below the next. */
    const kvi_slice sorted[] = {
        none,
        kvi_slice_of("\0", 1),
        kvi_slice_of("\0\0", 2),
        text("a"),
        text("aa"),
        text("ab"),
        text("b"),
        kvi_slice_of("\x7f", 1),
        kvi_slice_of("\x80", 1),
        kvi_slice_of("\xff", 1),
    };
    const size_t count = sizeof sorted / sizeof sorted[0];

    for (size_t i = 0; i < count; i++)
        for (size_t j = 0; j < count; j++) {
            int c = kvi_slice_cmp(sorted[i], sorted[j]);

            cr_assert((c < 0) == (i < j) && (c > 0) == (i > j), "%zu and %zu", i, j);
            cr_assert(kvi_slice_eq(sorted[i], sorted[j]) == (i == j), "%zu and %zu", i, j);
        }
}

Test(base_slice, empty_equals_empty)
{
    cr_assert(kvi_slice_eq(none, text("")));
    cr_assert_eq(kvi_slice_cmp(none, text("")), 0);
}

Test(base_slice, prefix)
{
    cr_assert(kvi_slice_has_prefix(text("abc"), text("ab")));
    cr_assert(kvi_slice_has_prefix(text("abc"), text("abc")));
    cr_assert(kvi_slice_has_prefix(text("abc"), none));
    cr_assert(kvi_slice_has_prefix(none, none));
    cr_assert_not(kvi_slice_has_prefix(text("abc"), text("abcd")));
    cr_assert_not(kvi_slice_has_prefix(text("abc"), text("b")));
    cr_assert_not(kvi_slice_has_prefix(none, text("a")));
}
