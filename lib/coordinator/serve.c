/*
 * Writes that others forward to this node: each is executed at most once; see coordinator.h, 2.
 *
 * The window says NEW before anything else happens, and it never does twice. What is refused after
 * that, for whatever reason, is a first verdict: nothing was done and nothing will be. The answer
 * is kept so that a repetition gets the same one; where it was dropped the origin gets none, and
 * its write ends as uncertain, which is true.
 */
#include "base/bytes.h"
#include "base/error.h"
#include "coordinator/impl.h"

typedef struct served {
    kvi_coordinator *c;
    uint64_t origin, open_id, seq;
} served;

/* How an answer is kept: numbers, then context, object and detail. */
enum {
    AT_ERR = 0,
    AT_DEFINITIVE = 4,
    AT_ACKS = 5,
    AT_PRIMARIES = 6,
    AT_FALLBACKS = 7,
    AT_DURABILITY = 8,
    AT_CONTEXT_LEN = 9,
    AT_OBJECT_LEN = 13,
    AT_DETAIL_LEN = 17,
    AT_BYTES = 21
};

static void append(uint8_t **p, kvi_slice s)
{
    if (s.len > 0)
        memcpy(*p, s.data, s.len);
    *p += s.len;
}

/* Where there is no memory it is not kept. */
static void keep(kvi_coordinator *c, const served *s, const kvi_wire_forward_answer *a)
{
    size_t len = AT_BYTES + a->context.len + a->object.len + a->detail.len;
    uint8_t *bytes, *p;

    if (len > KVI_REPLAY_BYTES)
        return;
    bytes = kvi_mem_alloc(c->mem, len);
    if (!bytes)
        return;
    kvi_put_u32(bytes + AT_ERR, (uint32_t)-a->err);
    bytes[AT_DEFINITIVE] = a->definitive;
    bytes[AT_ACKS] = a->acks;
    bytes[AT_PRIMARIES] = a->primaries;
    bytes[AT_FALLBACKS] = a->fallbacks;
    bytes[AT_DURABILITY] = a->durability;
    kvi_put_u32(bytes + AT_CONTEXT_LEN, (uint32_t)a->context.len);
    kvi_put_u32(bytes + AT_OBJECT_LEN, (uint32_t)a->object.len);
    kvi_put_u32(bytes + AT_DETAIL_LEN, (uint32_t)a->detail.len);
    p = bytes + AT_BYTES;
    append(&p, a->context);
    append(&p, a->object);
    append(&p, a->detail);
    kvi_replay_answered(c->replay, s->origin, s->open_id, s->seq, kvi_slice_of(bytes, len));
    kvi_mem_free(c->mem, bytes);
}

static void unpack(kvi_slice kept, kvi_wire_forward_answer *a)
{
    const uint8_t *bytes = kept.data, *p = bytes + AT_BYTES;

    KVI_ASSERT(kept.len >= AT_BYTES);
    a->err = -(int32_t)kvi_get_u32(bytes + AT_ERR);
    a->definitive = bytes[AT_DEFINITIVE];
    a->acks = bytes[AT_ACKS];
    a->primaries = bytes[AT_PRIMARIES];
    a->fallbacks = bytes[AT_FALLBACKS];
    a->durability = bytes[AT_DURABILITY];
    a->context = kvi_slice_of(p, kvi_get_u32(bytes + AT_CONTEXT_LEN));
    a->object = kvi_slice_of(p + a->context.len, kvi_get_u32(bytes + AT_OBJECT_LEN));
    a->detail =
        kvi_slice_of(p + a->context.len + a->object.len, kvi_get_u32(bytes + AT_DETAIL_LEN));
}

/* To that opening of the origin and no other, which would not know what is meant. */
static void send(const served *s, const kvi_wire_forward_answer *answer)
{
    kvi_coordinator *c = s->c;
    kvi_wire_message m = {0};

    if (c->cluster->open_id_of(c->cluster->user, s->origin) != s->open_id)
        return;
    m.kind = KVI_WIRE_FORWARD_ANSWER;
    m.u.forward_answer = *answer;
    c->effects->ops->send(c->effects, s->origin, &m);
}

static void answer(const served *s, const kvi_outcome *outcome)
{
    kvi_wire_forward_answer a = *outcome;

    a.seq = s->seq;
    keep(s->c, s, &a);
    send(s, &a);
}

static void told(void *user, const kvi_outcome *outcome)
{
    served *s = user;

    answer(s, outcome);
    kvi_mem_free(s->c->mem, s);
}

static void refuse(const served *s, int err)
{
    kvi_outcome outcome = {0};

    outcome.err = err;
    outcome.definitive = true;
    outcome.detail = kvi_slice_of(kvi_error_detail(), strlen(kvi_error_detail()));
    answer(s, &outcome);
}

/* For the first time. */
static void execute(const served *s, const kvi_wire_forward *forward)
{
    kvi_coordinator *c = s->c;
    served *kept;
    kvi_job *job;
    int err;

    if (c->closing) {
        refuse(s, kvi_error_set(KV_EUNAVAILABLE, "the coordinating node is being closed"));
        return;
    }
    kept = kvi_mem_dup(c->mem, s, sizeof *s);
    if (!kept) {
        refuse(s, kvi_error_set(KV_ENOMEM, "no memory for a forwarded write"));
        return;
    }
    err = kvi_writer_begin(c, forward, true, told, kept, &job);
    if (err) {
        refuse(s, err);
        kvi_mem_free(c->mem, kept);
    }
}

void kvi_serve(kvi_coordinator *c, uint64_t from, uint64_t from_open,
               const kvi_wire_forward *forward)
{
    served s = {c, from, from_open, forward->seq};
    kvi_wire_forward_answer again = {0};
    kvi_slice kept;

    switch (kvi_replay_ask(c->replay, from, from_open, forward->seq, c->cluster->now_ns)) {
    case KVI_REPLAY_NEW:
        execute(&s, forward);
        break;
    case KVI_REPLAY_SEEN:
        if (!kvi_replay_answer(c->replay, from, from_open, forward->seq, &kept))
            break;
        unpack(kept, &again);
        again.seq = forward->seq;
        send(&s, &again);
        break;
    case KVI_REPLAY_BELOW:
        break;
    }
}
