/*
 * A histogram of durations: log-linear, 64 cells for each power of two, so a percentile is exact
 * to 1.6 %, from 1 ns to 18 minutes. Fixed size, no allocation.
 *
 * One thread fills one; merge them afterwards.
 */
#ifndef BENCH_LATENCY_H
#define BENCH_LATENCY_H

#include <stdint.h>

#define LATENCY_SUB_BITS 6u
#define LATENCY_POWERS   34u /* beyond the first, whose cells are single nanoseconds */
#define LATENCY_CELLS    ((LATENCY_POWERS + 1u) << LATENCY_SUB_BITS)

typedef struct latency {
    uint64_t cells[LATENCY_CELLS];
    uint64_t count;
    uint64_t max; /* exact */
} latency;

void latency_init(latency *l);
void latency_add(latency *l, uint64_t ns);
void latency_merge(latency *into, const latency *from);

/** The duration that the share (0 to 1) of all samples does not exceed; 0 where there are none. */
uint64_t latency_percentile(const latency *l, double share);

#endif
