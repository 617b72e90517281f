/*
 * Runs a function in a child process and brings back what it returned, 0 to 250, as the child's
 * exit code. For what only another process, or one with other limits, can show. Nothing in the
 * child may use cr_assert: its failures are the returned number.
 */
#ifndef KVT_UNIT_OS_IN_CHILD_H
#define KVT_UNIT_OS_IN_CHILD_H

#include <errno.h>
#include <stdio.h>
#include <sys/types.h>
#include <sys/wait.h>
#include <unistd.h>

/* Instead of an exit code: a signal ended it, as a failed KVI_ASSERT does. */
#define KVT_CHILD_DIED 255

static inline int kvt_in_child(int (*fn)(void *arg), void *arg)
{
    int status = 0;
    pid_t child;

    fflush(NULL);
    child = fork();
    if (child == 0)
        _exit(fn(arg));
    while (child > 0 && waitpid(child, &status, 0) < 0 && errno == EINTR)
        ;
    return child > 0 && WIFEXITED(status) ? WEXITSTATUS(status) : KVT_CHILD_DIED;
}

#endif
