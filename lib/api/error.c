/*
 * What went wrong, and which library this is. Any thread.
 */
#include "base/error.h"

#define TEXT(x)                           #x
#define VERSION_TEXT(major, minor, patch) TEXT(major) "." TEXT(minor) "." TEXT(patch)

const char *kv_strerror(int err)
{
    return kvi_error_name(err);
}

const char *kv_error_detail(void)
{
    return kvi_error_detail();
}

const char *kv_version(void)
{
    return VERSION_TEXT(KV_VERSION_MAJOR, KV_VERSION_MINOR, KV_VERSION_PATCH);
}
