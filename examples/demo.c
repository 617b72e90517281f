/*
 * A tour of libkv with real data, and with a judge: every answer of the store is compared with
 * the input, which is held in memory.
 *
 *     demo [--memory MIB] [--keep] [--seed N] [FILE]
 *
 * Loads the package index of a Debian system, or FILE: stanzas that begin with "Package:" are
 * stored by that name, and of any other file each line by its number. Reads all of it back in
 * random order, scans, asks for keys that were never there, deletes a tenth, closes, reopens,
 * checks everything again, and prints what it measured.
 *
 * Exit status: 0 all was right, 1 something was wrong, 2 it could not be tried.
 */
#include "demo_phases.h"

#include <dirent.h>
#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define SYNCED_MAX     1000u                /* records loaded with a sync each … */
#define SYNCED_MAX_NS  UINT64_C(3000000000) /* … and for how long */
#define PATH_MAX_BYTES 4096

typedef struct settings {
    size_t memory; /* bytes */
    bool keep;
    uint64_t seed;
    const char *file;
} settings;

/** What is measured once. */
typedef struct outline {
    uint64_t create_ns, flush_ns, close_ns, open_ns;
    kv_statistics loaded; /* after the load and a flush */
    kv_statistics read;   /* before the deletes */
    uint64_t closed_bytes;
} outline;

/* ---- files ------------------------------------------------------------------------------ */

/** Sums up the files of the store, and removes them where asked. False: some are left. */
static bool visit_files(const char *dir, bool remove_them, uint64_t *bytes)
{
    DIR *d = opendir(dir);
    if (d == NULL)
        return errno == ENOENT;
    bool ok = true;
    for (struct dirent *e = readdir(d); e != NULL; e = readdir(d)) {
        char path[PATH_MAX_BYTES + 300];
        struct stat st;
        snprintf(path, sizeof path, "%s/%s", dir, e->d_name);
        if (stat(path, &st) != 0 || !S_ISREG(st.st_mode))
            continue;
        *bytes += (uint64_t)st.st_size;
        if (remove_them && unlink(path) != 0)
            ok = false;
    }
    closedir(d);
    return ok && (!remove_them || rmdir(dir) == 0);
}

static uint64_t directory_bytes(const char *dir)
{
    uint64_t bytes = 0;
    visit_files(dir, false, &bytes);
    return bytes;
}

/** Makes a fresh directory; *store is a name in it. */
static bool make_place(char dir[PATH_MAX_BYTES], char store[PATH_MAX_BYTES])
{
    const char *tmp = getenv("TMPDIR");
    if (tmp == NULL || *tmp == '\0')
        tmp = "/tmp";
    int len = snprintf(dir, PATH_MAX_BYTES, "%s/kv-demo-XXXXXX", tmp);
    if (len < 0 || len > PATH_MAX_BYTES - 10 || mkdtemp(dir) == NULL) {
        fprintf(stderr, "demo: cannot make a directory in %s: %s\n", tmp, strerror(errno));
        return false;
    }
    memcpy(store, dir, (size_t)len);
    memcpy(store + len, "/store", sizeof "/store");
    return true;
}

/* ---- the tour --------------------------------------------------------------------------- */

static bool open_store(demo *d, unsigned flags, uint64_t *ns)
{
    kv_options o = KV_OPTIONS_INIT;
    o.flags = flags;
    o.memory = d->memory;
    uint64_t begin = now_ns();
    int err = kv_open(d->path, &o, &d->db);
    *ns = now_ns() - begin;
    if (err != KV_OK)
        demo_wrong(d, NULL, "kv_open", err);
    return err == KV_OK;
}

static bool close_store(demo *d, uint64_t *ns)
{
    uint64_t begin = now_ns();
    int err = kv_close(d->db);
    *ns = now_ns() - begin;
    if (err != KV_OK)
        demo_wrong(d, NULL, "kv_close", err);
    return err == KV_OK;
}

static void take_stats(demo *d, kv_statistics *stats)
{
    *stats = (kv_statistics)KV_STATISTICS_INIT;
    int err = kv_stats(d->db, stats);
    if (err != KV_OK)
        demo_wrong(d, NULL, "kv_stats", err);
}

/** Puts everything into tables, so that reading is reading from disk or cache. */
static void flush_store(demo *d, outline *o)
{
    uint64_t begin = now_ns();
    int err = kv_flush(d->db);
    o->flush_ns = now_ns() - begin;
    if (err != KV_OK)
        demo_wrong(d, NULL, "kv_flush", err);
    take_stats(d, &o->loaded);
}

/** A prefix worth a scan: "lib", or else what the middle key begins with. */
static record choose_prefix(const input *in)
{
    static const char lib[] = "lib";
    size_t at = input_lower_bound(in, lib, 3);
    if (at < in->unique && has_prefix(in->sorted[at], lib, 3))
        return (record){lib, NULL, 3, 0};
    const record *middle = in->sorted[in->unique / 2];
    return (record){middle->key, NULL, middle->key_len > 3 ? middle->key_len - 3 : 1, 0};
}

static void first_half(demo *d, outline *o)
{
    record prefix = choose_prefix(d->in);
    char scan[48], back[48];
    int shown = prefix.key_len < 12 ? (int)prefix.key_len : 12;
    snprintf(scan, sizeof scan, "scan prefix \"%.*s\"", shown, prefix.key);
    snprintf(back, sizeof back, "the same backwards");

    size_t synced = d->in->count / 10 + 1;
    demo_load(d, "put, KV_DISK", KV_DISK, synced < SYNCED_MAX ? synced : SYNCED_MAX, SYNCED_MAX_NS);
    if (!interrupted())
        demo_load(d, "put, KV_OS", KV_OS, SIZE_MAX, UINT64_MAX);
    if (!interrupted())
        flush_store(d, o);
    if (!interrupted())
        demo_read_all(d, "get, random order", "blocks found in the cache, reading all");
    if (!interrupted())
        demo_scan(d, scan, prefix.key, prefix.key_len, false);
    if (!interrupted())
        demo_scan(d, back, prefix.key, prefix.key_len, true);
    if (!interrupted())
        demo_read_missing(d, "get, missing keys");
    take_stats(d, &o->read);
    if (!interrupted())
        demo_delete_some(d, "delete a tenth, KV_OS");
    if (!interrupted())
        demo_read_all(d, "get after the deletes", NULL);
}

static void second_half(demo *d)
{
    demo_read_all(d, "get after reopening", "blocks found in the cache, after reopening");
    if (!interrupted())
        demo_scan(d, "scan all", "", 0, false);
}

/** True where all phases ran, whatever they found. */
static bool tour(demo *d, outline *o)
{
    uint64_t ignored;
    if (!open_store(d, KV_MUST_CREATE, &o->create_ns))
        return false;
    first_half(d, o);
    if (!close_store(d, &o->close_ns) || interrupted())
        return false;
    o->closed_bytes = directory_bytes(d->path);
    if (!open_store(d, KV_MUST_EXIST, &o->open_ns))
        return false;
    second_half(d);
    return close_store(d, &ignored) && !interrupted();
}

/* ---- the report ------------------------------------------------------------------------- */

static void print_size(const char *what, uint64_t bytes, uint64_t input_bytes)
{
    number size, share;
    printf("  %-56s %12s %9s\n", what, show_bytes(size, bytes),
           show_share(share, bytes, input_bytes));
}

static uint64_t table_bytes(const kv_statistics *s)
{
    uint64_t bytes = 0;
    for (int level = 0; level < KV_LEVELS; level++)
        bytes += s->table_bytes[level];
    return bytes;
}

static void report(const demo *d, const outline *o)
{
    const kv_statistics *s = &o->loaded;
    number n;

    printf("\n");
    print_rows(d->rows, d->row_count);
    printf("\nSize, against that of the input\n");
    print_size("input: keys and values", d->in->bytes, d->in->bytes);
    print_size("tables after the load", table_bytes(s), d->in->bytes);
    print_size("tables after compaction went on, before the deletes", table_bytes(&o->read),
               d->in->bytes);
    print_size("all files then, logs and manifest too", o->read.disk_bytes, d->in->bytes);
    print_size("all files after closing", o->closed_bytes, d->in->bytes);
    print_size("written during the load: log, flushes, compactions",
               s->log_bytes + s->flush_bytes + s->compaction_write_bytes, s->user_bytes_written);
    printf("\n%-58s %12s %9s\n", "Hit rates", "of", "share");
    for (size_t i = 0; i < d->rate_count; i++)
        printf("  %-56s %12s %9s\n", d->rates[i].name, show_count(n, d->rates[i].whole),
               show_share((number){0}, d->rates[i].part, d->rates[i].whole));
    printf("\nTime\n");
    printf("  %-56s %12s\n", "open, a new store", show_seconds(n, o->create_ns));
    printf("  %-56s %12s\n", "flush after the load", show_seconds(n, o->flush_ns));
    printf("  %-56s %12s\n", "close", show_seconds(n, o->close_ns));
    printf("  %-56s %12s\n", "open again", show_seconds(n, o->open_ns));
}

static int judge(const demo *d, bool finished)
{
    number n, gone;
    if (interrupted()) {
        printf("\nInterrupted.\n");
        return 1;
    }
    if (d->wrong > 0 || !finished) {
        printf("\nFAILED: %s wrong answers.\n", show_count(n, d->wrong));
        return 1;
    }
    printf("\nAll %s records were right at every step, and the %s deleted ones gone.\n",
           show_count(n, d->in->unique), show_count(gone, d->deleted_count));
    return 0;
}

/* ---- main ------------------------------------------------------------------------------- */

static int usage(void)
{
    fprintf(stderr, "usage: demo [--memory MIB] [--keep] [--seed N] [FILE]\n");
    return 2;
}

static bool parse(int argc, char **argv, settings *s)
{
    static const struct option names[] = {
        {"memory", required_argument, NULL, 'm'},
        {"keep", no_argument, NULL, 'k'},
        {"seed", required_argument, NULL, 's'},
        {NULL, 0, NULL, 0},
    };
    *s = (settings){.memory = (size_t)64 << 20, .seed = 1};
    for (int c; (c = getopt_long(argc, argv, "", names, NULL)) != -1;) {
        char *end = NULL;
        unsigned long long value = c == 'm' || c == 's' ? strtoull(optarg, &end, 10) : 0;
        if (c == '?' || (end != NULL && *end != '\0'))
            return false;
        if (c == 'k')
            s->keep = true;
        else if (c == 's')
            s->seed = value;
        else if (value == 0 || value > (SIZE_MAX >> 20))
            return false;
        else
            s->memory = (size_t)value << 20;
    }
    if (argc - optind > 1)
        return false;
    s->file = argv[optind];
    return true;
}

static int run(const settings *s, const input *in)
{
    char dir[PATH_MAX_BYTES], store[PATH_MAX_BYTES];
    number unique, bytes, more;
    demo d;
    outline o = {0};
    if (!make_place(dir, store))
        return 2;
    if (!demo_init(&d, in)) {
        demo_deinit(&d);
        rmdir(dir);
        return 2;
    }
    d.path = store;
    d.memory = s->memory;
    d.random = s->seed;
    printf("libkv %s, with %zu MiB of memory, in %s\n", kv_version(), s->memory >> 20, store);
    printf("Input: %s: %s %s, %s", in->origin, show_count(unique, in->unique),
           in->stanzas ? "packages (key: the name, value: the stanza)" : "lines (key: the number)",
           show_bytes(bytes, in->bytes));
    if (in->count > in->unique)
        printf(", and %s older versions of them", show_count(more, in->count - in->unique));
    printf("\n\n");

    bool finished = tour(&d, &o);
    if (finished)
        report(&d, &o);
    int status = judge(&d, finished);
    demo_deinit(&d);

    uint64_t ignored = 0;
    if (s->keep)
        printf("The store is kept in %s\n", store);
    else if (!visit_files(store, true, &ignored) || rmdir(dir) != 0)
        fprintf(stderr, "demo: %s could not be removed\n", dir);
    return status;
}

int main(int argc, char **argv)
{
    settings s;
    input in;
    if (!parse(argc, argv, &s))
        return usage();
    catch_interrupts();
    int status = input_load(&in, s.file, argv[0]) ? run(&s, &in) : 2;
    input_free(&in);
    return status;
}
