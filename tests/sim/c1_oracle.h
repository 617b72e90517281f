/*
 * The swarm's oracle: knows every request and its answer, sees every message, looks into every
 * engine, and says which of the truths does not hold. It uses the library's decoders to look at
 * bytes, and nothing of how it merges.
 *
 * Each put writes a value of its own, which tells its request. By the objects that it sees in
 * messages and engines the oracle learns which dot stands for which request.
 *
 * Of every key:
 *   twice    One request has one dot (applied twice, it would have two; a last-write-wins put may
 *            be stamped again), and one dot one content.
 *   truth 1  When KV_OK is said, as many machines as the receipt says hold an object that has seen
 *            all that the receipt's context says, and the write; they are at least w. Looked at when
 *            the coordinator says so; one that went down, has a sick disk or handed a copy home
 *            since the request began may lack it. So it is with what KV_EUNCERTAIN counts, though
 *            not at least w; but not of last write wins, which may end between two stamps.
 *   stand-in A write with KV_PRIMARIES_ONLY counts none.
 *   truth 2  The value of a request that was refused, given up or too late is nowhere, ever.
 *   read     What is read was put to this key.
 *   seen     A get from primaries only, begun after a write was acknowledged, has seen it, where
 *            the primaries of both overlap (receipt's primaries + r > n). So has every replica in
 *            the end, whatever the receipt.
 *   live     A request at a machine that stays up ends within twice its time-out, not counting
 *            while the machine stood still.
 *   the end  All primaries hold the same bytes, and nobody a hint.
 *   spread   Where nobody went down they do so before anybody reads: a write, acknowledged or not,
 *            goes on until each of them has it.
 *
 * Keys of C1_CONTEXTS are put and deleted only with the context of an earlier call, so it is known
 * which requests each one replaces: those whose dots its context covers.
 *   truth 3  A value that was seen and is not there any more was covered by the context of a
 *            request that was not refused. Of the final state also: by one that is in there, or a
 *            delete.
 *   truth 4  The context that a write is answered with replaces, beside what the write had seen and
 *            the write itself, nothing that nobody has replaced already.
 *   truth 5  What an acknowledged request's context covered is not in the final state, and no get
 *            shows it that must have seen that request. Nothing that is in the final state covers
 *            anything else in it.
 * Keys of C1_BLIND and C1_NEVER_DELETED are written without contexts: a put replaces what its
 * coordinator holds, which nobody is told.
 *   truth 3  An acknowledged put that is not there in the end has a write to its key that did not
 *            end before it began.
 *   unseen   A put without KV_OVERWRITE replaces at most one value. What its coordinating replica
 *            held is told by the object that the put made: where its value is alone in there, that
 *            replica had seen all that this object has, but the put. Who has seen the same holds
 *            the same siblings: so if anybody was met in that state with several values, the put
 *            has replaced them all. Of states that nobody was met in nothing is said.
 *   deleted  A delete that reads primaries only has seen every write that was acknowledged before
 *            it began, where the primaries of both overlap. Of what an acknowledged delete has seen
 *            nothing is shown by a get from primaries only, begun later, where those overlap.
 *   nothing  A key that is never deleted is not absent for a get that was begun after a put of it
 *            was acknowledged by primaries only, where w + r > n: a get's r counts primaries, and
 *            stand-ins only where they hold something.
 *
 * Last-write-wins spaces: twice (a dot is a stamp), truths 1 and 2, read, live, the end, spread, and
 *   truth 3  the final stamp is at least the greatest acknowledged one.
 *
 * One oracle for one run. The first violation is kept as text, the others are counted.
 */
#ifndef KVT_SIM_C1_ORACLE_H
#define KVT_SIM_C1_ORACLE_H

#include "base/hash.h"
#include "sim/c1_cluster.h"
#include "vclock/object.h"
#include "wire/envelope.h"

#define C1_OPS_LIMIT   4096u
#define C1_KNOWN_LIMIT 8192u /* objects whose dots are noted already */
#define C1_CROWDED_MAX 4096u /* states with several values that are remembered */
#define C1_OUTCOMES    32u
#define C1_VALUE_MAX   65500u

/** A request. */
typedef struct c1_op {
    uint32_t id;  /* its number, 1 and up */
    uint8_t call; /* KV_REQUEST_… */
    unsigned key, machine;
    uint8_t r, w; /* resolved */
    bool primaries_only, overwrite;
    bool canceled; /* kv_cancel() was called for it */
    uint32_t timeout_ms;
    uint64_t ticket;
    uint64_t begin_ns, end_ns; /* end 0: under way */
    uint64_t idle_ns, downs;   /* of its machine, when it began */
    bool forwarded;            /* a message was seen that hands it on … */
    uint64_t seq;              /* … as this */
    bool judged;               /* truth 1 was looked at */
    bool has_given;            /* it came with a context */
    kvi_clock given, made;     /* the context it came with, the context of its result */
    int err;
    uint8_t acks, primaries, fallbacks;
    bool forbidden; /* truth 2: it changed nothing */
    bool dot_known;
    kvi_dot dot; /* the last one, of last write wins */
} c1_op;

/** What a dot stands for. */
typedef struct c1_content {
    kvi_dot dot;
    uint32_t id; /* 0: a tombstone */
} c1_content;

typedef struct c1_contents {
    c1_content *items;
    unsigned count, cap;
} c1_contents;

typedef struct c1_oracle {
    c1_cluster *cluster;
    c1_op *ops;
    unsigned count;
    unsigned open; /* not ended */
    c1_contents contents[C1_KEYS];
    uint64_t known[C1_KNOWN_LIMIT];
    uint64_t crowded[C1_CROWDED_MAX]; /* what an object with several values has seen; by digest */
    uint64_t handed_ns[C1_KEYS][C1_MACHINES_MAX]; /* when it last sent a copy home */
    kvi_buf look;
    bool final; /* the last looks are being taken */
    uint64_t violations;
    uint64_t outcomes[C1_OUTCOMES]; /* by -err */
    uint64_t looks, messages, digest;
    unsigned most_siblings;
    char why[512];
} c1_oracle;

void c1_oracle_init(c1_oracle *o, c1_cluster *c);
void c1_oracle_deinit(c1_oracle *o);

/** The bytes of a put's value; returns how many. */
size_t c1_value_of(const c1_plan *p, uint32_t id, uint8_t out[C1_VALUE_MAX]);

/** A request is about to be made; NULL: there were too many. The oracle's until it ends. */
c1_op *c1_oracle_begin(c1_oracle *o, uint8_t call, unsigned key, unsigned machine,
                       const kv_op *options);
/** It was refused by kv_submit(). */
void c1_oracle_refused(c1_oracle *o, c1_op *op, int err);
/** It has ended. */
void c1_oracle_end(c1_oracle *o, c1_op *op, int err, const kv_result *result);

/** For kvi_sim_net_tap(). */
void c1_oracle_tap(void *oracle, unsigned from, unsigned to, kvi_slice message);

/** A walk shows an entry of a key. */
void c1_oracle_walked(c1_oracle *o, kvi_slice key, const kv_value *value);

/** c1_final.c: all is healed, nothing was read since, and nobody has crashed in this run. */
void c1_oracle_spread(c1_oracle *o);
/** c1_final.c: all is healed and read by all: the end. */
void c1_oracle_final(c1_oracle *o);

/* --- shared by c1_oracle.c, c1_learn.c and c1_final.c ----------------------------------------- */

/** Notes a violation. */
void c1_oracle_blame(c1_oracle *o, const char *format, ...) KVI_PRINTF(2, 3);

/** c1_learn.c: notes all dots of an object. false: it does not decode. */
bool c1_oracle_learn(c1_oracle *o, unsigned key, kvi_slice encoded);
/** The request that put this value to key, if all is well. NULL: blamed. */
c1_op *c1_oracle_op_of(c1_oracle *o, unsigned key, kvi_slice value);

/** The same, without a judgement. NULL: nobody has put this. */
c1_op *c1_op_by_value(c1_oracle *o, kvi_slice value);

/** Whether all in a is in b. */
bool c1_clock_within(const kvi_clock *a, const kvi_clock *b);
/** The object has seen all that clock says. */
bool c1_object_has(const kvi_object *object, const kvi_clock *clock);
/** Some request whose context covers the dot may have replaced it. */
bool c1_oracle_covered(const c1_oracle *o, unsigned key, const kvi_dot *dot,
                       const kvi_clock *applied);

static inline kvi_slice c1_key_slice(unsigned key)
{
    return kvi_slice_of(c1_key_name(key), strlen(c1_key_name(key)));
}

#endif
