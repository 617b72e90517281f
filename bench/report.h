/*
 * How kv_bench shows its results: a table for a person, or tab-separated values. Standard output.
 */
#ifndef BENCH_REPORT_H
#define BENCH_REPORT_H

#include "options.h"
#include "workload.h"

void report_begin(const options *o, const place *p);
void report_outcome(const options *o, const outcome *out);
void report_end(const options *o);

#endif
