/*
 * The inside of kv_transport_check(): a transport's three objects, an inbox behind each that knows
 * a whole message from a damaged one, and what the clauses are made of.
 *
 * 1. Messages tell who sent them, which one they are and how long they should be, so the inbox
 *    judges each by itself; late doubles of an earlier clause are known as such.
 * 2. An end is used by one thread at a time: mostly that which called the kit; a clause that lends
 *    an end to a thread of its own joins it before it returns. The inbox has a lock.
 * 3. What an object was ever started with lives until all objects are released, so that one which
 *    breaks the rules is found out and does no harm.
 */
#ifndef KVI_SIM_TRANSPORT_CHECK_H
#define KVI_SIM_TRANSPORT_CHECK_H

#include <stdatomic.h>

#include <kv_sim.h>

#include "base/mem.h"
#include "node/inbox.h"
#include "os/lock.h"
#include "os/wake.h"

#define KVI_TCHECK_ENDS        KV_TRANSPORT_CHECK_ENDPOINTS
#define KVI_TCHECK_PARTS       64u
#define KVI_TCHECK_IDS         16384u             /* messages told apart within a clause */
#define KVI_TCHECK_LARGEST     ((size_t)16 << 20) /* of max_message, more is not tried */
#define KVI_TCHECK_ADDRESS     256u
#define KVI_TCHECK_DETAIL      256u
#define KVI_TCHECK_SLOW_SENDS  3u /* a machine that stalls is forgiven less often than that */
#define KVI_TCHECK_HEADER      8u /* from here on messages have an id */
#define KVI_TCHECK_NS(ms)      ((uint64_t)(ms)*1000000u)
#define KVI_TCHECK_NOT_APPLIES (-1)

typedef struct kvi_tcheck kvi_tcheck;

/** What the kit plays a store with. */
typedef struct kvi_tcheck_inbox {
    struct kv_inbox base;
    kvi_tcheck *check;
    bool stepped; /* deliveries must come from inside step */

    kvi_os_mutex lock; /* of what follows */
    bool open;         /* between start and stop */
    bool in_step;
    int refuse;                      /* the end whose messages are answered KV_EBUSY, or -1 */
    unsigned refused;                /* how often that was done */
    uint32_t first_refused;          /* which one was the first */
    char from[KVI_TCHECK_ADDRESS];   /* of the last message; empty: none was told */
    unsigned damaged, late, outside; /* not whole; after stop; not from step */
    char fault[KVI_TCHECK_DETAIL];   /* the first of them, for a person */
    bool small[KVI_TCHECK_HEADER];   /* by length: messages without an id */
    uint32_t first_id;               /* of this clause */
    bool seen[KVI_TCHECK_IDS];       /* by id, from the first on */
    unsigned count[KVI_TCHECK_ENDS]; /* whole messages with an id, by sender */
} kvi_tcheck_inbox;

/** One object with the store that is played at it. */
typedef struct kvi_tcheck_end {
    kv_transport transport;
    kvi_tcheck_inbox inbox;
    bool made, started;

    /* What send borrows. */
    uint8_t *buffer; /* check->largest bytes */
    kv_slice parts[KVI_TCHECK_PARTS];
    char address[KVI_TCHECK_ADDRESS];

    atomic_uint sends; /* that have returned */
    unsigned slow;     /* … and took more than the slack */
    uint64_t slowest_ns;
} kvi_tcheck_end;

struct kvi_tcheck {
    kv_transport_check_config config;
    kvi_mem mem;
    kv_host host;
    size_t largest; /* message that is tried */
    kvi_tcheck_end end[KVI_TCHECK_ENDS];
    kvi_os_wake arrival; /* set by each delivery, for who has no step to wait in */
    atomic_uint next_id;
    char detail[KVI_TCHECK_DETAIL]; /* why this clause failed */
    char first[KVI_TCHECK_DETAIL];  /* … and the first that did, with its name */
};

/** How a message is sent: what comes beside its content. */
typedef struct kvi_tcheck_letter {
    unsigned from;
    const char *address;
    uint32_t id; /* for lengths from KVI_TCHECK_HEADER on */
    size_t len;
    size_t parts;  /* 0: one */
    bool scramble; /* overwrite what was borrowed as soon as send has returned */
} kvi_tcheck_letter;

/* --- The inbox (sim_transport_check_inbox.c) -------------------------------------------------- */

void kvi_tcheck_inbox_init(kvi_tcheck_inbox *in, kvi_tcheck *check);
void kvi_tcheck_inbox_deinit(kvi_tcheck_inbox *in);

/** Writes the len bytes of a message to out. */
void kvi_tcheck_compose(uint8_t *out, unsigned from, uint32_t id, size_t len);

/** A new clause, whose messages have ids from first_id on. */
void kvi_tcheck_inbox_begin(kvi_tcheck_inbox *in, uint32_t first_id);

void kvi_tcheck_inbox_set_open(kvi_tcheck_inbox *in, bool open);
void kvi_tcheck_inbox_set_in_step(kvi_tcheck_inbox *in, bool in_step);
/** -1: nobody is refused. */
void kvi_tcheck_inbox_refuse(kvi_tcheck_inbox *in, int from);

bool kvi_tcheck_inbox_has(kvi_tcheck_inbox *in, uint32_t id, size_t len);
unsigned kvi_tcheck_inbox_refused(kvi_tcheck_inbox *in, uint32_t *first);
/** Of this sender, with an id. */
unsigned kvi_tcheck_inbox_count(kvi_tcheck_inbox *in, unsigned from);
/** Copies the address of the last sender, of KVI_TCHECK_ADDRESS bytes. */
void kvi_tcheck_inbox_from(kvi_tcheck_inbox *in, char *out);

/* --- What clauses do (sim_transport_check_turn.c) --------------------------------------------- */

/** A clause begins: what earlier ones have left is not held against it. */
void kvi_tcheck_begin(kvi_tcheck *c);

/** Notes why the clause fails and returns 0. */
int kvi_tcheck_fail(kvi_tcheck *c, const char *fmt, ...) KVI_PRINTF(2, 3);

uint64_t kvi_tcheck_now(void);
uint64_t kvi_tcheck_patience_ns(const kvi_tcheck *c);
uint64_t kvi_tcheck_slack_ns(const kvi_tcheck *c);

/** Starts end i at address; what the transport answers. */
int kvi_tcheck_start(kvi_tcheck *c, unsigned i, const char *address) KVI_NODISCARD;
void kvi_tcheck_stop(kvi_tcheck *c, unsigned i);
/** Starts all that are not, where they belong. 0 with a detail where one refuses. */
int kvi_tcheck_start_all(kvi_tcheck *c) KVI_NODISCARD;

uint32_t kvi_tcheck_new_id(kvi_tcheck *c);

/** Sends and flushes; what the transport answers. */
int kvi_tcheck_send(kvi_tcheck *c, const kvi_tcheck_letter *letter);

/** Steps end i once, if it is started and has a step. */
void kvi_tcheck_step(kvi_tcheck *c, unsigned i, uint64_t timeout_ns);

/** Lets all ends work, and waits at end i for about a millisecond if it has nothing to do. */
void kvi_tcheck_turn(kvi_tcheck *c, unsigned i);
void kvi_tcheck_turns(kvi_tcheck *c, unsigned i, unsigned count);

/** Sends letter, again and again, until it has come at end to. 1, or 0 with a detail. */
int kvi_tcheck_carry(kvi_tcheck *c, unsigned to, const kvi_tcheck_letter *letter) KVI_NODISCARD;

/** … a message of len bytes from end to end. */
int kvi_tcheck_exchange(kvi_tcheck *c, unsigned from, unsigned to, size_t len) KVI_NODISCARD;

/** Whether no inbox got what was not whole; else 0 with a detail. */
int kvi_tcheck_all_whole(kvi_tcheck *c) KVI_NODISCARD;
/** Whether sends took no time; else 0 with a detail. */
int kvi_tcheck_sends_quick(kvi_tcheck *c) KVI_NODISCARD;

/* --- The clauses: 1 holds, 0 fails with a detail, -1 does not apply --------------------------- */

/* Messages: sim_transport_check_carry.c */
int kvi_tcheck_content(kvi_tcheck *c);
int kvi_tcheck_parts(kvi_tcheck *c);
int kvi_tcheck_borrowing(kvi_tcheck *c);
int kvi_tcheck_oneself(kvi_tcheck *c);
int kvi_tcheck_sender(kvi_tcheck *c);
int kvi_tcheck_unreachable(kvi_tcheck *c);
int kvi_tcheck_flood(kvi_tcheck *c);

/* Waiting: sim_transport_check_wait.c */
int kvi_tcheck_timeout(kvi_tcheck *c);
int kvi_tcheck_wake(kvi_tcheck *c);
int kvi_tcheck_arrival(kvi_tcheck *c);
int kvi_tcheck_pollfd(kvi_tcheck *c);

/* A life: sim_transport_check_life.c */
int kvi_tcheck_fields(kvi_tcheck *c);
int kvi_tcheck_starting(kvi_tcheck *c);
int kvi_tcheck_busy(kvi_tcheck *c);
int kvi_tcheck_stopping(kvi_tcheck *c);
int kvi_tcheck_restart(kvi_tcheck *c);
int kvi_tcheck_threads(kvi_tcheck *c);
int kvi_tcheck_inside(kvi_tcheck *c);

#endif
