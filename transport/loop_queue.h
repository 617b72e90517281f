/*
 * Messages on their way and the queues they wait in: first in, first out. A part of loop.c. No lock
 * of its own, nothing here allocates.
 *
 * A message belongs to exactly one queue, or to who took it out of one.
 */
#ifndef KVI_LOOP_QUEUE_H
#define KVI_LOOP_QUEUE_H

#include <stddef.h>

/** One allocation: the sender's address with its NUL, then the bytes. */
struct message {
    struct message *next;
    size_t from_size; /* of the address, with its NUL */
    size_t len;       /* of the bytes */
    char data[];
};

struct queue {
    struct message *head;
    struct message **tail; /* where the next one is hooked in */
};

static inline void queue_init(struct queue *q)
{
    q->head = NULL;
    q->tail = &q->head;
}

static inline void queue_put(struct queue *q, struct message *m)
{
    m->next = NULL;
    *q->tail = m;
    q->tail = &m->next;
}

/** The first, or NULL. */
static inline struct message *queue_take(struct queue *q)
{
    struct message *m = q->head;

    if (m) {
        q->head = m->next;
        if (!q->head)
            q->tail = &q->head;
    }
    return m;
}

/** Moves all of from behind what is in to. */
static inline void queue_move(struct queue *to, struct queue *from)
{
    if (!from->head)
        return;
    *to->tail = from->head;
    to->tail = from->tail;
    queue_init(from);
}

#endif
