/*
 * The moves of an iterator: from entries of all sequences to what a reader at one sequence sees.
 *
 * Upwards, the entries of a key come newest first: the first that is not too new decides, the
 * others of the key are passed over. The entry is lent as the cursor lends it. Downwards, they come
 * oldest first: the last that is not too new decides, and by the time that is known the cursor has
 * gone on, so key and value are saved.
 *
 * Entries that are written meanwhile appear under the cursor at any moment. They are newer than the
 * iterator and passed over like others that are too new.
 */
#include "base/check.h"
#include "lsm/entry.h"
#include "lsm/iter_impl.h"

/* How many entries are passed over one by one before the cursor is made to jump over the rest of a
 * key. */
#define PASSED_MAX 32u

/* A buffer for values that is larger than this is not kept when it is not needed. */
#define VALUE_KEPT_MAX ((size_t)64 << 10)

/* --- pieces ------------------------------------------------------------------------------- */

static bool below_range(const kvi_lsm_iter *it, kvi_slice key)
{
    return it->from.len > 0 && kvi_slice_cmp(key, kvi_buf_slice(&it->from)) < 0;
}

static bool above_range(const kvi_lsm_iter *it, kvi_slice key)
{
    return it->to.len > 0 && kvi_slice_cmp(key, kvi_buf_slice(&it->to)) >= 0;
}

static bool too_new(const kvi_lsm_iter *it)
{
    return kvi_tag_seq(it->c->tag) > it->seq;
}

static bool on_saved_key(const kvi_lsm_iter *it)
{
    return it->c->valid && kvi_slice_eq(it->c->key, kvi_buf_slice(&it->key));
}

/* key may be one that the iterator lent. */
static int save_key(kvi_lsm_iter *it, kvi_slice key)
{
    if (KVI_UNLIKELY(key.len > it->key.cap))
        return kvi_buf_set(&it->key, key.data, key.len);
    memmove(it->key.data, key.data, key.len);
    it->key.len = key.len;
    return KV_OK;
}

static int save_value(kvi_lsm_iter *it, kvi_slice value)
{
    kvi_budget *budget = it->l->budget;
    size_t before;
    int err;

    if (it->value.cap > VALUE_KEPT_MAX && value.len <= VALUE_KEPT_MAX)
        kvi_buf_deinit(&it->value);
    kvi_buf_clear(&it->value);
    err = kvi_buf_append(&it->value, value.data, value.len);
    before = it->charged;
    it->charged = it->value.cap;
    if (it->charged > before)
        kvi_budget_charge(budget, KVI_BUDGET_WORK, it->charged - before);
    else if (it->charged < before)
        kvi_budget_release(budget, KVI_BUDGET_WORK, before - it->charged);
    return err;
}

/* What the entry under the cursor says. The clock is read where that depends on it, once a move. */
static int open_entry(kvi_lsm_iter *it, kvi_lsm_content *out)
{
    if (kvi_tag_kind(it->c->tag) == KVI_KIND_PUT_EXPIRING && !it->now_known) {
        it->now_ms = kvi_os_wall_ms(it->l->env.clock);
        it->now_known = true;
    }
    return kvi_lsm_entry_open(it->c->tag, it->c->value, it->now_ms, out);
}

static int fail(kvi_lsm_iter *it, int err)
{
    KVI_ASSERT(err < 0);
    it->place = ITER_FAILED;
    it->failure = err;
    return err;
}

static int failed_before(const kvi_lsm_iter *it)
{
    return kvi_error_set(it->failure, "the iterator failed before this: seek or renew it first");
}

/* --- upwards ------------------------------------------------------------------------------ */

/* Passes over the entry under the cursor: one step, or after many of them to (`key`, tag). */
static int pass(kvi_lsm_iter *it, uint64_t tag, unsigned *passed)
{
    if (++*passed < PASSED_MAX)
        return it->c->ops->next(it->c);
    *passed = 0;
    return it->c->ops->seek(it->c, kvi_buf_slice(&it->key), tag);
}

/* Finds the first entry to be seen from where the cursor stands. passing: not one of `key`. */
static int find_up(kvi_lsm_iter *it, bool passing, kvi_lsm_content *found)
{
    unsigned passed = 0;
    int err = KV_OK;

    while (!err && it->c->valid && !above_range(it, it->c->key)) {
        if (passing && on_saved_key(it)) {
            err = pass(it, 0, &passed);
        } else if (too_new(it)) {
            passing = false;
            err = save_key(it, it->c->key);
            if (!err)
                err = pass(it, KVI_TAG_SEEK(it->seq), &passed);
        } else {
            err = open_entry(it, found);
            if (err != KV_ENOTFOUND) {
                it->place = ITER_ON_ENTRY;
                return err;
            }
            passing = true;
            err = save_key(it, it->c->key);
            if (!err)
                err = pass(it, 0, &passed);
        }
    }
    it->place = ITER_END;
    return err ? err : KV_ENOTFOUND;
}

/* To the first entry of the range, of whatever sequence. */
static int to_first(kvi_lsm_iter *it)
{
    if (it->from.len > 0)
        return it->c->ops->seek(it->c, kvi_buf_slice(&it->from), KVI_TAG_SEEK(it->seq));
    return it->c->ops->first(it->c);
}

static int move_up(kvi_lsm_iter *it, kvi_lsm_content *found)
{
    kvi_slice key = kvi_buf_slice(&it->key);
    bool passing = false;
    int err = KV_OK;

    switch (it->place) {
    case ITER_FRESH:
    case ITER_BEGIN:
        err = to_first(it);
        break;
    case ITER_GAP:
        err = it->c->ops->seek(it->c, key, KVI_TAG_SEEK(it->seq));
        break;
    case ITER_ON_SAVED:
        err = it->c->ops->seek(it->c, key, 0);
        break;
    case ITER_ON_ENTRY:
        passing = true;
        err = save_key(it, it->c->key);
        if (!err)
            err = it->c->ops->next(it->c);
        break;
    case ITER_END:
        return KV_ENOTFOUND;
    case ITER_FAILED:
        return failed_before(it);
    }
    return err ? err : find_up(it, passing, found);
}

int kvi_lsm_iter_next(kvi_lsm_iter *it, kvi_lsm_entry *out)
{
    kvi_lsm_content found;
    int err;

    it->now_known = false;
    err = move_up(it, &found);
    if (err)
        return err == KV_ENOTFOUND ? err : fail(it, err);
    KVI_ASSERT(it->place == ITER_ON_ENTRY);
    if (out)
        *out = (kvi_lsm_entry){
            it->c->key,
            found.value,
            found.expires_ms,
            kvi_tag_seq(it->c->tag),
        };
    return KV_OK;
}

/* --- downwards ---------------------------------------------------------------------------- */

/* To the last entry below key, of whatever sequence. */
static int to_below(kvi_lsm_iter *it, kvi_slice key)
{
    int err = it->c->ops->seek(it->c, key, KVI_TAG_NEWEST);

    if (err)
        return err;
    return it->c->valid ? it->c->ops->prev(it->c) : it->c->ops->last(it->c);
}

static int to_last(kvi_lsm_iter *it)
{
    return it->to.len > 0 ? to_below(it, kvi_buf_slice(&it->to)) : it->c->ops->last(it->c);
}

/* Saves what the entry under the cursor says; *live: whether it is to be seen. */
static int save_entry(kvi_lsm_iter *it, bool *live)
{
    kvi_lsm_content content;
    int err = open_entry(it, &content);

    *live = err == KV_OK;
    if (err)
        return err == KV_ENOTFOUND ? KV_OK : err;
    it->expires_ms = content.expires_ms;
    it->entry_seq = kvi_tag_seq(it->c->tag);
    return save_value(it, content.value);
}

/* The same as going over the entries of `key` one by one, in three seeks. */
static int jump_over_key(kvi_lsm_iter *it, bool *live)
{
    kvi_slice key = kvi_buf_slice(&it->key);
    int err = it->c->ops->seek(it->c, key, KVI_TAG_SEEK(it->seq));

    *live = false;
    if (!err && on_saved_key(it))
        err = save_entry(it, live);
    return err ? err : to_below(it, key);
}

/* Goes over the entries of `key`, on the oldest of which the cursor stands, to below it. */
static int go_over_key(kvi_lsm_iter *it, bool *live)
{
    unsigned passed = 0;
    int err = KV_OK;

    *live = false;
    do {
        if (++passed == PASSED_MAX)
            return jump_over_key(it, live);
        if (!too_new(it))
            err = save_entry(it, live);
        if (!err)
            err = it->c->ops->prev(it->c);
    } while (!err && on_saved_key(it));
    return err;
}

/* Finds the first entry to be seen from where the cursor stands, downwards, and saves it. */
static int find_down(kvi_lsm_iter *it)
{
    bool live = false;
    int err = KV_OK;

    while (!err && !live && it->c->valid && !below_range(it, it->c->key)) {
        err = save_key(it, it->c->key);
        if (!err)
            err = go_over_key(it, &live);
    }
    it->place = live ? ITER_ON_SAVED : ITER_BEGIN;
    if (err)
        return err;
    return live ? KV_OK : KV_ENOTFOUND;
}

static int move_down(kvi_lsm_iter *it)
{
    int err = KV_OK;

    switch (it->place) {
    case ITER_FRESH:
    case ITER_END:
        err = to_last(it);
        break;
    case ITER_GAP:
        err = to_below(it, kvi_buf_slice(&it->key));
        break;
    case ITER_ON_SAVED:
        break;
    case ITER_ON_ENTRY:
        err = save_key(it, it->c->key);
        if (!err)
            err = to_below(it, kvi_buf_slice(&it->key));
        break;
    case ITER_BEGIN:
        return KV_ENOTFOUND;
    case ITER_FAILED:
        return failed_before(it);
    }
    return err ? err : find_down(it);
}

int kvi_lsm_iter_prev(kvi_lsm_iter *it, kvi_lsm_entry *out)
{
    int err;

    it->now_known = false;
    err = move_down(it);
    if (err)
        return err == KV_ENOTFOUND ? err : fail(it, err);
    KVI_ASSERT(it->place == ITER_ON_SAVED);
    if (out)
        *out = (kvi_lsm_entry){
            kvi_buf_slice(&it->key),
            kvi_buf_slice(&it->value),
            it->expires_ms,
            it->entry_seq,
        };
    return KV_OK;
}

/* --- seeking ------------------------------------------------------------------------------ */

int kvi_lsm_iter_seek(kvi_lsm_iter *it, kvi_slice key)
{
    int err = KV_OK;

    if (key.len == 0 || below_range(it, key)) {
        it->place = ITER_BEGIN;
    } else if (above_range(it, key)) {
        it->place = ITER_END;
    } else {
        err = save_key(it, key);
        if (!err)
            it->place = ITER_GAP;
    }
    return err;
}
