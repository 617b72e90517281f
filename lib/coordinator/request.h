/*
 * A client's request as the coordinator takes it, and its answer. In the asker's memory, untouched
 * from kvi_coordinator_begin() until done has begun; strings and slices it points to as well.
 */
#ifndef KVI_COORDINATOR_REQUEST_H
#define KVI_COORDINATOR_REQUEST_H

#include "base/buf.h"
#include "base/error.h"
#include "base/list.h"
#include "wire/items.h"

enum kvi_request_call {
    KVI_REQUEST_GET = 1,
    KVI_REQUEST_PUT,
    KVI_REQUEST_DELETE,
    KVI_REQUEST_BATCH, /* items; all of one token */
    KVI_REQUEST_SCAN   /* one page */
};

typedef struct kvi_request kvi_request;

struct kvi_request {
    /* What is asked. All was checked against the limits of kv.h. */
    enum kvi_request_call call;
    uint32_t space;
    uint32_t flags;      /* kv_op.flags */
    uint8_t r, w;        /* 0: the space's */
    uint8_t durability;  /* 0: the store's */
    uint64_t timeout_ns; /* from begin; not 0 */
    uint64_t ttl_ms;     /* as kv_op.ttl_ms: 0: the space's default */
    kvi_slice key;       /* the user's */
    kvi_slice value;
    kvi_slice context; /* sealed (vclock/context.h); empty: none */
    kvi_wire_items items;
    struct {
        kvi_slice prefix; /* of the user's keys; one with a part: a walk within that part */
        bool has_after;
        bool after_resume; /* after is what `resume` of the page before said, not a key */
        kvi_slice after;   /* the last key seen: its successor in the order of the walk is next */
        uint32_t limit;    /* entries, at least 1 */
        size_t bytes;
    } scan;

    /* The answer, set before done. bufs are initialised by the asker. */
    int err;
    uint8_t acks, primaries, fallbacks, reached; /* reached: durability */
    kvi_buf object;  /* GET: merged, encoded; also of writes that are KV_ESIBLINGS; else empty */
    kvi_buf sealed;  /* the context: what was seen, or made */
    kvi_buf entries; /* SCAN: kvi_wire_entry items, in order … */
    uint32_t entry_count;
    bool more; /* … and there may be further ones behind the last, also where there are none here */
    /* SCAN: with more, always set: where the walk goes on, to be given as scan.after with
       after_resume. Not a key, since a page may end where no key is: a page without entries can
       only be resumed by it; behind one with entries the last key is as good. */
    kvi_buf resume;
    char detail[KVI_ERROR_DETAIL_MAX + 1];

    /** Called once, by kvi_coordinator_tick() (which is due at once where there is one to call), so
     *  never inside any other call. It may call the coordinator. */
    void (*done)(kvi_request *request);
    void *user;

    /* The coordinator's. */
    kvi_list link;
    void *state;
};

#endif
