/*
 * The changes of a document: each copies what stays, alters one thing, and moves partitions by the
 * rule of ownership where members changed. See the header for the contract.
 */
#include <inttypes.h>
#include <string.h>

#include "base/check.h"
#include "base/error.h"
#include "ring/ring_impl.h"

/* --- building blocks ------------------------------------------------------------------------- */

static kvi_ring_tables tables_of(const kvi_ring *ring)
{
    kvi_ring_tables t = {ring->members, ring->member_count, ring->spaces, ring->space_count};

    return t;
}

static kvi_ring_head next_head(const kvi_ring *ring)
{
    kvi_ring_head head = ring->head;

    head.epoch++;
    return head;
}

/* The last step of a change: the index. Takes over ring, also on failure. */
static int finish(kvi_ring *ring, int err, kvi_ring **out)
{
    if (!err)
        err = kvi_ring_index(ring);
    if (err) {
        kvi_ring_free(ring);
        return err;
    }
    *out = ring;
    return KV_OK;
}

/* A change that moves no partition. */
static int change_head(const kvi_ring *ring, const kvi_ring_head *head,
                       const kvi_ring_tables *tables, kvi_ring **out)
{
    kvi_ring *made;
    int err = kvi_ring_make(ring->mem, head, tables, &made);

    if (err)
        return err;
    memcpy(made->owners, ring->owners, ring->partitions * sizeof *made->owners);
    return finish(made, KV_OK, out);
}

static bool is_voter(const kvi_ring *ring, uint64_t node_id)
{
    for (uint32_t i = 0; i < ring->head.voter_count; i++)
        if (ring->head.voters[i] == node_id)
            return true;
    return false;
}

static int check_member(const kvi_ring_member *member)
{
    const char *fault = kvi_ring_member_fault(member);

    return fault ? kvi_error_set(KV_EINVAL, "the member of a ring: %s", fault) : KV_OK;
}

static int check_policy(const kvi_ring_policy *policy)
{
    const char *fault = kvi_ring_policy_fault(policy);

    return fault ? kvi_error_set(KV_EINVAL, "the policy of a space: %s", fault) : KV_OK;
}

/* --- create ---------------------------------------------------------------------------------- */

int kvi_ring_create(const kvi_mem *mem, const kvi_ring_params *params, kvi_ring **out)
{
    kvi_ring_space space = {KVI_RING_SPACE_DEFAULT, "", params->policy};
    kvi_ring_tables tables = {&params->first, 1, &space, 1};
    kvi_ring_head head = {.epoch = 1,
                          .token_seed = params->token_seed,
                          .secret = {params->secret[0], params->secret[1]},
                          .stage = KVI_RING_FORMING,
                          .bits = params->bits,
                          .next_space_id = KVI_RING_SPACE_NAMED,
                          .voter_count = 1,
                          .voters = {params->first.node_id}};
    kvi_ring *made;
    int err = check_member(&params->first);

    if (!err)
        err = check_policy(&params->policy);
    if (!err && params->bits > KVI_RING_BITS_MAX)
        err = kvi_error_set(KV_EINVAL, "bits is %u: a ring has at most 2^%u partitions",
                            params->bits, KVI_RING_BITS_MAX);
    if (!err && params->first.weight == 0)
        err = kvi_error_set(KV_EINVAL, "weight is 0: the first member of a ring owns all of it");
    if (err)
        return err;
    memcpy(head.uuid, params->uuid, sizeof head.uuid);
    err = kvi_ring_make(mem, &head, &tables, &made);
    if (err)
        return err;
    memset(made->owners, 0, made->partitions * sizeof *made->owners);
    return finish(made, KV_OK, out);
}

/* --- members --------------------------------------------------------------------------------- */

static bool same_member(const kvi_ring_member *a, const kvi_ring_member *b)
{
    return a->weight == b->weight && strcmp(a->zone, b->zone) == 0 &&
           strcmp(a->address, b->address) == 0;
}

/* A document of the next epoch with the member at `at` taken out (drop), one put in there (put not
   NULL), or both, and the same owners as far as they stay. */
static int remake(const kvi_ring *ring, uint32_t at, bool drop, const kvi_ring_member *put,
                  kvi_ring **out)
{
    kvi_ring_tables tables = tables_of(ring);
    kvi_ring_head head = next_head(ring);
    uint32_t behind = at + drop;           /* the first in ring that comes after */
    uint32_t ahead = at + (put ? 1u : 0u); /* where it comes */
    kvi_ring_member *members;
    kvi_ring *made;
    int err;

    members = kvi_mem_zalloc(ring->mem, (size_t)ring->member_count + 1, sizeof *members);
    if (!members)
        return kvi_error_set(KV_ENOMEM, "no memory for the members of a ring");
    memcpy(members, ring->members, at * sizeof *members);
    if (put)
        members[at] = *put;
    memcpy(members + ahead, ring->members + behind,
           (ring->member_count - behind) * sizeof *members);
    tables.members = members;
    tables.member_count = ahead + ring->member_count - behind;
    err = kvi_ring_make(ring->mem, &head, &tables, &made);
    kvi_mem_free(ring->mem, members);
    if (err)
        return err;
    for (uint32_t p = 0; p < ring->partitions; p++) {
        uint32_t owner = ring->owners[p];

        if (owner >= behind)
            owner = owner - behind + ahead;
        else if (owner >= at && !put)
            owner = KVI_RING_NOBODY;
        made->owners[p] = (uint16_t)owner;
    }
    *out = made;
    return KV_OK;
}

int kvi_ring_join(const kvi_ring *ring, const kvi_ring_member *member, kvi_ring **out)
{
    bool found;
    uint32_t at = kvi_ring_find(ring, member->node_id, &found);
    uint32_t capacity = kvi_ring_capacity(ring->head.bits);
    kvi_ring *made;
    int err = check_member(member);

    if (err)
        return err;
    if (found && same_member(&ring->members[at], member)) {
        *out = NULL;
        return KV_OK;
    }
    if (found)
        return kvi_error_set(KV_EEXIST,
                             "node %016" PRIx64 " is a member already, at %s, with weight %u in "
                             "zone \"%s\"",
                             member->node_id, ring->members[at].address, ring->members[at].weight,
                             ring->members[at].zone);
    if (ring->member_count >= capacity)
        return kvi_error_set(KV_ETOOBIG,
                             "the ring was created with %" PRIu32 " partitions, which is room for "
                             "%" PRIu32 " members",
                             ring->partitions, capacity);
    err = remake(ring, at, false, member, &made);
    return err ? err : finish(made, kvi_ring_assign_take(made, at), out);
}

/* The one member that has weight cannot be without. */
static int check_last(const kvi_ring *ring, const kvi_ring_member *member)
{
    if (member->weight == 0 || ring->weighted > 1)
        return KV_OK;
    return kvi_error_set(KV_EINVAL, "node %016" PRIx64 " is the last member with weight",
                         member->node_id);
}

int kvi_ring_leave(const kvi_ring *ring, uint64_t node_id, kvi_ring **out)
{
    bool found;
    uint32_t at = kvi_ring_find(ring, node_id, &found);
    kvi_ring *made;
    int err;

    if (!found) {
        *out = NULL;
        return KV_OK;
    }
    err = check_last(ring, &ring->members[at]);
    if (err)
        return err;
    if (is_voter(ring, node_id))
        return kvi_error_set(KV_EBUSY,
                             "node %016" PRIx64 " is a voter of the ring: another member must take "
                             "its place before it can leave",
                             node_id);
    err = remake(ring, at, true, NULL, &made);
    return err ? err : finish(made, kvi_ring_assign_orphans(made, node_id), out);
}

int kvi_ring_reweight(const kvi_ring *ring, uint64_t node_id, uint16_t weight, kvi_ring **out)
{
    bool found;
    uint32_t at = kvi_ring_find(ring, node_id, &found);
    kvi_ring_member member;
    kvi_ring *made;
    int err;

    if (!found)
        return kvi_error_set(KV_ENOENT, "node %016" PRIx64 " is no member of the ring", node_id);
    member = ring->members[at];
    if (member.weight == weight) {
        *out = NULL;
        return KV_OK;
    }
    err = weight == 0 ? check_last(ring, &member) : KV_OK;
    if (err)
        return err;
    member.weight = weight;
    err = remake(ring, at, true, &member, &made);
    if (err)
        return err;
    if (weight > ring->members[at].weight)
        err = kvi_ring_assign_take(made, at);
    else
        err = kvi_ring_assign_give(made, at);
    return finish(made, err, out);
}

/* --- stage and spaces ------------------------------------------------------------------------ */

int kvi_ring_serve(const kvi_ring *ring, kvi_ring **out)
{
    kvi_ring_tables tables = tables_of(ring);
    kvi_ring_head head = next_head(ring);

    if (ring->head.stage == KVI_RING_SERVING) {
        *out = NULL;
        return KV_OK;
    }
    head.stage = KVI_RING_SERVING;
    return change_head(ring, &head, &tables, out);
}

static bool same_policy(const kvi_ring_policy *a, const kvi_ring_policy *b)
{
    return a->n == b->n && a->r == b->r && a->w == b->w && a->mode == b->mode &&
           a->conflict == b->conflict && a->ttl_ms == b->ttl_ms;
}

static int check_space(const kvi_ring *ring, const char *name, const kvi_ring_policy *policy)
{
    size_t len = strnlen(name, KVI_RING_NAME_MAX + 1);

    if (len == 0 || len > KVI_RING_NAME_MAX)
        return kvi_error_set(KV_EINVAL, "the name of a space has 1 to %u bytes", KVI_RING_NAME_MAX);
    if (ring->space_count >= KVI_RING_SPACES_MAX)
        return kvi_error_set(KV_ETOOBIG, "the ring has %" PRIu32 " spaces, as many as it can",
                             ring->space_count);
    return check_policy(policy);
}

int kvi_ring_add_space(const kvi_ring *ring, const char *name, const kvi_ring_policy *policy,
                       kvi_ring **out)
{
    const kvi_ring_space *known = *name ? kvi_ring_space_named(ring, name) : NULL;
    kvi_ring_space added = {ring->head.next_space_id, name, *policy};
    kvi_ring_tables tables = tables_of(ring);
    kvi_ring_head head = next_head(ring);
    kvi_ring_space *spaces;
    int err;

    if (known && same_policy(&known->policy, policy)) {
        *out = NULL;
        return KV_OK;
    }
    if (known)
        return kvi_error_set(KV_EEXIST, "the space \"%s\" was created with another policy", name);
    err = check_space(ring, name, policy);
    if (err)
        return err;
    spaces = kvi_mem_zalloc(ring->mem, (size_t)ring->space_count + 1, sizeof *spaces);
    if (!spaces)
        return kvi_error_set(KV_ENOMEM, "no memory for the spaces of a ring");
    memcpy(spaces, ring->spaces, ring->space_count * sizeof *spaces);
    spaces[ring->space_count] = added;
    tables.spaces = spaces;
    tables.space_count++;
    head.next_space_id++;
    err = change_head(ring, &head, &tables, out);
    kvi_mem_free(ring->mem, spaces);
    return err;
}
