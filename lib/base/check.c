/*
 * The end of a process whose invariant is broken. The one place where the library prints: there is
 * nobody left to tell.
 */
#include "base/check.h"

#include <stdio.h>
#include <stdlib.h>

void kvi_check_failed(const char *expr, const char *file, int line)
{
    fprintf(stderr, "libkv: %s:%d: this must hold, and does not: %s\n", file, line, expr);
    abort();
}
