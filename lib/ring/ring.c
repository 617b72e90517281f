/*
 * What a document says, and the block of memory that it is; see the header for the contract.
 */
#include "ring/ring.h"

#include <string.h>

#include "base/check.h"
#include "base/error.h"
#include "ring/ring_impl.h"

#define BLOCK_ALIGN 16u

/* --- making and ending ----------------------------------------------------------------------- */

/* Where the parts of the block lie, from its beginning. */
typedef struct layout {
    size_t members, spaces, zone_of, owners, strings, total;
} layout;

static size_t place(layout *l, size_t count, size_t size)
{
    size_t at = l->total;

    l->total = (size_t)kvi_align_up(at + count * size, BLOCK_ALIGN);
    return at;
}

/* All counts are bounded, so nothing overflows 32 bits. */
static layout lay_out(const kvi_ring_head *head, const kvi_ring_tables *t)
{
    layout l = {0, 0, 0, 0, 0, 0};
    size_t bytes = 0;

    for (uint32_t i = 0; i < t->member_count; i++)
        bytes += strlen(t->members[i].zone) + strlen(t->members[i].address) + 2;
    for (uint32_t i = 0; i < t->space_count; i++)
        bytes += strlen(t->spaces[i].name) + 1;
    (void)place(&l, 1, sizeof(kvi_ring));
    l.members = place(&l, t->member_count, sizeof(kvi_ring_member));
    l.spaces = place(&l, t->space_count, sizeof(kvi_ring_space));
    l.zone_of = place(&l, t->member_count, sizeof(uint16_t));
    l.owners = place(&l, (size_t)1 << head->bits, sizeof(uint16_t));
    l.strings = place(&l, bytes, 1);
    return l;
}

static const char *keep(char **strings, const char *text)
{
    size_t size = strlen(text) + 1;
    char *kept = *strings;

    memcpy(kept, text, size);
    *strings += size;
    return kept;
}

/* Zones are few beside members: those met so far are asked one after the other. */
static void number_zones(kvi_ring *ring)
{
    for (uint32_t i = 0; i < ring->member_count; i++) {
        uint32_t seen = 0;

        if (ring->members[i].weight == 0)
            continue;
        ring->weighted++;
        while (seen < i && (ring->members[seen].weight == 0 || ring->zone_of[seen] != seen ||
                            strcmp(ring->members[seen].zone, ring->members[i].zone) != 0))
            seen++;
        ring->zone_of[i] = (uint16_t)seen;
        ring->zone_count += seen == i;
    }
}

int kvi_ring_make(const kvi_mem *mem, const kvi_ring_head *head, const kvi_ring_tables *tables,
                  kvi_ring **out)
{
    layout l = lay_out(head, tables);
    char *block = kvi_mem_zalloc(mem, l.total, 1);
    kvi_ring *ring = (kvi_ring *)(void *)block;
    char *strings;

    if (!block)
        return kvi_error_set(KV_ENOMEM, "no memory for a ring document of %zu bytes", l.total);
    strings = block + l.strings;
    ring->mem = mem;
    ring->head = *head;
    ring->partitions = UINT32_C(1) << head->bits;
    ring->members = (kvi_ring_member *)(void *)(block + l.members);
    ring->spaces = (kvi_ring_space *)(void *)(block + l.spaces);
    ring->zone_of = (uint16_t *)(void *)(block + l.zone_of);
    ring->owners = (uint16_t *)(void *)(block + l.owners);
    ring->member_count = tables->member_count;
    ring->space_count = tables->space_count;
    for (uint32_t i = 0; i < ring->member_count; i++) {
        ring->members[i] = tables->members[i];
        ring->members[i].zone = keep(&strings, tables->members[i].zone);
        ring->members[i].address = keep(&strings, tables->members[i].address);
    }
    for (uint32_t i = 0; i < ring->space_count; i++) {
        ring->spaces[i] = tables->spaces[i];
        ring->spaces[i].name = keep(&strings, tables->spaces[i].name);
    }
    for (uint32_t p = 0; p < ring->partitions; p++)
        ring->owners[p] = KVI_RING_NOBODY;
    number_zones(ring);
    *out = ring;
    return KV_OK;
}

void kvi_ring_free(kvi_ring *ring)
{
    if (!ring)
        return;
    kvi_mem_free(ring->mem, ring->near_list);
    kvi_mem_free(ring->mem, ring->zoned_list);
    kvi_mem_free(ring->mem, ring);
}

/* --- what is in order ------------------------------------------------------------------------ */

const char *kvi_ring_member_fault(const kvi_ring_member *member)
{
    if (member->node_id == 0)
        return "node_id is 0";
    if (!member->zone || strnlen(member->zone, KVI_RING_ZONE_MAX + 1) > KVI_RING_ZONE_MAX)
        return "zone is missing or over 63 bytes";
    if (!member->address ||
        strnlen(member->address, KVI_RING_ADDRESS_MAX + 1) > KVI_RING_ADDRESS_MAX)
        return "address is missing or over 255 bytes";
    return NULL;
}

static bool is_quorum(uint8_t count, uint8_t n)
{
    return (count >= 1 && count <= n) || count == KV_QUORUM || count == KV_ALL;
}

const char *kvi_ring_policy_fault(const kvi_ring_policy *policy)
{
    if (policy->n < 1 || policy->n > KVI_RING_N_MAX)
        return "n is not 1 to 8";
    if (!is_quorum(policy->r, policy->n))
        return "r is neither 1 to n nor KV_QUORUM nor KV_ALL";
    if (!is_quorum(policy->w, policy->n))
        return "w is neither 1 to n nor KV_QUORUM nor KV_ALL";
    if (policy->mode > KVI_RING_CHOICE_MAX || policy->conflict > KVI_RING_CHOICE_MAX)
        return "mode or conflict is over 15";
    return NULL;
}

/* --- what it says ---------------------------------------------------------------------------- */

const uint8_t *kvi_ring_uuid(const kvi_ring *ring)
{
    return ring->head.uuid;
}

uint64_t kvi_ring_epoch(const kvi_ring *ring)
{
    return ring->head.epoch;
}

unsigned kvi_ring_stage(const kvi_ring *ring)
{
    return ring->head.stage;
}

uint64_t kvi_ring_token_seed(const kvi_ring *ring)
{
    return ring->head.token_seed;
}

const uint64_t *kvi_ring_secret(const kvi_ring *ring)
{
    return ring->head.secret;
}

unsigned kvi_ring_bits(const kvi_ring *ring)
{
    return ring->head.bits;
}

uint32_t kvi_ring_next_space_id(const kvi_ring *ring)
{
    return ring->head.next_space_id;
}

const kvi_ring_member *kvi_ring_members(const kvi_ring *ring, uint32_t *count)
{
    *count = ring->member_count;
    return ring->members;
}

uint32_t kvi_ring_find(const kvi_ring *ring, uint64_t node_id, bool *found)
{
    uint32_t low = 0, high = ring->member_count;

    while (low < high) {
        uint32_t middle = low + (high - low) / 2;

        if (ring->members[middle].node_id < node_id)
            low = middle + 1;
        else
            high = middle;
    }
    *found = low < ring->member_count && ring->members[low].node_id == node_id;
    return low;
}

const kvi_ring_member *kvi_ring_member_of(const kvi_ring *ring, uint64_t node_id)
{
    bool found;
    uint32_t i = kvi_ring_find(ring, node_id, &found);

    return found ? &ring->members[i] : NULL;
}

uint32_t kvi_ring_weighted(const kvi_ring *ring)
{
    return ring->weighted;
}

const uint64_t *kvi_ring_voters(const kvi_ring *ring, uint32_t *count)
{
    *count = ring->head.voter_count;
    return ring->head.voters;
}

const kvi_ring_space *kvi_ring_spaces(const kvi_ring *ring, uint32_t *count)
{
    *count = ring->space_count;
    return ring->spaces;
}

const kvi_ring_space *kvi_ring_space_of(const kvi_ring *ring, uint32_t id)
{
    uint32_t low = 0, high = ring->space_count;

    while (low < high) {
        uint32_t middle = low + (high - low) / 2;

        if (ring->spaces[middle].id < id)
            low = middle + 1;
        else
            high = middle;
    }
    return low < ring->space_count && ring->spaces[low].id == id ? &ring->spaces[low] : NULL;
}

const kvi_ring_space *kvi_ring_space_named(const kvi_ring *ring, const char *name)
{
    for (uint32_t i = 0; i < ring->space_count; i++)
        if (strcmp(ring->spaces[i].name, name) == 0)
            return &ring->spaces[i];
    return NULL;
}

uint64_t kvi_ring_owner(const kvi_ring *ring, uint32_t partition)
{
    KVI_ASSERT(partition < ring->partitions);
    return ring->members[ring->owners[partition]].node_id;
}
