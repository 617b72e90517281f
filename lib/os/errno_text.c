/*
 * Apart from the files that need GNU declarations, which change the type of strerror_r.
 */
#include "os/errno_text.h"

#include <stdio.h>
#include <string.h>

const char *kvi_os_errno_name(int errnum, kvi_os_errno_text *to)
{
    if (strerror_r(errnum, to->text, sizeof to->text) != 0)
        (void)snprintf(to->text, sizeof to->text, "errno %d", errnum);
    return to->text;
}
