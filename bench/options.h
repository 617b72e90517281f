/*
 * The command line of kv_bench.
 */
#ifndef BENCH_OPTIONS_H
#define BENCH_OPTIONS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define BENCH_LIST_MAX    32
#define BENCH_THREADS_MAX 64
#define BENCH_VALUE_MAX   (1u << 20)

enum bench_kind {
    BENCH_FILLSEQ,
    BENCH_FILLRANDOM,
    BENCH_FILLSYNC,
    BENCH_SETTLE,
    BENCH_READRANDOM,
    BENCH_READMISSING,
    BENCH_SCAN,
    BENCH_KINDS
};

/** One entry of --benchmarks. */
typedef struct bench_entry {
    enum bench_kind kind;
    unsigned threads; /* 0: --threads */
} bench_entry;

typedef struct options {
    uint64_t num;      /* records */
    uint64_t sync_num; /* records of fillsync */
    uint64_t reads;    /* of readrandom and readmissing; 0: num */
    size_t value_size;
    unsigned threads;
    const char *db; /* directory for the stores; NULL: that for temporary files */
    size_t memory;
    int compression;
    uint64_t seed;
    bool tsv;
    bench_entry list[BENCH_LIST_MAX];
    size_t count;
} options;

const char *bench_name(enum bench_kind kind);

/** False, with a message, where the command line makes no sense. */
bool options_parse(options *o, int argc, char **argv);

#endif
