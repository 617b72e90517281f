/*
 * A simulated machine with one small store on it: small enough that a few hundred writes make
 * several levels of tables and many log segments.
 *
 * 1. The machine does not move. The store's shape and options stay the same over its lives.
 * 2. Nothing but the seed and the calls decides what happens.
 * One thread.
 */
#ifndef KVT_SIM_MACHINE_H
#define KVT_SIM_MACHINE_H

#include "api/open.h"
#include "sim/sim_env.h"

#define KVT_STORE_PATH "store"

typedef struct kvt_plan {
    kv_options options;
    kvi_lsm_shape shape;
    bool mapped; /* the log, where there is one */
} kvt_plan;

/** Memtables of 8 KiB, log segments of two pages, five levels within 100 KiB. */
void kvt_plan_tiny(kvt_plan *p);

typedef struct kvt_machine {
    kvi_sim_env env;
    const kvt_plan *plan; /* borrowed */
    kv *db;               /* NULL: not open */
} kvt_machine;

const kvi_mem *kvt_machine_mem(void);

/** With an empty disk. */
void kvt_machine_init(kvt_machine *m, const kvt_plan *plan, uint64_t seed);

/** With this disk, which it takes over, at this moment. */
void kvt_machine_init_on(kvt_machine *m, const kvt_plan *plan, uint64_t seed, kvi_sim_fs *disk,
                         uint64_t now_ns);

/** The store is closed; asserts that it left nothing. */
void kvt_machine_deinit(kvt_machine *m);

int kvt_machine_open(kvt_machine *m);
int kvt_machine_close(kvt_machine *m);

/** The process dies, and another may begin: on the same disk, with all that was written and not
 *  synced. What the store lent was given back. */
void kvt_machine_kill(kvt_machine *m);

static inline int64_t kvt_machine_now_ms(const kvt_machine *m)
{
    return kvi_os_wall_ms(m->env.os.clock);
}

/** The store's newest sequence. */
uint64_t kvt_machine_last_seq(const kvt_machine *m);

/** Whether the directory holds exactly what the open store refers to; what does not fit is written
 *  to why. Right after an open, or once all jobs have run. */
bool kvt_machine_is_tidy(const kvt_machine *m, char *why, size_t why_len);

#endif
