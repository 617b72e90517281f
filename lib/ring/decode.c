/*
 * Bytes as a document; see the headers for the contract. Nothing of the input is believed: counts
 * are bounded by limits and by the bytes that are there before anything is allocated, and what
 * kvi_ring_encode would not have written is refused.
 */
#include <inttypes.h>
#include <string.h>

#include "base/bytes.h"
#include "base/error.h"
#include "base/hash.h"
#include "ring/ring_format.h"
#include "ring/ring_impl.h"

typedef struct reader {
    const uint8_t *p, *end; /* end: of what the checksum covers */
    kvi_ring_head head;
    uint32_t member_count, space_count;
    /* One allocation, the decoder's: the tables, and the texts with the 0 that ends each. */
    void *scratch;
    kvi_ring_member *members;
    kvi_ring_space *spaces;
    char *text;
} reader;

static int corrupt(const char *why)
{
    return kvi_error_set(KV_ECORRUPT, "a ring document: %s", why);
}

static bool has(const reader *r, size_t len)
{
    return (size_t)(r->end - r->p) >= len;
}

/* --- the frame ------------------------------------------------------------------------------- */

static int open_frame(reader *r, kvi_slice bytes)
{
    const uint8_t *p = kvi_slice_bytes(bytes);
    size_t len;

    if (bytes.len < KVI_RING_HEAD_LEN + KVI_RING_CHECKSUM_LEN)
        return corrupt("it is too short");
    len = bytes.len - KVI_RING_CHECKSUM_LEN;
    if (kvi_get_u32(p + KVI_RING_AT_MAGIC) != KVI_RING_MAGIC)
        return corrupt("it does not begin as one");
    if (kvi_hash64(p, len, 0) != kvi_get_u64(p + len))
        return corrupt("its checksum is wrong");
    if (kvi_get_u32(p + KVI_RING_AT_FORMAT) != KVI_RING_FORMAT)
        return kvi_error_set(KV_EFORMAT,
                             "a ring document of format %" PRIu32 ", which this library does not "
                             "know; use a newer one",
                             kvi_get_u32(p + KVI_RING_AT_FORMAT));
    r->p = p;
    r->end = p + len;
    return KV_OK;
}

static int get_head(reader *r)
{
    const uint8_t *p = r->p;
    kvi_ring_head *h = &r->head;

    memcpy(h->uuid, p + KVI_RING_AT_UUID, sizeof h->uuid);
    h->epoch = kvi_get_u64(p + KVI_RING_AT_EPOCH);
    h->token_seed = kvi_get_u64(p + KVI_RING_AT_TOKEN_SEED);
    h->secret[0] = kvi_get_u64(p + KVI_RING_AT_SECRET);
    h->secret[1] = kvi_get_u64(p + KVI_RING_AT_SECRET + 8);
    h->stage = p[KVI_RING_AT_STAGE];
    h->bits = p[KVI_RING_AT_BITS];
    h->voter_count = p[KVI_RING_AT_VOTER_COUNT];
    h->next_space_id = kvi_get_u32(p + KVI_RING_AT_NEXT_SPACE);
    r->member_count = kvi_get_u32(p + KVI_RING_AT_MEMBER_COUNT);
    r->space_count = kvi_get_u32(p + KVI_RING_AT_SPACE_COUNT);
    r->p += KVI_RING_HEAD_LEN;
    if (h->epoch < 1 || h->epoch > KVI_RING_EPOCH_MAX)
        return corrupt("its epoch is out of range");
    if (h->stage != KVI_RING_FORMING && h->stage != KVI_RING_SERVING)
        return corrupt("its stage is unknown");
    if (h->bits > KVI_RING_BITS_MAX)
        return corrupt("it has too many partitions");
    if (p[KVI_RING_AT_ZERO] != 0)
        return corrupt("a byte that is 0 in this format is not");
    if (h->next_space_id < KVI_RING_SPACE_NAMED)
        return corrupt("its next space has the number of a space");
    return KV_OK;
}

/* The counts: within the limits, and the bytes for the least they can mean are there. */
static int check_counts(const reader *r)
{
    const kvi_ring_head *h = &r->head;
    size_t least;

    if (h->voter_count < 1 || h->voter_count > KVI_RING_VOTERS_MAX)
        return corrupt("its count of voters is out of range");
    if (r->member_count < 1 || r->member_count > kvi_ring_capacity(h->bits))
        return corrupt("its count of members is out of range");
    if (r->space_count < 1 || r->space_count > KVI_RING_SPACES_MAX)
        return corrupt("its count of spaces is out of range");
    least = h->voter_count * (size_t)KVI_RING_VOTER_LEN +
            r->member_count * (size_t)KVI_RING_MEMBER_LEN +
            r->space_count * (size_t)KVI_RING_SPACE_LEN +
            ((size_t)1 << h->bits) * kvi_ring_owner_len(r->member_count);
    return has(r, least) ? KV_OK : corrupt("it is too short for what it counts");
}

static int new_scratch(reader *r, const kvi_mem *mem)
{
    size_t members = r->member_count * sizeof *r->members;
    size_t spaces = r->space_count * sizeof *r->spaces;
    size_t texts = (size_t)(r->end - r->p) + 2 * (size_t)r->member_count + r->space_count;
    char *block;

    members = (size_t)kvi_align_up(members, 16);
    spaces = (size_t)kvi_align_up(spaces, 16);
    block = kvi_mem_zalloc(mem, members + spaces + texts, 1);
    if (!block)
        return kvi_error_set(KV_ENOMEM, "no memory to read a ring document");
    r->scratch = block;
    r->members = (kvi_ring_member *)(void *)block;
    r->spaces = (kvi_ring_space *)(void *)(block + members);
    r->text = block + members + spaces;
    return KV_OK;
}

/* --- the tables ------------------------------------------------------------------------------ */

static int get_text(reader *r, size_t len, const char **text)
{
    if (!has(r, len))
        return corrupt("a text passes its end");
    if (len > 0 && memchr(r->p, 0, len))
        return corrupt("a text has a 0 byte");
    memcpy(r->text, r->p, len);
    *text = r->text;
    r->text += len + 1;
    r->p += len;
    return KV_OK;
}

static int get_voters(reader *r)
{
    for (uint32_t i = 0; i < r->head.voter_count; i++) {
        r->head.voters[i] = kvi_get_u64(r->p);
        r->p += KVI_RING_VOTER_LEN;
        if (i > 0 && r->head.voters[i] <= r->head.voters[i - 1])
            return corrupt("its voters are out of order");
    }
    return KV_OK;
}

static int get_member(reader *r, uint32_t i)
{
    kvi_ring_member *m = &r->members[i];
    size_t zone_len, address_len;
    const char *fault;
    int err;

    if (!has(r, KVI_RING_MEMBER_LEN))
        return corrupt("a member passes its end");
    m->node_id = kvi_get_u64(r->p);
    m->weight = kvi_get_u16(r->p + 8);
    zone_len = r->p[10];
    address_len = r->p[11];
    r->p += KVI_RING_MEMBER_LEN;
    err = get_text(r, zone_len, &m->zone);
    if (!err)
        err = get_text(r, address_len, &m->address);
    if (err)
        return err;
    fault = kvi_ring_member_fault(m);
    if (fault)
        return corrupt(fault);
    if (i > 0 && m->node_id <= m[-1].node_id)
        return corrupt("its members are out of order");
    return KV_OK;
}

static int check_space(const reader *r, uint32_t i)
{
    const kvi_ring_space *s = &r->spaces[i];
    const char *fault = kvi_ring_policy_fault(&s->policy);

    if (fault)
        return corrupt(fault);
    if ((i == 0) != (s->id == KVI_RING_SPACE_DEFAULT) || (i == 0) != (*s->name == '\0'))
        return corrupt("its first space is not the default one, or another is");
    if (i == 0)
        return KV_OK;
    if (s->id < KVI_RING_SPACE_NAMED || s->id >= r->head.next_space_id || s->id <= s[-1].id)
        return corrupt("its spaces' numbers are out of order or range");
    for (uint32_t k = 0; k < i; k++)
        if (strcmp(r->spaces[k].name, s->name) == 0)
            return corrupt("two spaces have one name");
    return KV_OK;
}

static int get_space(reader *r, uint32_t i)
{
    kvi_ring_space *s = &r->spaces[i];
    size_t name_len;
    int err;

    if (!has(r, KVI_RING_SPACE_LEN))
        return corrupt("a space passes its end");
    s->id = kvi_get_u32(r->p);
    s->policy.n = r->p[4];
    s->policy.r = r->p[5];
    s->policy.w = r->p[6];
    s->policy.mode = r->p[7];
    s->policy.conflict = r->p[8];
    name_len = r->p[9];
    s->policy.ttl_ms = kvi_get_u64(r->p + 10);
    r->p += KVI_RING_SPACE_LEN;
    err = get_text(r, name_len, &s->name);
    return err ? err : check_space(r, i);
}

/* Whether members own as their weight says; owns: a place for a flag for each member. */
static int check_owners(const kvi_ring *ring, bool *owns)
{
    for (uint32_t p = 0; p < ring->partitions; p++)
        owns[ring->owners[p]] = true;
    for (uint32_t i = 0; i < ring->member_count; i++)
        if (owns[i] != (ring->members[i].weight > 0))
            return corrupt("a member owns partitions without weight, or none with it");
    return KV_OK;
}

static int get_owners(reader *r, kvi_ring *ring)
{
    size_t len = kvi_ring_owner_len(ring->member_count);
    bool *owns;
    int err;

    if ((size_t)(r->end - r->p) != ring->partitions * len)
        return corrupt("its length is not what it counts");
    for (uint32_t p = 0; p < ring->partitions; p++, r->p += len) {
        ring->owners[p] = len == 1 ? *r->p : kvi_get_u16(r->p);
        if (ring->owners[p] >= ring->member_count)
            return corrupt("a partition's owner is no member");
    }
    owns = kvi_mem_zalloc(ring->mem, ring->member_count, sizeof *owns);
    if (!owns)
        return kvi_error_set(KV_ENOMEM, "no memory to read a ring document");
    err = check_owners(ring, owns);
    kvi_mem_free(ring->mem, owns);
    return err;
}

static int check_voters(const kvi_ring *ring)
{
    for (uint32_t i = 0; i < ring->head.voter_count; i++)
        if (!kvi_ring_member_of(ring, ring->head.voters[i]))
            return corrupt("a voter is no member");
    return KV_OK;
}

/* --- all of it ------------------------------------------------------------------------------- */

static int get_tables(reader *r)
{
    int err = get_voters(r);

    for (uint32_t i = 0; i < r->member_count && !err; i++)
        err = get_member(r, i);
    for (uint32_t i = 0; i < r->space_count && !err; i++)
        err = get_space(r, i);
    return err;
}

static int build(reader *r, const kvi_mem *mem, kvi_ring **out)
{
    kvi_ring_tables tables = {r->members, r->member_count, r->spaces, r->space_count};
    kvi_ring *ring;
    int err = kvi_ring_make(mem, &r->head, &tables, &ring);

    if (err)
        return err;
    err = get_owners(r, ring);
    if (!err)
        err = check_voters(ring);
    if (!err)
        err = kvi_ring_index(ring);
    if (err) {
        kvi_ring_free(ring);
        return err;
    }
    *out = ring;
    return KV_OK;
}

int kvi_ring_decode(const kvi_mem *mem, kvi_slice bytes, kvi_ring **out)
{
    reader r = {.scratch = NULL};
    int err = open_frame(&r, bytes);

    if (!err)
        err = get_head(&r);
    if (!err)
        err = check_counts(&r);
    if (!err)
        err = new_scratch(&r, mem);
    if (!err)
        err = get_tables(&r);
    if (!err)
        err = build(&r, mem, out);
    kvi_mem_free(mem, r.scratch);
    return err;
}
