/*
 * Fuzzes gossip: the reading of messages, and one node that takes them, among ticks and suspicions.
 *
 *   input = events: what u8, and with it
 *     0    a message: length u16 little-endian, its bytes but for the checksum, which is added
 *     1    so many ticks, each when it is due: number u8
 *     2    a connection that was refused: node u8
 *     3    an envelope that arrived: node u8, open-id u8
 *   and, as it stands, a whole message
 *
 * No crash, no read outside. What is taken says the same thing when it is written again, and has
 * then one form. What the node sends can be read, is its own, and is not more than a period allows;
 * it tells its owner of every change as it is, and keeps to the limit of members.
 */
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "base/error.h"
#include "base/hash.h"
#include "gossip/gossip_impl.h"

#define SELF       1u
#define OPEN_ID    11u
#define EVENTS_MAX 64u
#define TICKS_MAX  32u

/* A message of this many bytes has room to grow by what a varint may be written longer than it has
 * to be, so that none of it is cut off when it is written again. */
#define SAME_MAX (KVI_GOSSIP_MESSAGE_MAX / 2)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* --- Messages --------------------------------------------------------------------------------- */

static kvi_slice write_again(const kvi_gossip_message *m, uint8_t *buf, size_t cap)
{
    uint32_t sums[KVI_GOSSIP_SUMS_MAX];
    const uint8_t *at;
    kvi_gossip_writer w;

    kvi_gossip_write_begin(&w, buf, cap, m);
    for (uint32_t i = 0; i < m->sum_count; i++)
        sums[i] = kvi_gossip_sum(m, i);
    kvi_gossip_write_sums(&w, sums, m->sum_count);
    kvi_gossip_write_beats(&w);
    at = m->beats;
    for (uint32_t i = 0; i < m->beat_count; i++) {
        uint64_t node, beat;

        kvi_gossip_next_beat(m, &at, &node, &beat);
        KVI_ASSERT(kvi_gossip_write_beat(&w, node, beat));
    }
    kvi_gossip_write_records(&w);
    at = m->records;
    for (uint32_t i = 0; i < m->record_count; i++) {
        kvi_gossip_record record;

        kvi_gossip_next_record(m, &at, &record);
        KVI_ASSERT(record.node != 0 && record.address.len <= KVI_GOSSIP_ADDRESS_MAX);
        KVI_ASSERT(kvi_gossip_write_record(&w, &record));
    }
    KVI_ASSERT(at == m->end);
    return kvi_gossip_write_finish(&w);
}

static void same_again(const kvi_gossip_message *m, size_t len)
{
    static uint8_t once[KVI_GOSSIP_MESSAGE_MAX], twice[KVI_GOSSIP_MESSAGE_MAX];
    kvi_slice first, second;
    kvi_gossip_message back;

    first = write_again(m, once, sizeof once);
    KVI_ASSERT(first.len <= len);
    KVI_ASSERT(kvi_gossip_decode(first, &back) == KV_OK);
    KVI_ASSERT(back.kind == m->kind && back.seq == m->seq && back.subject == m->subject);
    KVI_ASSERT(back.heartbeat == m->heartbeat && back.sender.node == m->sender.node);
    KVI_ASSERT(back.sum_count == m->sum_count && back.beat_count == m->beat_count);
    KVI_ASSERT(back.record_count == m->record_count);
    second = write_again(&back, twice, sizeof twice);
    KVI_ASSERT(kvi_slice_eq(first, second));
}

static bool read_message(kvi_slice body, kvi_gossip_message *m)
{
    int err = kvi_gossip_decode(body, m);

    KVI_ASSERT(err == KV_OK || err == KV_ECORRUPT);
    if (!err && body.len <= SAME_MAX)
        same_again(m, body.len);
    return !err;
}

/* --- The node --------------------------------------------------------------------------------- */

typedef struct recorder {
    kvi_gossip *g;
    kvi_gossip_port port;
    uint64_t now;
    uint32_t period, sent; /* in that period */
    uint32_t persist;      /* asked for, not yet told; 0: none */
} recorder;

static void on_send(void *user, uint64_t node, const char *address, kvi_slice body)
{
    recorder *r = user;
    kvi_gossip_message m;

    (void)node;
    KVI_ASSERT(strlen(address) > 0 && strlen(address) <= KVI_GOSSIP_ADDRESS_MAX);
    KVI_ASSERT(body.len <= KVI_GOSSIP_MESSAGE_DEFAULT && read_message(body, &m));
    KVI_ASSERT(m.sender.node == SELF && m.sender.open_id == OPEN_ID);
    if (r->period != r->g->period)
        r->sent = 0;
    r->period = r->g->period;
    KVI_ASSERT(++r->sent <= KVI_GOSSIP_PERIOD_MESSAGES);
}

static void on_changed(void *user, uint64_t node, enum kvi_gossip_state state)
{
    const recorder *r = user;

    KVI_ASSERT(node != SELF && kvi_gossip_state(r->g, node) == state);
}

static void on_persist(void *user, uint32_t incarnation)
{
    recorder *r = user;

    KVI_ASSERT(incarnation > kvi_gossip_incarnation(r->g));
    r->persist = incarnation;
}

static void tick(recorder *r, unsigned times)
{
    for (unsigned i = 0; i < times; i++) {
        r->now = kvi_max_u64(r->now, kvi_gossip_deadline(r->g));
        kvi_gossip_tick(r->g, r->now, &r->port);
    }
}

/* Data without a byte to spare, and its checksum behind it. */
static void receive(recorder *r, const uint8_t *data, size_t len)
{
    uint8_t *message = malloc(len + KVI_GOSSIP_CHECK_LEN);
    kvi_gossip_message m = {0};
    kvi_slice body;
    bool whole;

    if (!message)
        return;
    if (len > 0)
        memcpy(message, data, len);
    body = kvi_slice_of(message, len + KVI_GOSSIP_CHECK_LEN);
    kvi_put_u64(message + len, kvi_hash64(message, len, KVI_GOSSIP_CHECK_SEED));
    whole = read_message(body, &m);
    KVI_ASSERT(kvi_gossip_receive(r->g, r->now, m.sender.node + 1, body, &r->port) == KV_ECORRUPT);
    KVI_ASSERT(kvi_gossip_receive(r->g, r->now, m.sender.node, body, &r->port) ==
               (whole ? KV_OK : KV_ECORRUPT));
    free(message);
}

static void check_members(const kvi_gossip *g)
{
    kvi_gossip_member m, found;
    uint64_t before = 0;

    KVI_ASSERT(kvi_gossip_state(g, SELF) == KVI_GOSSIP_ALIVE && !kvi_gossip_find(g, SELF, &m));
    KVI_ASSERT(kvi_gossip_count(g) <= KVI_GOSSIP_MEMBERS_MAX);
    KVI_ASSERT(kvi_gossip_health(g) <= KVI_GOSSIP_HEALTH_MAX);
    for (uint32_t i = 0; i < kvi_gossip_count(g); i++) {
        kvi_gossip_at(g, i, &m);
        KVI_ASSERT(m.node > before);
        KVI_ASSERT(kvi_gossip_find(g, m.node, &found) && found.state == m.state);
        before = m.node;
    }
}

/* One event from the front of data; how many bytes it took, 0: there is no whole one. */
static size_t event(recorder *r, const uint8_t *data, size_t size)
{
    size_t len;

    if (size < 3)
        return 0;
    switch (data[0] % 4) {
    case 0:
        len = kvi_min_size(kvi_get_u16(data + 1), size - 3);
        receive(r, data + 3, len);
        return 3 + len;
    case 1:
        tick(r, data[1] % TICKS_MAX);
        return 2;
    case 2:
        kvi_gossip_suspect(r->g, r->now, data[1], &r->port);
        return 2;
    default:
        kvi_gossip_heard(r->g, r->now, data[1], data[2], &r->port);
        return 3;
    }
}

static void run(recorder *r, const uint8_t *data, size_t size)
{
    size_t at = 0, len = 1;

    for (unsigned i = 0; i < EVENTS_MAX && len > 0; i++) {
        len = event(r, data + at, size - at);
        at += len;
        if (r->persist != 0) {
            kvi_gossip_persisted(r->g, r->persist);
            KVI_ASSERT(kvi_gossip_incarnation(r->g) == r->persist);
            r->persist = 0;
        }
        check_members(r->g);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const kvi_gossip_peer peers[] = {{SELF, "me"}, {2, "two"}, {3, "three"}};
    kvi_gossip_config config = {
        .node_id = SELF, .open_id = OPEN_ID, .incarnation = 5, .address = "me", .seed = 7};
    recorder r = {.now = KVI_GOSSIP_PERIOD_NS};
    kvi_gossip_message m;
    kvi_mem mem;

    (void)read_message(kvi_slice_of(data, size), &m);
    kvi_mem_init(&mem, NULL);
    r.port = (kvi_gossip_port){&r, on_send, on_changed, on_persist};
    if (kvi_gossip_new(&r.g, &mem, &config, r.now) != KV_OK)
        return 0;
    if (kvi_gossip_set_members(r.g, peers, 3, &r.port) == KV_OK)
        run(&r, data, size);
    kvi_gossip_free(r.g);
    return 0;
}
