/* Reads and writes of the storage effects: what completes when, and what failures say. */
#include "unit/node/storages.h"

Test(node_storage, what_memory_can_answer_completes_at_the_next_turn)
{
    reading a, b, c;
    scene *s = begin(true);

    put(s, "key", "value");
    s->count = 0;
    reading_init(s, &a, "key");
    reading_init(s, &b, "key");
    reading_init(s, &c, "absent");
    a.next = &b;
    kvi_storage_read(&s->s, &a.r);
    kvi_storage_read(&s->s, &c.r);
    cr_assert_eq(s->count, 0, "no call calls back");
    cr_assert(kvi_storage_ready(&s->s));
    cr_assert_not(kvi_storage_idle(&s->s));
    cr_assert(kvi_storage_complete(&s->s));
    cr_assert_eq(s->count, 3, "with the one that the first began");
    cr_assert_eq(s->s.jobs, 0, "none was needed");
    cr_assert(kvi_storage_idle(&s->s));
    cr_assert_not(kvi_storage_complete(&s->s));
    expect(&a, "value");
    expect(&b, "value");
    cr_assert_eq(c.r.err, KV_ENOTFOUND);
    end(s);
}

Test(node_storage, what_needs_the_disk_is_a_job)
{
    char big[9000];
    reading a, b;
    scene *s = begin(false);

    memset(big, 'b', sizeof big - 1);
    big[sizeof big - 1] = '\0';
    put(s, "big", big);
    put(s, "key", "value");
    to_disk(s);
    reading_init(s, &a, "key");
    reading_init(s, &b, "big");
    kvi_storage_read(&s->s, &a.r);
    kvi_storage_read(&s->s, &b.r);
    cr_assert_not(kvi_storage_ready(&s->s));
    cr_assert_not(kvi_storage_complete(&s->s));
    cr_assert_eq(s->s.jobs, 2);
    kvi_os_wake_clear(&s->wake);
    cr_assert_eq(kvi_sim_exec_run_all(&s->env.exec, 1), 1);
    cr_assert(kvi_os_wake_wait(&s->wake, 0), "the owner is woken");
    cr_assert_eq(s->count, 0, "a job does not call back");
    cr_assert(kvi_storage_ready(&s->s));
    cr_assert(kvi_storage_complete(&s->s));
    settle(s);
    cr_assert_eq(s->count, 2);
    expect(&a, "value");
    expect(&b, big);
    end(s);
}

Test(node_storage, a_read_that_fails_is_no_absence)
{
    kvi_sim_fs_faults faults = {.error_ppm = {[KVI_SIM_CALL_READ] = 1000000}};
    reading a;
    scene *s = begin(false);

    kvi_sim_fs_set_map(s->env.fs, false);
    put(s, "key", "value");
    to_disk(s);
    kvi_sim_fs_set_faults(s->env.fs, &faults);
    reading_init(s, &a, "key");
    kvi_storage_read(&s->s, &a.r);
    settle(s);
    cr_assert_eq(a.r.err, KV_EIO);
    kvi_sim_fs_set_faults(s->env.fs, NULL);
    kvi_storage_read(&s->s, &a.r);
    settle(s);
    expect(&a, "value");
    end(s);
}

Test(node_storage, writes_are_readable_in_their_order_also_through_a_stall)
{
    static char value[3000];
    enum { WRITES = 200 };
    writing *w = calloc(WRITES, sizeof *w);
    uint64_t seq = 0;
    reading r;
    scene *s = begin(true);

    cr_assert_not_null(w);
    for (unsigned i = 0; i < WRITES; i++)
        begin_write(s, &w[i], "key", value, sizeof value - i);
    cr_assert(s->s.writing, "the engine holds one up");
    cr_assert_not(kvi_storage_idle(&s->s));
    settle(s);
    cr_assert_eq(s->count, WRITES);
    for (unsigned i = 0; i < WRITES; i++) {
        cr_assert_eq(s->ended[i], &w[i]);
        OK(w[i].w.err);
        cr_assert_gt(w[i].w.seq, seq);
        seq = w[i].w.seq;
    }
    reading_init(s, &r, "key");
    kvi_storage_read(&s->s, &r.r);
    settle(s);
    cr_assert_eq(r.value.len, sizeof value - (WRITES - 1));
    kvi_buf_deinit(&r.value);
    free(w);
    end(s);
}

Test(node_storage, several_puts_are_one_write)
{
    kvi_store_put puts[3] = {
        {{"a", 1}, {"1", 1}, false}, {{"b", 1}, {"2", 1}, false}, {{"a", 1}, {NULL, 0}, true}};
    writing w = {.w = {.puts = puts, .count = 3, .done = write_done}};
    reading a, b;
    scene *s = begin(true);

    w.s = s;
    kvi_storage_write(&s->s, &w.w);
    settle(s);
    OK(w.w.err);
    reading_init(s, &a, "a");
    reading_init(s, &b, "b");
    kvi_storage_read(&s->s, &a.r);
    kvi_storage_read(&s->s, &b.r);
    settle(s);
    cr_assert_eq(a.r.err, KV_ENOTFOUND);
    cr_assert_eq(a.value.len, 0);
    expect(&b, "2");
    end(s);
}

Test(node_storage, a_write_that_is_too_big_holds_up_nobody)
{
    size_t len = 1 << 20;
    char *big = calloc(1, len);
    writing a, b;
    scene *s = begin(true);

    cr_assert_not_null(big);
    begin_write(s, &a, "a", big, len);
    begin_write(s, &b, "b", "x", 1);
    settle(s);
    cr_assert_eq(a.w.err, KV_ETOOBIG);
    cr_assert_eq(a.w.seq, 0);
    OK(b.w.err);
    free(big);
    end(s);
}
