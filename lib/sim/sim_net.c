/*
 * The simulated network; see the header for the contract.
 */
#include "sim/sim_net.h"

#include <stdio.h>
#include <string.h>

#include "base/check.h"
#include "base/error.h"
#include "base/hash.h"

/** A message under way, or waiting at its receiver. */
typedef struct parcel {
    kvi_sim_event event;
    kvi_list link;
    kvi_sim_net *net;
    unsigned from; /* net->count: no machine */
    unsigned to;
    uint64_t life; /* of the receiver, when it was sent */
    size_t len;
    char address[KVI_SIM_NET_ADDRESS_MAX + 1]; /* that it comes from */
    uint8_t bytes[];
} parcel;

/* --- under way ---------------------------------------------------------------------------- */

static void parcel_free(parcel *p)
{
    kvi_list_remove(&p->link);
    kvi_mem_free(p->net->mem, p);
}

static bool is_cut(const kvi_sim_net *net, unsigned from, unsigned to)
{
    return from < net->count && net->cuts[(size_t)from * net->count + to];
}

static void arrive(kvi_sim_event *event)
{
    parcel *p = KVI_CONTAINER_OF(event, parcel, event);
    kvi_sim_endpoint *e = &p->net->endpoints[p->to];

    if (!e->inbox || e->life != p->life || is_cut(p->net, p->from, p->to)) {
        p->net->lost++;
        parcel_free(p);
        return;
    }
    kvi_sim_trace_add(p->net->world, kvi_hash64(p->bytes, p->len, p->to));
    kvi_list_remove(&p->link);
    kvi_list_push_back(&e->arrived, &p->link);
    e->notify(e->user);
}

static parcel *parcel_new(kvi_sim_net *net, unsigned from, const char *address, unsigned to,
                          size_t len)
{
    parcel *p = kvi_mem_alloc(net->mem, sizeof *p + len);

    if (!p)
        return NULL;
    memset(p, 0, sizeof *p);
    p->event.fn = arrive;
    p->net = net;
    p->from = from;
    p->to = to;
    p->life = net->endpoints[to].life;
    p->len = len;
    (void)snprintf(p->address, sizeof p->address, "%s", address);
    kvi_list_push_back(&net->flying, &p->link);
    return p;
}

static void launch(kvi_sim_net *net, parcel *p)
{
    const kvi_sim_net_knobs *k = &net->knobs;
    kvi_sim_rng *rng = &net->world->rng;
    uint64_t delay =
        k->delay_min_ns + kvi_sim_rng_below(rng, k->delay_max_ns - k->delay_min_ns + 1);

    if (kvi_sim_rng_chance(rng, k->slow_ppm))
        delay += kvi_sim_rng_below(rng, k->slow_ns + 1);
    kvi_sim_schedule(net->world, &p->event, net->world->now_ns + delay);
}

/** Draws the fate of a message from an endpoint, and takes over p. */
static void dispatch(kvi_sim_endpoint *e, parcel *p)
{
    kvi_sim_net *net = e->net;
    kvi_sim_rng *rng = &net->world->rng;

    net->sent++;
    if (net->tap)
        net->tap(net->tap_user, e->index, p->to, kvi_slice_of(p->bytes, p->len));
    if (is_cut(net, e->index, p->to) || kvi_sim_rng_chance(rng, net->knobs.loss_ppm)) {
        net->lost++;
        parcel_free(p);
        return;
    }
    if (kvi_sim_rng_chance(rng, net->knobs.duplicate_ppm)) {
        parcel *twin = parcel_new(net, p->from, p->address, p->to, p->len);

        if (twin) {
            memcpy(twin->bytes, p->bytes, p->len);
            launch(net, twin);
        }
    }
    launch(net, p);
}

/* --- the transport ------------------------------------------------------------------------ */

static int net_start(void *self, kv_inbox *inbox, const kv_host *host, const char *listen)
{
    kvi_sim_endpoint *e = self;

    (void)host;
    if (strcmp(listen, e->address) != 0)
        return kvi_error_set(KV_EINVAL, "this machine is \"%s\", not \"%s\"", e->address, listen);
    if (e->inbox)
        return kvi_error_set(KV_EINUSE, "a store listens at \"%s\" already", e->address);
    e->inbox = inbox;
    e->life++;
    e->woken = e->blocked = false;
    return KV_OK;
}

/** The endpoint at an address; NULL: there is no such machine. */
static kvi_sim_endpoint *endpoint_at(kvi_sim_net *net, const char *address)
{
    for (unsigned i = 0; i < net->count; i++)
        if (strcmp(net->endpoints[i].address, address) == 0)
            return &net->endpoints[i];
    return NULL;
}

static int net_send(void *self, const char *address, const kv_slice *parts, size_t count,
                    int urgency)
{
    kvi_sim_endpoint *e = self;
    kvi_sim_endpoint *to = endpoint_at(e->net, address);
    size_t len = 0, at = 0;
    parcel *p;

    (void)urgency;
    if (!to)
        return kvi_error_set(KV_EUNAVAILABLE, "there is no \"%s\"", address);
    for (size_t i = 0; i < count; i++)
        len += parts[i].len;
    KVI_ASSERT(len > 0 && len <= KVI_SIM_NET_MESSAGE_MAX);
    p = parcel_new(e->net, e->index, e->address, to->index, len);
    if (!p)
        return KV_EBUSY;
    for (size_t i = 0; i < count; i++) {
        if (parts[i].len > 0)
            memcpy(p->bytes + at, parts[i].data, parts[i].len);
        at += parts[i].len;
    }
    dispatch(e, p);
    return KV_OK;
}

bool kvi_sim_endpoint_ready(const kvi_sim_endpoint *e)
{
    return !e->paused && (e->woken || (!e->blocked && !kvi_list_empty(&e->arrived)));
}

static bool ready(void *user)
{
    return kvi_sim_endpoint_ready(user);
}

static void deliver_all(kvi_sim_endpoint *e)
{
    while (!kvi_list_empty(&e->arrived) && !e->blocked) {
        parcel *p = KVI_LIST_FIRST(&e->arrived, parcel, link);
        kv_peer from = KV_PEER_INIT;

        from.address = p->address;
        from.identity = kvi_slice_of(p->address, strlen(p->address));
        if (kv_deliver(e->inbox, &from, p->bytes, p->len) == KV_EBUSY)
            e->blocked = true; /* it stays the first */
        else
            parcel_free(p);
    }
}

static int net_step(void *self, uint64_t timeout_ns)
{
    kvi_sim_endpoint *e = self;
    kvi_sim_world *w = e->net->world;

    if (timeout_ns > 0 && !kvi_sim_endpoint_ready(e)) {
        uint64_t end = timeout_ns > UINT64_MAX - w->now_ns ? UINT64_MAX : w->now_ns + timeout_ns;

        kvi_sim_world_run(w, end, ready, e);
    }
    e->woken = false;
    if (!e->paused)
        deliver_all(e);
    return KV_OK;
}

static int64_t net_next(void *self)
{
    return kvi_sim_endpoint_ready(self) ? 0 : -1;
}

static void net_wake(void *self)
{
    kvi_sim_endpoint *e = self;

    e->woken = true;
    e->notify(e->user);
}

static void net_resume(void *self, const char *from)
{
    kvi_sim_endpoint *e = self;

    (void)from;
    e->blocked = false;
    e->notify(e->user);
}

static void net_stop(void *self)
{
    kvi_sim_endpoint *e = self;

    e->inbox = NULL;
    while (!kvi_list_empty(&e->arrived))
        parcel_free(KVI_LIST_FIRST(&e->arrived, parcel, link));
}

void kvi_sim_net_transport(kvi_sim_endpoint *e, kv_transport *out)
{
    *out = (kv_transport)KV_TRANSPORT_INIT;
    out->max_message = KVI_SIM_NET_MESSAGE_MAX;
    out->self = e;
    out->start = net_start;
    out->send = net_send;
    out->step = net_step;
    out->next = net_next;
    out->wake = net_wake;
    out->resume = net_resume;
    out->stop = net_stop;
}

/* --- for tests ---------------------------------------------------------------------------- */

int kvi_sim_net_inject(kvi_sim_net *net, const char *from, unsigned to, const void *bytes,
                       size_t len)
{
    parcel *p;

    KVI_ASSERT(to < net->count && len > 0 && len <= KVI_SIM_NET_MESSAGE_MAX);
    p = parcel_new(net, net->count, from, to, len);
    if (!p)
        return kvi_error_set(KV_ENOMEM, "cannot allocate a message of %zu bytes", len);
    memcpy(p->bytes, bytes, len);
    launch(net, p);
    return KV_OK;
}

void kvi_sim_net_tap(kvi_sim_net *net, kvi_sim_tap_fn *tap, void *user)
{
    net->tap = tap;
    net->tap_user = user;
}

/* --- its life ----------------------------------------------------------------------------- */

static void unheard(void *user)
{
    (void)user;
}

int kvi_sim_net_init(kvi_sim_net *net, kvi_sim_world *world, const kvi_mem *mem, unsigned count)
{
    KVI_ASSERT(count > 0);
    *net = (kvi_sim_net){.world = world, .mem = mem, .count = count};
    kvi_list_init(&net->flying);
    net->endpoints = kvi_mem_zalloc(mem, count, sizeof *net->endpoints);
    net->cuts = kvi_mem_zalloc(mem, (size_t)count * count, sizeof *net->cuts);
    if (!net->endpoints || !net->cuts) {
        kvi_mem_free(mem, net->endpoints);
        kvi_mem_free(mem, net->cuts);
        return kvi_error_set(KV_ENOMEM, "cannot allocate a network of %u machines", count);
    }
    for (unsigned i = 0; i < count; i++) {
        kvi_sim_endpoint *e = &net->endpoints[i];

        e->net = net;
        e->index = i;
        (void)snprintf(e->address, sizeof e->address, "m%u", i);
        kvi_list_init(&e->arrived);
        e->notify = unheard;
    }
    return KV_OK;
}

void kvi_sim_net_deinit(kvi_sim_net *net)
{
    while (!kvi_list_empty(&net->flying)) {
        parcel *p = KVI_LIST_FIRST(&net->flying, parcel, link);

        kvi_sim_cancel(net->world, &p->event);
        parcel_free(p);
    }
    for (unsigned i = 0; i < net->count; i++)
        KVI_ASSERT(!net->endpoints[i].inbox);
    kvi_mem_free(net->mem, net->endpoints);
    kvi_mem_free(net->mem, net->cuts);
}
