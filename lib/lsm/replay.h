/*
 * Replay: the log's records back into a memtable, in order of sequence.
 *
 * 1. Records at or below `flushed` are in tables already and are passed over.
 * 2. A record must follow its predecessor without a gap. A segment that begins behind a gap, since
 *    the end of the one before it was torn, ends the log: what lies behind it was never
 *    acknowledged as durable, and is dropped. A gap within a segment, or before what was known to
 *    be synced (all older segments were synced first), is corruption.
 * 3. Nothing on the disk changes, but that a full memtable is written to a table, which nothing
 *    refers to yet.
 */
#ifndef KVI_LSM_REPLAY_H
#define KVI_LSM_REPLAY_H

#include "lsm/engine.h"

#define KVI_LSM_LOGS_MAX 65536u /* log files in a directory */

typedef struct kvi_lsm_replay {
    kvi_lsm *lsm;
    kvi_buf numbers;            /* uint64_t: log files found, ascending */
    uint64_t last_seq;          /* replayed or flushed */
    uint64_t flushed;           /* up to here in tables */
    kvi_lsm_memtable *memtable; /* what is not */
    kvi_lsm_version *version;   /* tables, with those that replay wrote */
    kvi_list segments;          /* kept, oldest first */
} kvi_lsm_replay;

/** Finds the logs of the directory from number floor on. version is referenced. */
int kvi_lsm_replay_init(kvi_lsm_replay *r, kvi_lsm *l, kvi_lsm_version *version, uint64_t flushed,
                        uint64_t floor) KVI_NODISCARD;
void kvi_lsm_replay_deinit(kvi_lsm_replay *r);
int kvi_lsm_replay_run(kvi_lsm_replay *r) KVI_NODISCARD;

#endif
