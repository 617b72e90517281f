/*
 * The reference; see the header for the contract.
 */
#include "sim/history.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/bytes.h"
#include "base/check.h"
#include "base/hash.h"

static void *grow(void *old, size_t count, size_t size)
{
    void *p = realloc(old, count * size);

    KVI_ASSERT(p);
    return p;
}

/* --- keys --------------------------------------------------------------------------------- */

/** Byte values far apart, the outermost among them. */
static uint8_t letter(kvt_rng *rng, unsigned letters)
{
    return (uint8_t)(kvt_rng_below(rng, letters) * 255 / (letters - 1));
}

static int by_bytes(const void *a, const void *b)
{
    return kvi_slice_cmp(*(const kvi_slice *)a, *(const kvi_slice *)b);
}

static void draw_keys(kvt_history *h, kvt_rng *rng, const kvt_key_shape *shape)
{
    size_t len_max = kvi_max_size(shape->len_max, shape->long_len), count = 0;

    KVI_ASSERT(shape->letters >= 2);
    h->key_bytes = grow(NULL, shape->count, len_max);
    h->keys = grow(NULL, shape->count, sizeof *h->keys);
    for (size_t i = 0; i < shape->count; i++) {
        uint8_t *p = h->key_bytes + i * len_max;
        size_t len = 1 + (size_t)kvt_rng_below(rng, shape->len_max);

        if (shape->long_len > 0 && i % 64 == 0)
            len = shape->long_len;
        for (size_t k = 0; k < len; k++)
            p[k] = letter(rng, shape->letters);
        h->keys[i] = kvi_slice_of(p, len);
    }
    qsort(h->keys, shape->count, sizeof *h->keys, by_bytes);
    for (size_t i = 0; i < shape->count; i++)
        if (count == 0 || !kvi_slice_eq(h->keys[i], h->keys[count - 1]))
            h->keys[count++] = h->keys[i];
    h->key_count = count;
}

size_t kvt_history_rank(const kvt_history *h, kvi_slice bound)
{
    size_t low = 0, high = h->key_count;

    while (low < high) {
        size_t mid = low + (high - low) / 2;

        if (kvi_slice_cmp(h->keys[mid], bound) < 0)
            low = mid + 1;
        else
            high = mid;
    }
    return low;
}

/* --- values ------------------------------------------------------------------------------- */

/* Half of each value repeats, so that tables compress. */
void kvt_value_fill(uint8_t *out, uint64_t write, size_t slot, uint32_t len)
{
    uint64_t x = kvi_mix64(write * UINT64_C(0x9e3779b97f4a7c15) + slot);

    for (uint32_t i = 0; i < len; i += 8) {
        uint8_t word[8];

        if (i % 16 == 0)
            x = kvi_mix64(x + i);
        kvi_put_u64(word, i % 16 == 0 ? x : write);
        memcpy(out + i, word, kvi_min_size(sizeof word, len - i));
    }
}

bool kvt_value_is(kvi_slice value, const kvt_version *v, size_t slot)
{
    uint8_t expected[1024];
    uint8_t *p = v->len <= sizeof expected ? expected : grow(NULL, v->len, 1);
    bool same;

    kvt_value_fill(p, v->write, slot, v->len);
    same = kvi_slice_eq(value, kvi_slice_of(p, v->len));
    if (p != expected)
        free(p);
    return same;
}

/* --- writes ------------------------------------------------------------------------------- */

void kvt_history_init(kvt_history *h, kvt_rng *rng, const kvt_key_shape *shape, unsigned spaces,
                      uint64_t first_seq)
{
    memset(h, 0, sizeof *h);
    draw_keys(h, rng, shape);
    h->spaces = spaces;
    h->versions = grow(NULL, spaces * h->key_count, sizeof *h->versions);
    memset(h->versions, 0, spaces * h->key_count * sizeof *h->versions);
    h->last_seq_cap = 1024;
    h->last_seq = grow(NULL, h->last_seq_cap, sizeof *h->last_seq);
    h->last_seq[0] = first_seq;
}

void kvt_history_deinit(kvt_history *h)
{
    for (size_t i = 0; i < h->spaces * h->key_count; i++)
        free(h->versions[i].at);
    free(h->versions);
    free(h->last_seq);
    free(h->keys);
    free(h->key_bytes);
    memset(h, 0, sizeof *h);
}

uint64_t kvt_history_begin(kvt_history *h, uint32_t ops)
{
    uint64_t n = ++h->writes;

    if (n == h->last_seq_cap) {
        h->last_seq_cap *= 2;
        h->last_seq = grow(h->last_seq, h->last_seq_cap, sizeof *h->last_seq);
    }
    h->last_seq[n] = h->last_seq[n - 1] + ops;
    return n;
}

static void add(kvt_history *h, unsigned space, size_t key, const kvt_version *v)
{
    kvt_versions *all = &h->versions[kvt_history_slot(h, space, key)];

    KVI_ASSERT(space < h->spaces && key < h->key_count && v->write > 0);
    if (all->count > 0 && all->at[all->count - 1].write == v->write) {
        all->at[all->count - 1] = *v;
        return;
    }
    if (all->count == all->cap) {
        all->cap = all->cap ? 2 * all->cap : 4;
        all->at = grow(all->at, all->cap, sizeof *all->at);
    }
    all->at[all->count++] = *v;
}

void kvt_history_put(kvt_history *h, unsigned space, size_t key, uint32_t len, int64_t expires_ms)
{
    add(h, space, key, &(kvt_version){h->writes, expires_ms, len, false});
}

void kvt_history_delete(kvt_history *h, unsigned space, size_t key)
{
    add(h, space, key, &(kvt_version){h->writes, 0, 0, true});
}

void kvt_history_cut(kvt_history *h, uint64_t n)
{
    KVI_ASSERT(n <= h->writes);
    for (size_t i = 0; i < h->spaces * h->key_count; i++) {
        kvt_versions *all = &h->versions[i];

        while (all->count > 0 && all->at[all->count - 1].write > n)
            all->count--;
    }
    h->writes = n;
}

/** How many versions of a key are of writes up to n. */
static size_t upto(const kvt_versions *all, uint64_t n)
{
    size_t low = 0, high = all->count;

    if (high == 0 || all->at[high - 1].write <= n)
        return high;
    while (low < high) {
        size_t mid = low + (high - low) / 2;

        if (all->at[mid].write <= n)
            low = mid + 1;
        else
            high = mid;
    }
    return low;
}

void kvt_history_trim(kvt_history *h, uint64_t n)
{
    for (size_t i = 0; i < h->spaces * h->key_count; i++) {
        kvt_versions *all = &h->versions[i];
        size_t old = upto(all, n);

        if (old < 2)
            continue;
        memmove(all->at, all->at + old - 1, (all->count - old + 1) * sizeof *all->at);
        all->count -= old - 1;
    }
}

const kvt_version *kvt_history_get(const kvt_history *h, unsigned space, size_t key, uint64_t n,
                                   int64_t now_ms)
{
    const kvt_versions *all = &h->versions[kvt_history_slot(h, space, key)];
    size_t count = upto(all, n);
    const kvt_version *v = count > 0 ? &all->at[count - 1] : NULL;

    if (!v || v->deleted || (v->expires_ms != 0 && v->expires_ms <= now_ms))
        return NULL;
    return v;
}

bool kvt_history_find_seq(const kvt_history *h, uint64_t seq, uint64_t *n)
{
    uint64_t low = 0, high = h->writes;

    while (low < high) {
        uint64_t mid = low + (high - low) / 2;

        if (h->last_seq[mid] < seq)
            low = mid + 1;
        else
            high = mid;
    }
    *n = low;
    return h->last_seq[low] == seq;
}

/* --- comparing ---------------------------------------------------------------------------- */

typedef struct compared {
    const kvt_history *h;
    unsigned space;
    uint64_t n;
    int64_t now_ms;
    kv *db;
    kv_snap *snap;
    char *why;
    size_t why_len;
} compared;

static const char *blame(const compared *c, size_t key, const char *what, int result)
{
    const kvt_version *v =
        key < c->h->key_count ? kvt_history_get(c->h, c->space, key, c->n, c->now_ms) : NULL;

    (void)snprintf(c->why, c->why_len,
                   "state %llu, key %zu of space %u: %s (%s%s%s); expected %s of write %llu",
                   (unsigned long long)c->n, key, c->space, what, kv_strerror(result),
                   result < 0 ? ": " : "", result < 0 ? kv_error_detail() : "",
                   v ? "the value" : "nothing", v ? (unsigned long long)v->write : 0);
    return c->why;
}

static const char *check_entry(const compared *c, size_t key, const kv_entry *e)
{
    const kvt_version *v = kvt_history_get(c->h, c->space, key, c->n, c->now_ms);
    kvi_slice found = kvi_slice_of(e->key.data, e->key.len);

    if (!kvi_slice_eq(found, c->h->keys[key]))
        return blame(c, key, "the walk gave another key", KV_OK);
    if (!kvt_value_is(kvi_slice_of(e->value.data, e->value.len), v,
                      kvt_history_slot(c->h, c->space, key)))
        return blame(c, key, "the walk gave another value", KV_OK);
    if (e->value.expires_ms != v->expires_ms)
        return blame(c, key, "the walk gave another expiry", KV_OK);
    return NULL;
}

static const char *walk(const compared *c, kv_iter *it, bool back)
{
    kv_entry e = KV_ENTRY_INIT;
    const char *why;
    int r;

    for (size_t i = 0; i < c->h->key_count; i++) {
        size_t key = back ? c->h->key_count - 1 - i : i;

        if (!kvt_history_get(c->h, c->space, key, c->n, c->now_ms))
            continue;
        r = back ? kv_iter_prev(it, &e) : kv_iter_next(it, &e);
        if (r < 0)
            return blame(c, key, "the walk ended", r);
        why = check_entry(c, key, &e);
        if (why)
            return why;
    }
    r = back ? kv_iter_prev(it, &e) : kv_iter_next(it, &e);
    if (r == KV_OK)
        return blame(c, kvt_history_rank(c->h, kvi_slice_of(e.key.data, e.key.len)),
                     "the walk gave one more", r);
    return r == KV_ENOTFOUND ? NULL : blame(c, c->h->key_count, "the walk failed", r);
}

static const char *get_all(const compared *c)
{
    kv_result r = KV_RESULT_INIT;
    kv_op op = KV_OP_INIT;
    const char *why = NULL;

    op.snapshot = c->snap;
    for (size_t key = 0; !why && key < c->h->key_count; key++) {
        const kvt_version *v = kvt_history_get(c->h, c->space, key, c->n, c->now_ms);
        kvi_slice k = c->h->keys[key];
        int err = kv_get(c->db, k.data, k.len, &op, &r);

        if (err != (v ? KV_OK : KV_ENOTFOUND))
            why = blame(c, key, "a get said otherwise", err);
        else if (v && !kvt_value_is(kvi_slice_of(r.values[0].data, r.values[0].len), v,
                                    kvt_history_slot(c->h, c->space, key)))
            why = blame(c, key, "a get gave another value", err);
    }
    kv_result_free(&r);
    return why;
}

const char *kvt_history_compare(const kvt_history *h, unsigned space, uint64_t n, int64_t now_ms,
                                kv *db, kv_snap *snap, unsigned how, char *why, size_t why_len)
{
    compared c = {h, space, n, now_ms, db, snap, why, why_len};
    kv_range range = KV_RANGE_INIT;
    const char *wrong;
    kv_iter *it;
    int r;

    range.snapshot = snap;
    r = kv_iter_open(db, &range, &it);
    if (r < 0)
        return blame(&c, h->key_count, "no iterator opened", r);
    wrong = walk(&c, it, false);
    if (!wrong && (how & KVT_SCAN_BACK))
        wrong = walk(&c, it, true); /* from behind the last, where the first walk has ended */
    kv_iter_close(it);
    return !wrong && (how & KVT_SCAN_GETS) ? get_all(&c) : wrong;
}
