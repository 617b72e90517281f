/*
 * The options of kv_open(), checked and with every default filled in. Pure.
 */
#ifndef KVI_API_OPTIONS_H
#define KVI_API_OPTIONS_H

#include "base/base.h"

#define KVI_API_MEMORY_DEFAULT      ((size_t)64 << 20)
#define KVI_API_MEMORY_MIN          ((size_t)4 << 20)
#define KVI_API_WORKERS_DEFAULT     2u
#define KVI_API_COMPRESSION_DEFAULT 1
#define KVI_API_COMPRESSION_MAX     19

typedef struct kvi_api_settings {
    size_t memory;
    unsigned workers;
    int compression;
    uint8_t durability; /* KV_MEMORY, KV_OS, KV_DISK */
    uint8_t layout;
    bool may_create, must_create;
    const kv_policy *policy; /* borrowed; NULL: none was given */
    const kv_allocator *allocator;
    kv_log_fn *log;
    void *user;
} kvi_api_settings;

/** What opening path (NULL: in memory) with o (NULL: all defaults) means. KV_EINVAL names the
 *  field. */
int kvi_api_options_resolve(const char *path, const kv_options *o, kvi_api_settings *out)
    KVI_NODISCARD;

#endif
