/*
 * The ports of the modules: what the node does for them, and what it tells them of the world.
 */
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/bytes.h"
#include "base/check.h"
#include "base/error.h"
#include "node/impl.h"

void kvi_node_log(const kvi_node *n, int level, const char *fmt, ...)
{
    char line[KVI_ERROR_DETAIL_MAX + 1];
    va_list args;

    va_start(args, fmt);
    (void)vsnprintf(line, sizeof line, fmt, args);
    va_end(args);
    kvi_os_log(n->env, level, "%s", line);
}

/* --- effects ------------------------------------------------------------------------------ */

static kvi_node *node_of(kvi_effects *e)
{
    return KVI_CONTAINER_OF(e, kvi_node, effects);
}

void kvi_node_send(kvi_node *n, uint64_t node, const kvi_wire_message *m)
{
    kvi_peer *peer = kvi_peers_find(&n->peers, node);

    KVI_ASSERT(node != n->identity.node_id);
    if (peer && !n->closing)
        kvi_peers_send(&n->peers, peer, m);
    else
        n->peers.dropped++;
}

static void port_send(kvi_effects *e, uint64_t node, const kvi_wire_message *m)
{
    kvi_node_send(node_of(e), node, m);
}

static void port_read(kvi_effects *e, kvi_store_read *r)
{
    kvi_storage_read(&node_of(e)->storage, r);
}

static void port_write(kvi_effects *e, kvi_store_write *w)
{
    kvi_storage_write(&node_of(e)->storage, w);
}

static void port_sync(kvi_effects *e, kvi_store_sync *s)
{
    kvi_storage_sync(&node_of(e)->storage, s);
}

static void port_scan(kvi_effects *e, kvi_store_scan *s)
{
    kvi_storage_scan(&node_of(e)->storage, s);
}

static void port_log(kvi_effects *e, int level, const char *message)
{
    kvi_node_log(node_of(e), level, "%s", message);
}

const struct kvi_effects_ops kvi_node_effects_ops = {
    port_send, port_read, port_write, port_sync, port_scan, port_log,
};

/* --- what is known ------------------------------------------------------------------------ */

bool kvi_node_reachable(void *user, uint64_t node)
{
    kvi_node *n = user;
    const kvi_peer *peer;

    if (node == n->identity.node_id)
        return true;
    peer = kvi_peers_find(&n->peers, node);
    return peer && peer->open_id != 0 && peer->address[0] != '\0' &&
           kvi_gossip_state(n->gossip, node) == KVI_GOSSIP_ALIVE;
}

uint64_t kvi_node_open_id_of(void *user, uint64_t node)
{
    kvi_node *n = user;
    const kvi_peer *peer = kvi_peers_find(&n->peers, node);

    if (node == n->identity.node_id)
        return n->identity.open_id;
    return peer ? peer->open_id : 0;
}

void kvi_node_want_serving(void *user)
{
    kvi_node *n = user;

    kvi_membership_want_serving(&n->membership);
}

/* --- persisting --------------------------------------------------------------------------- */

static void number_begin(kvi_node *n, char letter, kvi_number_write *w, uint64_t number,
                         const void *bytes, size_t len)
{
    KVI_ASSERT(!w->busy && w->base.bytes.cap >= len);
    w->busy = true;
    w->number = number;
    w->base.user = n;
    memcpy(w->base.bytes.data, bytes, len);
    w->base.bytes.len = len;
    kvi_record_begin(n, letter, &w->base);
}

static void hlc_done(kvi_record_write *base, int err)
{
    kvi_number_write *w = KVI_CONTAINER_OF(base, kvi_number_write, base);
    kvi_node *n = base->user;

    w->busy = false;
    if (err)
        kvi_node_log(n, KV_LOG_ERROR, "the bound of the clock could not be written: %s",
                     kvi_error_name(err));
    kvi_coordinator_hlc_bounded(n->coordinator, err ? 0 : w->number);
}

void kvi_node_persist_hlc(void *user, uint64_t bound)
{
    kvi_node *n = user;
    uint8_t bytes[KVI_RECORD_HLC_LEN] = {KVI_RECORD_VERSION};

    kvi_put_u64(bytes + 1, bound);
    n->hlc_write.base.done = hlc_done;
    number_begin(n, KVI_RECORD_HLC, &n->hlc_write, bound, bytes, sizeof bytes);
}

static void incarnation_begin(kvi_node *n, uint32_t incarnation);

static void incarnation_done(kvi_record_write *base, int err)
{
    kvi_number_write *w = KVI_CONTAINER_OF(base, kvi_number_write, base);
    kvi_node *n = base->user;

    w->busy = false;
    if (err) {
        kvi_node_log(n, KV_LOG_ERROR, "the incarnation could not be written: %s",
                     kvi_error_name(err));
        kvi_gossip_unpersisted(n->gossip);
        return;
    }
    n->identity.incarnation = (uint32_t)w->number;
    kvi_gossip_persisted(n->gossip, (uint32_t)w->number);
    if (n->incarnation_wanted > w->number)
        incarnation_begin(n, n->incarnation_wanted);
}

static void incarnation_begin(kvi_node *n, uint32_t incarnation)
{
    kvi_node_identity id = n->identity;
    uint8_t bytes[KVI_RECORD_IDENTITY_LEN];

    id.incarnation = incarnation;
    kvi_identity_encode(&id, bytes);
    n->incarnation_write.base.done = incarnation_done;
    number_begin(n, KVI_RECORD_IDENTITY, &n->incarnation_write, incarnation, bytes, sizeof bytes);
}

void kvi_node_gossip_persist(void *user, uint32_t incarnation)
{
    kvi_node *n = user;

    n->incarnation_wanted = incarnation;
    if (!n->incarnation_write.busy)
        incarnation_begin(n, incarnation);
}

/* --- gossip ------------------------------------------------------------------------------- */

void kvi_node_gossip_send(void *user, uint64_t node, const char *address, kvi_slice body)
{
    kvi_node *n = user;
    kvi_wire_message m = {.kind = KVI_WIRE_GOSSIP, .u.gossip = {body}};

    if (n->cluster.ring)
        kvi_peers_send_urgent(&n->peers, address, node, &m);
}

void kvi_node_gossip_changed(void *user, uint64_t node, enum kvi_gossip_state state)
{
    kvi_node *n = user;
    kvi_peer *peer = kvi_peers_find(&n->peers, node);
    const char *address = kvi_gossip_address(n->gossip, node);
    uint64_t open_id = kvi_gossip_open_id(n->gossip, node);

    kvi_node_log(n, KV_LOG_DEBUG, "member %016llx is %s", (unsigned long long)node,
                 state == KVI_GOSSIP_ALIVE     ? "alive"
                 : state == KVI_GOSSIP_SUSPECT ? "suspected"
                 : state == KVI_GOSSIP_DEAD    ? "dead"
                                               : "unknown");
    if (!peer)
        return;
    if (address && address[0] != '\0')
        kvi_peer_set_address(peer, address);
    if (open_id != 0)
        kvi_peer_set_open(&n->peers, peer, open_id);
    if (n->coordinator)
        kvi_coordinator_peer_changed(n->coordinator, node);
    if (n->replication && state == KVI_GOSSIP_ALIVE)
        kvi_replication_tick(n->replication);
}
