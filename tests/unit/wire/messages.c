/* See messages.h. */
#include "unit/wire/messages.h"

#include <criterion/criterion.h>

#include "base/error.h"

void kvt_messages_init(kvt_messages *d, const kvi_mem *mem, uint64_t seed)
{
    kvt_rng_init(&d->rng, seed);
    kvi_buf_init(&d->items, mem);
    for (size_t i = 0; i < sizeof d->bytes; i++)
        d->bytes[i] = (uint8_t)kvt_rng_next(&d->rng);
}

void kvt_messages_deinit(kvt_messages *d)
{
    kvi_buf_deinit(&d->items);
}

static uint64_t below(kvt_messages *d, uint64_t n)
{
    return kvt_rng_below(&d->rng, n);
}

/* A number of any magnitude. */
static uint64_t any(kvt_messages *d)
{
    return kvt_rng_next(&d->rng) >> below(d, 64);
}

static uint8_t any8(kvt_messages *d)
{
    return (uint8_t)any(d);
}

static uint32_t any32(kvt_messages *d)
{
    return (uint32_t)any(d);
}

/* Mostly short, at most max bytes and what the drawer has. */
static kvi_slice some(kvt_messages *d, size_t min, size_t max)
{
    size_t most = below(d, 10) ? 30 : sizeof d->bytes / 2;
    size_t len = min + (size_t)below(d, kvi_min_size(max, most) - min + 1);

    return kvi_slice_of(d->bytes + below(d, sizeof d->bytes - len + 1), len);
}

static int32_t any_err(kvt_messages *d)
{
    return below(d, 2) ? KV_OK : -(int32_t)(1 + below(d, 200));
}

static void ok(int err)
{
    cr_assert_eq(err, KV_OK, "%d: %s", err, kvi_error_detail());
}

static kvi_wire_items any_items(kvt_messages *d, enum kvi_wire_kind kind, uint32_t min)
{
    uint32_t count = min + (uint32_t)below(d, 6);

    kvi_buf_clear(&d->items);
    for (uint32_t i = 0; i < count; i++) {
        kvi_slice key = some(d, 1, KVI_WIRE_KEY_MAX);

        if (kind == KVI_WIRE_FORWARD) {
            kvi_wire_op op = {KVI_WIRE_DELETE, any32(d), 0, key, {NULL, 0}};

            if (below(d, 2)) {
                op.op = KVI_WIRE_PUT;
                op.ttl_ms = any(d);
                op.value = some(d, 0, KVI_WIRE_VALUE_MAX);
            }
            ok(kvi_wire_ops_put(&d->items, &op));
        } else if (kind == KVI_WIRE_APPLY) {
            kvi_wire_object object = {any32(d), key, some(d, 1, KVI_WIRE_VALUE_MAX)};

            ok(kvi_wire_objects_put(&d->items, &object));
        } else {
            kvi_wire_entry entry = {any(d), key, some(d, 1, KVI_WIRE_VALUE_MAX)};

            ok(kvi_wire_entries_put(&d->items, &entry));
        }
    }
    return (kvi_wire_items){count, kvi_buf_slice(&d->items)};
}

static kvi_wire_forward any_forward(kvt_messages *d)
{
    kvi_wire_forward f = {
        .seq = any(d),
        .op = (uint8_t)(KVI_WIRE_PUT + below(d, 3)),
        .flags = any32(d),
        .r = any8(d),
        .w = any8(d),
        .durability = any8(d),
        .condition = any8(d),
        .timeout_ns = any(d),
        .ttl_ms = any(d),
        .space = any32(d),
        .context = some(d, 0, KVI_WIRE_CONTEXT_MAX),
    };

    if (f.op == KVI_WIRE_BATCH)
        f.items = any_items(d, KVI_WIRE_FORWARD, 1);
    else
        f.key = some(d, 1, KVI_WIRE_KEY_MAX);
    if (f.op == KVI_WIRE_PUT)
        f.value = some(d, 0, KVI_WIRE_VALUE_MAX);
    return f;
}

static kvi_wire_change any_change(kvt_messages *d)
{
    kvi_wire_change c = {.id = any(d), .what = KVI_WIRE_CHANGE_SERVE};

    if (below(d, 2)) {
        c.what = KVI_WIRE_CHANGE_ADD_SPACE;
        c.name = some(d, 1, KVI_WIRE_NAME_MAX);
        c.policy = (kvi_wire_policy){any8(d), any8(d), any8(d), any8(d), any8(d), any(d)};
    }
    return c;
}

static kvi_wire_read_answer any_read_answer(kvt_messages *d)
{
    kvi_wire_read_answer a = {.id = any(d), .err = any_err(d)};

    if (!a.err)
        a.holds = (uint8_t)below(d, 3);
    if (a.holds == KVI_WIRE_HOLDS_DIGEST)
        a.digest = any(d);
    if (a.holds == KVI_WIRE_HOLDS_OBJECT)
        a.object = some(d, 1, KVI_WIRE_VALUE_MAX);
    return a;
}

static kvi_wire_scan any_scan(kvt_messages *d)
{
    kvi_wire_scan s = {.id = any(d),
                       .space = any32(d),
                       .token_from = any(d),
                       .key_after = some(d, 0, KVI_WIRE_KEY_MAX),
                       .limit = any32(d),
                       .bytes = any32(d)};

    s.token_to = s.token_from + below(d, UINT64_MAX - s.token_from);
    return s;
}

static kvi_wire_fragment any_fragment(kvt_messages *d)
{
    kvi_wire_fragment f = {.id = any(d)};
    uint32_t at, len = 0;

    do {
        f.total_len = 2 + (uint32_t)below(d, 10000);
        f.count = 2 + (uint32_t)below(d, f.total_len);
        f.index = (uint32_t)below(d, f.count);
    } while (!kvi_wire_fragment_place(f.index, f.count, f.total_len, &at, &len) ||
             len > sizeof d->bytes);
    f.bytes = kvi_slice_of(d->bytes, len);
    return f;
}

kvi_wire_message kvt_message(kvt_messages *d, enum kvi_wire_kind kind)
{
    kvi_wire_message m = {.kind = kind};

    switch (kind) {
    case KVI_WIRE_JOIN:
        m.u.join = (kvi_wire_join){any(d), (uint16_t)any(d), some(d, 0, KVI_WIRE_NAME_MAX),
                                   some(d, 0, KVI_WIRE_ADDRESS_MAX)};
        break;
    case KVI_WIRE_JOIN_ANSWER:
        m.u.join_answer = (kvi_wire_join_answer){any_err(d), some(d, 0, KVI_WIRE_DETAIL_MAX),
                                                 some(d, 0, KVI_WIRE_DOCUMENT_MAX)};
        break;
    case KVI_WIRE_RING_ASK:
        m.u.ring_ask.epoch_have = any(d);
        break;
    case KVI_WIRE_RING:
        m.u.ring.document = some(d, 0, KVI_WIRE_DOCUMENT_MAX);
        break;
    case KVI_WIRE_CHANGE:
        m.u.change = any_change(d);
        break;
    case KVI_WIRE_CHANGE_ANSWER:
        m.u.change_answer = (kvi_wire_change_answer){
            any(d), any_err(d), some(d, 0, KVI_WIRE_DETAIL_MAX), some(d, 0, KVI_WIRE_DOCUMENT_MAX)};
        break;
    case KVI_WIRE_GOSSIP:
        m.u.gossip.body = some(d, 0, KVI_WIRE_GOSSIP_MAX);
        break;
    case KVI_WIRE_FORWARD:
        m.u.forward = any_forward(d);
        break;
    case KVI_WIRE_FORWARD_ANSWER:
        m.u.forward_answer = (kvi_wire_forward_answer){any(d),
                                                       any_err(d),
                                                       below(d, 2),
                                                       any8(d),
                                                       any8(d),
                                                       any8(d),
                                                       any8(d),
                                                       some(d, 0, KVI_WIRE_CONTEXT_MAX),
                                                       some(d, 0, KVI_WIRE_VALUE_MAX),
                                                       some(d, 0, KVI_WIRE_DETAIL_MAX)};
        break;
    case KVI_WIRE_APPLY:
        m.u.apply = (kvi_wire_apply){
            any(d), any32(d), any(d), any8(d), (uint8_t)below(d, 4), any(d), any_items(d, kind, 1)};
        break;
    case KVI_WIRE_APPLY_ACK:
        m.u.apply_ack =
            (kvi_wire_apply_ack){any(d), any_err(d), any8(d), some(d, 0, KVI_WIRE_VALUE_MAX)};
        break;
    case KVI_WIRE_READ:
        m.u.read = (kvi_wire_read){any(d), any32(d), any(d), (uint8_t)below(d, 2),
                                   some(d, 1, KVI_WIRE_KEY_MAX)};
        break;
    case KVI_WIRE_READ_ANSWER:
        m.u.read_answer = any_read_answer(d);
        break;
    case KVI_WIRE_SCAN:
        m.u.scan = any_scan(d);
        break;
    case KVI_WIRE_SCAN_ANSWER:
        m.u.scan_answer =
            (kvi_wire_scan_answer){any(d), any_err(d), below(d, 2), any_items(d, kind, 0)};
        break;
    case KVI_WIRE_FRAGMENT:
        m.u.fragment = any_fragment(d);
        break;
    case KVI_WIRE_FRAGMENT_ACK:
        m.u.fragment_ack = (kvi_wire_fragment_ack){any(d), any32(d)};
        break;
    }
    return m;
}

#define SAME(field)       (a->field == b->field)
#define SAME_BYTES(field) kvi_slice_eq(a->field, b->field)
#define SAME_ITEMS(field) (SAME(field.count) && SAME_BYTES(field.bytes))

static bool same_forward(const kvi_wire_forward *a, const kvi_wire_forward *b)
{
    return SAME(seq) && SAME(op) && SAME(flags) && SAME(r) && SAME(w) && SAME(durability) &&
           SAME(condition) && SAME(timeout_ns) && SAME(ttl_ms) && SAME(space) && SAME_BYTES(key) &&
           SAME_BYTES(value) && SAME_BYTES(context) && SAME_ITEMS(items);
}

static bool same_forward_answer(const kvi_wire_forward_answer *a, const kvi_wire_forward_answer *b)
{
    return SAME(seq) && SAME(err) && SAME(definitive) && SAME(acks) && SAME(primaries) &&
           SAME(fallbacks) && SAME(durability) && SAME_BYTES(context) && SAME_BYTES(object) &&
           SAME_BYTES(detail);
}

static bool same_change(const kvi_wire_change *a, const kvi_wire_change *b)
{
    return SAME(id) && SAME(what) && SAME_BYTES(name) && SAME(policy.n) && SAME(policy.r) &&
           SAME(policy.w) && SAME(policy.mode) && SAME(policy.conflict) && SAME(policy.ttl_ms);
}

static bool same_apply(const kvi_wire_apply *a, const kvi_wire_apply *b)
{
    return SAME(id) && SAME(space) && SAME(token) && SAME(durability) && SAME(flags) &&
           SAME(hint_for) && SAME_ITEMS(items);
}

static bool same_scan(const kvi_wire_scan *a, const kvi_wire_scan *b)
{
    return SAME(id) && SAME(space) && SAME(token_from) && SAME(token_to) && SAME_BYTES(key_after) &&
           SAME(limit) && SAME(bytes);
}

bool kvt_message_same(const kvi_wire_message *a, const kvi_wire_message *b)
{
    if (a->kind != b->kind)
        return false;
    switch (a->kind) {
    case KVI_WIRE_JOIN:
        return SAME(u.join.node_id) && SAME(u.join.weight) && SAME_BYTES(u.join.zone) &&
               SAME_BYTES(u.join.address);
    case KVI_WIRE_JOIN_ANSWER:
        return SAME(u.join_answer.err) && SAME_BYTES(u.join_answer.detail) &&
               SAME_BYTES(u.join_answer.document);
    case KVI_WIRE_RING_ASK:
        return SAME(u.ring_ask.epoch_have);
    case KVI_WIRE_RING:
        return SAME_BYTES(u.ring.document);
    case KVI_WIRE_CHANGE:
        return same_change(&a->u.change, &b->u.change);
    case KVI_WIRE_CHANGE_ANSWER:
        return SAME(u.change_answer.id) && SAME(u.change_answer.err) &&
               SAME_BYTES(u.change_answer.detail) && SAME_BYTES(u.change_answer.document);
    case KVI_WIRE_GOSSIP:
        return SAME_BYTES(u.gossip.body);
    case KVI_WIRE_FORWARD:
        return same_forward(&a->u.forward, &b->u.forward);
    case KVI_WIRE_FORWARD_ANSWER:
        return same_forward_answer(&a->u.forward_answer, &b->u.forward_answer);
    case KVI_WIRE_APPLY:
        return same_apply(&a->u.apply, &b->u.apply);
    case KVI_WIRE_APPLY_ACK:
        return SAME(u.apply_ack.id) && SAME(u.apply_ack.err) && SAME(u.apply_ack.durability) &&
               SAME_BYTES(u.apply_ack.newer);
    case KVI_WIRE_READ:
        return SAME(u.read.id) && SAME(u.read.space) && SAME(u.read.token) && SAME(u.read.flags) &&
               SAME_BYTES(u.read.key);
    case KVI_WIRE_READ_ANSWER:
        return SAME(u.read_answer.id) && SAME(u.read_answer.err) && SAME(u.read_answer.holds) &&
               SAME(u.read_answer.digest) && SAME_BYTES(u.read_answer.object);
    case KVI_WIRE_SCAN:
        return same_scan(&a->u.scan, &b->u.scan);
    case KVI_WIRE_SCAN_ANSWER:
        return SAME(u.scan_answer.id) && SAME(u.scan_answer.err) && SAME(u.scan_answer.more) &&
               SAME_ITEMS(u.scan_answer.items);
    case KVI_WIRE_FRAGMENT:
        return SAME(u.fragment.id) && SAME(u.fragment.index) && SAME(u.fragment.count) &&
               SAME(u.fragment.total_len) && SAME_BYTES(u.fragment.bytes);
    case KVI_WIRE_FRAGMENT_ACK:
        return SAME(u.fragment_ack.id) && SAME(u.fragment_ack.index);
    }
    return false;
}

kvi_wire_header kvt_header(kvt_rng *rng)
{
    kvi_wire_header h = {
        {0}, kvt_rng_next(rng), kvt_rng_next(rng), kvt_rng_next(rng), kvt_rng_next(rng)};

    for (size_t i = 0; i < sizeof h.uuid; i++)
        h.uuid[i] = (uint8_t)kvt_rng_next(rng);
    return h;
}

void kvt_envelope_of(kvi_buf *b, const kvi_wire_message *m)
{
    kvi_wire_header h = {{1, 2, 3}, 4, 5, 6, 7};

    ok(kvi_wire_begin(b, &h));
    ok(kvi_wire_add(b, m));
    kvi_wire_finish(b);
}
