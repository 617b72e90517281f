/*
 * The randomness seam: where identities and secret seeds come from. Any thread.
 */
#ifndef KVI_OS_RAND_H
#define KVI_OS_RAND_H

#include "base/base.h"

typedef struct kvi_os_rand kvi_os_rand;

struct kvi_os_rand {
    int (*fill)(kvi_os_rand *r, void *buf, size_t len); /* KV_OK or KV_EIO */
};

/** The operating system's entropy. Stateless: one static object serves all. */
kvi_os_rand *kvi_os_rand_real(void);

#endif
