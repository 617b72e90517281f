/*
 * kv_members(): the ring document's members, and what this node sees of them.
 */
#include "api/check.h"
#include "api/placed.h"
#include "base/error.h"

typedef struct look {
    kvi_api_turn turn;
    kv_member *members; /* or NULL */
    size_t room, count;
} look;

static void copy_text(char *out, size_t size, const char *text)
{
    size_t len = strnlen(text, size - 1);

    memcpy(out, text, len);
    out[len] = '\0';
}

static void fill(kv_member *out, const kvi_node *n, const kvi_ring_member *m)
{
    kv_member init = KV_MEMBER_INIT;

    *out = init;
    out->node = m->node_id;
    out->weight = m->weight;
    out->state = (uint8_t)kvi_node_member_state(n, m->node_id);
    out->hints = kvi_replication_hints(kvi_node_replication(n), m->node_id);
    copy_text(out->zone, sizeof out->zone, m->zone);
    copy_text(out->address, sizeof out->address, m->address);
}

/** The place of a node among sorted members; count: it is not there. */
static size_t place_of(const kv_member *members, size_t count, uint64_t node)
{
    size_t low = 0, high = count;

    while (low < high) {
        size_t middle = low + (high - low) / 2;

        if (members[middle].node < node)
            low = middle + 1;
        else
            high = middle;
    }
    return low < count && members[low].node == node ? low : count;
}

static void count_partitions(kv_member *members, size_t count, const kvi_ring *ring)
{
    uint32_t q = UINT32_C(1) << kvi_ring_bits(ring);

    for (uint32_t p = 0; p < q; p++) {
        size_t at = place_of(members, count, kvi_ring_owner(ring, p));

        if (at < count)
            members[at].partitions++;
    }
}

static void run(kvi_post *post, kvi_node *n)
{
    look *l = KVI_CONTAINER_OF(KVI_CONTAINER_OF(post, kvi_api_turn, post), look, turn);
    const kvi_ring *ring = kvi_node_ring(n);
    uint32_t count = 0;

    if (ring) {
        const kvi_ring_member *members = kvi_ring_members(ring, &count);
        size_t shown = kvi_min_size(l->room, count);

        for (size_t i = 0; i < shown; i++)
            fill(&l->members[i], n, &members[i]);
        count_partitions(l->members, shown, ring);
    }
    l->count = count;
    kvi_api_turn_end(&l->turn);
}

static int check_members(const kv_member *members, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        int err = kvi_api_check_struct("kv_member", members[i].size, sizeof members[i],
                                       members[i].flags, 0);

        if (err)
            return err;
    }
    return KV_OK;
}

int kv_members(kv *db, kv_member *members, size_t *count)
{
    look l = {0};
    int err = kvi_api_check_waits(db);

    if (!err)
        err = kvi_api_check_given(count, "count");
    if (!err && members)
        err = check_members(members, *count);
    if (!err && !db->store->placed)
        err = kvi_error_set(KV_ENOTSUP, "the store is ordered: it is no node of a cluster");
    if (err)
        return err;
    l.members = members;
    l.room = members ? *count : 0;
    kvi_api_turn_take(db->store, &l.turn, run);
    *count = l.count;
    return KV_OK;
}
