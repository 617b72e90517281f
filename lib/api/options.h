/*
 * The options of kv_open(), checked and with every default filled in. Pure.
 *
 * Whether a store is placed follows from listen, else from layout, else from what it was created
 * as. What only placed stores have is refused where neither of the first two says so: the options
 * alone decide, not what happens to lie on the disk.
 */
#ifndef KVI_API_OPTIONS_H
#define KVI_API_OPTIONS_H

#include "base/base.h"

#define KVI_API_MEMORY_DEFAULT      ((size_t)64 << 20)
#define KVI_API_MEMORY_MIN          ((size_t)4 << 20)
#define KVI_API_WORKERS_DEFAULT     2u
#define KVI_API_COMPRESSION_DEFAULT 1
#define KVI_API_COMPRESSION_MAX     19
#define KVI_API_WEIGHT_DEFAULT      100u
#define KVI_API_ADDRESS_MAX         255u
#define KVI_API_ZONE_MAX            63u
#define KVI_API_MESSAGE_MIN         1200u /* of kv_transport.max_message */

/** Pointers are borrowed from the options. */
typedef struct kvi_api_settings {
    size_t memory;
    unsigned workers; /* 0: none, stepped */
    int compression;
    uint8_t durability; /* KV_MEMORY, KV_OS, KV_DISK */
    uint8_t layout;     /* what the store must have; KV_LAYOUT_DEFAULT: whatever it has */
    bool may_create, must_create;
    bool stepped;            /* the host runs it */
    bool callbacks_in_step;  /* kv_step() runs the callbacks: always so where it is stepped */
    const kv_policy *policy; /* NULL: none was given */
    const kv_allocator *allocator;
    kv_log_fn *log;
    kv_merge_fn *merge;
    void *user;
    /* The node's; all NULL and 0 where there is no listen, but for create. */
    bool create, trusted;
    const kv_transport *transport;
    const char *listen, *advertise, *zone;
    const char *const *seeds;
    size_t seed_count;
    uint16_t weight;
} kvi_api_settings;

/** What opening path (NULL: in memory) with o (NULL: all defaults) means. KV_EINVAL names the
 *  field; KV_ENOTSUP says what is missing in this version. */
int kvi_api_options_resolve(const char *path, const kv_options *o, kvi_api_settings *out)
    KVI_NODISCARD;

#endif
