/*
 * The struct behind a node's replica, and how the files of this folder divide it: apply.c, answer.c,
 * handoff.c and hint_replay.c each know their own jobs, replication.c hands out what comes. For
 * lib/replication alone.
 */
#ifndef KVI_REPLICATION_REPLICATION_IMPL_H
#define KVI_REPLICATION_REPLICATION_IMPL_H

#include "base/heap.h"
#include "replication/hints.h"

struct kvi_replication {
    const kvi_mem *mem;
    kvi_effects *effects;
    kvi_cluster *cluster;
    kvi_updates *updates;
    kvi_hints hints;
    kvi_replication_stats stats;
    uint32_t jobs; /* KVI_REPLICA_JOBS_MAX */
    bool closing;  /* an effect was canceled: nothing new is begun by ourselves */

    /* hint_replay.c */
    uint64_t next_id;
    kvi_map replays; /* id -> the replay that waits for its answer */
    kvi_heap timers; /* of these */
};

/* --- apply.c, answer.c: m is borrowed ------------------------------------------------------- */

void kvi_apply_receive(kvi_replication *r, uint64_t from, const kvi_wire_apply *m);
void kvi_answer_read(kvi_replication *r, uint64_t from, const kvi_wire_read *m);
void kvi_answer_scan(kvi_replication *r, uint64_t from, const kvi_wire_scan *m);

/* --- handoff.c: walks over hints ------------------------------------------------------------- */

/** What is due is repeated, walks go on or begin. */
void kvi_handoff_tick(kvi_replication *r);
uint64_t kvi_handoff_deadline(const kvi_replication *r);

/** Begins what is due for o. */
void kvi_handoff_pump(kvi_replication *r, kvi_hint_owner *o);
/** o refused, or something of its walk failed: not at once again. */
void kvi_handoff_pause(kvi_replication *r, kvi_hint_owner *o);
/** It is a member, and believed to answer. There is a ring. */
bool kvi_handoff_reachable(const kvi_replication *r, const kvi_hint_owner *o);

/* --- hint_replay.c: one hint ------------------------------------------------------------------ */

void kvi_hint_replay_init(kvi_replication *r);
/** Forgets those that wait for an answer; nothing else is under way. */
void kvi_hint_replay_deinit(kvi_replication *r);
void kvi_hint_replay_tick(kvi_replication *r);
void kvi_hint_replay_acked(kvi_replication *r, uint64_t from, const kvi_wire_apply_ack *m);

/** Brings home the hint with this physical key, whose object had so many bytes. KV_ENOMEM. */
int kvi_hint_replay_begin(kvi_replication *r, kvi_hint_owner *o, kvi_slice physical, uint64_t bytes)
    KVI_NODISCARD;
/** Takes it back unsent, unless it was renewed since made_ms. KV_ENOMEM. */
int kvi_hint_replay_begin_drop(kvi_replication *r, kvi_hint_owner *o, kvi_slice physical,
                               int64_t made_ms) KVI_NODISCARD;

#endif
