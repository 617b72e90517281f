/*
 * Sorting in place, without memory: the C library's qsort may allocate, which only a store's own
 * allocator may. Heapsort (Williams, "Algorithm 232", 1964): n log n steps at the worst, not
 * stable. Pure.
 */
#ifndef KVI_LSM_SORT_H
#define KVI_LSM_SORT_H

#include "base/base.h"

#define KVI_LSM_SORT_ELEMENT_MAX 16u

/** As qsort; size is at most KVI_LSM_SORT_ELEMENT_MAX. */
void kvi_lsm_sort(void *base, size_t count, size_t size, int (*cmp)(const void *a, const void *b));

#endif
