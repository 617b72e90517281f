/*
 * A private directory for one test.
 *
 * 1. Each call makes a directory that nobody else has, under $TMPDIR or /tmp, mode 0700; so tests
 *    run in any order and side by side.
 * 2. A failure means that the machine cannot run tests at all: it is printed and aborts, so that
 *    callers have nothing to check.
 *
 * Any thread.
 */
#ifndef KVT_SUPPORT_TMPDIR_H
#define KVT_SUPPORT_TMPDIR_H

#include <stddef.h>

/* Makes a fresh directory and writes its absolute path, terminated, to out (cap bytes). */
void kvt_tmpdir(char *out, size_t cap);

/* Removes path and all below it; follows no link; a path that does not exist is fine. */
void kvt_rmtree(const char *path);

#endif
