/*
 * The log seam; see the header for the contract.
 */
#include "os/env.h"

#include <stdarg.h>
#include <stdio.h>

#include "base/error.h"

void kvi_os_log(const kvi_os_env *env, int level, const char *fmt, ...)
{
    char line[KVI_ERROR_DETAIL_MAX];
    va_list args;

    if (!env->log)
        return;
    va_start(args, fmt);
    if (vsnprintf(line, sizeof line, fmt, args) < 0)
        line[0] = '\0';
    va_end(args);
    env->log(env->log_user, level, line);
}
