/*
 * A forked child knows that it is one, by either way of telling.
 */
#include "os/fork.h"

#include <criterion/criterion.h>

#include <unistd.h>

#include "unit/os/in_child.h"

static int is_forked(void *arg)
{
    return kvi_os_forked(arg) ? 1 : 0;
}

static int ask_grandchild(void *arg)
{
    return kvt_in_child(is_forked, arg);
}

/* A child's own mark, made after the fork, is not wiped. */
static int mark_again(void *arg)
{
    kvi_os_forkmark own;
    bool forked;

    (void)arg;
    if (kvi_os_forkmark_init(&own) != KV_OK)
        return 2;
    forked = kvi_os_forked(&own);
    kvi_os_forkmark_deinit(&own);
    return forked ? 1 : 0;
}

static void check(kvi_os_forkmark *f)
{
    cr_assert_not(kvi_os_forked(f));
    cr_assert_eq(kvt_in_child(is_forked, f), 1);
    cr_assert_eq(kvt_in_child(ask_grandchild, f), 1);
    cr_assert_not(kvi_os_forked(f), "the parent stays what it was");
}

Test(os_fork, by_wiped_page)
{
    kvi_os_forkmark f;

    cr_assert_eq(kvi_os_forkmark_init(&f), KV_OK);
#ifdef __linux__
    cr_assert(f.page != NULL, "this kernel wipes");
#endif
    check(&f);
    cr_assert_eq(kvt_in_child(mark_again, NULL), 0);
    kvi_os_forkmark_deinit(&f);
    kvi_os_forkmark_deinit(&f);
}

Test(os_fork, by_process_id)
{
    kvi_os_forkmark f = {.page = NULL, .pid = (long)getpid()};

    check(&f);
    kvi_os_forkmark_deinit(&f);
}
