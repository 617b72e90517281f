/*
 * What the demo does with a store, one function a phase. Each shows its progress, compares what
 * the store answers with the input, counts what is wrong, and leaves a row of the table. Phases
 * end early when the user interrupts. One thread.
 */
#ifndef DEMO_PHASES_H
#define DEMO_PHASES_H

#include <kv.h>

#include "demo_input.h"
#include "demo_measure.h"

#define DEMO_ROWS_MAX  16
#define DEMO_RATES_MAX 8

/** A share of something, for the second table. */
typedef struct rate {
    const char *name;
    uint64_t part;
    uint64_t whole;
} rate;

typedef struct demo {
    const input *in;
    const char *path; /* of the store */
    size_t memory;    /* bytes, 0: the library's default */
    uint64_t random;  /* state */
    kv *db;
    size_t loaded; /* records of the input that were put */
    size_t *order; /* places in in->sorted, shuffled */
    bool *deleted; /* by place in in->sorted */
    size_t deleted_count;
    uint64_t wrong;
    samples samples;
    row rows[DEMO_ROWS_MAX];
    size_t row_count;
    rate rates[DEMO_RATES_MAX];
    size_t rate_count;
} demo;

/** False: out of memory. demo_deinit() is due in both cases. */
bool demo_init(demo *d, const input *in);
void demo_deinit(demo *d);

/** Counts a fault and shows the first few. */
void demo_wrong(demo *d, const record *r, const char *what, int err);

/** Puts the next records of the input, at most limit of them and for no longer than limit_ns, and
 *  returns from each put when it is as durable as asked. */
void demo_load(demo *d, const char *what, uint8_t durability, size_t limit, uint64_t limit_ns);

/** Reads all records in a new random order. What was deleted must be gone. rate_name: for the
 *  share of blocks found in the cache; NULL: not shown. */
void demo_read_all(demo *d, const char *what, const char *rate_name);

/** Reads a key that was never put for each record. */
void demo_read_missing(demo *d, const char *what);

/** Walks over the keys with this prefix, up or down, and expects each of them in order. */
void demo_scan(demo *d, const char *what, const char *prefix, size_t prefix_len, bool down);

/** Deletes every tenth record of a random order. */
void demo_delete_some(demo *d, const char *what);

#endif
