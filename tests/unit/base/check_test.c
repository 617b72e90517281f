/*
 * A broken invariant ends the process.
 */
#include "base/check.h"

#include <criterion/criterion.h>

#include <signal.h>

Test(base_check, what_holds_passes)
{
    int evaluated = 0;

    KVI_ASSERT(++evaluated == 1);
    cr_assert_eq(evaluated, 1, "once");
}

Test(base_check, what_does_not_hold_aborts, .signal = SIGABRT)
{
    KVI_ASSERT(1 + 1 == 3);
}
