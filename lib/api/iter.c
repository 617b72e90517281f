/*
 * Iterators: the engine's walk over physical keys, within one keyspace and the bounds of a range;
 * in a placed store, what placed_iter.c makes of pages.
 *
 * 1. A physical lower bound, inclusive, and an upper one, exclusive, are always there, since a
 *    keyspace has both.
 * 2. An iterator on a snapshot holds a reference to it.
 *
 * One thread at a time, the caller's.
 */
#include "api/check.h"
#include "api/key.h"
#include "api/placed.h"
#include "base/check.h"
#include "base/error.h"

struct kv_iter {
    kv space; /* a copy of the handle, which may be closed before */
    kvi_lsm_iter *walk;
    kv_snap *snap;        /* or NULL */
    kvi_api_walk *placed; /* of a placed store, which has neither of the two */
};

/** The keys that bound a walk; from and to are two of them. */
typedef struct bounds {
    kvi_api_key from, to, prefix, prefix_end;
    kvi_lsm_bounds physical;
} bounds;

static void bounds_deinit(bounds *b, const kv *space)
{
    kvi_api_key_deinit(&b->from, space);
    kvi_api_key_deinit(&b->to, space);
    kvi_api_key_deinit(&b->prefix, space);
    kvi_api_key_deinit(&b->prefix_end, space);
}

static int bounds_make_keys(bounds *b, const kv *space, const kv_range *range)
{
    int err;

    b->from.data = b->from.on_stack;
    b->to.data = b->to.on_stack;
    b->prefix.data = b->prefix.on_stack;
    b->prefix_end.data = b->prefix_end.on_stack;
    err = kvi_api_key_init(&b->from, space, range->from);
    if (!err)
        err = kvi_api_key_init(&b->to, space, range->to);
    if (!err)
        err = kvi_api_key_init(&b->prefix, space, range->prefix);
    if (!err)
        err = kvi_api_key_init(&b->prefix_end, space, range->prefix);
    return err;
}

/** The intersection of from and to with the prefix, and so with the keyspace. */
static int bounds_init(bounds *b, const kv *space, const kv_range *range)
{
    kvi_slice from, to, first, end;
    int err = bounds_make_keys(b, space, range);

    if (err) {
        bounds_deinit(b, space);
        return err;
    }
    kvi_api_key_to_successor(&b->prefix_end);
    from = kvi_api_key_slice(&b->from);
    to = kvi_api_key_slice(&b->to);
    first = kvi_api_key_slice(&b->prefix);
    end = kvi_api_key_slice(&b->prefix_end);
    if (kvi_slice_cmp(from, first) < 0)
        from = first;
    if (range->to.len == 0 || kvi_slice_cmp(to, end) > 0)
        to = end;
    if (kvi_slice_cmp(from, to) > 0)
        to = from;
    b->physical = (kvi_lsm_bounds){from, to};
    return KV_OK;
}

static int check_range(const kvi_api_store *s, const kv_range *range)
{
    int err;

    if (!range)
        return KV_OK;
    err = kvi_api_check_struct("kv_range", range->size, sizeof *range, range->flags, 0);
    if (!err)
        err = kvi_api_check_bound(range->from, "kv_range.from");
    if (!err)
        err = kvi_api_check_bound(range->to, "kv_range.to");
    if (!err)
        err = kvi_api_check_bound(range->prefix, "kv_range.prefix");
    if (!err)
        err = kvi_api_check_snapshot(s, range->snapshot, "kv_range.snapshot");
    return err;
}

static int check_iter(const kv_iter *it)
{
    int err = kvi_api_check_given(it, "iter");

    return err ? err : kvi_api_check_waits(&it->space);
}

static uint64_t seq_of(const kv_snap *snap)
{
    return snap ? snap->view.seq : KVI_LSM_SEQ_LATEST;
}

static void set_snapshot(kv_iter *it, kv_snap *snap)
{
    kv_snap *old = it->snap;

    if (snap)
        kvi_api_snap_ref(snap);
    it->snap = snap;
    if (old)
        kvi_api_snap_unref(old);
}

static int open_walk(kv_iter *it, const kv_range *range)
{
    static const kv_range whole = KV_RANGE_INIT;
    bounds b;
    int err;

    if (!range)
        range = &whole;
    if (it->space.store->placed)
        return kvi_api_walk_open(&it->space, range, &it->placed);
    err = bounds_init(&b, &it->space, range);
    if (err)
        return err;
    err = kvi_lsm_iter_open(it->space.store->lsm, &b.physical, seq_of(range->snapshot), &it->walk);
    bounds_deinit(&b, &it->space);
    if (!err)
        set_snapshot(it, range->snapshot);
    return err;
}

int kv_iter_open(kv *db, const kv_range *range, kv_iter **out)
{
    kv_iter *it;
    int err = kvi_api_check_waits(db);

    if (!err)
        err = kvi_api_check_given(out, "out");
    if (!err)
        err = check_range(db->store, range);
    if (err)
        return err;
    it = kvi_mem_zalloc(db->store->env.mem, 1, sizeof *it);
    if (!it)
        return kvi_error_set(KV_ENOMEM, "cannot allocate %zu bytes for an iterator", sizeof *it);
    it->space = *db;
    err = open_walk(it, range);
    if (err) {
        kvi_mem_free(db->store->env.mem, it);
        return err;
    }
    kvi_api_borrow(db->store, KVI_API_LIVE_ITERATORS);
    *out = it;
    return KV_OK;
}

int kv_iter_renew(kv_iter *iter, const kv_range *range)
{
    bounds b;
    int err = check_iter(iter);

    if (!err)
        err = check_range(iter->space.store, range);
    if (err)
        return err;
    if (iter->placed)
        return kvi_api_walk_renew(iter->placed, range);
    if (!range)
        return kvi_lsm_iter_renew(iter->walk, NULL, seq_of(iter->snap));
    err = bounds_init(&b, &iter->space, range);
    if (err)
        return err;
    err = kvi_lsm_iter_renew(iter->walk, &b.physical, seq_of(range->snapshot));
    bounds_deinit(&b, &iter->space);
    if (!err)
        set_snapshot(iter, range->snapshot);
    return err;
}

typedef int move_fn(kvi_lsm_iter *walk, kvi_lsm_entry *out);

static int check_move(const kv_iter *it, const kv_entry *entry)
{
    int err = check_iter(it);

    if (!err && entry)
        err = kvi_api_check_struct("kv_entry", entry->size, sizeof *entry, entry->flags,
                                   KV_ENTRY_SIBLINGS);
    return err;
}

static int move(kv_iter *it, kv_entry *entry, move_fn *step)
{
    size_t prefix_len;
    kvi_lsm_entry e;
    int err = step(it->walk, &e);

    if (err || !entry)
        return err;
    prefix_len = it->space.prefix_len;
    KVI_ASSERT(e.key.len > prefix_len);
    entry->flags = 0;
    entry->key = kvi_slice_of(kvi_slice_bytes(e.key) + prefix_len, e.key.len - prefix_len);
    entry->value = (kv_value){e.value.data, e.value.len, e.expires_ms, 0};
    return KV_OK;
}

int kv_iter_next(kv_iter *iter, kv_entry *entry)
{
    int err = check_move(iter, entry);

    if (err)
        return err;
    return iter->placed ? kvi_api_walk_next(iter->placed, entry)
                        : move(iter, entry, kvi_lsm_iter_next);
}

int kv_iter_prev(kv_iter *iter, kv_entry *entry)
{
    int err = check_move(iter, entry);

    if (!err && iter->placed)
        err = kvi_error_set(KV_ENOTSUP, "iterators of a placed store walk forwards only");
    return err ? err : move(iter, entry, kvi_lsm_iter_prev);
}

int kv_iter_seek(kv_iter *iter, const void *key, size_t key_len)
{
    kvi_slice user_key = kvi_slice_of(key, key_len);
    kvi_api_key physical;
    int err = check_iter(iter);

    if (!err)
        err = kvi_api_check_bound(user_key, "key");
    if (!err && iter->placed)
        return kvi_api_walk_seek(iter->placed, user_key);
    if (!err)
        err = kvi_api_key_init(&physical, &iter->space, user_key);
    if (err)
        return err;
    err = kvi_lsm_iter_seek(iter->walk, kvi_api_key_slice(&physical));
    kvi_api_key_deinit(&physical, &iter->space);
    return err;
}

void kv_iter_close(kv_iter *iter)
{
    kvi_api_store *s;

    if (!iter || kvi_os_forked(&iter->space.store->fork))
        return;
    s = iter->space.store;
    if (iter->placed)
        kvi_api_walk_close(iter->placed);
    else
        kvi_lsm_iter_close(iter->walk);
    set_snapshot(iter, NULL);
    kvi_mem_free(s->env.mem, iter);
    kvi_api_give_back(s, KVI_API_LIVE_ITERATORS);
}
