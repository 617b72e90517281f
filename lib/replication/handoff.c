/*
 * Hints come home. For each owner a walk over its hints, page by page; each hint on the way is a
 * replay (hint_replay.c):
 *
 *   read the object -> APPLY to the owner, repeated -> its durable answer -> under the token's
 *   lock: still the same? then the marker goes, and perhaps the object
 *
 * 1. Nothing is deleted before the owner has answered for the very bytes that are there. An answer
 *    finds its replay by its id, and an id stands for one replay with one object, ever: they begin
 *    at a random number, since answers may come that were meant for an earlier opening of this
 *    store.
 * 2. A replay that fails, for whatever reason, leaves the hint where it is: the next walk meets it
 *    again. So none is stuck, and none holds up the others.
 * 3. Hints that are too old, or whose owner is no member, are taken back on the same walk without
 *    being sent; their objects stay.
 * 4. A walk goes on while no more than half the pace is under way, and does not begin before the
 *    replays of the last one have ended: a hint is replayed once at a time.
 */
#include "base/check.h"
#include "base/error.h"
#include "replication/key.h"
#include "replication/page.h"
#include "replication/replication_impl.h"

/* Objects under way, per owner, but for a single one that is larger; hints of a page. */
#define PACE_BYTES (UINT64_C(4) << 20)
#define PAGE_BYTES (UINT32_C(256) << 10)

/* --- the owner's pauses ---------------------------------------------------------------------- */

/* It refused, or a walk was in vain: not at once again. Many that fail together count as one. */
void kvi_handoff_pause(kvi_replication *r, kvi_hint_owner *o)
{
    uint64_t now = r->cluster->now_ns;

    o->judged = true;
    if (now < o->resume_ns)
        return;
    o->pause_ns =
        o->pause_ns ? kvi_min_u64(o->pause_ns * 2, KVI_HINTS_PAUSE_MAX_NS) : KVI_HINTS_PAUSE_NS;
    o->resume_ns = now + o->pause_ns;
}

static bool is_member(const kvi_replication *r, const kvi_hint_owner *o)
{
    return kvi_ring_member_of(r->cluster->ring, o->node) != NULL;
}

bool kvi_handoff_reachable(const kvi_replication *r, const kvi_hint_owner *o)
{
    return is_member(r, o) && r->cluster->reachable(r->cluster->user, o->node);
}

/* When a hint of this time is too old, by the wall clock. */
static int64_t expiry_ms(const kvi_replication *r, int64_t made_ms)
{
    int64_t age_max_ms = r->hints.age_max_ms;

    return made_ms < INT64_MAX - age_max_ms ? made_ms + age_max_ms : INT64_MAX;
}

static bool is_old(const kvi_replication *r, int64_t made_ms)
{
    return r->cluster->wall_ms > expiry_ms(r, made_ms);
}

/* --- the walk -------------------------------------------------------------------------------- */

/* One hint of the page. KV_ENOMEM. */
static int meet(kvi_replication *r, kvi_hint_owner *o, kvi_slice physical, int64_t made_ms,
                uint64_t bytes)
{
    /* One for this node itself has no meaning: it holds the object. */
    bool drop = o->node == r->cluster->self || !is_member(r, o) || is_old(r, made_ms);

    if (made_ms < o->walk_oldest_ms)
        o->walk_oldest_ms = made_ms;
    if (drop)
        return kvi_hint_replay_begin_drop(r, o, physical, made_ms);
    return kvi_handoff_reachable(r, o) ? kvi_hint_replay_begin(r, o, physical, bytes) : KV_OK;
}

/* Meets what is on the page, as far as the pace allows. *more: there is something behind it. */
static int meet_page(kvi_replication *r, kvi_hint_owner *o, bool *more)
{
    kvi_page page, before;
    kvi_slice key, value;
    int err = KV_OK;

    kvi_page_begin(&page, &o->entries, o->scan.count);
    for (before = page; !err && kvi_page_next(&page, &key, &value); before = page) {
        int64_t made_ms = 0;
        uint64_t bytes = 0;

        if (kvi_key_parse_hint_value(value, &made_ms, &bytes))
            continue;
        if (before.last.len > 0 && o->active_bytes + bytes > PACE_BYTES) {
            page = before;
            *more = true;
            break;
        }
        err = meet(r, o, key, made_ms, bytes);
    }
    return err ? err : kvi_page_resume(&page, &o->from);
}

static void end_walk(kvi_hint_owner *o)
{
    o->walking = false;
    /* Those that came meanwhile were made after it began. */
    o->oldest_ms = o->walk_oldest_ms < o->walk_began_ms ? o->walk_oldest_ms : o->walk_began_ms;
}

static void page_done(kvi_store_scan *s)
{
    kvi_hint_owner *o = KVI_CONTAINER_OF(s, kvi_hint_owner, scan);
    kvi_replication *r = o->replication;
    bool more = s->more && s->count > 0;
    int err = s->err;

    /* While scanning is set nobody begins another page. */
    if (!err && r->cluster->ring)
        err = meet_page(r, o, &more);
    o->scanning = false;
    if (err == KV_ECANCELED)
        r->closing = true;
    if (err) {
        o->walking = false;
        kvi_handoff_pause(r, o);
    } else if (!more) {
        end_walk(o);
        kvi_buf_deinit(&o->entries);
    }
    kvi_handoff_pump(r, o);
}

static int begin_walk(kvi_replication *r, kvi_hint_owner *o)
{
    int err;

    kvi_buf_clear(&o->from);
    kvi_buf_clear(&o->to);
    err = kvi_key_hints_of(&o->from, o->node);
    if (!err)
        err = kvi_key_hints_of(&o->to, o->node);
    if (err)
        return err;
    kvi_key_end(&o->to);
    o->walking = true;
    o->judged = false;
    o->walk_ended = 0;
    o->walk_began_ms = r->cluster->wall_ms;
    o->walk_oldest_ms = INT64_MAX;
    return KV_OK;
}

/* When there is something to do by time for this owner; UINT64_MAX: not before something
 * happens. */
static uint64_t due_ns(const kvi_replication *r, const kvi_hint_owner *o)
{
    const kvi_cluster *c = r->cluster;
    int64_t expiry = expiry_ms(r, o->oldest_ms);
    uint64_t left_ms;

    if (r->closing || !r->hints.counted || !c->ring || o->scanning ||
        o->active > KVI_HINTS_PACE / 2 || o->active_bytes > PACE_BYTES / 2 ||
        (!o->walking && (o->active > 0 || o->count == 0)))
        return UINT64_MAX;
    if (!is_member(r, o) || kvi_handoff_reachable(r, o) || c->wall_ms > expiry)
        return o->resume_ns;
    if (expiry == INT64_MAX)
        return UINT64_MAX;
    left_ms = (uint64_t)expiry - (uint64_t)c->wall_ms + 1;
    if (left_ms > (UINT64_MAX - c->now_ns) / 1000000)
        return UINT64_MAX;
    return c->now_ns + left_ms * 1000000;
}

/* Begins what is due. */
void kvi_handoff_pump(kvi_replication *r, kvi_hint_owner *o)
{
    if (due_ns(r, o) > r->cluster->now_ns)
        return;
    if (!o->walking && !o->judged && o->walk_ended == 0) {
        kvi_handoff_pause(r, o);
        return;
    }
    if (!o->walking && begin_walk(r, o)) {
        kvi_handoff_pause(r, o);
        return;
    }
    o->scan.from = kvi_buf_slice(&o->from);
    o->scan.to = kvi_buf_slice(&o->to);
    o->scan.limit = KVI_HINTS_PACE - o->active;
    o->scan.bytes_max = PAGE_BYTES;
    o->scan.entries = &o->entries;
    o->scan.done = page_done;
    o->scanning = true;
    r->effects->ops->scan(r->effects, &o->scan);
}

/* --- for replication.c ----------------------------------------------------------------------- */

void kvi_handoff_tick(kvi_replication *r)
{
    kvi_hint_replay_tick(r);
    KVI_MAP_EACH(i, &r->hints.owners) {
        kvi_hint_owner *o = kvi_map_at(&r->hints.owners, i)->value;
        bool reachable = r->cluster->ring && kvi_handoff_reachable(r, o);

        if (reachable && !o->was_reachable) { /* it is back: the pauses were of another time */
            o->pause_ns = o->resume_ns = 0;
            o->judged = true;
        }
        o->was_reachable = reachable;
        kvi_handoff_pump(r, o);
    }
}

uint64_t kvi_handoff_deadline(const kvi_replication *r)
{
    const kvi_heap_node *first = kvi_heap_peek(&r->timers);
    uint64_t due = first ? first->key : UINT64_MAX;

    KVI_MAP_EACH(i, &r->hints.owners)
        due = kvi_min_u64(due, due_ns(r, kvi_map_at(&r->hints.owners, i)->value));
    return due;
}
