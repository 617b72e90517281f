/*
 * Knows whether this process is a fork's child that inherited the store: a page that the kernel
 * wipes in the child (MADV_WIPEONFORK), so that a check is one load. Where the kernel cannot, the
 * process id is compared.
 */
#ifndef KVI_OS_FORK_H
#define KVI_OS_FORK_H

#include "base/base.h"

typedef struct kvi_os_forkmark {
    const volatile uint32_t
        *page; /* 1 in the process that opened, 0 in its children; NULL: compare pid */
    long pid;
} kvi_os_forkmark;

/** KV_OK or KV_ENOMEM. */
int kvi_os_forkmark_init(kvi_os_forkmark *f) KVI_NODISCARD;
void kvi_os_forkmark_deinit(kvi_os_forkmark *f);
bool kvi_os_forked(const kvi_os_forkmark *f);

#endif
