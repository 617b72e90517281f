/*
 * Threads that share one piece of work: each takes a range of its operations, times each of them
 * and checks what the store answers.
 *
 * 1. All begin together; the time taken is from the first start to the last end.
 * 2. After the first fault nobody begins another operation.
 */
#ifndef BENCH_TEAM_H
#define BENCH_TEAM_H

#include <kv.h>

#include "latency.h"
#include "record.h"

/** The work: what op does with number i is decided by the caller. */
typedef struct team_work {
    kv *db;
    shuffle order;     /* which record is the i-th */
    uint64_t count;    /* operations in all, over all threads */
    uint64_t seed;     /* of values */
    size_t value_size; /* bytes */
    uint8_t durability;
    bool in_sequence; /* do not shuffle */
} team_work;

/** One thread's things. */
typedef struct team_member {
    const team_work *work;
    kv_result result;
    unsigned char *value; /* value_size bytes to build one */
} team_member;

/** One operation on record `number`. KV_OK, or what went wrong: KV_ECORRUPT for a wrong answer. */
typedef int team_op(team_member *m, uint64_t number);

typedef struct team_outcome {
    uint64_t ops;
    uint64_t ns;
    latency latency;
} team_outcome;

/** Runs it. False, with a message, where anything failed or was wrong. */
bool team_run(const team_work *work, team_op *op, unsigned threads, team_outcome *out);

#endif
