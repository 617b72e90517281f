/*
 * An intrusive, circular, doubly linked list: the node lives in the struct that is listed, so
 * linking cannot fail. Whoever owns the list guards it; a node is on one list at a time. An
 * unlinked node points to itself.
 */
#ifndef KVI_BASE_LIST_H
#define KVI_BASE_LIST_H

#include "base/base.h"

typedef struct kvi_list {
    struct kvi_list *next, *prev;
} kvi_list;

static inline void kvi_list_init(kvi_list *l)
{
    l->next = l->prev = l;
}

static inline bool kvi_list_empty(const kvi_list *l)
{
    return l->next == l;
}

static inline void kvi_list_push_back(kvi_list *l, kvi_list *node)
{
    node->prev = l->prev;
    node->next = l;
    l->prev->next = node;
    l->prev = node;
}

static inline void kvi_list_remove(kvi_list *node)
{
    node->prev->next = node->next;
    node->next->prev = node->prev;
    kvi_list_init(node);
}

/** Moves all of from behind what is in to. */
static inline void kvi_list_move(kvi_list *to, kvi_list *from)
{
    if (kvi_list_empty(from))
        return;
    from->next->prev = to->prev;
    to->prev->next = from->next;
    from->prev->next = to;
    to->prev = from->prev;
    kvi_list_init(from);
}

/** The struct around the first node, which must be there. */
#define KVI_LIST_FIRST(l, type, member) KVI_CONTAINER_OF((l)->next, type, member)

/** for (kvi_list *n = …): the body may not unlink n. */
/* NOLINTNEXTLINE(bugprone-macro-parentheses): n is declared here. */
#define KVI_LIST_EACH(n, l) for (kvi_list *n = (l)->next; n != (l); n = n->next)

#endif
