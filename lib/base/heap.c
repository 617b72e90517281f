/*
 * A binary min-heap of intrusive nodes; see the header for the contract.
 *
 * 1. A node at index i is not after those at 2i + 1 and 2i + 2, by (key, order).
 * 2. nodes[i]->place == i + 1. No two nodes have the same order: it is counted up, and 2^64 pushes
 *    take longer than any store runs.
 */
#include "base/heap.h"

#include "base/check.h"
#include "base/error.h"

#define HEAP_CAP_MIN 16
#define HEAP_CAP_MAX (SIZE_MAX / sizeof(kvi_heap_node *))

void kvi_heap_init(kvi_heap *h, const kvi_mem *mem)
{
    h->mem = mem;
    h->nodes = NULL;
    h->count = h->cap = 0;
    h->next_order = 0;
}

void kvi_heap_deinit(kvi_heap *h)
{
    kvi_mem_free(h->mem, h->nodes);
    kvi_heap_init(h, h->mem);
}

int kvi_heap_reserve(kvi_heap *h, size_t extra)
{
    kvi_heap_node **nodes;
    size_t cap;

    if (extra <= h->cap - h->count)
        return KV_OK;
    if (extra > HEAP_CAP_MAX - h->count)
        return kvi_error_set(KV_ENOMEM, "a queue of %zu timers cannot grow by %zu", h->count,
                             extra);
    cap = h->cap <= HEAP_CAP_MAX / 2 ? kvi_max_size(h->cap * 2, HEAP_CAP_MIN) : HEAP_CAP_MAX;
    cap = kvi_max_size(cap, h->count + extra);
    nodes = kvi_mem_resize(h->mem, h->nodes, cap * sizeof(kvi_heap_node *));
    if (!nodes)
        return kvi_error_set(KV_ENOMEM, "cannot allocate a queue of %zu timers", cap);
    h->nodes = nodes;
    h->cap = cap;
    return KV_OK;
}

static bool is_before(const kvi_heap_node *a, const kvi_heap_node *b)
{
    return a->key != b->key ? a->key < b->key : a->order < b->order;
}

static void put_at(kvi_heap *h, size_t i, kvi_heap_node *node)
{
    h->nodes[i] = node;
    node->place = i + 1;
}

/* The place i is free, and node may go there but for those above. */
static void sift_up(kvi_heap *h, size_t i, kvi_heap_node *node)
{
    while (i > 0 && is_before(node, h->nodes[(i - 1) / 2])) {
        put_at(h, i, h->nodes[(i - 1) / 2]);
        i = (i - 1) / 2;
    }
    put_at(h, i, node);
}

/* The place i is free, and node may go there but for those below. */
static void sift_down(kvi_heap *h, size_t i, kvi_heap_node *node)
{
    size_t child;

    while ((child = 2 * i + 1) < h->count) {
        if (child + 1 < h->count && is_before(h->nodes[child + 1], h->nodes[child]))
            child++;
        if (!is_before(h->nodes[child], node))
            break;
        put_at(h, i, h->nodes[child]);
        i = child;
    }
    put_at(h, i, node);
}

/* The place i is free; node goes there, or up or down from there. */
static void settle(kvi_heap *h, size_t i, kvi_heap_node *node)
{
    if (i > 0 && is_before(node, h->nodes[(i - 1) / 2]))
        sift_up(h, i, node);
    else
        sift_down(h, i, node);
}

int kvi_heap_push(kvi_heap *h, kvi_heap_node *node, uint64_t key)
{
    int err;

    KVI_ASSERT(!kvi_heap_queued(node));
    err = kvi_heap_reserve(h, 1);
    if (err)
        return err;
    node->key = key;
    node->order = h->next_order++;
    sift_up(h, h->count++, node);
    return KV_OK;
}

kvi_heap_node *kvi_heap_peek(const kvi_heap *h)
{
    return h->count > 0 ? h->nodes[0] : NULL;
}

kvi_heap_node *kvi_heap_pop(kvi_heap *h)
{
    kvi_heap_node *least = kvi_heap_peek(h);

    if (least)
        kvi_heap_remove(h, least);
    return least;
}

static bool is_mine(const kvi_heap *h, const kvi_heap_node *node)
{
    return node->place > 0 && node->place <= h->count && h->nodes[node->place - 1] == node;
}

void kvi_heap_remove(kvi_heap *h, kvi_heap_node *node)
{
    kvi_heap_node *last;

    if (!kvi_heap_queued(node))
        return;
    KVI_ASSERT(is_mine(h, node));
    last = h->nodes[--h->count];
    if (last != node)
        settle(h, node->place - 1, last);
    node->place = 0;
}

void kvi_heap_change(kvi_heap *h, kvi_heap_node *node, uint64_t key)
{
    KVI_ASSERT(is_mine(h, node));
    node->key = key;
    node->order = h->next_order++;
    settle(h, node->place - 1, node);
}
