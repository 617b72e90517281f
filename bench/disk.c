/*
 * Directories and the rate of syncs.
 */
#include "disk.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define RATE_FILE_BYTES ((size_t)4 << 20)
#define NAME_ROOM       512u /* below a place */

uint64_t clock_ns(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

static bool complain(const char *what, const char *path)
{
    fprintf(stderr, "kv_bench: %s %s: %s\n", what, path, strerror(errno));
    return false;
}

bool place_make(place *p, const char *parent)
{
    if (parent == NULL)
        parent = getenv("TMPDIR");
    if (parent == NULL || *parent == '\0')
        parent = "/tmp";
    if (strlen(parent) > PLACE_PATH_MAX - NAME_ROOM) {
        errno = ENAMETOOLONG;
        return complain("cannot use", parent);
    }
    snprintf(p->dir, sizeof p->dir, "%s/kv_bench-XXXXXX", parent);
    return mkdtemp(p->dir) != NULL || complain("cannot make a directory in", parent);
}

bool place_remove_store(const char *store)
{
    DIR *d = opendir(store);
    if (d == NULL)
        return errno == ENOENT || complain("cannot read", store);
    bool ok = true;
    for (struct dirent *e = readdir(d); e != NULL; e = readdir(d)) {
        if (strcmp(e->d_name, ".") == 0 || strcmp(e->d_name, "..") == 0)
            continue;
        if (unlinkat(dirfd(d), e->d_name, 0) != 0)
            ok = complain("cannot remove a file of", store);
    }
    closedir(d);
    return ok && (rmdir(store) == 0 || complain("cannot remove", store));
}

bool place_remove(const place *p)
{
    return rmdir(p->dir) == 0 || complain("cannot remove", p->dir);
}

void place_store(const place *p, unsigned number, char *out)
{
    int len = snprintf(out, PLACE_PATH_MAX, "%s/store-%u", p->dir, number);
    if (len < 0 || (size_t)len >= PLACE_PATH_MAX)
        abort(); /* place_make left room */
}

/** Writes the whole file once, so that what follows is in place. */
static bool fill_file(int fd, const unsigned char *bytes, size_t step)
{
    for (size_t at = 0; at < RATE_FILE_BYTES; at += step)
        if (pwrite(fd, bytes, step, (off_t)at) != (ssize_t)step)
            return false;
    return fsync(fd) == 0;
}

static bool sync_repeatedly(int fd, size_t bytes, uint64_t duration_ns, double *rate)
{
    unsigned char page[4096];
    if (bytes > sizeof page)
        bytes = sizeof page;
    memset(page, 0x5a, sizeof page);
    if (!fill_file(fd, page, sizeof page))
        return false;
    uint64_t begin = clock_ns();
    uint64_t end = begin;
    uint64_t count = 0;
    for (size_t at = 0; end - begin < duration_ns; at += bytes, count++) {
        if (at + bytes > RATE_FILE_BYTES)
            at = 0;
        if (pwrite(fd, page, bytes, (off_t)at) != (ssize_t)bytes || fdatasync(fd) != 0)
            return false;
        end = clock_ns();
    }
    *rate = (double)count * 1e9 / (double)(end - begin);
    return true;
}

double disk_sync_rate(const place *p, size_t bytes, uint64_t duration_ns)
{
    char path[PLACE_PATH_MAX + 16];
    double rate = 0;
    snprintf(path, sizeof path, "%s/sync-rate", p->dir);
    int fd = open(path, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    if (fd < 0 || !sync_repeatedly(fd, bytes, duration_ns, &rate))
        complain("cannot write and sync", path);
    if (fd >= 0)
        close(fd);
    unlink(path);
    return rate;
}
