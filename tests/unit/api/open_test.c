/*
 * Opening and closing on the real file system (api/open.c): everything that may be refused is, by
 * its own error and a detail that names what is wrong, and leaves the disk as it was.
 */
#include <dirent.h>
#include <pthread.h>
#include <sched.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "api/store.h"
#include "base/bytes.h"
#include "base/hash.h"
#include "lsm/engine.h"
#include "lsm/manifest_format.h"
#include "lsm/names.h"
#include "support/tmpdir.h"
#include "unit/api/fixture.h"
#include "unit/os/in_child.h"

static char top[200], store[256];
static kv_options options;

static void begin(void)
{
    options = (kv_options)KV_OPTIONS_INIT;
    options.memory = (size_t)4 << 20;
    kvt_tmpdir(top, sizeof top);
    (void)snprintf(store, sizeof store, "%s/store", top);
}

static void end(void)
{
    kvt_rmtree(top);
}

#define DISK_TEST(name) Test(api_open, name, .init = begin, .fini = end)

static kv *opened(void)
{
    kv *db;

    OK(kv_open(store, &options, &db));
    return db;
}

/** Waits until the background has nothing left to do: from then on the directory stays as it is. */
static void settle(kv *db)
{
    while (atomic_load(&db->store->lsm->crew.busy) > 1)
        sched_yield();
}

static void make_store(void)
{
    kv *db = opened();

    kvt_put(db, "key", "value");
    OK(kv_flush(db));
    kvt_put(db, "other", "value");
    OK(kv_close(db));
}

/* --- what is on the disk ------------------------------------------------------------------ */

/** Lines of text, malloc'd. */
typedef struct listing {
    char *text;
    size_t len;
} listing;

static void say(listing *l, const char *format, ...)
{
    char line[600];
    va_list args;
    int n;

    va_start(args, format);
    n = vsnprintf(line, sizeof line, format, args);
    va_end(args);
    cr_assert(n >= 0 && (size_t)n < sizeof line);
    l->text = realloc(l->text, l->len + (size_t)n + 1);
    memcpy(l->text + l->len, line, (size_t)n + 1);
    l->len += (size_t)n;
}

static uint64_t content_hash(const char *path)
{
    char buf[65536];
    uint64_t h = 0;
    size_t n;
    FILE *f = fopen(path, "rb");

    cr_assert_not_null(f, "%s", path);
    while ((n = fread(buf, 1, sizeof buf, f)) > 0)
        h = kvi_hash64(buf, n, h);
    fclose(f);
    return h;
}

static void list(listing *l, const char *path)
{
    struct dirent **names;
    int n = scandir(path, &names, NULL, alphasort);

    cr_assert_geq(n, 0, "%s", path);
    for (int i = 0; i < n; i++) {
        char at[600];
        struct stat st;

        (void)snprintf(at, sizeof at, "%s/%s", path, names[i]->d_name);
        if (strcmp(names[i]->d_name, ".") != 0 && strcmp(names[i]->d_name, "..") != 0) {
            cr_assert_eq(lstat(at, &st), 0);
            say(l, "%s %o %lld %lld.%09ld", at, (unsigned)st.st_mode, (long long)st.st_size,
                (long long)st.st_mtim.tv_sec, (long)st.st_mtim.tv_nsec);
            if (S_ISREG(st.st_mode))
                say(l, " %016llx", (unsigned long long)content_hash(at));
            say(l, "\n");
            if (S_ISDIR(st.st_mode))
                list(l, at);
        }
        free(names[i]);
    }
    free(names);
}

/** Opening path is refused with this code and a detail that has this text, and all below top is as
 *  it was, to the byte and the time. */
static void refused_at(const char *path, int code, const char *detail)
{
    listing before = {NULL, 0}, after = {NULL, 0};
    kv *db = NULL;

    list(&before, top);
    FAILS(kv_open(path, &options, &db), code, detail);
    list(&after, top);
    cr_assert_null(db);
    cr_assert_eq(before.len, after.len, "before:\n%safter:\n%s", before.text, after.text);
    if (before.len > 0)
        cr_assert_str_eq(before.text, after.text);
    free(before.text);
    free(after.text);
}

static void refused(int code, const char *detail)
{
    refused_at(store, code, detail);
}

static void write_file(const char *path, const void *data, size_t len)
{
    FILE *f = fopen(path, "wb");

    cr_assert_not_null(f);
    cr_assert_eq(fwrite(data, 1, len, f), len);
    cr_assert_eq(fclose(f), 0);
}

/* --- bad input ---------------------------------------------------------------------------- */

DISK_TEST(wrong_options_are_refused_before_anything_is_touched)
{
    kv *db;

    FAILS(kv_open(store, &options, NULL), KV_EINVAL, "out is NULL");
    options.size = 0;
    refused(KV_EINVAL, "kv_options.size is 0");
    options.size = sizeof options;
    options.flags = 16;
    refused(KV_EINVAL, "kv_options.flags has 0x10");
    options.flags = 0;
    options.memory = 1;
    refused(KV_EINVAL, "kv_options.memory is 1");
    options.memory = 0;
    refused_at("", KV_EINVAL, "path is empty");
    FAILS(kvi_api_open(store, &options, NULL, NULL, NULL), KV_EINVAL, "out is NULL");
    options.durability = KV_DISK;
    FAILS(kv_open(NULL, &options, &db), KV_EINVAL, "kv_options.durability");
}

DISK_TEST(a_path_that_is_a_file_is_refused)
{
    char below[300];

    write_file(store, "hello", 5);
    refused(KV_ENOTDIR, store);
    (void)snprintf(below, sizeof below, "%s/below", store);
    refused_at(below, KV_ENOTDIR, below);
}

DISK_TEST(a_path_without_a_parent_is_refused)
{
    char below[300];

    (void)snprintf(below, sizeof below, "%s/none/store", top);
    refused_at(below, KV_ENOENT, below);
}

DISK_TEST(a_store_that_must_exist_does_or_is_refused)
{
    options.flags = KV_MUST_EXIST;
    refused(KV_ENOENT, store);
    cr_assert_eq(mkdir(store, 0700), 0);
    refused(KV_ENOENT, store);
    options.flags = 0;
    make_store();
    options.flags = KV_MUST_EXIST;
    make_store();
}

DISK_TEST(a_store_that_must_be_new_is_or_is_refused)
{
    options.flags = KV_MUST_CREATE;
    make_store();
    refused(KV_EEXIST, store);
    options.flags = 0;
    make_store();
}

DISK_TEST(a_store_that_is_open_here_is_refused)
{
    kv *db = opened();

    kvt_put(db, "key", "value");
    settle(db);
    refused(KV_EOPEN, store);
    options.flags = KV_MUST_EXIST;
    refused(KV_EOPEN, store);
    cr_assert(kvt_has(db, "key", "value"), "the one that is open goes on");
    OK(kv_close(db));
    options.flags = 0;
    db = opened();
    cr_assert(kvt_has(db, "key", "value"));
    OK(kv_close(db));
}

static int open_and_wait(void *pipes)
{
    int(*p)[2] = pipes;
    char byte = 0;
    kv *db;

    /* So that the read ends where the parent's test has failed and is gone. */
    close(p[1][1]);
    if (kv_open(store, &options, &db))
        return 1;
    settle(db);
    if (write(p[0][1], &byte, 1) != 1 || read(p[1][0], &byte, 1) != 1)
        return 2;
    return kv_close(db) ? 3 : 0;
}

/** Another process holds the store while this one tries. */
DISK_TEST(a_store_that_another_process_has_open_is_refused)
{
    int pipes[2][2], status;
    pid_t child;
    char byte = 0;

    make_store();
    cr_assert(pipe(pipes[0]) == 0 && pipe(pipes[1]) == 0);
    fflush(NULL);
    child = fork();
    if (child == 0)
        _exit(open_and_wait(pipes));
    cr_assert_eq(read(pipes[0][0], &byte, 1), 1);
    refused(KV_EINUSE, store);
    cr_assert_eq(write(pipes[1][1], &byte, 1), 1);
    cr_assert_eq(waitpid(child, &status, 0), child);
    cr_assert(WIFEXITED(status) && WEXITSTATUS(status) == 0);
    make_store();
    for (int i = 0; i < 4; i++)
        close(pipes[i / 2][i % 2]);
}

static void read_current(uint8_t *current)
{
    char path[300];
    FILE *f;

    (void)snprintf(path, sizeof path, "%s/%s", store, KVI_LSM_NAME_CURRENT);
    f = fopen(path, "rb");
    cr_assert_not_null(f);
    cr_assert_eq(fread(current, 1, KVI_CURRENT_LEN, f), KVI_CURRENT_LEN);
    fclose(f);
}

static void write_current(const uint8_t *current)
{
    char path[300];

    (void)snprintf(path, sizeof path, "%s/%s", store, KVI_LSM_NAME_CURRENT);
    write_file(path, current, KVI_CURRENT_LEN);
}

DISK_TEST(a_directory_of_a_newer_format_is_refused)
{
    uint8_t current[KVI_CURRENT_LEN], newer[KVI_CURRENT_LEN];

    make_store();
    read_current(current);
    memcpy(newer, current, sizeof newer);
    kvi_put_u32(newer + 4, KVI_CURRENT_FORMAT + 1);
    kvi_put_u64(newer + KVI_CURRENT_LEN - 8, kvi_hash64(newer, KVI_CURRENT_LEN - 8, 0));
    write_current(newer);
    refused(KV_EFORMAT, "format 2");
    write_current(current);
    make_store();
}

DISK_TEST(a_damaged_directory_is_refused)
{
    uint8_t current[KVI_CURRENT_LEN];

    make_store();
    read_current(current);
    current[20] ^= 1;
    write_current(current);
    refused(KV_ECORRUPT, KVI_LSM_NAME_CURRENT);
    current[20] ^= 1;
    write_current(current);
    make_store();
}

/* Root may write everywhere. */
DISK_TEST(a_directory_without_permission_is_refused)
{
    if (geteuid() == 0)
        return;
    make_store();
    cr_assert_eq(chmod(top, 0500), 0);
    (void)snprintf(store, sizeof store, "%s/new", top);
    refused(KV_EACCES, store);
    cr_assert_eq(chmod(top, 0700), 0);
}

/* --- closing ------------------------------------------------------------------------------ */

DISK_TEST(a_store_is_closed_only_when_nothing_of_it_is_alive)
{
    static uint8_t large[5000];
    kv_result r = KV_RESULT_INIT;
    kv_batch *batch;
    kv_snap *snap;
    kv_iter *it;
    kv *db = opened(), *space;

    OK(kv_put(db, "k", 1, large, sizeof large, NULL, NULL));
    OK(kv_space(db, "s", NULL, &space));
    OK(kv_iter_open(space, NULL, &it));
    OK(kv_snapshot(db, &snap));
    OK(kv_batch_new(db, &batch));
    OK(kv_get(db, "k", 1, NULL, &r));
    FAILS(kv_close(db), KV_EBUSY,
          "1 space handles, 1 iterators, 1 snapshots, 1 batches, 1 lent values");
    OK(kv_close(space));
    FAILS(kv_close(db), KV_EBUSY, "0 space handles, 1 iterators");
    kv_iter_close(it);
    FAILS(kv_close(db), KV_EBUSY, "0 iterators, 1 snapshots");
    kv_snapshot_free(snap);
    FAILS(kv_close(db), KV_EBUSY, "0 snapshots, 1 batches");
    kv_batch_free(batch);
    FAILS(kv_close(db), KV_EBUSY, "0 batches, 1 lent values");
    cr_assert(kvt_has(db, "none", NULL), "it is open all the while");
    kv_result_free(&r);
    OK(kv_close(db));
}

DISK_TEST(a_store_in_memory_ends_with_its_handle)
{
    kv_op op = KV_OP_INIT;
    kv *a, *b;

    OK(kv_open(NULL, NULL, &a));
    OK(kv_open(NULL, &options, &b));
    kvt_put(a, "k", "a");
    kvt_put(b, "k", "b");
    OK(kv_flush(a));
    cr_assert(kvt_has(a, "k", "a") && kvt_has(b, "k", "b"));
    FAILS(kv_sync(a), KV_ENOTSUP, "kv_flush()");
    op.durability = KV_DISK;
    FAILS(kv_put(a, "k", 1, "v", 1, &op, NULL), KV_ENOTSUP, "without a log");
    OK(kv_close(a));
    OK(kv_close(b));
    OK(kv_open(NULL, NULL, &a));
    cr_assert(kvt_has(a, "k", NULL));
    OK(kv_close(a));
}

/* The budget is the limit: full is KV_ENOSPC or KV_ENOMEM, not a crash, and what was written stays.
   */
DISK_TEST(a_store_in_memory_may_be_full)
{
    static uint8_t value[10000];
    uint32_t n = 0;
    int err = KV_OK;
    kv *db;

    OK(kv_open(NULL, &options, &db));
    while (!err && n < 10000) {
        for (size_t i = 0; i < sizeof value; i++)
            value[i] = (uint8_t)(kvi_mix64(i + n * sizeof value));
        err = kv_put(db, &n, sizeof n, value, sizeof value, NULL, NULL);
        n += !err;
    }
    cr_assert(err == KV_ENOSPC || err == KV_ENOMEM, "%s", kv_strerror(err));
    cr_assert_gt(n, 50);
    for (uint32_t i = 0; i < n; i++)
        OK(kv_get(db, &i, sizeof i, NULL, NULL));
    OK(kv_close(db));
}

/* --- the host's own allocator and log ----------------------------------------------------- */

static void *count_alloc(void *user, size_t bytes)
{
    atomic_fetch_add((_Atomic size_t *)user, 1);
    return malloc(bytes);
}

static void *count_resize(void *user, void *old, size_t bytes)
{
    if (!old)
        atomic_fetch_add((_Atomic size_t *)user, 1);
    return realloc(old, bytes);
}

static void count_free(void *user, void *old)
{
    if (old)
        atomic_fetch_sub((_Atomic size_t *)user, 1);
    free(old);
}

DISK_TEST(all_memory_comes_from_the_hosts_allocator_and_goes_back)
{
    kv_allocator a = KV_ALLOCATOR_INIT;
    kv_result r = KV_RESULT_INIT;
    _Atomic size_t live = 0;
    kv *db, *space;

    a.alloc = count_alloc;
    a.resize = count_resize;
    a.free = count_free;
    a.user = &live;
    options.allocator = &a;
    options.durability = KV_OS;
    options.compression = KV_COMPRESS_NONE;
    db = opened();
    OK(kv_space(db, "s", NULL, &space));
    for (uint32_t i = 0; i < 1000; i++)
        OK(kv_put(i % 2 ? db : space, &i, sizeof i, "value", 5, NULL, &r));
    OK(kv_flush(db));
    OK(kv_get(space, "\0\0\0\0", 4, NULL, &r));
    cr_assert_gt(live, 0);
    kv_result_free(&r);
    OK(kv_close(space));
    OK(kv_close(db));
    cr_assert_eq(live, 0);
}

/* --- threads ------------------------------------------------------------------------------ */

enum { THREADS = 4, ROUNDS = 50 };

typedef struct writer {
    kv *db;
    uint32_t id;
    int err;
} writer;

/** Each put is synced; the threads share the syncs. */
static void *write_durably(void *arg)
{
    writer *w = arg;

    for (uint32_t i = 0; i < ROUNDS && !w->err; i++) {
        uint32_t key[2] = {w->id, i};

        w->err = kv_put(w->db, key, sizeof key, key, sizeof key, NULL, NULL);
        if (!w->err && i % 16 == w->id)
            w->err = kv_flush(w->db);
        if (!w->err && i % 16 == 8)
            w->err = kv_sync(w->db);
    }
    return NULL;
}

DISK_TEST(many_threads_write_durably_at_once)
{
    pthread_t threads[THREADS];
    writer writers[THREADS];
    kv *db = opened();

    for (uint32_t i = 0; i < THREADS; i++) {
        writers[i] = (writer){db, i, KV_OK};
        cr_assert_eq(pthread_create(&threads[i], NULL, write_durably, &writers[i]), 0);
    }
    for (int i = 0; i < THREADS; i++) {
        cr_assert_eq(pthread_join(threads[i], NULL), 0);
        cr_assert_eq(writers[i].err, KV_OK, "%s", kv_strerror(writers[i].err));
    }
    OK(kv_close(db));
    db = opened();
    for (uint32_t i = 0; i < THREADS * ROUNDS; i++) {
        uint32_t key[2] = {i / ROUNDS, i % ROUNDS};

        OK(kv_get(db, key, sizeof key, NULL, NULL));
    }
    OK(kv_close(db));
}

static void *open_space(void *arg)
{
    writer *w = arg;
    kv *space;

    for (uint32_t i = 0; i < ROUNDS && !w->err; i++) {
        char name[16];

        (void)snprintf(name, sizeof name, "%u", (unsigned)i);
        w->err = kv_space(w->db, name, NULL, &space);
        if (!w->err)
            w->err = kv_put(space, &w->id, sizeof w->id, name, strlen(name), NULL, NULL);
        if (!w->err)
            w->err = kv_close(space);
    }
    return NULL;
}

/* They race for each name, and all get the same keyspace. */
DISK_TEST(many_threads_create_the_same_spaces)
{
    pthread_t threads[THREADS];
    writer writers[THREADS];
    kv *db;

    options.durability = KV_OS;
    db = opened();
    for (uint32_t i = 0; i < THREADS; i++) {
        writers[i] = (writer){db, i, KV_OK};
        cr_assert_eq(pthread_create(&threads[i], NULL, open_space, &writers[i]), 0);
    }
    for (int i = 0; i < THREADS; i++) {
        cr_assert_eq(pthread_join(threads[i], NULL), 0);
        cr_assert_eq(writers[i].err, KV_OK, "%s", kv_strerror(writers[i].err));
    }
    for (uint32_t i = 0; i < ROUNDS; i++) {
        kv_iter *it;
        char name[16];
        kv *space;
        int entries = 0;

        (void)snprintf(name, sizeof name, "%u", (unsigned)i);
        OK(kv_space(db, name, NULL, &space));
        OK(kv_iter_open(space, NULL, &it));
        while (kv_iter_next(it, NULL) == KV_OK)
            entries++;
        cr_assert_eq(entries, THREADS);
        kv_iter_close(it);
        OK(kv_close(space));
    }
    OK(kv_close(db));
}
