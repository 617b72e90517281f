/*
 * One gossip whose effects are recorded, and a hand that writes messages of others to it. Header
 * only; every test has its own.
 */
#ifndef KVT_UNIT_GOSSIP_RECORDER_H
#define KVT_UNIT_GOSSIP_RECORDER_H

#include <criterion/criterion.h>

#include "gossip/gossip_impl.h"

#define SECOND UINT64_C(1000000000)
#define SENT   64u

typedef struct sent {
    uint64_t node;
    char address[32];
    uint8_t body[KVI_GOSSIP_MESSAGE_DEFAULT];
    kvi_gossip_message m;
} sent;

typedef struct recorder {
    kvi_mem mem;
    kvi_gossip *g;
    kvi_gossip_port port;
    sent sent[SENT];
    uint32_t sent_count;
    uint32_t persist; /* asked for last; 0: not */
    uint32_t changes;
    uint64_t changed_node;
    enum kvi_gossip_state changed_state;
    uint64_t now;
    uint64_t beat;
} recorder;

static inline void recorder_send(void *user, uint64_t node, const char *address, kvi_slice body)
{
    recorder *r = user;
    sent *s = &r->sent[r->sent_count];

    cr_assert(r->sent_count < SENT && body.len <= sizeof s->body);
    s->node = node;
    strncpy(s->address, address, sizeof s->address - 1);
    memcpy(s->body, body.data, body.len);
    cr_assert_eq(kvi_gossip_decode(kvi_slice_of(s->body, body.len), &s->m), KV_OK);
    r->sent_count++;
}

static inline void recorder_changed(void *user, uint64_t node, enum kvi_gossip_state state)
{
    recorder *r = user;

    r->changes++;
    r->changed_node = node;
    r->changed_state = state;
}

static inline void recorder_persist(void *user, uint32_t incarnation)
{
    ((recorder *)user)->persist = incarnation;
}

/* Node 1, open 11, incarnation 5, at "me". */
static inline void recorder_init(recorder *r)
{
    kvi_gossip_config config = {
        .node_id = 1, .open_id = 11, .incarnation = 5, .address = "me", .seed = 7};

    memset(r, 0, sizeof *r);
    kvi_mem_init(&r->mem, NULL);
    r->now = 100 * SECOND;
    r->port.user = r;
    r->port.send = recorder_send;
    r->port.changed = recorder_changed;
    r->port.persist = recorder_persist;
    cr_assert_eq(kvi_gossip_new(&r->g, &r->mem, &config, r->now), KV_OK);
}

static inline void recorder_deinit(recorder *r)
{
    kvi_gossip_free(r->g);
}

static inline kvi_gossip_record record(uint64_t node, uint32_t incarnation,
                                       enum kvi_gossip_state state)
{
    kvi_gossip_record r = {.node = node,
                           .open_id = node * 10 + 1,
                           .by = state == KVI_GOSSIP_SUSPECT ? 99 : 0,
                           .incarnation = incarnation,
                           .state = state,
                           .address = kvi_slice_of("there", 5)};

    return r;
}

/* A message of a node with some records. */
static inline void deliver(recorder *r, enum kvi_gossip_kind kind, uint64_t from, uint32_t seq,
                           uint64_t subject, const kvi_gossip_record *records, uint32_t count)
{
    uint8_t buf[KVI_GOSSIP_MESSAGE_DEFAULT];
    kvi_gossip_writer w;
    kvi_gossip_message header = {.kind = kind,
                                 .seq = seq,
                                 .subject = subject,
                                 .heartbeat = ++r->beat,
                                 .sender = record(from, 1, KVI_GOSSIP_ALIVE)};

    kvi_gossip_write_begin(&w, buf, sizeof buf, &header);
    kvi_gossip_write_sums(&w, NULL, 0);
    kvi_gossip_write_beats(&w);
    kvi_gossip_write_records(&w);
    for (uint32_t i = 0; i < count; i++)
        cr_assert(kvi_gossip_write_record(&w, &records[i]));
    cr_assert_eq(kvi_gossip_receive(r->g, r->now, from, kvi_gossip_write_finish(&w), &r->port),
                 KV_OK);
}

static inline void tell(recorder *r, uint64_t from, kvi_gossip_record what)
{
    deliver(r, KVI_GOSSIP_PING, from, 1, 1, &what, 1);
}

/* Ticks at each deadline until then. */
static inline void run_until(recorder *r, uint64_t until)
{
    while (kvi_gossip_deadline(r->g) <= until) {
        r->now = kvi_max_u64(r->now, kvi_gossip_deadline(r->g));
        r->sent_count = 0;
        kvi_gossip_tick(r->g, r->now, &r->port);
    }
    r->now = until;
}

static inline const sent *find_sent(const recorder *r, enum kvi_gossip_kind kind, uint64_t node)
{
    for (uint32_t i = 0; i < r->sent_count; i++) {
        if (r->sent[i].m.kind == kind && r->sent[i].node == node)
            return &r->sent[i];
    }
    return NULL;
}

#endif
