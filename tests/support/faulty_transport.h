/*
 * A transport that breaks one rule of the treaty, or none: it wraps the network within a process.
 * For tests of the kit, which must find it out. Three objects; what is said about threads in kv.h
 * holds.
 */
#ifndef KVT_SUPPORT_FAULTY_TRANSPORT_H
#define KVT_SUPPORT_FAULTY_TRANSPORT_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>

#include "node/inbox.h"

#define KVT_FAULTY_ENDS 3

enum kvt_fault {
    /* These keep the treaty. */
    KVT_NO_FAULT,
    KVT_LOSES_AND_DOUBLES,
    KVT_NO_RESUME,
    KVT_NO_DESCRIPTOR,
    KVT_OWN_THREADS, /* no step */
    /* These do not. */
    KVT_SMALL_MESSAGES,      /* max_message is too little */
    KVT_STARTS_TWICE,        /* any address is free */
    KVT_SHARES_ADDRESS,      /* with who has it */
    KVT_WRONG_ERROR,         /* for an address that cannot be */
    KVT_CUTS,                /* the last byte of long messages */
    KVT_FLIPS,               /* a bit in the middle of them */
    KVT_FIRST_PARTS_ONLY,    /* of many */
    KVT_KEEPS_PARTS,         /* borrowed, until flush */
    KVT_KEEPS_ADDRESS,       /* the same */
    KVT_NOT_TO_ONESELF,      /* what is sent so is lost */
    KVT_FORGES_SENDER,       /* tells an address where nobody is */
    KVT_POSITIVE_ERROR,      /* where nobody is */
    KVT_BLOCKS_WHEN_FULL,    /* for a while */
    KVT_WAITS_FOR_RECEIVER,  /* when full */
    KVT_IGNORES_WAKE,        /* always */
    KVT_FORGETS_WAKE,        /* that came before the step */
    KVT_WAKES_NEXT_STEP,     /* not the one that waits */
    KVT_ENDLESS_OVERFLOWS,   /* a step without end returns at once */
    KVT_SPINS,               /* never waits */
    KVT_OVERSLEEPS,          /* longer than it may */
    KVT_SLEEPS_ON,           /* though a message has come */
    KVT_ALWAYS_READABLE,     /* its descriptor */
    KVT_NEVER_READABLE,      /* the same */
    KVT_ALWAYS_DUE,          /* next is 0 */
    KVT_LOSES_REFUSED,       /* messages, and has resume */
    KVT_ASKS_AGAIN,          /* before resume */
    KVT_HOLDS_ALL,           /* nobody is read where one peer is refused */
    KVT_DELIVERS_AFTER_STOP, /* to the inbox that it had */
    KVT_KEEPS_ADDRESSES,     /* that it was stopped at */
    KVT_STARTS_ONCE,         /* only */
    KVT_ONE_THREAD,          /* loses what is sent from another than started it */
    KVT_DELIVERS_IN_SEND     /* instead of in step */
};

typedef struct kvt_faulty_net kvt_faulty_net;

/** One object. Private. */
typedef struct kvt_faulty_end {
    struct kv_inbox between; /* what the wrapped one delivers to */
    kvt_faulty_net *net;
    kv_transport in; /* the wrapped one */
    kv_inbox *inbox; /* of the last start */
    char address[256];
    bool started, was_started;
    int pipe[2];
    unsigned sent;
    bool refused;
    atomic_bool woken;
    /* What it keeps until flush, or of whom it refused a message. */
    const char *kept_address;
    char kept_copy[256];
    kv_slice kept_parts[64];
    size_t kept_count;
    char *kept_bytes;
    /* KVT_OWN_THREADS */
    pthread_t thread, starter;
    pthread_mutex_t lock;
    atomic_bool quit;
} kvt_faulty_end;

struct kvt_faulty_net {
    kv_loop *loop;
    enum kvt_fault fault;
    kvt_faulty_end end[KVT_FAULTY_ENDS];
};

void kvt_faulty_open(kvt_faulty_net *net, enum kvt_fault fault);
/** Its objects are stopped. */
void kvt_faulty_close(kvt_faulty_net *net);

/** kv_transport_check_config.make; user is the network. */
int kvt_faulty_make(void *user, unsigned index, kv_transport *out);

#endif
