/*
 * The mark that a fork wipes; see the header for the contract.
 */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE /* MADV_WIPEONFORK */
#endif
#include "os/fork.h"

#include <sys/mman.h>
#include <unistd.h>

#include "base/check.h"
#include "base/error.h"

static size_t page_size(void)
{
    long size = sysconf(_SC_PAGESIZE);

    KVI_ASSERT(size > 0);
    return (size_t)size;
}

/* A page that reads as zeros in a child; NULL where the kernel cannot promise that. */
static uint32_t *wiped_page(void *page)
{
#ifdef MADV_WIPEONFORK
    if (madvise(page, page_size(), MADV_WIPEONFORK) == 0)
        return page;
#endif
    (void)munmap(page, page_size());
    return NULL;
}

int kvi_os_forkmark_init(kvi_os_forkmark *f)
{
    void *page =
        mmap(NULL, page_size(), PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    uint32_t *mark;

    if (page == MAP_FAILED)
        return kvi_error_set(KV_ENOMEM, "cannot map a page to tell forks by");
    mark = wiped_page(page);
    if (mark)
        *mark = 1;
    f->page = mark;
    f->pid = (long)getpid();
    return KV_OK;
}

void kvi_os_forkmark_deinit(kvi_os_forkmark *f)
{
    if (f->page)
        (void)munmap((void *)(uintptr_t)f->page, page_size());
    f->page = NULL;
}

bool kvi_os_forked(const kvi_os_forkmark *f)
{
    return f->page ? *f->page != 1 : (long)getpid() != f->pid;
}
