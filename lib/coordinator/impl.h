/*
 * What the files of this folder share: the coordinator itself, its jobs, where a key lies, and how
 * a write ends. For lib/coordinator alone.
 *
 * A job is one state machine:
 *
 *   origin.c  a client's write, at the node where it arrived: finds who coordinates it
 *   write.c   a write at its coordinator: decided on the own replica, then spread
 *   read.c    a read of one key: a get, or what a delete collects
 *   scan.c    a page of a walk
 *
 * 1. A job runs when it is due, when a message with its id comes, or when an effect that it asked
 *    for completes. It is due at once when it begins and when the world changes (ring, peers), and
 *    then looks at everything again. So no job ever runs inside a call of another module, and begin
 *    calls nobody back.
 * 2. Ids are counted, from a random beginning, and never used again; what answers an id that is
 *    gone is late, and dropped.
 * 3. A job's memory goes when it has answered, has nothing more to do, and no effect that points
 *    into it is under way.
 * 4. Whom a job tells of its end may begin others but frees no job.
 */
#ifndef KVI_COORDINATOR_IMPL_H
#define KVI_COORDINATOR_IMPL_H

#include "base/check.h"
#include "base/heap.h"
#include "base/map.h"
#include "coordinator/coordinator.h"
#include "coordinator/latency.h"
#include "coordinator/replay.h"

#define KVI_NEVER UINT64_MAX

/* --- jobs (job.c) -------------------------------------------------------------------------- */

typedef struct kvi_job kvi_job;

typedef struct kvi_job_ops {
    /** Its time has come: sets its next one by kvi_job_wake, or is not due again. */
    void (*due)(kvi_job *job);
    /** A message with its id; NULL: none is expected. */
    void (*receive)(kvi_job *job, uint64_t from, const kvi_wire_message *m);
} kvi_job_ops;

struct kvi_job {
    kvi_coordinator *c;
    const kvi_job_ops *ops;
    kvi_list link; /* in kvi_coordinator.jobs */
    kvi_heap_node timer;
    uint64_t id;
    bool counted;  /* against KVI_REQUESTS_MAX */
    bool canceled; /* to be given up when it is due next */
};

/** Whom this node talks to. Kept for good: there are as many as members. */
typedef struct kvi_colleague {
    kvi_latency latency;
    uint64_t next_seq;  /* of FORWARDs to it, from where no earlier opening has counted */
    kvi_map forwards;   /* sequence -> kvi_job that waits for the answer */
    uint64_t least_seq; /* none below is in forwards */
} kvi_colleague;

struct kvi_coordinator {
    kvi_coordinator_config config;
    const kvi_mem *mem;
    kvi_effects *effects;
    kvi_cluster *cluster;

    kvi_list jobs;
    kvi_heap timers; /* every job, KVI_NEVER where it waits for something else */
    kvi_map by_id;
    uint64_t last_id;
    uint32_t counted;

    kvi_list finished;  /* requests whose done is to be called */
    kvi_map colleagues; /* by node id */
    kvi_replay *replay;
    kvi_hlc hlc;
    uint64_t hlc_asked; /* the bound that is being persisted; 0: none */
    uint32_t repairs;   /* reads that repair after their answer */
    bool closing;
};

/** Takes a new job in; its due comes at once. KV_ENOMEM; KV_EBUSY where it is counted and there are
 *  too many. */
int kvi_job_begin(kvi_coordinator *c, kvi_job *job, const kvi_job_ops *ops, bool counted)
    KVI_NODISCARD;
/** Takes it out: nothing finds it any more. Its memory is the caller's to free. */
void kvi_job_end(kvi_job *job);
/** Due at at_ns, or earlier if that was said before. */
void kvi_job_wake(kvi_job *job, uint64_t at_ns);
/** Counted from now on, whether there is room or not: it goes on behind its answer. */
void kvi_job_count(kvi_job *job);
/** Has another id from now on. KV_ENOMEM. */
int kvi_job_renew_id(kvi_job *job) KVI_NODISCARD;
void kvi_jobs_wake_all(kvi_coordinator *c);

/** Sets the request's err and detail (this thread's, where err is not KV_OK) and has done
 *  called. */
void kvi_request_finish(kvi_coordinator *c, kvi_request *request, int err);

/** NULL: no memory. */
kvi_colleague *kvi_colleague_of(kvi_coordinator *c, uint64_t node);
void kvi_colleague_took(kvi_coordinator *c, uint64_t node, uint64_t ns);

/* --- where a key lies (plan.c) --------------------------------------------------------------- */

typedef struct kvi_plan {
    uint64_t token;
    uint32_t partition;
    uint8_t r, w;  /* as numbers */
    uint8_t n;     /* how many of nodes are primaries */
    uint8_t count; /* of nodes: primaries, then fallbacks */
    uint64_t nodes[KVI_RING_LIST_MAX];
} kvi_plan;

/** r, w: of a request, 0 where it names none. KV_EINVAL: over the space's n. KV_ENOENT: the ring,
 *  as known here, has no such space. The ring is there. */
int kvi_plan_space(const kvi_cluster *cluster, uint32_t space, uint8_t r, uint8_t w, kvi_plan *out)
    KVI_NODISCARD;
/** Fills in where a token lies; n was set. */
void kvi_plan_walk(const kvi_cluster *cluster, uint64_t token, kvi_plan *plan);

/** The number of the first node that can be reached, from `from` on; plan->count: none. */
unsigned kvi_plan_reachable(const kvi_cluster *cluster, const kvi_plan *plan, unsigned from);
/** The place of node; plan->count: it is not there. */
unsigned kvi_plan_place(const kvi_plan *plan, uint64_t node);

static inline bool kvi_node_reachable(const kvi_cluster *cluster, uint64_t node)
{
    return node == cluster->self || cluster->reachable(cluster->user, node);
}

/** Errors of a replica that may be over when it is asked again: also KV_ENOENT, a space of a ring
 *  that it has not seen yet. */
static inline bool kvi_error_passes(int err)
{
    return err == KV_EBUSY || err == KV_ENOMEM || err == KV_ENOENT || err == KV_EUNAVAILABLE ||
           err == KV_ECANCELED;
}

/* --- contexts (seal.c) ------------------------------------------------------------------------ */

/** out becomes the context that says seen, or what a client has seen who has read o. The ring is
 *  there. KV_ENOMEM, and out is empty. */
int kvi_seal(const kvi_coordinator *c, uint32_t space, kvi_slice key, const kvi_clock *seen,
             kvi_buf *out) KVI_NODISCARD;
int kvi_seal_object(const kvi_coordinator *c, uint32_t space, kvi_slice key, const kvi_object *o,
                    kvi_buf *out) KVI_NODISCARD;
/** seen becomes what a context of this key says. KV_EINVAL: it is none of this key's. KV_ENOMEM. */
int kvi_unseal(const kvi_coordinator *c, uint32_t space, kvi_slice key, kvi_slice context,
               kvi_clock *seen) KVI_NODISCARD;

/* --- how a write ends ---------------------------------------------------------------------- */

/** As it is told between nodes; seq is for whoever forwards it. Slices are borrowed during the
 *  call. */
typedef kvi_wire_forward_answer kvi_outcome;

/** Told once. */
typedef void kvi_outcome_fn(void *user, const kvi_outcome *outcome);

/* --- the machines --------------------------------------------------------------------------- */

/** A client's write. On failure nothing has begun. */
int kvi_origin_begin(kvi_coordinator *c, kvi_request *request) KVI_NODISCARD;
/** A FORWARD_ANSWER from an opening of a peer. */
void kvi_origin_receive(kvi_job *job, uint64_t from_open, const kvi_wire_forward_answer *answer);

/** A write to be coordinated here. What ask points to is copied. */
int kvi_writer_begin(kvi_coordinator *c, const kvi_wire_forward *ask, bool counted,
                     kvi_outcome_fn *told, void *user, kvi_job **out) KVI_NODISCARD;

/** A FORWARD from a peer. */
void kvi_serve(kvi_coordinator *c, uint64_t from, uint64_t from_open,
               const kvi_wire_forward *forward);

/** A client's page. */
int kvi_scanner_begin(kvi_coordinator *c, kvi_request *request) KVI_NODISCARD;

/** What a read found: all that was answered, merged. */
typedef struct kvi_read_result {
    int err;
    kvi_object *merged; /* where err is KV_OK; may be empty */
    uint8_t answered;   /* that counted, and … */
    uint8_t primaries;  /* … of them primaries */
} kvi_read_result;

typedef void kvi_read_fn(void *user, const kvi_read_result *result);

typedef struct kvi_read_ask {
    uint32_t space;
    kvi_slice key; /* copied */
    uint8_t r;
    uint32_t flags; /* of the request */
    uint64_t deadline_ns;
    bool counted;
    kvi_read_fn *told; /* once */
    void *user;
} kvi_read_ask;

int kvi_reader_begin(kvi_coordinator *c, const kvi_read_ask *ask, kvi_job **out) KVI_NODISCARD;
/** A client's get. */
int kvi_get_begin(kvi_coordinator *c, kvi_request *request) KVI_NODISCARD;

#endif
