/*
 * The replica of a node: what it is made of, and who of it gets what comes. See the header for the
 * contract.
 */
#include "replication/replication.h"

#include "base/check.h"
#include "base/error.h"
#include "replication/replication_impl.h"

static void set_hints(kvi_replication *r, const kvi_replication_config *config)
{
    kvi_hints *h = &r->hints;

    h->mem = r->mem;
    h->effects = r->effects;
    h->cluster = r->cluster;
    h->count_max = config->hints_count_max ? config->hints_count_max : KVI_HINTS_COUNT_MAX;
    h->bytes_max = config->hints_bytes_max ? config->hints_bytes_max : KVI_HINTS_BYTES_MAX;
    h->age_max_ms = config->hints_age_max_ms ? config->hints_age_max_ms : KVI_HINTS_AGE_MAX_MS;
    h->replication = r;
    h->stats = &r->stats;
    h->on_counted = kvi_handoff_tick;
    kvi_hints_init(h);
}

int kvi_replication_new(const kvi_replication_config *config, kvi_replication **out)
{
    kvi_replication *r = kvi_mem_zalloc(config->mem, 1, sizeof *r);
    int err;

    if (!r)
        return kvi_error_set(KV_ENOMEM, "cannot allocate a node's replica");
    r->mem = config->mem;
    r->effects = config->effects;
    r->cluster = config->cluster;
    err = kvi_updates_new(r->mem, r->effects, r->cluster, &r->updates);
    if (err) {
        kvi_mem_free(config->mem, r);
        return err;
    }
    set_hints(r, config);
    r->updates->hints = &r->hints;
    kvi_hint_replay_init(r);
    kvi_hints_count(&r->hints);
    *out = r;
    return KV_OK;
}

void kvi_replication_free(kvi_replication *r)
{
    if (!r)
        return;
    KVI_ASSERT(r->jobs == 0);
    kvi_hint_replay_deinit(r);
    kvi_updates_free(r->updates);
    kvi_hints_deinit(&r->hints);
    kvi_mem_free(r->mem, r);
}

kvi_updates *kvi_replication_updates(kvi_replication *r)
{
    return r->updates;
}

void kvi_replication_receive(kvi_replication *r, uint64_t from, const kvi_wire_message *m)
{
    if (r->closing)
        return;
    switch ((int)m->kind) {
    case KVI_WIRE_APPLY:
        kvi_apply_receive(r, from, &m->u.apply);
        break;
    case KVI_WIRE_APPLY_ACK:
        kvi_hint_replay_acked(r, from, &m->u.apply_ack);
        break;
    case KVI_WIRE_READ:
        kvi_answer_read(r, from, &m->u.read);
        break;
    case KVI_WIRE_SCAN:
        kvi_answer_scan(r, from, &m->u.scan);
        break;
    default:
        KVI_ASSERT(false); /* not for replication */
    }
}

void kvi_replication_tick(kvi_replication *r)
{
    if (r->closing)
        return;
    if (r->cluster->now_ns >= r->hints.retry_ns)
        kvi_hints_count(&r->hints);
    kvi_handoff_tick(r);
}

uint64_t kvi_replication_deadline(const kvi_replication *r)
{
    if (r->closing)
        return UINT64_MAX;
    return kvi_min_u64(r->hints.retry_ns, kvi_handoff_deadline(r));
}

uint64_t kvi_replication_hints(const kvi_replication *r, uint64_t owner)
{
    const kvi_hint_owner *o;

    if (owner == 0)
        return r->hints.count;
    o = kvi_hints_owner(&r->hints, owner);
    return o ? o->count : 0;
}

const kvi_replication_stats *kvi_replication_statistics(const kvi_replication *r)
{
    return &r->stats;
}

bool kvi_replication_hint_room(const kvi_replication *r, uint64_t bytes)
{
    if (!r->hints.counted && !r->hints.counting)
        return false;
    return bytes <= INT64_MAX / 2 && kvi_hints_room(&r->hints, 1, (int64_t)bytes);
}
