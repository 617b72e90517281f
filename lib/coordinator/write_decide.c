/*
 * What a write makes of the objects that are there: the rules of kv_put(), and the dots; see
 * write.h. Runs under the lock of the token, between the read and the write of the own replica, so
 * that nobody mints from the same object.
 *
 * All memory that the way from here to the answer takes, but for messages, is taken here: what can
 * fail has failed before anything is written.
 */
#include "base/bytes.h"
#include "base/error.h"
#include "coordinator/write.h"

/* What one object of an APPLY takes beside key and object. */
#define OBJECT_EXTRA ((size_t)3 * KVI_VARINT64_MAX)

/* Of an envelope, for what else is in it: amply. */
#define ENVELOPE_EXTRA (UINT32_C(1) << 20)

/* The refusal of a write over siblings, with them. */
static int siblings(kvi_writer *w, const kvi_writer_item *item, const kvi_object *o,
                    const char *why)
{
    char name[64];
    size_t len = kvi_min_size(item->key.len, sizeof name - 1);
    int err;

    kvi_buf_clear(&w->refused_by);
    err = kvi_object_encode(o, &w->refused_by);
    if (!err)
        err = kvi_seal_object(w->job.c, item->space, item->key, o, &w->refused_seen);
    if (err)
        return err;
    for (size_t i = 0; i < len; i++) {
        char c = ((const char *)item->key.data)[i];

        name[i] = '?';
        if (c >= ' ' && c < 0x7f)
            name[i] = c;
    }
    name[len] = 0;
    return kvi_error_set(KV_ESIBLINGS, "the key \"%s\"%s has %u siblings: %s", name,
                         len < item->key.len ? " (cut)" : "", o->count, why);
}

/* context becomes what the write replaces: what the client or the collection had seen, else all
 * that is there. */
static int context_of(const kvi_writer *w, const kvi_writer_item *item, const kvi_object *o,
                      kvi_clock *context)
{
    if (w->context.len > 0)
        return kvi_unseal(w->job.c, item->space, item->key, w->context, context);
    return item->collected ? kvi_clock_copy(context, &item->seen)
                           : kvi_clock_copy(context, &o->seen);
}

static uint32_t left_over(const kvi_object *o, const kvi_clock *context)
{
    uint32_t n = 0;

    for (uint32_t i = 0; i < o->count; i++)
        n += !kvi_clock_covers(context, &o->siblings[i].dot);
    return n;
}

static int check_siblings(kvi_writer *w, const kvi_writer_item *item, const kvi_object *o,
                          const kvi_clock *context)
{
    bool unseen = w->context.len == 0 && !item->collected;

    if (unseen && item->op == KVI_WIRE_PUT && !(w->ask.flags & KV_OVERWRITE) &&
        kvi_object_values(o, w->job.c->cluster->wall_ms) >= 2)
        return siblings(w, item, o, "put with the context of a get, or with KV_OVERWRITE");
    if (left_over(o, context) >= KVI_OBJECT_SIBLINGS_CLIENT_MAX)
        return siblings(w, item, o, "more are not added; put with a context that has seen them");
    return KV_OK;
}

/* The dot of a last-write-wins put, above all that is known. */
static int stamp(kvi_writer *w, const kvi_object *o, const kvi_clock *context, kvi_dot *dot)
{
    kvi_coordinator *c = w->job.c;
    int64_t wall_ms = c->cluster->wall_ms;
    uint64_t stamp = 0;
    int err = kvi_hlc_observe(&c->hlc, kvi_object_stamp(o, context), wall_ms);

    if (!err)
        err = kvi_hlc_next(&c->hlc, wall_ms, &stamp);
    if (err == KVI_AGAIN) {
        w->wants_bound = true;
        return kvi_error_set(KV_EBUSY, "the bound of stamps is being stored");
    }
    if (!err)
        *dot = kvi_object_stamped(c->cluster->open_id, stamp);
    return err;
}

static int mint(kvi_writer *w, const kvi_writer_item *item, kvi_object *o, const kvi_clock *context,
                kvi_dot *dot)
{
    kvi_cluster *cluster = w->job.c->cluster;

    if (!kvi_object_empty(o) && o->lww != item->lww)
        return kvi_error_set(KV_ECORRUPT, "an object in the store is not of its space's kind");
    if (item->lww) {
        o->lww = true;
        return stamp(w, o, context, dot);
    }
    *dot = kvi_object_mint_from(o, context, cluster->open_id,
                                *kvi_cluster_birth_floor(cluster, w->plan.token),
                                &cluster->next_birth);
    return KV_OK;
}

/* Puts one item into what is there. */
static int put(kvi_writer *w, const kvi_writer_item *item, kvi_object *o, const kvi_clock *context,
               kvi_dot *dot)
{
    kvi_sibling s = {0};
    int err = item->lww ? KV_OK : check_siblings(w, item, o, context);

    if (!err)
        err = mint(w, item, o, context, &s.dot);
    if (err)
        return err;
    s.written_ms = w->job.c->cluster->wall_ms;
    if (item->op == KVI_WIRE_DELETE) {
        s.flags = KVI_SIBLING_TOMBSTONE;
    } else {
        s.expires_ms = item->expires_ms;
        s.value = item->value;
    }
    *dot = s.dot;
    return kvi_object_put(o, context, &s);
}

/* Whether a value beside the one of this dot would be replaced with this context. */
static bool replaces_others(const kvi_object *o, const kvi_clock *context, const kvi_dot *dot)
{
    for (uint32_t i = 0; i < o->count; i++) {
        const kvi_sibling *s = &o->siblings[i];

        if (!(s->flags & KVI_SIBLING_TOMBSTONE) && !kvi_dot_eq(&s->dot, dot) &&
            kvi_clock_covers(context, &s->dot))
            return true;
    }
    return false;
}

/* The context that the client is answered with: what it had seen, and what it wrote. A clock that
 * covers this dot covers the ones before it of the same actor, too: where such a one is a sibling,
 * which this client has never been shown, it is answered with what it had seen alone. With that its
 * next write will stand beside this one, which is better than to replace the other unseen. */
static int seal_made(kvi_writer *w, const kvi_writer_item *item, const kvi_object *o,
                     const kvi_clock *context, const kvi_dot *dot)
{
    kvi_clock known;
    int err;

    kvi_clock_init(&known, w->job.c->mem);
    err = kvi_clock_copy(&known, context);
    if (!err)
        err = kvi_clock_raise(&known, dot);
    if (!err)
        err = kvi_seal(w->job.c, item->space, item->key,
                       replaces_others(o, &known, dot) ? context : &known, &w->made);
    kvi_clock_deinit(&known);
    return err;
}

static int decide_item(kvi_writer *w, const kvi_writer_item *item, kvi_update_item *out)
{
    kvi_clock context;
    kvi_dot dot = {{0, 0}, 0};
    int err;

    kvi_clock_init(&context, w->job.c->mem);
    err = context_of(w, item, &out->object, &context);
    if (!err)
        err = put(w, item, &out->object, &context, &dot);
    if (!err && w->ask.op != KVI_WIRE_BATCH)
        err = item->lww ? kvi_seal_object(w->job.c, item->space, item->key, &out->object, &w->made)
                        : seal_made(w, item, &out->object, &context, &dot);
    out->changed = err == KV_OK;
    kvi_clock_deinit(&context);
    return err;
}

int kvi_writer_decide(kvi_update *u)
{
    kvi_writer *w = u->user;
    size_t need = 0;
    int err = KV_OK;

    if (!w->told)
        return kvi_error_set(KV_ECANCELED, "it was given up before anything was written");
    for (uint32_t i = 0; i < w->count; i++) {
        err = decide_item(w, &w->items[i], &u->items[i]);
        if (err)
            return err;
        need += u->items[i].key.len + kvi_object_bytes(&u->items[i].object) + OBJECT_EXTRA;
    }
    if (need > KVI_WIRE_ENVELOPE_MAX - ENVELOPE_EXTRA)
        return kvi_error_set(KV_ETOOBIG, "what is to be written comes, with its siblings, to more "
                                         "than a message between nodes may have");
    if (need > w->job.c->cluster->batch_max)
        return kvi_error_set(KV_ETOOBIG,
                             "what is to be written comes, with its siblings, to %zu "
                             "bytes, over the store's limit of %zu",
                             need, w->job.c->cluster->batch_max);
    /* What is in there is of the round before, and goes on until this one's is readable. */
    err = kvi_buf_reserve(&w->apply, need);
    w->decided = err == KV_OK;
    return err;
}
