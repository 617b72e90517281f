/*
 * Pages of the simulated disk: 4 KiB that files and disks share by reference until one of them
 * changes it. NULL stands for a page of zeros.
 *
 * Private to the simulated disk. One thread.
 */
#ifndef KVI_SIM_PAGE_H
#define KVI_SIM_PAGE_H

#include "base/mem.h"

#define KVI_SIM_PAGE   4096u
#define KVI_SIM_SECTOR 512u

typedef struct kvi_sim_page {
    uint32_t refs;
    uint8_t bytes[KVI_SIM_PAGE];
} kvi_sim_page;

/** Gives up the reference at *at for one to page; either may be NULL. */
void kvi_sim_page_replace(kvi_sim_page **at, kvi_sim_page *page, const kvi_mem *mem);

/** Makes *at a page that nobody else holds, with the same bytes. KV_OK or KV_ENOMEM. */
int kvi_sim_page_own(kvi_sim_page **at, const kvi_mem *mem) KVI_NODISCARD;

#endif
