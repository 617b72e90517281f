/*
 * Opening and closing a node: its parts from the bottom up, and down again in reverse. And what is
 * asked by those who post.
 */
#include <stdio.h>
#include <string.h>

#include "base/bytes.h"
#include "base/check.h"
#include "base/error.h"
#include "base/hash.h"
#include "node/impl.h"

/** Rounds of closing in which nothing can be done but to wait for the executor. */
#define CLOSE_WAIT_NS UINT64_C(10000000)

/** The address of a node that nobody reaches. */
#define NOWHERE "-"

/** A job was handed back. */
static void wake(void *user)
{
    kvi_node_wake(user);
}

/** A message has come. A transport that has a step delivers from inside it: nobody sleeps there
 *  then, and it is not to be woken for the next one. */
static void wake_for_mail(void *user)
{
    kvi_node *n = user;

    kvi_os_wake_set(&n->wake);
}

static int read_hlc(kvi_lsm *lsm, const kvi_mem *mem, uint64_t *bound)
{
    kvi_buf bytes;
    int err;

    kvi_buf_init(&bytes, mem);
    err = kvi_record_read(lsm, KVI_RECORD_HLC, &bytes);
    if (!err && (bytes.len != KVI_RECORD_HLC_LEN || bytes.data[0] != KVI_RECORD_VERSION))
        err = kvi_error_set(KV_ECORRUPT, "the record of the clock's bound is not what was written");
    if (!err)
        *bound = kvi_get_u64(bytes.data + 1);
    kvi_buf_deinit(&bytes);
    return err == KV_ENOTFOUND ? KV_OK : err;
}

/* --- parts -------------------------------------------------------------------------------- */

static int open_gossip(kvi_node *n)
{
    kvi_gossip_config config = {.node_id = n->identity.node_id,
                                .open_id = n->identity.open_id,
                                .incarnation = n->identity.incarnation,
                                .address = n->has_transport ? n->advertise : NOWHERE,
                                .seed = kvi_rng_next(&n->cluster.rng)};
    size_t room = n->has_transport ? n->transport.max_message : KVI_GOSSIP_MESSAGE_DEFAULT;

    room -= kvi_min_size(room, KVI_WIRE_FRAGMENT_OVERHEAD);
    config.message_max = kvi_min_size(room, KVI_GOSSIP_MESSAGE_DEFAULT);
    n->gossip_port = (kvi_gossip_port){n, kvi_node_gossip_send, kvi_node_gossip_changed,
                                       kvi_node_gossip_persist};
    return kvi_gossip_new(&n->gossip, n->env->mem, &config, n->cluster.now_ns);
}

static int open_modules(kvi_node *n, const kvi_node_config *config)
{
    kvi_replication_config replication = {
        .mem = n->env->mem, .effects = &n->effects, .cluster = &n->cluster};
    kvi_coordinator_config coordinator = {.mem = n->env->mem,
                                          .effects = &n->effects,
                                          .cluster = &n->cluster,
                                          .persist_hlc = kvi_node_persist_hlc,
                                          .user = n};
    int err = read_hlc(config->lsm, n->env->mem, &coordinator.hlc_bound);

    if (!err)
        err = kvi_replication_new(&replication, &n->replication);
    if (err)
        return err;
    coordinator.replication = n->replication;
    return kvi_coordinator_new(&coordinator, &n->coordinator);
}

static int start_transport(kvi_node *n, const kvi_node_config *config)
{
    int err;

    if (!n->has_transport)
        return KV_OK;
    err = n->transport.start(n->transport.self, &n->mailbox.base, &n->host, config->listen);
    if (err) /* a transport cannot set a detail */
        return kvi_error_set(err, "the transport cannot start at \"%s\" (%s)", config->listen,
                             kvi_error_name(err));
    atomic_store(&n->started, true);
    n->peers.transport = &n->transport;
    return KV_OK;
}

static void init_cluster(kvi_node *n, const kvi_node_config *config)
{
    uint64_t seed = n->identity.open_id;

    n->cluster.self = n->identity.node_id;
    n->cluster.open_id = n->identity.open_id;
    n->cluster.logged = config->logged;
    n->cluster.durability = config->durability;
    n->cluster.value_max = config->value_max;
    n->cluster.batch_max = config->batch_max;
    n->cluster.why = "";
    n->cluster.user = n;
    n->cluster.reachable = kvi_node_reachable;
    n->cluster.open_id_of = kvi_node_open_id_of;
    n->cluster.want_serving = kvi_node_want_serving;
    kvi_rng_init(&n->cluster.rng, kvi_mix64(seed));
    kvi_node_refresh(n);
}

/** Writing a number cannot fail for want of memory. */
static int reserve_records(kvi_node *n)
{
    kvi_buf_init(&n->hlc_write.base.bytes, n->env->mem);
    kvi_buf_init(&n->incarnation_write.base.bytes, n->env->mem);
    if (kvi_buf_reserve(&n->hlc_write.base.bytes, KVI_RECORD_HLC_LEN))
        return KV_ENOMEM;
    return kvi_buf_reserve(&n->incarnation_write.base.bytes, KVI_RECORD_IDENTITY_LEN);
}

static int node_new(const kvi_node_config *config, kvi_node **out)
{
    const kvi_os_env *env = config->env;
    const char *advertise = config->advertise ? config->advertise : config->listen;
    kvi_node *n = kvi_mem_zalloc(env->mem, 1, sizeof *n);
    size_t message_max = config->transport ? config->transport->max_message : SIZE_MAX;
    size_t inbox = kvi_min_size(KVI_NODE_INBOX_MAX, config->budget->limit / 8);
    size_t longest = config->batch_max + KVI_NODE_ENVELOPE_SLACK;

    if (!n)
        return kvi_error_set(KV_ENOMEM, "cannot allocate a node");
    n->advertise =
        kvi_mem_dup(env->mem, advertise ? advertise : "", advertise ? strlen(advertise) + 1 : 1);
    if (!n->advertise) {
        kvi_mem_free(env->mem, n);
        return kvi_error_set(KV_ENOMEM, "cannot allocate a node");
    }
    n->env = env;
    n->effects.ops = &kvi_node_effects_ops;
    n->identity = config->identity;
    n->after_step = config->after_step;
    n->user = config->user;
    if (config->transport) {
        n->transport = *config->transport;
        n->has_transport = true;
    }
    n->host = (kv_host){sizeof n->host, 0, &env->mem->host, env->log, env->log_user};
    kvi_list_init(&n->posts);
    kvi_os_mutex_init(&n->lock, KVI_RANK_NODE, env->jitter);
    kvi_os_wake_open(&n->wake);
    kvi_buf_init(&n->whole, env->mem);
    kvi_mailbox_init(&n->mailbox, env->mem, message_max, inbox, config->trusted, wake_for_mail, n);
    kvi_peers_init(&n->peers, env->mem, kvi_max_size(inbox, longest));
    n->peers.next_split = kvi_mix64(n->identity.open_id); /* those of other openings are others */
    n->peers.header.from_node = n->identity.node_id;
    n->peers.header.from_open = n->identity.open_id;
    kvi_storage_init(&n->storage, env, config->lsm, wake, n);
    init_cluster(n, config);
    *out = n;
    return KV_OK;
}

/* --- closing ------------------------------------------------------------------------------ */

static bool idle(kvi_node *n)
{
    return !kvi_node_has_posts(n) && kvi_storage_idle(&n->storage) &&
           (!n->coordinator || kvi_coordinator_idle(n->coordinator));
}

/** Ends what is under way: every effect completes, every done is called. */
static void drain(kvi_node *n)
{
    if (n->coordinator)
        kvi_coordinator_cancel_all(n->coordinator);
    while (!idle(n)) {
        bool any = kvi_node_close_round(n);

        if (!any && !n->env->exec->ops->help(n->env->exec))
            (void)kvi_os_wake_wait(&n->wake, CLOSE_WAIT_NS);
        kvi_os_wake_clear(&n->wake);
    }
}

static void node_free(kvi_node *n)
{
    const kvi_mem *mem = n->env->mem;

    if (n->started) {
        n->started = false; /* nobody is woken through it any more */
        n->transport.stop(n->transport.self);
    }
    if (n->membership.node)
        kvi_membership_close(&n->membership);
    if (n->coordinator)
        kvi_coordinator_free(n->coordinator);
    if (n->replication)
        kvi_replication_free(n->replication);
    kvi_gossip_free(n->gossip);
    kvi_ring_free(n->ring);
    kvi_storage_deinit(&n->storage);
    kvi_peers_deinit(&n->peers);
    kvi_mailbox_deinit(&n->mailbox);
    kvi_buf_deinit(&n->whole);
    kvi_buf_deinit(&n->hlc_write.base.bytes);
    kvi_buf_deinit(&n->incarnation_write.base.bytes);
    kvi_os_wake_close(&n->wake);
    kvi_os_mutex_deinit(&n->lock);
    kvi_mem_free(mem, n->advertise);
    kvi_mem_free(mem, n);
}

void kvi_node_close(kvi_node *n)
{
    KVI_ASSERT(!n->threaded && !n->stepping);
    n->closing = true;
    n->storage.closing = true;
    drain(n);
    node_free(n);
}

int kvi_node_open(const kvi_node_config *config, kvi_node **out)
{
    kvi_node *n;
    int err;

    KVI_ASSERT(config->identity.node_id != 0 && config->identity.open_id != 0);
    KVI_ASSERT(!config->transport || config->listen);
    err = node_new(config, &n);
    if (err)
        return err;
    err = reserve_records(n);
    if (!err)
        err = open_gossip(n);
    if (!err)
        err = open_modules(n, config);
    if (!err)
        err = start_transport(n, config);
    if (!err) /* after it: no cluster is created at an address that cannot be had */
        err = kvi_membership_open(&n->membership, n, config);
    if (err) {
        char detail[KVI_ERROR_DETAIL_MAX];

        (void)snprintf(detail, sizeof detail, "%s", kvi_error_detail());
        kvi_node_close(n);
        return kvi_error_set(err, "%s", detail);
    }
    *out = n;
    return KV_OK;
}

/* --- for what is posted ------------------------------------------------------------------- */

kvi_coordinator *kvi_node_coordinator(kvi_node *n)
{
    return n->coordinator;
}

const kvi_ring *kvi_node_ring(const kvi_node *n)
{
    return n->ring;
}

const char *kvi_node_joining_detail(const kvi_node *n)
{
    return n->membership.why;
}

const kvi_replication *kvi_node_replication(const kvi_node *n)
{
    return n->replication;
}

unsigned kvi_node_member_state(const kvi_node *n, uint64_t node)
{
    if (node == n->identity.node_id)
        return KV_MEMBER_ALIVE;
    switch (kvi_gossip_state(n->gossip, node)) {
    case KVI_GOSSIP_ALIVE:
        return KV_MEMBER_ALIVE;
    case KVI_GOSSIP_SUSPECT:
        return KV_MEMBER_SUSPECT;
    case KVI_GOSSIP_DEAD:
        return KV_MEMBER_DEAD;
    case KVI_GOSSIP_UNKNOWN:
    default:
        return KV_MEMBER_UNKNOWN;
    }
}

void kvi_node_ask_space(kvi_node *n, kvi_space_ask *ask)
{
    kvi_membership_ask_space(&n->membership, ask);
}

uint64_t kvi_node_digest(const kvi_node *n)
{
    uint64_t digest = kvi_mix64(n->identity.node_id);
    kvi_buf bytes;

    kvi_buf_init(&bytes, n->env->mem);
    if (n->ring && !kvi_ring_encode(n->ring, &bytes))
        digest = kvi_hash64(bytes.data, bytes.len, digest);
    for (uint32_t i = 0; i < kvi_gossip_count(n->gossip); i++) {
        kvi_gossip_member member;

        kvi_gossip_at(n->gossip, i, &member);
        digest = kvi_mix64(digest ^ member.node);
        digest = kvi_mix64(digest ^ member.open_id ^ member.incarnation);
        digest = kvi_mix64(digest ^ (uint64_t)member.state);
    }
    kvi_buf_deinit(&bytes);
    return digest;
}
