/*
 * A document as bytes; see the headers for the contract.
 */
#include <string.h>

#include "base/bytes.h"
#include "base/check.h"
#include "base/hash.h"
#include "ring/ring_format.h"
#include "ring/ring_impl.h"

static size_t encoded_len(const kvi_ring *ring)
{
    size_t len = KVI_RING_HEAD_LEN + KVI_RING_CHECKSUM_LEN;

    len += (size_t)ring->head.voter_count * KVI_RING_VOTER_LEN;
    for (uint32_t i = 0; i < ring->member_count; i++)
        len +=
            KVI_RING_MEMBER_LEN + strlen(ring->members[i].zone) + strlen(ring->members[i].address);
    for (uint32_t i = 0; i < ring->space_count; i++)
        len += KVI_RING_SPACE_LEN + strlen(ring->spaces[i].name);
    return len + ring->partitions * kvi_ring_owner_len(ring->member_count);
}

static kvi_slice text_of(const char *text)
{
    return kvi_slice_of(text, strlen(text));
}

/* The bytes alone: their length stands before. */
static uint8_t *put_text(uint8_t *p, kvi_slice text)
{
    memcpy(p, text.data, text.len);
    return p + text.len;
}

static uint8_t *put_head(uint8_t *p, const kvi_ring *ring)
{
    const kvi_ring_head *h = &ring->head;

    kvi_put_u32(p + KVI_RING_AT_MAGIC, KVI_RING_MAGIC);
    kvi_put_u32(p + KVI_RING_AT_FORMAT, KVI_RING_FORMAT);
    memcpy(p + KVI_RING_AT_UUID, h->uuid, sizeof h->uuid);
    kvi_put_u64(p + KVI_RING_AT_EPOCH, h->epoch);
    kvi_put_u64(p + KVI_RING_AT_TOKEN_SEED, h->token_seed);
    kvi_put_u64(p + KVI_RING_AT_SECRET, h->secret[0]);
    kvi_put_u64(p + KVI_RING_AT_SECRET + 8, h->secret[1]);
    p[KVI_RING_AT_STAGE] = h->stage;
    p[KVI_RING_AT_BITS] = h->bits;
    p[KVI_RING_AT_VOTER_COUNT] = (uint8_t)h->voter_count;
    p[KVI_RING_AT_ZERO] = 0;
    kvi_put_u32(p + KVI_RING_AT_NEXT_SPACE, h->next_space_id);
    kvi_put_u32(p + KVI_RING_AT_MEMBER_COUNT, ring->member_count);
    kvi_put_u32(p + KVI_RING_AT_SPACE_COUNT, ring->space_count);
    return p + KVI_RING_HEAD_LEN;
}

static uint8_t *put_member(uint8_t *p, const kvi_ring_member *m)
{
    kvi_put_u64(p, m->node_id);
    kvi_put_u16(p + 8, m->weight);
    p[10] = (uint8_t)strlen(m->zone);
    p[11] = (uint8_t)strlen(m->address);
    return put_text(put_text(p + KVI_RING_MEMBER_LEN, text_of(m->zone)), text_of(m->address));
}

static uint8_t *put_space(uint8_t *p, const kvi_ring_space *s)
{
    kvi_put_u32(p, s->id);
    p[4] = s->policy.n;
    p[5] = s->policy.r;
    p[6] = s->policy.w;
    p[7] = s->policy.mode;
    p[8] = s->policy.conflict;
    p[9] = (uint8_t)strlen(s->name);
    kvi_put_u64(p + 10, s->policy.ttl_ms);
    return put_text(p + KVI_RING_SPACE_LEN, text_of(s->name));
}

static uint8_t *put_owners(uint8_t *p, const kvi_ring *ring)
{
    size_t len = kvi_ring_owner_len(ring->member_count);

    for (uint32_t i = 0; i < ring->partitions; i++, p += len) {
        if (len == 1)
            *p = (uint8_t)ring->owners[i];
        else
            kvi_put_u16(p, ring->owners[i]);
    }
    return p;
}

int kvi_ring_encode(const kvi_ring *ring, kvi_buf *out)
{
    size_t len = encoded_len(ring);
    uint8_t *start, *p;
    int err = kvi_buf_reserve(out, len);

    if (err)
        return err;
    start = out->data + out->len;
    p = put_head(start, ring);
    for (uint32_t i = 0; i < ring->head.voter_count; i++, p += KVI_RING_VOTER_LEN)
        kvi_put_u64(p, ring->head.voters[i]);
    for (uint32_t i = 0; i < ring->member_count; i++)
        p = put_member(p, &ring->members[i]);
    for (uint32_t i = 0; i < ring->space_count; i++)
        p = put_space(p, &ring->spaces[i]);
    p = put_owners(p, ring);
    kvi_put_u64(p, kvi_hash64(start, (size_t)(p - start), 0));
    KVI_ASSERT((size_t)(p - start) + KVI_RING_CHECKSUM_LEN == len);
    out->len += len;
    return KV_OK;
}
