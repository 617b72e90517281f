/*
 * After fork() the child has the parent's handles in its memory, and none of the parent's threads,
 * locks or files: every call refuses.
 */
#include <unistd.h>

#include "support/tmpdir.h"
#include "unit/api/fixture.h"
#include "unit/os/in_child.h"

static char top[200], store[256];
static kv *db, *space;
static kv_iter *it;
static kv_snap *snap;
static kv_batch *batch;
static kv_result r, lent;

static void begin(void)
{
    static uint8_t large[5000];

    r = lent = (kv_result)KV_RESULT_INIT;
    kvt_tmpdir(top, sizeof top);
    (void)snprintf(store, sizeof store, "%s/store", top);
    OK(kv_open(store, NULL, &db));
    OK(kv_space(db, "s", NULL, &space));
    kvt_put(db, "k", "v");
    OK(kv_put(db, "large", 5, large, sizeof large, NULL, NULL));
    OK(kv_get(db, "large", 5, NULL, &lent));
    OK(kv_get(db, "k", 1, NULL, &r));
    OK(kv_iter_open(db, NULL, &it));
    OK(kv_snapshot(db, &snap));
    OK(kv_batch_new(db, &batch));
    OK(kv_batch_put(batch, "b", 1, "v", 1, NULL));
}

static void end(void)
{
    kv_result_free(&r);
    kv_result_free(&lent);
    kv_iter_close(it);
    kv_snapshot_free(snap);
    kv_batch_free(batch);
    OK(kv_close(space));
    OK(kv_close(db));
    kvt_rmtree(top);
}

/** The number of the first call that does not answer KV_EFORK; 0: all do. */
static int call_everything(void *unused)
{
    kv_statistics stats = KV_STATISTICS_INIT;
    kv_batch *b = NULL;
    kv_snap *s = NULL;
    kv_iter *i = NULL;
    kv *d = NULL;
    int at = 0;

    (void)unused;
#define MUST(call)                                                      \
    do {                                                                \
        at++;                                                           \
        if ((call) != KV_EFORK || !strstr(kv_error_detail(), "parent")) \
            return at;                                                  \
    } while (0)
    MUST(kv_get(db, "k", 1, NULL, &r));
    if (r.count != 0 || r.values)
        return 200;
    MUST(kv_get(db, "k", 1, NULL, &lent));
    MUST(kv_get(db, "k", 1, NULL, NULL));
    MUST(kv_put(db, "k", 1, "v", 1, NULL, &r));
    MUST(kv_delete(space, "k", 1, NULL, &r));
    MUST(kv_space(db, "s", NULL, &d));
    MUST(kv_batch_new(db, &b));
    MUST(kv_batch_use(batch, space));
    MUST(kv_batch_put(batch, "k", 1, "v", 1, NULL));
    MUST(kv_batch_delete(batch, "k", 1));
    MUST(kv_batch_commit(batch, NULL, NULL));
    MUST(kv_snapshot(db, &s));
    MUST(kv_iter_open(db, NULL, &i));
    MUST(kv_iter_renew(it, NULL));
    MUST(kv_iter_next(it, NULL));
    MUST(kv_iter_prev(it, NULL));
    MUST(kv_iter_seek(it, "k", 1));
    MUST(kv_sync(db));
    MUST(kv_flush(db));
    MUST(kv_stats(db, &stats));
    MUST(kv_close(space));
    MUST(kv_close(db));
#undef MUST
    kv_iter_close(it);
    kv_snapshot_free(snap);
    kv_batch_free(batch);
    kv_result_free(&r);
    kv_result_free(&lent);
    return b || s || i || d ? 201 : 0;
}

Test(api_fork, a_child_can_use_nothing_of_the_parents, .init = begin, .fini = end)
{
    cr_assert_eq(kvt_in_child(call_everything, NULL), 0);
    cr_assert(kvt_has(db, "k", "v"), "the parent goes on");
    OK(kv_batch_commit(batch, NULL, NULL));
    cr_assert(kvt_has(db, "b", "v"));
    OK(kv_iter_next(it, NULL));
    kvt_put(space, "k", "w");
}

/** Opens path on the real disk without a thread, which a sanitizer may not allow in a child. */
static int open_in_child(kvt_store *t, const char *path)
{
    static kvi_os_fs_posix files;

    kvi_mem_init(&t->real, NULL);
    if (kvi_sim_env_init(&t->env, &t->real, 2))
        return KV_ENOMEM;
    kvi_os_fs_posix_init(&files, &t->real);
    t->env.os.fs = &files.base;
    return kvi_api_open(path, NULL, &t->env.os, NULL, &t->db);
}

/** 0: a store of the child's own works. */
static int use_own(void *unused)
{
    kvt_store t;
    char own[300];
    int err;

    (void)unused;
    (void)snprintf(own, sizeof own, "%s/own", top);
    err = open_in_child(&t, own);
    if (!err)
        err = kv_put(t.db, "k", 1, "child", 5, NULL, NULL);
    if (!err)
        err = kv_get(t.db, "k", 1, NULL, NULL);
    if (!err)
        err = kv_close(t.db);
    return -err;
}

Test(api_fork, a_child_may_open_a_store_of_its_own, .init = begin, .fini = end)
{
    cr_assert_eq(kvt_in_child(use_own, NULL), 0);
}

static int open_same(void *unused)
{
    kvt_store t;

    (void)unused;
    return -open_in_child(&t, store);
}

Test(api_fork, a_child_finds_the_parents_store_in_use, .init = begin, .fini = end)
{
    cr_assert_eq(kvt_in_child(open_same, NULL), -KV_EINUSE);
    kvt_put(db, "k", "still locked, still open");
}
