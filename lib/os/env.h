/*
 * The seams of one store, bundled: passed down from open, borrowed by everyone, outliving all.
 * Never global.
 */
#ifndef KVI_OS_ENV_H
#define KVI_OS_ENV_H

#include "base/mem.h"
#include "os/clock.h"
#include "os/exec.h"
#include "os/fs.h"
#include "os/lock.h"
#include "os/rand.h"

typedef struct kvi_os_env {
    const kvi_mem *mem;
    kvi_os_fs *fs;
    kvi_os_clock *clock;
    kvi_os_exec *exec;
    kvi_os_rand *rand;
    kvi_os_jitter *jitter; /* NULL but in tests */
    kv_log_fn *log;        /* NULL: silent */
    void *log_user;
} kvi_os_env;

/** One line to the host's log; at most KVI_ERROR_DETAIL_MAX bytes. The caller holds no lock. */
void kvi_os_log(const kvi_os_env *env, int level, const char *fmt, ...) KVI_PRINTF(3, 4);

#endif
