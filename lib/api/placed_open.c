/*
 * Opening and closing what a placed store has above its engine; see placed.h for the contract.
 *
 * The identity of this opening is on the disk before the node says a word (node/identity.h), which
 * the node itself, as it never waits, cannot see to.
 */
#include "api/call.h"
#include "api/placed.h"
#include "api/policy.h"
#include "api/wait.h"
#include "base/check.h"
#include "base/error.h"

/** Draws and keeps the identity of this opening. */
static int identify(kvi_api_store *s, kvi_node_identity *out)
{
    uint8_t key[KVI_RECORD_KEY_LEN], value[KVI_RECORD_IDENTITY_LEN];
    kvi_lsm_op op = {KVI_KIND_PUT, {key, sizeof key}, {value, sizeof value}, 0};
    kvi_lsm_write w = {.ops = &op, .count = 1};
    int err = kvi_identity_next(s->lsm, &s->env, out);

    if (err)
        return err;
    kvi_record_key(KVI_RECORD_IDENTITY, key);
    kvi_identity_encode(out, value);
    err = kvi_api_write(s, &w);
    if (err)
        return err;
    if (kvi_api_logged(s))
        return kvi_api_sync(s, w.last_seq);
    return s->memory_files.mem ? KV_OK
                               : kvi_api_flush(s); /* what lives in memory cannot come back */
}

/** The node's thread has made a step. */
static void after_step(void *user)
{
    kvi_api_deliver(user);
}

static kvi_node_config config_of(kvi_api_store *s, const kvi_api_settings *set)
{
    kvi_node_config c = {
        .env = &s->env,
        .lsm = s->lsm,
        .budget = &s->budget,
        .logged = kvi_api_logged(s),
        .durability = s->durability,
        .value_max = s->value_max,
        .batch_max = s->batch_max,
        .create = set->create,
        .transport = set->transport,
        .listen = set->listen,
        .advertise = set->advertise,
        .seeds = set->seeds,
        .seed_count = set->seed_count,
        .zone = set->zone ? set->zone : "",
        .weight = set->weight,
        .trusted = set->trusted,
        .after_step = s->callbacks_in_step ? NULL : after_step,
        .user = s,
    };

    return c;
}

/** What the ring says of the default space, where there is a ring by now: it must be what was asked
 *  for, if anything was. Before the node runs, the caller is its owner. */
static int check_policy(const kvi_api_store *s, const kvi_api_settings *set,
                        const kvi_ring_policy *wanted)
{
    const kvi_ring *ring = kvi_node_ring(s->node);
    const kvi_ring_space *space;

    if (!ring) { /* it creates a cluster, or joins one and takes what it finds */
        if (set->create)
            kvi_api_policy_warn(&s->env, "", wanted, 1);
        return KV_OK;
    }
    space = kvi_ring_space_of(ring, KVI_RING_SPACE_DEFAULT);
    if (set->policy && !kvi_api_policy_eq(wanted, &space->policy))
        return kvi_error_set(
            KV_ECONFLICT,
            "kv_options.policy (n %u, r %u, w %u, conflict %u, ttl_ms %llu) is not "
            "what the default space was created with (%u, %u, %u, %u, %llu)",
            wanted->n, wanted->r, wanted->w, wanted->conflict, (unsigned long long)wanted->ttl_ms,
            space->policy.n, space->policy.r, space->policy.w, space->policy.conflict,
            (unsigned long long)space->policy.ttl_ms);
    kvi_api_policy_warn(&s->env, "", &space->policy, kvi_ring_weighted(ring));
    return KV_OK;
}

/** As it is before anything was submitted. Keeps this thread's detail. */
static void node_close(kvi_api_store *s)
{
    char detail[KVI_ERROR_DETAIL_MAX];

    memcpy(detail, kvi_error_detail(), sizeof detail);
    kvi_node_close(s->node);
    s->node = NULL;
    kvi_error_note("%s", detail);
}

int kvi_api_placed_open(kvi_api_store *s, const kvi_api_settings *set, uint8_t ring_bits)
{
    kvi_node_config c = config_of(s, set);
    int err;

    err = kvi_api_policy_resolve(set->policy, s->listens ? KVI_API_REPLICAS_DEFAULT : 1, &c.policy);
    if (err)
        return err;
    c.ring_bits = ring_bits;
    s->root = (kv){.store = s, .space = KVI_RING_SPACE_DEFAULT};
    err = identify(s, &c.identity);
    if (!err)
        err = kvi_node_open(&c, &s->node);
    if (err)
        return err;
    err = check_policy(s, set, &c.policy);
    if (!err && !s->stepped)
        err = kvi_node_start(s->node);
    if (err)
        node_close(s);
    return err;
}

void kvi_api_placed_close(kvi_api_store *s)
{
    kvi_node_stop(s->node);
    kvi_node_close(s->node);
    s->node = NULL;
}
