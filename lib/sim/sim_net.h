/*
 * A simulated network behind the transport seam (kv_transport of kv.h): endpoints at addresses,
 * messages as events of a world, faults by knobs and by cuts of single directions.
 *
 * 1. What is sent is copied, and lost, doubled or delayed by the world's seed. A cut holds when it
 *    is sent and when it arrives.
 * 2. What has arrived waits at the endpoint until its store steps; `notify` tells whoever steps it.
 *    One that the store has no room for holds up all behind it, whoever sent those, until a
 *    resume. A message that was under way when its receiver stopped never arrives, though another
 *    may listen at the same address by then.
 * 3. A store's step that waits lets the world run until something is there for it.
 * 4. Addresses are vouched for: an endpoint speaks as what it listens to. One thread.
 */
#ifndef KVI_SIM_NET_H
#define KVI_SIM_NET_H

#include "base/list.h"
#include "base/slice.h"
#include "sim/sim_world.h"

#define KVI_SIM_NET_MESSAGE_MAX (64u << 10)
#define KVI_SIM_NET_ADDRESS_MAX 31u

typedef struct kvi_sim_net kvi_sim_net;

/** Told of every message that is sent, before its fate is drawn. May not send. */
typedef void kvi_sim_tap_fn(void *user, unsigned from, unsigned to, kvi_slice message);

/** One machine's place in the network. */
typedef struct kvi_sim_endpoint {
    kvi_sim_net *net;
    unsigned index;
    char address[KVI_SIM_NET_ADDRESS_MAX + 1];
    kv_inbox *inbox; /* NULL: nobody listens */
    uint64_t life;   /* counts the starts */
    kvi_list arrived;
    bool woken, blocked, paused;
    void (*notify)(void *user); /* there is something to step for */
    void *user;
} kvi_sim_endpoint;

/** Times in ns, chances in parts per million. */
typedef struct kvi_sim_net_knobs {
    uint64_t delay_min_ns, delay_max_ns, slow_ns;
    uint32_t loss_ppm, duplicate_ppm, slow_ppm;
} kvi_sim_net_knobs;

struct kvi_sim_net {
    kvi_sim_world *world;
    const kvi_mem *mem;
    kvi_sim_net_knobs knobs;
    unsigned count;
    kvi_sim_endpoint *endpoints;
    bool *cuts; /* [from * count + to] */
    kvi_list flying;
    uint64_t sent, lost;
    kvi_sim_tap_fn *tap;
    void *tap_user;
};

/** count endpoints, "m0" and so on. KV_ENOMEM. */
int kvi_sim_net_init(kvi_sim_net *net, kvi_sim_world *world, const kvi_mem *mem, unsigned count)
    KVI_NODISCARD;
/** No store uses it. */
void kvi_sim_net_deinit(kvi_sim_net *net);

/** For kv_options.transport of the machine's store. */
void kvi_sim_net_transport(kvi_sim_endpoint *e, kv_transport *out);

/** Something has arrived, or was said by wake. */
bool kvi_sim_endpoint_ready(const kvi_sim_endpoint *e);

/** A message of somebody who is no store: as if it came from this address. For hostile peers. */
int kvi_sim_net_inject(kvi_sim_net *net, const char *from, unsigned to, const void *bytes,
                       size_t len) KVI_NODISCARD;

/** tap NULL: nobody. */
void kvi_sim_net_tap(kvi_sim_net *net, kvi_sim_tap_fn *tap, void *user);

#endif
