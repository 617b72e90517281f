/*
 * Statistics (api/stats.c, api/counters.h), and the waiting that they tell of (api/wait.c).
 */
#include <pthread.h>

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

#define STORE_TEST(name) Test(api_stats, name, .init = begin, .fini = end)

STORE_TEST(requests_are_counted_where_they_succeed)
{
    kv_statistics s = KV_STATISTICS_INIT;
    kv_iter *it;
    kv_snap *snap;
    kv_batch *b;

    OK(kv_stats(t.db, &s));
    cr_assert(s.gets == 0 && s.puts == 0 && s.deletes == 0 && s.batches == 0 &&
              s.user_bytes_written == 0);
    kvt_put(t.db, "key", "value");
    kvt_put(t.db, "k", "v");
    kvt_delete(t.db, "key");
    cr_assert(kvt_has(t.db, "k", "v") && kvt_has(t.db, "key", NULL));
    cr_assert_eq(kv_put(t.db, "", 0, "v", 1, NULL, NULL), KV_EINVAL);
    cr_assert_eq(kv_get(t.db, "", 0, NULL, NULL), KV_EINVAL);
    OK(kv_batch_new(t.db, &b));
    OK(kv_batch_put(b, "a", 1, "bc", 2, NULL));
    OK(kv_batch_delete(b, "ab", 2));
    OK(kv_batch_commit(b, NULL, NULL));
    kv_batch_free(b);
    OK(kv_iter_open(t.db, NULL, &it));
    OK(kv_snapshot(t.db, &snap));
    OK(kv_stats(t.db, &s));
    cr_assert_eq(s.gets, 2);
    cr_assert_eq(s.gets_found, 1);
    cr_assert_eq(s.puts, 3);
    cr_assert_eq(s.deletes, 2);
    cr_assert_eq(s.batches, 1);
    cr_assert_eq(s.user_bytes_written, 8 + 2 + 3 + 3 + 2);
    cr_assert_eq(s.iterators, 1);
    cr_assert_eq(s.snapshots, 1);
    kv_iter_close(it);
    kv_snapshot_free(snap);
    OK(kv_stats(t.db, &s));
    cr_assert(s.iterators == 0 && s.snapshots == 0);
    cr_assert_eq(s.memory_limit, (uint64_t)64 << 20);
    cr_assert_gt(s.log_bytes, 0);
    cr_assert_eq(s.size, sizeof s);
}

STORE_TEST(wrong_arguments_are_named)
{
    kv_statistics s = KV_STATISTICS_INIT;

    FAILS(kv_stats(NULL, &s), KV_EINVAL, "the handle is NULL");
    FAILS(kv_stats(t.db, NULL), KV_EINVAL, "stats is NULL");
    s.size = 9;
    FAILS(kv_stats(t.db, &s), KV_EINVAL, "kv_statistics.size is 9");
    s = (kv_statistics)KV_STATISTICS_INIT;
    s.flags = 1;
    FAILS(kv_stats(t.db, &s), KV_EINVAL, "kv_statistics.flags has 0x1");
}

/* One thread, so flushing happens only where a writer waits: it must, and go on. */
STORE_TEST(a_writer_waits_for_room_and_is_told_in_stalls)
{
    static uint8_t value[4000];
    kv_statistics s = KV_STATISTICS_INIT;
    kv_result r = KV_RESULT_INIT;

    t.env.clock.step_ns = 1000;
    for (uint32_t i = 0; i < 300; i++) {
        memset(value, (int)i, sizeof value);
        OK(kv_put(t.db, &i, sizeof i, value, sizeof value, NULL, NULL));
    }
    OK(kv_stats(t.db, &s));
    cr_assert_gt(s.stalls, 0);
    cr_assert_gt(s.stall_ns, 0);
    cr_assert_gt(s.flushes, 0);
    for (uint32_t i = 0; i < 300; i++) {
        memset(value, (int)i, sizeof value);
        OK(kv_get(t.db, &i, sizeof i, NULL, &r));
        cr_assert_arr_eq(r.values[0].data, value, sizeof value);
    }
    kv_result_free(&r);
}

enum { THREADS = 4, ROUNDS = 500 };

static void *put_own(void *db)
{
    uint64_t self = (uint64_t)(uintptr_t)&self;

    for (uint32_t i = 0; i < ROUNDS; i++) {
        uint64_t key[2] = {self, i};

        if (kv_put(db, key, sizeof key, "v", 1, NULL, NULL) ||
            kv_get(db, key, sizeof key, NULL, NULL))
            return db;
    }
    return NULL;
}

Test(api_stats_threads, no_count_is_lost)
{
    kv_statistics s = KV_STATISTICS_INIT;
    pthread_t threads[THREADS];
    kv *db;

    OK(kv_open(NULL, NULL, &db));
    for (int i = 0; i < THREADS; i++)
        cr_assert_eq(pthread_create(&threads[i], NULL, put_own, db), 0);
    for (int i = 0; i < THREADS; i++) {
        void *failed;

        cr_assert_eq(pthread_join(threads[i], &failed), 0);
        cr_assert_null(failed);
    }
    OK(kv_stats(db, &s));
    cr_assert_eq(s.puts, THREADS * ROUNDS);
    cr_assert_eq(s.gets, THREADS * ROUNDS);
    cr_assert_eq(s.gets_found, THREADS * ROUNDS);
    cr_assert_eq(s.user_bytes_written, THREADS * ROUNDS * 17);
    OK(kv_close(db));
}
