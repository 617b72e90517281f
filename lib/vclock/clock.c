/*
 * Version vectors; see the header for the contract.
 */
#include "vclock/clock.h"

#include <string.h>

#include "base/check.h"
#include "base/error.h"
#include "vclock/object_format.h"
#include "vclock/take.h"

/* The first allocation: as many actors as a key mostly has. */
#define CLOCK_CAP_MIN 4u

void kvi_clock_init(kvi_clock *c, const kvi_mem *mem)
{
    c->mem = mem;
    c->entries = NULL;
    c->count = c->cap = 0;
}

void kvi_clock_deinit(kvi_clock *c)
{
    kvi_mem_free(c->mem, c->entries);
    c->entries = NULL;
    c->count = c->cap = 0;
}

void kvi_clock_clear(kvi_clock *c)
{
    c->count = 0;
}

/* Room for count entries in all. */
static int reserve(kvi_clock *c, size_t count)
{
    kvi_dot *entries;
    uint32_t cap;

    if (count > KVI_CLOCK_ACTORS_MAX)
        return kvi_error_set(KV_ETOOBIG,
                             "a version vector of %zu actors; it may have %u: too many openings of "
                             "nodes have written this key",
                             count, KVI_CLOCK_ACTORS_MAX);
    if (count <= c->cap)
        return KV_OK;
    cap = c->cap > 0 ? c->cap * 2 : CLOCK_CAP_MIN;
    if (cap < count)
        cap = (uint32_t)count;
    entries = kvi_mem_resize(c->mem, c->entries, cap * sizeof *entries);
    if (!entries)
        return kvi_error_set(KV_ENOMEM, "no memory for a version vector of %zu actors", count);
    c->entries = entries;
    c->cap = cap;
    return KV_OK;
}

int kvi_clock_copy(kvi_clock *c, const kvi_clock *from)
{
    int err;

    if (c == from)
        return KV_OK;
    err = reserve(c, from->count);
    if (err)
        return err;
    if (from->count > 0)
        memcpy(c->entries, from->entries, from->count * sizeof *from->entries);
    c->count = from->count;
    return KV_OK;
}

/* The index of the first entry that is not before actor. */
static uint32_t find(const kvi_clock *c, const kvi_actor *actor)
{
    uint32_t lo = 0, hi = c->count;

    while (lo < hi) {
        uint32_t mid = lo + (hi - lo) / 2;

        if (kvi_actor_cmp(&c->entries[mid].actor, actor) < 0)
            lo = mid + 1;
        else
            hi = mid;
    }
    return lo;
}

uint64_t kvi_clock_get(const kvi_clock *c, const kvi_actor *actor)
{
    uint32_t at = find(c, actor);

    if (at == c->count || kvi_actor_cmp(&c->entries[at].actor, actor) != 0)
        return 0;
    return c->entries[at].counter;
}

int kvi_clock_raise(kvi_clock *c, const kvi_dot *dot)
{
    kvi_dot entry = *dot; /* dot may lie in c */
    uint32_t at = find(c, &entry.actor);
    int err;

    KVI_ASSERT(entry.counter > 0);
    if (at < c->count && kvi_actor_cmp(&c->entries[at].actor, &entry.actor) == 0) {
        c->entries[at].counter = kvi_max_u64(c->entries[at].counter, entry.counter);
        return KV_OK;
    }
    err = reserve(c, (size_t)c->count + 1);
    if (err)
        return err;
    memmove(c->entries + at + 1, c->entries + at, (c->count - at) * sizeof *c->entries);
    c->entries[at] = entry;
    c->count++;
    return KV_OK;
}

/* Two clocks side by side, actor by actor. */
typedef struct pair {
    uint64_t a, b; /* the counters of this actor, 0: it has none */
} pair;

static bool next_pair(const kvi_clock *a, const kvi_clock *b, uint32_t *i, uint32_t *j, pair *out)
{
    int c;

    if (*i == a->count && *j == b->count)
        return false;
    if (*i == a->count)
        c = 1;
    else if (*j == b->count)
        c = -1;
    else
        c = kvi_actor_cmp(&a->entries[*i].actor, &b->entries[*j].actor);
    out->a = c <= 0 ? a->entries[(*i)++].counter : 0;
    out->b = c >= 0 ? b->entries[(*j)++].counter : 0;
    return true;
}

/* Merges other into c, which has room for the count actors of both: from the back, so that no entry
 * is overwritten before it is read. */
static void merge_entries(kvi_clock *c, const kvi_clock *other, uint32_t count)
{
    uint32_t i = c->count, j = other->count, at = count;

    KVI_ASSERT(c->entries || count == 0);
    while (j > 0) { /* what is left of c then is where it belongs */
        const kvi_dot *theirs = &other->entries[j - 1];
        int order = i > 0 ? kvi_actor_cmp(&c->entries[i - 1].actor, &theirs->actor) : -1;
        kvi_dot entry = order > 0 ? c->entries[i - 1] : *theirs;

        if (order == 0)
            entry.counter = kvi_max_u64(c->entries[i - 1].counter, theirs->counter);
        c->entries[--at] = entry;
        i -= order >= 0;
        j -= order <= 0;
    }
    KVI_ASSERT(at == i);
    c->count = count;
}

int kvi_clock_merge(kvi_clock *c, const kvi_clock *other)
{
    uint32_t i = 0, j = 0, count = 0;
    pair p;
    int err;

    if (c == other)
        return KV_OK;
    while (next_pair(c, other, &i, &j, &p))
        count++;
    err = reserve(c, count);
    if (!err)
        merge_entries(c, other, count);
    return err;
}

enum kvi_clock_order kvi_clock_compare(const kvi_clock *a, const kvi_clock *b)
{
    bool more = false, less = false;
    uint32_t i = 0, j = 0;
    pair p;

    while (next_pair(a, b, &i, &j, &p)) {
        more = more || p.a > p.b;
        less = less || p.a < p.b;
    }
    if (more && less)
        return KVI_CLOCK_CONCURRENT;
    if (more)
        return KVI_CLOCK_AFTER;
    return less ? KVI_CLOCK_BEFORE : KVI_CLOCK_EQUAL;
}

/* --- bytes ------------------------------------------------------------------------------------ */

size_t kvi_clock_bytes(const kvi_clock *c)
{
    size_t bytes = kvi_varint_len(c->count);

    for (uint32_t i = 0; i < c->count; i++)
        bytes +=
            8 + kvi_varint_len(c->entries[i].actor.birth) + kvi_varint_len(c->entries[i].counter);
    return bytes;
}

int kvi_clock_encode(const kvi_clock *c, kvi_buf *out)
{
    size_t bytes = kvi_clock_bytes(c);
    int err = kvi_buf_reserve(out, bytes);
    uint8_t *p;

    if (err)
        return err;
    p = kvi_put_varint(out->data + out->len, c->count);
    for (uint32_t i = 0; i < c->count; i++) {
        kvi_put_u64(p, c->entries[i].actor.open_id);
        p = kvi_put_varint(p + 8, c->entries[i].actor.birth);
        p = kvi_put_varint(p, c->entries[i].counter);
    }
    KVI_ASSERT(p == out->data + out->len + bytes);
    out->len += bytes;
    return KV_OK;
}

static int decode_entry(kvi_slice *in, const kvi_dot *before, kvi_dot *entry)
{
    if (!kvi_vclock_take_u64(in, &entry->actor.open_id) ||
        !kvi_vclock_take_varint(in, &entry->actor.birth) ||
        !kvi_vclock_take_varint(in, &entry->counter))
        return kvi_error_set(KV_ECORRUPT, "a version vector is truncated or malformed");
    if (entry->counter == 0)
        return kvi_error_set(KV_ECORRUPT, "a version vector has a counter of 0");
    if (before && kvi_actor_cmp(&before->actor, &entry->actor) >= 0)
        return kvi_error_set(KV_ECORRUPT, "the actors of a version vector are out of order");
    return KV_OK;
}

int kvi_clock_decode(kvi_clock *c, kvi_slice *in)
{
    kvi_slice rest = *in;
    kvi_clock fresh;
    uint64_t count;
    int err;

    if (!kvi_vclock_take_varint(&rest, &count))
        return kvi_error_set(KV_ECORRUPT, "a version vector is truncated or malformed");
    if (count > KVI_CLOCK_ACTORS_MAX || count > rest.len / KVI_OBJECT_ENTRY_MIN)
        return kvi_error_set(KV_ECORRUPT,
                             "a version vector claims more actors than its bytes or the limit of "
                             "%u allow",
                             KVI_CLOCK_ACTORS_MAX);
    kvi_clock_init(&fresh, c->mem);
    err = reserve(&fresh, (size_t)count);
    while (!err && fresh.count < count) {
        uint32_t at = fresh.count;

        err = decode_entry(&rest, at > 0 ? &fresh.entries[at - 1] : NULL, &fresh.entries[at]);
        if (!err)
            fresh.count++;
    }
    if (err) {
        kvi_clock_deinit(&fresh);
        return err;
    }
    kvi_clock_deinit(c);
    *c = fresh;
    *in = rest;
    return KV_OK;
}
