/*
 * The log seam.
 */
#include "os/env.h"

#include <criterion/criterion.h>

#include <stdio.h>
#include <string.h>

#include "base/error.h"

typedef struct record {
    int calls, level;
    char message[2 * KVI_ERROR_DETAIL_MAX];
} record;

static void keep(void *user, int level, const char *message)
{
    record *r = user;

    r->calls++;
    r->level = level;
    snprintf(r->message, sizeof r->message, "%s", message);
}

Test(os_env, log_formats_a_line)
{
    record r = {0};
    kvi_os_env env = {.log = keep, .log_user = &r};

    kvi_os_log(&env, KV_LOG_WARN, "%d files of %s", 3, "x");
    cr_assert_eq(r.calls, 1);
    cr_assert_eq(r.level, KV_LOG_WARN);
    cr_assert_str_eq(r.message, "3 files of x");
}

Test(os_env, log_cuts_a_long_line)
{
    char text[2 * KVI_ERROR_DETAIL_MAX];
    record r = {0};
    kvi_os_env env = {.log = keep, .log_user = &r};

    memset(text, 'x', sizeof text - 1);
    text[sizeof text - 1] = '\0';
    kvi_os_log(&env, KV_LOG_INFO, "%s", text);
    cr_assert_eq(strlen(r.message), KVI_ERROR_DETAIL_MAX - 1);
}

Test(os_env, log_keeps_the_error_detail)
{
    record r = {0};
    kvi_os_env env = {.log = keep, .log_user = &r};

    kvi_error_note("why");
    kvi_os_log(&env, KV_LOG_ERROR, "stopped: %s", kvi_error_detail());
    cr_assert_str_eq(r.message, "stopped: why");
    cr_assert_str_eq(kvi_error_detail(), "why");
}

Test(os_env, no_log_is_silent)
{
    kvi_os_env env = {.log = NULL};

    kvi_os_log(&env, KV_LOG_ERROR, "%s", "nobody hears this");
}
