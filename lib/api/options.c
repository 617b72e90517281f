/*
 * The options of kv_open(); see the header for the contract.
 */
#include "api/options.h"

#include "api/check.h"
#include "base/error.h"
#include "os/exec.h"

static int check_flags(const char *path, const kv_options *o)
{
    if ((o->flags & KV_MUST_EXIST) && (o->flags & KV_MUST_CREATE))
        return kvi_error_set(
            KV_EINVAL,
            "kv_options.flags has KV_MUST_EXIST and KV_MUST_CREATE, which exclude each other");
    if (!path && o->flags)
        return kvi_error_set(KV_EINVAL,
                             "kv_options.flags: a store in memory (path NULL) is always a new one");
    return KV_OK;
}

static int check_numbers(const char *path, const kv_options *o)
{
    if (o->memory != 0 && o->memory < KVI_API_MEMORY_MIN)
        return kvi_error_set(KV_EINVAL, "kv_options.memory is %zu, below the least of %zu",
                             o->memory, KVI_API_MEMORY_MIN);
    if (o->durability > KV_DISK)
        return kvi_error_set(KV_EINVAL, "kv_options.durability is %u, which is not defined",
                             o->durability);
    if (!path && o->durability > KV_MEMORY)
        return kvi_error_set(KV_EINVAL,
                             "kv_options.durability: a store in memory (path NULL) is KV_MEMORY");
    if (o->workers > KVI_OS_POOL_MAX)
        return kvi_error_set(KV_EINVAL, "kv_options.workers is %u, over the limit of %d",
                             o->workers, KVI_OS_POOL_MAX);
    if (o->layout > KV_ORDERED)
        return kvi_error_set(KV_EINVAL, "kv_options.layout is %u, which is not defined", o->layout);
    if (o->compression < KV_COMPRESS_NONE || o->compression > KVI_API_COMPRESSION_MAX)
        return kvi_error_set(KV_EINVAL,
                             "kv_options.compression is %d, not KV_COMPRESS_NONE or 0 to %d",
                             o->compression, KVI_API_COMPRESSION_MAX);
    return kvi_api_check_reserved(o->reserved, sizeof o->reserved, "kv_options.reserved");
}

static int check_allocator(const kv_allocator *a)
{
    int err = kvi_api_check_struct("kv_allocator", a->size, sizeof *a, a->flags, 0);

    if (err)
        return err;
    if (!a->alloc || !a->resize || !a->free)
        return kvi_error_set(KV_EINVAL, "kv_allocator.%s is NULL",
                             !a->alloc    ? "alloc"
                             : !a->resize ? "resize"
                                          : "free");
    return KV_OK;
}

static int check(const char *path, const kv_options *o)
{
    int err = kvi_api_check_struct("kv_options", o->size, sizeof *o, o->flags,
                                   KV_MUST_EXIST | KV_MUST_CREATE);

    if (!err)
        err = check_flags(path, o);
    if (!err)
        err = check_numbers(path, o);
    if (!err && o->policy)
        err = kvi_api_check_policy(o->policy);
    if (!err && o->allocator)
        err = check_allocator(o->allocator);
    return err;
}

int kvi_api_options_resolve(const char *path, const kv_options *o, kvi_api_settings *out)
{
    static const kv_options all_defaults = KV_OPTIONS_INIT;
    int err;

    if (path && !*path)
        return kvi_error_set(KV_EINVAL, "path is empty");
    if (!o)
        o = &all_defaults;
    err = check(path, o);
    if (err)
        return err;
    *out = (kvi_api_settings){
        .memory = o->memory ? o->memory : KVI_API_MEMORY_DEFAULT,
        .workers = o->workers ? o->workers : KVI_API_WORKERS_DEFAULT,
        .compression = o->compression ? o->compression : KVI_API_COMPRESSION_DEFAULT,
        .durability = o->durability,
        .layout = o->layout,
        .may_create = !(o->flags & KV_MUST_EXIST),
        .must_create = (o->flags & KV_MUST_CREATE) != 0,
        .policy = o->policy,
        .allocator = o->allocator,
        .log = o->log,
        .user = o->user,
    };
    if (out->durability == KV_DEFAULT)
        out->durability = path ? KV_DISK : KV_MEMORY;
    return KV_OK;
}
