/*
 * The disk: what the treaty leaves to the POSIX file system, and its errors. fs_test.c holds it
 * against the treaty.
 */
#include "os/fs.h"

#include <criterion/criterion.h>

#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/error.h"
#include "support/tmpdir.h"
#include "unit/os/in_child.h"

static kvi_mem mem;
static kvi_os_fs_posix fs;
static char root[200]; /* a directory of the test's own */

static void setup(void)
{
    kvi_mem_init(&mem, NULL);
    kvi_os_fs_posix_init(&fs, &mem);
    kvt_tmpdir(root, sizeof root);
}

static void teardown(void)
{
    kvt_rmtree(root);
}

/* root/name, in one of a few buffers that take turns. */
static const char *at(const char *name)
{
    static char paths[4][512];
    static unsigned turn;
    char *path = paths[turn++ % 4];

    snprintf(path, sizeof paths[0], "%s/%s", root, name);
    return path;
}

static int open_dir(const char *path, bool create, bool *created, kvi_os_dir **out)
{
    return fs.base.ops->open_dir(&fs.base, path, create, created, out);
}

static kvi_os_dir *open_ok(const char *path)
{
    kvi_os_dir *d = NULL;
    bool created;

    cr_assert_eq(open_dir(path, true, &created, &d), KV_OK, "%s", kvi_error_detail());
    return d;
}

static void close_ok(kvi_os_dir *d)
{
    cr_assert_eq(d->ops->close(d), KV_OK);
}

static kvi_os_file *create_file(kvi_os_dir *d, const char *name)
{
    kvi_os_file *f = NULL;

    cr_assert_eq(d->ops->open(d, name, KVI_OS_CREATE, &f), KV_OK, "%s", kvi_error_detail());
    return f;
}

static mode_t mode_of(const char *path)
{
    struct stat st;

    cr_assert_eq(lstat(path, &st), 0, "%s", path);
    return st.st_mode & 0777;
}

static void write_text(const char *path, const char *text)
{
    FILE *f = fopen(path, "w");

    cr_assert_not_null(f);
    cr_assert(fputs(text, f) >= 0);
    cr_assert_eq(fclose(f), 0);
}

static void expect_text(const char *path, const char *expected)
{
    char text[256] = "";
    FILE *f = fopen(path, "r");

    cr_assert_not_null(f);
    (void)fread(text, 1, sizeof text - 1, f);
    cr_assert_eq(fclose(f), 0);
    cr_assert_str_eq(text, expected);
}

static int count_fds(void)
{
    DIR *fds = opendir("/proc/self/fd");
    int n = 0;

    cr_assert_not_null(fds);
    while (readdir(fds))
        n++;
    closedir(fds);
    return n;
}

/* ---- directories ------------------------------------------------------------------------- */

Test(os_fs_posix, makes_one_level_for_the_owner_alone, .init = setup, .fini = teardown)
{
    mode_t before = umask(0);
    kvi_os_dir *d = NULL;
    kvi_os_file *f;
    bool created = false;

    cr_assert_eq(open_dir(at("new"), true, &created, &d), KV_OK);
    cr_assert(created);
    cr_assert_eq(mode_of(at("new")), 0700);
    f = create_file(d, "a");
    cr_assert_eq(mode_of(at("new/a")), 0600);
    (void)umask(before);
    cr_assert_eq(f->ops->close(f), KV_OK);
    close_ok(d);
}

Test(os_fs_posix, says_whether_it_made_it, .init = setup, .fini = teardown)
{
    kvi_os_dir *d = NULL;
    bool created = true;

    cr_assert_eq(open_dir(root, true, &created, &d), KV_OK);
    cr_assert_not(created);
    close_ok(d);
    created = true;
    cr_assert_eq(open_dir(root, false, &created, &d), KV_OK);
    cr_assert_not(created);
    close_ok(d);
}

/* Fails with this code and a detail that holds all of the cause. */
static void expect_no_dir(const char *path, bool create, int code, const char *cause)
{
    kvi_os_dir *untouched = (kvi_os_dir *)&fs, *d = untouched;
    bool created = true;

    kvi_error_clear();
    cr_assert_eq(open_dir(path, create, &created, &d), code, "%s", kvi_error_detail());
    cr_assert_not_null(strstr(kvi_error_detail(), cause), "%s", kvi_error_detail());
    cr_assert(d == untouched && created, "outputs are untouched");
}

Test(os_fs_posix, open_dir_errors, .init = setup, .fini = teardown)
{
    char long_path[5000];

    memset(long_path, 'x', sizeof long_path - 1);
    long_path[sizeof long_path - 1] = '\0';
    write_text(at("file"), "");
    expect_no_dir("", true, KV_EINVAL, "empty");
    expect_no_dir(long_path, true, KV_EINVAL, "xxx");
    expect_no_dir(at("file"), true, KV_ENOTDIR, at("file"));
    expect_no_dir(at("file/below"), true, KV_ENOTDIR, at("file/below"));
    expect_no_dir(at("none"), false, KV_ENOENT, at("none"));
    expect_no_dir(at("none/below"), true, KV_ENOENT, "No such file or directory");
    cr_assert_eq(access(at("none"), F_OK), -1, "nothing was made");
}

/* As a user who may not: root is let through everywhere. */
static int open_without_permission(void *arg)
{
    kvi_os_dir *d;
    bool created;

    if (geteuid() == 0 && seteuid(65534) != 0)
        return 100;
    return -open_dir(arg, true, &created, &d);
}

Test(os_fs_posix, permission_denied, .init = setup, .fini = teardown)
{
    cr_assert_eq(mkdir(at("closed"), 0700), 0);
    cr_assert_eq(mkdir(at("closed/below"), 0700), 0);
    cr_assert_eq(chmod(at("closed"), 0), 0);
    cr_assert_eq(kvt_in_child(open_without_permission, (void *)at("closed")), -KV_EACCES);
    cr_assert_eq(kvt_in_child(open_without_permission, (void *)at("closed/new")), -KV_EACCES);
    cr_assert_eq(chmod(at("closed"), 0700), 0);
}

/* What cannot be made to last is not left half made: the parent cannot be opened to be synced. */
Test(os_fs_posix, a_parent_that_cannot_be_synced, .init = setup, .fini = teardown)
{
    uid_t user = geteuid() == 0 ? 65534 : geteuid();

    cr_assert_eq(chmod(root, 0711), 0);
    cr_assert_eq(mkdir(at("closed"), 0300), 0);
    cr_assert_eq(chown(at("closed"), user, (gid_t)-1), 0);
    cr_assert_eq(kvt_in_child(open_without_permission, (void *)at("closed/new")), -KV_EACCES);
    cr_assert_eq(chmod(at("closed"), 0700), 0);
    cr_assert_eq(access(at("closed/new"), F_OK), -1);
}

Test(os_fs_posix, the_path_may_lead_through_links, .init = setup, .fini = teardown)
{
    kvi_os_file *f;
    kvi_os_dir *d;

    cr_assert_eq(mkdir(at("real"), 0700), 0);
    cr_assert_eq(symlink("real", at("link")), 0);
    d = open_ok(at("link"));
    f = create_file(d, "a");
    cr_assert_eq(f->ops->close(f), KV_OK);
    cr_assert_eq(access(at("real/a"), F_OK), 0);
    close_ok(d);
    d = open_ok(at("link/"));
    close_ok(d);
}

Test(os_fs_posix, works_where_the_directory_is_moved, .init = setup, .fini = teardown)
{
    kvi_os_dir *d = open_ok(at("before"));
    kvi_os_file *f;

    cr_assert_eq(rename(at("before"), at("after")), 0);
    f = create_file(d, "a");
    cr_assert_eq(f->ops->close(f), KV_OK);
    cr_assert_eq(d->ops->rename(d, "a", "b"), KV_OK);
    cr_assert_eq(d->ops->sync(d), KV_OK);
    cr_assert_eq(access(at("after/b"), F_OK), 0);
    cr_assert_eq(access(at("before"), F_OK), -1);
    close_ok(d);
}

static void count_name(void *user, const char *name)
{
    (void)name;
    ++*(int *)user;
}

Test(os_fs_posix, lists_what_others_put_there, .init = setup, .fini = teardown)
{
    char long_name[201];
    kvi_os_dir *d = open_ok(root);
    int count = 0;

    memset(long_name, 'x', 200);
    long_name[200] = '\0';
    write_text(at(long_name), "");
    write_text(at(".hidden"), "");
    cr_assert_eq(mkdir(at("sub"), 0700), 0);
    cr_assert_eq(d->ops->list(d, count_name, &count), KV_OK);
    cr_assert_eq(count, 3);
    close_ok(d);
}

/* ---- names that are not files ------------------------------------------------------------ */

static void expect_not_a_file(kvi_os_dir *d, const char *name, const char *cause)
{
    static const enum kvi_os_open hows[] = {KVI_OS_READ, KVI_OS_WRITE};
    kvi_os_file *f = NULL;

    for (size_t i = 0; i < 2; i++) {
        kvi_error_clear();
        cr_assert_eq(d->ops->open(d, name, hows[i], &f), KV_EIO, "%s %zu", name, i);
        cr_assert_not_null(strstr(kvi_error_detail(), cause), "%s", kvi_error_detail());
        cr_assert_not_null(strstr(kvi_error_detail(), name), "%s", kvi_error_detail());
    }
    cr_assert_eq(d->ops->open(d, name, KVI_OS_CREATE, &f), KV_EEXIST);
    cr_assert_null(f);
}

Test(os_fs_posix, no_link_is_followed_inside, .init = setup, .fini = teardown)
{
    kvi_os_dir *d = open_ok(at("store"));
    enum kvi_os_locked who;

    write_text(at("outside"), "mine");
    cr_assert_eq(symlink("../outside", at("store/link")), 0);
    cr_assert_eq(symlink("../missing", at("store/dangling")), 0);
    expect_not_a_file(d, "link", "symbolic link");
    expect_not_a_file(d, "dangling", "symbolic link");
    cr_assert_eq(d->ops->lock(d, "link", &who), KV_EIO);
    cr_assert_eq(d->ops->lock(d, "dangling", &who), KV_EIO);
    cr_assert_eq(access(at("missing"), F_OK), -1);
    cr_assert_eq(d->ops->unlink(d, "link"), KV_OK, "the link, not what it names");
    expect_text(at("outside"), "mine");
    close_ok(d);
}

Test(os_fs_posix, pipes_and_directories_are_no_files, .init = setup, .fini = teardown)
{
    kvi_os_dir *d = open_ok(at("store"));
    int fds = count_fds();
    kvi_os_file *f = NULL;

    cr_assert_eq(mkfifo(at("store/pipe"), 0600), 0);
    cr_assert_eq(mkdir(at("store/sub"), 0700), 0);
    expect_not_a_file(d, "pipe", "not a file");
    cr_assert_eq(d->ops->open(d, "sub", KVI_OS_READ, &f), KV_EIO);
    cr_assert_eq(d->ops->open(d, "sub", KVI_OS_WRITE, &f), KV_EIO);
    cr_assert_null(f);
    cr_assert_eq(count_fds(), fds, "nothing stays open");
    close_ok(d);
}

static int open_path_as_name(void *arg)
{
    kvi_os_dir *d = arg;
    kvi_os_file *f;

    return -d->ops->open(d, "../a", KVI_OS_READ, &f);
}

Test(os_fs_posix, a_name_with_a_path_is_a_bug, .init = setup, .fini = teardown)
{
    kvi_os_dir *d = open_ok(root);

    cr_assert_eq(kvt_in_child(open_path_as_name, d), KVT_CHILD_DIED);
    close_ok(d);
}

/* ---- descriptors ------------------------------------------------------------------------- */

Test(os_fs_posix, descriptors_close_on_exec_and_on_close, .init = setup, .fini = teardown)
{
    int before = count_fds(), open_fds = 0;
    kvi_os_dir *d = open_ok(at("store"));
    kvi_os_file *f = create_file(d, "a");
    enum kvi_os_locked who;

    cr_assert_eq(d->ops->lock(d, "LOCK", &who), KV_OK);
    for (int fd = 0; fd < 1024; fd++) {
        char link[64], target[256];
        ssize_t len;

        snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
        len = readlink(link, target, sizeof target);
        if (len <= 0 || (size_t)len < strlen(root) || strncmp(target, root, strlen(root)) != 0)
            continue;
        open_fds++;
        cr_assert(fcntl(fd, F_GETFD) & FD_CLOEXEC, "descriptor %d", fd);
    }
    cr_assert_eq(open_fds, 3, "directory, lock and file");
    cr_assert_eq(f->ops->close(f), KV_OK);
    close_ok(d);
    cr_assert_eq(count_fds(), before);
}

static int open_without_descriptors(void *arg)
{
    struct rlimit none = {0, 0};
    kvi_os_dir *d = arg;
    kvi_os_file *f;
    bool created;

    if (setrlimit(RLIMIT_NOFILE, &none) != 0)
        return 100;
    if (open_dir(root, true, &created, &d) != KV_EMFILE)
        return 1;
    d = arg;
    if (d->ops->open(d, "a", KVI_OS_CREATE, &f) != KV_EMFILE)
        return 2;
    if (d->ops->list(d, count_name, &f) != KV_EMFILE)
        return 3;
    return 0;
}

Test(os_fs_posix, out_of_descriptors, .init = setup, .fini = teardown)
{
    kvi_os_dir *d = open_ok(root);

    if (!getenv("KVT_WRAPPER")) /* valgrind answers for the limit itself, and has spare ones */
        cr_assert_eq(kvt_in_child(open_without_descriptors, d), 0);
    close_ok(d);
}

/* ---- the lock ---------------------------------------------------------------------------- */

static int try_lock(kvi_os_dir *d, enum kvi_os_locked *who)
{
    return d->ops->lock(d, "LOCK", who);
}

Test(os_fs_posix, one_process_locks_once, .init = setup, .fini = teardown)
{
    kvi_os_dir *first = open_ok(root), *second = open_ok(root), *third = open_ok(root);
    enum kvi_os_locked who = KVI_OS_LOCKED_BY_OTHER;
    char pid[32];

    snprintf(pid, sizeof pid, "process %ld", (long)getpid());
    cr_assert_eq(try_lock(first, &who), KV_OK);
    cr_assert_eq(mode_of(at("LOCK")), 0600);
    cr_assert_eq(try_lock(second, &who), KV_EINUSE);
    cr_assert_eq(who, KVI_OS_LOCKED_BY_US);
    cr_assert_not_null(strstr(kvi_error_detail(), pid), "%s", kvi_error_detail());
    close_ok(second);
    /* Closing the one that failed gave nothing up. */
    who = KVI_OS_LOCKED_BY_OTHER;
    cr_assert_eq(try_lock(third, &who), KV_EINUSE);
    cr_assert_eq(who, KVI_OS_LOCKED_BY_US);
    close_ok(first);
    cr_assert_eq(try_lock(third, &who), KV_OK, "close gives it up");
    close_ok(third);
}

/* 0: locked; 1: by us; 2: by another. */
static int lock_in_child(void *arg)
{
    enum kvi_os_locked who = KVI_OS_LOCKED_BY_US;
    kvi_os_dir *d = NULL;
    bool created;
    int err;

    (void)arg;
    if (open_dir(root, true, &created, &d) != KV_OK)
        return 100;
    err = try_lock(d, &who);
    if (err == KV_OK)
        return 0;
    if (err != KV_EINUSE)
        return 101;
    return who == KVI_OS_LOCKED_BY_US ? 1 : 2;
}

Test(os_fs_posix, another_process_is_kept_out, .init = setup, .fini = teardown)
{
    kvi_os_dir *d = open_ok(root);
    enum kvi_os_locked who;

    cr_assert_eq(kvt_in_child(lock_in_child, NULL), 0);
    cr_assert_eq(try_lock(d, &who), KV_OK, "the child's lock died with it");
    cr_assert_eq(kvt_in_child(lock_in_child, NULL), 2);
    close_ok(d);
    cr_assert_eq(kvt_in_child(lock_in_child, NULL), 0);
}

/* Locks, says so, and holds on until its input ends. */
typedef struct holder {
    int ready[2], release[2];
} holder;

static void hold_lock(holder *h)
{
    char byte = (char)lock_in_child(NULL);

    (void)close(h->release[1]);
    if (write(h->ready[1], &byte, 1) == 1)
        (void)read(h->release[0], &byte, 1);
    _exit(0);
}

Test(os_fs_posix, another_process_keeps_us_out, .init = setup, .fini = teardown)
{
    kvi_os_dir *d = open_ok(root);
    enum kvi_os_locked who = KVI_OS_LOCKED_BY_US;
    char text[64], state = 9;
    struct stat before, after;
    holder h;
    pid_t child;

    cr_assert(pipe(h.ready) == 0 && pipe(h.release) == 0);
    fflush(NULL);
    child = fork();
    if (child == 0)
        hold_lock(&h);
    cr_assert_gt(child, 0);
    cr_assert(read(h.ready[0], &state, 1) == 1 && state == 0);
    cr_assert_eq(stat(at("LOCK"), &before), 0);
    cr_assert_eq(try_lock(d, &who), KV_EINUSE);
    cr_assert_eq(who, KVI_OS_LOCKED_BY_OTHER);
    snprintf(text, sizeof text, "process %ld", (long)child);
    cr_assert_not_null(strstr(kvi_error_detail(), text), "%s", kvi_error_detail());
    cr_assert_eq(stat(at("LOCK"), &after), 0);
    cr_assert(before.st_size == after.st_size && before.st_mtim.tv_sec == after.st_mtim.tv_sec &&
                  before.st_mtim.tv_nsec == after.st_mtim.tv_nsec,
              "the lock file is as it was");
    for (int i = 0; i < 2; i++)
        cr_assert(close(h.release[i]) == 0 && close(h.ready[i]) == 0);
    cr_assert_eq(waitpid(child, NULL, 0), child);
    cr_assert_eq(try_lock(d, &who), KV_OK);
    close_ok(d);
}

/* A process that a lock file names may be long gone, and its number another's: ours. */
Test(os_fs_posix, an_old_lock_file_locks_nothing, .init = setup, .fini = teardown)
{
    kvi_os_dir *d = open_ok(root);
    enum kvi_os_locked who;
    char text[256], expected[32];
    FILE *f;

    write_text(at("LOCK"), "1 in 1\nand much more text than is written today, which must not stay");
    cr_assert_eq(try_lock(d, &who), KV_OK);
    f = fopen(at("LOCK"), "r");
    cr_assert_not_null(f);
    cr_assert_not_null(fgets(text, sizeof text, f));
    snprintf(expected, sizeof expected, "%ld in ", (long)getpid());
    cr_assert_eq(strncmp(text, expected, strlen(expected)), 0, "%s", text);
    cr_assert_null(fgets(text, sizeof text, f), "one line");
    cr_assert_eq(fclose(f), 0);
    close_ok(d);
}
