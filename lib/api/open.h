/*
 * Opening a store over given seams: what kv_open() calls with the machine's, the simulator and
 * tests with their own.
 */
#ifndef KVI_API_OPEN_H
#define KVI_API_OPEN_H

#include "lsm/lsm.h"

/** What a store stands on, where it is not the machine. Borrowed, with all that it points to, until
 *  kv_close() has returned. */
typedef struct kvi_api_seams {
    /** Its memory, log and executor stand in for the allocator, log and workers of the options. */
    const kvi_os_env *env;
    const kvi_lsm_shape *shape; /* NULL: all sizes follow from the budget */
    uint8_t ring_bits;          /* of a cluster that is created; 0: the node's default */
    /** Jobs of env->exec are events of whoever made it: kv_step() runs none, and neither does a
     *  call that waits for the node. */
    bool external_exec;
    /** Stepped and placed: in place of sleeping, lets the world around go on until something has
     *  happened there, within wait_ns if it can. NULL: the node's own wait. */
    void (*idle)(void *user, uint64_t wait_ns);
    void *idle_user;
} kvi_api_seams;

/** As kv_open(). path NULL: files in memory, instead of env's. */
int kvi_api_open_over(const char *path, const kv_options *o, const kvi_api_seams *seams, kv **out)
    KVI_NODISCARD;

/** The same with the two seams that a store without a cluster has. */
int kvi_api_open(const char *path, const kv_options *o, const kvi_os_env *env,
                 const kvi_lsm_shape *shape, kv **out) KVI_NODISCARD;

#endif
