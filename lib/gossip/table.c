/*
 * The table of members; see the header for the contract.
 */
#include "gossip/table.h"

#include "base/check.h"
#include "base/error.h"
#include "base/hash.h"

#define FIRST_CAP 8u

/* One list walks by `next` and `prev`, others by their own pair: which pair is said by where the
 * two numbers lie in a slot. */
enum links { LINK_STATE, LINK_TELL, LINK_PART };

static uint32_t *next_of(kvi_gossip_slot *s, enum links links)
{
    return links == LINK_STATE ? &s->next : links == LINK_TELL ? &s->tell_next : &s->part_next;
}

static uint32_t *prev_of(kvi_gossip_slot *s, enum links links)
{
    return links == LINK_STATE ? &s->prev : links == LINK_TELL ? &s->tell_prev : &s->part_prev;
}

static void push_back(kvi_gossip_table *t, kvi_gossip_chain *c, kvi_gossip_slot *s, enum links l)
{
    uint32_t i = kvi_gossip_slot_number(t, s);

    *next_of(s, l) = KVI_GOSSIP_NONE;
    *prev_of(s, l) = c->last;
    if (c->last == KVI_GOSSIP_NONE)
        c->first = i;
    else
        *next_of(&t->slots[c->last], l) = i;
    c->last = i;
}

static void push_front(kvi_gossip_table *t, kvi_gossip_chain *c, kvi_gossip_slot *s, enum links l)
{
    uint32_t i = kvi_gossip_slot_number(t, s);

    *prev_of(s, l) = KVI_GOSSIP_NONE;
    *next_of(s, l) = c->first;
    if (c->first == KVI_GOSSIP_NONE)
        c->last = i;
    else
        *prev_of(&t->slots[c->first], l) = i;
    c->first = i;
}

static void take_out(kvi_gossip_table *t, kvi_gossip_chain *c, kvi_gossip_slot *s, enum links l)
{
    uint32_t next = *next_of(s, l), prev = *prev_of(s, l);

    if (prev == KVI_GOSSIP_NONE)
        c->first = next;
    else
        *next_of(&t->slots[prev], l) = next;
    if (next == KVI_GOSSIP_NONE)
        c->last = prev;
    else
        *prev_of(&t->slots[next], l) = prev;
}

static void chain_init(kvi_gossip_chain *c)
{
    c->first = c->last = KVI_GOSSIP_NONE;
}

void kvi_gossip_table_init(kvi_gossip_table *t, const kvi_mem *mem, uint64_t seed)
{
    memset(t, 0, sizeof *t);
    t->mem = mem;
    t->seed = seed;
    t->free = KVI_GOSSIP_NONE;
    chain_init(&t->suspects);
    chain_init(&t->dead);
    for (uint32_t i = 0; i < KVI_GOSSIP_TELLS_MAX; i++)
        chain_init(&t->tells[i]);
    for (uint32_t i = 0; i < KVI_GOSSIP_SUMS_MAX; i++)
        chain_init(&t->parts[i]);
}

void kvi_gossip_table_deinit(kvi_gossip_table *t)
{
    for (uint32_t i = 0; i < t->count; i++)
        kvi_mem_free(t->mem, t->slots[t->by_id[i]].address);
    kvi_mem_free(t->mem, t->slots);
    kvi_mem_free(t->mem, t->by_id);
    kvi_mem_free(t->mem, t->order);
    kvi_mem_free(t->mem, t->index);
}

/* The first place in by_id whose node is not below this one. */
static uint32_t place_of(const kvi_gossip_table *t, uint64_t node)
{
    uint32_t low = 0, high = t->count;

    while (low < high) {
        uint32_t mid = low + (high - low) / 2;

        if (t->slots[t->by_id[mid]].node < node)
            low = mid + 1;
        else
            high = mid;
    }
    return low;
}

/* Where a node's search in the index begins. cap is a power of two. */
static uint32_t home_of(const kvi_gossip_table *t, uint64_t node)
{
    return (uint32_t)kvi_mix64(node ^ t->seed) & (2 * t->cap - 1);
}

/* The index entry of a node, or the free one where it would be. At most half are in use. */
static uint32_t *entry_of(const kvi_gossip_table *t, uint64_t node)
{
    uint32_t i = home_of(t, node);

    while (t->index[i] != 0 && t->slots[t->index[i] - 1].node != node)
        i = (i + 1) & (2 * t->cap - 1);
    return &t->index[i];
}

kvi_gossip_slot *kvi_gossip_table_find(const kvi_gossip_table *t, uint64_t node)
{
    uint32_t number = t->cap > 0 && node != 0 ? *entry_of(t, node) : 0;

    return number != 0 ? &t->slots[number - 1] : NULL;
}

static void reindex(kvi_gossip_table *t)
{
    memset(t->index, 0, (size_t)t->cap * 2 * sizeof *t->index);
    for (uint32_t i = 0; i < t->count; i++)
        *entry_of(t, t->slots[t->by_id[i]].node) = t->by_id[i] + 1;
}

/* Takes a node out; what was pushed on by it moves back. */
static void leave_index(kvi_gossip_table *t, uint64_t node)
{
    uint32_t mask = 2 * t->cap - 1;
    uint32_t hole = (uint32_t)(entry_of(t, node) - t->index);

    for (uint32_t i = (hole + 1) & mask; t->index[i] != 0; i = (i + 1) & mask) {
        uint32_t home = home_of(t, t->slots[t->index[i] - 1].node);

        if (((i - home) & mask) < ((i - hole) & mask))
            continue;
        t->index[hole] = t->index[i];
        hole = i;
    }
    t->index[hole] = 0;
}

static int grow_array(const kvi_mem *mem, void **array, uint32_t cap, size_t size)
{
    void *bigger = kvi_mem_resize(mem, *array, (size_t)cap * size);

    if (!bigger)
        return kvi_error_set(KV_ENOMEM, "no memory for %u members of the gossip", (unsigned)cap);
    *array = bigger;
    return KV_OK;
}

/* Room for one more. The arrays may differ in size after a failure: cap is what all have. */
static int grow(kvi_gossip_table *t)
{
    uint32_t cap = t->cap ? t->cap * 2 : FIRST_CAP;
    void *slots = t->slots, *by_id = t->by_id, *order = t->order, *index = t->index;
    int r;

    if (t->count < t->cap)
        return KV_OK;
    r = grow_array(t->mem, &slots, cap, sizeof *t->slots);
    t->slots = slots;
    if (r == KV_OK)
        r = grow_array(t->mem, &by_id, cap, sizeof *t->by_id);
    t->by_id = by_id;
    if (r == KV_OK)
        r = grow_array(t->mem, &order, cap, sizeof *t->order);
    t->order = order;
    if (r == KV_OK)
        r = grow_array(t->mem, &index, cap * 2, sizeof *t->index);
    t->index = index;
    if (r == KV_OK) {
        t->cap = cap;
        reindex(t);
    }
    return r;
}

static uint32_t take_slot(kvi_gossip_table *t)
{
    uint32_t i = t->free;

    if (i == KVI_GOSSIP_NONE)
        return t->used++;
    t->free = t->slots[i].next;
    return i;
}

int kvi_gossip_table_add(kvi_gossip_table *t, uint64_t node, uint64_t where, kvi_gossip_slot **out)
{
    uint32_t place = place_of(t, node), i, other;
    kvi_gossip_slot *s;
    int r;

    KVI_ASSERT(node != 0 && kvi_gossip_table_find(t, node) == NULL);
    if (t->count == KVI_GOSSIP_MEMBERS_MAX)
        return kvi_error_set(KV_EBUSY, "gossip knows %u members, as many as it can", t->count);
    r = grow(t);
    if (r != KV_OK)
        return r;
    KVI_ASSERT(t->slots && t->by_id && t->order && t->index);
    i = take_slot(t);
    s = &t->slots[i];
    memset(s, 0, sizeof *s);
    s->node = node;
    memmove(t->by_id + place + 1, t->by_id + place, (t->count - place) * sizeof *t->by_id);
    t->by_id[place] = i;
    /* At a random place among those that are still to be probed in this round. */
    other = t->cursor + (uint32_t)(where % (t->count - t->cursor + 1));
    t->order[t->count] = t->order[other];
    t->order[other] = i;
    t->count++;
    *entry_of(t, node) = i + 1;
    push_back(t, &t->parts[kvi_gossip_part_of(node)], s, LINK_PART);
    *out = s;
    return KV_OK;
}

/* Takes slot i out of the order, which stays what it is for the others. */
static void leave_order(kvi_gossip_table *t, uint32_t i)
{
    uint32_t at = 0;

    while (t->order[at] != i)
        at++;
    memmove(t->order + at, t->order + at + 1, (t->count - at - 1) * sizeof *t->order);
    if (at < t->cursor)
        t->cursor--;
}

void kvi_gossip_table_drop(kvi_gossip_table *t, kvi_gossip_slot *s)
{
    uint32_t i = kvi_gossip_slot_number(t, s), place = place_of(t, s->node);
    uint32_t part = kvi_gossip_part_of(s->node);

    KVI_ASSERT(t->by_id[place] == i);
    kvi_gossip_table_set_state(t, s, KVI_GOSSIP_UNKNOWN);
    kvi_gossip_table_resum(t, s);
    if (s->queued) {
        take_out(t, &t->tells[s->tells], s, LINK_TELL);
        t->tell_count--;
    }
    take_out(t, &t->parts[part], s, LINK_PART);
    kvi_mem_free(t->mem, s->address);
    leave_order(t, i);
    leave_index(t, s->node);
    memmove(t->by_id + place, t->by_id + place + 1, (t->count - place - 1) * sizeof *t->by_id);
    t->count--;
    memset(s, 0, sizeof *s);
    s->next = t->free;
    t->free = i;
}

int kvi_gossip_table_set_address(kvi_gossip_table *t, kvi_gossip_slot *s, kvi_slice address,
                                 bool *changed)
{
    char *copy;

    KVI_ASSERT(address.len <= KVI_GOSSIP_ADDRESS_MAX);
    *changed = false;
    if (address.len == 0 || kvi_slice_eq(address, kvi_slice_of(s->address, s->address_len)))
        return KV_OK;
    copy = kvi_mem_alloc(t->mem, address.len + 1);
    if (!copy)
        return kvi_error_set(KV_ENOMEM, "no memory for the address of a member");
    memcpy(copy, address.data, address.len);
    copy[address.len] = '\0';
    kvi_mem_free(t->mem, s->address);
    s->address = copy;
    s->address_len = (uint8_t)address.len;
    *changed = true;
    return KV_OK;
}

static kvi_gossip_chain *list_of(kvi_gossip_table *t, unsigned state)
{
    return state == KVI_GOSSIP_SUSPECT ? &t->suspects : state == KVI_GOSSIP_DEAD ? &t->dead : NULL;
}

void kvi_gossip_table_set_state(kvi_gossip_table *t, kvi_gossip_slot *s,
                                enum kvi_gossip_state state)
{
    kvi_gossip_chain *from = list_of(t, s->state), *to = list_of(t, state);

    if (from)
        take_out(t, from, s, LINK_STATE);
    if (to)
        push_back(t, to, s, LINK_STATE);
    t->alive -= s->state == KVI_GOSSIP_ALIVE;
    t->alive += state == KVI_GOSSIP_ALIVE;
    s->state = (uint8_t)state;
}

void kvi_gossip_table_resum(kvi_gossip_table *t, kvi_gossip_slot *s)
{
    uint32_t *sum = &t->sums[kvi_gossip_part_of(s->node)];
    bool counts = s->state != KVI_GOSSIP_UNKNOWN && (s->state != KVI_GOSSIP_DEAD || s->in_ring);

    *sum -= s->sum;
    s->sum = counts ? kvi_gossip_sum_of(s->node, s->open_id, s->incarnation,
                                        (enum kvi_gossip_state)s->state)
                    : 0;
    *sum += s->sum;
}

void kvi_gossip_table_queue(kvi_gossip_table *t, kvi_gossip_slot *s, uint8_t tells)
{
    KVI_ASSERT(tells < KVI_GOSSIP_TELLS_MAX);
    if (s->queued)
        take_out(t, &t->tells[s->tells], s, LINK_TELL);
    else
        t->tell_count++;
    s->queued = true;
    s->tells = tells;
    push_front(t, &t->tells[tells], s, LINK_TELL);
}

kvi_gossip_slot *kvi_gossip_table_unqueue(kvi_gossip_table *t)
{
    kvi_gossip_slot *s;
    uint32_t i = 0;

    if (t->tell_count == 0)
        return NULL;
    while (t->tells[i].first == KVI_GOSSIP_NONE)
        i++;
    KVI_ASSERT(i < KVI_GOSSIP_TELLS_MAX);
    s = &t->slots[t->tells[i].first];
    take_out(t, &t->tells[i], s, LINK_TELL);
    t->tell_count--;
    s->queued = false;
    return s;
}

void kvi_gossip_table_requeue(kvi_gossip_table *t, kvi_gossip_slot *s, uint32_t limit)
{
    KVI_ASSERT(!s->queued);
    if (s->tells >= limit || s->tells >= KVI_GOSSIP_TELLS_MAX)
        return;
    s->queued = true;
    t->tell_count++;
    push_back(t, &t->tells[s->tells], s, LINK_TELL);
}

void kvi_gossip_table_to_back(kvi_gossip_table *t, kvi_gossip_slot *s)
{
    kvi_gossip_chain *list = list_of(t, s->state);

    KVI_ASSERT(list != NULL);
    take_out(t, list, s, LINK_STATE);
    push_back(t, list, s, LINK_STATE);
}

uint32_t kvi_gossip_part_of(uint64_t node)
{
    return (uint32_t)(kvi_mix64(node) & (KVI_GOSSIP_SUMS_MAX - 1));
}

uint32_t kvi_gossip_sum_of(uint64_t node, uint64_t open_id, uint32_t incarnation,
                           enum kvi_gossip_state state)
{
    uint64_t x = kvi_mix64(node + kvi_mix64(open_id));

    return (uint32_t)(kvi_mix64(x ^ ((uint64_t)incarnation << 2 | (uint64_t)state)) >> 32);
}
