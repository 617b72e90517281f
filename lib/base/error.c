/*
 * Error details and texts; see the header for the contract.
 */
#include "base/error.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

/* Empty in a new thread. */
static _Thread_local char detail[KVI_ERROR_DETAIL_MAX];

static const char *const names[] = {
    [-KV_OK] = "KV_OK: success",
    [-KV_ENOTFOUND] = "KV_ENOTFOUND: no such key, or past the end",
    [-KV_EINVAL] = "KV_EINVAL: invalid argument",
    [-KV_ETOOBIG] = "KV_ETOOBIG: key, value or batch over its limit",
    [-KV_ENOMEM] = "KV_ENOMEM: out of memory",
    [-KV_ENOSPC] = "KV_ENOSPC: no space left",
    [-KV_EIO] = "KV_EIO: the file system failed",
    [-KV_ECORRUPT] = "KV_ECORRUPT: stored bytes are damaged",
    [-KV_EFORMAT] = "KV_EFORMAT: written by a newer libkv",
    [-KV_ENOENT] = "KV_ENOENT: no such path or store",
    [-KV_EEXIST] = "KV_EEXIST: the store exists already",
    [-KV_ENOTDIR] = "KV_ENOTDIR: not a directory",
    [-KV_EACCES] = "KV_EACCES: permission denied",
    [-KV_EINUSE] = "KV_EINUSE: open in another process",
    [-KV_EOPEN] = "KV_EOPEN: open in this process already",
    [-KV_EMFILE] = "KV_EMFILE: no file descriptor left",
    [-KV_EBUSY] = "KV_EBUSY: something of the store is still in use",
    [-KV_EFORK] = "KV_EFORK: opened before fork(), in the parent",
    [-KV_ECONFLICT] = "KV_ECONFLICT: the condition of the write does not hold",
    [-KV_ENOTSUP] = "KV_ENOTSUP: not offered here",
    [-KV_ELAYOUT] = "KV_ELAYOUT: created with another layout",
    [-KV_ESIBLINGS] = "KV_ESIBLINGS: concurrent writes left several values",
    [-KV_EUNCERTAIN] = "KV_EUNCERTAIN: the write may have been done or not",
    [-KV_EUNAVAILABLE] = "KV_EUNAVAILABLE: too few replicas could be reached",
    [-KV_ECANCELED] = "KV_ECANCELED: given up before anything was written",
    [-KV_EDEADLK] = "KV_EDEADLK: a call that waits, made from a callback",
};

void kvi_error_note(const char *fmt, ...)
{
    char text[KVI_ERROR_DETAIL_MAX]; /* the arguments may point into the old detail */
    va_list args;

    va_start(args, fmt);
    if (vsnprintf(text, sizeof text, fmt, args) < 0)
        text[0] = '\0';
    va_end(args);
    memcpy(detail, text, strlen(text) + 1);
}

void kvi_error_clear(void)
{
    detail[0] = '\0';
}

const char *kvi_error_detail(void)
{
    return detail;
}

const char *kvi_error_name(int err)
{
    const int count = (int)(sizeof names / sizeof names[0]);

    return err <= 0 && err > -count ? names[-err] : "not an error code of libkv";
}
