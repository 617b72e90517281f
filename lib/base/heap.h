/*
 * A binary min-heap of u64 keys (deadlines). Intrusive: the node lies in the struct that is queued
 * and knows its place, so that any node can be taken out. The owner guards it; the heap owns its
 * array of pointers, never a node.
 *
 * 1. A node is in one heap at most, and does not move in memory while it is.
 * 2. Nodes with equal keys come out in the order of their push or last kvi_heap_change.
 * 3. A failed push or reserve leaves the heap as it was. Only these two can fail: a node taken out
 *    leaves its room behind. The array never shrinks before deinit.
 */
#ifndef KVI_BASE_HEAP_H
#define KVI_BASE_HEAP_H

#include "base/mem.h"

/** Others read key; the rest is private. */
typedef struct kvi_heap_node {
    uint64_t key;
    uint64_t order; /* among equal keys */
    size_t place;   /* in the array + 1; 0: in no heap */
} kvi_heap_node;

typedef struct kvi_heap {
    const kvi_mem *mem; /* borrowed, outlives the heap */
    kvi_heap_node **nodes;
    size_t count, cap;
    uint64_t next_order;
} kvi_heap;

/** Allocates nothing. */
void kvi_heap_init(kvi_heap *h, const kvi_mem *mem);

/** Nodes that are in the heap are left as they are: the caller forgets or inits them. */
void kvi_heap_deinit(kvi_heap *h);

/** In no heap. A zeroed node is the same. */
static inline void kvi_heap_node_init(kvi_heap_node *node)
{
    node->key = 0;
    node->order = 0;
    node->place = 0;
}

/** Whether the node is in a heap. */
static inline bool kvi_heap_queued(const kvi_heap_node *node)
{
    return node->place != 0;
}

static inline size_t kvi_heap_count(const kvi_heap *h)
{
    return h->count;
}

/** Room for extra more nodes, so that as many pushes cannot fail: KV_OK or KV_ENOMEM. */
int kvi_heap_reserve(kvi_heap *h, size_t extra) KVI_NODISCARD;

/** KV_OK or KV_ENOMEM. The node is in no heap; it is borrowed until it is taken out. */
int kvi_heap_push(kvi_heap *h, kvi_heap_node *node, uint64_t key) KVI_NODISCARD;

/** The least node, which stays; NULL where the heap is empty. */
kvi_heap_node *kvi_heap_peek(const kvi_heap *h);

/** Takes the least node out; NULL where the heap is empty. */
kvi_heap_node *kvi_heap_pop(kvi_heap *h);

/** Takes out a node of this heap. Does nothing to one that is in no heap. */
void kvi_heap_remove(kvi_heap *h, kvi_heap_node *node);

/** As taken out and pushed with another key (or the same), but cannot fail. The node is in this
 *  heap. */
void kvi_heap_change(kvi_heap *h, kvi_heap_node *node, uint64_t key);

#endif
