/*
 * What was forwarded to this node and was seen already: for each opening of each origin a window
 * over its sequence numbers, and the answers that were given, so that a doubled FORWARD is answered
 * again and never executed again.
 *
 * 1. A sequence is NEW once: the first time that it is asked about while it is within the window,
 *    whose top is the greatest sequence ever asked about. From then on it is SEEN.
 * 2. BELOW the window nothing is known, so nothing may be done. The origin keeps less than
 *    KVI_REPLAY_WINDOW sequences open, so what is below is of no one who waits.
 * 3. A window is forgotten only for another one, when there are KVI_REPLAY_ORIGINS, and only the
 *    one of which nothing has come for longest, KVI_REPLAY_QUIET_NS at least. Where there is none
 *    the new origin is not heard (BELOW).
 * 4. Answers are kept up to KVI_REPLAY_ANSWERS and KVI_REPLAY_BYTES, the oldest go first. Losing
 *    one is safe: a copy that comes later is not answered.
 *
 * Pure but for memory. One owner: the coordinator.
 */
#ifndef KVI_COORDINATOR_REPLAY_H
#define KVI_COORDINATOR_REPLAY_H

#include "base/buf.h"

#define KVI_REPLAY_WINDOW   16384u /* sequences of one origin */
#define KVI_REPLAY_ANSWERS  1024u  /* answers kept to be given again, all origins */
#define KVI_REPLAY_BYTES    (UINT32_C(4) << 20)
#define KVI_REPLAY_ORIGINS  8192u
#define KVI_REPLAY_QUIET_NS UINT64_C(600000000000) /* ten minutes */

enum kvi_replay_verdict { KVI_REPLAY_NEW = 1, KVI_REPLAY_SEEN, KVI_REPLAY_BELOW };

typedef struct kvi_replay kvi_replay;

int kvi_replay_new(const kvi_mem *mem, kvi_replay **out) KVI_NODISCARD;
/** NULL is allowed. */
void kvi_replay_free(kvi_replay *r);

/** A FORWARD came. Also BELOW where there is no memory for a window. */
enum kvi_replay_verdict kvi_replay_ask(kvi_replay *r, uint64_t origin, uint64_t open_id,
                                       uint64_t seq, uint64_t now_ns);

/** Keeps a copy of the answer, the bytes of which are the caller's to choose. Where there is no
 *  memory it is not kept. */
void kvi_replay_answered(kvi_replay *r, uint64_t origin, uint64_t open_id, uint64_t seq,
                         kvi_slice answer);

/** The answer; false: none was given yet, or it was dropped. Borrowed until the next call. */
bool kvi_replay_answer(const kvi_replay *r, uint64_t origin, uint64_t open_id, uint64_t seq,
                       kvi_slice *answer);

#endif
