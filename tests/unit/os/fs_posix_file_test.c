/*
 * An open file on disk: maps, a full disk, and the codes of errors. fs_test.c holds it against the
 * treaty, fs_posix_test.c has the directory's side.
 */
#include "os/fs.h"

#include <criterion/criterion.h>

#include <errno.h>
#include <signal.h>
#include <string.h>
#include <sys/resource.h>

#include "base/error.h"
#include "os/fs_posix_impl.h"
#include "support/tmpdir.h"
#include "unit/os/in_child.h"

static kvi_mem mem;
static kvi_os_fs_posix fs;
static char root[200]; /* a directory of the test's own */
static kvi_os_dir *dir;
static kvi_os_file *file; /* in there: new, empty, named "a"; a test may close it */

static void setup(void)
{
    bool created;

    kvi_mem_init(&mem, NULL);
    kvi_os_fs_posix_init(&fs, &mem);
    kvt_tmpdir(root, sizeof root);
    cr_assert_eq(fs.base.ops->open_dir(&fs.base, root, false, &created, &dir), KV_OK);
    cr_assert_eq(dir->ops->open(dir, "a", KVI_OS_CREATE, &file), KV_OK);
}

static void close_file(void)
{
    cr_assert_eq(file->ops->close(file), KV_OK);
    file = NULL;
}

static void teardown(void)
{
    if (file)
        close_file();
    cr_assert_eq(dir->ops->close(dir), KV_OK);
    kvt_rmtree(root);
}

/* A limit on the size of files stands for a full disk. */
static int write_over_limit(void *arg)
{
    struct rlimit limit = {10000, 10000};
    char data[20000] = {0};

    (void)arg;
    (void)signal(SIGXFSZ, SIG_IGN);
    if (setrlimit(RLIMIT_FSIZE, &limit) != 0)
        return 100;
    return -file->ops->write(file, 0, data, sizeof data);
}

Test(os_fs_posix_file, out_of_space, .init = setup, .fini = teardown)
{
    uint64_t size = 0;

    cr_assert_eq(kvt_in_child(write_over_limit, NULL), -KV_ENOSPC);
    cr_assert_eq(file->ops->size(file, &size), KV_OK);
    cr_assert_eq(size, 10000, "a short write was gone on with");
}

Test(os_fs_posix_file, a_store_into_a_map_is_a_write, .init = setup, .fini = teardown)
{
    enum { LEN = 8192 };
    char data[LEN] = {0};
    void *map = NULL;
    size_t got = 0;

    cr_assert_eq(file->ops->write(file, 0, data, LEN), KV_OK);
    cr_assert_eq(file->ops->map(file, LEN, &map), KV_OK);
    memcpy((char *)map + 5000, "hello", 5);
    cr_assert_eq(file->ops->sync(file), KV_OK);
    cr_assert_eq(file->ops->read(file, 5000, data, 5, &got), KV_OK);
    cr_assert_eq(memcmp(data, "hello", 5), 0);
    cr_assert_eq(file->ops->write(file, 0, "there", 5), KV_OK);
    cr_assert_eq(memcmp(map, "there", 5), 0);
    file->ops->unmap(file, map, LEN);
    cr_assert_eq(file->ops->map(file, 100, &map), KV_OK, "again, and a part");
    close_file(); /* which unmaps */
}

Test(os_fs_posix_file, no_map_beyond_the_end, .init = setup, .fini = teardown)
{
    void *map = NULL;

    kvi_error_clear();
    cr_assert_eq(file->ops->map(file, 1, &map), KV_EIO);
    cr_assert_eq(file->ops->write(file, 0, "abc", 3), KV_OK);
    cr_assert_eq(file->ops->map(file, 4, &map), KV_EIO);
    cr_assert_not_null(strstr(kvi_error_detail(), "/a"), "%s", kvi_error_detail());
    cr_assert_null(map);
}

static int write_one(void *arg)
{
    kvi_os_file *f = arg;

    return -f->ops->write(f, 0, "x", 1);
}

Test(os_fs_posix_file, writing_what_was_opened_to_read_is_a_bug, .init = setup, .fini = teardown)
{
    kvi_os_file *f = NULL;

    cr_assert_eq(dir->ops->open(dir, "a", KVI_OS_READ, &f), KV_OK);
    cr_assert_eq(kvt_in_child(write_one, f), KVT_CHILD_DIED);
    cr_assert_eq(f->ops->close(f), KV_OK);
}

Test(os_fs_posix_file, every_errno_has_its_code)
{
    static const struct {
        int errnum, code;
    } expected[] = {
        {ENOENT, KV_ENOENT},       {EEXIST, KV_EEXIST}, {ENOTDIR, KV_ENOTDIR}, {EACCES, KV_EACCES},
        {EPERM, KV_EACCES},        {EROFS, KV_EACCES},  {ENOSPC, KV_ENOSPC},   {EDQUOT, KV_ENOSPC},
        {EFBIG, KV_ENOSPC},        {EMFILE, KV_EMFILE}, {ENFILE, KV_EMFILE},   {ENOMEM, KV_ENOMEM},
        {ENAMETOOLONG, KV_EINVAL}, {EIO, KV_EIO},       {EBADF, KV_EIO},       {99999, KV_EIO},
    };

    for (size_t i = 0; i < sizeof expected / sizeof expected[0]; i++) {
        kvi_error_clear();
        cr_assert_eq(kvi_os_posix_error(expected[i].errnum, "open %s/%s", "data", "000012.log"),
                     expected[i].code, "errno %d", expected[i].errnum);
        cr_assert_eq(strncmp(kvi_error_detail(), "cannot open data/000012.log: ", 29), 0, "%s",
                     kvi_error_detail());
    }
    (void)kvi_os_posix_error(ENOSPC, "write %s", "data/000012.log");
    cr_assert_str_eq(kvi_error_detail(), "cannot write data/000012.log: No space left on device");
}
