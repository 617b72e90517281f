/*
 * Batches of a placed store; see placed.h for the contract.
 */
#include "api/placed.h"
#include "base/error.h"

typedef struct batch {
    kvi_api_turn turn;
    kvi_request request;
} batch;

static void batch_done(kvi_request *q)
{
    batch *b = KVI_CONTAINER_OF(q, batch, request);

    kvi_api_turn_end(&b->turn);
}

/** The owner knows the ring: the nodes that keep the batch are those of each of its spaces. */
static int check_spaces(const kvi_node *n, const kvi_request *q)
{
    const kvi_ring *ring = kvi_node_ring(n);
    const kvi_ring_space *first = ring ? kvi_ring_space_of(ring, q->space) : NULL;
    kvi_wire_items_iter it;
    kvi_wire_op op;

    kvi_wire_items_begin(&it, q->items);
    while (first && kvi_wire_ops_next(&it, &op)) {
        const kvi_ring_space *space = kvi_ring_space_of(ring, op.space);

        if (space && space->policy.n != first->policy.n)
            return kvi_error_set(KV_EINVAL,
                                 "a batch over spaces of which \"%s\" has n %u and \"%s\" has n %u",
                                 first->name, first->policy.n, space->name, space->policy.n);
    }
    return KV_OK;
}

static void batch_begin(kvi_post *post, kvi_node *n)
{
    batch *b = KVI_CONTAINER_OF(KVI_CONTAINER_OF(post, kvi_api_turn, post), batch, turn);
    kvi_request *q = &b->request;
    int err = check_spaces(n, q);

    if (!err) {
        kvi_coordinator_begin(kvi_node_coordinator(n), q);
        return;
    }
    q->err = err;
    memcpy(q->detail, kvi_error_detail(), strlen(kvi_error_detail()) + 1);
    kvi_api_turn_end(&b->turn);
}

int kvi_api_placed_batch(const kv *db, kvi_wire_items ops, const kv_op *op, kv_result *result)
{
    kvi_wire_items_iter it;
    kvi_wire_op first;
    batch b;
    int err;

    kvi_api_request_init_empty(&b.request, db, KVI_REQUEST_BATCH, op, db->store->env.mem);
    kvi_wire_items_begin(&it, ops);
    (void)kvi_wire_ops_next(&it, &first);
    b.request.space = first.space;
    b.request.key = first.key; /* all of them lie where this one does */
    b.request.items = ops;
    b.request.done = batch_done;
    kvi_api_turn_take(db->store, &b.turn, batch_begin);
    err = kvi_api_request_code(&b.request);
    kvi_api_answer_counts(&b.request, result);
    kvi_api_request_deinit(&b.request);
    return err;
}
