/*
 * Parsing the command line.
 */
#include "options.h"

#include <errno.h>
#include <getopt.h>
#include <kv.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char *const names[BENCH_KINDS] = {
    [BENCH_FILLSEQ] = "fillseq",
    [BENCH_FILLRANDOM] = "fillrandom",
    [BENCH_FILLSYNC] = "fillsync",
    [BENCH_SETTLE] = "settle",
    [BENCH_READRANDOM] = "readrandom",
    [BENCH_READMISSING] = "readmissing",
    [BENCH_SCAN] = "scan",
};

static const char default_list[] =
    "fillrandom,settle,readrandom,readmissing,scan,fillsync:1,fillsync:8";

static const char usage[] =
    "usage: kv_bench [--option=value …]\n"
    "  --benchmarks=LIST   in order, each NAME or NAME:THREADS; the default is\n"
    "                      fillrandom,settle,readrandom,readmissing,scan,fillsync:1,fillsync:8\n"
    "                      fillseq, fillrandom and fillsync begin a new store; settle flushes it\n"
    "                      and waits for compaction; the others read the latest store\n"
    "  --num=N             records (1M); --sync-num=N of fillsync (10K)\n"
    "  --reads=N           of readrandom and readmissing (as many as records)\n"
    "  --value-size=BYTES  (100), half of it compressible; keys have 16 bytes\n"
    "  --threads=N         where the list says nothing (1)\n"
    "  --memory=BYTES      the store's budget (64M)\n"
    "  --compression=N     a zstd level, none, or default\n"
    "  --db=DIR            where the stores are made, and removed afterwards ($TMPDIR or /tmp)\n"
    "  --seed=N            of keys, values and their order (1)\n"
    "  --tsv               tab-separated values instead of the table\n"
    "Numbers may end in K or M: times 1,000 of a count, times 1,024 of bytes; bytes also in G.\n";

const char *bench_name(enum bench_kind kind)
{
    return names[kind];
}

static bool complain(const char *what, const char *value)
{
    fprintf(stderr, "kv_bench: %s: %s\n%s", what, value, usage);
    return false;
}

static bool parse_number(const char *text, uint64_t unit, uint64_t min, uint64_t max, uint64_t *out)
{
    static const char suffixes[] = "KMG";
    char *end;
    errno = 0;
    unsigned long long value = strtoull(text, &end, 10);
    if (errno != 0 || end == text || *text == '-')
        return complain("not a number", text);
    uint64_t factor = 1;
    if (*end != '\0') {
        const char *suffix = strchr(suffixes, *end);
        if (suffix == NULL || end[1] != '\0')
            return complain("not a number", text);
        for (long i = suffix - suffixes; i >= 0; i--)
            factor *= unit;
    }
    if (value > max / factor || value * factor < min)
        return complain("out of range", text);
    *out = value * factor;
    return true;
}

static bool parse_count(const char *text, uint64_t min, uint64_t max, uint64_t *out)
{
    return parse_number(text, 1000, min, max, out);
}

static bool parse_size(const char *text, uint64_t min, uint64_t max, size_t *out)
{
    uint64_t value;
    if (!parse_number(text, 1024, min, max < SIZE_MAX ? max : SIZE_MAX, &value))
        return false;
    *out = (size_t)value;
    return true;
}

static bool parse_threads(const char *text, unsigned *out)
{
    uint64_t value;
    if (!parse_count(text, 1, BENCH_THREADS_MAX, &value))
        return false;
    *out = (unsigned)value;
    return true;
}

static bool parse_compression(const char *text, int *out)
{
    uint64_t level;
    if (strcmp(text, "none") == 0)
        *out = KV_COMPRESS_NONE;
    else if (strcmp(text, "default") == 0)
        *out = 0;
    else if (!parse_count(text, 1, 19, &level))
        return false;
    else
        *out = (int)level;
    return true;
}

static bool parse_entry(options *o, const char *word, size_t len)
{
    bench_entry e = {BENCH_KINDS, 0};
    const char *colon = memchr(word, ':', len);
    size_t name_len = colon == NULL ? len : (size_t)(colon - word);
    for (int k = 0; k < BENCH_KINDS; k++)
        if (strlen(names[k]) == name_len && memcmp(names[k], word, name_len) == 0)
            e.kind = (enum bench_kind)k;
    if (e.kind == BENCH_KINDS)
        return complain("no such benchmark", word);
    if (colon != NULL) {
        char digits[8];
        size_t digits_len = len - name_len - 1;
        if (digits_len >= sizeof digits)
            return complain("too many threads", word);
        memcpy(digits, colon + 1, digits_len);
        digits[digits_len] = '\0';
        if (!parse_threads(digits, &e.threads))
            return false;
    }
    if (o->count == BENCH_LIST_MAX)
        return complain("too many benchmarks", word);
    o->list[o->count++] = e;
    return true;
}

static bool parse_list(options *o, const char *list)
{
    o->count = 0;
    for (;;) {
        size_t len = strcspn(list, ",");
        if (!parse_entry(o, list, len))
            return false;
        if (list[len] == '\0')
            return true;
        list += len + 1;
    }
}

static bool parse_option(options *o, int option)
{
    switch (option) {
    case 'b':
        return parse_list(o, optarg);
    case 'n':
        return parse_count(optarg, 1, UINT64_C(1) << 40, &o->num);
    case 'y':
        return parse_count(optarg, 1, UINT64_C(1) << 40, &o->sync_num);
    case 'r':
        return parse_count(optarg, 1, UINT64_C(1) << 40, &o->reads);
    case 'v':
        return parse_size(optarg, 0, BENCH_VALUE_MAX, &o->value_size);
    case 't':
        return parse_threads(optarg, &o->threads);
    case 'm':
        return parse_size(optarg, 1, SIZE_MAX, &o->memory);
    case 'c':
        return parse_compression(optarg, &o->compression);
    case 'd':
        o->db = optarg;
        return true;
    case 's':
        return parse_count(optarg, 0, UINT64_MAX, &o->seed);
    case 'T':
        o->tsv = true;
        return true;
    default:
        fputs(usage, stderr);
        return false;
    }
}

bool options_parse(options *o, int argc, char **argv)
{
    static const struct option table[] = {
        {"benchmarks", required_argument, NULL, 'b'},
        {"num", required_argument, NULL, 'n'},
        {"sync-num", required_argument, NULL, 'y'},
        {"reads", required_argument, NULL, 'r'},
        {"value-size", required_argument, NULL, 'v'},
        {"threads", required_argument, NULL, 't'},
        {"memory", required_argument, NULL, 'm'},
        {"compression", required_argument, NULL, 'c'},
        {"db", required_argument, NULL, 'd'},
        {"seed", required_argument, NULL, 's'},
        {"tsv", no_argument, NULL, 'T'},
        {NULL, 0, NULL, 0},
    };
    *o = (options){.num = 1000000,
                   .sync_num = 10000,
                   .value_size = 100,
                   .threads = 1,
                   .memory = (size_t)64 << 20,
                   .seed = 1};
    if (!parse_list(o, default_list))
        return false;
    for (int c; (c = getopt_long(argc, argv, "", table, NULL)) != -1;)
        if (!parse_option(o, c))
            return false;
    if (optind < argc)
        return complain("unexpected", argv[optind]);
    if (o->reads == 0)
        o->reads = o->num;
    return true;
}
