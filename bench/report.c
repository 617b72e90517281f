/*
 * The table and the tab-separated values.
 */
#include "report.h"

#include <inttypes.h>
#include <stdio.h>
#include <sys/resource.h>

void report_begin(const options *o, const place *p)
{
    if (o->tsv) {
        printf("benchmark\tthreads\tops\tseconds\tops_per_s\tp50_us\tp99_us\tp999_us\tmax_us\t"
               "disk_bytes\twrite_amp\tsyncs_per_s\tsync_ratio\n");
        return;
    }
    printf("libkv %s in %s\n", kv_version(), p->dir);
    printf("%" PRIu64 " records, keys of %u bytes, values of %zu; memory %zu MiB; ", o->num,
           RECORD_KEY_LEN, o->value_size, o->memory >> 20);
    if (o->compression == KV_COMPRESS_NONE)
        printf("no compression");
    else if (o->compression == 0)
        printf("default compression");
    else
        printf("zstd level %d", o->compression);
    printf("; seed %" PRIu64 "\n\n", o->seed);
    printf("%-14s %10s %9s %11s %9s %9s %9s %10s %8s %6s\n", "", "ops", "seconds", "ops/s",
           "p50 us", "p99 us", "p99.9 us", "max us", "disk MB", "w-amp");
}

static double micros(const latency *l, double share)
{
    return (double)latency_percentile(l, share) / 1e3;
}

void report_outcome(const options *o, const outcome *out)
{
    char name[32];
    const latency *l = &out->team.latency;
    double seconds = (double)out->team.ns / 1e9;
    double rate = (double)out->team.ops / seconds;
    double max = (double)l->max / 1e3;
    double ratio = out->sync_rate > 0 ? rate / out->sync_rate : 0;

    if (o->tsv) {
        printf("%s\t%u\t%" PRIu64 "\t%.6f\t%.1f\t%.3f\t%.3f\t%.3f\t%.3f\t%" PRIu64
               "\t%.3f\t%.1f\t%.3f\n",
               bench_name(out->entry.kind), out->entry.threads, out->team.ops, seconds, rate,
               micros(l, 0.5), micros(l, 0.99), micros(l, 0.999), max, out->disk_bytes,
               out->write_amp, out->sync_rate, ratio);
        fflush(stdout);
        return;
    }
    snprintf(name, sizeof name, "%s:%u", bench_name(out->entry.kind), out->entry.threads);
    printf("%-14s %10" PRIu64 " %9.3f %11.0f %9.2f %9.2f %9.2f %10.1f %8.1f %6.2f", name,
           out->team.ops, seconds, rate, micros(l, 0.5), micros(l, 0.99), micros(l, 0.999), max,
           (double)out->disk_bytes / 1e6, out->write_amp);
    if (out->sync_rate > 0)
        printf("  %.2f of %.0f single syncs/s", ratio, out->sync_rate);
    printf("\n");
    fflush(stdout);
}

void report_end(const options *o)
{
    struct rusage u;
    if (o->tsv || getrusage(RUSAGE_SELF, &u) != 0)
        return;
    printf("\nPeak resident memory of the process: %.1f MiB. All answers were right.\n",
           (double)u.ru_maxrss / 1024);
}
