/*
 * A cursor stands on one entry of a sorted source: a block, a table, a level, a memtable, or a
 * merge of such.
 *
 * 1. valid: key, tag and value are those of the entry it stands on, lent until its next move or
 *    close.
 * 2. Not valid: it stands nowhere. next and prev are called on a valid cursor only.
 * 3. A move returns KV_OK (also where it runs off the end: then not valid) or an error, after
 *    which it is not valid and only another positioning (first, last, seek) or close may follow.
 * 4. One thread at a time. close frees it and what it holds.
 */
#ifndef KVI_SSTABLE_CURSOR_H
#define KVI_SSTABLE_CURSOR_H

#include "sstable/tag.h"

typedef struct kvi_cursor kvi_cursor;

struct kvi_cursor_ops {
    int (*first)(kvi_cursor *c);
    int (*last)(kvi_cursor *c);
    /* The first entry at or after (key, tag) in the order of entries. key is borrowed for the
     * call, and not one that this cursor lent. */
    int (*seek)(kvi_cursor *c, kvi_slice key, uint64_t tag);
    int (*next)(kvi_cursor *c);
    int (*prev)(kvi_cursor *c);
    void (*close)(kvi_cursor *c);
};

struct kvi_cursor {
    const struct kvi_cursor_ops *ops;
    bool valid;
    kvi_slice key;
    uint64_t tag;
    kvi_slice value;
};

#endif
