/*
 * The calls of a placed store: what they ask of the node, and how they wait for it.
 *
 * What a placed put does: op.c checks it; placed_op.c writes it down as a kvi_request and posts
 * that to the node's owner, who gives it to the coordinator; placed_turn.c waits for its end, or,
 * of a submitted one, the call is put among those that have ended; placed_answer.c turns what the
 * coordinator said into a kv_result.
 *
 * The owner is the node's thread or, stepped, whoever calls: then to wait is to step.
 */
#ifndef KVI_API_PLACED_H
#define KVI_API_PLACED_H

#include "api/ask.h"
#include "api/call.h"
#include "api/options.h"
#include "os/event.h"

/* --- turns of the owner (placed_turn.c) ------------------------------------------------------- */

/** Something that the owner does while the caller waits. On the caller's stack. */
typedef struct kvi_api_turn {
    kvi_post post;
    kvi_api_store *store;
    kvi_os_event event; /* threaded */
    bool done;          /* stepped: the caller is the owner */
} kvi_api_turn;

/** Has the owner call run, and waits until something has called kvi_api_turn_end(). The caller
 *  holds no lock and is outside of callbacks. */
void kvi_api_turn_take(kvi_api_store *s, kvi_api_turn *t, void (*run)(kvi_post *post, kvi_node *n));
/** By the owner, once; the turn may be gone when it returns. */
void kvi_api_turn_end(kvi_api_turn *t);

/** Runs one job of the executor where that is for the store's callers to do; whether it did. */
bool kvi_api_help(kvi_api_store *s);

/* --- requests (placed_op.c) ------------------------------------------------------------------- */

/** Writes an ask down, whose bytes it borrows. result, which was prepared or is NULL, is where the
 *  answer will go. Allocates nothing. */
void kvi_api_request_init(kvi_request *q, const kv *db, const kvi_api_ask *ask,
                          const kv_result *result);
/** A request of another kind, with what op says of all kinds. */
void kvi_api_request_init_empty(kvi_request *q, const kv *db, enum kvi_request_call call,
                                const kv_op *op, const kvi_mem *mem);
void kvi_api_request_deinit(kvi_request *q);

/** Puts it to the coordinator and waits for its answer. */
void kvi_api_request_run(kvi_api_store *s, kvi_request *q);

/** kv_get(), kv_put(), kv_delete(): all but the checks. result may be NULL and is always filled. */
int kvi_api_placed_run(kv *db, const kvi_api_ask *ask, kv_result *result) KVI_NODISCARD;

/** A call that was submitted: begins it, gives it up. */
void kvi_api_placed_begin(kvi_api_call *call);
void kvi_api_placed_cancel(kvi_api_call *call);

/* --- answers (placed_answer.c) ---------------------------------------------------------------- */

/** Fills result from an ended request, from which it takes what it needs, and returns what the call
 *  returns, with this thread's detail. result was prepared; it may hold what the ask points to. */
int kvi_api_answer(const kv *db, const kvi_api_ask *ask, kvi_request *q, kv_result *result)
    KVI_NODISCARD;

/** The code of an ended request that is neither a get nor siblings, with this thread's detail. */
int kvi_api_request_code(const kvi_request *q) KVI_NODISCARD;

/** Fills in what a write has reached, whether it succeeded or not. result may be NULL. */
void kvi_api_answer_counts(const kvi_request *q, kv_result *result);

/* --- opening and closing (placed_open.c) ------------------------------------------------------ */

/** Makes the node above the open engine and, threaded, starts it; s->root becomes the default
 *  space's handle. */
int kvi_api_placed_open(kvi_api_store *s, const kvi_api_settings *set, uint8_t ring_bits)
    KVI_NODISCARD;
/** Ends it: what is under way is given up, and waits to be delivered. */
void kvi_api_placed_close(kvi_api_store *s);

/* --- the rest --------------------------------------------------------------------------------- */

/** placed_space.c: fills in the handle of the space called name, which the cluster makes where it
 *  has none. */
int kvi_api_placed_space(kv *handle, kvi_api_store *s, const char *name, const kv_policy *policy)
    KVI_NODISCARD;

/** placed_batch.c: all of ops, which are kvi_wire_op items of one part. result as of
 *  kv_batch_commit(), cleared. */
int kvi_api_placed_batch(const kv *db, kvi_wire_items ops, const kv_op *op, kv_result *result)
    KVI_NODISCARD;

/* placed_iter.c: a walk, behind kv_iter. */

typedef struct kvi_api_walk kvi_api_walk;

/** range was checked, and is not NULL. */
int kvi_api_walk_open(const kv *db, const kv_range *range, kvi_api_walk **out) KVI_NODISCARD;
void kvi_api_walk_close(kvi_api_walk *walk);
/** range NULL: the same. */
int kvi_api_walk_renew(kvi_api_walk *walk, const kv_range *range) KVI_NODISCARD;
/** entry was checked; it may be NULL. */
int kvi_api_walk_next(kvi_api_walk *walk, kv_entry *entry) KVI_NODISCARD;
int kvi_api_walk_seek(kvi_api_walk *walk, kvi_slice key) KVI_NODISCARD;

#endif
