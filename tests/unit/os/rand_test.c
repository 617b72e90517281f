/*
 * The operating system's entropy.
 */
#include "os/rand.h"

#include <criterion/criterion.h>

#include <string.h>

Test(os_rand, fills_every_byte_and_no_more)
{
    const size_t lens[] = {0, 1, 16, 255, 256, 257, 1000};
    kvi_os_rand *r = kvi_os_rand_real();

    for (size_t i = 0; i < sizeof lens / sizeof lens[0]; i++) {
        uint8_t seen[1001] = {0}, buf[1001];

        /* A byte that is drawn 16 times is not 0 each time. */
        for (int turn = 0; turn < 16; turn++) {
            memset(buf, 0, sizeof buf);
            cr_assert_eq(r->fill(r, buf, lens[i]), KV_OK);
            for (size_t at = 0; at < sizeof buf; at++)
                seen[at] |= buf[at];
        }
        for (size_t at = 0; at < sizeof buf; at++)
            cr_assert((seen[at] != 0) == (at < lens[i]), "byte %zu of %zu", at, lens[i]);
    }
}

Test(os_rand, does_not_repeat)
{
    kvi_os_rand *r = kvi_os_rand_real();
    uint8_t a[16], b[16];

    cr_assert_eq(r->fill(r, a, sizeof a), KV_OK);
    cr_assert_eq(r->fill(r, b, sizeof b), KV_OK);
    cr_assert_arr_neq(a, b, sizeof a);
}
