/*
 * The benchmarks themselves. One thread calls; the work may be spread over more (team.h).
 */
#ifndef BENCH_WORKLOAD_H
#define BENCH_WORKLOAD_H

#include <kv.h>

#include "disk.h"
#include "options.h"
#include "team.h"

/** The store that the benchmarks share. */
typedef struct workload {
    const options *options;
    place place;
    char path[PLACE_PATH_MAX];
    unsigned stores; /* made so far */
    kv *db;          /* NULL: none is open */
    uint64_t records;
    unsigned char *value; /* room for one, to compare with */
} workload;

/** One line of the result. */
typedef struct outcome {
    bench_entry entry;
    team_outcome team;
    uint64_t disk_bytes; /* of the store afterwards */
    double write_amp;    /* bytes written for each of the user's, since the store was made */
    double sync_rate;    /* of the disk itself; 0: not measured */
} outcome;

/** False, with a message and nothing to deinit, where it fails. */
bool workload_init(workload *w, const options *o);
/** Closes and removes the store, and the place of all. */
bool workload_deinit(workload *w);

/** Runs one benchmark. False, with a message, where anything failed or was wrong. */
bool workload_run(workload *w, bench_entry entry, outcome *out);

#endif
