/*
 * The options of kv_open(); see the header for the contract.
 */
#include "api/options.h"

#include "api/check.h"
#include "api/policy.h"
#include "base/error.h"
#include "node/node.h"
#include "os/exec.h"

#define FLAGS (KV_MUST_EXIST | KV_MUST_CREATE | KV_CALLBACKS_IN_STEP | KV_TRUSTED_NETWORK)

static int check_flags(const char *path, const kv_options *o)
{
    if ((o->flags & KV_MUST_EXIST) && (o->flags & KV_MUST_CREATE))
        return kvi_error_set(
            KV_EINVAL,
            "kv_options.flags has KV_MUST_EXIST and KV_MUST_CREATE, which exclude each other");
    if (!path && (o->flags & (KV_MUST_EXIST | KV_MUST_CREATE)))
        return kvi_error_set(KV_EINVAL,
                             "kv_options.flags: a store in memory (path NULL) is always a new one");
    return KV_OK;
}

/** A field that is one of a list of constants, from 0 to most. */
static int check_choice(const char *field, unsigned value, unsigned most)
{
    if (value <= most)
        return KV_OK;
    return kvi_error_set(KV_EINVAL, "kv_options.%s is %u, which is not defined", field, value);
}

static int check_choices(const kv_options *o)
{
    int err = check_choice("durability", o->durability, KV_DISK);

    if (!err)
        err = check_choice("layout", o->layout, KV_PLACED);
    if (!err)
        err = check_choice("mode", o->mode, KV_STEPPED);
    if (!err)
        err = check_choice("start", o->start, KV_CREATE);
    return err;
}

static int check_numbers(const char *path, const kv_options *o)
{
    if (o->memory != 0 && o->memory < KVI_API_MEMORY_MIN)
        return kvi_error_set(KV_EINVAL, "kv_options.memory is %zu, below the least of %zu",
                             o->memory, KVI_API_MEMORY_MIN);
    if (!path && o->durability > KV_MEMORY)
        return kvi_error_set(KV_EINVAL,
                             "kv_options.durability: a store in memory (path NULL) is KV_MEMORY");
    if (o->workers > KVI_OS_POOL_MAX)
        return kvi_error_set(KV_EINVAL, "kv_options.workers is %u, over the limit of %d",
                             o->workers, KVI_OS_POOL_MAX);
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

/* --- clusters ----------------------------------------------------------------------------- */

/** A text of 1 to max bytes. */
static int check_text(const char *field, const char *text, size_t max)
{
    if (!*text)
        return kvi_error_set(KV_EINVAL, "kv_options.%s is empty", field);
    if (strnlen(text, max + 1) > max)
        return kvi_error_set(KV_EINVAL, "kv_options.%s is over the limit of %zu bytes", field, max);
    return KV_OK;
}

static int check_transport(const kv_transport *t)
{
    const char *missing;
    int err = kvi_api_check_struct("kv_transport", t->size, sizeof *t, t->flags, 0);

    if (err)
        return err;
    if (t->max_message < KVI_API_MESSAGE_MIN)
        return kvi_error_set(KV_EINVAL, "kv_transport.max_message is %zu, below the least of %u",
                             t->max_message, KVI_API_MESSAGE_MIN);
    missing = !t->start             ? "start"
              : !t->send            ? "send"
              : !t->stop            ? "stop"
              : t->step && !t->wake ? "wake"
                                    : NULL;
    return missing ? kvi_error_set(KV_EINVAL, "kv_transport.%s is NULL", missing) : KV_OK;
}

static int check_seeds(const kv_options *o)
{
    if (o->seed_count > KVI_NODE_SEEDS_MAX)
        return kvi_error_set(KV_EINVAL, "kv_options.seed_count is %zu, over the limit of %u",
                             o->seed_count, KVI_NODE_SEEDS_MAX);
    if (o->seed_count > 0 && !o->seeds)
        return kvi_error_set(KV_EINVAL, "kv_options.seeds is NULL, its count %zu", o->seed_count);
    for (size_t i = 0; i < o->seed_count; i++) {
        int err = o->seeds[i] ? check_text("seeds", o->seeds[i], KVI_API_ADDRESS_MAX)
                              : kvi_error_set(KV_EINVAL, "kv_options.seeds[%zu] is NULL", i);

        if (err)
            return err;
    }
    return KV_OK;
}

static int check_listening(const kv_options *o)
{
    int err = check_text("listen", o->listen, KVI_API_ADDRESS_MAX);

    if (!err && o->layout == KV_ORDERED)
        err = kvi_error_set(KV_EINVAL,
                            "kv_options.listen is of placed stores, and layout is KV_ORDERED");
    if (!err && o->advertise)
        err = check_text("advertise", o->advertise, KVI_API_ADDRESS_MAX);
    if (!err && o->zone && *o->zone)
        err = check_text("zone", o->zone, KVI_API_ZONE_MAX);
    if (!err)
        err = check_seeds(o);
    if (err)
        return err;
    if (!o->transport)
        return kvi_error_set(KV_ENOTSUP, "kv_options.listen needs kv_options.transport: this "
                                         "version brings no network of its own");
    return check_transport(o->transport);
}

/** What has no meaning for a store that cannot be reached. */
static int check_silent(const kv_options *o)
{
    const char *field = o->advertise                    ? "advertise"
                        : o->seeds || o->seed_count     ? "seeds"
                        : o->zone                       ? "zone"
                        : o->weight                     ? "weight"
                        : o->transport                  ? "transport"
                        : o->flags & KV_TRUSTED_NETWORK ? "flags (KV_TRUSTED_NETWORK)"
                                                        : NULL;

    return field ? kvi_error_set(KV_EINVAL, "kv_options.%s has no meaning without listen", field)
                 : KV_OK;
}

/** What has no meaning for a store that is not placed, or not said to be. */
static int check_unplaced(const kv_options *o)
{
    const char *field = o->start ? "start" : o->merge ? "merge" : NULL;

    if (!field)
        return KV_OK;
    return kvi_error_set(
        KV_EINVAL, "kv_options.%s is of placed stores (kv_options.layout KV_PLACED, or listen)",
        field);
}

static bool said_placed(const kv_options *o)
{
    return o->listen || o->layout == KV_PLACED;
}

static int check_cluster(const kv_options *o)
{
    int err = o->listen ? check_listening(o) : check_silent(o);

    if (!err && !said_placed(o))
        err = check_unplaced(o);
    return err;
}

/* --- all of it ---------------------------------------------------------------------------- */

static int check(const char *path, const kv_options *o)
{
    int err = kvi_api_check_struct("kv_options", o->size, sizeof *o, o->flags, FLAGS);

    if (!err)
        err = check_flags(path, o);
    if (!err)
        err = check_choices(o);
    if (!err)
        err = check_numbers(path, o);
    if (!err)
        err = check_cluster(o);
    if (!err && o->policy)
        err = kvi_api_check_policy(o->policy, said_placed(o));
    if (!err && o->allocator)
        err = check_allocator(o->allocator);
    return err;
}

static void resolve_cluster(const kv_options *o, kvi_api_settings *out)
{
    out->create = !o->listen || o->start == KV_CREATE;
    if (!o->listen)
        return;
    out->layout = KV_PLACED;
    out->trusted = (o->flags & KV_TRUSTED_NETWORK) != 0;
    out->transport = o->transport;
    out->listen = o->listen;
    out->advertise = o->advertise ? o->advertise : o->listen;
    out->zone = o->zone;
    out->seeds = o->seeds;
    out->seed_count = o->seed_count;
    out->weight = o->weight ? o->weight : KVI_API_WEIGHT_DEFAULT;
}

int kvi_api_options_resolve(const char *path, const kv_options *o, kvi_api_settings *out)
{
    static const kv_options all_defaults = KV_OPTIONS_INIT;
    bool stepped;
    int err;

    if (path && !*path)
        return kvi_error_set(KV_EINVAL, "path is empty");
    if (!o)
        o = &all_defaults;
    err = check(path, o);
    if (err)
        return err;
    stepped = o->mode == KV_STEPPED;
    *out = (kvi_api_settings){
        .memory = o->memory ? o->memory : KVI_API_MEMORY_DEFAULT,
        .workers = o->workers || stepped ? o->workers : KVI_API_WORKERS_DEFAULT,
        .compression = o->compression ? o->compression : KVI_API_COMPRESSION_DEFAULT,
        .durability = o->durability,
        .layout = o->layout,
        .may_create = !(o->flags & KV_MUST_EXIST),
        .must_create = (o->flags & KV_MUST_CREATE) != 0,
        .stepped = stepped,
        .callbacks_in_step = stepped || (o->flags & KV_CALLBACKS_IN_STEP),
        .policy = o->policy,
        .allocator = o->allocator,
        .log = o->log,
        .merge = o->merge,
        .user = o->user,
        .weight = KVI_API_WEIGHT_DEFAULT,
    };
    if (out->durability == KV_DEFAULT)
        out->durability = path ? KV_DISK : KV_MEMORY;
    resolve_cluster(o, out);
    return KV_OK;
}
