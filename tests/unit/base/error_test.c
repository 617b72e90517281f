/*
 * Codes and details.
 */
#include "base/error.h"

#include <criterion/criterion.h>

#include <pthread.h>
#include <string.h>

#define LAST_CODE KV_EDEADLK

Test(base_error, every_code_has_a_text_of_its_own)
{
    for (int err = KV_OK; err >= LAST_CODE; err--) {
        const char *name = kvi_error_name(err);

        cr_assert_not_null(name, "code %d", err);
        cr_assert_eq(strncmp(name, "KV_", 3), 0, "code %d: %s", err, name);
        for (int other = KV_OK; other > err; other--)
            cr_assert_str_neq(kvi_error_name(other), name);
    }
    cr_assert_eq(strncmp(kvi_error_name(KV_ENOTFOUND), "KV_ENOTFOUND: ", 14), 0);
    cr_assert_eq(strncmp(kvi_error_name(KV_EDEADLK), "KV_EDEADLK: ", 12), 0);
}

Test(base_error, what_is_no_code_has_a_text_too)
{
    const int codes[] = {1, KVI_PENDING, KVI_LEAD, LAST_CODE - 1, INT32_MAX, INT32_MIN};

    for (size_t i = 0; i < sizeof codes / sizeof codes[0]; i++)
        cr_assert_str_eq(kvi_error_name(codes[i]), "not an error code of libkv");
}

Test(base_error, set_formats_and_returns_the_code)
{
    cr_assert_eq(kvi_error_set(KV_EIO, "cannot read %s at %d", "x", 7), KV_EIO);
    cr_assert_str_eq(kvi_error_detail(), "cannot read x at 7");
    kvi_error_clear();
    cr_assert_str_eq(kvi_error_detail(), "");
}

Test(base_error, set_may_quote_the_old_detail)
{
    kvi_error_note("inner");
    kvi_error_note("outer (%s)", kvi_error_detail());
    cr_assert_str_eq(kvi_error_detail(), "outer (inner)");
}

Test(base_error, a_long_detail_is_cut)
{
    char text[2 * KVI_ERROR_DETAIL_MAX];

    memset(text, 'x', sizeof text - 1);
    text[sizeof text - 1] = '\0';
    kvi_error_note("%s", text);
    cr_assert_eq(strlen(kvi_error_detail()), KVI_ERROR_DETAIL_MAX - 1);
}

static void *set_other_detail(void *arg)
{
    bool *empty = arg;

    *empty = kvi_error_detail()[0] == '\0';
    kvi_error_note("theirs");
    return NULL;
}

Test(base_error, each_thread_has_its_own)
{
    pthread_t thread;
    bool empty = false;

    kvi_error_note("mine");
    cr_assert_eq(pthread_create(&thread, NULL, set_other_detail, &empty), 0);
    cr_assert_eq(pthread_join(thread, NULL), 0);
    cr_assert(empty, "a new thread's detail is empty");
    cr_assert_str_eq(kvi_error_detail(), "mine");
}
