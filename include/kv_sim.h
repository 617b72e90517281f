/*
 * libkvsim: libkv for tests.
 *
 * libkvsim.a is the whole library and, beside it, what tests of a program that uses libkv need. It
 * is linked *instead* of libkv: a program has one of the two, and what it runs on in its tests is,
 * byte for byte, the code of the library. This header comes beside kv.h, whose rules hold here too
 * (results, structs, ownership). Nothing of it is in libkv itself.
 *
 *     cc my_transport_test.c my_transport.c -lkvsim -lzstd -lxxhash -lpthread
 */
#ifndef KV_SIM_H
#define KV_SIM_H

#include <kv.h>

#ifdef __cplusplus
extern "C" {
#endif

/* ------------------------------------------------------------------------------------------
 * The conformance kit for transports
 * ------------------------------------------------------------------------------------------ */

/** How many endpoints the kit makes at most, at as many addresses. */
#define KV_TRANSPORT_CHECK_ENDPOINTS 3u

/** A transport to be judged, and how. */
typedef struct kv_transport_check_config {
    uint32_t size;  /* set by KV_TRANSPORT_CHECK_CONFIG_INIT */
    uint32_t flags; /* 0 */
    void *user;     /* handed to the three functions */

    /** Makes object number index, to be started by the kit; out is set up by KV_TRANSPORT_INIT. All
     *  three of them are on one network and have nothing else in common. KV_OK, or an error that
     *  the kit returns. */
    int (*make)(void *user, unsigned index, kv_transport *out);

    /** Releases object number index. It was stopped, or never started. May be NULL. */
    void (*release)(void *user, unsigned index, kv_transport *transport);

    /** Told how each clause ended: its name; 1, 0, or -1 where it does not apply; and, in one line,
     *  what was seen, which is empty where it passed. Both are lent until it returns. May be NULL.
     *  On the thread that called the kit. */
    void (*report)(void *user, const char *clause, int passed, const char *detail);

    /** Where the three are reached: each is given to start, and to send. Distinct, free, and usable
     *  any number of times. */
    const char *addresses[KV_TRANSPORT_CHECK_ENDPOINTS];
    const char *nobody;  /* an address where nobody listens; NULL: that clause does not apply */
    const char *invalid; /* what start must refuse as KV_EINVAL; NULL: does not apply */

    /** The name of the one clause to judge, as report tells it; NULL: all of them. */
    const char *only;

    /** Milliseconds. A message that has not come after patience_ms, though it was repeated
     *  meanwhile, does not come; 0: 5,000. What must happen at once takes less than slack_ms; 0:
     *  250. */
    uint32_t patience_ms;
    uint32_t slack_ms;
} kv_transport_check_config;

/**
 * Puts a transport through every rule of kv_transport (kv.h): it makes three objects, plays a store
 * at each of them and reports clause by clause. Goes on after a clause that failed, as far as that
 * is safe. KV_OK: all hold. KV_ECONFLICT: at least one does not, kv_error_detail() tells the first.
 * Any other error: it could not be judged: KV_EINVAL (config is wrong), KV_ENOMEM, what make
 * answered.
 *
 * Real time passes: one to two seconds where all is well. It starts threads, at most three at a
 * time, which have ended when it returns. A method that never returns hangs the kit too: set a
 * limit to the test that runs it.
 */
KV_API int kv_transport_check(const kv_transport_check_config *config);

/* ------------------------------------------------------------------------------------------
 * The simulator: machines, a network between them and their disks, in one thread, in virtual time
 *
 *     kv_sim_options o = KV_SIM_OPTIONS_INIT;
 *     o.seed = 1; o.machines = 3;
 *     kv_sim_new(&o, &sim);
 *     kv_sim_open(sim, 0, &options_with_KV_CREATE, &db[0]);  ... the others join "m0" ...
 *     kv_sim_run(sim, 3000000000);                three seconds pass for all
 *     kv_put(db[1], ...);                         a call that waits lets the world go on meanwhile
 *     kv_sim_cut(sim, 0, 1, 1);                   nothing gets from 0 to 1 any more
 *     kv_sim_crash(sim, 2);                       power is lost; kv_sim_open() again is a restart
 *
 * The same seed and the same calls give the same run, on every machine and with every compiler:
 * kv_sim_trace() tells. Stores are those of the library, stepped, over simulated disks, clocks and
 * transport; nothing of the host's is touched, and no thread is started. One thread calls
 * everything here, and all stores of a simulation.
 * ------------------------------------------------------------------------------------------ */

typedef struct kv_sim kv_sim;

#define KV_SIM_MACHINES_MAX 1024u

/** How the network treats messages, each by itself. */
typedef struct kv_sim_network {
    uint32_t size;                       /* set by KV_SIM_NETWORK_INIT */
    uint32_t flags;                      /* 0 */
    uint64_t delay_min_ns, delay_max_ns; /* uniform between them; 0, 0: 0.2 to 1 ms */
    uint32_t loss_ppm;                   /* parts per million that are lost … */
    uint32_t duplicate_ppm;              /* … come twice … */
    uint32_t slow_ppm;                   /* … take up to slow_ns longer, and so are overtaken */
    uint64_t slow_ns;
} kv_sim_network;

typedef struct kv_sim_options {
    uint32_t size;           /* set by KV_SIM_OPTIONS_INIT */
    uint32_t flags;          /* 0 */
    uint64_t seed;           /* of everything */
    uint32_t machines;       /* 1 to KV_SIM_MACHINES_MAX */
    uint8_t partitions_log2; /* of clusters that are created: fewer are quicker; 0: as always */
    uint8_t reserved[3];
    const kv_sim_network *network; /* NULL: all defaults; copied */
    kv_log_fn *log;                /* of all stores; NULL: silent */
    void *user;                    /* handed to log */
} kv_sim_options;

/** *out is the caller's until kv_sim_free(). */
KV_API int kv_sim_new(const kv_sim_options *options, kv_sim **out);

/** Every store is closed or crashed. NULL is allowed. */
KV_API void kv_sim_free(kv_sim *sim);

/**
 * Opens the store of a machine, on its disk; a machine has one at a time. options as kv_open()
 * takes them; mode, workers, allocator, log and transport are the simulator's. listen NULL: alone;
 * else, whatever it is, it listens at the machine's name, "m0" for machine 0, which is what seeds
 * are given as. Ended by kv_close(), or by kv_sim_crash(). Errors as kv_open().
 */
KV_API int kv_sim_open(kv_sim *sim, unsigned machine, const kv_options *options, kv **out);

/** Time passes, for all. Callbacks run. */
KV_API void kv_sim_run(kv_sim *sim, uint64_t ns);

/** Nanoseconds since kv_sim_new(). */
KV_API uint64_t kv_sim_now(const kv_sim *sim);

/** How a crash leaves a disk. */
enum {
    KV_SIM_POWER_LOSS = 0, /* of what was not synced, any part survives, sectors may be torn */
    KV_SIM_PROCESS_END = 1 /* all that was written survives */
};

/** The machine's store ends at this moment: its handle is gone, callbacks of requests under way run
 *  once. Spaces, iterators, batches and lent values of it are closed already. */
KV_API int kv_sim_crash(kv_sim *sim, unsigned machine, int how);

/** The machine loses its disk: the next kv_sim_open() finds an empty one. It has no store open. */
KV_API int kv_sim_wipe(kv_sim *sim, unsigned machine);

/** The machine stands still, or goes on. Its clocks go on meanwhile, and what is sent to it
 *  waits. */
KV_API void kv_sim_pause(kv_sim *sim, unsigned machine, int paused);

/** Nothing gets from one machine to the other any more (cut not 0), or everything does again. One
 *  way: call it twice for a partition. */
KV_API void kv_sim_cut(kv_sim *sim, unsigned from, unsigned to, int cut);

/** All cuts are mended. */
KV_API void kv_sim_heal(kv_sim *sim);

/** From now on the network is like this. */
KV_API int kv_sim_set_network(kv_sim *sim, const kv_sim_network *network);

/** The machine's wall clock jumps by delta_ms, back or forth. */
KV_API void kv_sim_clock_jump(kv_sim *sim, unsigned machine, int64_t delta_ms);

/** The machine's clocks go faster by so many parts per million from now on, slower where negative;
 *  less than half a million. */
KV_API void kv_sim_clock_drift(kv_sim *sim, unsigned machine, int32_t ppm);

/** Calls of the machine's disk fail with KV_EIO, so many in a million; 0: none. */
KV_API void kv_sim_disk_errors(kv_sim *sim, unsigned machine, uint32_t ppm);

/** A digest of everything that has happened: equal for equal runs. */
KV_API uint64_t kv_sim_trace(const kv_sim *sim);

/** How many events there were: messages that arrived, steps, jobs of disks. */
KV_API uint64_t kv_sim_events(const kv_sim *sim);

/* ------------------------------------------------------------------------------------------
 * Initializers
 * ------------------------------------------------------------------------------------------ */

/* clang-format off */
#define KV_TRANSPORT_CHECK_CONFIG_INIT                                    \
    {sizeof(kv_transport_check_config), 0, NULL, NULL, NULL, NULL,        \
     {NULL, NULL, NULL}, NULL, NULL, NULL, 0, 0}
#define KV_SIM_NETWORK_INIT {sizeof(kv_sim_network), 0, 0, 0, 0, 0, 0, 0}
#define KV_SIM_OPTIONS_INIT \
    {sizeof(kv_sim_options), 0, 0, 1, 0, {0}, NULL, NULL, NULL}
/* clang-format on */

#ifdef __cplusplus
}
#endif
#endif
