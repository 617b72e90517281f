/*
 * Spaces of a placed store: entries of the ring document, which its authority makes; see placed.h
 * for the contract.
 */
#include "api/placed.h"
#include "api/policy.h"
#include "base/error.h"

typedef struct asked {
    kvi_api_turn turn;
    kvi_space_ask ask;
    unsigned nodes; /* that keep data, when it was done */
    kvi_node *node;
} asked;

static void ask_done(kvi_space_ask *ask)
{
    asked *a = KVI_CONTAINER_OF(ask, asked, ask);
    const kvi_ring *ring = kvi_node_ring(a->node);

    a->nodes = ring ? kvi_ring_weighted(ring) : 0;
    kvi_api_turn_end(&a->turn);
}

static void ask_begin(kvi_post *post, kvi_node *n)
{
    asked *a = KVI_CONTAINER_OF(KVI_CONTAINER_OF(post, kvi_api_turn, post), asked, turn);

    a->node = n;
    kvi_node_ask_space(n, &a->ask);
}

int kvi_api_placed_space(kv *handle, kvi_api_store *s, const char *name, const kv_policy *policy)
{
    kvi_ring_policy resolved;
    asked a = {0};
    int err;

    if (policy) {
        err = kvi_api_policy_resolve(policy, s->listens ? KVI_API_REPLICAS_DEFAULT : 1, &resolved);
        if (err)
            return err;
        a.ask.policy = &resolved;
    }
    kvi_list_init(&a.ask.link);
    a.ask.name = name;
    a.ask.timeout_ns = KV_TIMEOUT_DEFAULT_MS * UINT64_C(1000000);
    a.ask.done = ask_done;
    kvi_api_turn_take(s, &a.turn, ask_begin);
    if (a.ask.err)
        return kvi_error_set(a.ask.err, "%s", a.ask.detail);
    kvi_api_policy_warn(&s->env, name, &a.ask.found, a.nodes);
    *handle = (kv){.store = s, .space = a.ask.id};
    return KV_OK;
}
