/*
 * Cursors for tests: one over a model that fails when told to, and a check of any cursor against a
 * model.
 */
#ifndef KVT_SUPPORT_CURSORS_H
#define KVT_SUPPORT_CURSORS_H

#include "sstable/cursor.h"
#include "support/sst.h"

/** The struct is the caller's; close only notes that it was called. Each entry is lent from memory
 *  of its own that the next move frees, so that a sanitizer sees who keeps what was lent. */
typedef struct kvt_model_cursor {
    kvi_cursor c;
    const kvt_model *m; /* borrowed */
    size_t at;
    size_t moves;   /* made so far */
    size_t fail_at; /* the number of the move that fails with err; SIZE_MAX: none */
    int err;
    size_t closed; /* how often */
    uint8_t *lent;
} kvt_model_cursor;

void kvt_model_cursor_init(kvt_model_cursor *mc, const kvt_model *m);

/** Walks over all of the model both ways, then makes random moves: seeks at, before and behind its
 *  entries, turns, runs to the ends. NULL, or what went wrong first. */
const char *kvt_cursor_check(kvi_cursor *c, const kvt_model *m, kvt_rng *rng, size_t moves);

#endif
