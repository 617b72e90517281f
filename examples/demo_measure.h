/*
 * What the demo measures with and how it shows it: a clock, samples of single calls, a table of
 * them, a progress line, and numbers as a person reads them. One thread.
 */
#ifndef DEMO_MEASURE_H
#define DEMO_MEASURE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/** Nanoseconds of a clock that only goes forward. */
uint64_t now_ns(void);

/** Pseudo-random: splitmix64. The same state gives the same numbers. */
uint64_t random_next(uint64_t *state);

/** SIGINT and SIGTERM are noted, so that the demo can clean up and leave; a reader of its output
 *  that goes away does not end it. */
void catch_interrupts(void);
bool interrupted(void);

/* ---- samples ---------------------------------------------------------------------------- */

/** The time of each call of a phase, in nanoseconds. */
typedef struct samples {
    uint64_t *ns;
    size_t count;
    size_t cap;
} samples;

/** Makes room for cap samples and forgets the old ones. False: out of memory. */
bool samples_begin(samples *s, size_t cap);
void samples_add(samples *s, uint64_t ns);
void samples_free(samples *s);

/** One line of the table of timed calls. */
typedef struct row {
    char name[48];
    uint64_t ops;
    double per_second; /* of the time spent in the calls alone */
    uint64_t p50, p99, p999, max;
} row;

/** Sorts the samples and sums them up. */
row row_of(samples *s, const char *name);
void print_rows(const row *rows, size_t count);

/* ---- progress --------------------------------------------------------------------------- */

/** A bar that is redrawn on a terminal; elsewhere one line for each tenth, if asked. */
typedef struct progress {
    const char *what;
    size_t total;
    size_t done;
    size_t next; /* shown again when done gets here */
    bool bar;
    bool tenths;
    uint64_t begin_ns;
} progress;

void progress_begin(progress *p, const char *what, size_t total, bool tenths);
/** One more is done. False: the user wants to stop. */
bool progress_step(progress *p);
/** Replaces the bar by a line that says how it went. */
void progress_end(progress *p, const char *outcome);

/* ---- numbers ---------------------------------------------------------------------------- */

#define NUMBER_MAX 32
typedef char number[NUMBER_MAX];

/** Each fills out and returns it. */
const char *show_count(number out, uint64_t n);    /* 63,666 */
const char *show_bytes(number out, uint64_t n);    /* 49.2 MB, of 10^6 bytes */
const char *show_micros(number out, uint64_t ns);  /* 3.27, or 1,204 */
const char *show_seconds(number out, uint64_t ns); /* 2.41 s, or 3.1 ms */
/** A share in percent, or a dash where there is no whole. */
const char *show_share(number out, uint64_t part, uint64_t whole);

#endif
