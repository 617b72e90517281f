/*
 * Pages of the simulated disk; see the header for the contract.
 */
#include "sim/sim_page.h"

#include <string.h>

#include "base/check.h"
#include "base/error.h"

static void unref(kvi_sim_page *page, const kvi_mem *mem)
{
    if (!page)
        return;
    KVI_ASSERT(page->refs > 0);
    if (--page->refs == 0)
        kvi_mem_free(mem, page);
}

void kvi_sim_page_replace(kvi_sim_page **at, kvi_sim_page *page, const kvi_mem *mem)
{
    kvi_sim_page *old = *at;

    if (page)
        page->refs++;
    *at = page;
    unref(old, mem);
}

int kvi_sim_page_own(kvi_sim_page **at, const kvi_mem *mem)
{
    kvi_sim_page *page;

    if (*at && (*at)->refs == 1)
        return KV_OK;
    page = kvi_mem_alloc(mem, sizeof *page);
    if (!page)
        return kvi_error_set(KV_ENOMEM, "no memory for a page of the simulated disk");
    page->refs = 1;
    if (*at)
        memcpy(page->bytes, (*at)->bytes, KVI_SIM_PAGE);
    else
        memset(page->bytes, 0, KVI_SIM_PAGE);
    unref(*at, mem);
    *at = page;
    return KV_OK;
}
