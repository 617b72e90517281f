/* Tags and the order of entries. */
#include <criterion/criterion.h>

#include "sstable/tag.h"

Test(tag, takes_apart_what_it_put_together)
{
    uint64_t tag = kvi_tag(KVI_SEQ_MAX, KVI_KIND_PUT_EXPIRING);

    cr_assert(kvi_tag_seq(tag) == KVI_SEQ_MAX);
    cr_assert_eq(kvi_tag_kind(tag), KVI_KIND_PUT_EXPIRING);
    cr_assert(KVI_TAG_SEEK(KVI_SEQ_MAX) == KVI_TAG_NEWEST);
}

Test(tag, a_seek_tag_is_above_all_of_its_sequence)
{
    for (unsigned kind = 0; kind <= 0xff; kind++) {
        cr_assert(kvi_tag(7, (enum kvi_kind)kind) <= KVI_TAG_SEEK(7));
        cr_assert(kvi_tag(8, (enum kvi_kind)kind) > KVI_TAG_SEEK(7));
    }
}

Test(tag, knows_its_kinds)
{
    cr_assert(!kvi_kind_known(0));
    cr_assert(kvi_kind_known(KVI_KIND_DELETE) && kvi_kind_known(KVI_KIND_PUT));
    cr_assert(kvi_kind_known(KVI_KIND_PUT_EXPIRING) && !kvi_kind_known(4));
}

Test(tag, orders_by_key_then_newest_first)
{
    kvi_slice a = {"a", 1}, b = {"b", 1}, aa = {"aa", 2}, none = {NULL, 0};

    cr_assert(kvi_entry_cmp(a, 1, b, 2) < 0);
    cr_assert(kvi_entry_cmp(aa, 1, a, 1) > 0);
    cr_assert(kvi_entry_cmp(none, 1, a, 1) < 0);
    cr_assert(kvi_entry_cmp(a, 2, a, 1) < 0);
    cr_assert(kvi_entry_cmp(a, 1, a, 2) > 0);
    cr_assert_eq(kvi_entry_cmp(a, 1, a, 1), 0);
}
