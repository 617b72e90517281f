/*
 * Each benchmark: what it does with a record, and around it.
 */
#include "workload.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>

#define SYNC_RATE_NS     UINT64_C(500000000) /* how long the disk's own rate is measured, twice */
#define LOG_RECORD_EXTRA 24u                 /* about what a log adds to a record */
#define SCAN_SAMPLE      32u                 /* one step in so many is timed */
#define QUIET_NS         UINT64_C(200000000) /* settled: nothing happens for so long */
#define QUIET_CPU_NS     UINT64_C(10000000)  /* … and no thread uses more than this meanwhile */
#define SETTLE_MAX_NS    UINT64_C(600000000000)

static bool failed(const char *what, int err)
{
    fprintf(stderr, "kv_bench: %s: %s: %s\n", what, kv_strerror(err), kv_error_detail());
    return false;
}

/* ---- the store -------------------------------------------------------------------------- */

static bool open_store(workload *w, unsigned flags)
{
    kv_options o = KV_OPTIONS_INIT;
    o.flags = flags;
    o.memory = w->options->memory;
    o.compression = w->options->compression;
    int err = kv_open(w->path, &o, &w->db);
    return err == KV_OK || failed("kv_open", err);
}

static bool close_store(workload *w)
{
    if (w->db == NULL)
        return true;
    int err = kv_close(w->db);
    w->db = NULL;
    return err == KV_OK || failed("kv_close", err);
}

static bool drop_store(workload *w)
{
    bool closed = close_store(w);
    bool removed = w->stores == 0 || place_remove_store(w->path);
    return closed && removed;
}

static bool begin_store(workload *w)
{
    if (!drop_store(w))
        return false;
    place_store(&w->place, w->stores++, w->path);
    w->records = 0;
    return open_store(w, KV_MUST_CREATE);
}

bool workload_init(workload *w, const options *o)
{
    memset(w, 0, sizeof *w);
    w->options = o;
    w->value = malloc(o->value_size + 1);
    if (w->value == NULL) {
        fprintf(stderr, "kv_bench: out of memory\n");
        return false;
    }
    if (place_make(&w->place, o->db))
        return true;
    free(w->value);
    return false;
}

bool workload_deinit(workload *w)
{
    bool dropped = drop_store(w);
    free(w->value);
    return place_remove(&w->place) && dropped;
}

/* ---- operations ------------------------------------------------------------------------- */

static int put_record(team_member *m, uint64_t number)
{
    const team_work *w = m->work;
    char key[RECORD_KEY_LEN];
    kv_op op = KV_OP_INIT;
    op.durability = w->durability;
    record_key(key, number);
    record_value(m->value, w->value_size, w->seed, number);
    return kv_put(w->db, key, sizeof key, m->value, w->value_size, &op, NULL);
}

static int get_record(team_member *m, uint64_t number)
{
    const team_work *w = m->work;
    char key[RECORD_KEY_LEN];
    record_key(key, number);
    int err = kv_get(w->db, key, sizeof key, NULL, &m->result);
    if (err != KV_OK)
        return err;
    bool right =
        m->result.count == 1 && record_is_value(m->result.values[0].data, m->result.values[0].len,
                                                m->value, w->value_size, w->seed, number);
    return right ? KV_OK : KV_ECORRUPT;
}

static int get_missing(team_member *m, uint64_t number)
{
    char key[RECORD_KEY_LEN];
    record_missing_key(key, number);
    int err = kv_get(m->work->db, key, sizeof key, NULL, &m->result);
    if (err == KV_OK)
        return KV_ECORRUPT;
    return err == KV_ENOTFOUND ? KV_OK : err;
}

/* ---- benchmarks ------------------------------------------------------------------------- */

static team_work make_work(const workload *w, uint64_t count, uint64_t order)
{
    return (team_work){.db = w->db,
                       .order = shuffle_make(w->records, w->options->seed + order),
                       .count = count,
                       .seed = w->options->seed,
                       .value_size = w->options->value_size,
                       .durability = KV_OS};
}

static bool fill(workload *w, bool in_sequence, outcome *out)
{
    if (!begin_store(w))
        return false;
    w->records = w->options->num;
    team_work work = make_work(w, w->records, 1);
    work.in_sequence = in_sequence;
    return team_run(&work, put_record, out->entry.threads, &out->team);
}

/** The disk's own rate is taken before and after: it drifts. */
static bool fill_sync(workload *w, outcome *out)
{
    size_t bytes = RECORD_KEY_LEN + w->options->value_size + LOG_RECORD_EXTRA;
    if (!begin_store(w))
        return false;
    double before = disk_sync_rate(&w->place, bytes, SYNC_RATE_NS);
    w->records = w->options->sync_num;
    team_work work = make_work(w, w->records, 2);
    work.durability = KV_DISK;
    if (!team_run(&work, put_record, out->entry.threads, &out->team))
        return false;
    double after = disk_sync_rate(&w->place, bytes, SYNC_RATE_NS);
    out->sync_rate = (before + after) / 2;
    return before > 0 && after > 0;
}

/** Reads back all that was written, after closing and opening. */
static bool verify_synced(workload *w)
{
    team_outcome ignored;
    if (!close_store(w) || !open_store(w, KV_MUST_EXIST))
        return false;
    team_work work = make_work(w, w->records, 2);
    return team_run(&work, get_record, 1, &ignored);
}

static bool read_random(workload *w, team_op *op, outcome *out)
{
    team_work work = make_work(w, w->options->reads, 3);
    return team_run(&work, op, out->entry.threads, &out->team);
}

static bool scan_steps(workload *w, kv_iter *iter, team_outcome *out)
{
    kv_entry e = KV_ENTRY_INIT;
    for (;; out->ops++) {
        bool sampled = out->ops % SCAN_SAMPLE == 0;
        uint64_t begin = sampled ? clock_ns() : 0;
        int err = kv_iter_next(iter, &e);
        if (sampled)
            latency_add(&out->latency, clock_ns() - begin);
        if (err == KV_ENOTFOUND && out->ops == w->records)
            return true;
        if (err != KV_OK)
            return failed("scan ends early", err);
        char key[RECORD_KEY_LEN];
        record_key(key, out->ops);
        if (out->ops == w->records || e.key.len != sizeof key ||
            memcmp(e.key.data, key, sizeof key) != 0 ||
            !record_is_value(e.value.data, e.value.len, w->value, w->options->value_size,
                             w->options->seed, out->ops))
            return failed("scan gives a wrong record", KV_ECORRUPT);
    }
}

static bool scan(workload *w, outcome *out)
{
    kv_iter *iter;
    latency_init(&out->team.latency);
    out->team.ops = 0;
    uint64_t begin = clock_ns();
    int err = kv_iter_open(w->db, NULL, &iter);
    if (err != KV_OK)
        return failed("kv_iter_open", err);
    bool ok = scan_steps(w, iter, &out->team);
    kv_iter_close(iter);
    out->team.ns = clock_ns() - begin;
    return ok;
}

/* ---- settling --------------------------------------------------------------------------- */

static uint64_t cpu_ns(void)
{
    struct rusage u;
    getrusage(RUSAGE_SELF, &u);
    return ((uint64_t)u.ru_utime.tv_sec + (uint64_t)u.ru_stime.tv_sec) * 1000000000u +
           ((uint64_t)u.ru_utime.tv_usec + (uint64_t)u.ru_stime.tv_usec) * 1000u;
}

static bool same_work(const kv_statistics *a, const kv_statistics *b)
{
    return a->flushes == b->flushes && a->compactions == b->compactions &&
           a->compaction_read_bytes == b->compaction_read_bytes &&
           a->compaction_write_bytes == b->compaction_write_bytes &&
           a->trivial_moves == b->trivial_moves;
}

/** There is no call that waits for compaction: watches until nothing happens, and does not count
 *  the time of watching in vain. */
static bool settle(workload *w, outcome *out)
{
    uint64_t begin = clock_ns();
    int err = kv_flush(w->db);
    if (err != KV_OK)
        return failed("kv_flush", err);
    kv_statistics old = KV_STATISTICS_INIT;
    kv_statistics new = KV_STATISTICS_INIT;
    uint64_t checked, cpu, used;
    do {
        const struct timespec pause = {0, (long)QUIET_NS};
        if ((err = kv_stats(w->db, &old)) != KV_OK)
            return failed("kv_stats", err);
        checked = clock_ns();
        cpu = cpu_ns();
        nanosleep(&pause, NULL);
        used = cpu_ns() - cpu;
        if ((err = kv_stats(w->db, &new)) != KV_OK)
            return failed("kv_stats", err);
        if (checked - begin > SETTLE_MAX_NS) {
            fprintf(stderr, "kv_bench: settle: compaction does not end\n");
            return false;
        }
    } while (used > QUIET_CPU_NS || !same_work(&old, &new));
    latency_init(&out->team.latency);
    latency_add(&out->team.latency, checked - begin);
    out->team.ops = 1;
    out->team.ns = checked - begin;
    return true;
}

/* ---- one entry -------------------------------------------------------------------------- */

static bool take_figures(workload *w, outcome *out)
{
    kv_statistics s = KV_STATISTICS_INIT;
    int err = kv_stats(w->db, &s);
    if (err != KV_OK)
        return failed("kv_stats", err);
    out->disk_bytes = s.disk_bytes;
    uint64_t written = s.log_bytes + s.flush_bytes + s.compaction_write_bytes;
    if (s.user_bytes_written > 0)
        out->write_amp = (double)written / (double)s.user_bytes_written;
    return true;
}

static bool run_kind(workload *w, outcome *out)
{
    switch (out->entry.kind) {
    case BENCH_FILLSEQ:
        return fill(w, true, out);
    case BENCH_FILLRANDOM:
        return fill(w, false, out);
    case BENCH_FILLSYNC:
        return fill_sync(w, out);
    case BENCH_SETTLE:
        return settle(w, out);
    case BENCH_READRANDOM:
        return read_random(w, get_record, out);
    case BENCH_READMISSING:
        return read_random(w, get_missing, out);
    case BENCH_SCAN:
        return scan(w, out);
    case BENCH_KINDS:
        break;
    }
    return false;
}

bool workload_run(workload *w, bench_entry entry, outcome *out)
{
    memset(out, 0, sizeof *out);
    out->entry = entry;
    if (entry.threads == 0)
        out->entry.threads = w->options->threads;
    if (entry.kind == BENCH_SCAN || entry.kind == BENCH_SETTLE)
        out->entry.threads = 1;
    bool fills = entry.kind == BENCH_FILLSEQ || entry.kind == BENCH_FILLRANDOM ||
                 entry.kind == BENCH_FILLSYNC;
    if (!fills && w->records == 0) {
        fprintf(stderr, "kv_bench: %s needs a fill before it\n", bench_name(entry.kind));
        return false;
    }
    return run_kind(w, out) && take_figures(w, out) &&
           (entry.kind != BENCH_FILLSYNC || verify_synced(w));
}
