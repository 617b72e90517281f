/*
 * The treaty of os/fs.h, held against each implementation: on a disk and in memory.
 */
#include "os/fs.h"

#include <criterion/criterion.h>

#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "support/rng.h"
#include "support/tmpdir.h"

#define BUDGET ((size_t)64 << 20)

/* One open directory of either kind, and what it stands on. */
typedef struct rig {
    char path[256]; /* empty: in memory */
    kvi_mem mem;
    kvi_budget budget;
    kvi_os_fs_posix posix;
    kvi_os_fs_mem memory;
    kvi_os_dir *dir;
} rig;

static void rig_open(rig *r, bool in_memory)
{
    kvi_os_fs *fs = in_memory ? &r->memory.base : &r->posix.base;
    bool created = !in_memory;

    kvi_mem_init(&r->mem, NULL);
    kvi_budget_init(&r->budget, BUDGET);
    kvi_os_fs_posix_init(&r->posix, &r->mem);
    kvi_os_fs_mem_init(&r->memory, &r->mem, &r->budget);
    r->path[0] = '\0';
    if (!in_memory)
        kvt_tmpdir(r->path, sizeof r->path);
    cr_assert_eq(fs->ops->open_dir(fs, r->path, true, &created, &r->dir), KV_OK);
    cr_assert_eq(created, in_memory);
}

static void rig_close(rig *r)
{
    cr_assert_eq(r->dir->ops->close(r->dir), KV_OK);
    cr_assert_eq(atomic_load(&r->budget.used), 0, "all memory is given back");
    if (r->path[0])
        kvt_rmtree(r->path);
}

/* A test of both: its body is a function that gets the directory. */
#define TEST_BOTH(name)              \
    static void name(kvi_os_dir *d); \
    Test(os_fs, name##_on_disk)      \
    {                                \
        rig r;                       \
                                     \
        rig_open(&r, false);         \
        name(r.dir);                 \
        rig_close(&r);               \
    }                                \
    Test(os_fs, name##_in_memory)    \
    {                                \
        rig r;                       \
                                     \
        rig_open(&r, true);          \
        name(r.dir);                 \
        rig_close(&r);               \
    }                                \
    static void name(kvi_os_dir *d)

static kvi_os_file *open_ok(kvi_os_dir *d, const char *name, enum kvi_os_open how)
{
    kvi_os_file *f = NULL;
    int err = d->ops->open(d, name, how, &f);

    cr_assert_eq(err, KV_OK, "%s: %d: %s", name, err, kvi_error_detail());
    return f;
}

static void close_ok(kvi_os_file *f)
{
    cr_assert_eq(f->ops->close(f), KV_OK);
}

static void create(kvi_os_dir *d, const char *name, const char *content)
{
    kvi_os_file *f = open_ok(d, name, KVI_OS_CREATE);

    cr_assert_eq(f->ops->write(f, 0, content, strlen(content)), KV_OK);
    close_ok(f);
}

static void expect_bytes(kvi_os_file *f, const char *content)
{
    char got_bytes[64];
    uint64_t size = UINT64_MAX;
    size_t got = SIZE_MAX;

    cr_assert_eq(f->ops->size(f, &size), KV_OK);
    cr_assert_eq(f->ops->read(f, 0, got_bytes, sizeof got_bytes, &got), KV_OK);
    cr_assert_eq(got, strlen(content));
    cr_assert_eq(size, got);
    cr_assert_eq(memcmp(got_bytes, content, got), 0);
}

static void expect_content(kvi_os_dir *d, const char *name, const char *content)
{
    kvi_os_file *f = open_ok(d, name, KVI_OS_READ);

    expect_bytes(f, content);
    close_ok(f);
}

/* Fails with this code and a detail that names the file, and leaves the output alone. */
static void expect_open_error(kvi_os_dir *d, const char *name, enum kvi_os_open how, int code)
{
    kvi_os_file *untouched = (kvi_os_file *)d, *f = untouched;

    kvi_error_clear();
    cr_assert_eq(d->ops->open(d, name, how, &f), code);
    cr_assert(f == untouched);
    cr_assert_not_null(strstr(kvi_error_detail(), name), "%s", kvi_error_detail());
}

/* The names, each followed by a space, in order. */
typedef struct names {
    char *name[64];
    size_t count;
} names;

static void add_name(void *user, const char *name)
{
    names *n = user;

    if (n->count < 64)
        n->name[n->count++] = strdup(name);
}

static int by_name(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

static void expect_names(kvi_os_dir *d, const char *expected)
{
    char text[1024] = "";
    names n = {.count = 0};

    cr_assert_eq(d->ops->list(d, add_name, &n), KV_OK);
    qsort(n.name, n.count, sizeof n.name[0], by_name);
    for (size_t i = 0; i < n.count; i++) {
        strcat(strcat(text, n.name[i]), " ");
        free(n.name[i]);
    }
    cr_assert_str_eq(text, expected);
}

TEST_BOTH(create_makes_an_empty_file)
{
    kvi_os_file *f = open_ok(d, "a", KVI_OS_CREATE);

    expect_bytes(f, "");
    cr_assert_eq(f->ops->write(f, 0, "abc", 3), KV_OK);
    expect_bytes(f, "abc");
    cr_assert_eq(f->ops->sync(f), KV_OK);
    close_ok(f);
    cr_assert_eq(d->ops->sync(d), KV_OK);
    expect_content(d, "a", "abc");
}

TEST_BOTH(create_refuses_what_is_there)
{
    create(d, "a", "abc");
    expect_open_error(d, "a", KVI_OS_CREATE, KV_EEXIST);
    expect_content(d, "a", "abc");
}

TEST_BOTH(open_refuses_what_is_not_there)
{
    expect_open_error(d, "a", KVI_OS_READ, KV_ENOENT);
    expect_open_error(d, "a", KVI_OS_WRITE, KV_ENOENT);
    expect_names(d, "");
}

TEST_BOTH(write_mode_keeps_the_content)
{
    kvi_os_file *f;

    create(d, "a", "abcdef");
    f = open_ok(d, "a", KVI_OS_WRITE);
    cr_assert_eq(f->ops->write(f, 2, "CD", 2), KV_OK);
    expect_bytes(f, "abCDef");
    close_ok(f);
    expect_content(d, "a", "abCDef");
}

TEST_BOTH(a_read_ends_at_the_end_of_the_file)
{
    const uint64_t beyond[] = {6, 7, 1000, UINT64_C(1) << 40, INT64_MAX - 3, INT64_MAX, UINT64_MAX};
    kvi_os_file *f;
    size_t got = SIZE_MAX;
    char buf[8];

    create(d, "a", "abcdef");
    f = open_ok(d, "a", KVI_OS_READ);
    cr_assert_eq(f->ops->read(f, 4, buf, sizeof buf, &got), KV_OK);
    cr_assert_eq(got, 2);
    cr_assert_eq(memcmp(buf, "ef", 2), 0);
    cr_assert_eq(f->ops->read(f, 0, buf, 0, &got), KV_OK);
    cr_assert_eq(got, 0);
    for (size_t i = 0; i < sizeof beyond / sizeof beyond[0]; i++) {
        got = SIZE_MAX;
        cr_assert_eq(f->ops->read(f, beyond[i], buf, sizeof buf, &got), KV_OK, "case %zu", i);
        cr_assert_eq(got, 0, "case %zu", i);
    }
    close_ok(f);
}

TEST_BOTH(a_gap_reads_as_zeros)
{
    const size_t far = 200000;
    kvi_os_file *f = open_ok(d, "a", KVI_OS_CREATE);
    char *buf = malloc(far + 1);
    size_t got = 0;
    uint64_t size = 0;

    cr_assert_not_null(buf);
    memset(buf, 'x', far + 1);
    cr_assert_eq(f->ops->write(f, far, "!", 1), KV_OK);
    cr_assert_eq(f->ops->size(f, &size), KV_OK);
    cr_assert_eq(size, far + 1);
    cr_assert_eq(f->ops->read(f, 0, buf, far + 1, &got), KV_OK);
    cr_assert_eq(got, far + 1);
    for (size_t i = 0; i < far; i++)
        cr_assert_eq(buf[i], 0, "byte %zu", i);
    cr_assert_eq(buf[far], '!');
    free(buf);
    close_ok(f);
}

TEST_BOTH(an_empty_write_writes_nothing)
{
    kvi_os_file *f = open_ok(d, "a", KVI_OS_CREATE);

    cr_assert_eq(f->ops->write(f, 1000, "", 0), KV_OK);
    expect_bytes(f, "");
    close_ok(f);
}

TEST_BOTH(reads_and_writes_agree_with_an_array)
{
    enum { SPAN = 300000, TURNS = 400 };
    uint8_t *model = calloc(SPAN, 2), *buf = model + SPAN;
    kvi_os_file *f = open_ok(d, "a", KVI_OS_CREATE);
    size_t size = 0;
    kvt_rng rng;

    cr_assert_not_null(model);
    kvt_rng_init(&rng, 4);
    for (int turn = 0; turn < TURNS; turn++) {
        size_t at = (size_t)kvt_rng_below(&rng, SPAN);
        size_t len = (size_t)kvt_rng_below(&rng, kvi_min_u64(SPAN - at + 1, 50000));
        size_t got = 0;

        if (turn % 2) {
            memset(model + at, turn, len);
            cr_assert_eq(f->ops->write(f, at, model + at, len), KV_OK);
            if (len > 0)
                size = kvi_max_size(size, at + len);
        } else {
            cr_assert_eq(f->ops->read(f, at, buf, len, &got), KV_OK);
            cr_assert_eq(got, at < size ? kvi_min_size(len, size - at) : 0, "turn %d", turn);
            cr_assert_eq(memcmp(buf, model + at, got), 0, "turn %d", turn);
        }
    }
    close_ok(f);
    free(model);
}

TEST_BOTH(rename_moves_and_replaces)
{
    create(d, "a", "of a");
    create(d, "b", "of b");
    cr_assert_eq(d->ops->rename(d, "a", "c"), KV_OK);
    expect_names(d, "b c ");
    expect_content(d, "c", "of a");
    cr_assert_eq(d->ops->rename(d, "c", "b"), KV_OK);
    expect_names(d, "b ");
    expect_content(d, "b", "of a");
    cr_assert_eq(d->ops->rename(d, "b", "b"), KV_OK);
    expect_content(d, "b", "of a");
    cr_assert_eq(d->ops->sync(d), KV_OK);
}

TEST_BOTH(rename_and_unlink_refuse_what_is_not_there)
{
    create(d, "b", "of b");
    kvi_error_clear();
    cr_assert_eq(d->ops->rename(d, "a", "b"), KV_ENOENT);
    cr_assert_not_null(strstr(kvi_error_detail(), "a"));
    expect_content(d, "b", "of b");
    cr_assert_eq(d->ops->unlink(d, "a"), KV_ENOENT);
    cr_assert_eq(d->ops->unlink(d, "b"), KV_OK);
    cr_assert_eq(d->ops->unlink(d, "b"), KV_ENOENT);
    expect_names(d, "");
}

TEST_BOTH(a_file_outlives_its_name)
{
    kvi_os_file *unlinked, *replaced;

    create(d, "a", "of a");
    create(d, "b", "of b");
    unlinked = open_ok(d, "a", KVI_OS_WRITE);
    replaced = open_ok(d, "b", KVI_OS_READ);
    cr_assert_eq(d->ops->unlink(d, "a"), KV_OK);
    create(d, "a", "the new a");
    cr_assert_eq(d->ops->rename(d, "a", "b"), KV_OK);
    expect_bytes(replaced, "of b");
    expect_bytes(unlinked, "of a");
    cr_assert_eq(unlinked->ops->write(unlinked, 4, "!", 1), KV_OK);
    expect_bytes(unlinked, "of a!");
    expect_content(d, "b", "the new a");
    close_ok(unlinked);
    close_ok(replaced);
}

TEST_BOTH(list_names_each_file_once)
{
    char longest[KVI_OS_NAME_MAX + 1], expected[128];

    memset(longest, 'z', sizeof longest - 1);
    longest[sizeof longest - 1] = '\0';
    snprintf(expected, sizeof expected, "000001.log CURRENT %s ", longest);
    expect_names(d, "");
    create(d, "CURRENT", "");
    create(d, longest, "x");
    create(d, "000001.log", "");
    expect_names(d, expected);
    expect_names(d, expected);
}

TEST_BOTH(lock_makes_its_file)
{
    enum kvi_os_locked who = KVI_OS_LOCKED_BY_OTHER;

    cr_assert_eq(d->ops->lock(d, "LOCK", &who), KV_OK);
    expect_names(d, "LOCK ");
    create(d, "a", "abc");
    expect_content(d, "a", "abc");
}

TEST_BOTH(lock_takes_a_file_that_is_there)
{
    enum kvi_os_locked who = KVI_OS_LOCKED_BY_OTHER;

    create(d, "LOCK", "a text of another time, longer than any that names a holder today");
    cr_assert_eq(d->ops->lock(d, "LOCK", &who), KV_OK);
    expect_names(d, "LOCK ");
}

/* Threads write the stripes of one file that are theirs, and read back what they wrote. */
enum { WRITERS = 4, STRIPE = 5000, STRIPES = 64 };

typedef struct striper {
    kvi_os_file *file;
    unsigned number;
    bool wrong;
} striper;

static void *write_stripes(void *arg)
{
    uint8_t mine[STRIPE], back[STRIPE];
    striper *s = arg;

    memset(mine, 'a' + (int)s->number, sizeof mine);
    for (unsigned i = 0; i < STRIPES; i++) {
        uint64_t at = ((uint64_t)i * WRITERS + s->number) * STRIPE;
        size_t got = 0;

        if (s->file->ops->write(s->file, at, mine, STRIPE) != KV_OK ||
            s->file->ops->read(s->file, at, back, STRIPE, &got) != KV_OK || got != STRIPE ||
            memcmp(mine, back, STRIPE) != 0)
            s->wrong = true;
    }
    return NULL;
}

TEST_BOTH(threads_share_a_file)
{
    kvi_os_file *f = open_ok(d, "a", KVI_OS_CREATE);
    pthread_t threads[WRITERS];
    striper stripers[WRITERS];
    uint64_t size = 0;

    for (unsigned i = 0; i < WRITERS; i++) {
        stripers[i] = (striper){f, i, false};
        cr_assert_eq(pthread_create(&threads[i], NULL, write_stripes, &stripers[i]), 0);
    }
    for (unsigned i = 0; i < WRITERS; i++)
        cr_assert_eq(pthread_join(threads[i], NULL), 0);
    for (unsigned i = 0; i < WRITERS; i++)
        cr_assert_not(stripers[i].wrong, "thread %u", i);
    cr_assert_eq(f->ops->size(f, &size), KV_OK);
    cr_assert_eq(size, (uint64_t)WRITERS * STRIPES * STRIPE);
    close_ok(f);
}

/* Threads make, rename and remove names of their own in one directory. */
typedef struct namer {
    kvi_os_dir *dir;
    unsigned number;
    bool wrong;
} namer;

static void *churn_names(void *arg)
{
    namer *n = arg;
    char a[16] = {0}, b[16];

    snprintf(a, sizeof a, "a%u", n->number);
    snprintf(b, sizeof b, "b%u", n->number);
    for (int i = 0; i < 200; i++) {
        kvi_os_file *f = NULL;

        if (n->dir->ops->open(n->dir, a, KVI_OS_CREATE, &f) != KV_OK) {
            n->wrong = true;
            break;
        }
        if (f->ops->write(f, 0, a, sizeof a) != KV_OK ||
            n->dir->ops->rename(n->dir, a, b) != KV_OK || f->ops->close(f) != KV_OK)
            n->wrong = true;
    }
    return NULL;
}

TEST_BOTH(threads_share_a_directory)
{
    pthread_t threads[WRITERS];
    namer namers[WRITERS];

    for (unsigned i = 0; i < WRITERS; i++) {
        namers[i] = (namer){d, i, false};
        cr_assert_eq(pthread_create(&threads[i], NULL, churn_names, &namers[i]), 0);
    }
    for (unsigned i = 0; i < WRITERS; i++)
        cr_assert_eq(pthread_join(threads[i], NULL), 0);
    for (unsigned i = 0; i < WRITERS; i++)
        cr_assert_not(namers[i].wrong, "thread %u", i);
    expect_names(d, "b0 b1 b2 b3 ");
}

static void close_file_after_directory(bool in_memory)
{
    kvi_os_file *f;
    rig r;

    rig_open(&r, in_memory);
    create(r.dir, "a", "abc");
    f = open_ok(r.dir, "a", KVI_OS_READ);
    cr_assert_eq(r.dir->ops->close(r.dir), KV_OK);
    expect_bytes(f, "abc");
    close_ok(f);
    cr_assert_eq(atomic_load(&r.budget.used), 0);
    if (r.path[0])
        kvt_rmtree(r.path);
}

Test(os_fs, a_file_outlives_its_directory_on_disk)
{
    close_file_after_directory(false);
}

Test(os_fs, a_file_outlives_its_directory_in_memory)
{
    close_file_after_directory(true);
}

/* Every allocation fails once, at each place: KV_ENOMEM, nothing left behind. */
typedef struct fragile {
    int until; /* allocations that are granted */
    int live;
} fragile;

static void *fragile_alloc(void *user, size_t bytes)
{
    fragile *f = user;

    if (f->until-- <= 0)
        return NULL;
    f->live++;
    return malloc(bytes);
}

static void *fragile_resize(void *user, void *old, size_t bytes)
{
    fragile *f = user;

    if (!old)
        return fragile_alloc(user, bytes);
    return f->until-- > 0 ? realloc(old, bytes) : NULL;
}

static void fragile_free(void *user, void *old)
{
    fragile *f = user;

    f->live--;
    free(old);
}

/* Opens, locks, creates and writes; the first failure. */
static int open_and_write(kvi_os_fs *fs, const char *path)
{
    enum kvi_os_locked who;
    kvi_os_file *f = NULL;
    kvi_os_dir *d;
    bool created;
    int err = fs->ops->open_dir(fs, path, true, &created, &d);

    if (err)
        return err;
    err = d->ops->lock(d, "LOCK", &who);
    if (!err)
        err = d->ops->open(d, "a", KVI_OS_CREATE, &f);
    if (!err)
        err = f->ops->write(f, 0, "abc", 3);
    if (f && f->ops->close(f) != KV_OK)
        err = KV_EIO;
    if (d->ops->close(d) != KV_OK)
        err = KV_EIO;
    return err;
}

static void fail_every_allocation(bool in_memory)
{
    kv_allocator host = KV_ALLOCATOR_INIT;
    fragile granted = {0};
    int n = 0, err;
    rig r;

    host.alloc = fragile_alloc;
    host.resize = fragile_resize;
    host.free = fragile_free;
    host.user = &granted;
    rig_open(&r, in_memory);
    cr_assert_eq(r.dir->ops->close(r.dir), KV_OK);
    kvi_mem_init(&r.mem, &host);
    do {
        granted.until = n++;
        kvi_error_clear();
        err = open_and_write(in_memory ? &r.memory.base : &r.posix.base, r.path);
        cr_assert(err == KV_OK || err == KV_ENOMEM, "%d allocations: %d", n - 1, err);
        cr_assert(err == KV_OK || kvi_error_detail()[0] != '\0');
        cr_assert_eq(granted.live, 0, "%d allocations", n - 1);
        cr_assert_eq(atomic_load(&r.budget.used), 0, "%d allocations", n - 1);
    } while (err != KV_OK);
    cr_assert_gt(n, 2);
    if (r.path[0])
        kvt_rmtree(r.path);
}

Test(os_fs, without_memory_on_disk)
{
    fail_every_allocation(false);
}

Test(os_fs, without_memory_in_memory)
{
    fail_every_allocation(true);
}
