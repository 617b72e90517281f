/*
 * Opening and closing: what a store stands on is built from the bottom up and taken down in
 * reverse.
 */
#include "api/open.h"

#include <stdio.h>

#include "api/check.h"
#include "api/options.h"
#include "api/space.h"
#include "base/error.h"

/** What the directory of a store in memory is called; nobody sees it. */
#define MEMORY_PATH "memory"

/** The machine's seams, for one store. */
struct kvi_api_home {
    kvi_mem mem;
    kvi_os_fs_posix files;
    kvi_os_exec *pool;
};

static int home_new(const kvi_api_settings *set, struct kvi_api_home **out)
{
    struct kvi_api_home *home;
    kvi_mem mem;
    int err;

    kvi_mem_init(&mem, set->allocator);
    home = kvi_mem_zalloc(&mem, 1, sizeof *home);
    if (!home)
        return kvi_error_set(KV_ENOMEM, "cannot allocate %zu bytes for a store", sizeof *home);
    home->mem = mem;
    kvi_os_fs_posix_init(&home->files, &home->mem);
    err = kvi_os_pool_new(&home->mem, set->workers, &home->pool);
    if (err) {
        kvi_mem_free(&mem, home);
        return err;
    }
    *out = home;
    return KV_OK;
}

/** Nothing uses it any more. NULL is allowed. */
static void home_free(struct kvi_api_home *home)
{
    kvi_mem mem;

    if (!home)
        return;
    mem = home->mem;
    kvi_os_pool_free(home->pool);
    kvi_mem_free(&mem, home);
}

static int store_new(const kvi_api_settings *set, const kvi_os_env *env, kvi_api_store **out)
{
    kvi_api_store *s = kvi_mem_zalloc_aligned(env->mem, sizeof *s);
    int err;

    if (!s)
        return kvi_error_set(KV_ENOMEM, "cannot allocate %zu bytes for a store", sizeof *s);
    err = kvi_os_forkmark_init(&s->fork);
    if (err) {
        kvi_mem_free_aligned(env->mem, s);
        return err;
    }
    s->env = *env;
    s->durability = set->durability;
    kvi_budget_init(&s->budget, set->memory);
    *out = s;
    return KV_OK;
}

static void store_free(kvi_api_store *s)
{
    kvi_os_forkmark_deinit(&s->fork);
    kvi_mem_free_aligned(s->env.mem, s);
}

static int engine_open(kvi_api_store *s, const char *path, const kvi_api_settings *set,
                       const kvi_lsm_shape *shape)
{
    kvi_lsm_options o = {
        .env = &s->env,
        .budget = &s->budget,
        .path = path ? path : MEMORY_PATH,
        .may_create = set->may_create,
        .must_create = set->must_create,
        .log = kvi_api_logged(s),
        .ephemeral = !path,
        .layout = set->layout,
        .compression = set->compression,
    };
    bool created;
    int err;

    if (shape)
        o.shape = *shape;
    if (!path) {
        kvi_os_fs_mem_init(&s->memory_files, s->env.mem, &s->budget);
        s->env.fs = &s->memory_files.base;
    }
    err = kvi_lsm_open(&o, &s->lsm, &created);
    if (err)
        return err;
    s->context_seed = kvi_lsm_context_seed(s->lsm);
    s->batch_max = kvi_lsm_write_max(s->lsm);
    s->value_max = kvi_min_size(KVI_API_VALUE_MAX, set->memory / 8);
    s->value_max = kvi_min_size(s->value_max, s->batch_max - KVI_LSM_KEY_MAX);
    return KV_OK;
}

/** err and its detail, whatever closing has to say. */
static int engine_abandon(kvi_api_store *s, int err)
{
    char detail[KVI_ERROR_DETAIL_MAX];

    (void)snprintf(detail, sizeof detail, "%s", kvi_error_detail());
    (void)kvi_lsm_close(s->lsm);
    return kvi_error_set(err, "%s", detail);
}

static int open_over(const char *path, const kvi_api_settings *set, const kvi_os_env *env,
                     const kvi_lsm_shape *shape, kvi_api_store **out)
{
    kvi_api_store *s;
    int err = store_new(set, env, &s);

    if (err)
        return err;
    err = engine_open(s, path, set, shape);
    if (err)
        goto fail;
    err = kvi_api_space_open_default(s, set->policy);
    if (err) {
        err = engine_abandon(s, err);
        goto fail;
    }
    *out = s;
    return KV_OK;
fail:
    store_free(s);
    return err;
}

int kvi_api_open(const char *path, const kv_options *o, const kvi_os_env *env,
                 const kvi_lsm_shape *shape, kv **out)
{
    kvi_api_settings set;
    kvi_api_store *s;
    int err = kvi_api_check_given(out, "out");

    if (!err)
        err = kvi_api_options_resolve(path, o, &set);
    if (!err)
        err = open_over(path, &set, env, shape, &s);
    if (!err)
        *out = &s->root;
    return err;
}

int kv_open(const char *path, const kv_options *options, kv **out)
{
    struct kvi_api_home *home;
    kvi_api_settings set;
    kvi_api_store *s;
    kvi_os_env env;
    int err = kvi_api_check_given(out, "out");

    if (!err)
        err = kvi_api_options_resolve(path, options, &set);
    if (!err)
        err = home_new(&set, &home);
    if (err)
        return err;
    env = (kvi_os_env){
        .mem = &home->mem,
        .fs = &home->files.base,
        .clock = kvi_os_clock_real(),
        .exec = home->pool,
        .rand = kvi_os_rand_real(),
        .log = set.log,
        .log_user = set.user,
    };
    err = open_over(path, &set, &env, NULL, &s);
    if (err) {
        home_free(home);
        return err;
    }
    s->home = home;
    *out = &s->root;
    return KV_OK;
}

static int store_check_idle(kvi_api_store *s)
{
    uint32_t live[KVI_API_LIVE_KINDS], sum = 0;

    for (size_t i = 0; i < KVI_API_LIVE_KINDS; i++)
        sum += live[i] = atomic_load(&s->live[i]);
    if (sum == 0)
        return KV_OK;
    return kvi_error_set(
        KV_EBUSY,
        "still alive: %u space handles, %u iterators, %u snapshots, %u batches, %u lent values",
        (unsigned)live[KVI_API_LIVE_SPACES], (unsigned)live[KVI_API_LIVE_ITERATORS],
        (unsigned)live[KVI_API_LIVE_SNAPSHOTS], (unsigned)live[KVI_API_LIVE_BATCHES],
        (unsigned)live[KVI_API_LIVE_LENT]);
}

static int store_close(kvi_api_store *s)
{
    struct kvi_api_home *home = s->home;
    bool in_memory = s->memory_files.mem != NULL;
    int err = store_check_idle(s);

    if (err)
        return err;
    err = kvi_lsm_close(s->lsm);
    if (in_memory)
        err = KV_OK; /* nothing was to be kept */
    store_free(s);
    home_free(home);
    return err;
}

int kv_close(kv *db)
{
    int err;

    if (!db)
        return KV_OK;
    err = kvi_api_check_store(db->store);
    if (err)
        return err;
    if (db == &db->store->root)
        return store_close(db->store);
    kvi_api_space_close(db);
    return KV_OK;
}
