/*
 * Heapsort; see the header.
 */
#include "lsm/sort.h"

#include <string.h>

#include "base/check.h"

static void swap(uint8_t *a, uint8_t *b, size_t size)
{
    uint8_t t[KVI_LSM_SORT_ELEMENT_MAX];

    memcpy(t, a, size);
    memcpy(a, b, size);
    memcpy(b, t, size);
}

/* Moves element i of a heap of count down to where it is no smaller than what is beneath it. */
static void sink(uint8_t *heap, size_t i, size_t count, size_t size,
                 int (*cmp)(const void *a, const void *b))
{
    while (i < count / 2) {
        size_t child = 2 * i + 1;

        if (child + 1 < count && cmp(heap + child * size, heap + (child + 1) * size) < 0)
            child++;
        if (cmp(heap + i * size, heap + child * size) >= 0)
            return;
        swap(heap + i * size, heap + child * size, size);
        i = child;
    }
}

void kvi_lsm_sort(void *base, size_t count, size_t size, int (*cmp)(const void *a, const void *b))
{
    uint8_t *heap = base;

    KVI_ASSERT(size > 0 && size <= KVI_LSM_SORT_ELEMENT_MAX);
    for (size_t i = count / 2; i > 0; i--)
        sink(heap, i - 1, count, size, cmp);
    for (size_t left = count; left > 1; left--) {
        swap(heap, heap + (left - 1) * size, size);
        sink(heap, 0, left - 1, size, cmp);
    }
}
