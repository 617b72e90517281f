/*
 * The operating system's text of an errno, for details. Any thread; lib/os alone has errnos.
 */
#ifndef KVI_OS_ERRNO_TEXT_H
#define KVI_OS_ERRNO_TEXT_H

#include "base/base.h"

typedef struct kvi_os_errno_text {
    char text[128];
} kvi_os_errno_text;

/** Fills *to and returns its text, "No space left on device"; never NULL. */
const char *kvi_os_errno_name(int errnum, kvi_os_errno_text *to);

#endif
