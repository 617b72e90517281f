/*
 * Gossip messages as bytes; see the header for the contract and gossip_format.h for the layout.
 */
#include "gossip/message.h"

#include "base/check.h"
#include "base/error.h"
#include "base/hash.h"

_Static_assert(KVI_GOSSIP_HEADER_LEN + KVI_GOSSIP_RECORD_MAX + 3 * KVI_GOSSIP_COUNT_LEN +
                       KVI_GOSSIP_CHECK_LEN <=
                   KVI_GOSSIP_MESSAGE_MIN,
               "header and sender fit into the smallest message");

static int malformed(const char *why)
{
    return kvi_error_set(KV_ECORRUPT, "gossip message: %s", why);
}

/* The record at p; NULL where it is malformed. */
static const uint8_t *read_record(const uint8_t *p, const uint8_t *end, kvi_gossip_record *r)
{
    size_t len;

    if ((size_t)(end - p) < KVI_GOSSIP_RECORD_MIN)
        return NULL;
    r->node = kvi_get_u64(p);
    r->open_id = kvi_get_u64(p + 8);
    p = kvi_get_varint32(p + 16, end, &r->incarnation);
    if (!p || p == end || *p < KVI_GOSSIP_ALIVE || *p > KVI_GOSSIP_DEAD)
        return NULL;
    r->state = (enum kvi_gossip_state) * p++;
    r->by = 0;
    if (r->state == KVI_GOSSIP_SUSPECT) {
        if ((size_t)(end - p) < 8)
            return NULL;
        r->by = kvi_get_u64(p);
        p += 8;
    }
    if (p == end || *p > (size_t)(end - p) - 1)
        return NULL;
    len = *p++;
    r->address = kvi_slice_of(p, len);
    /* An address becomes a C string. Only what never was heard of may lack an incarnation. */
    if (r->node == 0 || (r->open_id == 0) != (r->incarnation == 0) ||
        (r->state == KVI_GOSSIP_ALIVE && r->open_id == 0) || (len > 0 && memchr(p, 0, len)))
        return NULL;
    return p + len;
}

static const uint8_t *read_beat(const uint8_t *p, const uint8_t *end, uint64_t *node,
                                uint64_t *beat)
{
    if ((size_t)(end - p) < KVI_GOSSIP_BEAT_MIN)
        return NULL;
    *node = kvi_get_u64(p);
    return kvi_get_varint64(p + 8, end, beat);
}

/* A section's count, of elements of at least size bytes, max at most; NULL where it cannot be. */
static const uint8_t *read_count(const uint8_t *p, const uint8_t *end, size_t size, size_t max,
                                 uint32_t *count)
{
    if ((size_t)(end - p) < KVI_GOSSIP_COUNT_LEN)
        return NULL;
    *count = kvi_get_u16(p);
    p += KVI_GOSSIP_COUNT_LEN;
    return *count <= max && *count <= (size_t)(end - p) / size ? p : NULL;
}

static int read_sections(const uint8_t *p, const uint8_t *end, kvi_gossip_message *m)
{
    kvi_gossip_record record;
    uint64_t node, beat;

    p = read_count(p, end, KVI_GOSSIP_SUM_LEN, KVI_GOSSIP_SUMS_MAX, &m->sum_count);
    if (!p || (m->sum_count & (m->sum_count - 1)) != 0)
        return malformed("its sums are out of range");
    m->sums = p;
    p += (size_t)m->sum_count * KVI_GOSSIP_SUM_LEN;
    p = read_count(p, end, KVI_GOSSIP_BEAT_MIN, KVI_GOSSIP_BEATS_MAX, &m->beat_count);
    m->beats = p;
    for (uint32_t i = 0; p && i < m->beat_count; i++)
        p = read_beat(p, end, &node, &beat);
    if (!p)
        return malformed("its heartbeats are out of range");
    p = read_count(p, end, KVI_GOSSIP_RECORD_MIN, UINT16_MAX, &m->record_count);
    m->records = p;
    for (uint32_t i = 0; p && i < m->record_count; i++)
        p = read_record(p, end, &record);
    if (!p)
        return malformed("its records are out of range");
    return p == end ? KV_OK : malformed("bytes are left over");
}

int kvi_gossip_decode(kvi_slice body, kvi_gossip_message *out)
{
    const uint8_t *start = kvi_slice_bytes(body), *p, *end;
    kvi_gossip_message m = {0};
    int r;

    if (body.len < KVI_GOSSIP_HEADER_LEN + KVI_GOSSIP_RECORD_MIN + KVI_GOSSIP_CHECK_LEN ||
        body.len > KVI_GOSSIP_MESSAGE_MAX)
        return malformed("its length is out of range");
    end = start + body.len - KVI_GOSSIP_CHECK_LEN;
    if (kvi_hash64(start, (size_t)(end - start), KVI_GOSSIP_CHECK_SEED) != kvi_get_u64(end))
        return malformed("its checksum is wrong");
    if (start[KVI_GOSSIP_AT_FORMAT] != KVI_GOSSIP_FORMAT || kvi_get_u16(start + KVI_GOSSIP_AT_ZERO))
        return malformed("its format is unknown");
    if (start[KVI_GOSSIP_AT_KIND] < KVI_GOSSIP_PING || start[KVI_GOSSIP_AT_KIND] > KVI_GOSSIP_TELL)
        return malformed("its kind is unknown");
    m.kind = (enum kvi_gossip_kind)start[KVI_GOSSIP_AT_KIND];
    m.seq = kvi_get_u32(start + KVI_GOSSIP_AT_SEQ);
    m.subject = kvi_get_u64(start + KVI_GOSSIP_AT_SUBJECT);
    m.heartbeat = kvi_get_u64(start + KVI_GOSSIP_AT_HEARTBEAT);
    m.end = end;
    p = read_record(start + KVI_GOSSIP_HEADER_LEN, end, &m.sender);
    if (!p || m.sender.state != KVI_GOSSIP_ALIVE || m.sender.address.len == 0)
        return malformed("its sender is out of range");
    r = read_sections(p, end, &m);
    if (r == KV_OK)
        *out = m;
    return r;
}

void kvi_gossip_next_record(const kvi_gossip_message *m, const uint8_t **at, kvi_gossip_record *out)
{
    *at = read_record(*at, m->end, out);
    KVI_ASSERT(*at != NULL);
}

void kvi_gossip_next_beat(const kvi_gossip_message *m, const uint8_t **at, uint64_t *node,
                          uint64_t *heartbeat)
{
    *at = read_beat(*at, m->end, node, heartbeat);
    KVI_ASSERT(*at != NULL);
}

static size_t room(const kvi_gossip_writer *w)
{
    return (size_t)(w->end - w->at);
}

/* Opens a section; the count is put right as elements are added. */
static void open_section(kvi_gossip_writer *w)
{
    KVI_ASSERT(room(w) >= KVI_GOSSIP_COUNT_LEN);
    w->count = w->at;
    kvi_put_u16(w->at, 0);
    w->at += KVI_GOSSIP_COUNT_LEN;
}

static void count_one(kvi_gossip_writer *w)
{
    kvi_put_u16(w->count, (uint16_t)(kvi_get_u16(w->count) + 1));
}

static size_t record_len(const kvi_gossip_record *r)
{
    return 8 + 8 + kvi_varint_len(r->incarnation) + 1 + (r->state == KVI_GOSSIP_SUSPECT ? 8u : 0u) +
           1 + r->address.len;
}

static uint8_t *put_record(uint8_t *p, const kvi_gossip_record *r)
{
    kvi_put_u64(p, r->node);
    kvi_put_u64(p + 8, r->open_id);
    p = kvi_put_varint(p + 16, r->incarnation);
    *p++ = (uint8_t)r->state;
    if (r->state == KVI_GOSSIP_SUSPECT) {
        kvi_put_u64(p, r->by);
        p += 8;
    }
    *p++ = (uint8_t)r->address.len;
    if (r->address.len > 0)
        memcpy(p, r->address.data, r->address.len);
    return p + r->address.len;
}

void kvi_gossip_write_begin(kvi_gossip_writer *w, uint8_t *buf, size_t cap,
                            const kvi_gossip_message *header)
{
    KVI_ASSERT(cap >= KVI_GOSSIP_MESSAGE_MIN && cap <= KVI_GOSSIP_MESSAGE_MAX);
    KVI_ASSERT(header->sender.address.len <= KVI_GOSSIP_ADDRESS_MAX);
    w->start = buf;
    w->end = buf + cap - KVI_GOSSIP_CHECK_LEN;
    w->count = NULL;
    buf[KVI_GOSSIP_AT_FORMAT] = KVI_GOSSIP_FORMAT;
    buf[KVI_GOSSIP_AT_KIND] = (uint8_t)header->kind;
    kvi_put_u16(buf + KVI_GOSSIP_AT_ZERO, 0);
    kvi_put_u32(buf + KVI_GOSSIP_AT_SEQ, header->seq);
    kvi_put_u64(buf + KVI_GOSSIP_AT_SUBJECT, header->subject);
    kvi_put_u64(buf + KVI_GOSSIP_AT_HEARTBEAT, header->heartbeat);
    w->at = put_record(buf + KVI_GOSSIP_HEADER_LEN, &header->sender);
}

void kvi_gossip_write_sums(kvi_gossip_writer *w, const uint32_t *sums, uint32_t count)
{
    KVI_ASSERT(count <= KVI_GOSSIP_SUMS_MAX && (count & (count - 1)) == 0);
    open_section(w);
    /* The two sections behind it need their counts in any case. */
    if (room(w) < (size_t)count * KVI_GOSSIP_SUM_LEN + (size_t)2 * KVI_GOSSIP_COUNT_LEN)
        return;
    kvi_put_u16(w->count, (uint16_t)count);
    for (uint32_t i = 0; i < count; i++, w->at += KVI_GOSSIP_SUM_LEN)
        kvi_put_u32(w->at, sums[i]);
}

void kvi_gossip_write_beats(kvi_gossip_writer *w)
{
    open_section(w);
}

bool kvi_gossip_write_beat(kvi_gossip_writer *w, uint64_t node, uint64_t heartbeat)
{
    if (room(w) < KVI_GOSSIP_BEAT_MAX + KVI_GOSSIP_COUNT_LEN ||
        kvi_get_u16(w->count) == KVI_GOSSIP_BEATS_MAX)
        return false;
    kvi_put_u64(w->at, node);
    w->at = kvi_put_varint(w->at + 8, heartbeat);
    count_one(w);
    return true;
}

void kvi_gossip_write_records(kvi_gossip_writer *w)
{
    open_section(w);
}

bool kvi_gossip_write_record(kvi_gossip_writer *w, const kvi_gossip_record *r)
{
    KVI_ASSERT(r->state != KVI_GOSSIP_UNKNOWN && r->address.len <= KVI_GOSSIP_ADDRESS_MAX);
    if (room(w) < record_len(r))
        return false;
    w->at = put_record(w->at, r);
    count_one(w);
    return true;
}

kvi_slice kvi_gossip_write_finish(kvi_gossip_writer *w)
{
    size_t len = (size_t)(w->at - w->start);

    KVI_ASSERT(w->count != NULL && w->at <= w->end);
    kvi_put_u64(w->at, kvi_hash64(w->start, len, KVI_GOSSIP_CHECK_SEED));
    return kvi_slice_of(w->start, len + KVI_GOSSIP_CHECK_LEN);
}
