/*
 * Snapshots (api/snapshot.c): a moment of all spaces, kept while writes and compactions go on.
 */
#include "unit/api/fixture.h"

static kvt_store t;

static void begin(void)
{
    kvt_machine_start(&t);
    OK(kvi_api_open("store", NULL, &t.env.os, &kvt_small, &t.db));
}

static void end(void)
{
    kvt_store_end(&t);
}

#define STORE_TEST(name) Test(api_snapshot, name, .init = begin, .fini = end)

static bool had(kv *db, kv_snap *snap, const char *key, const char *value)
{
    kv_result r = KV_RESULT_INIT;
    kv_op op = KV_OP_INIT;
    int err;
    bool same;

    op.snapshot = snap;
    err = kv_get(db, key, strlen(key), &op, &r);
    same =
        value ? err == KV_OK && kvt_slice_is(kvi_slice_of(r.values[0].data, r.values[0].len), value)
              : err == KV_ENOTFOUND;
    kv_result_free(&r);
    return same;
}

STORE_TEST(it_keeps_what_was_there_in_all_spaces)
{
    kv_snap *first, *second;
    kv *space;

    OK(kv_space(t.db, "s", NULL, &space));
    kvt_put(t.db, "k", "1");
    kvt_put(space, "k", "s1");
    OK(kv_snapshot(t.db, &first));
    kvt_put(t.db, "k", "2");
    kvt_delete(space, "k");
    kvt_put(t.db, "new", "x");
    OK(kv_snapshot(space, &second));
    kvt_delete(t.db, "k");
    for (int round = 0; round < 3; round++) {
        cr_assert(had(t.db, first, "k", "1") && had(space, first, "k", "s1") &&
                  had(t.db, first, "new", NULL));
        cr_assert(had(t.db, second, "k", "2") && had(space, second, "k", NULL) &&
                  had(t.db, second, "new", "x"));
        cr_assert(kvt_has(t.db, "k", NULL));
        for (int i = 0; i < 300; i++) {
            char key[32];

            (void)snprintf(key, sizeof key, "filler %d", i);
            kvt_put(t.db, key, "some bytes that fill the memtable and get compacted in the end");
        }
        OK(kv_flush(t.db));
    }
    kv_snapshot_free(first);
    cr_assert(had(t.db, second, "k", "2"));
    kv_snapshot_free(second);
    kv_snapshot_free(NULL);
    OK(kv_close(space));
}

STORE_TEST(values_expire_in_it_too)
{
    kv_op op = KV_OP_INIT;
    kv_snap *snap;

    op.ttl_ms = 10;
    OK(kv_put(t.db, "k", 1, "v", 1, &op, NULL));
    OK(kv_snapshot(t.db, &snap));
    cr_assert(had(t.db, snap, "k", "v"));
    kvt_pass_ms(&t, 10);
    cr_assert(had(t.db, snap, "k", NULL));
    kv_snapshot_free(snap);
}

/* Read in a snapshot, written only if nothing has changed since. */
STORE_TEST(a_context_from_it_guards_a_write)
{
    kv_result r = KV_RESULT_INIT;
    kv_op at = KV_OP_INIT, under = KV_OP_INIT;

    kvt_put(t.db, "k", "1");
    OK(kv_snapshot(t.db, &at.snapshot));
    OK(kv_get(t.db, "k", 1, &at, &r));
    under.context = r.context;
    OK(kv_put(t.db, "k", 1, "2", 1, &under, NULL));
    OK(kv_get(t.db, "k", 1, &at, &r));
    cr_assert(kvt_slice_is(kvi_slice_of(r.values[0].data, r.values[0].len), "1"));
    under.context = r.context;
    FAILS(kv_put(t.db, "k", 1, "3", 1, &under, NULL), KV_ECONFLICT, "kv_op.context");
    kv_snapshot_free(at.snapshot);
    kv_result_free(&r);
}

STORE_TEST(wrong_arguments_are_named)
{
    kvt_store other;
    kv_op op = KV_OP_INIT;
    kv_snap *snap = NULL;

    FAILS(kv_snapshot(NULL, &snap), KV_EINVAL, "the handle is NULL");
    FAILS(kv_snapshot(t.db, NULL), KV_EINVAL, "out is NULL");
    cr_assert_null(snap);
    kvt_store_start(&other, NULL);
    OK(kv_snapshot(other.db, &op.snapshot));
    FAILS(kv_get(t.db, "k", 1, &op, NULL), KV_EINVAL, "kv_op.snapshot is of another store");
    FAILS(kv_close(other.db), KV_EBUSY, "1 snapshots");
    kv_snapshot_free(op.snapshot);
    kvt_store_end(&other);
}
