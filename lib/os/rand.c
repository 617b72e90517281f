/*
 * The operating system's entropy; see the header for the contract.
 */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE /* getentropy */
#endif
#include "os/rand.h"

#include <errno.h>
#include <unistd.h>

#include "base/error.h"
#include "os/errno_text.h"

/* The most that getentropy gives at once. */
#define RAND_CHUNK 256

static int real_fill(kvi_os_rand *r, void *buf, size_t len)
{
    kvi_os_errno_text cause;
    uint8_t *out = buf;

    (void)r;
    while (len > 0) {
        size_t n = kvi_min_size(len, RAND_CHUNK);

        if (getentropy(out, n) != 0)
            return kvi_error_set(KV_EIO, "the operating system gives no entropy: %s",
                                 kvi_os_errno_name(errno, &cause));
        out += n;
        len -= n;
    }
    return KV_OK;
}

kvi_os_rand *kvi_os_rand_real(void)
{
    static const kvi_os_rand real = {real_fill};

    /* Without state, nobody writes to it; the seam's type cannot say so, since other sources have
     * some. */
    return (kvi_os_rand *)(uintptr_t)&real;
}
