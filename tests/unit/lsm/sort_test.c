/* lib/lsm/sort.c: against insertion into place. */
#include "lsm/sort.h"

#include <criterion/criterion.h>

#include "support/rng.h"

typedef struct pair {
    uint64_t key, other;
} pair;

static int pair_cmp(const void *a, const void *b)
{
    uint64_t x = ((const pair *)a)->key, y = ((const pair *)b)->key;

    return (x > y) - (x < y);
}

static int byte_cmp(const void *a, const void *b)
{
    return *(const uint8_t *)a - *(const uint8_t *)b;
}

Test(lsm_sort, any_array_gets_into_order)
{
    kvt_rng rng;

    kvt_rng_init(&rng, 1);
    for (int round = 0; round < 500; round++) {
        size_t count = kvt_rng_below(&rng, 100);
        uint64_t range = 1 + kvt_rng_below(&rng, 200), sum = 0;
        pair pairs[100];
        uint8_t bytes[100];

        for (size_t i = 0; i < count; i++) {
            pairs[i].key = kvt_rng_below(&rng, range);
            pairs[i].other = ~pairs[i].key;
            bytes[i] = (uint8_t)pairs[i].key;
            sum += pairs[i].key;
        }
        kvi_lsm_sort(pairs, count, sizeof pairs[0], pair_cmp);
        kvi_lsm_sort(bytes, count, 1, byte_cmp);
        for (size_t i = 0; i < count; i++) {
            cr_assert(i == 0 || pairs[i - 1].key <= pairs[i].key);
            cr_assert(i == 0 || bytes[i - 1] <= bytes[i]);
            cr_assert_eq(pairs[i].other, ~pairs[i].key);
            cr_assert_eq(bytes[i], pairs[i].key);
            sum -= pairs[i].key;
        }
        cr_assert_eq(sum, 0);
    }
}
