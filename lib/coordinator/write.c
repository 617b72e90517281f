/*
 * The states of a write at its coordinator; see write.h for the contract.
 */
#include "coordinator/write.h"

#include "base/error.h"

/* From each state to which. */
static const uint8_t legal[] = {
    [KVI_WRITER_WAITING] =
        1u << KVI_WRITER_COLLECTING | 1u << KVI_WRITER_DECIDING | 1u << KVI_WRITER_ENDING,
    [KVI_WRITER_COLLECTING] = 1u << KVI_WRITER_DECIDING | 1u << KVI_WRITER_ENDING,
    [KVI_WRITER_DECIDING] =
        1u << KVI_WRITER_BOUNDING | 1u << KVI_WRITER_SPREADING | 1u << KVI_WRITER_ENDING,
    [KVI_WRITER_BOUNDING] =
        1u << KVI_WRITER_DECIDING | 1u << KVI_WRITER_SPREADING | 1u << KVI_WRITER_ENDING,
    [KVI_WRITER_SPREADING] = 1u << KVI_WRITER_DECIDING | 1u << KVI_WRITER_ENDING,
    [KVI_WRITER_ENDING] = 0,
};

void kvi_writer_go(kvi_writer *w, enum kvi_writer_state to)
{
    KVI_ASSERT(legal[w->state] & 1u << to);
    w->state = to;
}

/* --- the answer ------------------------------------------------------------------------------ */

void kvi_writer_tell(kvi_writer *w, int err, bool definitive)
{
    kvi_outcome_fn *told = w->told;
    kvi_outcome out = {0};

    if (!told)
        return;
    w->told = NULL;
    out.err = err;
    out.definitive = definitive;
    if (w->round > 0) {
        kvi_writer_count(w, &out.acks, &out.primaries, &out.fallbacks);
        out.context = kvi_buf_slice(&w->made);
    } else if (err == KV_OK) { /* there was nothing to delete */
        out.acks = w->collect_acks;
        out.primaries = w->collect_primaries;
        out.fallbacks = (uint8_t)(out.acks - out.primaries);
        out.context = kvi_buf_slice(&w->made);
    } else if (err == KV_ESIBLINGS) {
        out.object = kvi_buf_slice(&w->refused_by);
        out.context = kvi_buf_slice(&w->refused_seen);
    }
    out.durability = out.acks > 0 ? w->durability : 0;
    if (err)
        out.detail = kvi_slice_of(kvi_error_detail(), strlen(kvi_error_detail()));
    kvi_job_count(&w->job);
    told(w->user, &out);
}

static int uncertain(const kvi_writer *w, const char *why)
{
    uint8_t acks, primaries, fallbacks;

    kvi_writer_count(w, &acks, &primaries, &fallbacks);
    return kvi_error_set(KV_EUNCERTAIN, "%s: %u of %u replicas have confirmed the write", why, acks,
                         w->plan.w);
}

/* Ends with err before anything was written. */
static void refuse(kvi_writer *w, int err)
{
    KVI_ASSERT(w->round == 0 && err);
    kvi_writer_tell(w, err, true);
    kvi_writer_go(w, KVI_WRITER_ENDING);
}

/* Nobody waits any longer. What nothing was written of is definitive: decide sees that told is gone
 * and refuses. */
static void give_up(kvi_writer *w, int err, const char *why)
{
    if (w->round > 0 || w->decided) {
        kvi_writer_tell(w, uncertain(w, why), false);
        return;
    }
    err = kvi_error_set(err, "%s, and nothing was written", why);
    if (w->updating)
        kvi_writer_tell(w, err, true);
    else
        refuse(w, err);
}

/* --- the own replica -------------------------------------------------------------------------- */

static void own_written(kvi_update *u)
{
    kvi_writer *w = u->user;

    w->round++;
    w->again = false;
    kvi_writer_go(w, KVI_WRITER_SPREADING);
    kvi_writer_spread_begin(w);
    kvi_writer_step(w); /* which does not end before done */
}

/* The update ended before its write was readable. */
static void own_failed(kvi_writer *w, int err)
{
    kvi_coordinator *c = w->job.c;

    if (w->wants_bound && w->told) {
        w->bound = kvi_hlc_bound(&c->hlc, c->cluster->wall_ms);
        kvi_writer_go(w, KVI_WRITER_BOUNDING);
        return;
    }
    if (w->round > 0) {
        kvi_writer_tell(w, uncertain(w, "a replica has a newer stamp, and this node gave no newer"),
                        false);
        kvi_writer_go(w, KVI_WRITER_SPREADING);
        return;
    }
    if (w->decided && err == KV_EIO) { /* it may be in the log */
        kvi_writer_tell(
            w, kvi_error_set(KV_EUNCERTAIN, "the coordinating node's store failed while it wrote"),
            false);
        kvi_writer_go(w, KVI_WRITER_ENDING);
        return;
    }
    refuse(w, err);
}

static void own_done(kvi_update *u, int err)
{
    kvi_writer *w = u->user;

    w->updating = false;
    if (w->state == KVI_WRITER_SPREADING)
        w->own->state = err ? KVI_HOLDER_FAILED
                        : kvi_cluster_durability(w->job.c->cluster, w->durability) < w->durability
                            ? KVI_HOLDER_WEAK
                            : KVI_HOLDER_HELD;
    else
        own_failed(w, err);
    kvi_writer_step(w);
}

/* Begins a round. */
static int own_begin(kvi_writer *w)
{
    kvi_coordinator *c = w->job.c;
    kvi_update *u = &w->update;
    int err;

    KVI_ASSERT(!w->updating);
    if (w->round > 0) {
        err = kvi_job_renew_id(&w->job);
        if (err)
            return err;
    }
    kvi_update_release(u, c->mem);
    err = kvi_update_init(u, c->mem, w->count);
    if (err)
        return err;
    for (uint32_t i = 0; i < w->count; i++) {
        u->items[i].space = w->items[i].space;
        u->items[i].key = w->items[i].key;
    }
    u->token = w->plan.token;
    u->durability = w->durability;
    u->hint_for = kvi_writer_own_slot(w);
    u->decide = kvi_writer_decide;
    u->written = own_written;
    u->done = own_done;
    u->user = w;
    w->decided = w->wants_bound = false;
    w->updating = true;
    kvi_update_begin(kvi_replication_updates(c->config.replication), u);
    return KV_OK;
}

static void decide_now(kvi_writer *w)
{
    int err = own_begin(w);

    if (!err)
        kvi_writer_go(w, KVI_WRITER_DECIDING);
    else if (w->round == 0)
        refuse(w, err);
    else if (w->state != KVI_WRITER_SPREADING)
        kvi_writer_go(w, KVI_WRITER_SPREADING);
}

/* --- the states ------------------------------------------------------------------------------- */

static int unavailable(const kvi_writer *w)
{
    return kvi_error_set(KV_EUNAVAILABLE,
                         "fewer than %u nodes that may hold the key can be reached; nothing was "
                         "written",
                         w->plan.w);
}

static void run_waiting(kvi_writer *w)
{
    const kvi_cluster *cluster = w->job.c->cluster;
    int err;

    if (!cluster->ring || kvi_ring_stage(cluster->ring) != KVI_RING_SERVING) {
        cluster->want_serving(cluster->user);
        return;
    }
    err = kvi_writer_place(w);
    if (err == KV_ENOENT)
        return; /* whoever forwards knows the space: the ring that has it is on its way */
    if (!err && !kvi_writer_possible(w))
        err = unavailable(w);
    if (err) {
        refuse(w, err);
        return;
    }
    if (kvi_writer_must_collect(w))
        kvi_writer_go(w, KVI_WRITER_COLLECTING);
    else
        decide_now(w);
}

static void run_collecting(kvi_writer *w)
{
    if (!kvi_writer_collect(w))
        return;
    if (w->collect_err) {
        kvi_error_note("what is to be deleted could not be read from %u replicas, and nothing was "
                       "written",
                       w->plan.r);
        refuse(w, w->collect_err);
    } else if (w->count == 0) {
        kvi_writer_tell(w, KV_OK, false);
        kvi_writer_go(w, KVI_WRITER_ENDING);
    } else if (!kvi_writer_possible(w)) {
        refuse(w, unavailable(w));
    } else {
        decide_now(w);
    }
}

static void run_bounding(kvi_writer *w)
{
    kvi_coordinator *c = w->job.c;

    if (c->hlc.bound >= w->bound) {
        w->bound = 0;
        decide_now(w);
        return;
    }
    if (c->hlc_asked == 0 && !w->wants_bound) { /* it was persisted, and that failed */
        int err = kvi_error_set(KV_EIO, "the bound of stamps could not be stored");

        if (w->round == 0) {
            refuse(w, err);
            return;
        }
        kvi_writer_tell(w, uncertain(w, "the bound of stamps could not be stored"), false);
        kvi_writer_go(w, KVI_WRITER_SPREADING);
        return;
    }
    w->wants_bound = false;
    if (c->hlc_asked == 0) {
        c->hlc_asked = w->bound;
        c->config.persist_hlc(c->config.user, w->bound);
    } else {
        w->bound = c->hlc_asked;
    }
}

static void run_spreading(kvi_writer *w)
{
    uint8_t acks, primaries, fallbacks;

    kvi_writer_count(w, &acks, &primaries, &fallbacks);
    if (w->told && acks >= w->plan.w)
        kvi_writer_tell(w, KV_OK, false);
    if (w->job.c->closing)
        kvi_writer_mark_rest(w);
    if (w->again && w->told && !w->updating) {
        decide_now(w);
        if (w->state != KVI_WRITER_SPREADING)
            return;
        w->again = false;
    }
    kvi_job_wake(&w->job, kvi_writer_spread(w));
    if (w->told && kvi_writer_hopeless(w))
        kvi_writer_tell(w, uncertain(w, "the replicas have refused it"), false);
    if (!w->told && kvi_writer_settled(w) && !w->updating)
        kvi_writer_go(w, KVI_WRITER_ENDING);
}

static void end(kvi_writer *w)
{
    kvi_coordinator *c = w->job.c;

    KVI_ASSERT(!w->told);
    kvi_job_end(&w->job);
    kvi_update_release(&w->update, c->mem);
    kvi_update_release(&w->marker, c->mem);
    kvi_writer_drop(w);
    kvi_mem_free(c->mem, w);
}

void kvi_writer_step(kvi_writer *w)
{
    enum kvi_writer_state before;

    if (w->told && w->job.canceled)
        give_up(w, KV_ECANCELED, "it was given up");
    else if (w->told && w->job.c->cluster->now_ns >= w->deadline_ns)
        give_up(w, KV_EUNAVAILABLE, "the time is over");
    do {
        before = w->state;
        if (w->state == KVI_WRITER_WAITING)
            run_waiting(w);
        else if (w->state == KVI_WRITER_COLLECTING)
            run_collecting(w);
        else if (w->state == KVI_WRITER_BOUNDING)
            run_bounding(w);
        else if (w->state == KVI_WRITER_SPREADING)
            run_spreading(w);
    } while (w->state != before);
    if (w->told)
        kvi_job_wake(&w->job, w->deadline_ns);
    if (w->state == KVI_WRITER_ENDING && !w->updating && !w->marking && w->reads == 0)
        end(w);
}

static void due(kvi_job *job)
{
    kvi_writer_step(KVI_CONTAINER_OF(job, kvi_writer, job));
}

static const kvi_job_ops writer_ops = {due, kvi_writer_receive};

int kvi_writer_begin(kvi_coordinator *c, const kvi_wire_forward *ask, bool counted,
                     kvi_outcome_fn *told, void *user, kvi_job **out)
{
    kvi_writer *w = kvi_mem_zalloc(c->mem, 1, sizeof *w);
    int err;

    if (!w)
        return kvi_error_set(KV_ENOMEM, "no memory for a write");
    w->job.c = c;
    kvi_buf_init(&w->bytes, c->mem);
    kvi_buf_init(&w->apply, c->mem);
    kvi_buf_init(&w->made, c->mem);
    kvi_buf_init(&w->refused_by, c->mem);
    kvi_buf_init(&w->refused_seen, c->mem);
    w->told = told;
    w->user = user;
    w->deadline_ns = c->cluster->now_ns + kvi_min_u64(ask->timeout_ns, KVI_NEVER / 2);
    err = kvi_writer_take(w, ask);
    if (!err)
        err = kvi_job_begin(c, &w->job, &writer_ops, counted);
    if (err) {
        kvi_writer_drop(w);
        kvi_mem_free(c->mem, w);
        return err;
    }
    *out = &w->job;
    return KV_OK;
}
