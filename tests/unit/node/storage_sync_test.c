/* Syncs and scans of the storage effects, missing memory, and all of it over a pool of threads. */
#include "unit/node/storages.h"

Test(node_storage, one_sync_serves_all_that_were_asked_before_it)
{
    const kvi_sim_fs_counts *counts;
    uint64_t before;
    syncing y[10];
    writing w[10];
    scene *s = begin(true);

    settle(s);
    (void)kvi_sim_exec_run_all(&s->env.exec, 100);
    counts = kvi_sim_fs_get_counts(s->env.fs);
    before = counts->calls[KVI_SIM_CALL_SYNC];
    for (unsigned i = 0; i < 10; i++) {
        begin_write(s, &w[i], "key", "x", 1);
        (void)kvi_storage_complete(&s->s);
        begin_sync(s, &y[i], w[i].w.seq);
    }
    settle(s);
    for (unsigned i = 0; i < 10; i++)
        OK(y[i].y.err);
    cr_assert_leq(counts->calls[KVI_SIM_CALL_SYNC] - before, 2);
    end(s);
}

Test(node_storage, seq_0_waits_for_nothing)
{
    syncing y, zero;
    writing w;
    scene *s = begin(true);

    begin_write(s, &w, "key", "x", 1);
    (void)kvi_storage_complete(&s->s);
    begin_sync(s, &y, w.w.seq);
    (void)kvi_storage_complete(&s->s);
    s->count = 0;
    begin_sync(s, &zero, 0);
    cr_assert_eq(s->count, 0);
    cr_assert(kvi_storage_ready(&s->s));
    cr_assert(kvi_storage_complete(&s->s));
    cr_assert_eq(s->count, 1, "not even for the sync that runs");
    OK(zero.y.err);
    settle(s);
    OK(y.y.err);
    end(s);
    s = begin(false);
    begin_sync(s, &zero, 0);
    settle(s);
    OK(zero.y.err);
    end(s);
}

Test(node_storage, a_sync_that_failed_says_so_to_all)
{
    kvi_sim_fs_faults faults = {.error_ppm = {[KVI_SIM_CALL_SYNC] = 1000000}};
    syncing y[3];
    writing w, later;
    reading r;
    scene *s = begin(true);

    begin_write(s, &w, "key", "x", 1);
    settle(s);
    kvi_sim_fs_set_faults(s->env.fs, &faults);
    for (unsigned i = 0; i < 3; i++)
        begin_sync(s, &y[i], w.w.seq);
    settle(s);
    for (unsigned i = 0; i < 3; i++)
        cr_assert_eq(y[i].y.err, KV_EIO);
    kvi_sim_fs_set_faults(s->env.fs, NULL);
    begin_sync(s, &y[0], w.w.seq);
    begin_write(s, &later, "key", "y", 1);
    settle(s);
    cr_assert_eq(y[0].y.err, KV_EIO, "never again until it is opened anew");
    cr_assert_eq(later.w.err, KV_EUNAVAILABLE, "nothing of it can be in the log");
    reading_init(s, &r, "key");
    kvi_storage_read(&s->s, &r.r);
    settle(s);
    expect(&r, "x");
    end(s);
}

static unsigned check_page(const scanning *x, unsigned first)
{
    kvi_slice rest = kvi_buf_slice(&x->entries);
    const uint8_t *p = kvi_slice_bytes(rest), *stop = p + rest.len;

    for (unsigned i = 0; i < x->c.count; i++) {
        char key[8];

        (void)snprintf(key, sizeof key, "k%02u", first + i);
        cr_assert_eq(*p++, 3);
        cr_assert_arr_eq(p, key, 3);
        p += 3;
        cr_assert_eq(*p++, 100);
        p += 100;
    }
    cr_assert_eq(p, stop);
    return x->c.count;
}

Test(node_storage, scans_end_by_limit_by_bytes_or_by_the_range)
{
    static const char VALUE[100];
    scanning x;
    writing w;
    scene *s = begin(true);

    for (unsigned i = 0; i < 20; i++) {
        char key[8];

        (void)snprintf(key, sizeof key, "k%02u", i);
        begin_write(s, &w, key, VALUE, sizeof VALUE);
        settle(s);
    }
    begin_scan(s, &x, "k00", "k99", 7, 1 << 20);
    settle(s);
    OK(x.c.err);
    cr_assert(x.c.more);
    cr_assert_eq(check_page(&x, 0), 7);
    kvi_buf_deinit(&x.entries);
    begin_scan(s, &x, "k05", "k10", 7, 1 << 20);
    settle(s);
    cr_assert_not(x.c.more);
    cr_assert_eq(check_page(&x, 5), 5);
    kvi_buf_deinit(&x.entries);
    begin_scan(s, &x, "k13", "k20", 7, 1 << 20);
    settle(s);
    cr_assert_not(x.c.more, "it ended by both");
    cr_assert_eq(check_page(&x, 13), 7);
    kvi_buf_deinit(&x.entries);
    begin_scan(s, &x, "k00", "k99", 100, 330);
    settle(s);
    cr_assert(x.c.more);
    cr_assert_eq(check_page(&x, 0), 3);
    kvi_buf_deinit(&x.entries);
    begin_scan(s, &x, "k00", "k99", 100, 1);
    settle(s);
    cr_assert(x.c.more);
    cr_assert_eq(check_page(&x, 0), 1, "one is always given");
    kvi_buf_deinit(&x.entries);
    begin_scan(s, &x, "x", "y", 1, 1);
    settle(s);
    OK(x.c.err);
    cr_assert_eq(x.c.count, 0);
    kvi_buf_deinit(&x.entries);
    end(s);
}

Test(node_storage, without_memory_an_effect_fails_and_the_next_does_not)
{
    reading r;
    scanning x;
    scene *s = begin(false);

    put(s, "key", "value");
    to_disk(s);
    reading_init(s, &r, "key");
    kvi_sim_alloc_reset(&s->env.alloc, 0, true);
    kvi_storage_read(&s->s, &r.r);
    begin_scan(s, &x, "a", "z", 1, 1);
    kvi_sim_alloc_reset(&s->env.alloc, KVI_SIM_ALLOC_NEVER, false);
    settle(s);
    cr_assert_eq(r.r.err, KV_ENOMEM);
    cr_assert_eq(x.c.err, KV_ENOMEM);
    kvi_storage_read(&s->s, &r.r);
    settle(s);
    expect(&r, "value");
    end(s);
}

/* --- over a pool of threads ---------------------------------------------------------------- */

Test(node_storage, over_a_pool_of_threads)
{
    enum { N = 100 };
    static char value[2000];
    writing *w = calloc(N, sizeof *w);
    syncing *y = calloc(N, sizeof *y);
    reading *r = calloc(N, sizeof *r);
    scene *s = calloc(1, sizeof *s);
    kvi_lsm_options options = {.path = "store",
                               .may_create = true,
                               .log = true,
                               .compression = KV_COMPRESS_NONE,
                               .shape = storages_shape};
    kvi_os_fs_mem files;
    kvi_budget files_budget;
    kvi_os_env env;
    bool created;
    char key[16];

    cr_assert(w && y && r && s);
    kvi_mem_init(&s->real, NULL);
    kvi_budget_init(&s->budget, 16 << 20);
    kvi_budget_init(&files_budget, 64 << 20);
    kvi_os_fs_mem_init(&files, &s->real, &files_budget);
    kvi_os_wake_open(&s->wake);
    env = (kvi_os_env){.mem = &s->real,
                       .fs = &files.base,
                       .clock = kvi_os_clock_real(),
                       .rand = kvi_os_rand_real()};
    OK(kvi_os_pool_new(&s->real, 3, &env.exec));
    options.env = &env;
    options.budget = &s->budget;
    OK(kvi_lsm_open(&options, &s->lsm, &created));
    kvi_storage_init(&s->s, &env, s->lsm, wake, s);
    for (unsigned i = 0; i < N; i++) {
        (void)snprintf(key, sizeof key, "key %u", i);
        begin_write(s, &w[i], key, value, sizeof value);
    }
    while (!kvi_storage_idle(&s->s)) {
        if (!kvi_storage_complete(&s->s))
            (void)kvi_os_wake_wait(&s->wake, KVI_OS_WAKE_FOREVER);
        kvi_os_wake_clear(&s->wake);
    }
    for (unsigned i = 0; i < N; i++) {
        OK(w[i].w.err);
        begin_sync(s, &y[i], w[i].w.seq);
        reading_init(s, &r[i], w[i].key);
        kvi_storage_read(&s->s, &r[i].r);
    }
    while (!kvi_storage_idle(&s->s)) {
        if (!kvi_storage_complete(&s->s))
            (void)kvi_os_wake_wait(&s->wake, KVI_OS_WAKE_FOREVER);
        kvi_os_wake_clear(&s->wake);
    }
    for (unsigned i = 0; i < N; i++) {
        OK(y[i].y.err);
        OK(r[i].r.err);
        cr_assert_eq(r[i].value.len, sizeof value);
        kvi_buf_deinit(&r[i].value);
    }
    kvi_storage_deinit(&s->s);
    OK(kvi_lsm_close(s->lsm));
    kvi_os_pool_free(env.exec);
    kvi_os_wake_close(&s->wake);
    free(s);
    free(w);
    free(y);
    free(r);
}
