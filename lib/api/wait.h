/*
 * The only place of the library that waits: for room, for earlier writers, for a sync, for a flush.
 * The engine says that something is pending and wakes who asked; the threads of the host wait here.
 *
 * Any thread that holds no lock and is not one of the executor's.
 */
#ifndef KVI_API_WAIT_H
#define KVI_API_WAIT_H

#include "api/store.h"

/** How often one call may be sent back to try again: far more than fairness ever needs. */
#define KVI_API_TRIES_MAX 1000000u

/** Writes w (its waiter is set here) and waits until it is readable: KV_OK, KVI_STALE, or an error,
 *  after which nothing was written (but see kv_put() on KV_EIO). Counts stalls. */
int kvi_api_write(kvi_api_store *s, kvi_lsm_write *w) KVI_NODISCARD;

/** Takes a guard of the physical key, waiting for writes to it that are under way. */
int kvi_api_guard(kvi_api_store *s, kvi_slice key, kvi_lsm_guard *out) KVI_NODISCARD;

/** Waits until every write up to seq, which is readable, is on the disk. The store has a log. Every
 *  failure is KV_EIO: codes that say that nothing was written would say too much. */
int kvi_api_sync(kvi_api_store *s, uint64_t seq) KVI_NODISCARD;

/** Waits until what was readable before the call is in tables. */
int kvi_api_flush(kvi_api_store *s) KVI_NODISCARD;

/** The error of a conditional write that never found the key at rest. */
int kvi_api_contended(void) KVI_NODISCARD;

#endif
