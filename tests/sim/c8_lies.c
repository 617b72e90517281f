/*
 * A hostile peer; see the header.
 */
#include "sim/c8_lies.h"

#include <stdio.h>
#include <string.h>

#include "base/check.h"
#include "sim/sim_cluster.h"
#include "wire/envelope.h"

#define STRANGER    "x0"
#define GARBAGE_MAX 2000u
#define CHANGES_MAX 4u

/* Where things stand in an envelope's header: wire_format.h. */
#define KIND_AT (KVI_WIRE_HEADER_LEN + 1u)

void c8_liar_tap(void *liar, unsigned from, unsigned to, kvi_slice message)
{
    c8_liar *l = liar;
    uint64_t slot = l->count < C8_HEARD_MAX ? l->count : kvt_rng_below(&l->rng, l->count + 1);
    int err;

    l->count++;
    if (slot >= C8_HEARD_MAX)
        return; /* each that was overheard is kept with the same chance */
    l->heard[slot].from = from;
    l->heard[slot].to = to;
    err = kvi_buf_set(&l->heard[slot].bytes, message.data, message.len);
    KVI_ASSERT(err == KV_OK);
}

static void take(c8_liar *l, const c8_heard *h)
{
    int err = kvi_buf_set(&l->out, h->bytes.data, h->bytes.len);

    KVI_ASSERT(err == KV_OK);
}

/* Changes some bytes from this place on. */
static void change(c8_liar *l, size_t from)
{
    unsigned changes = 1 + (unsigned)kvt_rng_below(&l->rng, CHANGES_MAX);

    if (l->out.len <= from)
        return;
    while (changes-- > 0) {
        size_t at = from + kvt_rng_below(&l->rng, l->out.len - from);

        l->out.data[at] ^= (uint8_t)(1 + kvt_rng_below(&l->rng, 255));
    }
}

static void garbage(c8_liar *l)
{
    uint8_t bytes[GARBAGE_MAX];
    size_t len = 1 + kvt_rng_below(&l->rng, GARBAGE_MAX);
    int err;

    for (size_t i = 0; i < len; i++)
        bytes[i] = (uint8_t)kvt_rng_next(&l->rng);
    err = kvi_buf_set(&l->out, bytes, len);
    KVI_ASSERT(err == KV_OK);
}

/* The header anew, before the same messages. */
static void with_header(c8_liar *l, const c8_heard *h, bool other_uuid, bool old_epoch)
{
    kvi_wire_header header;
    kvi_wire_reader reader;
    kvi_wire_message m;
    int err = kvi_wire_open(kvi_buf_slice(&h->bytes), &header, &reader);

    KVI_ASSERT(err == KV_OK);
    if (other_uuid)
        header.uuid[kvt_rng_below(&l->rng, KVI_WIRE_UUID_LEN)] ^= 0x55;
    if (old_epoch)
        header.epoch = kvt_rng_below(&l->rng, header.epoch + 1);
    err = kvi_wire_begin(&l->out, &header);
    while (!err && kvi_wire_next(&reader, &m) == KV_OK)
        err = kvi_wire_add(&l->out, &m);
    KVI_ASSERT(err == KV_OK);
    kvi_wire_finish(&l->out);
}

static void join(c8_liar *l, const c8_heard *h)
{
    kvi_wire_header header;
    kvi_wire_reader reader;
    kvi_wire_message m = {.kind = KVI_WIRE_JOIN};
    int err = kvi_wire_open(kvi_buf_slice(&h->bytes), &header, &reader);

    KVI_ASSERT(err == KV_OK);
    if (c1_chance(&l->rng, 70))
        memset(header.uuid, 0, sizeof header.uuid);
    header.to_open = 0;
    if (c1_chance(&l->rng, 70))
        header.from_node = kvt_rng_next(&l->rng);
    m.u.join.node_id = c1_chance(&l->rng, 70) ? header.from_node : kvt_rng_next(&l->rng);
    m.u.join.weight = (uint16_t)kvt_rng_below(&l->rng, 1000);
    m.u.join.address = kvi_slice_of(STRANGER, strlen(STRANGER));
    err = kvi_wire_begin(&l->out, &header);
    if (!err)
        err = kvi_wire_add(&l->out, &m);
    KVI_ASSERT(err == KV_OK);
    kvi_wire_finish(&l->out);
}

static void cut(c8_liar *l)
{
    size_t len = 1 + kvt_rng_below(&l->rng, l->out.len + 20);
    int err = kvi_buf_reserve(&l->out, 20);

    KVI_ASSERT(err == KV_OK);
    if (len > l->out.len)
        memset(l->out.data + l->out.len, 0, len - l->out.len);
    l->out.len = len;
    if (len >= KVI_WIRE_HEADER_LEN && c1_chance(&l->rng, 70))
        kvi_wire_finish(&l->out);
}

void c8_liar_tell(c8_liar *l)
{
    enum c8_lie lie = (enum c8_lie)kvt_rng_below(&l->rng, C8_LIES);
    uint64_t kept = l->count < C8_HEARD_MAX ? l->count : C8_HEARD_MAX;
    const c8_heard *h = &l->heard[kvt_rng_below(&l->rng, kept)];
    unsigned to = (unsigned)kvt_rng_below(&l->rng, l->cluster->plan->machines);
    char from[16] = STRANGER;
    int err;

    take(l, h);
    switch (lie) {
    case C8_GARBAGE:
        garbage(l);
        break;
    case C8_CHANGED:
        change(l, c1_chance(&l->rng, 50) ? KIND_AT : 0);
        kvi_wire_finish(&l->out);
        break;
    case C8_OTHER_UUID:
    case C8_OLD_EPOCH:
        with_header(l, h, lie == C8_OTHER_UUID, lie == C8_OLD_EPOCH);
        break;
    case C8_REPLAY:
        to = h->to;
        break;
    case C8_DAMAGED:
        change(l, 0);
        to = h->to;
        break;
    case C8_JOIN:
        join(l, h);
        break;
    case C8_CUT:
        cut(l);
        break;
    case C8_IMPOSTOR:
    case C8_LIES:
    default:
        break;
    }
    if (lie == C8_OTHER_UUID || lie == C8_REPLAY || lie == C8_DAMAGED)
        (void)snprintf(from, sizeof from, "m%u", h->from);
    err = kvi_sim_net_inject(&l->cluster->sim->net, from, to, l->out.data, l->out.len);
    KVI_ASSERT(err == KV_OK);
    l->told[lie]++;
}

void c8_liar_init(c8_liar *l, c1_cluster *c, uint64_t seed)
{
    memset(l, 0, sizeof *l);
    l->cluster = c;
    kvt_rng_init(&l->rng, seed ^ 0xc8);
    kvi_buf_init(&l->out, &c->mem);
    for (unsigned i = 0; i < C8_HEARD_MAX; i++)
        kvi_buf_init(&l->heard[i].bytes, &c->mem);
}

void c8_liar_deinit(c8_liar *l)
{
    kvi_buf_deinit(&l->out);
    for (unsigned i = 0; i < C8_HEARD_MAX; i++)
        kvi_buf_deinit(&l->heard[i].bytes);
}
