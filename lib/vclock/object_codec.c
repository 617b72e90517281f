/*
 * The stored object as bytes and back; see object.h for the contract, object_format.h for the
 * bytes.
 */
#include "base/bytes.h"
#include "base/check.h"
#include "base/error.h"
#include "base/hash.h"
#include "vclock/object.h"
#include "vclock/object_impl.h"
#include "vclock/take.h"

/* The seed of digests. They are compared between nodes, so it is not secret. */
#define DIGEST_SEED UINT64_C(0x6a626f766b)

/* Signed numbers with a small magnitude become small: 0, -1, 1, -2 … */
static uint64_t zigzag(int64_t v)
{
    uint64_t twice = (uint64_t)v << 1;

    return v < 0 ? ~twice : twice;
}

static int64_t unzigzag(uint64_t u)
{
    int64_t half = (int64_t)(u >> 1);

    return u & 1 ? -half - 1 : half;
}

/* --- encoding --------------------------------------------------------------------------------- */

static size_t body_bytes(const kvi_sibling *s)
{
    return 1 + kvi_varint_len((uint64_t)s->expires_ms) + kvi_varint_len(zigzag(s->written_ms)) +
           kvi_varint_len(s->value.len) + s->value.len;
}

static uint8_t *put_body(uint8_t *p, const kvi_sibling *s)
{
    *p++ = s->flags;
    p = kvi_put_varint(p, (uint64_t)s->expires_ms);
    p = kvi_put_varint(p, zigzag(s->written_ms));
    p = kvi_put_varint(p, s->value.len);
    if (s->value.len > 0)
        memcpy(p, s->value.data, s->value.len);
    return p + s->value.len;
}

/* The index in seen of the actor of s, which is there; at: an index that is not behind it. */
static uint32_t actor_index(const kvi_object *o, const kvi_sibling *s, uint32_t at)
{
    while (at < o->seen.count && kvi_actor_cmp(&o->seen.entries[at].actor, &s->dot.actor) < 0)
        at++;
    KVI_ASSERT(at < o->seen.count && kvi_clock_covers(&o->seen, &s->dot));
    return at;
}

static size_t stamped_bytes(const kvi_sibling *s)
{
    return 8 + kvi_varint_len(s->dot.actor.birth) + kvi_varint_len(s->dot.counter) + body_bytes(s);
}

size_t kvi_object_bytes(const kvi_object *o)
{
    size_t bytes = 2;
    uint32_t actor = 0;

    if (o->lww && o->count > 0)
        return bytes + stamped_bytes(&o->siblings[0]);
    bytes += kvi_clock_bytes(&o->seen) + kvi_varint_len(o->count);
    for (uint32_t i = 0; i < o->count; i++) {
        const kvi_sibling *s = &o->siblings[i];

        actor = actor_index(o, s, actor);
        bytes += kvi_varint_len(actor) + kvi_varint_len(s->dot.counter) + body_bytes(s);
    }
    return bytes;
}

static uint8_t *put_stamped(uint8_t *p, const kvi_sibling *s)
{
    kvi_put_u64(p, s->dot.actor.open_id);
    p = kvi_put_varint(p + 8, s->dot.actor.birth);
    p = kvi_put_varint(p, s->dot.counter);
    return put_body(p, s);
}

static uint8_t *put_siblings(uint8_t *p, const kvi_object *o)
{
    uint32_t actor = 0;

    p = kvi_put_varint(p, o->count);
    for (uint32_t i = 0; i < o->count; i++) {
        actor = actor_index(o, &o->siblings[i], actor);
        p = kvi_put_varint(p, actor);
        p = kvi_put_varint(p, o->siblings[i].dot.counter);
        p = put_body(p, &o->siblings[i]);
    }
    return p;
}

int kvi_object_encode(const kvi_object *o, kvi_buf *out)
{
    bool lww = o->lww && o->count > 0; /* the empty object has one encoding */
    size_t start = out->len, bytes = kvi_object_bytes(o);
    int err = kvi_buf_reserve(out, bytes);
    uint8_t *p;

    if (err)
        return err;
    p = out->data + out->len;
    *p++ = KVI_OBJECT_FORMAT;
    *p++ = lww ? KVI_OBJECT_LWW : 0;
    if (lww) {
        p = put_stamped(p, &o->siblings[0]);
    } else {
        out->len += 2;
        err = kvi_clock_encode(&o->seen, out);
        KVI_ASSERT(!err);
        p = put_siblings(out->data + out->len, o);
    }
    out->len = (size_t)(p - out->data);
    KVI_ASSERT(out->len == start + bytes);
    return KV_OK;
}

uint64_t kvi_object_digest(kvi_slice encoded)
{
    return kvi_hash64(encoded.data, encoded.len, DIGEST_SEED);
}

/* --- decoding --------------------------------------------------------------------------------- */

static int corrupt(const char *why)
{
    return kvi_error_set(KV_ECORRUPT, "a stored object: %s", why);
}

static int decode_body(kvi_slice *in, kvi_sibling *s)
{
    uint64_t expires, written, len;

    if (!kvi_vclock_take_u8(in, &s->flags) || !kvi_vclock_take_varint(in, &expires) ||
        !kvi_vclock_take_varint(in, &written) || !kvi_vclock_take_varint(in, &len) || len > in->len)
        return corrupt("a sibling is truncated or malformed");
    if (s->flags & ~(unsigned)KVI_SIBLING_TOMBSTONE)
        return corrupt("a sibling has flags that this library does not know");
    if (expires > INT64_MAX)
        return corrupt("a time of expiry is out of range");
    if (s->flags & KVI_SIBLING_TOMBSTONE && (len > 0 || expires > 0))
        return corrupt("a tombstone has a value or a time of expiry");
    s->expires_ms = (int64_t)expires;
    s->written_ms = unzigzag(written);
    s->value = kvi_slice_of(in->data, (size_t)len);
    kvi_vclock_skip(in, (size_t)len);
    return KV_OK;
}

static int decode_stamped(kvi_object *o, kvi_slice *in)
{
    kvi_sibling s;
    int err;

    if (!kvi_vclock_take_u64(in, &s.dot.actor.open_id) ||
        !kvi_vclock_take_varint(in, &s.dot.actor.birth) ||
        !kvi_vclock_take_varint(in, &s.dot.counter))
        return corrupt("a stamp is truncated or malformed");
    if (s.dot.counter == 0)
        return corrupt("a stamp is 0");
    err = decode_body(in, &s);
    if (!err)
        err = kvi_object_reserve(o, 1);
    if (err)
        return err;
    o->siblings[o->count++] = s;
    o->lww = true;
    return KV_OK;
}

static int decode_dot(const kvi_object *o, kvi_slice *in, kvi_dot *dot)
{
    uint64_t actor;

    if (!kvi_vclock_take_varint(in, &actor) || !kvi_vclock_take_varint(in, &dot->counter))
        return corrupt("a dot is truncated or malformed");
    if (actor >= o->seen.count || dot->counter == 0 ||
        dot->counter > o->seen.entries[actor].counter)
        return corrupt("a sibling's dot is not covered by the version vector");
    dot->actor = o->seen.entries[actor].actor;
    if (o->count > 0 && kvi_dot_cmp(&o->siblings[o->count - 1].dot, dot) >= 0)
        return corrupt("the siblings are out of order");
    return KV_OK;
}

static int decode_siblings(kvi_object *o, kvi_slice *in)
{
    uint64_t count;
    int err = kvi_clock_decode(&o->seen, in);

    if (err)
        return err;
    if (!kvi_vclock_take_varint(in, &count))
        return corrupt("the number of siblings is truncated or malformed");
    if (count > KVI_OBJECT_SIBLINGS_MAX || count > in->len / KVI_OBJECT_SIBLING_MIN)
        return corrupt("it claims more siblings than its bytes or the limit allow");
    err = kvi_object_reserve(o, (size_t)count);
    while (!err && o->count < count) {
        kvi_sibling *s = &o->siblings[o->count];

        err = decode_dot(o, in, &s->dot);
        if (!err)
            err = decode_body(in, s);
        if (!err)
            o->count++;
    }
    return err;
}

int kvi_object_decode(kvi_object *o, kvi_slice encoded)
{
    kvi_slice in = encoded;
    uint8_t format, flags;
    kvi_object fresh;
    int err;

    if (!kvi_vclock_take_u8(&in, &format) || !kvi_vclock_take_u8(&in, &flags))
        return corrupt("it is truncated");
    if (format != KVI_OBJECT_FORMAT || flags & ~(unsigned)KVI_OBJECT_LWW)
        return corrupt("its format is none that this library knows");
    kvi_object_init(&fresh, o->mem);
    err = flags & KVI_OBJECT_LWW ? decode_stamped(&fresh, &in) : decode_siblings(&fresh, &in);
    if (!err && in.len > 0)
        err = corrupt("it has bytes behind its end");
    if (err) {
        kvi_object_deinit(&fresh);
        return err;
    }
    kvi_object_deinit(o);
    *o = fresh;
    return KV_OK;
}
