/* See tmpdir.h. */
#include "support/tmpdir.h"

#include <errno.h>
#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define KVT_RMTREE_MAX_FDS 16

static void die(const char *what, const char *path)
{
    fprintf(stderr, "tmpdir: %s %s: %s\n", what, path, strerror(errno));
    abort();
}

void kvt_tmpdir(char *out, size_t cap)
{
    const char *base = getenv("TMPDIR");
    int len = snprintf(out, cap, "%s/kvt.XXXXXX", base && base[0] == '/' ? base : "/tmp");
    if (len < 0 || (size_t)len >= cap) {
        errno = ENAMETOOLONG;
        die("name for", base ? base : "/tmp");
    }
    if (!mkdtemp(out))
        die("mkdtemp", out);
}

static int remove_one(const char *path, const struct stat *st, int kind, struct FTW *walk)
{
    (void)st;
    (void)kind;
    (void)walk;
    return remove(path) == 0 || errno == ENOENT ? 0 : -1;
}

void kvt_rmtree(const char *path)
{
    if (nftw(path, remove_one, KVT_RMTREE_MAX_FDS, FTW_DEPTH | FTW_PHYS) != 0 && errno != ENOENT)
        die("rmtree", path);
}
