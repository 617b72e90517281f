/*
 * Files in memory: what the treaty leaves to them. fs_test.c holds them against the treaty.
 */
#include "os/fs.h"

#include <criterion/criterion.h>

#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>

#include "base/error.h"
#include "os/fs_mem_bytes.h"
#include "os/lock.h"

#define BUDGET ((size_t)1 << 20)

static kvi_mem mem;
static kvi_budget budget;
static kvi_os_fs_mem fs;
static kvi_os_dir *dir;

static void setup(void)
{
    bool created = false;

    kvi_mem_init(&mem, NULL);
    kvi_budget_init(&budget, BUDGET);
    kvi_os_fs_mem_init(&fs, &mem, &budget);
    cr_assert_eq(fs.base.ops->open_dir(&fs.base, "any", true, &created, &dir), KV_OK);
    cr_assert(created);
}

static void teardown(void)
{
    cr_assert_eq(dir->ops->close(dir), KV_OK);
    cr_assert_eq(kvi_budget_held(&budget, KVI_BUDGET_FILE), 0);
    cr_assert_eq(atomic_load(&budget.used), 0);
}

static kvi_os_file *create(const char *name)
{
    kvi_os_file *f = NULL;

    cr_assert_eq(dir->ops->open(dir, name, KVI_OS_CREATE, &f), KV_OK);
    return f;
}

/* Writes kilobytes until one does not fit; returns how many did. */
static size_t fill(kvi_os_file *f)
{
    char kilobyte[1024];
    size_t n = 0;

    memset(kilobyte, 'x', sizeof kilobyte);
    while (f->ops->write(f, n * sizeof kilobyte, kilobyte, sizeof kilobyte) == KV_OK)
        n++;
    return n;
}

Test(os_fs_mem, over_the_budget_is_enospc, .init = setup, .fini = teardown)
{
    kvi_os_file *f = create("a");
    size_t kilobytes = fill(f);
    uint64_t size = 0;

    cr_assert(kilobytes * 1024 > BUDGET * 9 / 10 && kilobytes * 1024 <= BUDGET);
    cr_assert_not_null(strstr(kvi_error_detail(), "1048576"), "%s", kvi_error_detail());
    kvi_error_clear();
    cr_assert_eq(f->ops->write(f, kilobytes * 1024, "x", 1), KV_ENOSPC);
    cr_assert_eq(f->ops->size(f, &size), KV_OK);
    cr_assert_eq(size, kilobytes * 1024, "as before the write that failed");
    cr_assert_eq(f->ops->write(f, 5, "y", 1), KV_OK, "what has its room already");
    cr_assert(atomic_load(&budget.used) <= BUDGET);
    cr_assert_eq(kvi_budget_held(&budget, KVI_BUDGET_FILE), atomic_load(&budget.used));
    cr_assert_eq(f->ops->close(f), KV_OK);
}

Test(os_fs_mem, unlinking_gives_back_at_the_last_close, .init = setup, .fini = teardown)
{
    kvi_os_file *f = create("a"), *again = NULL;
    size_t kilobytes = fill(f), used = atomic_load(&budget.used);

    cr_assert_eq(dir->ops->open(dir, "a", KVI_OS_READ, &again), KV_OK);
    cr_assert_eq(f->ops->close(f), KV_OK);
    cr_assert_eq(atomic_load(&budget.used), used, "the name holds it");
    cr_assert_eq(dir->ops->unlink(dir, "a"), KV_OK);
    cr_assert_eq(atomic_load(&budget.used), used, "the handle holds it");
    cr_assert_eq(again->ops->close(again), KV_OK);
    cr_assert_eq(atomic_load(&budget.used), 0);
    f = create("b");
    cr_assert_eq(fill(f), kilobytes);
    cr_assert_eq(f->ops->close(f), KV_OK);
}

/* As the cache: a reclaimer that takes a lock of a lower rank than the file system's. */
typedef struct reclaimer {
    kvi_os_mutex lock;
    int calls;
} reclaimer;

static size_t give_nothing(void *user, size_t want)
{
    reclaimer *r = user;

    (void)want;
    kvi_os_mutex_lock(&r->lock);
    r->calls++;
    kvi_os_mutex_unlock(&r->lock);
    return 0;
}

Test(os_fs_mem, the_reclaimer_is_asked_without_a_lock, .init = setup, .fini = teardown)
{
    kvi_os_file *f = create("a");
    reclaimer r = {.calls = 0};

    kvi_os_mutex_init(&r.lock, KVI_RANK_CACHE, NULL);
    kvi_budget_set_reclaim(&budget, give_nothing, &r);
    (void)fill(f);
    cr_assert_gt(r.calls, 0);
    cr_assert_eq(f->ops->close(f), KV_OK);
    kvi_os_mutex_deinit(&r.lock);
}

Test(os_fs_mem, a_file_too_long_is_enospc, .init = setup, .fini = teardown)
{
    const uint64_t far[] = {UINT64_C(1) << 41, INT64_MAX, UINT64_MAX};
    kvi_os_file *f = create("a");
    uint64_t size = 1;

    for (size_t i = 0; i < sizeof far / sizeof far[0]; i++)
        cr_assert_eq(f->ops->write(f, far[i], "x", 1), KV_ENOSPC, "case %zu", i);
    cr_assert_eq(f->ops->size(f, &size), KV_OK);
    cr_assert_eq(size, 0);
    cr_assert_eq(f->ops->close(f), KV_OK);
}

Test(os_fs_mem, there_is_no_map, .init = setup, .fini = teardown)
{
    kvi_os_file *f = create("a");

    cr_assert_null(f->ops->map);
    cr_assert_eq(f->ops->close(f), KV_OK);
}

Test(os_fs_mem, each_directory_begins_empty_and_apart)
{
    kvi_os_file *f, *g = NULL;
    kvi_os_dir *other = NULL;
    bool created = false;

    setup();
    f = create("a");
    cr_assert_eq(fs.base.ops->open_dir(&fs.base, "any", true, &created, &other), KV_OK);
    cr_assert_eq(other->ops->open(other, "a", KVI_OS_READ, &g), KV_ENOENT);
    cr_assert_eq(other->ops->close(other), KV_OK);
    cr_assert_eq(fs.base.ops->open_dir(&fs.base, "any", false, &created, &other), KV_ENOENT);
    cr_assert_eq(f->ops->close(f), KV_OK);
    teardown();
}

/* Chunks at the borders of the tables that name them. */
Test(os_fs_mem, bytes_lie_where_they_were_written)
{
    const uint64_t slots[] = {0,
                              1,
                              KVI_OS_MEM_SLOTS - 1,
                              KVI_OS_MEM_SLOTS,
                              3 * KVI_OS_MEM_SLOTS - 1,
                              3 * KVI_OS_MEM_SLOTS,
                              7 * KVI_OS_MEM_SLOTS};
    const size_t count = sizeof slots / sizeof slots[0];
    kvi_os_mem_bytes bytes;
    char text[4];

    kvi_mem_init(&mem, NULL);
    kvi_budget_init(&budget, BUDGET);
    kvi_os_mem_bytes_init(&bytes, &mem, &budget);
    for (size_t i = 0; i < count; i++) {
        snprintf(text, sizeof text, "%03zu", i);
        cr_assert_eq(kvi_os_mem_bytes_write(&bytes, slots[i] * KVI_OS_MEM_CHUNK + i, text, 3),
                     KV_OK);
    }
    for (size_t i = 0; i < count; i++) {
        char expected[4];

        snprintf(expected, sizeof expected, "%03zu", i);
        cr_assert_eq(kvi_os_mem_bytes_read(&bytes, slots[i] * KVI_OS_MEM_CHUNK + i, text, 3), 3);
        cr_assert_eq(memcmp(text, expected, 3), 0);
    }
    cr_assert(atomic_load(&budget.used) < (count + 2) * KVI_OS_MEM_CHUNK, "holes take nothing");
    kvi_os_mem_bytes_deinit(&bytes);
    cr_assert_eq(atomic_load(&budget.used), 0);
}

/* Many threads fill the same chunks at once: each is made once, none is lost. */
enum { RACERS = 4, CHUNKS = 40, PIECE = (int)(KVI_OS_MEM_CHUNK / RACERS) };

typedef struct racer {
    kvi_os_mem_bytes *bytes;
    unsigned number;
    bool wrong;
} racer;

static void *race_for_chunks(void *arg)
{
    static const char zeros[PIECE];
    char piece[PIECE];
    racer *r = arg;

    memset(piece, 'a' + (int)r->number, sizeof piece);
    for (unsigned i = 0; i < CHUNKS; i++) {
        uint64_t at = i * KVI_OS_MEM_CHUNK + r->number * sizeof piece;

        if (kvi_os_mem_bytes_write(r->bytes, at, zeros, sizeof piece) != KV_OK ||
            kvi_os_mem_bytes_write(r->bytes, at, piece, sizeof piece) != KV_OK)
            r->wrong = true;
    }
    return NULL;
}

Test(os_fs_mem, threads_race_for_chunks)
{
    kvi_os_mem_bytes bytes;
    pthread_t threads[RACERS];
    racer racers[RACERS];

    kvi_mem_init(&mem, NULL);
    kvi_budget_init(&budget, BUDGET);
    kvi_os_mem_bytes_init(&bytes, &mem, &budget);
    for (unsigned i = 0; i < RACERS; i++) {
        racers[i] = (racer){&bytes, i, false};
        cr_assert_eq(pthread_create(&threads[i], NULL, race_for_chunks, &racers[i]), 0);
    }
    for (unsigned i = 0; i < RACERS; i++)
        cr_assert_eq(pthread_join(threads[i], NULL), 0);
    for (size_t at = 0; at < CHUNKS * KVI_OS_MEM_CHUNK; at += 1024) {
        char byte = 0;

        cr_assert_eq(kvi_os_mem_bytes_read(&bytes, at, &byte, 1), 1);
        cr_assert_eq(byte, 'a' + (int)(at % KVI_OS_MEM_CHUNK / PIECE), "offset %zu", at);
    }
    for (unsigned i = 0; i < RACERS; i++)
        cr_assert_not(racers[i].wrong);
    kvi_os_mem_bytes_deinit(&bytes);
    cr_assert_eq(atomic_load(&budget.used), 0);
}
