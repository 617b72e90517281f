/*
 * Snapshots: the list that compaction reads.
 */
#include <criterion/criterion.h>

#include <pthread.h>

#include "support/lsm_fixture.h"

static kvt_lsm f;

static void setup(void)
{
    kvt_lsm_init(&f, (size_t)4 << 20);
}

static void teardown(void)
{
    cr_assert(kvi_list_empty(&f.l->snapshots));
    kvt_lsm_deinit(&f);
}

/* How many there are; fails where they do not ascend. */
static size_t count_live(void)
{
    uint64_t last = 0;
    size_t n = 0;

    kvi_os_mutex_lock(&f.l->snapshot_lock);
    KVI_LIST_EACH(node, &f.l->snapshots) {
        uint64_t seq = KVI_CONTAINER_OF(node, kvi_lsm_snapshot, link)->seq;

        if (seq < last)
            abort();
        last = seq;
        n++;
    }
    kvi_os_mutex_unlock(&f.l->snapshot_lock);
    return n;
}

Test(lsm_snapshot, is_what_was_published_when_it_was_taken, .init = setup, .fini = teardown)
{
    kvi_lsm_snapshot s[4];

    for (uint64_t i = 0; i < 4; i++) {
        atomic_store(&f.l->published, i / 2 * 100);
        kvi_lsm_snapshot_take(f.l, &s[i]);
        cr_assert_eq(s[i].seq, i / 2 * 100);
        cr_assert_eq(count_live(), i + 1);
    }
    kvi_lsm_snapshot_drop(f.l, &s[1]);
    kvi_lsm_snapshot_drop(f.l, &s[3]);
    cr_assert_eq(count_live(), 2);
    kvi_lsm_snapshot_take(f.l, &s[1]);
    kvi_lsm_snapshot_drop(f.l, &s[0]);
    kvi_lsm_snapshot_drop(f.l, &s[2]);
    cr_assert_eq(count_live(), 1);
    kvi_lsm_snapshot_drop(f.l, &s[1]);
}

static void *take_and_drop(void *arg)
{
    kvi_lsm_snapshot s[3];

    (void)arg;
    for (size_t i = 0; i < 3000; i++) {
        if (i >= 3)
            kvi_lsm_snapshot_drop(f.l, &s[i % 3]);
        kvi_lsm_snapshot_take(f.l, &s[i % 3]);
        (void)count_live();
        atomic_fetch_add(&f.l->published, 1);
    }
    for (size_t i = 0; i < 3; i++)
        kvi_lsm_snapshot_drop(f.l, &s[i]);
    return NULL;
}

Test(lsm_snapshot, threads_take_and_drop_them, .init = setup, .fini = teardown)
{
    pthread_t threads[4];

    for (size_t i = 0; i < 4; i++)
        cr_assert_eq(pthread_create(&threads[i], NULL, take_and_drop, NULL), 0);
    for (size_t i = 0; i < 4; i++)
        pthread_join(threads[i], NULL);
    cr_assert_eq(count_live(), 0);
}
