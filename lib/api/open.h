/*
 * Opening a store over given seams: what kv_open() calls with the machine's, the simulator and
 * tests with their own.
 */
#ifndef KVI_API_OPEN_H
#define KVI_API_OPEN_H

#include "lsm/lsm.h"

/**
 * As kv_open(), over env, which is borrowed with all that it points to until kv_close() has
 * returned; its memory, log and executor stand in for the allocator, log, user and workers of o.
 * path NULL: files in memory, instead of env's. shape NULL: all sizes follow from the budget.
 */
int kvi_api_open(const char *path, const kv_options *o, const kvi_os_env *env,
                 const kvi_lsm_shape *shape, kv **out) KVI_NODISCARD;

#endif
