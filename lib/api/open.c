/*
 * Opening and closing: what a store stands on is built from the bottom up and taken down in
 * reverse.
 */
#include "api/open.h"

#include <stdio.h>

#include "api/call.h"
#include "api/check.h"
#include "api/options.h"
#include "api/placed.h"
#include "api/space.h"
#include "base/error.h"

/** What the directory of a store in memory is called; nobody sees it. */
#define MEMORY_PATH "memory"

/** The machine's seams, for one store. */
struct kvi_api_home {
    kvi_mem mem;
    kvi_os_fs_posix files;
    kvi_os_exec *exec; /* a pool, or where nobody works but the host: run by its calls */
    bool host_works;
    kvi_api_store *store; /* NULL before it is open */
};

/** A job was submitted that the host's calls have to run. */
static void job_came(void *user)
{
    struct kvi_api_home *home = user;

    if (home->store)
        kvi_api_poke(home->store);
}

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
    home->host_works = set->workers == 0;
    err = home->host_works ? kvi_os_step_exec_new(&home->mem, job_came, home, &home->exec)
                           : kvi_os_pool_new(&home->mem, set->workers, &home->exec);
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
    home->store = NULL;
    if (home->host_works)
        kvi_os_step_exec_free(home->exec);
    else
        kvi_os_pool_free(home->exec);
    kvi_mem_free(&mem, home);
}

static int store_new(const kvi_api_settings *set, const kvi_api_seams *seams, kvi_api_store **out)
{
    const kvi_os_env *env = seams->env;
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
    s->listens = set->listen != NULL;
    s->stepped = set->stepped;
    s->callbacks_in_step = set->callbacks_in_step;
    s->helps = set->stepped && !seams->external_exec;
    s->merge = set->merge;
    s->user = set->user;
    s->idle = seams->idle;
    s->idle_user = seams->idle_user;
    kvi_budget_init(&s->budget, set->memory);
    kvi_api_calls_init(s);
    *out = s;
    return KV_OK;
}

static void store_free(kvi_api_store *s)
{
    kvi_api_calls_deinit(s);
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

/** What is above the engine. */
static int upper_open(kvi_api_store *s, const kvi_api_settings *set, const kvi_api_seams *seams)
{
    s->placed = kvi_lsm_layout(s->lsm) == KV_PLACED;
    return s->placed ? kvi_api_placed_open(s, set, seams->ring_bits)
                     : kvi_api_space_open_default(s, set->policy);
}

static int open_over(const char *path, const kvi_api_settings *set, const kvi_api_seams *seams,
                     kvi_api_store **out)
{
    kvi_api_store *s;
    int err = store_new(set, seams, &s);

    if (err)
        return err;
    err = engine_open(s, path, set, seams->shape);
    if (err)
        goto fail;
    err = upper_open(s, set, seams);
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

int kvi_api_open_over(const char *path, const kv_options *o, const kvi_api_seams *seams, kv **out)
{
    kvi_api_settings set;
    kvi_api_store *s;
    int err = kvi_api_check_given(out, "out");

    if (!err)
        err = kvi_api_options_resolve(path, o, &set);
    if (!err)
        err = open_over(path, &set, seams, &s);
    if (!err)
        *out = &s->root;
    return err;
}

int kvi_api_open(const char *path, const kv_options *o, const kvi_os_env *env,
                 const kvi_lsm_shape *shape, kv **out)
{
    kvi_api_seams seams = {.env = env, .shape = shape};

    return kvi_api_open_over(path, o, &seams, out);
}

static kvi_os_env home_env(struct kvi_api_home *home, const kvi_api_settings *set)
{
    return (kvi_os_env){
        .mem = &home->mem,
        .fs = &home->files.base,
        .clock = kvi_os_clock_real(),
        .exec = home->exec,
        .rand = kvi_os_rand_real(),
        .log = set->log,
        .log_user = set->user,
    };
}

int kv_open(const char *path, const kv_options *options, kv **out)
{
    struct kvi_api_home *home;
    kvi_api_seams seams = {0};
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
    env = home_env(home, &set);
    seams.env = &env;
    err = open_over(path, &set, &seams, &s);
    if (err) {
        home_free(home);
        return err;
    }
    s->home = home;
    s->host_works = home->host_works;
    home->store = s;
    *out = &s->root;
    return KV_OK;
}

/* --- closing ------------------------------------------------------------------------------ */

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

/** Gives up what was submitted and has not ended, and runs all callbacks. */
static void calls_close(kvi_api_store *s)
{
    kvi_os_mutex_lock(&s->calls.lock);
    s->calls.closing = true;
    kvi_os_mutex_unlock(&s->calls.lock);
    if (s->placed)
        kvi_api_placed_close(s);
    else
        kvi_api_runner_end(s);
    kvi_api_deliver(s);
}

static int store_close(kvi_api_store *s)
{
    struct kvi_api_home *home = s->home;
    bool in_memory = s->memory_files.mem != NULL;
    int err = kvi_api_check_outside(s);

    if (!err)
        err = store_check_idle(s);
    if (err)
        return err;
    calls_close(s);
    if (home)
        home->store = NULL;
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
