/*
 * Three nodes of one process on a kv_loop, and the threads of a host that call them.
 *
 *     s = scene_new(on_disk, stepped);      the nodes see each other
 *     call(&s->actors[i], node, &request);  any thread, with the actor that is its own
 *     submit_one(&s->actors[i], node, cancel);
 *     close_in_flight(s, node); open_node(s, node);
 *     why = scene_free(s);                  NULL, or the first violation
 *
 * 1. Threads only note violations, the first one of which counts: who may end the test is its own
 *    thread, which is the actor number HOST.
 * 2. Waiting is for conditions, and ends in any case: LIMIT_MS after the scene began.
 * 3. While `closing` is set a request may end as one does whose node went away; never before.
 */
#ifndef KVT_INTEGRATION_CLUSTER_SCENE_H
#define KVT_INTEGRATION_CLUSTER_SCENE_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include <kv.h>

#include "support/rng.h"

#define NODES       3
#define LAST        (NODES - 1) /* the node that is stepped, or closed */
#define THREADS     6
#define HOST        THREADS
#define KEYS        6   /* of an actor */
#define TICKETS     400 /* of an actor */
#define BURST       64  /* requests that are in flight when a node is closed */
#define CONTEXT_MAX 1024
#define PATIENT_MS  30000 /* a request's time in the quiet: it ends as it should, however slow */
#define HASTY_MS    400   /* … while a node is closed */
#define LIMIT_MS    60000

struct scene;

typedef struct state {
    uint64_t version; /* of the last write */
    bool present;
} state;

/* What the one writer of a key knows of it. */
typedef struct record {
    state now, before;
    bool unsure; /* which of them: it is not written again */
    size_t context_len;
    uint8_t context[CONTEXT_MAX];
} record;

/* A request that was submitted, to write version 1 of a key of its own. */
typedef struct ticket {
    struct scene *scene;
    int node;
    _Atomic int runs;
    int err; /* good once runs is not 0 */
    bool canceled;
} ticket;

/* A thread, and what it was answered last. */
typedef struct actor {
    struct scene *scene;
    int number;
    kvt_rng rng;
    record records[KEYS];
    ticket tickets[TICKETS];
    int ticket_count;
    int settled; /* so many of them were submitted before the thread was started */
    pthread_mutex_t lock;
    pthread_cond_t replied;
    bool has_reply;
    int err;
    uint32_t count;
    uint8_t acks;
    uint64_t version; /* that was read */
    size_t context_len;
    uint8_t context[CONTEXT_MAX];
} actor;

typedef struct scene {
    bool on_disk, stepped; /* stepped: the last node is in the hands of HOST */
    char dir[256];
    kv_loop *loop;
    kv_transport transports[NODES];
    kv *nodes[NODES];
    uint64_t ids[NODES]; /* as they were when the nodes saw each other last */
    uint64_t deadline_ms;
    int usable, steps; /* of the threads: the first nodes so many, and how much they do */
    int left;          /* stepped: threads that have not said goodbye; HOST's own */
    _Atomic bool go_on, failed, closing;
    char why[400]; /* written by whoever set failed */
    pthread_t threads[THREADS];
    actor actors[THREADS + 1];
} scene;

#define VIOLATION(s, ...)                                          \
    do {                                                           \
        if (!atomic_exchange(&(s)->failed, true))                  \
            (void)snprintf((s)->why, sizeof(s)->why, __VA_ARGS__); \
    } while (0)

/* What fails here is a violation. */
scene *scene_new(bool on_disk, bool stepped);

/* Closes what is open; the first violation, which is a copy of the caller's to free. */
char *scene_free(scene *s);

/* Waits until all nodes see all nodes alive. */
void see_each_other(scene *s);

void open_node(scene *s, int node);

/* Closes a node with much in flight: all that HOST and, before they were started, the threads had
 * submitted to it has ended when that returns. */
void close_in_flight(scene *s, int node);

/* Starts the threads, each with its actor; they are to use the first nodes so many. */
void start(scene *s, int usable, int steps, void *(*what)(void *actor));
void join(scene *s);

/* HOST: one turn of a host's loop over the stepped node, of most_ms at most. */
void turn(scene *s, int most_ms);

/* Past its limit. */
bool is_late(const scene *s);

/* Makes a call and waits for its answer, which is then in the actor. */
void call(actor *a, int node, const kv_request *q);

/* Submits a write that nobody waits for; cancel: it is given up, if it is not quicker. */
void submit_one(actor *a, int node, bool cancel);

/* HOST: until all that was submitted has ended. */
void wait_for_tickets(scene *s);

static inline uint32_t patience(const scene *s)
{
    return atomic_load(&s->closing) ? HASTY_MS : PATIENT_MS;
}

static inline size_t key_of(char *out, size_t cap, const char *kind, int owner, int number)
{
    return (size_t)snprintf(out, cap, "%s-%d-%d", kind, owner, number);
}

#endif
