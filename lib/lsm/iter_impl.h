/*
 * The inside of an iterator, shared by iter.c (its moves) and iter_open.c (its life) and by nobody
 * else.
 *
 * 1. `c` walks over all entries that the view's parts hold within the bounds and perhaps beyond, of
 *    any sequence.
 * 2. Where the iterator stands, relative to `c`, is told by `place`.
 * 3. `key` is a key of the iterator's own: the one last sought, or passed over, or lent
 *    (ITER_ON_SAVED).
 */
#ifndef KVI_LSM_ITER_IMPL_H
#define KVI_LSM_ITER_IMPL_H

#include "base/buf.h"
#include "lsm/engine.h"

enum kvi_lsm_iter_place {
    ITER_FRESH,    /* before the first entry and behind the last */
    ITER_BEGIN,    /* before the first */
    ITER_END,      /* behind the last */
    ITER_GAP,      /* before the first entry at or above `key` */
    ITER_ON_ENTRY, /* on the entry that `c` stands on */
    ITER_ON_SAVED, /* on the entry that was saved to `key` and `value`; `c` stands below it */
    ITER_FAILED    /* nowhere, until it is sought or renewed */
};

struct kvi_lsm_iter {
    kvi_lsm *l;
    kvi_lsm_view *view; /* referenced: what c walks over */
    kvi_cursor *c;
    bool narrowed; /* parts of the view that hold nothing within the bounds are not in c */
    uint64_t seq;
    kvi_buf from, to; /* empty: no bound */
    enum kvi_lsm_iter_place place;
    int failure; /* ITER_FAILED: with what */
    kvi_buf key, value;
    size_t charged; /* for value */
    int64_t expires_ms;
    uint64_t entry_seq;
    int64_t now_ms; /* of the current move, once it was asked for */
    bool now_known;
};

#endif
