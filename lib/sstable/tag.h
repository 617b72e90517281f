/*
 * The tag of an entry: the write's place in the store's order and what it did, in one number:
 * sequence << 8 | kind. Entries are ordered by key ascending, then by tag descending, so that the
 * newest of a key comes first.
 */
#ifndef KVI_SSTABLE_TAG_H
#define KVI_SSTABLE_TAG_H

#include "base/slice.h"

/** Kinds are part of every format; new ones are added, none changes its number. */
enum kvi_kind {
    KVI_KIND_DELETE = 1,
    KVI_KIND_PUT = 2,
    KVI_KIND_PUT_EXPIRING =
        3 /* the value begins with when it expires: 8 bytes little-endian, ms since 1970 UTC */
};

#define KVI_SEQ_MAX       ((UINT64_C(1) << 56) - 1)
#define KVI_EXPIRES_LEN   8
/** Above every tag of a sequence: seeking to it finds the newest entry at or below seq. */
#define KVI_TAG_SEEK(seq) ((seq) << 8 | 0xff)
#define KVI_TAG_NEWEST    UINT64_MAX

static inline uint64_t kvi_tag(uint64_t seq, enum kvi_kind kind)
{
    return seq << 8 | (uint64_t)kind;
}

static inline uint64_t kvi_tag_seq(uint64_t tag)
{
    return tag >> 8;
}

static inline unsigned kvi_tag_kind(uint64_t tag)
{
    return (unsigned)(tag & 0xff);
}

static inline bool kvi_kind_known(unsigned kind)
{
    return kind >= KVI_KIND_DELETE && kind <= KVI_KIND_PUT_EXPIRING;
}

/** The order of entries. */
static inline int kvi_entry_cmp(kvi_slice a_key, uint64_t a_tag, kvi_slice b_key, uint64_t b_tag)
{
    int c = kvi_slice_cmp(a_key, b_key);

    if (c)
        return c;
    return (a_tag < b_tag) - (a_tag > b_tag);
}

#endif
